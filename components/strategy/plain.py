"""A strategy as a plain Python function that is called bar by bar, for those who would rather write a loop than columns.

Every column that the function is given is a list that grows: at bar t it ends with row t, so ``columns.fast[-1]`` is the value at this close,
``columns.fast[-2]`` the one before, and a later row cannot be read because it is not there yet. What `init` computes over all bars must be
causal, as in any `decide`; the look-ahead audit finds it where it is not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.fx import BadInput
from components.strategy.contract import Context, Decide, Decisions, Params, Strategy

NONE = float("nan")


class Wish(NamedTuple):
    """What `on_bar` wishes at the close of a bar; each field is the column of `Decisions` of the same name.

    `side` 0 is no entry, never "be flat"; `exit` names the side to close. Prices and distances are in price units, NaN or None for none.
    """

    side: int = 0
    stop: float = NONE
    target: float = NONE
    exit: int = 0
    entry: int = 0
    entry_price: float = NONE
    expiry_bars: int = 0
    stop_distance: float = NONE
    target_distance: float = NONE
    trail_distance: float = NONE
    size_fraction: float = 1.0
    confidence: float = 1.0
    reason: int = 0


_DTYPES = {"side": np.int8, "exit": np.int8, "entry": np.int8, "expiry_bars": np.int32, "reason": np.int16}


class Columns:
    """The columns as `on_bar` sees them: one attribute for each, a list that ends with the current bar."""


OnBar = Callable[[int, Any, Any, dict[str, Any]], Wish | tuple[Any, ...] | None]
Init = Callable[[pd.DataFrame, Any], Mapping[str, Any]]


def plain_strategy(
    name: str,
    title: str,
    summary: str,
    params: type[Params],
    on_bar: OnBar,
    warmup_bars: Callable[[Any], int],
    *,
    init: Init | None = None,
    reasons: Mapping[int, str] | None = None,
    manage: Any = None,
    manage_params: Callable[[Any], NDArray[np.float64] | None] | None = None,
) -> Strategy:
    """A strategy from a function that is called at the close of every bar, in plain Python.

    Parameters
    ----------
    name, title, summary, params, warmup_bars, reasons, manage, manage_params
        As for `Strategy`. What `state` remembers counts as history: `warmup_bars` must cover it.
    on_bar : callable
        ``on_bar(t, columns, params, state) -> Wish | tuple | None``. `t` is the row of the bar that just closed, `columns` has the columns of
        `init` as growing lists of plain numbers, `state` is an empty dict at the first bar, kept from bar to bar. None wishes nothing; a tuple
        holds the fields of `Wish` in their order, from the left.
    init : callable, optional
        ``init(bars, params) -> mapping of name to array of shape (n,)``: indicators over all bars, row t from bars ≤ t. Without it the columns
        are ``open high low close``.

    Returns
    -------
    Strategy
        With `is_plain`: sweeps run it in processes, because Python code holds the interpreter. Its `decide` raises `BadInput` where a column or an
        answer cannot be used or `on_bar` wrote into a column; what `on_bar` raises itself comes through with a note that names the bar.

    Examples
    --------
    ::

        class CrossParams(Params):
            fast: int = Field(10, ge=2, le=500)
            slow: int = Field(30, ge=3, le=1000)

        def init(bars, params):
            close = bars["close"].to_numpy()
            return {"close": close, "fast": sma(close, params.fast), "slow": sma(close, params.slow)}

        def on_bar(t, columns, params, state):
            if t > 0 and columns.fast[-1] > columns.slow[-1] and columns.fast[-2] <= columns.slow[-2]:
                close = columns.close[-1]
                return Wish(side=1, stop=close - 0.0020, target=close + 0.0040, exit=-1, reason=1)
            return None

        cross = plain_strategy("my_cross", "My cross", "Buys the crossing.", CrossParams, on_bar, lambda p: p.slow + 1, init=init)
    """
    return Strategy(
        name, title, summary, params, _decider(name, init or _prices, on_bar), warmup_bars, dict(reasons or {}), manage, manage_params, is_plain=True
    )


def _prices(bars: pd.DataFrame, params: Any) -> dict[str, Any]:
    return {name: bars[name].to_numpy() for name in ("open", "high", "low", "close")}


def _decider(name: str, init: Init, on_bar: OnBar) -> Decide:
    def decide(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
        whole = _as_lists(init(bars, params), len(bars))
        rows, answers = _called(name, whole, on_bar, params, bars)
        return _decisions(rows, answers, len(bars))

    return decide


def _as_lists(columns: Mapping[str, Any], rows: int) -> dict[str, list[Any]]:
    """What `init` gave, as lists of plain numbers."""
    lists = {}
    for name, values in columns.items():
        array = np.asarray(values)
        if array.shape != (rows,):
            raise BadInput(f"columns.{name}", f"its shape is {array.shape}; init must give one value for each of the {rows} bars")
        if not str(name).isidentifier():
            raise BadInput(f"columns.{name}", "its name cannot be written as columns.NAME; use letters, digits and _")
        lists[str(name)] = array.tolist()
    return lists


def _called(name: str, whole: Mapping[str, list[Any]], on_bar: OnBar, params: Any, bars: pd.DataFrame) -> tuple[list[int], list[Any]]:
    """Rows at which `on_bar` answered something, and its answers."""
    columns, state = Columns(), dict[str, Any]()
    grown: list[list[Any]] = [[] for _ in whole]
    for column, empty in zip(whole, grown, strict=True):
        setattr(columns, column, empty)
    rows: list[int] = []
    answers: list[Any] = []
    append, drain = list.append, deque[None](maxlen=0).extend
    t = -1
    try:
        for t, values in enumerate(zip(*whole.values(), strict=True) if whole else repeat((), len(bars))):
            drain(map(append, grown, values))
            answer = on_bar(t, columns, params, state)
            if answer is not None:
                rows.append(t)
                answers.append(answer)
    except Exception as error:
        error.add_note(f"in on_bar of {name} at row {t} ({bars.index[t] if t >= 0 else 'before the first bar'}); its columns end with this bar")
        raise
    for column, kept in zip(whole, grown, strict=True):
        if kept != whole[column]:
            raise BadInput(f"columns.{column}", f"on_bar of {name} wrote into it; keep what must be remembered in `state`")
    return rows, answers


def _decisions(rows: Sequence[int], answers: Sequence[Any], bars: int) -> Decisions:
    """The answers as columns; a field that nobody set stays a constant."""
    if not rows:
        return Decisions(side=0)
    for t, answer in zip(rows, answers, strict=True):
        if not isinstance(answer, tuple) or not 1 <= len(answer) <= len(Wish._fields):
            raise BadInput("wish", f"on_bar answered {answer!r} at row {t}; answer None, a Wish, or a tuple of its fields")
    columns: dict[str, Any] = {}
    given = list(zip(*(answer if len(answer) == len(Wish._fields) else Wish(*answer) for answer in answers), strict=True))
    at = np.array(rows)
    for name, default, values in zip(Wish._fields, Wish(), given, strict=True):
        dtype = _DTYPES.get(name, np.float64)
        try:
            array = np.array(values, dtype=np.float64)
        except (TypeError, ValueError):
            odd, row = next((v, t) for t, v in zip(rows, values, strict=True) if not isinstance(v, int | float | np.number))
            raise BadInput(f"wish.{name}", f"on_bar answered {odd!r} at row {row}, which is not a number") from None
        whole = np.full(bars, default, dtype=dtype)
        is_default = np.isnan(array) if default != default else array == default
        if name != "side" and is_default.all():
            continue
        with np.errstate(invalid="ignore"):
            stored = array.astype(dtype)
        odd_ones = (stored != array) & ~(np.isnan(array) if default != default else False)
        if odd_ones.any():
            row = int(np.argmax(odd_ones))
            raise BadInput(f"wish.{name}", f"on_bar answered {values[row]!r} at row {rows[row]}, which this column cannot hold")
        whole[at] = stored
        columns[name] = whole
    return Decisions(**columns)
