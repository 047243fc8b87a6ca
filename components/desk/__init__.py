"""Deployments, live sessions, approval of signals, halt, and the twin that holds live against the step."""

from components.desk.process import run_desk
from components.desk.records import DecidedBar, Deployment, DeploymentSpec, StateChange, TradingState
from components.desk.seen import ChangedBar, SeenReport, compare_seen, seen_bars
from components.desk.session import Session
from components.desk.store import DeskStore
from components.desk.twin import Difference, TwinReport, twin_replay

__all__ = [
    "ChangedBar",
    "DecidedBar",
    "Deployment",
    "DeploymentSpec",
    "DeskStore",
    "Difference",
    "SeenReport",
    "Session",
    "StateChange",
    "TradingState",
    "TwinReport",
    "compare_seen",
    "run_desk",
    "seen_bars",
    "twin_replay",
]
