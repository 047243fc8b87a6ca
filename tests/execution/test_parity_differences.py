"""Where the step differs from backtesting.py on purpose, one by one: both sides are run, and each test shows what each of them does.

The numbers are those of docs/decisions/012-where-the-step-differs-from-backtesting-py.md.
"""

# mypy: disable-error-code="misc,no-untyped-def,attr-defined"
from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from backtesting import Strategy as Theirs
from natives import run_native

from components.backtest import Result, run_backtest, run_reference
from components.execution import Costs
from components.fx import AccountSpec, Instrument, OrderKind, instrument
from components.risk import Limits, Sizing
from components.strategy import Decisions, Params, Strategy

EURUSD: Instrument = instrument("EURUSD")
ACCOUNT = AccountSpec("USD", 10_000.0, 30.0)
RULES: dict[str, Any] = {"instrument": EURUSD, "limits": Limits(max_risk_fraction=1.0), "costs": Costs(spread_points=0.0)}


class NoParams(Params):
    """None."""


def bars_of(*rows: tuple[float, float, float, float]) -> pd.DataFrame:
    """Hourly bars from open, high, low, close."""
    index = pd.date_range("2024-03-04", periods=len(rows), freq="h", tz="UTC", name="open_time")
    return pd.DataFrame(rows, columns=["open", "high", "low", "close"], index=index).assign(volume=0.0)


def ours(
    bars: pd.DataFrame, decisions: Decisions, lots: float = 0.1, account: AccountSpec = ACCOUNT, policy: str = "reference", places: int = 1
) -> Result:
    """Our run of given decisions, with fixed lots."""
    item = Strategy("fixed", "Fixed", "Given decisions.", NoParams, lambda bars, context, params: decisions, lambda p: 0)
    return run_backtest(item, None, bars, account=account, sizing=Sizing(mode="fixed", fixed_lots=lots, max_positions=places), policy=policy, **RULES)


def at(rows: int, **cells: tuple[int, float]) -> dict[str, np.ndarray]:
    """Columns that hold one value each, at one row; `side` elsewhere 0, prices elsewhere NaN."""
    columns = {}
    for name, (row, value) in cells.items():
        columns[name] = np.zeros(rows) if name in ("side", "exit", "entry") else np.full(rows, np.nan)
        columns[name][row] = value
    return columns


def asking(row: int, ask: Any) -> type:
    """A strategy of backtesting.py that does one thing, at the close of one bar."""

    class Asking(Theirs):
        def init(self):
            """Nothing."""

        def next(self):
            if len(self.data) - 1 == row:
                ask(self)

    return Asking


FLAT = (1.1, 1.101, 1.099, 1.1)
RISING = bars_of(FLAT, FLAT, (1.1, 1.102, 1.1, 1.102), (1.102, 1.106, 1.102, 1.105), (1.105, 1.11, 1.104, 1.109))


def test_1_what_is_open_at_the_end_is_valued_at_the_last_close_and_not_closed_at_the_last_open() -> None:
    theirs = run_native(asking(1, lambda s: s.buy(size=10_000)), RISING, ACCOUNT, finalize_trades=True)["_trades"].iloc[0]
    mine = ours(RISING, Decisions(**at(5, side=(1, 1)))).trades.iloc[0]
    assert (theirs["ExitBar"], theirs["ExitPrice"]) == (4, 1.105), "backtesting.py goes through the last bar once more, at its open"
    assert (mine["exit"], mine["exit_bar"], mine["exit_price"]) == ("end_of_data", 4, 1.109)


def test_2_when_equity_is_gone_every_position_is_closed_and_not_every_second() -> None:
    bars = bars_of(*[FLAT] * 6, (1.1, 1.1, 0.9, 0.95), (0.95, 0.96, 0.94, 0.95))
    account = AccountSpec("USD", 1_000.0, 500.0)

    class Buying(Theirs):
        def init(self):
            """Nothing."""

        def next(self):
            if len(self.trades) + len(self.orders) < 4:
                self.buy(size=5_000)

    theirs = run_native(Buying, bars, account)
    mine = ours(bars, Decisions(side=1), lots=0.05, account=account, places=4)
    assert len(theirs["_trades"]) == 2, "it takes trades out of the list that it walks through"
    assert mine.trades["exit"].tolist() == ["stop_out"] * 4
    assert set(mine.trades["exit_price"]) == set(theirs["_trades"]["ExitPrice"]) == {0.95}
    np.testing.assert_array_equal(mine.equity.to_numpy()[1:], theirs["_equity_curve"]["Equity"].to_numpy()[1:])
    assert mine.equity.iloc[-1] == 0.0


def test_3_a_bracket_of_no_width_is_a_refused_order_and_not_an_exception() -> None:
    def ask(strategy: Any) -> None:
        price = strategy.data.Close[-1]
        strategy.buy(size=10_000, sl=price, tp=price)

    with pytest.raises(ValueError, match="Long orders require"):
        run_native(asking(1, ask), RISING, ACCOUNT)
    result = ours(RISING, Decisions(**at(5, side=(1, 1), stop=(1, 1.1), target=(1, 1.1))))
    assert len(result.trades) == 0
    assert result.stats["refused"] == {"invalid_stops": 1}


def test_4_a_wish_is_acted_on_from_the_second_bar_on_whatever_the_indicators_and_under_mt5_from_the_first() -> None:
    class Waiting(Theirs):
        def init(self):
            self.slow = self.I(lambda close: pd.Series(close).rolling(4).mean().to_numpy(), self.data.Close)

        def next(self):
            if not self.position and not self.orders:
                self.buy(size=10_000)

    theirs = run_native(Waiting, RISING, ACCOUNT, finalize_trades=True)
    assert len(theirs["_trades"]) == 0, "it first asks a bar after every indicator is whole: here the last one"
    everywhere = Decisions(side=1)
    assert ours(RISING, everywhere).trades["entry_bar"].tolist() == [2]
    assert ours(RISING, everywhere, policy="mt5").trades["entry_bar"].tolist() == [1]


def test_5_a_size_is_fixed_at_the_decision_and_not_a_share_of_the_margin_at_the_fill() -> None:
    bars = bars_of(FLAT, FLAT, (1.21, 1.22, 1.2, 1.21), (1.21, 1.22, 1.2, 1.21))
    theirs = run_native(asking(1, lambda s: s.buy(size=0.5)), bars, ACCOUNT, finalize_trades=True)["_trades"]
    assert theirs["Size"].tolist() == [10_000 * 30 * 0.5 // 1.21], "it sizes at the next open, which the decision could not know"
    item = Strategy("fixed", "Fixed", "Given.", NoParams, lambda bars, context, params: Decisions(**at(4, side=(1, 1), stop=(1, 1.05))), lambda p: 0)
    mine = run_backtest(item, None, bars, account=ACCOUNT, sizing=Sizing(risk_fraction=0.05), policy="reference", **RULES).trades
    assert mine["lots"].tolist() == [0.1], "500 of equity over 5 cents, whatever the open is"


def test_6_margin_is_asked_at_the_price_of_the_fill_under_mt5_and_with_the_close_of_that_bar_under_reference() -> None:
    # The first long is worth little at the open of bar 3 and much at its close: backtesting.py lets the second one in because of that close.
    bars = bars_of(FLAT, FLAT, (1.1, 1.101, 1.099, 1.1), (1.1, 1.2, 1.1, 1.2), (1.2, 1.201, 1.199, 1.2))
    account = AccountSpec("USD", 5_000.0, 30.0)
    wishes = Decisions(side=np.array([0, 1, 1, 0, 0]))
    lots = 0.75

    class Twice(Theirs):
        def init(self):
            """Nothing."""

        def next(self):
            if len(self.data) - 1 in (1, 2):
                self.buy(size=75_000)

    theirs = run_native(Twice, bars, account)["_strategy"]._broker.trades
    reference, mt5 = (ours(bars, wishes, lots, account, policy, places=2) for policy in ("reference", "mt5"))
    assert [trade.entry_bar for trade in theirs] == reference.trades["entry_bar"].tolist() == [2, 3]
    assert mt5.trades["entry_bar"].tolist() == [2]
    assert mt5.stats["refused"] == {"no_margin": 1}


def test_7_a_stop_entry_meets_its_own_stop_in_its_own_bar_under_mt5_and_a_bar_later_under_reference() -> None:
    bars = bars_of(FLAT, FLAT, (1.1, 1.104, 1.09, 1.1), (1.1, 1.101, 1.099, 1.1), (1.1, 1.101, 1.09, 1.095))
    columns = at(5, side=(1, 1), entry=(1, int(OrderKind.STOP)), entry_price=(1, 1.102), stop=(1, 1.095))
    theirs = run_native(asking(1, lambda s: s.buy(size=10_000, stop=1.102, sl=1.095)), bars, ACCOUNT)["_trades"]
    reference, mt5 = (ours(bars, Decisions(**columns), policy=policy) for policy in ("reference", "mt5"))
    assert theirs["ExitBar"].tolist() == reference.trades["exit_bar"].tolist() == [4]
    assert mt5.trades["exit_bar"].tolist() == [2]
    assert mt5.stats["ambiguous_bars"] == 1, "and the bar is counted: the low may have come before the entry"


def test_8_a_commission_is_an_amount_per_lot_and_the_spread_is_in_points_of_every_bar() -> None:
    theirs = run_native(asking(1, lambda s: s.buy(size=10_000)), RISING, ACCOUNT, spread=0.001, finalize_trades=True)["_trades"].iloc[0]
    assert theirs["EntryPrice"] == pytest.approx(1.1 * 1.001), "its spread is a share of the price, and shorts pay it too, at the entry"
    wish = Decisions(**at(5, side=(1, 1)))
    item = Strategy("fixed", "Fixed", "Given.", NoParams, lambda bars, context, params: wish, lambda p: 0)
    options = RULES | {"costs": Costs(spread_points=20.0, commission_per_lot=3.0), "sizing": Sizing(mode="fixed", fixed_lots=0.1), "account": ACCOUNT}
    reference, mt5 = (run_backtest(item, None, RISING, policy=policy, **options) for policy in ("reference", "mt5"))
    assert reference.trades["entry_price"].tolist() == [1.1], "reference knows one price"
    assert mt5.trades["entry_price"].tolist() == [1.1002]
    charged = run_reference(
        RISING, wish, instrument=EURUSD, account=ACCOUNT, sizing=options["sizing"], limits=options["limits"], commission_per_lot=3.0
    )
    assert reference.equity.iloc[-1] == pytest.approx(10_000 + 10_000 * 0.009 - 0.3)
    np.testing.assert_allclose(charged.equity[1:], reference.equity[1:], rtol=1e-12)


def test_9_a_book_has_places_and_a_wish_without_one_is_not_asked() -> None:
    bars = bars_of(*[FLAT] * 12)

    class Buying(Theirs):
        def init(self):
            """Nothing."""

        def next(self):
            self.buy(size=1_000)

    theirs = run_native(Buying, bars, ACCOUNT)["_strategy"]._broker.trades
    assert len(theirs) == 10
    assert len(ours(bars, Decisions(side=1), lots=0.01, places=3).trades) == 3
