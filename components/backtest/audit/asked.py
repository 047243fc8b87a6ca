"""A strategy, asked for its decisions over any bars, as one array per column."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.fx import BadInput, Instrument
from components.strategy import Context, Decisions, Params, Strategy

Column = NDArray[Any]
Columns = dict[str, Column]
Probabilities = pd.DataFrame | Callable[[pd.DataFrame], pd.DataFrame]
DECISION_COLUMNS = tuple(item.name for item in fields(Decisions))
MODEL_COLUMNS = ("p_down", "p_flat", "p_up")


@dataclass(frozen=True)
class Asked:
    """A strategy with its parameters and what it may use beside its bars.

    `probabilities` is a frame on the index of the audited bars, or a function that gives one for any bars: only then is the model's own
    past examined too.
    """

    strategy: Strategy
    params: Params
    instrument: Instrument
    probabilities: Probabilities | None = None

    def context(self, bars: pd.DataFrame) -> Context:
        """What the strategy is given beside these bars; where a frame has no answer for a bar, made-up ones stand in."""
        if self.probabilities is None:
            return Context(self.instrument)
        if callable(self.probabilities):
            return Context(self.instrument, self.probabilities(bars))
        places = self.probabilities.index.get_indexer(bars.index)
        values = self.probabilities[list(MODEL_COLUMNS)].to_numpy(dtype=np.float64)[places]
        unknown = np.flatnonzero(places < 0)
        values[unknown] = np.random.default_rng(len(bars)).dirichlet(np.ones(3), len(unknown))
        return Context(self.instrument, pd.DataFrame(values, index=bars.index, columns=list(MODEL_COLUMNS)))

    def decide(self, bars: pd.DataFrame) -> Decisions:
        """The decisions over these bars; the strategy gets a copy of them."""
        return self.strategy.decide(bars.copy(), self.context(bars), self.params)

    def columns(self, bars: pd.DataFrame) -> Columns:
        """Every column over n bars, shape (n,) or () for a constant, and the model's where it can be asked.

        Raises
        ------
        BadInput
            If a column has another shape.
        """
        context = self.context(bars)
        found = columns_of(self.strategy.decide(bars.copy(), context, self.params), len(bars))
        if callable(self.probabilities) and context.probabilities is not None:
            found |= {f"probabilities.{name}": context.probabilities[name].to_numpy() for name in MODEL_COLUMNS}
        return found

    def try_columns(self, bars: pd.DataFrame) -> Columns | str:
        """The columns over bars that the strategy may not be able to decide over, or the error that it raised, in words."""
        try:
            return self.columns(bars)
        except Exception as error:  # anybody's code, over bars that nobody promised it
            return f"{type(error).__name__}: {error}"[:300]


def columns_of(decisions: Decisions, rows: int) -> Columns:
    """The columns of decisions over `rows` bars, each of shape (rows,) or ().

    Raises
    ------
    BadInput
        If a column has another shape.
    """
    found = {name: np.asarray(getattr(decisions, name)) for name in DECISION_COLUMNS}
    for name, values in found.items():
        if values.shape not in ((), (rows,)):
            raise BadInput(f"decisions.{name}", f"shape {values.shape} is neither ({rows},) nor a scalar")
    return found


def differing(before: Column, after: Column, first: int, last: int, room: float = 0.0) -> NDArray[np.bool_]:
    """Where rows `first` to `last` (included) of two columns differ, shape (last − first + 1,).

    NaN equals NaN; numbers may differ by a relative `room`.
    """
    old = before if before.ndim == 0 else before[first : last + 1]
    new = after if after.ndim == 0 else after[first : last + 1]
    same = old == new
    if old.dtype.kind == "f" and new.dtype.kind == "f":
        same = same | ((old != old) & (new != new))
        if room > 0 and not np.all(same):
            same = same | (np.abs(old - new) <= room * np.maximum(np.abs(old), np.abs(new)))
    return np.broadcast_to(~np.asarray(same, dtype=bool), (last - first + 1,))
