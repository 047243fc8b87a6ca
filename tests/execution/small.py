"""Small markets and wishes for tests that are computed by hand: 0.1 lots of EURUSD are 10,000 units, a pip is 1 USD, a point 0.1 USD."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from components.execution import Costs, DecisionArrays, MarketArrays, StepResult, decision_arrays, market_of_bars, run_step
from components.fx import AccountSpec, EventKind, Instrument, instrument, validate_bars
from components.fx import book as b
from components.risk import Limits, Sizing
from components.strategy import Decisions

EURUSD = instrument("EURUSD")
FLAT = (1.1, 1.1, 1.1, 1.1)
FREE = Costs(spread_points=0)


def bars_at(times: Any, rows: list[tuple[float, float, float, float]]) -> pd.DataFrame:
    """Bars from (open, high, low, close) at these UTC times."""
    index = pd.DatetimeIndex(times).tz_localize("UTC").as_unit("ms") if not isinstance(times, pd.DatetimeIndex) else times
    return validate_bars(pd.DataFrame(rows, columns=["open", "high", "low", "close"], index=index))


def hours(count: int, start: str = "2024-03-04") -> pd.DatetimeIndex:
    """Hourly open times, from a Monday's midnight on."""
    return pd.date_range(start, periods=count, freq="h", tz="UTC")


def wishes(rows: int, **columns: dict[int, Any]) -> DecisionArrays:
    """Decisions that wish nothing but what is named: column={row: value}."""
    empty: dict[str, Any] = {"side": 0, "exit": 0, "entry": 0, "expiry_bars": 0, "size_fraction": 1.0}
    arrays = {}
    for name, values in {"side": {}, **columns}.items():
        array = np.full(rows, empty.get(name, np.nan))
        for row, value in values.items():
            array[row] = value
        arrays[name] = array
    return decision_arrays(Decisions(**arrays), rows)


def run(
    bars: pd.DataFrame, *, item: Instrument = EURUSD, costs: Costs = FREE, rate: Any = 1.0, market: MarketArrays | None = None, **rest: Any
) -> StepResult:
    """0.1 lots on a 10,000 USD account, unless named otherwise; what run_step does not know is a column of wishes."""
    names = ("account", "sizing", "limits", "resolution", "manage", "params", "finer", "policy")
    options = {name: rest.pop(name) for name in names if name in rest}
    return run_step(
        market_of_bars(bars, item, costs, rate) if market is None else market,
        wishes(len(bars), **rest),
        [item],
        options.pop("account", AccountSpec()),
        costs=costs,
        sizing=options.pop("sizing", Sizing(mode="fixed", fixed_lots=0.1)),
        limits=options.pop("limits", Limits(max_risk_fraction=1.0)),
        **options,
    )


def closed(step: StepResult) -> np.ndarray:
    """Rows of the closings."""
    return step.events[step.events[:, b.E_KIND] == EventKind.CLOSED]


def refused(step: StepResult) -> list[int]:
    """Codes of the refusals."""
    return step.events[step.events[:, b.E_KIND] == EventKind.REFUSED][:, b.E_LEVEL].astype(int).tolist()


def side_by_side(
    parts: list[tuple[pd.DataFrame, Instrument, float, DecisionArrays]], costs: Costs = FREE
) -> tuple[MarketArrays, DecisionArrays, list[Instrument]]:
    """Several symbols with the same open times in one market."""
    markets = [market_of_bars(bars, item, costs, rate) for bars, item, rate, _ in parts]
    rows = len(parts[0][0])
    names = ("open", "high", "low", "close", "spread", "rate")
    joined = MarketArrays(*(np.hstack([getattr(m, name) for m in markets]) for name in names), markets[0].day_id, markets[0].decision_row)
    columns = (np.hstack([np.broadcast_to(getattr(part[3], name), (rows, 1)) for part in parts]) for name in DecisionArrays._fields)
    return joined, DecisionArrays(*columns), [part[1] for part in parts]
