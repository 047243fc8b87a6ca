"""Loading registered models, and what they say about bars they have not seen."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from components.features import FeatureInputs, compute_features
from components.fx import BadInput, Corrupt, NotFound, Timeframe
from components.models.lightgbm_model import LightGbmModel
from components.models.protocol import PROBABILITY_COLUMNS, Model, ProbabilityModel
from components.models.store import TRANSFORM_NAME, ModelStore, model_path
from components.pipeline import FittedTransform


def load_model(home: Path, reference: str) -> ProbabilityModel:
    """A registered model, ready to predict; kept in this process until its file changes.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases and artefacts.
    reference : str
        The model's id, or ``name:version``.

    Raises
    ------
    NotFound
        If there is no such model, or its file is gone.
    Corrupt
        If the file is not the one that was registered.
    """
    model_id = reference if _is_file(home, reference) else _registered_id(home, reference)
    try:
        state = model_path(home, model_id).stat()
    except OSError:
        raise NotFound(f"the file of model {reference} is gone; train it again") from None
    scaling = _state(model_path(home, model_id).with_name(TRANSFORM_NAME))
    return _load(Path(home), model_id, (state.st_size, state.st_mtime_ns), scaling)


def probabilities(home: Path, model_id: str, bars: pd.DataFrame, *, last_only: bool = False, inputs: FeatureInputs | None = None) -> pd.DataFrame:
    """What a model says at the close of every bar, out of sample only.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases and artefacts.
    model_id : str
        The model's id, or ``name:version``.
    bars : DataFrame, shape (n, ≥ 5)
        A bars frame of the model's symbol and timeframe.
    last_only : bool
        Whether to answer for the last bar alone, as at each live bar; equal to the last row of the full answer.
    inputs : FeatureInputs, optional
        Other symbols' bars and news, where the model's features need them.

    Returns
    -------
    DataFrame of float64, shape (n, 3) or (1, 3)
        ``p_down p_flat p_up``, indexed by open time. Row t uses bars ≤ t. NaN while a feature warms up, and for every bar that closes at
        or before `Model.trained_until_ms`.

    Raises
    ------
    NotFound
        If there is no such model.
    Corrupt
        If its file is not the one that was registered.
    BadInput
        If the bars are not of the model's timeframe, or a feature needs inputs that are not given.

    Notes
    -----
    Recursive features remember the first bar: the same bar gets the same numbers only in bars with the same start (a deployment's anchor).
    """
    loaded = load_model(home, model_id)
    timeframe = Timeframe.named(loaded.model.timeframe)
    open_ms = pd.DatetimeIndex(bars.index).as_unit("ms").asi8
    if not timeframe.is_aligned(open_ms).all() or (np.diff(open_ms) <= 0).any():
        raise BadInput("bars", f"are not {loaded.model.timeframe} bars, which model {loaded.model.id} was trained on")
    known = inputs or FeatureInputs(symbol=loaded.model.symbol)
    features = compute_features(bars, loaded.model.feature_names, replace(known, timeframe=timeframe))
    first = len(bars) - 1 if last_only and len(bars) else 0
    unseen = np.flatnonzero(open_ms[first:] + timeframe.ms > loaded.model.trained_until_ms) + first
    answer = np.full((len(bars) - first, len(PROBABILITY_COLUMNS)), np.nan)
    rows = features.iloc[unseen]
    answer[unseen - first] = loaded.predict(rows if loaded.transform is None else loaded.transform.apply(rows))
    return pd.DataFrame(answer, index=bars.index[first:], columns=list(PROBABILITY_COLUMNS))


def _is_file(home: Path, reference: str) -> bool:
    return reference.isalnum() and model_path(home, reference).is_file()


def _registered_id(home: Path, reference: str) -> str:
    store = ModelStore.open(home)
    try:
        return store.get(reference).id
    finally:
        store.close()


def _state(path: Path) -> tuple[int, int] | None:
    """Size and time of change of a file, None where there is none."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_size, state.st_mtime_ns


@lru_cache(maxsize=32)
def _load(home: Path, model_id: str, file: tuple[int, int], scaling: tuple[int, int] | None) -> ProbabilityModel:
    store = ModelStore.open(home)
    try:
        model = store.get(model_id)
    finally:
        store.close()
    content = _registered(model, model.path, model.sha256)
    transform = None
    if model.transform_sha256:
        if scaling is None:
            raise NotFound(f"the transform of model {model.id} ({model.name}:{model.version}) is gone; train it again")
        transform = FittedTransform.from_json(_registered(model, model.path.with_name(TRANSFORM_NAME), model.transform_sha256))
        if transform.features != model.feature_names:
            raise Corrupt(f"the transform of model {model.id} is of other features than the model")
    return LightGbmModel.from_text(model, content, transform)


def _registered(model: Model, path: Path, sha256: str) -> str:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise Corrupt(f"the file {path.name} of model {model.id} ({model.name}:{model.version}) is not the one that was registered; do not trade it")
    return content.decode()
