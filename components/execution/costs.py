"""What trading costs beside the spread that the data carries: spread where it has none, slippage, commission, swap."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from components.fx import BadInput, Instrument

Floats = NDArray[np.float64]


class Costs(BaseModel):
    """What trading costs, beside the spread that the data carries.

    Parameters
    ----------
    spread_points : float
        Spread assumed where the data has none, in points.
    slippage_points : float
        Taken against the trader on market and stop fills, in points.
    slippage_atr : float
        Taken in addition: this share of the average true range, as it was known at the close of the bar before the fill.
    slippage_atr_bars : int
        Bars over which that range is averaged.
    commission_per_lot : float
        Charged per lot at entry and again at exit, in account currency.
    swap : {'table', 'none'}
        Whether open positions are charged the instrument's swap at the broker's midnight. An instrument without a table charges none.
    swap_long, swap_short : float, optional
        In place of the instrument's own, in the unit of its mode.
    swap_mode, swap_triple_day : str, optional
        In place of the instrument's own; see `Instrument`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    spread_points: float = Field(10.0, ge=0, le=10_000, allow_inf_nan=False, description="spread assumed where the data has none (points)")
    slippage_points: float = Field(
        0.0, ge=0, le=10_000, allow_inf_nan=False, description="taken against the trader on market and stop fills (points)"
    )
    slippage_atr: float = Field(
        0.0, ge=0, le=1, allow_inf_nan=False, description="taken in addition, as a share of the average true range known before the fill (share)"
    )
    slippage_atr_bars: int = Field(14, ge=1, le=1_000, description="bars of that average true range (count)")
    commission_per_lot: float = Field(0.0, ge=0, le=1_000, allow_inf_nan=False, description="per lot at entry and again at exit (account currency)")
    swap: Literal["table", "none"] = Field("table", description="table: the instrument's overnight interest; none: no interest")
    swap_long: float | None = Field(None, allow_inf_nan=False, description="interest of a long lot and night in place of the instrument's own")
    swap_short: float | None = Field(None, allow_inf_nan=False, description="interest of a short lot and night in place of the instrument's own")
    swap_mode: Literal["points", "account", "profit", "base", "percent", "percent_open"] | None = Field(
        None, description="what a swap figure means, in place of the instrument's own"
    )
    swap_triple_day: Literal["monday", "tuesday", "wednesday", "thursday", "friday", "none"] | None = Field(
        None, description="the night that counts three times, in place of the instrument's own"
    )

    def as_row(self) -> Floats:
        """The parameters as compiled code needs them, shape (1,): commission per lot. Slippage is in the market, swap in the instruments."""
        return np.array([self.commission_per_lot])

    def swap_of(self, item: Instrument) -> tuple[str, float, float, str]:
        """Mode, long, short and triple day that are charged for an instrument."""
        mode, triple = self.swap_mode or item.swap_mode, self.swap_triple_day or item.swap_triple_day
        if self.swap == "none":
            return mode, 0.0, 0.0, triple
        long = item.swap_long if self.swap_long is None else self.swap_long
        return mode, long, item.swap_short if self.swap_short is None else self.swap_short, triple

    def fixed_slip(self, instruments: list[Instrument]) -> Floats:
        """The fixed slippage of each instrument in price units, shape (1, s).

        Raises
        ------
        BadInput
            If slippage follows the average true range: that needs bars.
        """
        if self.slippage_atr > 0:
            raise BadInput("costs.slippage_atr", f"{self.slippage_atr} of an average true range needs bars; ticks know slippage in points only")
        return np.array([[self.slippage_points * item.point for item in instruments]])

    def slip_of_bars(self, high: Floats, low: Floats, close: Floats, item: Instrument) -> Floats:
        """Slippage in price units known when each bar opens, shape (n, 1), or (1, 1) where it is fixed."""
        fixed = self.slippage_points * item.point
        if self.slippage_atr == 0:
            return np.full((1, 1), fixed)
        return (fixed + self.slippage_atr * range_before(high, low, close, self.slippage_atr_bars)).reshape(-1, 1)


def range_before(high: Floats, low: Floats, close: Floats, period: int) -> Floats:
    """Average true range known when each bar opens, in price units, shape (n,).

    The simple mean of the true ranges of the `period` bars before; of as many as there were in the beginning. 0.0 for the first bar, in
    which nothing can fill.
    """
    rows = len(close)
    before = np.concatenate((close[:1], close[:-1]))
    true_range = np.maximum(high, before) - np.minimum(low, before)
    mean = np.zeros(rows)
    for t in range(1, min(rows, period)):
        mean[t] = true_range[:t].mean()
    if rows > period:
        # Windows that are summed on their own: a running sum would drift, and a later bar's slippage depend on where the data begin.
        mean[period:] = np.lib.stride_tricks.sliding_window_view(true_range[:-1], period).mean(axis=1)
    return mean
