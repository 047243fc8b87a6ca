"""The architecture and the house rules as failing tests. Each rule is also shown a planted offence, which it must find."""

from __future__ import annotations

import ast
import configparser
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from components.base import ROOT

COMPONENTS = ROOT / "components"
ROOMS = sorted(path.parent.name for path in COMPONENTS.glob("*/__init__.py"))
SOURCES = sorted(path for path in COMPONENTS.rglob("*.py") if "__pycache__" not in path.parts)
SHARED = sorted(ROOT.glob("pages/_shared/*.py"))
DOORS = sorted(path for path in (*ROOT.glob("*.py"), *ROOT.glob("pages/*.py")))
MAX_LINES = 400

Offences = Iterator[str]
Rule = Callable[[str, str], Offences]


def existing_contracts(text: str) -> str:
    """`.importlinter` less the modules that do not exist yet; rooms are made when something lives in them."""
    parser = configparser.ConfigParser()
    parser.read_string(text)
    for section in parser.sections():
        for option in ("root_packages", "layers", "source_modules", "forbidden_modules"):
            if option in parser[section]:
                inside = "components." if option == "layers" else ""
                names = parser[section][option].split()
                parser[section][option] = "\n" + "\n".join(name for name in names if is_module(inside + name))
        if parser[section].get("forbidden_modules", "something").strip() == "":
            parser.remove_section(section)
    written = io.StringIO()
    parser.write(written)
    return written.getvalue()


def is_module(name: str) -> bool:
    """Whether a dotted name is a module or package of this repository."""
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def lint_imports(folder: Path, config: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter as an operator does."""
    command = Path(sys.executable).with_name("lint-imports")
    return subprocess.run([str(command), "--no-logo", "--no-cache", "--config", str(config)], cwd=folder, capture_output=True, text=True, check=False)


def test_rooms_import_only_rooms_below_them(tmp_path: Path) -> None:
    config = tmp_path / "contracts.ini"
    config.write_text(existing_contracts((ROOT / ".importlinter").read_text()))
    run = lint_imports(ROOT, config)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_contracts_are_exhaustive_and_name_every_room() -> None:
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter")
    rooms = parser["importlinter:contract:rooms"]
    assert rooms["exhaustive"].lower() == "true"
    assert rooms.get("exhaustive_ignores", "").split() in ([], ["__main__"])
    assert set(ROOMS) <= set(rooms["layers"].split())


def test_an_import_upwards_and_a_room_without_a_place_are_found(tmp_path: Path) -> None:
    for room, text in {"fx": "from components.base import now_ms\n", "base": "now_ms = 1\n", "attic": ""}.items():
        (tmp_path / "components" / room).mkdir(parents=True)
        (tmp_path / "components" / room / "__init__.py").write_text(text)
    (tmp_path / "components" / "__init__.py").write_text("")
    config = tmp_path / "contracts.ini"
    layers = "[importlinter]\nroot_packages =\n    components\n[importlinter:contract:rooms]\nname = rooms\ntype = layers\n"
    config.write_text(f"{layers}layers =\n    base\n    fx\ncontainers = components\nexhaustive = true\n")
    run = lint_imports(tmp_path, config)
    assert run.returncode == 1
    assert "components.fx is not allowed to import components.base" in run.stdout
    assert "attic" in run.stdout


def fronts_used(text: str, name: str) -> Offences:
    """A room is used through its front: ``from components.x import name``, never a module inside it."""
    room = Path(name).parts[1] if name.startswith("components/") and len(Path(name).parts) > 2 else None
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            modules = [node.module]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        else:
            continue
        for module in modules:
            parts = module.split(".")
            is_inside = parts[0] == "components" and len(parts) > 2 and parts[1] != room
            may_issue = module == "components.bridge.issue" and room == "desk"
            if is_inside and not may_issue and module != "components.fx.book":
                yield f"{name}:{node.lineno} reaches into {module}"


def no_sqlite_outside_base(text: str, name: str) -> Offences:
    """One way to the disk: `base.database`."""
    if name.startswith("components/base/"):
        return
    for number, line in enumerate(text.splitlines(), 1):
        if re.search(r"\bsqlite3\s*\.\s*connect\b|^\s*from\s+sqlite3\b|^\s*import\s+sqlite3\s+as\b|\bcreate_engine\s*\(", line):
            yield f"{name}:{number} opens a database by itself"


def no_literal_pip(text: str, name: str) -> Offences:
    """A pip has its value in `fx.instrument` and nowhere else."""
    if name == "components/fx/instrument.py":
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NUMBER and re.fullmatch(r"0?\.0001|0?\.00001|1e-0?[45]", token.string, re.IGNORECASE):
            yield f"{name}:{token.start[0]} has the literal {token.string}"
    for node in ast.walk(ast.parse(text)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        value = getattr(node, "value", None)
        is_number = isinstance(value, ast.Constant) and isinstance(value.value, float)
        if is_number and any(re.search(r"(^|_)(pip|point)(_size)?$", word, re.IGNORECASE) for word in names):
            yield f"{name}:{getattr(node, 'lineno', 0)} gives a pip or point a value"


def no_naive_times(text: str, name: str) -> Offences:
    """Instants carry a zone."""
    for node in ast.walk(ast.parse(text)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        owner, call = ast.unparse(node.func.value), node.func.attr
        is_clock = owner.split(".")[-1] in ("datetime", "Timestamp", "date")
        if is_clock and (call in ("utcnow", "utcfromtimestamp", "today") or (call == "now" and not node.args and not node.keywords)):
            yield f"{name}:{node.lineno} {owner}.{call}() has no zone"


def short_enough(text: str, name: str) -> Offences:
    """A file that wants more than 400 lines is two."""
    lines = len(text.splitlines())
    if lines > MAX_LINES:
        yield f"{name} has {lines} lines; at most {MAX_LINES}"


def documented(text: str, name: str) -> Offences:
    """Every public function, class and method says what it does."""
    tree = ast.parse(text)
    if not ast.get_docstring(tree):
        yield f"{name} has no docstring"
    waiting: list[tuple[ast.AST, str]] = [(tree, "")]
    while waiting:
        parent, prefix = waiting.pop()
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                if not ast.get_docstring(node) and not any("overload" in ast.unparse(decorator) for decorator in node.decorator_list):
                    yield f"{name}:{node.lineno} {prefix}{node.name} has no docstring"
                if isinstance(node, ast.ClassDef):
                    waiting.append((node, f"{node.name}."))


RULES: tuple[Rule, ...] = (fronts_used, no_sqlite_outside_base, no_literal_pip, no_naive_times, short_enough, documented)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_file_of_the_platform_keeps_the_rule(rule: Rule) -> None:
    checked = [*SOURCES, *SHARED] if rule in (short_enough, documented) else [*SOURCES, *SHARED, *DOORS]
    offences = [offence for path in checked for offence in rule(path.read_text(), path.relative_to(ROOT).as_posix())]
    assert len(SOURCES) > 15, "the rules were shown the real files"
    assert len(SHARED) > 5, "and what the pages share"
    assert offences == []


PLANTED = [
    (fronts_used, "from components.fx.errors import BadInput", "components/jobs/x.py"),
    (fronts_used, "import components.jobs.store", "pages/x.py"),
    (fronts_used, "from components.desk.store import DeskStore", "pages/_shared/x.py"),
    (fronts_used, "from components.bridge.issue import issue_signals", "components/backtest/x.py"),
    (no_sqlite_outside_base, "from sqlite3 import connect\n", "components/jobs/store.py"),
    (no_sqlite_outside_base, "db = sqlite3.connect('x')", "api_server.py"),
    (no_literal_pip, "distance = 20 * 0.0001", "components/risk/x.py"),
    (no_literal_pip, "distance = 20 * 1e-4", "components/risk/x.py"),
    (no_literal_pip, "x = .00001", "components/fx/bars.py"),
    (no_literal_pip, "PIP_SIZE = 0.01", "components/risk/x.py"),
    (no_literal_pip, "pip: float = 0.01", "components/risk/x.py"),
    (no_naive_times, "now = datetime.utcnow()", "components/desk/x.py"),
    (no_naive_times, "now = datetime.datetime.now()", "components/desk/x.py"),
    (no_naive_times, "now = pd.Timestamp.now()", "components/desk/x.py"),
    (no_naive_times, "now = date.today()", "components/desk/x.py"),
    (short_enough, "x = 1\n" * 401, "components/desk/x.py"),
    (documented, "x = 1", "components/desk/x.py"),
    (documented, '"""Doc."""\ndef f(): pass', "components/desk/x.py"),
    (documented, '"""Doc."""\nclass A:\n    """Doc."""\n    def f(self): pass', "components/desk/x.py"),
]
ALLOWED = [
    (fronts_used, "from components.fx import BadInput\nfrom components.jobs.store import JobStore", "components/jobs/x.py"),
    (fronts_used, "from components.bridge.issue import issue_signals", "components/desk/x.py"),
    (no_sqlite_outside_base, "db = sqlite3.connect('x')", "components/base/database.py"),
    (no_sqlite_outside_base, "import sqlite3\ndriver: sqlite3.Connection", "components/bridge/ticks.py"),
    (no_literal_pip, "pip_size = 0.0001", "components/fx/instrument.py"),
    (no_literal_pip, "# not 0.0001\nspread_points = 10.0\npip_value = pair.pip_value(rate)\nx = 0.01", "components/risk/x.py"),
    (no_naive_times, "now = datetime.now(UTC)\nlater = clock.now()", "components/desk/x.py"),
    (short_enough, "x = 1\n" * 400, "components/desk/x.py"),
    (documented, '"""Doc."""\ndef _f(): pass', "components/desk/x.py"),
]


@pytest.mark.parametrize(("rule", "text", "name"), PLANTED)
def test_a_planted_offence_is_found(rule: Rule, text: str, name: str) -> None:
    assert list(rule(text, name))


@pytest.mark.parametrize(("rule", "text", "name"), ALLOWED)
def test_what_is_allowed_is_left_alone(rule: Rule, text: str, name: str) -> None:
    assert list(rule(text, name)) == []


@pytest.mark.parametrize("room", ROOMS)
def test_the_front_of_a_room_names_what_exists(room: str) -> None:
    script = (
        "import importlib, inspect, sys\n"
        "front = importlib.import_module(f'components.{sys.argv[1]}')\n"
        "names = front.__all__\n"
        "assert names and len(set(names)) == len(names), 'names are there twice'\n"
        "missing = [name for name in names if not hasattr(front, name)]\n"
        "things = [getattr(front, name) for name in names if name not in missing]\n"
        "bare = [t.__name__ for t in things if (inspect.isclass(t) or inspect.isroutine(t)) and not inspect.getdoc(t)]\n"
        "assert not missing and not bare, f'missing: {missing}; without docstring: {bare}'"
    )
    run = subprocess.run([sys.executable, "-c", script, room], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
