"""Measures of backtests in words: their labels with units, and how each is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from components.backtest import StoredRun
from pages._shared.text import DASH, number


@dataclass(frozen=True)
class Measure:
    """How a measure is shown.

    Parameters
    ----------
    label : str
        With its unit.
    scale : float
        Times the stored value: 100 for shares that are shown in percent.
    digits : int
    unit : str
        Put behind a value; empty where the label has said it.
    """

    label: str
    scale: float = 1.0
    digits: int = 2
    unit: str = ""

    @property
    def name(self) -> str:
        """The label without its unit."""
        return self.label.partition(" (")[0]

    def words(self, value: float | None, sign: bool = False) -> str:
        """The value with its unit; a dash for None."""
        return DASH if value is None else number(self.scale * float(value), self.digits, self.unit, sign)


MEASURES: dict[str, Measure] = {
    "sharpe": Measure("Sharpe ratio (a year)", unit="a year"),
    "total_return": Measure("return (%)", 100.0, 2, "%"),
    "net_profit": Measure("net profit (account currency)"),
    "profit_factor": Measure("profit factor (ratio)"),
    "win_rate": Measure("trades won (%)", 100.0, 1, "%"),
    "average_profit": Measure("average trade (account currency)"),
    "calmar": Measure("Calmar ratio (a year)", unit="a year"),
    "max_drawdown": Measure("largest drawdown (%)", 100.0, 2, "%"),
    "trades": Measure("trades (count)", digits=0),
    "days": Measure("days (count)", digits=0),
    "best_trade": Measure("best trade (account currency)"),
    "worst_trade": Measure("worst trade (account currency)"),
    "final_equity": Measure("final equity (account currency)"),
    "ambiguous_bars": Measure("ambiguous bars (count)", digits=0),
}
LESS_IS_BETTER = ("max_drawdown", "ambiguous_bars")


def measure(name: str) -> Measure:
    """How a measure is shown; one that is not known by its plain name."""
    return MEASURES.get(name) or Measure(name.replace("_", " "), digits=4)


def label(name: str) -> str:
    """A measure's label with its unit."""
    return measure(name).label


def written(value: Any) -> str:
    """A parameter's value: ``0.3``, ``long``, a dash for nothing."""
    if value is None:
        return DASH
    return f"{value:g}".replace("-", "−") if isinstance(value, float) else str(value)


def params_words(params: dict[str, Any], names: Any = None) -> str:
    """Parameters in one line: ``fast 10 · slow 30``."""
    shown = params if names is None else {name: params.get(name) for name in names}
    return " · ".join(f"{name} {written(value)}" for name, value in shown.items()) or DASH


def start_balance(run: StoredRun) -> float:
    """The balance that a run began with, in account currency."""
    if "final_equity" in run.stats and "net_profit" in run.stats:
        return float(run.stats["final_equity"]) - float(run.stats["net_profit"])
    return float((run.spec.get("account") or {}).get("balance") or run.spec.get("balance") or 10_000.0)
