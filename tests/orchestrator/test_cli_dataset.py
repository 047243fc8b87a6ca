"""The commands about datasets, as processes: build, list, show, diff, export, delete."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from components.pipeline import load_dataset
from tests.orchestrator.command import Command, refused

pytestmark = pytest.mark.slow

FEW = ("--set", 'features=["return_1","rsi_14","H4.rsi_14"]')


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> tuple[Command, str, str]:
    """The sample and two datasets of it."""
    sequence = Command(tmp_path_factory.mktemp("datasets") / "output_central")
    _, first, second = sequence.answers(
        ("collect",),
        ("dataset", "build", *FEW),
        ("dataset", "build", *FEW, "--set", "train_fraction=0.6", "--set", "normalise=standard", "--set", 'select={"most_features": 2}'),
    )
    return sequence, first["dataset_id"], second["dataset_id"]


def test_the_same_recipe_is_the_same_dataset_and_another_one_is_another(platform: tuple[Command, str, str]) -> None:
    sequence, first, second = platform
    again, listed, shown = sequence.answers(("dataset", "build", *FEW), ("dataset", "list"), ("dataset", "show", second))
    assert again["dataset_id"] == first
    assert {one["id"] for one in listed} == {first, second}
    assert (shown["recipe"]["train_fraction"], shown["recipe"]["normalise"], shown["recipe"]["select"]["most_features"]) == (0.6, "standard", 2)
    assert len(shown["transform"]["features"]) == 2
    assert shown["lineage"]["sources"] == ["sample"]
    text, names = sequence.many(("dataset", "show", first), ("dataset", "list"))
    assert "recipe.features" in text.stdout
    assert first in names.stdout


def test_a_difference_names_the_fields_rows_and_columns(platform: tuple[Command, str, str]) -> None:
    sequence, first, second = platform
    found, same = sequence.answers(("dataset", "diff", first, second), ("dataset", "diff", first, first))
    assert found["recipe"]["train_fraction"] == [0.7, 0.6]
    assert found["recipe"]["normalise"] == ["none", "standard"]
    assert len(found["columns_only_a"]) == 1
    assert found["moved"]["count"] > 0
    assert not found["is_same"]
    assert same["is_same"]
    assert same["recipe"] == {}
    (text,) = sequence.many(("dataset", "diff", first, second))
    assert "train_fraction" in text.stdout


def test_an_export_holds_the_rows_and_never_writes_over_a_file_unasked(platform: tuple[Command, str, str], tmp_path: Path) -> None:
    sequence, first, _ = platform
    path, text = tmp_path / "out" / "set.parquet", tmp_path / "set.csv"
    done, csv = sequence.answers(("dataset", "export", first, str(path)), ("dataset", "export", first, str(text), "--format", "csv"))
    frames = load_dataset(sequence.home, first)
    read = pd.read_parquet(path)
    assert (done["rows"], len(read)) == (len(frames.train) + len(frames.test),) * 2
    assert (read[read["part"] == "test"]["rsi_14"].to_numpy() == frames.test["rsi_14"].to_numpy()).all()
    assert csv["rows"] == done["rows"]
    there, replaced, form = sequence.many(
        ("dataset", "export", first, str(path)),
        ("dataset", "export", first, str(path), "--replace", "--json"),
        ("dataset", "export", first, str(path), "--format", "xlsx"),
    )
    refused(there, 4, f"{path} is there already; name another file or allow it to be replaced")
    assert json.loads(replaced.stdout)["sha256"] == done["sha256"]
    refused(form, 2, "format: 'xlsx' is unknown; use parquet or csv")


def test_a_dataset_that_a_model_came_from_is_deleted_by_force_only(platform: tuple[Command, str, str]) -> None:
    sequence, _, _ = platform
    (built,) = sequence.answers(("dataset", "build", *FEW, "--set", "embargo_bars=20"))
    one = built["dataset_id"]
    (model,) = sequence.answers(("train", "--dataset", one, "--set", "folds=2", "--set", "rounds=5"))
    assert model["model_id"]
    (kept,) = sequence.many(("dataset", "delete", one))
    refused(kept, 4, f"dataset {one} is what model ")
    deleted, gone = sequence.many(("dataset", "delete", one, "--force", "--json"), ("dataset", "show", one))
    assert json.loads(deleted.stdout)["deleted"] == one
    assert json.loads(deleted.stdout)["were_made_from_it"]
    refused(gone, 3, f"there is no dataset '{one}'")
    (used,) = sequence.many(("bars", "delete", sequence.json("bars", "list")[0]["id"]))
    refused(used, 4, "is used by dataset")


def test_what_is_wrong_with_datasets_is_said_in_a_sentence(platform: tuple[Command, str, str]) -> None:
    sequence, first, _ = platform
    cases = [
        (("dataset", "build", "--bars", "nothing"), 3, "there is no bar set 'nothing'"),
        (("dataset", "build", "--set", "depth=3"), 2, "depth: is unknown; known are features"),
        (("dataset", "build", "--set", 'features=["magic"]'), 2, "magic"),
        (("dataset", "build", "--set", 'features=["GBPUSD.rsi_14"]'), 2, "others: feature GBPUSD.rsi_14 needs bars of GBPUSD"),
        (("dataset", "build", "--set", 'target={"kind": "oracle"}'), 2, "kind"),
        (("dataset", "build", "--set", 'target={"kind": "trend_scan", "min_bars": 9, "max_bars": 3}'), 2, "max_bars"),
        (("dataset", "build", "--set", "train_fraction=0.01"), 2, "train_fraction"),
        (("dataset", "build", "--set", 'select={"method": "luck"}'), 2, "method"),
        (("dataset", "build", "--set", 'others=["nothing"]'), 3, "there is no bar set 'nothing'"),
        (("dataset", "build", "--set", 'news=["USD"]'), 3, "there is no news of 'USD' kept"),
        (
            ("dataset", "build", *FEW, "--set", "embargo_bars=999", "--set", 'target={"horizon_bars": 500}', "--set", "train_fraction=0.06"),
            2,
            "training rows",
        ),
        (("dataset", "show", "nothing"), 3, "there is no dataset 'nothing'"),
        (("dataset", "diff", first, "nothing"), 3, "there is no dataset 'nothing'"),
        (("dataset", "export", "nothing", "x.parquet"), 3, "there is no dataset 'nothing'"),
        (("dataset", "delete", "nothing"), 3, "there is no dataset 'nothing'"),
    ]
    for done, (_, code, words) in zip(sequence.many(*(line for line, _, _ in cases)), cases, strict=True):
        refused(done, code, words)


def test_a_build_can_wait_for_a_worker_and_is_checked_before(platform: tuple[Command, str, str]) -> None:
    sequence, first, _ = platform
    build, export = sequence.answers(("dataset", "build", *FEW, "--queue"), ("dataset", "export", first, "set.parquet", "--queue", "--replace"))
    assert (build["kind"], build["state"]) == ("dataset", "queued")
    assert (export["payload"]["overwrite"], Path(export["payload"]["path"]).is_absolute()) == (True, True)
    (wrong,) = sequence.many(("dataset", "build", "--set", 'features=["magic"]', "--queue"))
    refused(wrong, 2, "magic")
