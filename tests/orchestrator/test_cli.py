"""The command line as a person and a program use it: real processes, their answers and exit codes."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.fx import BadInput
from components.jobs import JobStore
from components.orchestrator import PlatformStore, job_functions
from components.orchestrator.cli_output import chosen, plain
from tests.orchestrator.command import Command, refused


@pytest.fixture
def sequence(home: Path) -> Command:
    return Command(home)


@pytest.fixture
def worker(sequence: Command) -> Iterator[subprocess.Popen[bytes]]:
    process = sequence.start("worker")
    yield process
    if process.poll() is None:
        process.kill()
    process.wait()


def test_help_names_every_command_in_half_a_second(sequence: Command) -> None:
    sequence("--help")
    took = []
    for _ in range(3):
        began = time.perf_counter()
        done = sequence("--help")
        took.append(time.perf_counter() - began)
    assert min(took) < 0.5
    assert done.returncode == 0
    wanted = "up down status migrate first-data hardware sources collect import rates news bars quality features dataset jobs worker train models"
    more = "strategies backtest compare ledger deploy halt resume signals twin desk api dashboard terminal"
    for name in (*wanted.split(), *more.split()):
        assert f" {name} " in done.stdout, name


def test_an_empty_platform_answers_every_question(sequence: Command) -> None:
    assert sequence.json("jobs", "list") == []
    assert sequence.json("models", "list") == []
    assert sequence.json("bars", "list") == []
    assert sequence.json("dataset", "list") == []
    assert sequence.json("ledger") == []
    assert sequence.json("signals") == []
    status = sequence.json("status")
    assert (status["processes"], status["first_data"], status["supervisor_pid"]) == ([], [], None)
    assert (status["trading_state"], status["reason"]) == ("ACTIVE", "")
    assert sequence.many(("status",))[0].stdout.startswith("The platform does not run on")
    assert "No jobs yet." in sequence.many(("jobs", "list"))[0].stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("jobs", "show", "nothing"), 3, "there is no job 'nothing'"),
        (("quality", "show", "nothing"), 3, "there is no bar set 'nothing'"),
        (("quality",), 3, "no bars are collected yet; begin with: sequence collect"),
        (("train",), 3, "no dataset is built yet; begin with: sequence dataset build"),
        (("models", "show", "nothing"), 3, "nothing"),
        (("collect", "--source", "moon"), 2, "source: 'moon' is unknown"),
        (("collect", "--timeframe", "H7"), 2, "timeframe: 'H7' is unknown"),
        (("jobs", "submit", "dig"), 2, "kind: 'dig' is unknown; use one of collect, resample, repair, cross_check, check_features, dataset"),
        (("jobs", "submit", "collect", "--payload", "{"), 2, "payload: is not JSON"),
        (("jobs", "submit", "collect", "--payload", "[1]"), 2, "payload: is not a JSON object"),
        (("jobs", "submit", "collect", "--payload", '{"source": "sample", "symbol": "EURUSD"}'), 2, "timeframe: is missing"),
        (("jobs", "submit", "dataset", "--payload", '{"bar_set_id": "b", "recipe": {"embargo": 1}}'), 2, "embargo: is unknown; known are features"),
        (
            ("jobs", "submit", "export", "--payload", '{"dataset_id": "d", "path": "p", "format": "xlsx"}'),
            2,
            "format: 'xlsx' is unknown; use parquet",
        ),
        (
            ("jobs", "submit", "export", "--payload", '{"dataset_id": "d", "path": "p", "format": "csv", "overwrite": 1}'),
            2,
            "overwrite: 1 is neither",
        ),
        (("jobs", "submit", "repair", "--payload", '{"bar_set_id": "b", "kinds": ["x"], "by": "A"}'), 2, "kinds: 'x' is no repair; known are sort"),
        (("jobs", "submit", "repair", "--payload", '{"bar_set_id": "b", "kinds": [], "by": "A"}'), 2, "kinds: name one of sort"),
        (("jobs", "submit", "resample", "--payload", '{"bar_set_id": "b", "timeframe": "H7"}'), 2, "timeframe: 'H7' is unknown"),
        (("jobs", "submit", "cross_check", "--payload", '{"bar_set_id": "b", "x": 1}'), 2, "x"),
        (("jobs", "submit", "check_features", "--payload", '{"bar_set_id": "b", "features": ["magic"]}'), 2, "magic"),
        (("jobs", "submit", "train", "--payload", '{"dataset_id": "d", "folds": 999}'), 2, "folds: 999: input should be"),
        (("jobs", "submit", "backtest", "--payload", '{"strategy": "moon", "bar_set_id": "b"}'), 2, "strategy: 'moon' is unknown"),
        (("jobs", "list", "--state", "lost"), 2, "state: 'lost' is unknown"),
        (("signals", "--state", "lost"), 2, "state: 'lost' is unknown"),
        (("train", "--dataset", "x", "--set", "folds"), 2, "set: 'folds' is not name=value"),
        (("jobs", "list", "--limit", "0"), 2, "--limit"),
        (("no-such-command",), 2, "no-such-command"),
        (("down",), 3, "no platform runs on"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence_with_the_exit_code_of_its_kind(
    sequence: Command, arguments: tuple[str, ...], code: int, words: str
) -> None:
    refused(sequence.many(arguments)[0], code, words)


@pytest.mark.slow
def test_from_prices_to_a_model_on_the_command_line(sequence: Command) -> None:
    collected = sequence.json("collect")
    assert collected["rows"] == 5000
    assert sequence.json("collect")["bar_set_id"] == collected["bar_set_id"]
    assert sequence.json("quality")["score"] == collected["quality_score"]
    built = sequence.json("dataset", "build", "--set", "train_fraction=0.6")
    assert sequence.json("dataset", "show", built["dataset_id"])["recipe"]["train_fraction"] == 0.6
    trained = sequence.json("train", "--set", "folds=2", "--set", "rounds=10")
    assert [model["id"] for model in sequence.json("models", "list")] == [trained["model_id"]]
    assert {trial["kind"] for trial in sequence.json("ledger")} == {"cv_fold", "holdout"}
    assert collected["bar_set_id"] in sequence.many(("bars", "list"))[0].stdout


@pytest.mark.slow
def test_backtests_are_run_compared_and_shown(sequence: Command) -> None:
    bars = sequence.json("collect")["bar_set_id"]
    names = [strategy["name"] for strategy in sequence.json("strategies", "list")]
    assert names == ["sma_cross", "atr_breakout", "pullback", "model_edge"]
    fast = sequence.json("backtest", "run", "sma_cross", "-p", "fast=5", "-p", "slow=20")
    slow = sequence.json("backtest", "run", "sma_cross", "--policy", "reference", "--set", "name=slow")
    assert sequence.json("backtest", "show", fast["run_id"])["params"]["fast"] == 5
    assert (sequence.json("backtest", "show", slow["run_id"])["policy"], sequence.json("backtest", "show", slow["run_id"])["bar_set_id"]) == (
        "reference",
        bars,
    )
    assert len(sequence.json("backtest", "show", fast["run_id"], "--trades")) == fast["trades"] > 0
    comparison = sequence.json("compare", fast["run_id"], slow["run_id"], "--by", "return")
    best = fast if fast["total_return"] >= slow["total_return"] else slow
    assert comparison["winner_id"] == best["run_id"]
    assert (
        f"Best by drawdown: {min((fast, slow), key=lambda run: run['max_drawdown'])['run_id']}"
        in sequence("compare", fast["run_id"], slow["run_id"], "--by", "drawdown").stdout
    )
    assert {run["id"] for run in sequence.json("backtest", "list")} == {fast["run_id"], slow["run_id"]}
    assert [trial["kind"] for trial in sequence.json("ledger", "--family", "sma_cross")] == ["backtest", "backtest"]
    for arguments, code, words in (
        (("backtest", "run", "no_such"), 2, "no_such"),
        (("backtest", "run", "sma_cross", "-p", "fast=900"), 2, "fast"),
        (("backtest", "run", "model_edge"), 3, "no model is trained yet"),
        (("backtest", "show", "no_such"), 3, "no_such"),
        (("compare", fast["run_id"], slow["run_id"], "--by", "luck"), 2, "luck"),
        (("backtest", "import", "/no/such/file"), 2, "cannot be read"),
    ):
        (done,) = sequence.many(arguments)
        assert (done.returncode, words in done.stderr, "Traceback" in done.stderr) == (code, True, False), done.stderr
    assert sequence("backtest", "import", "-", text="[]").returncode == 2
    assert sequence("backtest", "import", "-", text="{}").returncode == 2


@pytest.mark.slow
def test_deployments_are_made_armed_and_halted(sequence: Command) -> None:
    sequence.json("collect")
    made = sequence.json("deploy", "create", "--account", "a-1", "--strategy", "pullback", "-p", "trend=50")
    assert (made["state"], made["spec"]["params"]["trend"]) == ("disarmed", 50)
    assert sequence.json("deploy", "arm", made["id"])["state"] == "armed"
    assert [(row["account_id"], row["state"]) for row in sequence.json("deploy", "list")] == [("a-1", "armed")]
    assert "trend=50" in sequence.many(("deploy", "list"))[0].stdout
    text = sequence("deploy", "create", "--account", "a-2", "--strategy", "sma_cross", "-p", "fast=7").stdout
    facts = dict(line.split(maxsplit=1) for line in text.splitlines() if " " in line.strip())
    assert (facts["account_id"], facts["params.fast"].strip(), facts["state"].strip(), "see --json" in text) == ("a-2", "7", "disarmed", False)
    done = sequence.many(("deploy", "archive", made["id"]))[0]
    assert (done.returncode, "disarm it before it is archived" in done.stderr) == (4, True)
    assert sequence.json("deploy", "disarm", made["id"])["state"] == "disarmed"
    assert sequence.json("deploy", "archive", made["id"])["id"] == made["id"]
    assert [row["account_id"] for row in sequence.json("deploy", "list")] == ["a-2"]
    assert sequence.json("halt", "news")["trading_state"] == "HALTED"
    status = sequence.json("status")
    assert (status["trading_state"], status["reason"]) == ("HALTED", "news")
    assert "Trading is HALTED: news." in sequence.many(("status",))[0].stdout
    assert sequence.json("resume")["trading_state"] == "ACTIVE"
    for arguments, code in (
        (("deploy", "arm", "no_such"), 3),
        (("deploy", "create", "--account", "a", "--strategy", "no_such"), 2),
        (("deploy", "create", "--account", "a", "--strategy", "pullback", "--timeframe", "H7"), 2),
        (("twin", "no_such"), 3),
        (("signals", "no_such"), 3),
        (("terminal",), 2),
        (("terminal", "--demo"), 3),
        (("terminal", "--account", "a-1", "--free"), 2),
    ):
        (done,) = sequence.many(arguments)
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), (arguments, done.stderr)


def test_a_queued_job_is_done_by_a_worker_and_watched(sequence: Command, worker: subprocess.Popen[bytes]) -> None:
    job = sequence.json("collect", "--queue")
    assert job["state"] == "queued"
    done = sequence("jobs", "watch", job["id"], "--json")
    assert (done.returncode, json.loads(done.stdout)["result"]["rows"]) == (0, 5000)
    assert "collect" in done.stderr
    wrong = sequence.json("jobs", "submit", "dataset", "--payload", '{"bar_set_id": "nothing"}')
    done = sequence.many(("jobs", "watch", wrong["id"]))[0]
    assert (done.returncode, f"job {wrong['id']} failed: there is no bar set 'nothing'" in done.stderr) == (1, True)
    assert "there is no bar set 'nothing'" in sequence.many(("jobs", "list"))[0].stdout
    worker.terminate()
    assert worker.wait(timeout=5) == 0
    waiting = sequence.json("collect", "--queue")
    assert sequence.json("jobs", "cancel", waiting["id"])["state"] == "cancelled"


def test_readings_of_the_machine_have_no_gpu_as_a_normal_answer(sequence: Command) -> None:
    reading = sequence.json("hardware")
    assert reading["cores"] >= 1
    assert reading["gpus"] or reading["gpu_note"]
    assert sequence.json("hardware", "--history", "5") == []


def test_a_job_names_the_field_that_is_missing(home: Path) -> None:
    from components.jobs import Progress

    functions = job_functions(home)
    fields = {"collect": "source", "resample": "bar_set_id", "repair": "bar_set_id", "cross_check": "bar_set_id", "check_features": "bar_set_id",
              "dataset": "bar_set_id", "export": "format", "train": "dataset_id", "backtest": "strategy",
              "portfolio": "legs", "sweep": "strategy", "walkforward": "strategy", "honesty": "run_id", "audit": "strategy",
              "mt5_compare": "run_id"}  # fmt: skip
    assert sorted(functions) == sorted(fields)
    for kind, field in fields.items():
        with pytest.raises(BadInput, match=field):
            functions[kind]({}, Progress())


def test_the_steps_of_the_first_data_are_kept(home: Path) -> None:
    store = PlatformStore.open(home)
    store.begin_step("collect", "waiting", "job-1")
    assert (store.steps()[0].state, store.steps()[0].job_id) == ("running", "job-1")
    store.end_step("collect", "done", "5,000 bars", {"bar_set_id": "b"})
    store.begin_step("quality", "")
    step = store.step("collect")
    assert step is not None
    assert (step.state, step.message, step.result) == ("done", "5,000 bars", {"bar_set_id": "b"})
    assert [step.name for step in store.steps()] == ["collect", "quality"]


def test_pairs_are_read_as_json_where_they_can_be() -> None:
    assert chosen(["fast=10", "edge=0.5", "name=a=b", 'target={"horizon_bars": 4}', "on=true"], "set") == {
        "fast": 10,
        "edge": 0.5,
        "name": "a=b",
        "target": {"horizon_bars": 4},
        "on": True,
    }
    with pytest.raises(BadInput, match="param: '=3' is not name=value"):
        chosen(["=3"], "param")


def test_an_answer_has_no_nan_and_no_object_that_json_lacks(home: Path) -> None:
    import numpy as np
    import pandas as pd

    job = JobStore.open(home).submit("collect", {})
    document = plain(
        {
            "nan": float("nan"),
            "array": np.array([1.0, np.inf]),
            "job": job,
            "frame": pd.DataFrame({"a": [1]}),
            "path": home,
            "one": np.int64(3),
            "floats": [np.float64(1.5), np.float64("nan")],
        }
    )
    assert (document["nan"], document["array"], document["path"], document["one"]) == (None, [1.0, None], str(home), 3)
    assert [type(value) for value in document["floats"]] == [float, type(None)], "a numpy float is a float too, and no JSON"
    assert document["job"]["kind"] == "collect"
    assert document["frame"] == [{"index": 0, "a": 1}]
    json.dumps(document)
