"""The strategy contract: what a strategy is given, what it answers, and how compiled `manage` code asks for changes."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numba
import numpy as np
import pandas as pd
from numba import njit, types
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from components.fx import BadInput, Instrument, bad_input_of
from components.fx import book as b

MANAGE_SIGNATURE = types.int64(
    types.float64[::1],
    types.float64[:, ::1],
    types.int64,
    types.float64[:, ::1],
    types.int64,
    types.float64[::1],
    types.int64,
    types.float64[::1],
    types.float64[:, ::1],
    types.int64,
)
"""``manage(account, positions, n_positions, orders, n_orders, marks, bar, params, requests, n) -> n``, for `compiled_manage`."""


def compiled_manage(function: Callable[..., int]) -> Any:
    """Compile a `manage` function; left as Python where numba is switched off (NUMBA_DISABLE_JIT), to step through it."""
    return function if numba.config.DISABLE_JIT else numba.cfunc(MANAGE_SIGNATURE, cache=True)(function)


class Params(BaseModel):
    """Parameters of a strategy: frozen, bounded, nothing unknown; the bounds drive the form and the sweep."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class Context:
    """What a strategy may use beside its own bars, each as-of the close of its row.

    Parameters
    ----------
    instrument : Instrument
    probabilities : DataFrame, optional
        Columns ``p_down p_flat p_up`` on the index of the bars; NaN where the model may not be asked (its own training time, warm-up).
    """

    instrument: Instrument
    probabilities: pd.DataFrame | None = None


@dataclass(frozen=True)
class Decisions:
    """Entry wishes and exits, as columns over all bars; row t is made from what was known at the close of bar t.

    Every column has shape (n,) or is a scalar, which stands for a constant. `side` is +1, −1 or 0 (no wish, never "be flat"); `exit`
    names the side to close; `entry` is an `OrderKind`, `entry_price` its price; `stop` and `target` are prices, `stop_distance` and
    `target_distance` distances from the fill, used where there is no price; NaN means none. `expiry_bars` 0 means no expiry.
    """

    side: Any
    exit: Any = 0
    entry: Any = 0
    entry_price: Any = np.nan
    expiry_bars: Any = 0
    stop: Any = np.nan
    target: Any = np.nan
    stop_distance: Any = np.nan
    target_distance: Any = np.nan
    trail_distance: Any = np.nan
    size_fraction: Any = 1.0
    confidence: Any = 1.0
    reason: Any = 0

    def checked(self, rows: int) -> Decisions:
        """The same decisions, after checking every column once.

        Raises
        ------
        BadInput
            Naming the column and the first row that is wrong.
        """
        for item in fields(self):
            values = np.asarray(getattr(self, item.name))
            if values.ndim > 1 or (values.ndim == 1 and len(values) != rows):
                raise BadInput(f"decisions.{item.name}", f"shape {values.shape} is neither ({rows},) nor a scalar")
        side = np.broadcast_to(np.asarray(self.side), rows)
        wish = side != 0
        _only(side, (-1, 0, 1), "side")
        _only(np.broadcast_to(np.asarray(self.exit), rows), (-1, 0, 1), "exit")
        kind = np.broadcast_to(np.asarray(self.entry), rows)
        _only(kind, (0, 1, 2), "entry")
        price = np.broadcast_to(np.asarray(self.entry_price, dtype=np.float64), rows)
        _refuse(wish & (kind != 0) & ~(price > 0), price, "entry_price", "is not a price, and the entry is a stop or limit order")
        for name in ("size_fraction", "confidence"):
            values = np.broadcast_to(np.asarray(getattr(self, name), dtype=np.float64), rows)
            _refuse(wish & ~((values >= 0) & (values <= 1)), values, name, "is not between 0 and 1")
        for name in ("stop", "target", "stop_distance", "target_distance", "trail_distance"):
            values = np.broadcast_to(np.asarray(getattr(self, name), dtype=np.float64), rows)
            _refuse(wish & ~(np.isnan(values) | ((values > 0) & np.isfinite(values))), values, name, "is not positive")
        expiry = np.broadcast_to(np.asarray(self.expiry_bars), rows)
        _refuse(wish & (expiry < 0), expiry, "expiry_bars", "is negative")
        return self

    def row(self, t: int) -> Decisions:
        """The decisions of one bar, as one row."""
        values = {}
        for item in fields(self):
            value = np.asarray(getattr(self, item.name))
            values[item.name] = value[t : t + 1 if t != -1 else None] if value.ndim else value.reshape(1)
        return Decisions(**values)


Decide = Callable[[pd.DataFrame, Context, Any], Decisions]


@dataclass(frozen=True)
class Strategy:
    """One strategy, the same for backtest, walk-forward, paper and live.

    Parameters
    ----------
    name, title, summary : str
        Identifier, words for a page, one sentence on the rule.
    params : type of Params
    decide : callable
        ``decide(bars, context, params) -> Decisions`` over all bars at once, row t from bars ≤ t.
    warmup_bars : callable
        ``warmup_bars(params) -> int``: history beyond which decisions stop changing.
    reasons : mapping of int to str
        A sentence for every reason code.
    manage : compiled function, optional
        Made with `compiled_manage`; called at every bar close.
    manage_params : callable, optional
        ``manage_params(params) -> float64 array`` for `manage`; None from it switches `manage` off.
    needs_model : bool
        Whether `Context.probabilities` must be there.
    """

    name: str
    title: str
    summary: str
    params: type[Params]
    decide: Decide
    warmup_bars: Callable[[Any], int]
    reasons: Mapping[int, str] = field(default_factory=dict)
    manage: Any = None
    manage_params: Callable[[Any], NDArray[np.float64] | None] | None = None
    needs_model: bool = False

    def parse(self, values: Mapping[str, Any] | Params | None) -> Params:
        """Parameters from a mapping.

        Raises
        ------
        BadInput
            Naming the parameter that is unknown or out of bounds.
        """
        if isinstance(values, self.params):
            return values
        try:
            return self.params.model_validate(dict(values or {}))
        except ValidationError as error:
            raise bad_input_of(error, "params.", kind=self.params) from None

    def managing(self, params: Params) -> tuple[Any, NDArray[np.float64] | None]:
        """The compiled `manage` and its parameters, or (None, None) where these parameters switch it off."""
        if self.manage is None or self.manage_params is None:
            return None, None
        values = self.manage_params(params)
        return (None, None) if values is None else (self.manage, values)


@njit(cache=True)
def ask(requests, n, action, ticket, side):
    """Start request n in compiled code; prices are NaN, everything else 0. Returns the row."""
    r = requests[n]
    r[:] = np.nan
    r[b.R_ACTION] = action
    r[b.R_SYMBOL] = 0.0
    r[b.R_BAR] = 0.0
    r[b.R_TICKET] = ticket
    r[b.R_SIDE] = side
    r[b.R_LOTS] = 0.0
    r[b.R_KIND] = 0.0
    r[b.R_EXPIRY_BARS] = 0.0
    r[b.R_REASON] = 0.0
    r[b.R_REFUSED] = 0.0
    r[b.R_EXIT] = 0.0
    return r


def _only(values: NDArray[Any], allowed: tuple[int, ...], name: str) -> None:
    _refuse(~np.isin(values, allowed), values, name, f"is not one of {allowed}")


def _refuse(bad: NDArray[np.bool_], values: NDArray[Any], name: str, problem: str) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise BadInput(f"decisions.{name}", f"{values[row]} at row {row} {problem}")
