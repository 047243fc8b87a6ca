"""From the tick that closes a bar to a pending signal: over HTTP, with everything on disk, through the real API and desk processes.

    python -m benchmarks.tick_to_signal [--bars 400]

Prints one JSON line. The time runs from before the terminal signs its request until it has the API's answer that the desk has decided, so
it holds the tick's commit, the wake-up, the whole strategy over all bars, the checks and the signal's commit. `correct` says that every
signal and fill of the run equals the step over the same ticks.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

for name, value in {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1"}.items():
    os.environ.setdefault(name, value)
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from components.bridge import ApiClient, Mailbox, load_or_make_key  # noqa: E402
from components.desk import twin_replay  # noqa: E402
from components.fx import AccountSpec, instrument  # noqa: E402
from components.terminal import SimulatedTerminal  # noqa: E402
from tests.desk.live import Live, deploy  # noqa: E402

STRATEGY = "sma_cross"


class TimedTerminal(SimulatedTerminal):
    """Notes how long each bar-closing tick took to be decided on, in seconds, by the tick's time."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.seconds: dict[int, float] = {}

    def _post(self, path, start, end, *, sync=False):  # type: ignore[no-untyped-def]
        began = time.perf_counter()
        super()._post(path, start, end, sync=sync)
        if sync:
            self.seconds[int(path.time_ms[start])] = time.perf_counter() - began


def measure(bars: int) -> dict[str, object]:
    """Replay `bars` bars and sum up."""
    with tempfile.TemporaryDirectory() as folder:
        live = Live(Path(folder))
        ids, path = deploy(live, [STRATEGY], bars)
        live.start("api")
        live.start("desk")
        try:
            live.wait_ready()
            terminal = TimedTerminal(
                live.home, ApiClient(live.url, load_or_make_key(live.home)), f"sim-{STRATEGY}", AccountSpec(), instrument("EURUSD")
            )
            terminal.connect(path)
            terminal.replay(path, threading.Event())
            mailbox = Mailbox.open(live.home)
            signalled = {stored.signal.created_ms for stored in mailbox.signals(deployment_id=ids[STRATEGY], limit=100_000)}
            mailbox.close()
            report = twin_replay(live.home, ids[STRATEGY])
        finally:
            live.stop()
    with_signal = [seconds for at, seconds in terminal.seconds.items() if at in signalled]
    without = [seconds for at, seconds in terminal.seconds.items() if at not in signalled]
    return {
        "benchmark": "tick_to_signal",
        "strategy": STRATEGY,
        "bars": bars,
        "history_bars": 5_000 - bars,
        "bars_with_a_signal": len(with_signal),
        "median_ms_with_a_signal": round(statistics.median(with_signal) * 1000, 2),
        "p95_ms_with_a_signal": round(statistics.quantiles(with_signal, n=20)[-1] * 1000, 2),
        "median_ms_without": round(statistics.median(without) * 1000, 2),
        "signals": report.signals_live,
        "correct": report.is_equal,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--bars", type=int, default=400)
    print(json.dumps(measure(parser.parse_args().bars)), flush=True)
