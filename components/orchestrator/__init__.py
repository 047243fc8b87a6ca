"""Processes, first data, job kinds and the command line: the room that puts the others to work.

The names are loaded when they are first used, so that `sequence --help` does not wait for rooms that it does not need.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from components.orchestrator.cli import main
    from components.orchestrator.first_data import FIRST_DATA_STEPS, has_first_data, load_first_data
    from components.orchestrator.kinds import job_functions, parsed
    from components.orchestrator.leftovers import supervisor_pid
    from components.orchestrator.process import ProcessSpec
    from components.orchestrator.start import migrate_stores, run_platform
    from components.orchestrator.store import PlatformStore, ProcessEvent, ProcessState, Step
    from components.orchestrator.supervise import Supervisor

_PLACES = {
    "main": "cli",
    "FIRST_DATA_STEPS": "first_data",
    "has_first_data": "first_data",
    "load_first_data": "first_data",
    "job_functions": "kinds",
    "parsed": "kinds",
    "supervisor_pid": "leftovers",
    "migrate_stores": "start",
    "run_platform": "start",
    "ProcessSpec": "process",
    "PlatformStore": "store",
    "ProcessEvent": "store",
    "ProcessState": "store",
    "Step": "store",
    "Supervisor": "supervise",
}

__all__ = [
    "FIRST_DATA_STEPS",
    "PlatformStore",
    "ProcessEvent",
    "ProcessSpec",
    "ProcessState",
    "Step",
    "Supervisor",
    "has_first_data",
    "job_functions",
    "load_first_data",
    "main",
    "migrate_stores",
    "parsed",
    "run_platform",
    "supervisor_pid",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
