"""A run of a strategy, recorded: which of its own functions ran, line by line, and a mark of every variable at each line."""

from __future__ import annotations

import sys
import sysconfig
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from components.backtest.audit.marks import Marks, Past, marks_of

MOST_LINES, FEWEST_LINES = 20_000, 200
"""Lines that are marked in one recording of up to a thousand bars, and of very many; beyond them only whole functions are."""
OWN_FOLDER = str(Path(__file__).resolve().parent)
STANDARD = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib"))

Key = tuple[Any, ...]
"""Names a call: that of its caller, its code, and which of the caller's calls of that code it is."""
Watch = Callable[[FrameType], None]


@dataclass
class Call:
    """One call of a function: marks of its arguments, of its variables before each line, and of its answer."""

    key: Key
    code: CodeType
    caller: Key | None
    caller_event: int
    given: Marks
    lines: list[int] = field(default_factory=list)
    marks: list[Marks] = field(default_factory=list)
    answer: Marks = field(default_factory=dict)
    is_whole: bool = True


@dataclass
class Recording:
    """The calls of one run, in the order in which they began."""

    past: Past
    calls: dict[Key, Call] = field(default_factory=dict)
    lines: int = 0

    def children(self, key: Key) -> list[Call]:
        """The calls that a call made, first to last."""
        return [call for call in self.calls.values() if call.caller == key]

    @property
    def root(self) -> Call:
        """The call of the strategy itself."""
        return next(iter(self.calls.values()))


def record(function: Callable[..., Any], arguments: tuple[Any, ...], past: Past, watch: tuple[Key, int, Watch] | None = None) -> Recording:
    """Run a function and record it and what it calls of people's own code (the standard library and installed packages are not looked into).

    Parameters
    ----------
    function, arguments
        What is run.
    past : Past
        Rows of what is compared.
    watch : tuple, optional
        A call's key, the number of one of its lines, and what to do with the frame just before that line runs.
    """
    made = Recording(past)
    most = max(FEWEST_LINES, MOST_LINES * 1_000 // max(past.rows, 1_000))
    live: dict[FrameType, Call] = {}
    counts: Counter[tuple[Key | None, CodeType]] = Counter()

    def on_call(frame: FrameType, event: str, argument: Any) -> Any:
        if event != "call" or not _is_own(frame.f_code):
            return None
        caller = _caller(frame, live)
        place = (caller.key if caller else None, frame.f_code)
        key: Key = (*(caller.key if caller else ()), (frame.f_code.co_filename, frame.f_code.co_firstlineno, frame.f_code.co_name, counts[place]))
        if caller is None and made.calls:
            return None
        counts[place] += 1
        call = Call(key, frame.f_code, caller.key if caller else None, len(caller.lines) - 1 if caller else -1, _locals(frame, past))
        live[frame] = made.calls[key] = call
        return on_line

    def on_line(frame: FrameType, event: str, argument: Any) -> Any:
        call = live[frame]
        if event == "return":
            call.marks.append(_locals(frame, past))
            call.answer = marks_of("answer", argument, past)
            del live[frame]
        elif event == "line":
            if watch is not None and watch[0] == call.key and watch[1] == len(call.lines):
                watch[2](frame)
            made.lines += 1
            if made.lines > most:
                call.is_whole = False
            else:
                call.lines.append(frame.f_lineno)
                call.marks.append(_locals(frame, past))
        return on_line

    before = sys.gettrace()
    sys.settrace(on_call)
    try:
        function(*arguments)
    finally:
        sys.settrace(before)
    return made


def _caller(frame: FrameType, live: dict[FrameType, Call]) -> Call | None:
    above = frame.f_back
    while above is not None:
        if above in live:
            return live[above]
        above = above.f_back
    return None


def _locals(frame: FrameType, past: Past) -> Marks:
    found: Marks = {}
    for name, value in frame.f_locals.items():
        found |= marks_of(name, value, past)
    return found


@lru_cache(maxsize=4096)
def _is_own(code: CodeType) -> bool:
    """Whether a function is a person's or the platform's: not of the standard library, of an installed package, or of this audit."""
    file = code.co_filename
    if code.co_name.startswith("<") and code.co_name != "<lambda>":
        return False
    if "components" in Path(file).parts and not file.startswith(OWN_FOLDER):
        return True
    return not (file.startswith(("<", OWN_FOLDER, *STANDARD)) or {"site-packages", "dist-packages"} & set(Path(file).parts))
