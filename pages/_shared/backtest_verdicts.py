"""Verdicts and findings of kept runs, remembered until there are new tries or studies that could change them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from components.backtest import Finding, Slice, StoredRun, Study, Verdict, diagnose, evidence_of, leaderboard, run_slices, verdict
from components.fx import PlatformError
from pages._shared import stores

COLOURS = {"believable": "green", "doubtful": "orange", "not believable": "red"}
SHADES = {"believable": "#3df08a", "doubtful": "#ffb000", "not believable": "#ff7b7b"}
ICONS = {"believable": ":material/verified:", "doubtful": ":material/help:", "not believable": ":material/dangerous:"}
RECENT_STUDIES = 200
AT_ONCE_S = 4.0


def recent_studies() -> list[Study]:
    """The newest studies of any kind; read once for many verdicts."""
    return stores.backtests().studies.studies(limit=RECENT_STUDIES)


def state_of(run: StoredRun, studies: Sequence[Study]) -> tuple[Any, ...]:
    """What a verdict on a run depends on beside the run: how often its strategy was tried, and the studies of it."""
    about = [one for one in studies if one.run_id == run.id or (one.strategy, one.bar_set_id) == (run.strategy, run.bar_set_id)]
    return stores.ledger().count(run.strategy), tuple((one.id, one.finished_ms) for one in about)


def verdict_of(run: StoredRun, studies: Sequence[Study] | None = None) -> Verdict:
    """What to think of a run."""
    return _verdict(str(stores.home()), run.id, state_of(run, recent_studies() if studies is None else studies))


def findings_of(run: StoredRun) -> list[Finding]:
    """What the diagnosis of a run found, the worst first."""
    return _findings(str(stores.home()), run.id, state_of(run, recent_studies()))


def slices_of(run: StoredRun) -> list[Slice]:
    """A run by crisis, regime, session, weekday, hour and month."""
    return _slices(str(stores.home()), run.id)


def board(limit: int) -> list[dict[str, Any]]:
    """The newest runs, the most credible first."""
    studies = recent_studies()
    newest = stores.backtests().runs(1)
    state = (newest[0].id if newest else "", stores.ledger().count(), tuple((one.id, one.finished_ms) for one in studies))
    return _board(str(stores.home()), limit, state)


def verdicts_within(runs: Sequence[StoredRun], at_once_s: float = AT_ONCE_S) -> dict[str, Verdict]:
    """Verdicts by run id, as many as can be had in a few seconds; those that are remembered come at once."""
    began, studies = time.monotonic(), recent_studies()
    found: dict[str, Verdict] = {}
    for run in runs:
        if time.monotonic() - began > at_once_s:
            break
        try:
            found[run.id] = verdict_of(run, studies)
        except PlatformError:
            continue  # its files are gone: the row stands without a verdict, its own page says why
    return found


@st.cache_data(show_spinner=False, max_entries=2_000)
def _verdict(home: str, run_id: str, state: tuple[Any, ...]) -> Verdict:
    return verdict(Path(home), run_id)


@st.cache_data(show_spinner="looking for what is wrong with it …", max_entries=50)
def _findings(home: str, run_id: str, state: tuple[Any, ...]) -> list[Finding]:
    return diagnose(evidence_of(Path(home), run_id))


@st.cache_data(show_spinner="cutting it into crises and regimes …", max_entries=50)
def _slices(home: str, run_id: str) -> list[Slice]:
    return run_slices(Path(home), run_id)


@st.cache_data(show_spinner="counting the tries …", max_entries=20)
def _board(home: str, limit: int, state: tuple[Any, ...]) -> list[dict[str, Any]]:
    return leaderboard(Path(home), limit)
