"""Datasets: features and labels of a bar set, split in time, purged, frozen under the hash of their content and recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from components.base import get_log, now_ms
from components.features import compute_features, triple_barrier
from components.fx import BadInput, NotFound, Timeframe
from components.pipeline.frames import content_hash, is_intact, write_frame
from components.pipeline.recipe import BarSet, Dataset, DatasetFrames, DatasetRecipe, parse_payload
from components.pipeline.store import PipelineStore

LEAST_ROWS = 50


def build_dataset(
    home: Path, bar_set_id: str, recipe: DatasetRecipe | Mapping[str, Any] | None = None, progress: Callable[..., None] | None = None
) -> Dataset:
    """Compute features and labels of a bar set, split them in time and freeze the result.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases and artefacts.
    bar_set_id : str
        A collected bar set.
    recipe : DatasetRecipe or mapping, optional
        Features, target and split; the defaults where it is left out.
    progress : callable, optional
        Called as ``progress(fraction, message, **metrics)``.

    Returns
    -------
    Dataset
        The same bars, recipe and formulas give the same id.

    Raises
    ------
    NotFound
        If there is no such bar set.
    BadInput
        If the recipe is wrong, or leaves fewer than 50 rows on either side of the split.
    Corrupt
        If the bar set's file is not what was written.
    """
    report = progress or (lambda fraction, message, **metrics: None)
    recipe = parse_payload(DatasetRecipe, recipe if recipe is not None else {})
    store = PipelineStore.open(home)
    try:
        bar_set = store.bar_set(bar_set_id)
        bars = store.load_bars(bar_set_id)
        report(0.1, f"computing {len(recipe.features)} features of {len(bars):,} bars")
        frames = split_rows(bars, recipe)
        report(0.7, f"freezing {len(frames.train):,} training and {len(frames.test):,} test rows")
        dataset = _freeze(store, bar_set, recipe, frames, bars)
    finally:
        store.close()
    get_log("pipeline").info("dataset built", dataset=dataset.id, train_rows=dataset.train_rows, test_rows=dataset.test_rows)
    report(1.0, f"{dataset.rows:,} rows kept as {dataset.id}", train_rows=dataset.train_rows, test_rows=dataset.test_rows)
    return dataset


def split_rows(bars: pd.DataFrame, recipe: DatasetRecipe) -> DatasetFrames:
    """Features and labels of the usable rows, before and after the split.

    A row is usable where every feature and its label are known. Training rows come before the first test row, and so does the whole
    horizon of their labels, with `embargo_bars` between. The horizon counts, not the bar that ended the label: keeping those that ended
    early would favour labels that end early.

    Raises
    ------
    BadInput
        If fewer than 50 rows are left on either side.
    """
    target = recipe.target
    features = compute_features(bars, recipe.features)
    labels = triple_barrier(bars, target.horizon_bars, target.up_atr, target.down_atr, target.atr_period)
    usable = np.flatnonzero(features.notna().to_numpy().all(axis=1) & labels["label"].notna().to_numpy())
    first_test = round(len(usable) * recipe.train_fraction)
    if min(first_test, len(usable) - first_test) < LEAST_ROWS:
        raise BadInput("bar_set", f"{len(bars):,} bars leave {len(usable):,} usable rows; each side of the split needs {LEAST_ROWS}")
    rows = features.iloc[usable].copy()
    rows["label"] = labels["label"].to_numpy()[usable].astype(np.int64)
    rows["row"] = usable.astype(np.int64)
    rows["label_end_row"] = labels["end_row"].to_numpy()[usable]
    train, test = rows.iloc[:first_test], rows.iloc[first_test:]
    train = train[train["row"].to_numpy() + target.horizon_bars + recipe.embargo_bars < usable[first_test]]
    if len(train) < LEAST_ROWS:
        raise BadInput("embargo_bars", f"{recipe.embargo_bars} leaves {len(train)} training rows; {LEAST_ROWS} are needed")
    return DatasetFrames(train, test, recipe.features)


def _freeze(store: PipelineStore, bar_set: BarSet, recipe: DatasetRecipe, frames: DatasetFrames, bars: pd.DataFrame) -> Dataset:
    dataset_id = content_hash(bar_set.id, recipe.model_dump_json(), frames.train, frames.test)[:16]
    with suppress(NotFound):
        known = store.dataset(dataset_id)
        if all(is_intact(known.path / name, sha256) for name, sha256 in known.sha256.items()):
            return known
    folder = store.home / "datasets" / dataset_id
    open_ms = pd.DatetimeIndex(bars.index).as_unit("ms").asi8
    length_ms = Timeframe.named(bar_set.timeframe).ms
    train, test = frames.train, frames.test
    dataset = Dataset(
        id=dataset_id,
        bar_set_id=bar_set.id,
        symbol=bar_set.symbol,
        timeframe=bar_set.timeframe,
        recipe=recipe,
        rows=len(train) + len(test),
        train_rows=len(train),
        test_rows=len(test),
        path=folder,
        sha256={"train.arrow": write_frame(folder / "train.arrow", train), "test.arrow": write_frame(folder / "test.arrow", test)},
        start_ms=int(open_ms[int(train["row"].iloc[0])]),
        train_end_ms=int(open_ms[int(train["label_end_row"].max())]) + length_ms,
        test_start_ms=int(open_ms[int(test["row"].iloc[0])]),
        end_ms=int(open_ms[int(test["label_end_row"].max())]) + length_ms,
        created_ms=now_ms(),
    )
    return store.add_dataset(dataset)
