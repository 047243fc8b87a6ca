"""What clock the files of a bar set carry, and what a terminal says to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.bridge import BarStore
from components.fx import NotFound, Timeframe
from components.pipeline import BarSet, Request, bar_set_clocks, resample_bar_set
from components.pipeline.collect import collect_series
from components.pipeline.store import PipelineStore
from tests.pipeline.lookalikes import HOUR, bars_at, ms, mt5_bars, trading_ms, wall_clock


def exported(home: Path, folder: Path, winter_minutes: int, rule: str) -> BarSet:
    """Two years of a broker's hourly bars, as it exports them, collected."""
    bars = bars_at(trading_ms("2022-01-03", "2024-01-01", 60))
    folder.mkdir(exist_ok=True)
    path = folder / "EURUSD_H1.csv"
    path.write_text(mt5_bars(wall_clock(bars.utc_ms, winter_minutes, rule), bars))
    made = collect_series(home, "mt5_csv", Request("EURUSD", "H1", options={"path": str(path)})).bar_set
    assert made is not None
    return made


@pytest.fixture
def athens(home: Path, tmp_path: Path) -> BarSet:
    """A broker in UTC+2 with America's summer time."""
    return exported(home, tmp_path / "files", 120, "us")


def told(home: Path, account: str, offset_hours: int, at: str) -> None:
    """A terminal tells its clock with a bar."""
    store = BarStore.open(home)
    at_ms = ms(at)
    store.post(account, "EURUSD", Timeframe.H1, [(at_ms, 1.1, 1.2, 1.0, 1.1, 5.0, 2.0)], offset_hours * HOUR)
    store.close()


def test_the_clock_of_every_file_is_told_with_how_it_was_found(home: Path, athens: BarSet) -> None:
    (clock,) = bar_set_clocks(home, athens.id)
    assert (clock.key, clock.rule, clock.winter_minutes, clock.summer_minutes) == ("EURUSD_H1.csv", "us", 120, 180)
    assert clock.confidence > 0.9
    assert not clock.is_ambiguous
    assert clock.decided_by
    assert clock.terminal == ""


def test_what_was_made_of_it_has_its_clock_too(home: Path, athens: BarSet) -> None:
    longer = resample_bar_set(home, athens.id, "H4")
    assert bar_set_clocks(home, longer.id) == bar_set_clocks(home, athens.id)
    assert bar_set_clocks(home, resample_bar_set(home, longer.id, "D1").id) == bar_set_clocks(home, athens.id)


def test_bars_that_came_in_utc_have_no_clock_to_tell(home: Path, bar_set: BarSet) -> None:
    assert bar_set_clocks(home, bar_set.id) == []
    longer = resample_bar_set(home, bar_set.id, "H4")
    PipelineStore.open(home).delete_bar_set(bar_set.id)
    assert bar_set_clocks(home, longer.id) == [], "its parent is gone"


def test_a_terminal_agrees_or_contradicts_in_words(home: Path, athens: BarSet) -> None:
    told(home, "right", 3, "2023-07-05T10:00")
    told(home, "wrong", 1, "2023-07-05T10:00")
    (right,) = bar_set_clocks(home, athens.id, "right")
    (wrong,) = bar_set_clocks(home, athens.id, "wrong")
    assert right.terminal
    assert wrong.terminal
    assert right.terminal != wrong.terminal


def test_unknown_sets_and_accounts_are_not_found(home: Path, athens: BarSet) -> None:
    with pytest.raises(NotFound, match="there is no bar set 'nothing'"):
        bar_set_clocks(home, "nothing")
    with pytest.raises(NotFound, match="no terminal of account 'nobody' has told its clock yet"):
        bar_set_clocks(home, athens.id, "nobody")
