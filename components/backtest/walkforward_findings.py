"""What a walk-forward says against a strategy, each with its numbers and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.backtest.findings import Finding, Severity

LEAST_EFFICIENCY = 0.5
"""Pardo (2008) asks for a half: less of what was earned where parameters were chosen says that the choice was fitted."""
MOST_CONCENTRATION = 0.5
MOST_CHANGE = 1 / 3
MOST_AT_BORDER = 0.5
LEAST_WINDOWS = 4


def walkforward_findings(result: Mapping[str, Any]) -> list[Finding]:
    """The findings about the result of a walk-forward; none where nothing speaks against it.

    Parameters
    ----------
    result : mapping
        The result of a study of kind ``walkforward``.
    """
    windows = result["windows"]
    return [
        found
        for found in (
            _efficiency(result),
            _profitable(result, len(windows)),
            _concentration(result, len(windows)),
            _without_choice(result, len(windows)),
            _paths(result),
            *(one for name, told in result["drift"].items() for one in (_border(name, told), _change(name, told))),
        )
        if found is not None
    ]


def _efficiency(result: Mapping[str, Any]) -> Finding | None:
    value, annual = result["efficiency"], result["annual_return"]
    if value is not None and value >= LEAST_EFFICIENCY:
        return None
    earned = f"{annual['in_sample']:+.1%} a year where parameters were chosen, {annual['out_of_sample']:+.1%} where they were tried"
    severity: Severity = "doubt" if value is not None and value > 0 else "fatal"
    words = "the best parameters earned nothing even where they were chosen" if value is None else f"walk-forward efficiency is {value:.2f}"
    fix = "the rule has no edge on these bars; change the rule, not its parameters" if severity == "fatal" else "search fewer and coarser values"
    return Finding("walkforward_efficiency", "Little is left out of sample", severity, f"{words}: {earned}", {"efficiency": value, **annual}, fix)


def _profitable(result: Mapping[str, Any], windows: int) -> Finding | None:
    share = result["profitable_windows"]
    if windows < LEAST_WINDOWS or share >= 0.5:
        return None
    return Finding(
        "walkforward_windows", "Most windows lose", "doubt", f"{share:.0%} of {windows} windows made a profit",
        {"profitable_windows": share, "windows": windows}, "do not trade it: what was chosen on the past has lost on what followed more often than not",
    )  # fmt: skip


def _concentration(result: Mapping[str, Any], windows: int) -> Finding | None:
    share = result["concentration"]
    if windows < LEAST_WINDOWS or share is None or share <= MOST_CONCENTRATION or result["mode"] == "combinatorial":
        return None
    return Finding(
        "walkforward_concentration", "One window makes the profit", "doubt", f"one of {windows} windows made {share:.0%} of all window profits",
        {"concentration": share}, "look at what happened in that window; test on more history",
    )  # fmt: skip


def _without_choice(result: Mapping[str, Any], windows: int) -> Finding | None:
    empty = result["windows_without_choice"]
    if not empty:
        return None
    return Finding(
        "walkforward_trades", "Too few trades to choose by", "note", f"in {empty} of {windows} windows no parameters made enough trades to be chosen",
        {"windows_without_choice": empty}, "lengthen the training parts, or lower min_trades knowingly",
    )  # fmt: skip


def _paths(result: Mapping[str, Any]) -> Finding | None:
    paths = result.get("paths")
    if paths is None or paths["share_above_zero"] > 0.5:
        return None
    return Finding(
        "walkforward_paths", "Most paths lose", "fatal" if paths["share_above_zero"] == 0 else "doubt",
        f"{paths['share_above_zero']:.0%} of {paths['paths']} paths have a Sharpe ratio above 0; their median is {paths['sharpe_median']:.2f}",
        dict(paths), "the one good backtest was one path of many; do not trade it",
    )  # fmt: skip


def _border(name: str, told: Mapping[str, Any]) -> Finding | None:
    share = told["at_border"]
    if share is None or share <= MOST_AT_BORDER:
        return None
    return Finding(
        "walkforward_border", "A parameter sits on the border of its range", "note", f"{name} was its lowest or highest value in {share:.0%} of the windows",
        {"parameter": name, "at_border": share, "values": told["values"]}, f"widen the range of {name}",
    )  # fmt: skip


def _change(name: str, told: Mapping[str, Any]) -> Finding | None:
    change = told["change"]
    if change is None or change <= MOST_CHANGE or len(told["values"]) < LEAST_WINDOWS:
        return None
    return Finding(
        "walkforward_drift", "A parameter wanders", "doubt", f"{name} changes by {change:.0%} of its range from window to window",
        {"parameter": name, "change": change, "values": told["values"]}, f"fix {name}, or take it out of the rule: no value of it is better for long",
    )  # fmt: skip
