"""Slippage of a backtest: a share of the range that was known before the fill, and what own fills came to."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.backtest.run import run_backtest
from components.backtest.slippage import slippage_from_fills
from components.bridge import Mailbox, TerminalFacts
from components.execution import Costs, PaperBroker, decision_arrays, market_of_bars, range_before, run_step
from components.fx import AccountSpec, BadInput, ExitKind, Refused, Report, Signal, instrument, validate_bars
from components.fx import book as b
from components.strategy import Decisions, Params, Strategy

EURUSD = instrument("EURUSD")
BUYER = Strategy("buyer", "buyer", "buys", Params, lambda bars, *_: Decisions(side=np.where(np.arange(len(bars)) == 20, 1, 0)), lambda _: 0)


def bars(rows: int = 60, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    close = np.round(1.1 + np.cumsum(rng.normal(0, 0.001, rows)), 5)
    opens = np.round(close + rng.normal(0, 0.0003, rows), 5)
    index = pd.date_range("2024-03-04", periods=rows, freq="h", tz="UTC")
    high, low = np.maximum(opens, close) + 0.0004, np.minimum(opens, close) - 0.0002
    return validate_bars(pd.DataFrame({"open": opens, "high": high, "low": low, "close": close}, index=index))


def test_the_range_before_a_bar_is_the_mean_of_the_true_ranges_of_the_bars_before_it() -> None:
    frame = bars()
    high, low, close = (frame[name].to_numpy() for name in ("high", "low", "close"))
    ours = range_before(high, low, close, 5)
    true = [high[0] - low[0]] + [max(high[t], close[t - 1]) - min(low[t], close[t - 1]) for t in range(1, len(frame))]
    assert ours[0] == 0.0
    for t in range(1, len(frame)):
        assert ours[t] == pytest.approx(math.fsum(true[max(0, t - 5) : t]) / min(t, 5), rel=1e-12)


def test_slippage_by_range_does_not_know_the_bar_in_which_it_fills() -> None:
    frame = bars()
    costs = Costs(spread_points=0, slippage_points=1, slippage_atr=0.1)
    slip = market_of_bars(frame, EURUSD, costs).slip
    changed = frame.copy()
    changed.loc[changed.index[30:], ["high"]] += 0.05
    assert (market_of_bars(changed, EURUSD, costs).slip[:31] == slip[:31]).all()
    assert (market_of_bars(changed, EURUSD, costs).slip[31:] != slip[31:]).any()
    cut = market_of_bars(frame.iloc[:40], EURUSD, costs).slip
    assert (cut == slip[:40]).all()


def test_a_fill_pays_the_fixed_part_and_the_share_of_the_range() -> None:
    frame = bars()
    trades = run_backtest(BUYER, None, frame, instrument=EURUSD, costs=Costs(spread_points=0, slippage_points=3, slippage_atr=0.2)).trades
    expected = frame["open"].iloc[21] + 3e-5 + 0.2 * range_before(*(frame[n].to_numpy() for n in ("high", "low", "close")), 14)[21]
    assert trades["entry_price"].iloc[0] == round(expected, 5)


def test_ticks_know_no_range_so_it_is_refused_there_by_name() -> None:
    with pytest.raises(BadInput, match="slippage_atr"):
        PaperBroker(AccountSpec(), [EURUSD], Costs(slippage_atr=0.1))


def test_a_market_that_brings_its_slippage_keeps_it_and_a_wrong_shape_is_refused() -> None:
    frame = validate_bars(pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), 1.1), index=bars(3).index))
    market, wishes = market_of_bars(frame, EURUSD, Costs(spread_points=0)), decision_arrays(Decisions(side=np.array([1, 0, 0])), 3)
    step = run_step(market._replace(slip=np.array([[0.0], [0.0007], [0.0]])), wishes, [EURUSD], AccountSpec(), costs=Costs(slippage_points=99))
    assert step.book.positions[0, 0, b.P_ENTRY] == pytest.approx(1.1007)
    with pytest.raises(BadInput, match=r"market\.slip"):
        run_step(market._replace(slip=np.zeros((2, 1))), wishes, [EURUSD], AccountSpec())


def mailbox_with(home: Path, fills: list[float], clock: str = "live") -> None:
    """Longs and shorts by turns that left at their stop, each `fills` points against the trader."""
    mailbox = Mailbox.open(home)
    mailbox.hello(TerminalFacts("1", "USD", 30.0, "hedging", True, clock))
    reports = []
    for i, points in enumerate(fills):
        side, ticket = (1 if i % 2 else -1), 100 + i
        opened = {"ticket": ticket, "position_ticket": ticket, "side": side, "lots": 0.1}
        reports.append(Report(f"o{i}", "1", "filled", 1_000 * i, "EURUSD", price=1.1, **opened))
        stop = 1.1 - side * 0.005
        reports.append(
            Report(
                f"c{i}", "1", "closed", 1_000 * i + 500, "EURUSD", price=round(stop - side * points * EURUSD.point, 5), level=stop,
                exit_kind=int(ExitKind.STOP), **opened,
            )
        )  # fmt: skip
        target = {**opened, "ticket": 1_000 + i, "position_ticket": 1_000 + i}
        reports.append(Report(f"p{i}", "1", "filled", 1_000 * i, "EURUSD", price=1.1, **target))
        reports.append(Report(f"t{i}", "1", "closed", 1_000 * i, "EURUSD", price=1.2, level=1.1, exit_kind=int(ExitKind.TARGET), **target))
    mailbox.record_reports(reports)
    mailbox.close()


def test_own_fills_give_the_median_and_the_ninetieth_percentile(tmp_path: Path) -> None:
    mailbox_with(tmp_path, [float(points) for points in range(-10, 31)])
    measured = slippage_from_fills(tmp_path, EURUSD)
    assert (measured.fills, measured.accounts) == (41, ("1",))
    assert (measured.median_points, measured.p90_points) == (pytest.approx(10.0), pytest.approx(26.0))
    assert (measured.best_points, measured.worst_points) == (pytest.approx(-10.0), pytest.approx(30.0))
    assert measured.costs(Costs(commission_per_lot=3.5)).slippage_points == pytest.approx(26.0)
    assert measured.costs(at="median").slippage_points == pytest.approx(10.0)


def test_fewer_than_thirty_fills_are_refused_and_never_taken_for_zero(tmp_path: Path) -> None:
    mailbox_with(tmp_path, [1.0] * 29)
    with pytest.raises(Refused, match="29 live fills of stop orders in EURUSD; 30 are needed") as refused:
        slippage_from_fills(tmp_path, EURUSD)
    assert refused.value.code == "too_few_fills"
    with pytest.raises(Refused, match="0 live fills"):
        slippage_from_fills(tmp_path, instrument("GBPUSD"))
    with pytest.raises(BadInput, match="fewest"):
        slippage_from_fills(tmp_path, EURUSD, fewest=5)


def test_fills_of_a_replayed_market_are_not_taken_for_own_ones(tmp_path: Path) -> None:
    mailbox_with(tmp_path, [2.0] * 40, clock="replay")
    with pytest.raises(Refused, match="0 live fills"):
        slippage_from_fills(tmp_path, EURUSD)
    assert slippage_from_fills(tmp_path, EURUSD, is_replay=True).median_points == pytest.approx(2.0)


def test_a_stop_entry_is_measured_against_its_trigger(tmp_path: Path) -> None:
    signal = Signal("s", "1", "d", "open", "EURUSD", 1, entry="stop", entry_price=1.1, lots=0.1)
    from components.backtest.slippage import _slippage
    from components.bridge import PositionChange

    class Known:
        """A mailbox that holds one signal."""

        def signal(self, _: str) -> object:
            return type("Stored", (), {"signal": signal})

    line = PositionChange(1, "1", 7, "opened", "s", 0, 0, "EURUSD", 1, 0.1, price=1.1004)
    assert _slippage(Known(), line, EURUSD) == pytest.approx(40.0)  # type: ignore[arg-type]


def test_a_gain_from_slippage_is_no_assumption() -> None:
    from components.backtest.slippage import FillSlippage

    lucky = FillSlippage("EURUSD", 40, -3.0, -1.0, 0.0, -9.0, ("1",), 0, 1)
    assert lucky.costs().slippage_points == 0.0
