"""What the desk keeps: deployments, the trading state, decided bars."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from components.execution import Costs
from components.fx import Timeframe
from components.risk import Limits, Sizing


class TradingState(Enum):
    """ACTIVE trades; REDUCING only closes, cancels and moves stops; HALTED issues nothing at all."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


class DeploymentSpec(BaseModel):
    """What a person deploys: one strategy on one account and symbol.

    Parameters
    ----------
    account_id : str
        The account on which the terminal trades.
    symbol, timeframe : str
    strategy : str
        Name in the catalogue; `params` are its parameters.
    bar_set_id : str
        History that comes before the live bars. Decisions are computed from its first bar (`anchor_ms`) on, so that a backtest from the
        same anchor sees the same numbers.
    history_until_ms : int
        Bars of the history that open at or after this instant (epoch milliseconds UTC) are left out; 0 keeps all.
    model_id : str, optional
        The model of a strategy that needs one.
    allow_real : bool
        Whether an account that trades real money is accepted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    account_id: str = Field(min_length=1, max_length=64)
    symbol: str
    timeframe: str = "H1"
    strategy: str
    params: dict[str, Any] = Field(default_factory=dict)
    sizing: Sizing = Sizing()
    limits: Limits = Limits()
    costs: Costs = Costs()
    bar_set_id: str
    anchor_ms: int = 0
    history_until_ms: int = 0
    model_id: str | None = None
    allow_real: bool = False


@dataclass(frozen=True)
class Deployment:
    """A deployment as it stands. `state` is ``armed`` or ``disarmed``; `note` says why it was disarmed, where the desk did it itself."""

    id: str
    spec: DeploymentSpec
    state: str
    note: str
    created_ms: int

    @property
    def timeframe(self) -> Timeframe:
        """Length of its bars."""
        return Timeframe.named(self.spec.timeframe)

    @property
    def account_id(self) -> str:
        """The account that it trades on."""
        return self.spec.account_id

    @property
    def symbol(self) -> str:
        """What it trades."""
        return self.spec.symbol

    @property
    def strategy(self) -> str:
        """Name of its strategy."""
        return self.spec.strategy

    @property
    def params_json(self) -> str:
        """Its parameters, as compact JSON."""
        return json.dumps(self.spec.params, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True)
class DecidedBar:
    """A bar that the desk has dealt with.

    `open_ms` names it; prices are bid; `last_seq` numbers its last tick. `outcome` is ``decided``, ``stale`` (it was found too late to enter
    on), ``reduced`` (only exits were issued), ``halted``, ``idle`` (the deployment was not armed) or ``partial`` (its beginning was not seen); `issued` and `refused` count signals; `note` says which rule refused.
    """

    deployment_id: str
    open_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    spread_points: float
    last_seq: int
    outcome: str
    issued: int
    refused: int
    note: str
    decided_ms: int


@dataclass(frozen=True)
class StateChange:
    """One line of the trading state's journal."""

    number: int
    state: TradingState
    reason: str
    at_ms: int
