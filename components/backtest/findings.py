"""What a check says about a backtest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from components.fx import BadInput

Severity = Literal["note", "doubt", "fatal"]
SEVERITIES: tuple[str, ...] = get_args(Severity)


@dataclass(frozen=True)
class Finding:
    """One finding of one check.

    Parameters
    ----------
    code : str
        Name of the check, for programs.
    title : str
        The same in a few words, for people.
    severity : {'note', 'doubt', 'fatal'}
        ``note`` is worth knowing, ``doubt`` makes a result doubtful, ``fatal`` makes it not believable.
    finding : str
        What was found, a sentence with its numbers and their units.
    evidence : dict
        The numbers, plain JSON.
    fix : str
        What to do about it.
    """

    code: str
    title: str
    severity: Severity
    finding: str
    evidence: dict[str, Any]
    fix: str

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise BadInput("severity", f"{self.severity!r} is unknown; use one of {', '.join(SEVERITIES)}")
