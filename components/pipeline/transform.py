"""How features are scaled and chosen: fitted on training rows only, then the same for every later row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.fx import BadInput, Corrupt

Floats = NDArray[np.float64]
Normalise = Literal["none", "standard", "robust", "quantile"]
METHODS: tuple[Normalise, ...] = ("none", "standard", "robust", "quantile")
KNOTS = 101
BINS = 10
SELECTION_ROWS = 200_000
FLAT = 1e-12


@dataclass(frozen=True)
class FittedTransform:
    """What was fitted on the training rows of a dataset; applied to any row by itself, always with the same result.

    Parameters
    ----------
    method : {'none', 'standard', 'robust', 'quantile'}
        ``standard``: less the mean, over the standard deviation. ``robust``: less the median, over the distance of the quartiles.
        ``quantile``: the share of training rows below the value, 0 to 1, between 101 knots. A feature that never moved becomes 0
        (½ under ``quantile``).
    features : tuple of str
        The columns that are kept, in order.
    centre, scale : tuple of float
        For ``standard`` and ``robust``, one each per feature.
    knots : tuple of tuple of float
        For ``quantile``, the 0, 1, … 100 percent quantiles of each feature.
    """

    method: Normalise = "none"
    features: tuple[str, ...] = ()
    centre: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    knots: tuple[tuple[float, ...], ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether values stay as they are."""
        return self.method == "none"

    def apply(self, features: pd.DataFrame) -> pd.DataFrame:
        """The kept features, scaled; float64 of shape (n, len(self.features)).

        Every value depends on its own column and row alone, so a row has the same result in any company, bit for bit. NaN stays NaN.

        Raises
        ------
        BadInput
            If a kept feature is missing.
        """
        missing = [name for name in self.features if name not in features.columns]
        if missing:
            raise BadInput("features", f"{missing[0]!r} is missing; needed are {', '.join(self.features)}")
        if self.is_plain:
            return features[list(self.features)]
        columns = {name: self.column(place, features[name].to_numpy(dtype=np.float64)) for place, name in enumerate(self.features)}
        return pd.DataFrame(columns, index=features.index, copy=False)

    def column(self, place: int, values: Floats) -> Floats:
        """The values of the feature at that place, scaled; shape (n,) to (n,)."""
        if self.method == "quantile":
            return _rank(values, np.array(self.knots[place]))
        if self.method == "none":
            return values
        return (values - self.centre[place]) / self.scale[place]

    def as_dict(self) -> dict[str, Any]:
        """It as plain values; floats keep every digit in JSON."""
        return {
            "method": self.method,
            "features": list(self.features),
            "centre": list(self.centre),
            "scale": list(self.scale),
            "knots": [list(column) for column in self.knots],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FittedTransform:
        """What `as_dict` gave.

        Raises
        ------
        Corrupt
            If it is not.
        """
        try:
            transform = cls(
                values["method"],
                tuple(map(str, values["features"])),
                tuple(map(float, values["centre"])),
                tuple(map(float, values["scale"])),
                tuple(tuple(map(float, column)) for column in values["knots"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise Corrupt(f"a stored transform cannot be read ({error!r}); build its dataset again") from None
        count = len(transform.features)
        fitted = {"none": (0, 0, 0), "standard": (count, count, 0), "robust": (count, count, 0), "quantile": (0, 0, count)}
        if fitted.get(transform.method) != (len(transform.centre), len(transform.scale), len(transform.knots)):
            raise Corrupt("a stored transform does not fit its features; build its dataset again")
        return transform

    def to_json(self) -> str:
        """It as JSON, always the same text for the same transform."""
        return json.dumps(self.as_dict(), sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> FittedTransform:
        """What `to_json` gave; `Corrupt` where it is not."""
        try:
            values = json.loads(text)
        except ValueError as error:
            raise Corrupt(f"a stored transform is not JSON ({error}); build its dataset again") from None
        return cls.from_dict(values)

    @property
    def sha256(self) -> str:
        """Hash of `to_json`."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


def fit_transform(method: Normalise, features: Mapping[str, Floats] | pd.DataFrame, names: Sequence[str]) -> FittedTransform:
    """Fit the scaling of the features called `names`.

    Parameters
    ----------
    method : {'none', 'standard', 'robust', 'quantile'}
    features : DataFrame or mapping of name to array, n rows
        Training rows, and nothing else: whatever is given here is known to every row that is scaled later.
    names : sequence of str
        The columns that are kept, in order.
    """
    if method == "none":
        return FittedTransform("none", tuple(names))
    centre, scale, knots = [], [], []
    for name in names:
        values = np.ascontiguousarray(features[name], dtype=np.float64)
        if method == "quantile":
            knots.append(tuple(np.quantile(values, np.linspace(0.0, 1.0, KNOTS)).tolist()))
            continue
        middle, width = _moments(values) if method == "standard" else _quartiles(values)
        centre.append(middle)
        scale.append(width)
    return FittedTransform(method, tuple(names), tuple(centre), tuple(scale), tuple(knots))


def select_features(
    features: Mapping[str, Floats] | pd.DataFrame,
    label: NDArray[np.int64],
    names: Sequence[str],
    method: str,
    most_features: int | None,
    most_correlation: float,
) -> tuple[str, ...]:
    """Names of the features to keep, in the order given.

    Parameters
    ----------
    features : DataFrame or mapping of name to array, n rows
        Training rows, and nothing else.
    label : ndarray of int64, shape (n,)
        Their labels.
    names : sequence of str
        The features to choose from.
    method : {'mutual_information', 'correlation', 'none'}
        What ranks them: mutual information (nats) of the label and the feature's tenths; absolute rank correlation with the label; or the
        order in which they are given.
    most_features : int, optional
        How many are kept at most.
    most_correlation : float
        A feature whose absolute rank correlation with a better one that is kept is larger than this is left out.

    Notes
    -----
    Nothing is drawn: the same rows give the same choice. Of equals, the one that is named first is better. Of more than 200,000 rows every
    second, third … is looked at, so that as many are left at most.
    """
    every = -(-len(label) // SELECTION_ROWS)
    label = label[::every]
    ranks = {name: rank_of(np.asarray(features[name], dtype=np.float64)[::every]) for name in names}
    if method == "mutual_information":
        worth = {name: information(ranks[name], label) for name in names}
    elif method == "correlation":
        outcome = rank_of(label.astype(np.float64))
        worth = {name: abs(correlation(ranks[name], outcome)) for name in names}
    else:
        worth = dict.fromkeys(names, 0.0)
    kept: list[str] = []
    for name in sorted(names, key=lambda one: -worth[one]):  # stable: the first of equals stays first
        if most_features is not None and len(kept) == most_features:
            break
        if most_correlation >= 1 or all(abs(correlation(ranks[name], ranks[other])) <= most_correlation for other in kept):
            kept.append(name)
    return tuple(name for name in names if name in kept)


def rank_of(values: Floats) -> Floats:
    """Rank of every value, 0 for the least, equals sharing their mean; shape (n,) to (n,)."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    first = np.cumsum(count) - count
    return np.asarray((first + (count - 1) / 2)[place], dtype=np.float64)


def correlation(first: Floats, second: Floats) -> float:
    """Pearson's correlation of two arrays of shape (n,); 0 where one of them never moves."""
    a, b = first - first.mean(), second - second.mean()
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))  # summed by numpy: a library's product may depend on the number of cores
    return float((a * b).sum()) / size if size > 0 else 0.0


def information(rank: Floats, label: NDArray[np.int64]) -> float:
    """Mutual information, in nats, of a feature's tenths (by rank, shape (n,)) and the label (shape (n,))."""
    tenth = np.minimum((rank * BINS / max(len(rank), 1)).astype(np.int64), BINS - 1)
    classes, place = np.unique(label, return_inverse=True)
    counts = np.bincount(tenth * len(classes) + place, minlength=BINS * len(classes)).reshape(BINS, len(classes)).astype(np.float64)
    share = counts / max(len(rank), 1)
    apart = share.sum(axis=1, keepdims=True) * share.sum(axis=0, keepdims=True)
    seen = share > 0
    return float((share[seen] * np.log(share[seen] / apart[seen])).sum())


def _moments(values: Floats) -> tuple[float, float]:
    mean = float(values.mean())
    return mean, _width(float(values.std()), mean)


def _quartiles(values: Floats) -> tuple[float, float]:
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75]).tolist()
    # A feature of which half the values are equal, but for rounding, has no distance of quartiles; its deviation is the next best scale.
    width = high - low
    return middle, width if width > FLAT * max(abs(low), abs(high)) else _width(float(values.std()), middle)


def _width(deviation: float, level: float) -> float:
    """The deviation, or 1 where it is nothing but rounding."""
    return deviation if deviation > FLAT * abs(level) else 1.0


def _rank(values: Floats, knots: Floats) -> Floats:
    """Share of the training rows below each value, between knots by straight lines; in a run of equal knots its middle."""
    below = _between(values, knots, np.searchsorted(knots, values, side="left"))
    upto = _between(values, knots, np.searchsorted(knots, values, side="right"))
    answer: Floats = np.where(np.isnan(values), np.nan, (below + upto) / 2)
    return answer


def _between(values: Floats, knots: Floats, place: NDArray[np.intp]) -> Floats:
    last = len(knots) - 1
    low, high = np.clip(place - 1, 0, last), np.clip(place, 0, last)
    width = knots[high] - knots[low]
    part = np.divide(values - knots[low], width, out=np.zeros(len(values)), where=width > 0)
    answer: Floats = (low + np.clip(part, 0.0, 1.0) * (high - low)) / last
    return answer
