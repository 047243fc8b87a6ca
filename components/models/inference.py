"""Loading registered models, and what they say about bars they have not seen."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from components.features import compute_features
from components.fx import BadInput, Corrupt, NotFound, Timeframe
from components.models.lightgbm_model import LightGbmModel
from components.models.protocol import PROBABILITY_COLUMNS, ProbabilityModel
from components.models.store import ModelStore, model_path


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
    return _load(Path(home), model_id, state.st_size, state.st_mtime_ns)


def probabilities(home: Path, model_id: str, bars: pd.DataFrame, *, last_only: bool = False) -> pd.DataFrame:
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
        If the bars are not of the model's timeframe.

    Notes
    -----
    Recursive features remember the first bar: the same bar gets the same numbers only in bars with the same start (a deployment's anchor).
    """
    loaded = load_model(home, model_id)
    length_ms = Timeframe.named(loaded.model.timeframe).ms
    open_ms = pd.DatetimeIndex(bars.index).as_unit("ms").asi8
    if len(open_ms) and ((open_ms % length_ms).any() or (np.diff(open_ms) < length_ms).any()):
        raise BadInput("bars", f"are not {loaded.model.timeframe} bars, which model {loaded.model.id} was trained on")
    features = compute_features(bars, loaded.model.feature_names)
    first = len(bars) - 1 if last_only and len(bars) else 0
    unseen = np.flatnonzero(open_ms[first:] + length_ms > loaded.model.trained_until_ms) + first
    answer = np.full((len(bars) - first, len(PROBABILITY_COLUMNS)), np.nan)
    answer[unseen - first] = loaded.predict(features.iloc[unseen])
    return pd.DataFrame(answer, index=bars.index[first:], columns=list(PROBABILITY_COLUMNS))


def _is_file(home: Path, reference: str) -> bool:
    return reference.isalnum() and model_path(home, reference).is_file()


def _registered_id(home: Path, reference: str) -> str:
    store = ModelStore.open(home)
    try:
        return store.get(reference).id
    finally:
        store.close()


@lru_cache(maxsize=32)
def _load(home: Path, model_id: str, size: int, changed_ns: int) -> ProbabilityModel:
    store = ModelStore.open(home)
    try:
        model = store.get(model_id)
    finally:
        store.close()
    content = model.path.read_bytes()
    if hashlib.sha256(content).hexdigest() != model.sha256:
        raise Corrupt(f"the file of model {model.id} ({model.name}:{model.version}) is not the one that was registered; do not trade it")
    return LightGbmModel.from_text(model, content.decode())
