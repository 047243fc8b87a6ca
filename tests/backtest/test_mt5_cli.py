"""The Strategy Tester's commands as a person types them: import, compare, signals, report, export."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lookalikes_mt5 import optimisation_xml, report_html, sample_fills, with_

from components.backtest import clock_named
from components.fx import BadInput
from components.jobs import JobStore
from components.orchestrator import job_functions
from components.orchestrator.kinds import parsed
from tests.orchestrator.command import Command


@pytest.fixture
def sequence(home: Path) -> Command:
    return Command(home)


def test_a_report_is_imported_compared_and_written_as_files(sequence: Command, home: Path, tmp_path: Path) -> None:
    fills = sample_fills()
    (tmp_path / "one.html").write_bytes(report_html(fills, "zh"))
    (tmp_path / "two.html").write_bytes(report_html([with_(fill, commission=fill.commission - 1) for fill in fills[1:]]))
    one = sequence.json("mt5", "import", str(tmp_path / "one.html"), "--name", "mine", "--clock", "us:2")
    two = sequence.json("mt5", "import", str(tmp_path / "two.html"), "--clock", "us:2")
    assert (one["name"], one["trades"], two["trades"]) == ("mine", 40, 39)
    study = sequence.json("mt5", "compare", one["id"], two["id"], "--clock", "us:2")
    assert (study["matched"], study["missing"]) == (39, 1)
    said = sequence.many(
        ("mt5", "compare", one["id"], two["id"], "--clock", "us:2"),
        ("mt5", "import", str(tmp_path / "one.html")),
        ("report", one["id"], "--out", str(tmp_path / "page.html")),
        ("backtest", "export", one["id"], str(tmp_path / "out")),
    )
    assert [done.returncode for done in said] == [0, 0, 0, 0], [done.stderr for done in said]
    assert "missing" in said[0].stdout
    assert "39 trades matched" in said[0].stdout
    assert (tmp_path / "page.html").read_text().startswith("<!DOCTYPE html>")
    assert (tmp_path / "out" / "trades.csv").exists()


def test_what_is_wrong_is_said_with_an_exit_code(sequence: Command, tmp_path: Path) -> None:
    (tmp_path / "bad.html").write_bytes(report_html(sample_fills(), changes={12: "1.00"}))
    done = sequence.many(
        ("mt5", "import", str(tmp_path / "bad.html")),
        ("mt5", "import", str(tmp_path / "none.html")),
        ("mt5", "import", str(tmp_path / "bad.html"), "--clock", "mars:2"),
        ("mt5", "compare", "a", "b"),
        ("mt5", "signals", "a", str(tmp_path / "s.csv"), "--clock", "us:2"),
        ("report", "nobody"),
    )
    assert [one.returncode for one in done] == [2, 3, 2, 3, 3, 3]
    assert "total_net_profit: the report says 1.00" in done[0].stderr
    assert "us:2 is UTC+2" in done[2].stderr
    assert all("Traceback" not in one.stderr for one in done)


def test_an_optimisation_is_imported_by_the_same_command(sequence: Command, tmp_path: Path) -> None:
    (tmp_path / "passes.xml").write_bytes(optimisation_xml(12))
    study = sequence.json("mt5", "import", str(tmp_path / "passes.xml"))
    assert (study["kind"], study["result"]["passes"]) == ("optimisation", 12)


def test_a_comparison_can_wait_in_the_queue_and_keeps_its_study(home: Path, tmp_path: Path) -> None:
    from components.backtest import BacktestStore, import_report
    from components.jobs import Progress

    run = import_report(home, report_html(sample_fills()))
    payload = {"run_id": run.id, "report_run_id": run.id, "tolerance_bars": 2}
    assert parsed("mt5_compare", payload) == payload
    assert JobStore.open(home).submit("mt5_compare", payload).kind == "mt5_compare"
    kept: list[dict[str, str]] = []
    progress = Progress(lambda fraction, message, metrics, checkpoint: kept.append(checkpoint) if checkpoint else None)
    result = job_functions(home)["mt5_compare"](payload, progress)
    assert kept[0]["study_id"] == result["study_id"]
    assert BacktestStore.open(home).studies.study(result["study_id"]).state == "done"
    json.dumps(result, allow_nan=False)


@pytest.mark.parametrize(
    "payload",
    [{}, {"run_id": "a"}, {"run_id": "a", "report_run_id": "b", "clock": "x"}, {"run_id": "a", "report_run_id": "b", "tolerance_bars": "three"}, {"run_id": "a", "report_run_id": "b", "x": 1}],
)  # fmt: skip
def test_a_wrong_payload_is_refused_before_it_waits(payload: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        parsed("mt5_compare", payload)


def test_a_clock_is_named_by_rule_and_hours() -> None:
    assert [(clock.rule, clock.offset_winter_minutes) for clock in map(clock_named, ("us:2", "EU:-3", "none:5.5")) if clock] == [
        ("us", 120),
        ("eu", -180),
        ("none", 330),
    ]
    assert clock_named(None) is None
    for text in ("", "us", "us:", "us:99", "us:nan", "moon:1", "us:2.001"):
        with pytest.raises(BadInput, match="clock"):
            clock_named(text)
