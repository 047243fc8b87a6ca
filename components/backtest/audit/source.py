"""The source of a recorded function: its statements by line, the names that they read, and their parts, evaluated one by one."""

from __future__ import annotations

import ast
import inspect
import textwrap
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

from components.backtest.audit.marks import Marks, Past, marks_of

BLOCKS = (ast.For, ast.While, ast.If, ast.With, ast.Try)


@dataclass(frozen=True)
class Source:
    """A function's source: its text, its tree with the file's line numbers, and its first line."""

    lines: tuple[str, ...]
    tree: ast.AST
    first_line: int

    def statement(self, line: int) -> ast.stmt | None:
        """The innermost statement that holds a line; of a block its head only."""
        best: ast.stmt | None = None
        for node in ast.walk(self.tree):
            if not isinstance(node, ast.stmt) or isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                continue
            if node.lineno <= line <= (node.end_lineno or node.lineno) and (best is None or node.lineno >= best.lineno):
                best = node
        return best

    def block(self, line: int) -> tuple[int, int] | None:
        """First and last line of the outermost block that holds a line."""
        spans = [(node.lineno, node.end_lineno or node.lineno) for node in ast.walk(self.tree) if isinstance(node, BLOCKS)]
        holding = [span for span in spans if span[0] <= line <= span[1]]
        return min(holding, default=None)

    def text(self, node: ast.AST) -> str:
        """The source of a part, on one line."""
        return " ".join(ast.unparse(node).split())


def source_of(code: CodeType) -> Source | None:
    """The source of a function; None where there is none to read."""
    try:
        lines, first = inspect.getsourcelines(code)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, SyntaxError, TypeError):
        return None
    ast.increment_lineno(tree, max(first, 1) - 1)
    return Source(tuple(lines), tree, first)


def expressions_of(statement: ast.stmt, column: str | None = None) -> list[ast.expr]:
    """What a statement evaluates: the head of a block, the value of an assignment; of a call with a keyword `column` that argument only."""
    if isinstance(statement, (ast.If, ast.While)):
        found = [statement.test]
    elif isinstance(statement, ast.For):
        found = [statement.iter]
    elif isinstance(statement, ast.With):
        found = [item.context_expr for item in statement.items]
    elif isinstance(statement, ast.Try):
        found = []
    else:
        found = [node for node in ast.iter_child_nodes(statement) if isinstance(node, ast.expr)]
    if column is None:
        return found
    calls = [node for part in found for node in ast.walk(part) if isinstance(node, ast.Call)]
    named = [keyword.value for call in calls for keyword in call.keywords if keyword.arg == column]
    if not named and column == "side":
        named = [call.args[0] for call in calls if call.args and isinstance(call.func, ast.Name) and call.func.id == "Decisions"]
    return named or found


def names_read(parts: list[ast.expr]) -> set[str]:
    """Names of the variables that expressions read."""
    return {node.id for part in parts for node in ast.walk(part) if isinstance(node, ast.Name) and _is_read(node)}


@dataclass
class Part:
    """One part of a statement: what it came to, and what kind of thing it calls."""

    marks: Marks
    called: Any = None


def evaluate_parts(parts: list[ast.expr], frame: FrameType, past: Past) -> dict[tuple[int, int], Part]:
    """Evaluate every part of these expressions where a frame stands; parts that cannot be evaluated alone are left out.

    Keyed by the number of the expression and the part's place in its walk.
    """
    found: dict[tuple[int, int], Part] = {}
    known = {**frame.f_globals, **frame.f_locals}  # one space of names, which comprehensions see too
    for number, whole in enumerate(parts):
        for place, node in enumerate(ast.walk(whole)):
            if not isinstance(node, ast.expr) or isinstance(node, (ast.Constant, ast.Starred, ast.NamedExpr)) or not _is_read(node):
                continue
            try:
                value = eval(compile(ast.Expression(node), "<part>", "eval"), known)
                called = eval(compile(ast.Expression(node.func), "<part>", "eval"), known) if isinstance(node, ast.Call) else None
            except Exception:  # whatever a part raises when it stands alone, it is only left out
                continue
            found[number, place] = Part(marks_of("part", value, past), called)
    return found


def innermost(parts: list[ast.expr], moved: set[tuple[int, int]]) -> tuple[int, int] | None:
    """The first part that moved while nothing inside it did."""
    for number, whole in enumerate(parts):
        nodes = list(ast.walk(whole))
        place_of = {id(node): place for place, node in enumerate(nodes)}
        for place, node in reversed(list(enumerate(nodes))):
            if (number, place) in moved and not any((number, place_of[id(inner)]) in moved for inner in ast.walk(node) if inner is not node):
                return number, place
    return None


def _is_read(node: ast.expr) -> bool:
    return isinstance(getattr(node, "ctx", ast.Load()), ast.Load)
