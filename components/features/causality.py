"""Does a function of bars look ahead? It is recomputed on truncated and on changed futures; what it said about the past must not move.

A feature may not look past its bar, a target not past the horizon that it states. The futures of other symbols and of news are taken away
and changed too. Every leak is named by its column and by the function that made it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from components.features.catalogue import catalogue, resolve
from components.features.columns import needs_bars_only
from components.features.engine import compute_features
from components.features.family_cross import PAIRED_NAMES
from components.features.family_news import NEWS_NAMES, NewsSteps
from components.features.futures import KINDS, cut_rows, length_of, moved, other_future, other_inputs
from components.features.inputs import FeatureInputs
from components.features.names import FeatureName, parse_name
from components.features.panel import panel_columns
from components.fx import BadInput, validate_bars

Answer = pd.DataFrame | pd.Series
Function = Callable[..., Answer]


@dataclass(frozen=True)
class Leak:
    """One column of a function's answer that moved when only the future was changed.

    `function` is the one that made it, as module and name, and `place` its file and line; `row` is the first row that moved, `cut` the last
    bar that was left alone. `kind` is what was done to the bars after it, or ``horizon``: a target has a label that rests on bars beyond
    what it states, or beyond the data.
    """

    column: str
    function: str
    row: int
    kind: Literal["truncation", "perturbation", "horizon"]
    cut: int
    place: str = ""


def check_causal(
    function: Function | Sequence[Function | str],
    bars: pd.DataFrame,
    *,
    inputs: FeatureInputs | None = None,
    cuts: int | Sequence[int] = 16,
    seed: int = 0,
) -> list[Leak]:
    """Look for look-ahead in a function of bars, or in each step of several.

    Parameters
    ----------
    function : callable, or sequence of callables and feature names
        Takes a bars frame of n rows (and `inputs`, where they are given), gives a frame or series of n rows. It gets a copy each time. A
        sequence is a pipeline: each step takes what the step before gave, and a feature's name adds that column. Each step is judged on its
        own, its input's past held fast, so that the one that looks ahead is named and not those that only pass it on.
    bars : DataFrame, shape (n, ≥ 5)
        A bars frame of at least 3 rows.
    inputs : FeatureInputs, optional
        Other symbols and news; what was not known at the cut is taken away and changed too.
    cuts : int or sequence of int
        Rows after which the future is taken away, and changed; or how many of them to draw at random. Rows 0, 1, 2, 4, 8 … (a fill from
        behind shows only where the warm-up is cut), and the last two rows are always among the drawn ones.
    seed : int
        Seed of the drawing and of the changes.

    Returns
    -------
    list of Leak
        At most one per function, column and kind, the one with the earliest cut; empty when nothing moved. Values must agree bit for bit
        (NaN equals NaN), in every row up to and including the cut.

    Raises
    ------
    BadInput
        If a cut is not a row of `bars`, or the function's answer has another number of rows than its bars.
    """
    frame = validate_bars(bars)
    steps = [function] if callable(function) else [_Adding(step) if isinstance(step, str) else step for step in function]
    if not steps:
        raise BadInput("function", "the pipeline has no steps")
    rows = cut_rows(len(frame), cuts, seed)
    before = [frame]
    for step in steps:
        before.append(_answer(step, before[-1], inputs))
    found: dict[tuple[int, str, str], Leak] = {}
    for cut in rows:
        for kind in KINDS:
            known = other_inputs(inputs, frame, cut, kind, seed) if inputs is not None else None
            after = other_future(frame, cut, kind, seed)
            for number, step in enumerate(steps):
                given = _spliced(before[number], after, cut) if number else after
                after = _answer(step, given, known)
                for column, row in moved(before[number + 1].iloc[: cut + 1], after.iloc[: cut + 1]):
                    name, place = function_named(step)
                    found.setdefault((number, column, kind), Leak(column, name, row, kind, cut, place))
    return list(found.values())


def check_features(
    names: Iterable[str] | None, bars: pd.DataFrame, inputs: FeatureInputs | None = None, *, cuts: int | Sequence[int] = 16, seed: int = 0
) -> list[Leak]:
    """Look for look-ahead in catalogued features.

    Each leak names what made it, with its file and line: the formula's kernel, or, where the formula alone is innocent, what joins it to the
    bars (another timeframe, another symbol, a shift).

    Parameters
    ----------
    names : iterable of str, optional
        Features by name; every one of `checkable_features` where it is None.
    bars, inputs, cuts, seed
        As in `check_causal`.

    Raises
    ------
    BadInput
        If a name is unknown, or needs inputs that are not given.
    """
    given = _with_timeframe(inputs, bars)
    chosen = checkable_features(bars, given) if names is None else tuple(names)

    def leaks_of(wanted: tuple[str, ...]) -> list[Leak]:
        return check_causal(lambda frame, known: compute_features(frame, wanted, known), bars, inputs=given, cuts=cuts, seed=seed)

    found = leaks_of(chosen)
    makers = {name: _maker(name, lambda plain: bool(leaks_of((plain,)))) for name in {leak.column for leak in found}}
    return [replace(leak, function=name, place=place) for leak in found for name, place in [makers[leak.column]]]


def checkable_features(bars: pd.DataFrame, inputs: FeatureInputs | None = None) -> tuple[str, ...]:
    """The catalogue's features that these bars and inputs suffice for; one of two symbols is asked for the first other one."""
    given = _with_timeframe(inputs, bars)
    found = []
    for feature in catalogue():
        is_paired = resolve(feature.name)[0].name in PAIRED_NAMES
        name = f"{min(given.others)}.{feature.name}" if is_paired and given.others else feature.name
        with suppress(BadInput):
            compute_features(bars, [name], given)
            found.append(name)
    return tuple(found)


def check_target(
    function: Function, bars: pd.DataFrame, horizon: int, *, inputs: FeatureInputs | None = None, cuts: int | Sequence[int] = 16, seed: int = 0
) -> list[Leak]:
    """Look for labels that rest on more of the future than a target states.

    Parameters
    ----------
    function : callable
        Takes a bars frame, gives ``label``, ``value`` and ``end_row`` as `triple_barrier` does; further columns are checked too.
    bars : DataFrame, shape (n, ≥ 5)
        A bars frame.
    horizon : int
        Bars after t that the label of bar t may rest on, as the target states it.
    inputs, cuts, seed
        As in `check_causal`.

    Returns
    -------
    list of Leak
        A row whose horizon, or whose end row, lies at or before the cut must not move when the bars after the cut are changed; a row whose
        horizon reaches past the last bar must have no label; an end row must lie after its bar and within the horizon.

    Raises
    ------
    BadInput
        If the answer lacks ``label`` or ``end_row``, or has another number of rows than its bars.
    """
    frame = validate_bars(bars)
    if isinstance(horizon, bool) or not isinstance(horizon, int) or horizon < 1:
        raise BadInput("horizon", f"{horizon!r} is not a whole number of at least 1")
    whole = _answer(function, frame, inputs)
    for column in ("label", "end_row"):
        if column not in whole.columns:
            raise BadInput("function", f"its answer has no column {column!r}; a target gives label, value and end_row")
    name, place = function_named(function)
    found: dict[tuple[str, str], Leak] = {}

    def note(kind: Literal["truncation", "perturbation", "horizon"], cut: int, columns: Iterable[tuple[str, int]]) -> None:
        for column, row in columns:
            found.setdefault((column, kind), Leak(column, name, row, kind, cut, place))

    note("horizon", len(frame) - 1, _beyond(whole, horizon))
    for cut in cut_rows(len(frame), cuts, seed):
        row = np.arange(cut + 1)
        for kind in KINDS:
            known = other_inputs(inputs, frame, cut, kind, seed) if inputs is not None else None
            again = _answer(function, other_future(frame, cut, kind, seed), known)
            settled = row + horizon <= cut
            if kind == "truncation":
                note("horizon", cut, _beyond(again, horizon))
            else:
                ends = (whole["end_row"].to_numpy()[: cut + 1], again["end_row"].to_numpy()[: cut + 1])
                settled |= np.logical_or.reduce([(end >= 0) & (end <= cut) for end in ends])
            note(kind, cut, moved(whole.iloc[: cut + 1], again.iloc[: cut + 1], settled))
    return list(found.values())


def function_named(function: Callable[..., Any]) -> tuple[str, str]:
    """Module and name of a function, and its file and line (empty where there is none, as for a built-in one)."""
    if isinstance(function, _Adding):
        return _maker(function.name, lambda alone: True)
    plain = function
    while isinstance(plain, functools.partial):
        plain = plain.func
    plain = inspect.unwrap(getattr(plain, "py_func", plain))  # numba keeps the Python function there
    named = plain if hasattr(plain, "__qualname__") else type(plain)
    name = f"{named.__module__}.{named.__qualname__}"
    try:
        file, line = inspect.getsourcefile(named), inspect.getsourcelines(named)[1]
    except (OSError, TypeError):
        return name, ""
    path = Path(str(file))
    return name, f"{path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}:{line}"


def _with_timeframe(inputs: FeatureInputs | None, bars: pd.DataFrame) -> FeatureInputs:
    """The inputs with the length of the bars, which a bar or two do not tell."""
    given = inputs or FeatureInputs()
    return given if given.timeframe else replace(given, timeframe=length_of(bars))


def _beyond(answer: pd.DataFrame, horizon: int) -> list[tuple[str, int]]:
    """Columns of a target with something that their bar cannot know within the horizon, each with the first such row."""
    row, end = np.arange(len(answer)), answer["end_row"].to_numpy()
    label = answer["label"].notna().to_numpy()
    reaches = row + horizon >= len(answer)
    wrong = {"label": label & reaches, "end_row": (label & ((end <= row) | (end > row + horizon))) | (~label & (end >= 0))}
    if "value" in answer.columns:
        wrong["value"] = answer["value"].notna().to_numpy() & reaches
    return [(column, int(np.argmax(rows))) for column, rows in wrong.items() if rows.any()]


def _answer(function: Function, bars: pd.DataFrame, inputs: FeatureInputs | None) -> pd.DataFrame:
    answer = function(bars.copy()) if inputs is None else function(bars.copy(), inputs)
    frame = answer.to_frame() if isinstance(answer, pd.Series) else answer
    if len(frame) != len(bars):
        raise BadInput("function", f"gave {len(frame)} rows for {len(bars)} bars; a causal function answers once per bar")
    return frame


def _spliced(before: pd.DataFrame, after: pd.DataFrame, cut: int) -> pd.DataFrame:
    """The past that a step was given, with another future: what an earlier step leaked into the past is not held against it."""
    return before.iloc[: cut + 1].copy() if len(after) == cut + 1 else pd.concat([before.iloc[: cut + 1], after.iloc[cut + 1 :]])


@dataclass(frozen=True)
class _Adding:
    """A step that adds a catalogued feature to what it is given."""

    name: str

    def __call__(self, frame: pd.DataFrame, inputs: FeatureInputs | None = None) -> pd.DataFrame:
        column = compute_features(frame, [self.name]) if inputs is None else compute_features(frame, [self.name], inputs)
        return frame.assign(**{self.name: column[self.name]})


def _maker(name: str, is_leaking: Callable[[str], bool]) -> tuple[str, str]:
    """What made a feature that leaks: its formula's kernel, or what joins it to the bars where the formula alone is innocent."""
    parsed = parse_name(name)
    if resolve(parsed)[0].name in NEWS_NAMES:
        return function_named(NewsSteps)
    alone = FeatureName(parsed.symbol if resolve(parsed)[0].name in PAIRED_NAMES else None, None, parsed.formula, parsed.periods)
    if str(alone) == name or is_leaking(str(alone)):
        return function_named(resolve(parsed)[0].kernel)
    return function_named(compute_features if needs_bars_only(parsed) else panel_columns)
