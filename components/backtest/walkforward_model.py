"""A model trained anew for each window of a walk-forward, on nothing but the window's training part."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.backtest.cpcv import Stretch
from components.fx import BadInput, Timeframe

if TYPE_CHECKING:
    from lightgbm import Booster

    from components.backtest.walkforward_spec import RefitSpec
    from components.pipeline import BarSet, DatasetRecipe, FittedTransform
    from components.training import TrainSpec

LEAST_ROWS = 100
COLUMNS = ["p_down", "p_flat", "p_up"]


@dataclass(frozen=True)
class Refit:
    """How the model of each window is made.

    Parameters
    ----------
    recipe : DatasetRecipe
        Features, target, scaling and choice of features; its split is not used.
    hyper : TrainSpec
        Of which the fitting takes its numbers.
    folds : int
        Blocks of the training part that are judged by a model of the others.
    symbol : str
    timeframe : Timeframe
    """

    recipe: DatasetRecipe
    hyper: TrainSpec
    folds: int
    symbol: str
    timeframe: Timeframe

    @property
    def horizon_bars(self) -> int:
        """Bars that a label looks ahead."""
        return int(self.recipe.target.horizon_bars)


@dataclass(frozen=True)
class WindowModel:
    """A window's model, and what is known of its training.

    Parameters
    ----------
    booster, transform
        What answers, and what its features go through before.
    judged : DataFrame, shape (rows, 3)
        ``p_down p_flat p_up`` of the training rows, each from a model that was trained without its block and what overlaps it; index: open times.
    rows : int
        Training rows.
    last_label_bar : int
        Place of the last bar that any training label may have looked at.
    sha256 : str
        Digest of the model and its transform.
    """

    booster: Booster
    transform: FittedTransform
    judged: pd.DataFrame
    rows: int
    last_label_bar: int
    sha256: str


def refit_of(home: Path, spec: RefitSpec, bar_set: BarSet) -> Refit:
    """What a `RefitSpec` names, found and seen to be usable for trading.

    Raises
    ------
    BadInput
        If the recipe or a training field is wrong, or the model would speak about another symbol, about meta-labels, or from other symbols'
        bars or news.
    NotFound
        If there is no such dataset.
    """
    from components.features import feature_of, parse_name
    from components.fx import parse_payload
    from components.pipeline import DatasetRecipe, PipelineStore
    from components.training import TrainSpec

    recipe = parse_payload(DatasetRecipe, spec.recipe)
    if spec.dataset_id is not None:
        if spec.recipe:
            raise BadInput("refit.recipe", "a dataset is named as well; name one of the two")
        store = PipelineStore.open(home)
        try:
            dataset = store.dataset(spec.dataset_id)
        finally:
            store.close()
        if (dataset.symbol, dataset.timeframe) != (bar_set.symbol, bar_set.timeframe):
            raise BadInput(
                "refit.dataset_id", f"{dataset.id} holds {dataset.symbol} {dataset.timeframe}, the bars are {bar_set.symbol} {bar_set.timeframe}"
            )
        recipe = dataset.recipe
    if recipe.target.kind == "meta_label":
        raise BadInput("refit.recipe.target", "meta-labels say whether a trade would be won, not in which direction to trade")
    for name in recipe.features:
        parsed = parse_name(name)
        wanted = feature_of(replace(parsed, symbol=None) if parsed.symbol == bar_set.symbol else parsed).needs & {"others", "news"}
        if wanted:
            raise BadInput("refit.recipe.features", f"{name} needs {' and '.join(sorted(wanted))}; a walk-forward has its own bars only")
    for name in ("dataset_id", "name", "folds"):
        if name in spec.hyper:
            raise BadInput(f"refit.hyper.{name}", "is no number of the fitting; leave it out")
    hyper = parse_payload(TrainSpec, {"dataset_id": spec.dataset_id or "walkforward", **spec.hyper})
    return Refit(recipe, hyper, spec.folds, bar_set.symbol, Timeframe.named(bar_set.timeframe))


def fit_window(refit: Refit, bars: pd.DataFrame, spans: Sequence[Stretch]) -> WindowModel:
    """A model of the rows of a training part.

    A row is used where its bar and the whole horizon of its label lie inside one span. Bars behind the last span are never looked at; of the
    bars between spans, those before a row are the history of its features. Scaling and choice of features are fitted on the rows alone.

    Parameters
    ----------
    refit : Refit
    bars : DataFrame, shape (n, ≥ 5)
        All bars; recursive features remember the first one.
    spans : sequence of (int, int)
        The training part.

    Raises
    ------
    BadInput
        If fewer than 100 rows are left.
    """
    from components.training import fit, predict

    rows = _rows_of(refit, bars, spans)
    if len(rows) < LEAST_ROWS:
        raise BadInput(
            "train_bars",
            f"{len(rows)} of the bars {spans[0][0]:,} to {spans[-1][1]:,} can be trained on; a model needs {LEAST_ROWS}: widen the windows",
        )
    answers = np.full((len(rows), len(COLUMNS)), np.nan)
    for block in np.array_split(np.arange(len(rows)), refit.folds):
        others = _apart_from(rows["row"].to_numpy(), block, refit.horizon_bars)
        transform, booster = _fitted(refit, rows.take(others), fit)
        answers[block] = predict(booster, transform.apply(rows.take(block)))
    transform, booster = _fitted(refit, rows, fit)
    content = booster.model_to_string() + transform.to_json()
    return WindowModel(
        booster,
        transform,
        pd.DataFrame(answers, index=rows.index, columns=COLUMNS),
        len(rows),
        int(rows["row"].max()) + refit.horizon_bars,
        hashlib.sha256(content.encode()).hexdigest(),
    )


def say_window(refit: Refit, model: WindowModel, bars: pd.DataFrame, span: Stretch) -> pd.DataFrame:
    """What a window's model says at the close of each bar of a test part: ``p_down p_flat p_up``, NaN where a feature is not known."""
    from components.features import FeatureInputs, compute_features
    from components.training import predict

    inputs = FeatureInputs(refit.symbol, timeframe=refit.timeframe)
    part = compute_features(bars.iloc[: span[1]], list(model.transform.features), inputs).iloc[span[0] :]
    answers = np.full((len(part), len(COLUMNS)), np.nan)
    known = np.flatnonzero(part.notna().to_numpy().all(axis=1))
    if len(known):
        answers[known] = predict(model.booster, model.transform.apply(part.take(known)))
    return pd.DataFrame(answers, index=part.index, columns=COLUMNS)


def _rows_of(refit: Refit, bars: pd.DataFrame, spans: Sequence[Stretch]) -> pd.DataFrame:
    """Features, ``label`` and ``row`` of the usable rows of a training part, in order of time."""
    from components.features import FeatureInputs
    from components.pipeline import usable_rows

    seen = bars.iloc[: spans[-1][1]]  # what is not handed on cannot leak
    usable = usable_rows(seen, refit.recipe, FeatureInputs(refit.symbol, timeframe=refit.timeframe))
    row = usable.columns["row"]
    inside = np.zeros(len(row), dtype=bool)
    for first, end in spans:
        inside |= (row >= first) & (row + refit.horizon_bars < end)
    columns = {name: np.asarray(usable.columns[name])[inside] for name in (*refit.recipe.features, "label", "row")}
    return pd.DataFrame(columns, index=usable.index[inside])


def _apart_from(row: NDArray[np.int64], block: NDArray[np.int64], horizon_bars: int) -> NDArray[np.int64]:
    """Places of the rows whose labels share no bar with the labels of a block of rows."""
    first, last = row[block[0]], row[block[-1]]
    return np.flatnonzero((row + horizon_bars < first) | (row > last + horizon_bars))


def _fitted(refit: Refit, rows: pd.DataFrame, fit: Any) -> tuple[FittedTransform, Booster]:
    from components.pipeline import fit_on

    transform = fit_on(refit.recipe, {name: rows[name].to_numpy() for name in (*refit.recipe.features, "label")})
    return transform, fit(refit.hyper, transform.apply(rows), rows["label"].to_numpy())
