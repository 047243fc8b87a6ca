"""Position size and the limits on it: compiled, so that a backtest and a live session call the same function when an order is born."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from components.fx import Refusal
from components.strategy import lean

# sizing row
Z_MODE = 0
Z_RISK_FRACTION = 1
Z_FIXED_LOTS = 2
Z_UNSTOPPED_MOVE = 3
Z_MAX_POSITIONS = 4
SIZING_FIELDS = 5

# limits row
L_MAX_RISK_FRACTION = 0
L_MAX_OPEN_RISK = 1
L_MAX_TOTAL_POSITIONS = 2
L_MAX_CURRENCY_EXPOSURE = 3
LIMIT_FIELDS = 4

_RISK = 1.0
_REFUSED_RISK = int(Refusal.RISK_PER_TRADE)
_REFUSED_SMALL = int(Refusal.SIZE_TOO_SMALL)


class Sizing(BaseModel):
    """How large a new position is.

    Parameters
    ----------
    mode : {'risk', 'fixed'}
        ``risk`` loses `risk_fraction` of equity when the stop is hit; ``fixed`` always trades `fixed_lots`.
    risk_fraction : float
        Share of equity, 0–1.
    fixed_lots : float
        Size in ``fixed`` mode, in lots.
    unstopped_move : float
        Price move, as a fraction of price, that stands for the stop distance of a decision without a stop.
    max_positions : int
        Positions and working entry orders that one deployment may hold in a symbol.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["risk", "fixed"] = Field("risk", description="risk: lose a fixed share of equity at the stop; fixed: always the same lots")
    risk_fraction: float = Field(
        0.01, gt=0, le=0.5, allow_inf_nan=False, description="share of equity lost when the stop is hit (0.01 is one percent)"
    )
    fixed_lots: float = Field(0.1, gt=0, le=1000, allow_inf_nan=False, description="size in lots, in fixed mode")
    unstopped_move: float = Field(
        0.01, gt=0, le=1, allow_inf_nan=False, description="price move, as a fraction of price, that stands for the stop of a decision without one"
    )
    max_positions: int = Field(1, ge=1, le=8, description="positions and working entry orders at a time (count)")

    def as_row(self) -> NDArray[np.float64]:
        """The parameters as compiled code needs them, shape (SIZING_FIELDS,)."""
        mode = _RISK if self.mode == "risk" else 0.0
        return np.array([mode, self.risk_fraction, self.fixed_lots, self.unstopped_move, float(self.max_positions)])


class Limits(BaseModel):
    """What no order may exceed.

    Parameters
    ----------
    max_risk_fraction : float
        Share of equity, 0–1, that one position may lose at its stop.
    max_open_risk : float
        Share of equity that all positions and working entries of the account may lose together at their stops, from the prices of now; 0.0 is no
        limit, here and below.
    max_total_positions : int
        Positions and working entries over all symbols of the account.
    max_currency_exposure : float
        Net value held in or owed of any one currency but the account's own, as a multiple of equity: 2.0 lets an account of 10,000 be long or
        short 20,000 worth of euro, over all pairs with the euro.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_risk_fraction: float = Field(
        0.02, gt=0, le=1, allow_inf_nan=False, description="share of equity that one position may lose at its stop (0.02 is two percent)"
    )
    max_open_risk: float = Field(
        0.0, ge=0, le=10, allow_inf_nan=False, description="share of equity that all positions together may lose at their stops (0: no limit)"
    )
    max_total_positions: int = Field(0, ge=0, le=1_000, description="positions and working entries over all symbols (count; 0: no limit)")
    max_currency_exposure: float = Field(
        0.0, ge=0, le=1_000, allow_inf_nan=False, description="net value in any one currency, as a multiple of equity (0: no limit)"
    )

    def as_row(self) -> NDArray[np.float64]:
        """The parameters as compiled code needs them, shape (LIMIT_FIELDS,)."""
        return np.array([self.max_risk_fraction, self.max_open_risk, float(self.max_total_positions), self.max_currency_exposure])


@lean
def stop_distance_of(price, stop, stop_distance, unstopped_move):  # type: ignore[no-untyped-def]
    """Distance from an entry price to its stop, in price units; `unstopped_move` × price where the decision names no stop (NaN)."""
    if not math.isnan(stop):
        return abs(price - stop)
    if not math.isnan(stop_distance):
        return stop_distance
    return price * unstopped_move


@lean
def accepted_lots(lots, lot_step, lot_min, lot_max):  # type: ignore[no-untyped-def]
    """The largest size that the broker accepts and that is not above `lots`, in lots; 0.0 below the smallest one.

    A stop distance is a difference of two prices and carries their rounding, up to 1e-10 of itself for the nearest stops: what is short of a
    step by no more than a part in 10⁹ is that step.
    """
    lots = min(lots, lot_max)
    lots = round(math.floor(lots / lot_step * (1.0 + 1e-9)) * lot_step, 8)
    return lots if lots >= lot_min - 1e-12 else 0.0


@lean
def lots_for(sizing, equity, size_fraction, distance, contract_size, rate, lot_step, lot_min, lot_max):  # type: ignore[no-untyped-def]
    """Size of a new position.

    Parameters
    ----------
    sizing : ndarray, shape (SIZING_FIELDS,)
    equity : float
        Account equity at the decision, open positions included, in account currency.
    size_fraction : float
        The decision's own share of the size, 0–1.
    distance : float
        Distance from entry to stop, in price units.
    contract_size : float
        Units of base currency in one lot.
    rate : float
        Account units per unit of profit currency.
    lot_step, lot_min, lot_max : float
        Sizes that the broker accepts, in lots.

    Returns
    -------
    float
        Size in lots, rounded down to `lot_step`; 0.0 when even the smallest size is too much.
    """
    if sizing[Z_MODE] == _RISK:
        loss_per_lot = distance * contract_size * rate
        if not loss_per_lot > 0.0 or not equity > 0.0:
            return 0.0
        lots = equity * sizing[Z_RISK_FRACTION] * size_fraction / loss_per_lot
    else:
        lots = sizing[Z_FIXED_LOTS] * size_fraction
    return accepted_lots(lots, lot_step, lot_min, lot_max)


@lean
def check_birth(limits, equity, lots, distance, contract_size, rate):  # type: ignore[no-untyped-def]
    """The limits on an order at its birth; 0 (`Refusal.NONE`) or the `Refusal` that stops it.

    Parameters are those of `lots_for`; `limits` has shape (LIMIT_FIELDS,). The risk is the loss at the stop before costs, in account currency.
    """
    if not lots > 0.0:
        return _REFUSED_SMALL
    if not lots * distance * contract_size * rate <= equity * limits[L_MAX_RISK_FRACTION] * (1.0 + 1e-9):
        return _REFUSED_RISK
    return 0
