"""Slippage measured on the account's own fills, for the costs of a backtest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from components.bridge import Mailbox, PositionChange
from components.execution import Costs
from components.fx import BadInput, ExitKind, Instrument, NotFound, Refused

FEWEST_FILLS = 30
_PAGE = 10_000


@dataclass(frozen=True)
class FillSlippage:
    """What stop orders of one symbol came to beyond their prices.

    Parameters
    ----------
    symbol : str
    fills : int
        Number of fills that were measured.
    median_points, p90_points : float
        Median and 90th percentile, in points; positive is against the trader.
    worst_points, best_points : float
    accounts : tuple of str
        Accounts that the fills are from.
    first_ms, last_ms : int
        Market time of the first and the last fill, epoch milliseconds UTC.
    """

    symbol: str
    fills: int
    median_points: float
    p90_points: float
    worst_points: float
    best_points: float
    accounts: tuple[str, ...]
    first_ms: int
    last_ms: int

    def costs(self, costs: Costs | None = None, at: Literal["median", "p90"] = "p90") -> Costs:
        """The same costs with this slippage. One in the trader's favour is taken as none: a backtest should not live on it."""
        points = self.median_points if at == "median" else self.p90_points
        return (costs or Costs()).model_copy(update={"slippage_points": max(0.0, round(points, 3)), "slippage_atr": 0.0})


def slippage_from_fills(
    home: Path, instrument: Instrument, *, account_id: str | None = None, fewest: int = FEWEST_FILLS, is_replay: bool = False
) -> FillSlippage:
    """Slippage of stop orders that terminals reported, against the price that each order named.

    Measured are closings by a stop loss (fill against the stop) and openings by a stop order (fill against its trigger). Market orders are
    left out: no report says what price they were meant for. A gap over a weekend counts as what it cost.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases.
    instrument : Instrument
    account_id : str, optional
        Only this account; all by default.
    fewest : int
        Number of fills below which there is no answer; at least 30.
    is_replay : bool
        Whether to measure accounts that play a market again, whose fills were made up by costs, instead of live ones.

    Returns
    -------
    FillSlippage

    Raises
    ------
    Refused
        ``too_few_fills``: a slippage that nobody measured is never assumed.
    BadInput
        If `fewest` is below 30.
    """
    if fewest < FEWEST_FILLS:
        raise BadInput("fewest", f"{fewest} fills say nothing about a 90th percentile; {FEWEST_FILLS} is the least")
    found: list[tuple[float, str, int]] = []
    mailbox = Mailbox.open(home)
    try:
        for terminal in mailbox.terminals():
            facts = terminal.facts
            if account_id not in (None, facts.account_id) or (facts.market_clock == "replay") != is_replay:
                continue
            after = 0
            while lines := mailbox.positions_journal(facts.account_id, after, _PAGE):
                after = lines[-1].number
                for line in lines:
                    points = _slippage(mailbox, line, instrument) if line.symbol == instrument.symbol else None
                    if points is not None:
                        found.append((points, line.account_id, line.time_ms))
    finally:
        mailbox.close()
    if len(found) < fewest:
        kind = "replayed" if is_replay else "live"
        raise Refused(
            "too_few_fills",
            f"{len(found)} {kind} fills of stop orders in {instrument.symbol}; {fewest} are needed. Give slippage in points, or trade on",
        )
    slipped = np.array([one[0] for one in found])
    times = [one[2] for one in found]
    return FillSlippage(
        instrument.symbol,
        len(found),
        float(np.median(slipped)),
        float(np.quantile(slipped, 0.9)),
        float(slipped.max()),
        float(slipped.min()),
        tuple(sorted({one[1] for one in found})),
        min(times),
        max(times),
    )


def _slippage(mailbox: Mailbox, line: PositionChange, instrument: Instrument) -> float | None:
    """Slippage of one line of the journal in points, positive against the trader; None where no order named a price."""
    if line.price is None:
        return None
    if line.change == "closed" and line.exit_kind == ExitKind.STOP and line.level is not None:
        return (line.level - line.price) * line.side / instrument.point
    if line.change == "opened" and line.by not in ("terminal", "person"):
        try:
            signal = mailbox.signal(line.by).signal
        except NotFound:
            return None
        if signal.entry == "stop" and signal.entry_price is not None:
            return (line.price - signal.entry_price) * line.side / instrument.point
    return None
