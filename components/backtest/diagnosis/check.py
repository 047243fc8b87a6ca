"""What a check is, and the register of all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from components.backtest.diagnosis.bounds import BOUNDS
from components.backtest.diagnosis.evidence import Evidence
from components.backtest.findings import Finding, Severity

Said = tuple[str, dict[str, Any]]
"""A sentence with its numbers and their units, and the numbers."""
Look = Callable[[Evidence], Said | None]
CHECKS: dict[str, Check] = {}


@dataclass(frozen=True)
class Check:
    """One check.

    Parameters
    ----------
    code, title, severity, fix : str
        As in `Finding`.
    look : callable
        Says what is wrong, or nothing.
    fewest : int
        Trades below which it has nothing to say.
    """

    code: str
    title: str
    severity: Severity
    fix: str
    look: Look
    fewest: int

    def __call__(self, evidence: Evidence) -> Finding | None:
        """The finding, or None where nothing is wrong; its evidence names the bounds that were passed."""
        if len(evidence.trades) < self.fewest:
            return None
        said = self.look(evidence)
        if said is None:
            return None
        words, numbers = said
        return Finding(self.code, self.title, self.severity, words, {**numbers, "bounds": dict(BOUNDS.get(self.code, {}))}, self.fix)


def check(code: str, title: str, severity: Severity, fix: str, *, fewest: int = 1) -> Callable[[Look], Look]:
    """Register a function as a check."""

    def register(look: Look) -> Look:
        CHECKS[code] = Check(code, title, severity, fix, look, fewest)
        return look

    return register


def bound(code: str, name: str) -> float:
    """A bound of a check, from the one table."""
    return BOUNDS[code][name]


def diagnose(evidence: Evidence) -> list[Finding]:
    """Every check, the worst findings first, then in the order of the register.

    ``fatal`` only where a result cannot be believed as it stands; ``doubt`` where it may be another thing than it seems; ``note`` what a
    person should know.
    """
    found = [finding for one in CHECKS.values() if (finding := one(evidence)) is not None]
    return sorted(found, key=lambda finding: ("fatal", "doubt", "note").index(finding.severity))


def share(part: float, whole: float) -> float:
    """A part of a whole, 0.0 of nothing."""
    return float(part / whole) if whole else 0.0
