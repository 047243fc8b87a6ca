"""Who looked ahead: two recorded runs with the same past, compared from the answer back to the statement that moved it first."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

from components.backtest.audit.marks import Marks, Past, moved_paths
from components.backtest.audit.recording import Call, Key, Recording, Watch, record
from components.backtest.audit.source import Part, Source, evaluate_parts, expressions_of, innermost, names_read, source_of
from components.base import ROOT

DEEPEST = 40
"""Statements that are followed back, at most."""

Run = Callable[[], tuple[Callable[..., Any], tuple[Any, ...]]]
"""Gives a function and fresh arguments."""


@dataclass(frozen=True)
class Blame:
    """The function that looked ahead, the file and line of its statement, and the part of that statement; empty where it cannot be told."""

    function: str
    place: str
    expression: str = ""


@dataclass(frozen=True)
class _Birth:
    """Where a variable first differed: the number of the line among those that ran, and the line."""

    event: int
    line: int


def blame(first: Run, second: Run, past: Past, other: Past, column: str | None) -> Blame:
    """Name what moved a column's past between two runs.

    Parameters
    ----------
    first, second : callable
        Give the function and its arguments, with the future as it was and with another.
    past, other : Past
        Rows of the two runs.
    column : str, optional
        Column of the answer that moved; any where None.

    Returns
    -------
    Blame
        Of the innermost recorded function whose arguments' past stood still while its answer's past moved.
    """
    one, two = record(*first(), past), record(*second(), other)
    return _Comparison(one, two, first, second).follow(one.root.key, column)


class _Comparison:
    """Two recordings of the same function."""

    def __init__(self, one: Recording, two: Recording, first: Run, second: Run) -> None:
        self.one, self.two, self.first, self.second = one, two, first, second

    def follow(self, key: Key, column: str | None) -> Blame:
        """The blame for what a call answered."""
        call, again = self.one.calls[key], self.two.calls[key]
        source = source_of(call.code)
        if source is None or not call.lines:
            return self._inside(call, None, column) or Blame(*named(call.code))
        births, parted = _births(call, again, source)
        event, wanted = len(call.lines) - 1, column
        if parted is not None and call.lines[-1] != again.lines[-1]:
            event, wanted = parted.event, None  # the two runs answered in different places: what sent them there is what looked ahead
        for _ in range(DEEPEST):
            line = call.lines[event]
            statement = source.statement(line)
            if statement is None:
                break
            parts = expressions_of(statement, wanted)
            names = names_read(parts)
            earlier = self._mover(births, names, event, wanted) or _suspect(call, again, births, names, event)
            if earlier is None:
                inner = self._inside(call, event, None)
                return inner or self._part(call, event, statement, parts, source)
            event = earlier.event
        return Blame(*named(call.code))

    def _mover(self, births: dict[str, _Birth], names: set[str], event: int, column: str | None) -> _Birth | None:
        """Where the variable that moved first among those that a statement reads was made; None where all of them stood still."""
        found = [
            (not path.endswith(f".{column}"), born.event, born) for path, born in births.items() if path.split(".")[0] in names and born.event < event
        ]
        return min(found, key=lambda one: one[:2])[2] if found else None

    def _inside(self, call: Call, event: int | None, column: str | None) -> Blame | None:
        """The blame within a call that a statement made, where one answered with another past to the same past."""
        for child in self.one.children(call.key):
            again = self.two.calls.get(child.key)
            if again is None or (event is not None and child.caller_event != event):
                continue
            # What it was given must have a past that can be compared: the windows of a rolling function have none.
            is_same = any(mark[0] == "array" for mark in child.given.values()) and not _telling(child.given, again.given)
            if is_same and _telling(child.answer, again.answer):
                return self.follow(child.key, column)
        return None

    def _part(self, call: Call, event: int, statement: ast.stmt, parts: list[ast.expr], source: Source) -> Blame:
        """The part of a statement that moved, found by running both again up to it."""
        function, place = named(call.code, call.lines[event])
        seen: list[dict[tuple[int, int], Part]] = []
        for run, recording in ((self.first, self.one), (self.second, self.two)):

            def watch(frame: Any, past: Past = recording.past) -> None:
                seen.append(evaluate_parts(parts, frame, past))

            watching: tuple[Key, int, Watch] = (call.key, event, watch)
            record(*run(), recording.past, watching)
        if len(seen) < 2:
            return Blame(function, place, source.text(_head(statement)))
        moved = {where for where, part in seen[0].items() if where in seen[1] and _telling(part.marks, seen[1][where].marks)}
        where = innermost(parts, moved)
        if where is None:
            return Blame(function, place, source.text(_head(statement)))
        node = list(ast.walk(parts[where[0]]))[where[1]]
        assert isinstance(node, ast.expr)
        function, place = named(call.code, node.lineno)
        called = seen[0][where].called
        if hasattr(called, "py_func"):  # a compiled function, whose lines do not run one by one
            function, place = named(called.py_func.__code__)
        return Blame(function, place, source.text(node))


def _births(call: Call, again: Call, source: Source) -> tuple[dict[str, _Birth], _Birth | None]:
    """Where each variable of a call first differed between two runs, following both line by line and past blocks where they part.

    Also the last line that both ran before they parted for good, None where they did not.
    """
    births: dict[str, _Birth] = {}
    i = j = 0
    made = _Birth(0, call.lines[0])
    parted: _Birth | None = None
    while True:
        for path in moved_paths(call.marks[i], again.marks[j]):
            if call.marks[i][path][0] != "whole":
                births.setdefault(path, made)
        if i >= len(call.lines) or j >= len(again.lines):
            if i >= len(call.lines) and j >= len(again.lines):
                return births, parted
            return _ended(births, call, again, made), made
        if call.lines[i] != again.lines[j]:
            span = source.block(call.lines[max(i - 1, 0)])
            if span is None:
                return _ended(births, call, again, made), made
            parted = made
            i, j = (_beyond(lines, start, span) for lines, start in ((call.lines, i), (again.lines, j)))
            continue
        made = _Birth(i, call.lines[i])
        i, j = i + 1, j + 1


def _ended(births: dict[str, _Birth], call: Call, again: Call, made: _Birth) -> dict[str, _Birth]:
    for path in moved_paths(call.marks[-1], again.marks[-1]):
        if call.marks[-1][path][0] != "whole":
            births.setdefault(path, made)
    return births


def _beyond(lines: list[int], start: int, span: tuple[int, int]) -> int:
    """The first line that ran after a block was left, or the end."""
    return next((number for number in range(start, len(lines)) if not span[0] <= lines[number] <= span[1]), len(lines))


def _suspect(call: Call, again: Call, births: dict[str, _Birth], names: set[str], event: int) -> _Birth | None:
    """What differed first in a call whose statement reads something of which no past can be told, such as a list of answers."""
    compared = {path.split(".")[0] for path, mark in call.marks[event].items() if any(other.get(path, ("",))[0] == mark[0] for other in again.marks)}
    variables = {*call.code.co_varnames, *call.code.co_cellvars, *call.code.co_freevars}
    if not (names & variables) - compared:
        return None
    earlier = [(born.event, born) for path, born in births.items() if born.event < event and call.marks[-1].get(path, ("",))[0] == "array"]
    return min(earlier, key=lambda one: one[0])[1] if earlier else None


def _telling(before: Marks, after: Marks) -> bool:
    """Whether something moved that a past can be read off: an array, or a number that is not a count."""
    return any(before[path][0] != "whole" for path in moved_paths(before, after))


def _head(statement: ast.stmt) -> ast.AST:
    if isinstance(statement, (ast.If, ast.While)):
        return statement.test
    return statement.iter if isinstance(statement, ast.For) else statement


def named(code: CodeType, line: int | None = None) -> tuple[str, str]:
    """Module and name of a function by its code, and its file and line (that of its definition where none is given)."""
    path = Path(code.co_filename)
    module = inspect.getmodulename(str(path)) or path.stem
    if path.is_relative_to(ROOT):
        path = path.relative_to(ROOT)
        module = ".".join(path.with_suffix("").parts)
    return f"{module}.{code.co_qualname}", f"{path}:{line or code.co_firstlineno}"
