"""Datasets as versions: one id for one content, lineage, differences, export, and what goes with a deletion."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from components.base import ROOT, sha256_of
from components.features import FeatureInputs, check_target, compute_features
from components.fx import BadInput, Corrupt, NotFound, Refused, Timeframe, parse_payload, validate_bars
from components.pipeline import (
    BarSet,
    DatasetRecipe,
    PipelineStore,
    build_dataset,
    diff_datasets,
    export_dataset,
    load_dataset,
)
from components.pipeline.collect import keep_bars
from components.pipeline.lineage import formulas_version
from components.pipeline.news_store import NewsStore

KINDS = ("triple_barrier", "forward_return", "meta_label", "trend_scan")
BUILD = """
import json, sys
from pathlib import Path
from components.pipeline import build_dataset, collect
home = Path(sys.argv[1])
print(build_dataset(home, collect(home, "sample", "EURUSD", "H1").id, json.loads(sys.argv[2])).id)
"""


def test_another_process_in_another_home_gives_the_same_id(home: Path, bar_set: BarSet, tmp_path: Path) -> None:
    recipe = {"normalise": "quantile", "select": {"most_features": 8}, "target": {"kind": "trend_scan"}}
    here = build_dataset(home, bar_set.id, recipe)
    command = [sys.executable, "-c", BUILD, str(tmp_path / "elsewhere"), json.dumps(recipe)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert run.stdout.split()[-1] == here.id


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_target_makes_a_dataset_that_is_purged_by_its_horizon(kind: str, home: Path, bar_set: BarSet) -> None:
    dataset = build_dataset(home, bar_set.id, {"target": {"kind": kind}, "embargo_bars": 7})
    assert dataset.recipe.target.kind == kind
    frames = load_dataset(home, dataset.id)
    bars = PipelineStore.open(home).load_bars(bar_set.id)
    answer = dataset.recipe.target.compute(bars)
    rows = pd.concat([frames.train, frames.test])
    for column, of_target in (("label", "label"), ("label_value", "value"), ("label_end_row", "end_row")):
        np.testing.assert_array_equal(rows[column], answer[of_target].iloc[rows["row"]])
    assert set(rows["label"]) <= set(dataset.recipe.target.classes)
    first_test, horizon = int(frames.test["row"].iloc[0]), dataset.recipe.target.horizon_bars
    assert frames.train["row"].max() + horizon + 7 < first_test
    left_out = set(range(int(frames.train["row"].max()) + 1, first_test))
    assert all(row + horizon + 7 >= first_test for row in left_out)


def test_recipes_from_before_there_were_kinds_are_read_as_they_were(home: Path, bar_set: BarSet) -> None:
    old = (
        '{"features":["rsi_14","gap"],"target":{"horizon_bars":6,"up_atr":1.5,"down_atr":2.0,"atr_period":14},"train_fraction":0.7,"embargo_bars":12}'
    )
    recipe = DatasetRecipe.model_validate_json(old)
    assert (recipe.target.kind, recipe.normalise, recipe.select, recipe.others) == ("triple_barrier", "none", None, ())
    assert recipe == DatasetRecipe.model_validate_json(recipe.model_dump_json())
    assert "kind" not in DatasetRecipe.model_json_schema()["$defs"]["TripleBarrierTarget"]["properties"]  # a form has nothing to ask there


@pytest.mark.parametrize(
    ("recipe", "field", "said"),
    [
        ({"target": {"kind": "guess"}}, "target.kind", "triple_barrier"),
        ({"target": {"kind": "trend_scan", "horizon_bars": 5}}, "target.horizon_bars", "unknown"),
        ({"target": {"kind": "trend_scan", "min_bars": 9, "max_bars": 5}}, "target", "less than min_bars"),
        ({"target": {"kind": "meta_label", "side": "nothing_5"}}, "target.side", "unknown"),
        ({"target": {"kind": "forward_return", "threshold_atr": -1}}, "target.threshold_atr", "greater"),
        ({"normalise": "twice"}, "normalise", "standard"),
        ({"select": {"most_features": 0}}, "select.most_features", "greater"),
        ({"others": ["a", "a"]}, "others", "twice"),
    ],
)
def test_a_wrong_target_or_selection_is_refused_by_field(recipe: dict[str, Any], field: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as error:
        parse_payload(DatasetRecipe, recipe)
    assert error.value.field == field


def test_lineage_leads_to_the_bar_set_its_pieces_and_the_formulas(home: Path, bar_set: BarSet) -> None:
    lineage = build_dataset(home, bar_set.id).lineage
    assert [(one["id"], one["sha256"], one["kind"]) for one in lineage["bar_sets"]] == [(bar_set.id, bar_set.sha256, "collected")]
    (piece,) = lineage["pieces"]
    assert piece["source"] == "sample"
    assert len(piece["raw_sha256"]) == 64
    assert lineage["sources"] == ["sample"]
    assert lineage["formulas"] == formulas_version()
    assert json.loads(json.dumps(lineage)) == lineage


def test_lineage_follows_parents_also_deleted_ones(home: Path, bar_set: BarSet) -> None:
    bars = PipelineStore.open(home).load_bars(bar_set.id)
    made = keep_bars(home, "made", "EURUSD", Timeframe.H1, bars.iloc[:4000], 99.0, {}, parents=(bar_set.id, "gone"), made_by={"kind": "repaired"})
    lineage = build_dataset(home, made.id).lineage
    assert [(one["id"], one["kind"]) for one in lineage["bar_sets"]] == [(made.id, "repaired"), ("gone", "deleted"), (bar_set.id, "collected")]
    assert lineage["sources"] == ["made", "sample"]
    with pytest.raises(Refused, match="used by dataset"):
        PipelineStore.open(home).delete_bar_set(bar_set.id)  # a dataset rests on it, if only through another bar set


def test_nothing_is_built_on_quarantined_bars_unless_a_person_releases_them(home: Path, bar_set: BarSet) -> None:
    store = PipelineStore.open(home)
    store.set_state(bar_set.id, "quarantined", "the operator", "looks odd")
    with pytest.raises(Refused) as error:
        build_dataset(home, bar_set.id)
    assert bar_set.id in error.value.message
    store.set_state(bar_set.id, "released", "the operator", "looked at it: fine")
    assert build_dataset(home, bar_set.id).lineage["bar_sets"][0]["state"] == "released"


@pytest.fixture
def other(home: Path, bar_set: BarSet) -> BarSet:
    """Bars of another pair, with holes of their own."""
    bars = PipelineStore.open(home).load_bars(bar_set.id)
    random = np.random.default_rng(11)
    factor = np.exp(np.cumsum(random.normal(0.0, 0.001, len(bars))))[:, None]
    made = bars.copy()
    made[["open", "high", "low", "close"]] = bars[["open", "high", "low", "close"]].to_numpy() * factor
    return keep_bars(home, "made", "GBPUSD", Timeframe.H1, validate_bars(made[random.random(len(bars)) > 0.02]), 99.0, {})


def test_features_of_another_pair_come_from_the_bar_set_that_the_recipe_names(home: Path, bar_set: BarSet, other: BarSet) -> None:
    names = ("return_1", "GBPUSD.return_1", "GBPUSD.correlation_48", "H4.return_1")
    dataset = build_dataset(home, bar_set.id, {"features": names, "others": [other.id]})
    frames = load_dataset(home, dataset.id)
    store = PipelineStore.open(home)
    inputs = FeatureInputs("EURUSD", {"GBPUSD": store.load_bars(other.id)}, {}, Timeframe.H1)
    whole = compute_features(store.load_bars(bar_set.id), names, inputs)
    np.testing.assert_array_equal(frames.train[list(names)], whole.iloc[frames.train["row"]])
    assert [one["id"] for one in dataset.lineage["bar_sets"]] == [bar_set.id, other.id]
    assert store.datasets_built_on(other.id) == [dataset.id]
    with pytest.raises(Refused, match=dataset.id):
        store.delete_bar_set(other.id)
    store.set_state(other.id, "quarantined", "the operator", "looks odd")
    with pytest.raises(Refused, match=other.id):
        build_dataset(home, bar_set.id, {"features": names, "others": [other.id]})


def test_others_that_do_not_fit_are_refused(home: Path, bar_set: BarSet, other: BarSet) -> None:
    with pytest.raises(BadInput, match="needs bars of GBPUSD"):
        build_dataset(home, bar_set.id, {"features": ["GBPUSD.return_1"]})
    with pytest.raises(BadInput, match="EURUSD is there twice"):
        build_dataset(home, bar_set.id, {"others": [bar_set.id]})
    with pytest.raises(NotFound):
        build_dataset(home, bar_set.id, {"others": ["nothing"]})
    bars = PipelineStore.open(home).load_bars(other.id)
    daily = keep_bars(home, "made", "USDJPY", Timeframe.M30, bars, 99.0, {})
    with pytest.raises(BadInput, match="M30"):
        build_dataset(home, bar_set.id, {"others": [daily.id]})


def test_a_dataset_does_not_differ_from_itself(home: Path, bar_set: BarSet) -> None:
    one = build_dataset(home, bar_set.id)
    diff = diff_datasets(home, one.id, one.id)
    assert diff.is_same
    assert (diff.recipe, diff.bar_sets, diff.transform, diff.lineage) == ({}, None, {}, {})


def test_a_difference_names_the_fields_of_the_recipe_the_rows_and_the_columns(home: Path, bar_set: BarSet) -> None:
    one = build_dataset(home, bar_set.id, {"features": ["rsi_14", "gap", "return_1"]})
    two = build_dataset(home, bar_set.id, {"features": ["rsi_14", "gap", "adx_14"], "target": {"horizon_bars": 24}, "embargo_bars": 0})
    diff = diff_datasets(home, one.id, two.id)
    assert diff.recipe["target.horizon_bars"] == (12, 24)
    assert diff.recipe["embargo_bars"] == (12, 0)
    assert set(diff.recipe) == {"target.horizon_bars", "embargo_bars", "features"}
    assert (diff.columns_only_a, diff.columns_only_b) == (("return_1",), ("adx_14",))
    a, b = load_dataset(home, one.id), load_dataset(home, two.id)
    only_a = a.train.index.append(a.test.index).difference(b.train.index.append(b.test.index))
    assert diff.only_a.count == len(only_a) > 0
    assert diff.only_a.first_ms == tuple(only_a.as_unit("ms").asi8[:5].tolist())
    changed = {change.column: change for change in diff.changed}
    assert set(changed) == {"label", "label_end_row", "label_value"}  # the bars and so the features are the same
    both = pd.concat([a.train, a.test])["label"].to_frame().join(pd.concat([b.train, b.test])["label"], rsuffix="_b", how="inner")
    assert changed["label"].count == (both["label"] != both["label_b"]).sum()
    assert changed["label"].first_ms[0] == both.index[both["label"] != both["label_b"]][0].value // 1_000_000
    assert diff.moved.count == len(a.test.index.intersection(b.train.index)) + len(a.train.index.intersection(b.test.index))
    json.dumps(diff.as_dict())


def test_rows_that_went_from_one_part_to_the_other_are_counted(home: Path, bar_set: BarSet) -> None:
    one, two = (build_dataset(home, bar_set.id, {"features": ["gap"], "train_fraction": fraction}) for fraction in (0.6, 0.8))
    diff = diff_datasets(home, one.id, two.id)
    moved = load_dataset(home, one.id).test.index.intersection(load_dataset(home, two.id).train.index)
    assert diff.moved.count == len(moved) > 500
    assert diff.moved.first_ms == tuple(moved.as_unit("ms").asi8[:5].tolist())
    assert not diff.is_same
    assert diff.changed == ()


def test_one_value_that_is_not_what_was_written_is_found_also_after_it_was_read_before(home: Path, bar_set: BarSet) -> None:
    dataset = build_dataset(home, bar_set.id)
    load_dataset(home, dataset.id)
    path = dataset.path / "test.arrow"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    os.utime(path, ns=(0, 0))
    with pytest.raises(Corrupt, match="not what was written"):
        load_dataset(home, dataset.id)
    path.write_bytes(bytes(content[: len(content) // 3]))
    with pytest.raises(Corrupt, match="cannot be read"):
        load_dataset(home, dataset.id)
    assert build_dataset(home, bar_set.id).id == dataset.id
    assert len(load_dataset(home, dataset.id).test) == dataset.test_rows


def test_one_changed_bar_is_found_in_the_rows_that_it_reaches(home: Path, bar_set: BarSet) -> None:
    bars = PipelineStore.open(home).load_bars(bar_set.id).copy()
    bars.iloc[2000, 3] = bars["low"].iloc[2000]
    fixed = keep_bars(home, "made", "EURUSD", Timeframe.H1, validate_bars(bars), 99.0, {}, parents=(bar_set.id,), made_by={"kind": "repaired"})
    recipe = {
        "features": ["return_1", "hour_sin"],
        "target": {"kind": "forward_return", "horizon_bars": 3, "threshold_atr": 0.0},
        "normalise": "standard",
    }
    one, two = build_dataset(home, bar_set.id, recipe), build_dataset(home, fixed.id, recipe)
    diff = diff_datasets(home, one.id, two.id)
    assert not diff.is_same
    changed = {change.column: change for change in diff.changed}
    assert "hour_sin" not in changed
    assert changed["return_1"].count == one.rows  # its mean moved, so every scaled value did
    assert diff.transform == {"fitted": ("return_1",)}
    # the label of the bar itself looks back from its close, those three bars before look at it
    value_times = [bars.index.get_loc(pd.Timestamp(ms, unit="ms", tz="UTC")) for ms in changed["label_value"].first_ms]
    assert value_times == [1997, 2000]
    assert diff.bar_sets == (bar_set.id, fixed.id)
    assert [one["id"] for one in diff.lineage["bar_sets"][1]] == [fixed.id]
    assert diff.lineage["bar_sets"][0] == []


@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_an_export_holds_every_row_with_every_digit(format: Any, home: Path, bar_set: BarSet, tmp_path: Path) -> None:
    dataset = build_dataset(home, bar_set.id, {"normalise": "standard"})
    told: list[float] = []
    made = export_dataset(home, dataset.id, tmp_path, format, lambda fraction, message, **metrics: told.append(fraction))
    assert made.path == tmp_path / f"dataset-{dataset.id}.{format}"
    assert (made.rows, made.bytes) == (dataset.rows, made.path.stat().st_size)
    assert told == sorted(told)
    assert told[-1] == 1.0
    read = pd.read_parquet(made.path) if format == "parquet" else pd.read_csv(made.path, parse_dates=["open_time"], float_precision="round_trip")
    frames = load_dataset(home, dataset.id)
    for part, frame in (("train", frames.train), ("test", frames.test)):
        some = read[read["part"] == part].set_index("open_time").drop(columns="part")
        some.index = some.index.as_unit("ms")
        pd.testing.assert_frame_equal(some, frame, check_exact=True, check_freq=False, check_column_type=False)
    with pytest.raises(Refused, match="there already"):
        export_dataset(home, dataset.id, made.path, format)
    assert export_dataset(home, dataset.id, made.path, format, overwrite=True).sha256 == made.sha256


def test_an_export_that_is_cancelled_or_unknown_leaves_no_file(home: Path, bar_set: BarSet, tmp_path: Path) -> None:
    dataset = build_dataset(home, bar_set.id)
    folder = tmp_path / "exports"

    def cancel(fraction: float, message: str, **metrics: object) -> None:
        if fraction > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_dataset(home, dataset.id, folder / "d.csv", "csv", cancel)
    assert list(folder.iterdir()) == []
    with pytest.raises(BadInput, match="format"):
        export_dataset(home, dataset.id, folder, "xlsx")  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        export_dataset(home, "nothing", folder / "d.csv", "csv")


def test_a_build_that_is_cancelled_leaves_nothing(home: Path, bar_set: BarSet) -> None:
    def cancel(fraction: float, message: str, **metrics: object) -> None:
        if fraction >= 0.6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_dataset(home, bar_set.id, progress=cancel)
    assert PipelineStore.open(home).datasets() == []
    assert not (home / "datasets").is_dir() or list((home / "datasets").iterdir()) == []


def test_a_dataset_goes_with_its_files_unless_something_depends_on_it(home: Path, bar_set: BarSet) -> None:
    dataset = build_dataset(home, bar_set.id)
    store = PipelineStore.open(home)
    names = ["model direction:1", "model direction:2"]
    for dependents in (names, lambda dataset_id: names if dataset_id == dataset.id else []):
        with pytest.raises(Refused, match="model direction:1, model direction:2"):
            store.delete_dataset(dataset.id, dependents=dependents)
    assert dataset.path.is_dir()
    assert store.delete_dataset(dataset.id, dependents=names, force=True) == tuple(names)
    assert not dataset.path.exists()
    with pytest.raises(NotFound):
        store.delete_dataset(dataset.id)
    store.delete_bar_set(bar_set.id)  # nothing rests on it any more


def test_a_large_dataset_is_built_through_files_and_is_the_same(home: Path, bar_set: BarSet, monkeypatch: pytest.MonkeyPatch) -> None:
    from components.pipeline import dataset as module

    recipe = {"normalise": "robust", "select": {"most_features": 10}}
    small = build_dataset(home, bar_set.id, recipe)
    PipelineStore.open(home).delete_dataset(small.id)
    monkeypatch.setattr(module, "LARGE_BYTES", 1000)
    large = build_dataset(home, bar_set.id, recipe)
    assert (large.id, large.sha256) == (small.id, small.sha256)
    assert [path.name for path in (home / "datasets").iterdir()] == [large.id]


def test_a_dataset_from_before_there_were_transforms_is_read(home: Path, bar_set: BarSet) -> None:
    dataset = build_dataset(home, bar_set.id)
    store = PipelineStore.open(home)
    sha256 = {name: sha256_of(dataset.path / name) for name in ("train.arrow", "test.arrow")}
    with store.database.write() as connection:
        connection.exec_driver_sql("UPDATE datasets SET sha256 = ?, transform = '{}', lineage = '{}'", (json.dumps(sha256),))
    (dataset.path / "transform.json").unlink()
    frames = load_dataset(home, dataset.id)
    assert frames.feature_names == frames.transform.features == DatasetRecipe().features
    assert frames.transform.is_plain
    assert store.datasets()[0].feature_names == frames.feature_names


def test_news_enter_a_dataset_from_their_first_sight_on_and_its_lineage_says_which(home: Path, bar_set: BarSet) -> None:
    bars = PipelineStore.open(home).load_bars(bar_set.id)
    buckets = pd.date_range(bars.index[0], bars.index[-1], freq="1h").as_unit("ms")
    news = NewsStore.open(home)
    for number, currency in enumerate(("EUR", "USD")):
        values = np.random.default_rng(number).normal(size=len(buckets))
        seen_ms = buckets.asi8 + 100 * 60_000
        frame = pd.DataFrame({"tone": values, "volume": 1.0, "first_seen_ms": seen_ms, "is_assumed": False, "bucket_s": 3600}, index=buckets)
        news.keep_points("gdelt", currency, frame, int(buckets.asi8[-1]))
    names = ("return_1", "base_tone", "quote_tone")
    dataset = build_dataset(home, bar_set.id, {"features": names, "news": ["EUR", "USD"]})
    frames = load_dataset(home, dataset.id)
    tone = np.random.default_rng(0).normal(size=len(buckets))
    for place in (0, 700, 2000):
        closed = frames.train.index[place] + pd.Timedelta(hours=1)
        known = buckets[buckets + pd.Timedelta(minutes=100) <= closed]
        assert frames.train["base_tone"].iloc[place] == tone[len(known) - 1]
    assert {name: facts["rows"] for name, facts in dataset.lineage["news"].items()} == {"EUR": len(buckets), "USD": len(buckets)}
    with pytest.raises(NotFound, match="JPY"):
        build_dataset(home, bar_set.id, {"features": names, "news": ["JPY"]})
    with pytest.raises(BadInput, match="news of EUR"):
        build_dataset(home, bar_set.id, {"features": names})


@pytest.mark.parametrize("kind", KINDS)
def test_a_target_of_a_recipe_keeps_to_the_horizon_that_it_states(kind: str, home: Path, bar_set: BarSet) -> None:
    target = parse_payload(DatasetRecipe, {"target": {"kind": kind}}).target
    bars = PipelineStore.open(home).load_bars(bar_set.id).iloc[:500]
    assert check_target(target.compute, bars, target.horizon_bars, cuts=8) == []
    assert check_target(target.compute, bars, target.horizon_bars - 1, cuts=8) != []


def test_what_a_killed_build_left_behind_is_removed_after_a_day(home: Path, bar_set: BarSet) -> None:
    old, recent = (home / "datasets" / name for name in (".new-old", ".rows.recent"))
    for folder in (old, recent):
        folder.mkdir(parents=True)
        (folder / "train.arrow").write_bytes(b"half")
    os.utime(old, (0, 0))
    dataset = build_dataset(home, bar_set.id)
    assert sorted(path.name for path in (home / "datasets").iterdir()) == [".rows.recent", dataset.id]
