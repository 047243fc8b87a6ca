"""What must hold between the parts of a Strategy Tester report; each was seen to hold exactly on thirteen real ones."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from components.backtest.reports.document import DEAL_TYPES, TesterReport
from components.fx import BadInput

# Half of the last digit shown, and what floating point adds to sums of thousands of cents.
HALF_CENT = 0.0051


def check_identities(report: TesterReport) -> list[str]:
    """Check a report against itself.

    Returns
    -------
    list of str
        The identities that were checked and hold.

    Raises
    ------
    BadInput
        Naming the first identity that does not hold, both numbers and the row of the deal.

    Notes
    -----
    balance[i] = balance[i−1] + commission + swap + profit · net profit = Σ of these after the first row · total trades = deals that go out ·
    total deals = rows of deals that trade · gross profit = Σ of the positive results of outs · gross loss = Σ of their negative results and
    of the commissions of entries · expected payoff = net / trades · profit trades are those with a result ≥ 0 · the drawdowns of the balance
    recompute from its column. A deal that reverses a netting position (in/out) counts as an out; where the counts only hold without it, so.
    """
    deals = report.deals
    if deals.empty:
        raise BadInput("deals", "there is none; a report has at least the row with the initial deposit")
    first = deals.iloc[0]
    if first["type"] != "balance":
        raise BadInput("deals.1", f"the first deal is {first['type']!r}, not the balance row with the deposit")
    deposit = report.number("initial_deposit")
    if deposit is not None and abs(first["balance"] - deposit) > HALF_CENT:
        raise BadInput("initial_deposit", f"the report says {deposit:.2f}, the balance in row 1 of the deals is {first['balance']:.2f}")
    check_balance(deals)
    trading = deals[deals["type"].isin(DEAL_TYPES)]
    out = trading["direction"].isin(("out", "out by"))
    turns = trading["direction"] == "in/out"
    counts = [out | turns, out] if turns.any() else [out]
    wrong = [next(_differences(report, trading, outs), "") for outs in counts]
    if all(wrong):
        field, _, message = wrong[0].partition("|")
        raise BadInput(field, message)
    _check_drawdowns(report)
    return list(CHECKED)


CHECKED = (
    "balance of every row", "net profit", "total trades", "total deals", "gross profit", "gross loss", "expected payoff", "profit trades",
    "loss trades", "balance drawdown absolute", "balance drawdown maximal", "balance drawdown relative",
)  # fmt: skip


def check_balance(deals: pd.DataFrame) -> None:
    """Every row's balance is the one before with the row's commission, swap and profit.

    Raises
    ------
    BadInput
        Naming the row and both balances.
    """
    change = (deals["commission"] + deals["swap"] + deals["profit"]).to_numpy()
    balance = deals["balance"].to_numpy()
    expected = np.concatenate((change[:1], balance[:-1] + change[1:]))
    wrong = np.flatnonzero(np.abs(balance - expected) > HALF_CENT)
    if len(wrong):
        at = int(wrong[0])
        raise BadInput(
            f"deals.{int(deals['row'].iloc[at])}.balance",
            f"the report says {balance[at]:.2f}, the balance before with commission, swap and profit of deal {int(deals['deal'].iloc[at])} makes "
            f"{expected[at]:.2f}; the report was changed, or its columns are not where they belong",
        )


def _differences(report: TesterReport, trading: pd.DataFrame, outs: pd.Series) -> Iterator[str]:
    """Each identity that does not hold, as "field|sentence"."""
    result = (trading["commission"] + trading["swap"] + trading["profit"]).to_numpy()
    is_out = outs.to_numpy()
    closing, entering = result[is_out], trading["commission"].to_numpy()[~is_out]
    net, trades = float(result.sum()), int(is_out.sum())
    facts = {
        "total_net_profit": (net, "", "commission, swap and profit of the deals sum to"),
        "total_trades": (float(trades), "", "the deals that go out are"),
        "total_deals": (float(len(trading)), "", "the rows of deals that trade are"),
        "gross_profit": (float(closing[closing > 0].sum()), "", "the positive results of the deals that go out sum to"),
        "gross_loss": (
            float(closing[closing < 0].sum() + entering.sum()), "", "the negative results of the deals that go out and the commissions of the others sum to"
        ),
        "expected_payoff": (net / trades if trades else 0.0, "", "net profit by trade is"),
        "profit_trades": (float((closing >= 0).sum()), "count", "the deals that go out without a loss are"),
        "loss_trades": (float((closing < 0).sum()), "count", "the deals that go out at a loss are"),
    }  # fmt: skip
    last = int(trading["row"].iloc[-1]) if len(trading) else 1
    for name, (ours, part, words) in facts.items():
        theirs = report.number(name, part)
        if theirs is None or abs(theirs - ours) > HALF_CENT:
            said = "nothing" if theirs is None else f"{theirs:.2f}"
            yield f"{name}|the report says {said}, but {words} {ours:.2f} (deals in rows 1 to {last})"


def drawdowns_of(balance: np.ndarray) -> dict[str, tuple[float, float, int]]:
    """Drawdowns of a balance column as MetaTrader counts them: money, percent and the place of the low.

    Parameters
    ----------
    balance : float64, shape (n,)
        After every deal, the deposit first.

    Returns
    -------
    dict
        ``absolute`` (how far it fell below the deposit), ``maximal`` (the largest fall in money) and ``relative`` (the largest in percent).
    """
    peak = np.maximum.accumulate(balance)
    fall = peak - balance
    percent = 100.0 * np.divide(fall, peak, out=np.zeros_like(fall), where=peak > 0)
    deepest, steepest, lowest = int(np.argmax(fall)), int(np.argmax(percent)), int(np.argmin(balance))
    below = max(0.0, float(balance[0] - balance[lowest]))
    return {
        "absolute": (below, math.nan, lowest),
        "maximal": (float(fall[deepest]), float(percent[deepest]), deepest),
        "relative": (float(fall[steepest]), float(percent[steepest]), steepest),
    }


def _check_drawdowns(report: TesterReport) -> None:
    found = drawdowns_of(report.deals["balance"].to_numpy(dtype=np.float64))
    for kind, (money, percent, place) in found.items():
        name = f"balance_drawdown_{kind}"
        said = [report.number(name, "" if kind == "absolute" else part) for part in ("money", "percent")]
        ours = [money, money if kind == "absolute" else percent]
        # Where two falls are equally deep the percentages of either may be shown.
        main = 1 if kind == "relative" else 0
        if said[main] is None or abs(float(said[main] or 0.0) - ours[main]) > HALF_CENT:
            words = "nothing" if said[main] is None else f"{said[main]:.2f}"
            unit = " %" if main else ""
            raise BadInput(
                name, f"the report says {words}{unit}, the column of balances makes {ours[main]:.2f}{unit} (lowest at row {place + 1} of the deals)"
            )
