"""The trial ledger: everything is written down, nothing is changed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from components.base import ROOT
from components.fx import BadInput
from components.ledger import Trial, TrialGroup, TrialLedger, code_version, groups
from components.ledger.code import _version_of


@pytest.fixture
def ledger(home: Path) -> TrialLedger:
    return TrialLedger.open(home)


def append(ledger: TrialLedger, family: str = "breakout", **changes: object) -> str:
    """A plausible trial with some words changed."""
    trial = {
        "family": family,
        "strategy": "donchian",
        "params": {"length": 20},
        "dataset_id": "d1",
        "code_version": "abc",
        "kind": "backtest",
        "state": "done",
        "metrics": {"sharpe": 0.5},
        "returns_digest": "00ff",
    }
    return ledger.append(**{**trial, **changes})  # type: ignore[arg-type]


def test_a_trial_is_read_back_as_it_was_written(ledger: TrialLedger, home: Path) -> None:
    number = append(ledger, metrics={"sharpe": np.float64(0.5), "trades": np.int64(7), "factor": float("inf")})
    (trial,) = TrialLedger.open(home).list()
    expected = Trial(
        number,
        "breakout",
        "donchian",
        {"length": 20},
        "d1",
        "abc",
        "backtest",
        "done",
        {"sharpe": 0.5, "trades": 7, "factor": float("inf")},
        "00ff",
        trial.created_ms,
    )
    assert trial == expected


def test_failed_and_discarded_trials_count_too_and_families_are_counted_apart(ledger: TrialLedger) -> None:
    for state in ("done", "failed", "discarded"):
        append(ledger, state=state, code_version=state, dataset_id=None, returns_digest=None)
    append(ledger, "grid")
    assert (ledger.count(), ledger.count("breakout"), ledger.count("grid"), ledger.count("none")) == (4, 3, 1, 0)
    assert [trial.state for trial in ledger.list("breakout")] == ["discarded", "failed", "done"]
    assert [trial.family for trial in ledger.list(limit=1)] == ["grid"]


def test_all_trials_are_counted_by_family_kind_and_state(ledger: TrialLedger) -> None:
    assert groups(ledger) == []
    for state in ("done", "failed", "discarded", "done"):
        append(ledger, state=state)
    append(ledger, "grid", kind="sweep_point")
    append(ledger, kind="cv_fold", state="failed")
    expected = [
        TrialGroup("breakout", "backtest", "discarded", 1),
        TrialGroup("breakout", "backtest", "done", 2),
        TrialGroup("breakout", "backtest", "failed", 1),
        TrialGroup("breakout", "cv_fold", "failed", 1),
        TrialGroup("grid", "sweep_point", "done", 1),
    ]
    assert groups(ledger) == expected
    assert [trial.kind for trial in ledger.list(limit=1, state="failed")] == ["cv_fold"]
    assert [trial.state for trial in ledger.list("breakout", state="done")] == ["done", "done"]
    assert ledger.list("grid", state="failed") == []


def test_the_same_trial_twice_is_two_trials_unless_the_sender_names_it(ledger: TrialLedger) -> None:
    assert append(ledger) != append(ledger)
    assert append(ledger, trial_id="job7-fold1") == append(ledger, trial_id="job7-fold1") == "job7-fold1"
    assert ledger.count() == 3


def trial_of(**changes: object) -> dict[str, object]:
    """A trial for `append_many`."""
    plain = {"family": "f", "strategy": "s", "params": {}, "dataset_id": None, "code_version": "v", "kind": "sweep_point", "state": "done"}
    return {**plain, "metrics": {"sharpe": np.float64(1.5)}, **changes}


def test_many_trials_are_written_at_once_and_counted_once(ledger: TrialLedger) -> None:
    rows = [trial_of(params={"n": n}, trial_id=f"study-{n}", returns_digest=f"{n:04x}") for n in range(5)]
    assert ledger.append_many(rows) == 5
    assert ledger.append_many([*rows, trial_of(trial_id="study-5")]) == 1, "a sweep that is resumed counts its points once"
    assert ledger.append_many([]) == 0
    assert ledger.count("f") == 6
    newest = ledger.list("f")
    assert (newest[1].params, newest[1].returns_digest, newest[1].metrics, newest[0].returns_digest) == ({"n": 4}, "0004", {"sharpe": 1.5}, None)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (trial_of(state="lost"), "state"),
        (trial_of(colour="red"), "trials.1.colour"),
        ({name: value for name, value in trial_of().items() if name != "kind"}, "trials.1.kind"),
    ],
)
def test_of_many_trials_none_is_written_where_one_is_wrong(ledger: TrialLedger, wrong: dict[str, object], field: str) -> None:
    with pytest.raises(BadInput) as refused:
        ledger.append_many([trial_of(), wrong])
    assert (refused.value.field, ledger.count()) == (field, 0)


@pytest.mark.parametrize("statement", ["UPDATE trials SET state = 'done'", "DELETE FROM trials"])
def test_nothing_in_the_ledger_can_be_changed_or_deleted(ledger: TrialLedger, statement: str) -> None:
    append(ledger, state="failed")
    with pytest.raises(sa.exc.IntegrityError, match="append-only"), ledger.database.write() as connection:
        connection.exec_driver_sql(statement)
    assert [trial.state for trial in ledger.list()] == ["failed"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"family": ""}, "family"),
        ({"state": "lost"}, "state"),
        ({"params": {"x": object()}}, "params"),
        ({"metrics": 3}, "metrics"),
        ({"kind": ""}, "kind"),
    ],
)
def test_a_trial_that_cannot_be_counted_is_refused_by_field(ledger: TrialLedger, changes: dict, field: str) -> None:
    with pytest.raises(BadInput) as refused:
        append(ledger, **changes)
    assert refused.value.field == field
    assert ledger.count() == 0


def test_processes_that_append_at_once_lose_nothing(home: Path, ledger: TrialLedger) -> None:
    script = (
        "import sys; from pathlib import Path; from components.ledger import TrialLedger\n"
        "ledger = TrialLedger.open(Path(sys.argv[1]))\n"
        "for n in range(50): ledger.append('f', 's', {'n': n}, None, 'v', 'backtest', 'done', {})"
    )
    writers = [subprocess.Popen([sys.executable, "-c", script, str(home)], cwd=ROOT) for _ in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert ledger.count("f") == 150
    assert sorted(trial.params["n"] for trial in ledger.list(limit=1000)) == sorted(list(range(50)) * 3)


def test_the_code_version_names_the_commit_and_tells_changed_code_apart(tmp_path: Path) -> None:
    source = tmp_path / "components" / "a.py"
    source.parent.mkdir()
    source.write_text("x = 1\n")
    without_git = _version_of(tmp_path)
    assert without_git.startswith("package-")

    def git(*arguments: str) -> str:
        named = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
        return subprocess.run(("git", *named, *arguments), cwd=tmp_path, check=True, capture_output=True, text=True).stdout.strip()

    git("init")
    git("add", ".")
    git("commit", "-m", "one")
    commit = git("rev-parse", "HEAD")[:12]
    assert _version_of(tmp_path) == commit
    source.write_text("x = 2\n")
    changed = _version_of(tmp_path)
    assert changed.startswith(commit + "+")
    source.write_text("x = 3\n")
    assert _version_of(tmp_path) not in (commit, changed)
    assert _version_of(tmp_path / "components").startswith("package-"), "a checkout around the platform is not the platform's"


def test_the_code_version_of_this_process_is_known_and_stable() -> None:
    assert code_version()
    assert code_version() == code_version()
