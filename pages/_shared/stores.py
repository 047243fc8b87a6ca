"""The rooms' stores of this dashboard, opened once per home. Opening makes a missing store; nothing else here writes."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from components.base import load_settings

if TYPE_CHECKING:
    from components.backtest import BacktestStore
    from components.bridge import Mailbox, TickStore
    from components.desk import DeskStore
    from components.jobs import JobStore
    from components.ledger import TrialLedger
    from components.models import ModelStore
    from components.orchestrator import PlatformStore
    from components.pipeline import PipelineStore


def home() -> Path:
    """The folder of every database and artefact."""
    return load_settings().home


@st.cache_resource(show_spinner=False)
def _open(home_text: str, room: str, store: str) -> Any:
    return getattr(import_module(f"components.{room}"), store).open(Path(home_text))


def pipeline() -> PipelineStore:
    """Bar sets and datasets."""
    return _open(str(home()), "pipeline", "PipelineStore")


def jobs() -> JobStore:
    """The job queue and the hardware readings."""
    return _open(str(home()), "jobs", "JobStore")


def models() -> ModelStore:
    """The model registry."""
    return _open(str(home()), "models", "ModelStore")


def ledger() -> TrialLedger:
    """The trial ledger."""
    return _open(str(home()), "ledger", "TrialLedger")


def backtests() -> BacktestStore:
    """Stored backtest runs and comparisons."""
    return _open(str(home()), "backtest", "BacktestStore")


def mailbox() -> Mailbox:
    """Signals, positions, accounts and terminals."""
    return _open(str(home()), "bridge", "Mailbox")


def ticks() -> TickStore:
    """Ticks by account and symbol."""
    return _open(str(home()), "bridge", "TickStore")


def desk() -> DeskStore:
    """Deployments and the trading state."""
    return _open(str(home()), "desk", "DeskStore")


def platform() -> PlatformStore:
    """Processes and what happened to them."""
    return _open(str(home()), "orchestrator", "PlatformStore")
