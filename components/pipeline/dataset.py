"""Datasets: features and labels of a bar set, split in time, purged, frozen under the hash of their content and recipe."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.base import get_log, now_ms, sha256_of, write_atomic
from components.features import FeatureInputs, parse_name
from components.fx import BadInput, Corrupt, NotFound, Timeframe, parse_payload
from components.pipeline.dataset_files import read_rows, write_rows
from components.pipeline.dataset_rows import split, usable_rows, working_folder
from components.pipeline.frames import content_hash, read_frame
from components.pipeline.lineage import lineage_of, refuse_quarantined_origins
from components.pipeline.news import news_frame
from components.pipeline.recipe import BarSet, Dataset, DatasetFrames, DatasetRecipe
from components.pipeline.store import PipelineStore
from components.pipeline.transform import FittedTransform

FILES = ("train.arrow", "test.arrow")
TRANSFORM_FILE = "transform.json"
LARGE_BYTES = 256 * 1024 * 1024


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
        Called as ``progress(fraction, message, **metrics)``; raises to cancel.

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
    Refused
        If a bar set, or one that it was resampled from, is quarantined.
    Corrupt
        If the bar set's file is not what was written.
    """
    report = progress or (lambda fraction, message, **metrics: None)
    recipe = parse_payload(DatasetRecipe, recipe if recipe is not None else {})
    store = PipelineStore.open(home)
    try:
        bar_set = store.bar_set(bar_set_id)
        others = _others(store, bar_set, recipe)
        refuse_quarantined_origins(store, (bar_set, *others))
        bars = store.load_bars(bar_set_id)
        inputs = _inputs(store, bar_set, others, recipe)
        report(0.1, f"computing {len(recipe.features)} features of {len(bars):,} bars")
        is_large = len(bars) * len(recipe.features) * 8 > LARGE_BYTES
        with working_folder(store.home / "datasets", is_large) as folder:
            rows = usable_rows(bars, recipe, inputs, folder=folder, report=lambda part, words: report(0.1 + 0.5 * part, words))
            frames = split(rows, recipe, len(bars))
            report(0.7, f"freezing {len(frames.train):,} training and {len(frames.test):,} test rows")
            open_ms = pd.DatetimeIndex(bars.index).as_unit("ms").asi8
            dataset = freeze_dataset(store, bar_set, recipe, frames, open_ms, lineage_of(store, (bar_set, *others), inputs.news))
    finally:
        store.close()
    get_log("pipeline").info("dataset built", dataset=dataset.id, train_rows=dataset.train_rows, test_rows=dataset.test_rows)
    report(1.0, f"{dataset.rows:,} rows kept as {dataset.id}", train_rows=dataset.train_rows, test_rows=dataset.test_rows)
    return dataset


def freeze_dataset(
    store: PipelineStore,
    bar_set: BarSet,
    recipe: DatasetRecipe,
    frames: DatasetFrames,
    open_ms: NDArray[np.int64],
    lineage: Mapping[str, Any] | None = None,
) -> Dataset:
    """Write the rows of a dataset and enter it into the catalogue.

    Parameters
    ----------
    store : PipelineStore
    bar_set, recipe
        What the rows were made from.
    frames : DatasetFrames
        The rows, as `split_rows` gives them.
    open_ms : ndarray of int64, shape (n,)
        Open times of all bars of the bar set, epoch milliseconds UTC.
    lineage : mapping, optional
        As `lineage_of` gives it.

    Returns
    -------
    Dataset
        On disk with its files when this returns; the one that is known already where recipe, bars and values are the same.
    """
    (store.home / "datasets").mkdir(parents=True, exist_ok=True)
    _sweep(store.home / "datasets")
    fresh = store.home / "datasets" / f".new-{secrets.token_hex(6)}"
    parts = (frames.train, frames.test)
    transform = frames.transform.to_json()
    try:
        with ThreadPoolExecutor(max_workers=2) as threads:
            written = threads.map(write_rows, (fresh / name for name in FILES), parts)
        sha256 = dict(zip(FILES, written, strict=True))
        write_atomic(fresh / TRANSFORM_FILE, transform.encode())
        dataset_id = content_hash(bar_set.id, recipe.model_dump_json(), transform, *sha256.values())[:16]
        sha256[TRANSFORM_FILE] = frames.transform.sha256
        with suppress(NotFound):
            known = store.dataset(dataset_id)
            if is_whole(known):
                return known
        folder = store.home / "datasets" / dataset_id
        folder.mkdir(parents=True, exist_ok=True)
        for name in sha256:
            (fresh / name).replace(folder / name)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return store.add_dataset(_entry(dataset_id, bar_set, recipe, frames, open_ms, folder, sha256, dict(lineage or {})))


def load_dataset(home: Path, dataset_id: str) -> DatasetFrames:
    """The rows of a dataset, mapped into memory, with the transform that their features went through.

    Every value is compared with the SHA-256 of the content when a process first reads a file, and again whenever its size or time of change
    is another one.

    Raises
    ------
    NotFound
        If the dataset or one of its files is gone.
    Corrupt
        If a file is not what was written.
    """
    store = PipelineStore.open(home)
    try:
        dataset = store.dataset(dataset_id)
    finally:
        store.close()
    read = read_rows if TRANSFORM_FILE in dataset.sha256 else read_frame  # built before there were transforms: a digest of the file itself
    train, test = (read(dataset.path / name, dataset.sha256[name]) for name in FILES)
    return DatasetFrames(train, test, dataset.feature_names, load_transform(dataset))


def is_whole(dataset: Dataset) -> bool:
    """Whether the files of a dataset are there and are what was written."""
    try:
        load_transform(dataset)
        for name in FILES:
            read_rows(dataset.path / name, dataset.sha256[name])
    except (NotFound, Corrupt):
        return False
    return True


def load_transform(dataset: Dataset) -> FittedTransform:
    """How the features of a dataset were chosen and scaled.

    Raises
    ------
    NotFound
        If its file is gone.
    Corrupt
        If it is not what was written.
    """
    if TRANSFORM_FILE not in dataset.sha256:  # built before there were any
        return FittedTransform(features=dataset.feature_names)
    path = dataset.path / TRANSFORM_FILE
    if not path.is_file():
        raise NotFound(f"the file {path} is gone; build the dataset again")
    if sha256_of(path) != dataset.sha256[TRANSFORM_FILE]:
        raise Corrupt(f"{path} is not what was written; delete the dataset and build it again")
    return FittedTransform.from_json(path.read_text())


def _sweep(folder: Path) -> None:
    """Remove what builds that were killed left behind a day ago or earlier."""
    for path in folder.glob(".*"):
        if path.stat().st_mtime < time.time() - 86_400:
            shutil.rmtree(path, ignore_errors=True)


def _others(store: PipelineStore, bar_set: BarSet, recipe: DatasetRecipe) -> tuple[BarSet, ...]:
    """The bar sets of other symbols that a recipe names, seen to fit.

    Raises
    ------
    BadInput
        If one has another timeframe or a symbol that is there already, or a feature's symbol is missing.
    """
    found = tuple(store.bar_set(one) for one in recipe.others)
    symbols = {bar_set.symbol}
    for one in found:
        if one.timeframe != bar_set.timeframe:
            raise BadInput("others", f"{one.id} holds {one.timeframe} bars, {bar_set.id} holds {bar_set.timeframe} bars")
        if one.symbol in symbols:
            raise BadInput("others", f"{one.symbol} is there twice; name one bar set per symbol")
        symbols.add(one.symbol)
    for name in recipe.features:
        symbol = parse_name(name).symbol
        if symbol is not None and symbol not in symbols:
            raise BadInput("others", f"feature {name} needs bars of {symbol}; name a {bar_set.timeframe} bar set of it in others")
    return found


def _inputs(store: PipelineStore, bar_set: BarSet, others: tuple[BarSet, ...], recipe: DatasetRecipe) -> FeatureInputs:
    """What features may use besides the bars: other symbols' bars, and the news that is kept."""
    return FeatureInputs(
        bar_set.symbol,
        {one.symbol: store.load_bars(one.id) for one in others},
        {currency: news_frame(store.home, currency) for currency in recipe.news},
        Timeframe.named(bar_set.timeframe),
    )


def _entry(
    dataset_id: str,
    bar_set: BarSet,
    recipe: DatasetRecipe,
    frames: DatasetFrames,
    open_ms: NDArray[np.int64],
    folder: Path,
    sha256: dict[str, str],
    lineage: dict[str, Any],
) -> Dataset:
    train, test = frames.train, frames.test
    length_ms = Timeframe.named(bar_set.timeframe).ms
    return Dataset(
        id=dataset_id,
        bar_set_id=bar_set.id,
        symbol=bar_set.symbol,
        timeframe=bar_set.timeframe,
        recipe=recipe,
        rows=len(train) + len(test),
        train_rows=len(train),
        test_rows=len(test),
        path=folder,
        sha256=sha256,
        start_ms=int(open_ms[int(train["row"].iloc[0])]),
        train_end_ms=int(open_ms[int(train["label_end_row"].max())]) + length_ms,
        test_start_ms=int(open_ms[int(test["row"].iloc[0])]),
        end_ms=int(open_ms[int(test["label_end_row"].max())]) + length_ms,
        created_ms=now_ms(),
        lineage=lineage,
        transform={"normalise": recipe.normalise, "features": list(frames.feature_names), "sha256": frames.transform.sha256},
    )
