"""Deployments, live sessions, approval of signals, halt, and the twin that holds live against the step."""

from components.desk.process import run_desk
from components.desk.records import DecidedBar, Deployment, DeploymentSpec, StateChange, TradingState
from components.desk.session import Session
from components.desk.store import DeskStore
from components.desk.twin import Difference, TwinReport, twin_replay

__all__ = [
    "DecidedBar",
    "Deployment",
    "DeploymentSpec",
    "DeskStore",
    "Difference",
    "Session",
    "StateChange",
    "TradingState",
    "TwinReport",
    "run_desk",
    "twin_replay",
]
