"""What the README shows is what happens."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from components.backtest import run_backtest
from components.base import ROOT, VERSION
from components.fx import Timeframe, instrument, validate_bars
from components.pipeline import fetch_bars
from components.strategy import strategy

README = (ROOT / "README.md").read_text()


def test_the_notebook_example_prints_what_the_readme_says() -> None:
    code = re.search(r"```python\n(.*?)```", README, re.S)
    promised = re.search(r"prints `(.*?)`", README)
    assert code is not None
    assert promised is not None
    done = subprocess.run([sys.executable, "-c", code[1]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == promised[1]


@pytest.mark.parametrize("name", ["sma_cross", "atr_breakout", "pullback"])
def test_the_first_runs_figures_are_those_of_the_strategies(name: str) -> None:
    shown = re.search(rf"backtest {name}\s+(\d+) trades, return (\S+)%", README)
    assert shown is not None
    bars = validate_bars(fetch_bars("sample", "EURUSD", Timeframe.H1))
    stats = run_backtest(strategy(name), None, bars, instrument=instrument("EURUSD")).stats
    assert (str(stats["trades"]), f"{stats['total_return']:+.2%}") == (shown[1], shown[2] + "%")


def test_everything_that_the_readme_names_exists() -> None:
    table = README[README.index("## Where things are") : README.index("## Not yet")]
    paths = [path for path in re.findall(r"`([\w./]+)`", table) if "/" in path and not path.startswith(("/", "http"))]
    assert "docs/decisions/" in paths
    missing = [path for path in paths if path != "output_central/" and not (ROOT / path).exists()]
    assert missing == []
    rooms = re.search(r"low to high: `(.*?)`", table)
    assert rooms is not None
    assert sorted(rooms[1].split()) == sorted(path.parent.name for path in (ROOT / "components").glob("*/__init__.py"))
    assert (ROOT / "docs/dashboard.png").exists()
    for module in re.findall(r"`(?:python -m )?benchmarks\.(\w+)`", table):
        assert (ROOT / "benchmarks" / f"{module}.py").exists()


def test_every_command_that_the_readme_names_is_a_command() -> None:
    help_text = subprocess.run([sys.executable, "-m", "components", "--help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = re.findall(r"^    sequence (.*?)  ", README, re.M)
    assert listed
    for command in (word for line in listed for word in line.split(" | ")):
        assert re.search(rf"\b{command.strip()}\b", help_text), f"sequence {command} is not in the help"


def test_the_scripts_of_the_readme_explain_themselves() -> None:
    done = subprocess.run(["./start_platform.sh", "--help"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "--demo" in done.stdout
    assert "SEQUENCE_API_PORT" in done.stdout


def test_there_is_one_version() -> None:
    assert f'version = "{VERSION}"' in (ROOT / "pyproject.toml").read_text()
    assert f"## {VERSION}" in (ROOT / "CHANGELOG.md").read_text()
