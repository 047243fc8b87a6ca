"""What holds for every formula of the catalogue, whoever wrote it; and formulas with a planted fault, each of which a check must catch."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.features import catalogue, formulas
from components.features.catalogue import indicator_formulas
from components.features.columns import Column, bar_matrix
from components.features.formula import CLOSE, Floats, Formula, Ints
from components.fx import validate_bars
from tests.features.kernel_runs import bound, flat, in_blocks, whole, wild

FEATURES = [formula for formula in formulas() if not formula.needs & {"others", "news"}]
EVERY = [*FEATURES, *indicator_formulas()]
STARTS = (37, 500, 1111, 3000)
Check = Callable[[Formula, pd.DataFrame], None]


def known(formula: Formula, bars: pd.DataFrame) -> Floats:
    """Values behind the warm-up."""
    return whole(formula, bars)[formula.warmup(*formula.periods) :]


def the_warm_up_is_exact(formula: Formula, bars: pd.DataFrame) -> None:
    """As many first rows are NaN as the formula says; a windowed kernel itself knows no earlier one."""
    data, open_ms = bar_matrix(bars)
    column = Column.of(formula.named(), formula, formula.periods)
    out = np.full(len(bars), 7.0)
    column.fill(data, open_ms, 0, 0, len(bars), np.zeros(column.state_size), out)
    assert np.isnan(out[: column.warmup]).all()
    assert np.isfinite(out[column.warmup :]).all()
    if not formula.is_recursive:
        assert np.isnan(whole(formula, bars)[: column.warmup]).all()


def values_keep_their_bounds(formula: Formula, bars: pd.DataFrame) -> None:
    """On real bars, and on ones that jump, stand still and trade nothing."""
    low, high = bound(formula.low, formula.periods), bound(formula.high, formula.periods)
    assert low < high
    for frame in (bars, wild()):
        values = known(formula, frame)
        assert np.isfinite(values).all()
        assert low <= values.min()
        assert values.max() <= high


def a_market_that_never_moves_gives_numbers(formula: Formula, bars: pd.DataFrame) -> None:
    """One price for ever, and one price after real bars, long enough for every average to die away."""
    quiet = bars.iloc[:600].copy()
    quiet.loc[quiet.index[300] :, ["open", "high", "low", "close"]] = quiet["close"].iloc[299]
    quiet.loc[quiet.index[300] :, "volume"] = 0.0
    low, high = bound(formula.low, formula.periods), bound(formula.high, formula.periods)
    for frame in (flat(), quiet):
        values = known(formula, frame)
        assert np.isfinite(values).all()
        assert ((values >= low) & (values <= high)).all()
        assert len(values) == 0 or np.abs(values).max() < 1e6


def one_bar_at_a_time_gives_the_same_bits(formula: Formula, bars: pd.DataFrame) -> None:
    """From a buffer that holds the new bar and `lookback` ones before it."""
    rows = formula.warmup(*formula.periods) + 200
    np.testing.assert_array_equal(in_blocks(formula, bars.iloc[:rows], list(range(1, rows + 1))), whole(formula, bars)[:rows])


def block_by_block_gives_the_same_bits(formula: Formula, bars: pd.DataFrame) -> None:
    """Blocks of every size, from one row to thousands."""
    cuts = sorted({1, 2, 3, *np.random.default_rng(7).integers(1, len(bars), 25).tolist(), len(bars)})
    np.testing.assert_array_equal(in_blocks(formula, bars, cuts), whole(formula, bars))


def later_bars_change_nothing(formula: Formula, bars: pd.DataFrame) -> None:
    """The history cut off, and the history with another future."""
    values = whole(formula, bars)
    for cut in (1, 2, 100, 777, len(bars) - 1):
        np.testing.assert_array_equal(whole(formula, bars.iloc[:cut]), values[:cut])
        other = bars.copy()
        other.iloc[cut:, :4] *= 1.25
        np.testing.assert_array_equal(whole(formula, other)[:cut], values[:cut])


def the_start_is_forgotten(formula: Formula, bars: pd.DataFrame) -> None:
    """Behind the warm-up: a windowed formula to the last bit, a recursive one to a millionth of the spread of its values."""
    values, warmup = whole(formula, bars), formula.warmup(*formula.periods)
    for start in STARTS:
        later, same = whole(formula, bars.iloc[start:])[warmup:], values[start + warmup :]
        if formula.is_recursive:
            assert np.abs(later - same).max() <= 1e-6 * np.nanstd(values)
        else:
            np.testing.assert_array_equal(later, same)


CHECKS: tuple[Check, ...] = (
    the_warm_up_is_exact,
    values_keep_their_bounds,
    a_market_that_never_moves_gives_numbers,
    one_bar_at_a_time_gives_the_same_bits,
    block_by_block_gives_the_same_bits,
    later_bars_change_nothing,
)


def name_of(item: object) -> str:
    """A test's name for a formula or a check."""
    if isinstance(item, Formula):
        return f"{item.family}-{item.named()}"
    return str(getattr(item, "__name__", item))


@pytest.mark.parametrize("formula", EVERY, ids=name_of)
@pytest.mark.parametrize("check", CHECKS, ids=name_of)
def test_of_every_formula(check: Check, formula: Formula, bars: pd.DataFrame) -> None:
    check(formula, bars)


# A price-level indicator's warm-up ends where a value is defined, long before a recursive one has forgotten its first bar.
@pytest.mark.parametrize("formula", [one for one in EVERY if one.family != "indicator" or not one.is_recursive], ids=name_of)
def test_of_every_formula_the_start_is_forgotten(formula: Formula, bars: pd.DataFrame) -> None:
    the_start_is_forgotten(formula, bars)


@pytest.mark.slow
@pytest.mark.parametrize("symbol", ["EURUSD", "USDJPY", "XAUUSD"])
def test_a_year_of_real_minutes_keeps_every_bound_and_forgets_every_start(symbol: str, realdata: Path) -> None:
    bars = real_minutes(realdata / "histdata" / f"HISTDATA_COM_ASCII_{symbol}_M12018.zip")
    data, open_ms = bar_matrix(bars)
    out, starts = np.empty(len(bars)), range(5_000, len(bars) - 20_000, 40_009)
    for formula in FEATURES:
        column = Column.of(formula.named(), formula, formula.periods)
        column.fill(data, open_ms, 0, 0, len(bars), np.zeros(column.state_size), out)
        values, low, high = out[column.warmup :], bound(formula.low, formula.periods), bound(formula.high, formula.periods)
        assert np.isfinite(values).all(), formula.named()
        assert low <= values.min() <= values.max() <= high, (formula.named(), values.min(), values.max())
        spread = values.std()
        for start in starts if formula.is_recursive else ():
            rows = column.warmup + 1_000
            later = np.empty(rows)
            part = np.ascontiguousarray(data[:, start : start + rows])
            column.fill(part, open_ms[start : start + rows].copy(), 0, 0, rows, np.zeros(column.state_size), later)
            apart = np.abs(later[column.warmup :] - out[start + column.warmup : start + rows]).max()
            assert apart <= 1e-6 * spread, (formula.named(), start)


def real_minutes(path: Path) -> pd.DataFrame:
    """HistData's year of minutes; a spread is made up, the volume is 0 as delivered."""
    with zipfile.ZipFile(path) as archive:
        inside = next(name for name in archive.namelist() if name.endswith(".csv"))
        frame = pd.read_csv(archive.open(inside), sep=";", header=None, names=["at", "open", "high", "low", "close", "volume"])
    index = pd.DatetimeIndex(pd.to_datetime(frame.pop("at"), format="%Y%m%d %H%M%S", utc=True))
    frame = frame.set_axis(index)[~index.duplicated()].sort_index()
    return validate_bars(frame.assign(spread_points=3.0))


def test_there_are_well_over_eighty_distinct_formulas_each_described() -> None:
    entries = catalogue()
    assert len(formulas()) >= 150
    assert len({formula.named() for formula in formulas()}) == len(formulas())
    assert len({entry.name for entry in entries}) == len(entries) >= len(formulas())
    assert len({(formula.family, formula.text) for formula in formulas()}) == len(formulas())
    assert all(entry.source and entry.formula and entry.low < entry.high and entry.warmup_bars >= 0 for entry in entries)
    families = {entry.family for entry in entries}
    assert {"return", "volatility", "momentum", "trend", "reversion", "volume", "statistics", "bar", "candlestick", "session"} <= families


def test_other_periods_than_the_catalogued_ones_work_as_well(bars: pd.DataFrame) -> None:
    short = bars.iloc[:1500]
    for formula in EVERY:
        least = [formula.least[place] if place < len(formula.least) else 2 for place in range(len(formula.periods))]
        for periods in {tuple(least), tuple(max(low, 2 * usual // 3) for low, usual in zip(least, formula.periods, strict=True))}:
            warmup = formula.warmup(*periods)
            values = whole(formula, short, periods)
            assert np.isfinite(values[warmup:]).all(), (formula.name, periods)
            np.testing.assert_array_equal(in_blocks(formula, short, [1, 5, 700, 701, 1500], periods), values, err_msg=f"{formula.name} {periods}")


# Planted faults. Each is a formula that looks right; the check named beside it must refuse it.


def peeks(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    close = data[CLOSE]
    for t in range(start, stop):
        out[t] = close[min(t + 1, len(close) - 1)] / close[t] - 1


def forgets_its_state(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    mean = state[0] if origin + start else data[CLOSE, 0]
    for t in range(start, stop):
        mean += (data[CLOSE, t] - mean) / 10
        out[t] = data[CLOSE, t] / mean - 1
    if start == 0:
        state[0] = mean


def sums_on_and_on(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period = int(params[0])
    for t in range(start, stop):
        state[0] += data[CLOSE, t] - (data[CLOSE, t - period] if t >= period else 0.0)
        out[t] = data[CLOSE, t] / (state[0] / period) - 1 if origin + t >= period - 1 else np.nan


def mean_of(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    period = int(params[0])
    for t in range(start, stop):
        out[t] = data[CLOSE, t] / data[CLOSE, t - period + 1 : t + 1].mean() - 1 if t >= period - 1 else np.nan


def unguarded(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        with np.errstate(all="ignore"):
            window = data[CLOSE, max(t - 19, 0) : t + 1]
            out[t] = (data[CLOSE, t] - window.min()) / (window.max() - window.min()) if t >= 19 else np.nan


def knows_the_whole_sample(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    out[start:stop] = data[CLOSE, start:stop] / data[CLOSE].mean() - 1


def remembers_too_long(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    if origin + start == 0:
        state[0] = data[CLOSE, 0]
    for t in range(start, stop):
        state[0] += (data[CLOSE, t] - state[0]) / 500
        out[t] = data[CLOSE, t] / state[0] - 1


SOUND = Formula("sound", "planted", "nobody", "C / mean(C, {0}) − 1", mean_of, (20,), warmup=lambda n: n - 1, lookback=lambda n: n - 1)
RECURSIVE = replace(SOUND, is_recursive=True, state_size=lambda n: 1, lookback=lambda n: n, warmup=lambda n: 10 * n)
PLANTED: tuple[tuple[str, Formula, Check], ...] = (
    ("one bar of look-ahead", replace(SOUND, kernel=peeks, warmup=lambda n: 0), later_bars_change_nothing),
    ("one bar of look-ahead, live", replace(SOUND, kernel=peeks, warmup=lambda n: 0), one_bar_at_a_time_gives_the_same_bits),
    ("state that is not kept", replace(RECURSIVE, kernel=forgets_its_state), block_by_block_gives_the_same_bits),
    ("state that is not kept, live", replace(RECURSIVE, kernel=forgets_its_state), one_bar_at_a_time_gives_the_same_bits),
    ("a running sum", replace(SOUND, kernel=sums_on_and_on, state_size=lambda n: 1, lookback=lambda n: n), the_start_is_forgotten),
    ("a lookback that is too short", replace(SOUND, lookback=lambda n: n - 2), one_bar_at_a_time_gives_the_same_bits),
    ("a warm-up that is too short", replace(SOUND, warmup=lambda n: n - 2), the_warm_up_is_exact),
    ("a warm-up that is too long", replace(SOUND, warmup=lambda n: n), the_warm_up_is_exact),
    ("division by a range of nothing", replace(SOUND, kernel=unguarded, lookback=lambda n: 19), a_market_that_never_moves_gives_numbers),
    ("a bound that is too narrow", replace(SOUND, high=0.0), values_keep_their_bounds),
    ("a mean of the whole sample", replace(SOUND, kernel=knows_the_whole_sample, warmup=lambda n: 0), later_bars_change_nothing),
    ("a warm-up before the start is forgotten", replace(RECURSIVE, kernel=remembers_too_long), the_start_is_forgotten),
)


@pytest.mark.parametrize(("fault", "formula", "check"), PLANTED, ids=[fault for fault, _, _ in PLANTED])
def test_a_planted_fault_is_caught(fault: str, formula: Formula, check: Check, bars: pd.DataFrame) -> None:
    with pytest.raises(AssertionError):
        check(formula, bars)


def test_the_sound_formula_that_the_faults_are_planted_in_passes_every_check(bars: pd.DataFrame) -> None:
    for check in (*CHECKS, the_start_is_forgotten):
        check(SOUND, bars)
