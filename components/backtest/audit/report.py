"""What a look-ahead audit says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from components.backtest.findings import Finding

LeakKind = Literal["truncation", "perturbation", "in_sample"]


@dataclass(frozen=True)
class AuditLeak:
    """A decision about the past that moved when only the future was changed.

    Parameters
    ----------
    column : str
        Column of `Decisions`; ``probabilities.p_up`` and the like where the model's answers themselves moved.
    function : str
        Module and name of the function that looked ahead: the innermost one whose inputs' past stood still while its answer's past moved.
    place : str
        File and line of the statement in it, or of its definition where no line could be told; empty where there is no source.
    expression : str
        The source of the part of that statement that looked ahead; empty where it could not be told.
    kind : {'truncation', 'perturbation', 'in_sample'}
        The bars after the cut were taken away, or changed; ``in_sample``: a model answered about bars that it was trained on.
    row, cut : int
        First row that moved, and the last bar that was left alone, as rows of the audited bars.
    """

    column: str
    function: str
    place: str
    expression: str
    kind: LeakKind
    row: int
    cut: int


@dataclass(frozen=True)
class LagRow:
    """A backtest with every decision `lag` bars late; −1 is one bar early, which nobody can be.

    `sharpe` is annualised, `total_return` a fraction, `refused` counts orders that the book refused.
    """

    lag: int
    sharpe: float
    total_return: float
    trades: int
    refused: int


@dataclass(frozen=True)
class WarmUp:
    """How much history the decisions rest on.

    Parameters
    ----------
    stated, needed : int
        What `warmup_bars` says, and the largest that was seen, in bars: decisions further from the start did not move.
    starts : tuple of int
        Rows at which history was made to begin.
    column, row : str, int
        A column that moved beyond the stated warm-up, and where, counted from the later start; empty and −1 where none did.
    """

    stated: int
    needed: int
    starts: tuple[int, ...]
    column: str = ""
    row: int = -1


@dataclass(frozen=True)
class AuditReport:
    """What an audit found.

    Parameters
    ----------
    strategy : str
    params : dict
    bars, cuts : int
        Bars that were audited, and futures that were tried.
    leaks : tuple of AuditLeak
        One for each column that moved.
    lags : tuple of LagRow
        By lag, the early one first; empty where no bars were left to trade.
    warmup : WarmUp
    findings : tuple of Finding
        All that was found, the leaks included.
    """

    strategy: str
    params: dict[str, Any]
    bars: int
    cuts: int
    leaks: tuple[AuditLeak, ...]
    lags: tuple[LagRow, ...]
    warmup: WarmUp
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing was found that makes a result unbelievable."""
        return not any(finding.severity == "fatal" for finding in self.findings)

    def document(self) -> dict[str, Any]:
        """The report as plain JSON."""
        return {**asdict(self), "passed": self.passed}
