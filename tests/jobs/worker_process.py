"""A real worker process for the tests: ``python worker_process.py HOME NAME [STALE_S]``. Its job kinds do simple things slowly."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from pathlib import Path

from components.jobs import JobStore, Progress, run_worker


def count_up(payload: dict, progress: Progress) -> dict:
    """Counts to ``steps``, keeps a checkpoint after every step and writes each step down in ``file``."""
    done = (progress.resumed_from or {"done": 0})["done"]
    for step in range(done, payload["steps"]):
        time.sleep(payload.get("pause_s", 0.05))
        with Path(payload["file"]).open("a") as file:
            file.write(f"{os.getpid()} {step}\n")
        progress((step + 1) / payload["steps"], f"step {step}", newest=step)
        progress.checkpoint({"done": step + 1})
    return {"done": payload["steps"], "resumed_at": done}


def note(payload: dict, progress: Progress) -> dict:
    """Writes one line, so that a test can count how often the job ran."""
    time.sleep(0.03)
    with Path(payload["file"]).open("a") as file:
        file.write(f"{os.getpid()} {payload['number']}\n")
    return {"number": payload["number"]}


def poison(payload: dict, progress: Progress) -> dict:
    """Ends its own process as kill -9 does, every time."""
    progress(0.25, "about to die")
    time.sleep(0.5)
    os.kill(os.getpid(), 9)
    return {}


def hold_lock(payload: dict, progress: Progress) -> dict:
    """Holds the interpreter's lock, as a compiled function without nogil does; no thread of this process can run meanwhile."""
    with Path(payload["file"]).open("a") as file:
        file.write(f"{os.getpid()}\n")
    ctypes.PyDLL(None).usleep(int(payload["seconds"] * 1e6))
    return {}


KINDS = {"count_up": count_up, "note": note, "poison": poison, "hold_lock": hold_lock}

if __name__ == "__main__":
    home, name, *rest = sys.argv[1:]
    print("ready", flush=True)
    run_worker(JobStore.open(Path(home)), KINDS, name=name, stop=threading.Event(), poll_s=0.05, stale_s=float(rest[0]) if rest else 1.0)
