"""What to change so that our backtest and the terminal's agree, in sentences with numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from components.backtest.matching.causes import CAUSES, Attribution
from components.backtest.matching.clock import FoundClock

Told = list[str]
SURE = 0.5


def sentences(
    ours: pd.DataFrame,
    theirs: pd.DataFrame,
    found: Attribution,
    amounts: dict[str, float],
    clock: FoundClock,
    costs: dict[str, Any],
    point: float,
    alone: tuple[pd.DataFrame, pd.DataFrame],
    currency: str,
) -> Told:
    """What to change, the largest amounts first.

    Parameters
    ----------
    ours, theirs : DataFrame, n rows each
        Matched trades.
    found : Attribution
    amounts : dict
        Money by cause.
    clock : FoundClock
    costs : dict
        The costs that our run assumed, as in its spec.
    point : float
    alone : two DataFrames
        Our trades and theirs that have no partner.
    currency : str
        Of the account.
    """
    by_cause: dict[str, str] = {}
    place = {name: number for number, name in enumerate(CAUSES)}

    def touched(name: str) -> int:
        return int((np.abs(found.amounts[:, place[name]]) >= 0.005).sum())

    fills = found.fills
    spread_now, slip_now, commission_now = (float(costs.get(name) or 0.0) for name in ("spread_points", "slippage_points", "commission_per_lot"))
    if fills.spread and touched("spread"):
        wider = fills.spread / point
        word = "wider" if wider > 0 else "narrower"
        by_cause["spread"] = (
            f"Their spread is {abs(wider):.1f} points {word} than ours: set spread_points to {max(0.0, spread_now + wider):.4g} (now {spread_now:.4g}; where "
            "the bars carry a spread of their own, take bars of this broker)."
        )
    if touched("slippage"):
        stops = _stop_slip(ours, theirs, point)
        words = f"market orders slip {fills.slippage / point:.1f} points" if fills.slippage else "market orders do not slip"
        if stops:
            words += f", stops fill {abs(stops):.1f} points {'beyond' if stops > 0 else 'before'} their level compared with ours (median)"
        level = max(fills.slippage / point, stops or 0.0)
        by_cause["slippage"] = f"At their broker {words}: set slippage_points to {max(0.0, slip_now + level):.4g} (now {slip_now:.4g})."
    if touched("commission"):
        lots = float(2.0 * theirs["lots"].sum())
        paid = float((theirs["gross_profit"] + theirs["swap"] - theirs["net_profit"]).sum())
        by_cause["commission"] = (
            f"They charge a commission of {paid / lots:.2f} {currency} per lot and side: set commission_per_lot to {paid / lots:.2f} (now {commission_now:.4g})."
        )
    if touched("swap"):
        by_cause["swap"] = _swap(ours, theirs, found, point, currency)
    if touched("size"):
        ratio = (theirs["lots"] / ours["lots"]).to_numpy()
        odd = np.abs(ratio - 1.0) > 1e-6
        by_cause["size"] = (
            f"{int(odd.sum())} of {len(ratio)} trades have another size there, by the median {np.median(ratio[odd]):.3g} times ours: use the same deposit, risk and lot "
            "step, or fixed lots in both."
        )
    if touched("late"):
        late = found.entry_bars_late
        count, early = int((late > 0).sum()), int((late < 0).sum())
        by_cause["late"] = (
            f"{count} of their entries come a bar or more after ours (median {np.median(late[late > 0]):.0f} bars): let the expert act on the first tick of the bar "
            "that follows the signal."
            if count >= early and count
            else f"{early} of their entries come before ours: the expert acts on a bar that is not closed yet."
            if early
            else f"{int((found.exit_bars_late != 0).sum())} of their exits come in another bar than ours: check when the expert closes."
        )
    if touched("stop or target"):
        other = ~found.same_exit & ~_ended(ours, theirs)
        pairs = pd.Series(
            [f"our {a}, their {b}" for a, b in zip(ours["exit"][other], theirs["exit"][other], strict=True)], dtype="str"
        ).value_counts()
        kinds = "; ".join(f"{words} {count}" for words, count in pairs.head(3).items())
        by_cause["stop or target"] = (
            f"{int(other.sum())} trades end in another way there ({kinds}): compare tick model, spread at the stop and stop distances."
            if int(other.sum())
            else "Their stops or targets lie at other prices than ours: compare how their distances are computed."
        )
    if touched("end of test"):
        by_cause["end of test"] = f"{int(_ended(ours, theirs).sum())} trades are cut off by the end of one of the tests: test the same dates."
    if fills.offset and touched("price"):
        by_cause["price"] = f"Their prices lie {fills.offset / point:+.1f} points beside ours (median of sells): run on bars of this broker."
    elif abs(amounts.get("price", 0.0)) >= 0.005:
        by_cause["price"] = "Single fills differ in price without a common shift: run on bars of this broker, or with their spread per bar."
    for name, (frame, whose) in {
        "missing": (alone[0], "of our trades are not among theirs"),
        "extra": (alone[1], "of their trades are not among ours"),
    }.items():
        if len(frame):
            first = frame["entry_time"].min().strftime("%Y-%m-%d %H:%M")
            why = (
                "look for refused orders, trading hours and the limit of positions in the journal of the test"
                if name == "missing"
                else "look for signals that our limits refuse, for other parameters, and for history that we lack"
            )
            by_cause[name] = f"{len(frame)} {whose}, the first at {first} UTC: {why}."
    order = sorted(by_cause, key=lambda name: -abs(amounts.get(name, 0.0)))
    return [*_about_clock(clock, theirs), *(by_cause[name] for name in order)]


def _about_clock(clock: FoundClock, theirs: pd.DataFrame) -> Told:
    if theirs.empty:
        return []
    words = str(clock.clock.eras[-1])
    if clock.confidence < SURE:
        return [f"The broker's clock is not certain (best is {words}, confidence {clock.confidence:.0%}): name it, or compare a longer test."]
    same = f"; {len(clock.others)} others give these trades the same times" if clock.others else ""
    return [f"The broker's clock is {words} (confidence {clock.confidence:.0%}{same}): name it when importing reports and exporting signals."]


def _ended(ours: pd.DataFrame, theirs: pd.DataFrame) -> np.ndarray:
    return np.asarray((ours["exit"].to_numpy() == "end_of_data") != (theirs["exit"].to_numpy() == "end_of_data"), dtype=bool)


def _stop_slip(ours: pd.DataFrame, theirs: pd.DataFrame, point: float) -> float:
    """Points by which their stops fill worse against their level than ours do, median; 0.0 where that cannot be told."""
    slips = []
    for trades in (ours, theirs):
        stopped = trades[(trades["exit"] == "stop") & trades["level"].notna()]
        slip = (stopped["side"] * (stopped["level"] - stopped["exit_price"])).to_numpy(dtype=np.float64)
        slips.append(float(np.median(slip)) if len(slip) else float("nan"))
    worse = (slips[1] - slips[0]) / point
    return worse if np.isfinite(worse) and abs(worse) >= 0.5 else 0.0


def _swap(ours: pd.DataFrame, theirs: pd.DataFrame, found: Attribution, point: float, currency: str) -> str:
    nights = np.maximum((theirs["exit_ms"].to_numpy() // 86_400_000) - (theirs["entry_ms"].to_numpy() // 86_400_000), 0)
    parts = []
    for side, name in ((1, "long"), (-1, "short")):
        mine = (theirs["side"].to_numpy() == side) & (nights > 0)
        unit = float((theirs["lots"].to_numpy() * nights * found.value * point)[mine].sum())
        if unit > 0:
            parts.append(f"{float(theirs['swap'].to_numpy()[mine].sum()) / unit:+.1f} points {name}")
    told = f", about {' and '.join(parts)} per lot and night" if parts else ""
    return f"They charge swap of {theirs['swap'].sum():+.2f} {currency}, we {ours['swap'].sum():+.2f}{told}: set the broker's swap table."
