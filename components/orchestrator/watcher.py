"""Ends the platform's processes when their supervisor dies without having done so.

Run by path as a plain script, in a session of its own. Its arguments are the process groups that run already: a watcher that replaces a killed
one knows them from its first moment. The supervisor holds the other end of standard input and writes ``+<group>`` when it
starts a process group and ``-<group>`` when that group is gone; nobody else has that end, so end of file means that the supervisor is dead,
however it died. Standard library only, so that it starts in a few milliseconds and needs no memory.
"""

import os
import signal
import sys
import time

GRACE_S = 3.0


def send(group: int, number: int) -> bool:
    """Whether the process group `group` still exists; it is sent the signal `number`."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def main() -> None:
    """Follow the supervisor's list of groups until it dies, then end what is left of them."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    groups = {int(group) for group in sys.argv[1:]}
    for line in sys.stdin:
        group = int(line[1:])
        if line[0] == "+":
            groups.add(group)
        else:
            groups.discard(group)
    groups = {group for group in groups if send(group, signal.SIGTERM)}
    deadline = time.monotonic() + GRACE_S
    while groups and time.monotonic() < deadline:
        time.sleep(0.05)
        groups = {group for group in groups if send(group, 0)}
    for group in groups:
        send(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
