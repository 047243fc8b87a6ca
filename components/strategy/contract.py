"""The strategy contract: what a strategy is given, what it answers, and how compiled `manage` code asks for changes."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from importlib import import_module
from typing import Any

import numba
import numpy as np
import pandas as pd
from numba import njit, types
from numba.core.ccallback import CFunc
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from components import spare_numba_scipy
from components.fx import BadInput, Instrument, bad_input_of
from components.fx import book as b
from components.strategy.memo import Memo, read_only

spare_numba_scipy()
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


def lean(function: Callable[..., Any]) -> Any:
    """Compile a function that makes no arrays and gives none back: kept on disk, beside other threads, without counting references.

    The step calls small functions with a dozen arrays each; counting references to them took more than half of its time. Such a function
    may only read and write elements of what it is given; numba refuses to compile one that would need more.
    """
    return njit(cache=True, nogil=True, _nrt=False)(function)


def lean_inline(function: Callable[..., Any]) -> Any:
    """As `lean`, and its machine code goes into every function that calls it: for what the step does in each row that matters."""
    return njit(cache=True, nogil=True, _nrt=False, forceinline=True)(function)


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
    memo : Memo, optional
        Where many runs go over the same bars: what `shared` computed before.
    """

    instrument: Instrument
    probabilities: pd.DataFrame | None = None
    memo: Memo | None = None

    def shared(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """``function(*arguments)``; in a sweep computed once for all points that ask for the same of the same columns.

        Parameters
        ----------
        function : callable
            Depends on its arguments alone, such as the indicators of `components.features`.
        *arguments
            Columns of the bars as ``bars["close"].to_numpy()`` gives them, and numbers.

        Returns
        -------
        ndarray
            Read-only, in a sweep or not, because others may hold the same array.
        """
        return read_only(function(*arguments)) if self.memo is None else self.memo.result(function, arguments)


@dataclass(frozen=True)
class Decisions:
    """Entry wishes and exits, as columns over all bars; row t is made from what was known at the close of bar t.

    Every column has shape (n,) or is a scalar, which stands for a constant. `side` is +1, −1 or 0 (no wish, never "be flat"); `exit`
    names the side to close; `entry` is an `OrderKind`, `entry_price` its price; `stop` and `target` are prices, `stop_distance` and
    `target_distance` distances from the fill, used where there is no price; NaN means none, and a distance that rounds to 0 points
    (the true range of a flat hour) has the wish refused when its order is born. `expiry_bars` 0 means no expiry.
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
        for name, allowed in (("side", (-1, 0, 1)), ("exit", (-1, 0, 1)), ("entry", (0, 1, 2))):
            _only(np.atleast_1d(np.asarray(getattr(self, name))), allowed, name)
        side, kind = (np.broadcast_to(np.asarray(getattr(self, name)), rows) for name in ("side", "entry"))
        # What belongs to an entry is looked at where there is a wish: that is few rows of many.
        wishes = np.flatnonzero(side != 0)

        def wished(name: str) -> NDArray[Any]:
            values = np.asarray(getattr(self, name))
            return np.broadcast_to(values.astype(np.float64), len(wishes)) if values.ndim == 0 else values[wishes].astype(np.float64)

        price = wished("entry_price")
        _refuse((kind[wishes] != 0) & ~(price > 0), price, "entry_price", "is not a price, and the entry is a stop or limit order", wishes)
        for name in ("size_fraction", "confidence"):
            values = wished(name)
            _refuse(~((values >= 0) & (values <= 1)), values, name, "is not between 0 and 1", wishes)
        for name in ("stop", "target"):
            values = wished(name)
            _refuse(~(np.isnan(values) | ((values > 0) & np.isfinite(values))), values, name, "is not positive", wishes)
        for name in ("stop_distance", "target_distance", "trail_distance"):
            values = wished(name)
            _refuse(~(np.isnan(values) | ((values >= 0) & np.isfinite(values))), values, name, "is negative or without end", wishes)
        expiry = wished("expiry_bars")
        _refuse(expiry < 0, expiry, "expiry_bars", "is negative", wishes)
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
    is_plain : bool
        Whether `decide` runs plain Python bar by bar and so holds the interpreter (see `plain_strategy`): sweeps then use processes.
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
    is_plain: bool = False

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

    def __getstate__(self) -> dict[str, Any]:
        """What goes to another process: of a compiled `manage`, which cannot, where it is found or what it was compiled from."""
        return {**self.__dict__, "manage": _sent(self.manage)}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """The strategy again, with `manage` compiled in this process."""
        self.__dict__.update({**state, "manage": _received(state["manage"])})


@dataclass(frozen=True)
class _Named:
    """A compiled function that a module has under this name."""

    module: str
    name: str


@dataclass(frozen=True)
class _Uncompiled:
    """What a compiled function was made of."""

    function: Callable[..., int]


def _sent(manage: Any) -> Any:
    if not isinstance(manage, CFunc):
        return manage
    function = manage.__wrapped__
    there = getattr(sys.modules.get(function.__module__), function.__qualname__, None)
    return _Named(function.__module__, function.__qualname__) if there is manage and function.__module__ != "__main__" else _Uncompiled(function)


def _received(manage: Any) -> Any:
    if isinstance(manage, _Named):
        return getattr(import_module(manage.module), manage.name)
    # Not kept on disk: what is kept there finds its module by name, and there is none here.
    return numba.cfunc(MANAGE_SIGNATURE)(manage.function) if isinstance(manage, _Uncompiled) else manage


@lean
def begin_request(requests, n, action, ticket, side):
    """Start request n in compiled code; prices are NaN, everything else 0."""
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


@njit(cache=True)
def ask(requests, n, action, ticket, side):
    """Start request n in compiled code; prices are NaN, everything else 0. Returns the row."""
    begin_request(requests, n, action, ticket, side)
    return requests[n]


def _only(values: NDArray[Any], allowed: tuple[int, ...], name: str) -> None:
    # The allowed numbers follow each other, so that two comparisons do for whole numbers.
    if values.dtype.kind in "iu" and len(values) and values.min() >= allowed[0] and values.max() <= allowed[-1]:
        return
    _refuse(~np.isin(values, allowed), values, name, f"is not one of {allowed}")


def _refuse(bad: NDArray[np.bool_], values: NDArray[Any], name: str, problem: str, rows: NDArray[np.intp] | None = None) -> None:
    if bad.any():
        place = int(np.argmax(bad))
        raise BadInput(f"decisions.{name}", f"{values[place]} at row {place if rows is None else rows[place]} {problem}")
