"""The catalogue: every formula that the platform knows, and every feature that can be named with them.

A feature is a formula with its periods, perhaps of another symbol or timeframe, perhaps some bars old: `FeatureName`. Every one is causal (row
t uses bars ≤ t) and free of the price level. A new module of formulas is one line in `_MODULES`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from components.features import (
    family_bar,
    family_candlestick,
    family_cross,
    family_indicator,
    family_intrinsic,
    family_microstructure,
    family_momentum,
    family_news,
    family_oscillator,
    family_path,
    family_regime,
    family_return,
    family_reversion,
    family_session,
    family_statistics,
    family_trend,
    family_volatility,
    family_volume,
)
from components.features.formula import LARGEST_PERIOD, Formula
from components.features.names import FeatureName, parse_name
from components.fx import BadInput

_MODULES = (
    family_return,
    family_volatility,
    family_momentum,
    family_oscillator,
    family_trend,
    family_path,
    family_reversion,
    family_bar,
    family_candlestick,
    family_session,
    family_volume,
    family_statistics,
    family_microstructure,
    family_intrinsic,
    family_regime,
    family_cross,
    family_news,
)
DEFAULT_FEATURES: tuple[str, ...] = (
    "return_1", "return_4", "return_24", "gap", "volatility_24", "volatility_ratio", "parkinson_24", "garman_klass_24", "atr_ratio_14",
    "rsi_14", "macd_histogram", "stochastic_14", "ema_distance", "adx_14", "di_difference_14", "z_score_48", "bollinger_position_20",
    "range_position_48", "body_share", "upper_wick_share", "lower_wick_share", "hour_sin", "hour_cos", "week_sin", "week_cos",
    "volume_ratio_24",
)  # fmt: skip
"""What a dataset is made of where nothing else is said."""


@dataclass(frozen=True)
class Feature:
    """One feature, as people and the API see it.

    `low` and `high` bound every value (infinite where the formula has no bound); `source` says who published the formula; `formula` gives it
    with O, H, L, C, V of the bar; `warmup_bars` counts the first rows that are NaN, in bars of the feature's own timeframe; `needs` says what
    it cannot do without (``spread``, ``volume``, ``others``, ``news``); `is_recursive` marks memory of the first bar.
    """

    name: str
    family: str
    source: str
    formula: str
    warmup_bars: int
    low: float
    high: float
    needs: frozenset[str] = frozenset()
    is_recursive: bool = False


def formulas() -> tuple[Formula, ...]:
    """Every formula of the catalogue, in a fixed order."""
    return tuple(_registry(False).values())


def indicator_formulas() -> tuple[Formula, ...]:
    """Every indicator at the price level, in a fixed order; they have names of their own (`resolve`) and are in no dataset."""
    return tuple(_registry(True).values())


def resolve(name: str | FeatureName, *, is_indicator: bool = False) -> tuple[Formula, tuple[int, ...]]:
    """The formula that a feature's name speaks of, and its periods; symbol, timeframe and shift are left aside.

    With `is_indicator` the name is one of `indicator_formulas` instead, ``sma_20``.

    Raises
    ------
    BadInput
        If the name has not the form of one, there is no such formula, it takes another number of periods, or a period is too small or too
        large; and where the same feature has a shorter name.
    """
    parsed = parse_name(name) if isinstance(name, str) else name
    formula = _registry(is_indicator).get(parsed.formula)
    if formula is None:
        raise BadInput("features", f"{str(name)!r} is unknown{_hint(parsed.stem, is_indicator)}")
    return formula, checked_periods(formula, parsed.periods)


def checked_periods(formula: Formula, given: tuple[int, ...]) -> tuple[int, ...]:
    """The periods of a name, completed from the catalogued ones where the name stands for them.

    Raises
    ------
    BadInput
        As `resolve`.
    """
    written = "_".join((formula.name, *map(str, given)))
    if not given and formula.fixed_name == formula.name:
        return formula.periods
    if len(given) != len(formula.periods):
        usual = formula.named()
        if not given:
            raise BadInput("features", f"{written!r} is unknown: it takes {len(formula.periods)} periods, as in {usual}")
        raise BadInput("features", f"{written!r} has {len(given)} periods, the formula has {len(formula.periods)}, as in {usual}")
    for place, period in enumerate(given):
        least = formula.least[place] if place < len(formula.least) else 2
        if not least <= period <= LARGEST_PERIOD:
            raise BadInput("features", f"{written!r}: the period {period} is not between {least} and {LARGEST_PERIOD}")
    if formula.named(given) != written:
        raise BadInput("features", f"{written!r} is called {formula.named(given)}")
    return given


def feature_of(name: str | FeatureName) -> Feature:
    """What is known about a feature, from its name.

    Raises
    ------
    BadInput
        As `resolve`.
    """
    parsed = parse_name(name) if isinstance(name, str) else name
    formula, periods = resolve(parsed)
    needs = formula.needs if parsed.symbol is None else formula.needs | {"others"}
    return Feature(
        str(parsed), formula.family, formula.source, formula.text.format(*periods), formula.warmup(*periods) + parsed.shift,
        bound(formula.low, periods), bound(formula.high, periods), needs, formula.is_recursive,
    )  # fmt: skip


def bound(limit: object, periods: tuple[int, ...]) -> float:
    """A bound of a formula with these periods."""
    return float(limit(*periods) if callable(limit) else limit)  # type: ignore[arg-type]


@lru_cache(maxsize=1)
def catalogue() -> tuple[Feature, ...]:
    """Every formula with its usual periods, and the features of `DEFAULT_FEATURES`, in a fixed order."""
    names = []
    for formula in formulas():
        names.append(formula.named())
        names += [name for name in DEFAULT_FEATURES if name != names[-1] and parse_name(name).formula == formula.name]
    return tuple(feature_of(name) for name in dict.fromkeys(names))


def features_named(names: Iterable[str] | None = None) -> tuple[Feature, ...]:
    """The features called `names`, in that order; `DEFAULT_FEATURES` where it is None.

    Raises
    ------
    BadInput
        If a name is unknown, given twice, or there is none.
    """
    return tuple(feature_of(name) for name in distinct_names(DEFAULT_FEATURES if names is None else names))


def distinct_names(names: Iterable[str]) -> list[str]:
    """The names as a list.

    Raises
    ------
    BadInput
        If a name is given twice, or there is none.
    """
    wanted = [str(name) for name in names]
    if not wanted:
        raise BadInput("features", "no feature is named")
    if len(set(wanted)) != len(wanted):
        twice = next(name for name in wanted if wanted.count(name) > 1)
        raise BadInput("features", f"the name {twice!r} is given twice")
    return wanted


@lru_cache(maxsize=2)
def _registry(is_indicator: bool) -> dict[str, Formula]:
    known: dict[str, Formula] = {}
    for module in (family_indicator,) if is_indicator else _MODULES:
        for formula in module.FORMULAS:
            if formula.name in known:
                raise ValueError(f"two formulas are called {formula.name}")
            known[formula.name] = formula
    return known


def _hint(stem: str, is_indicator: bool) -> str:
    known = [formula.named() for formula in indicator_formulas()] if is_indicator else [feature.name for feature in catalogue()]
    near = difflib.get_close_matches(stem, known, n=3, cutoff=0.5)
    return f"; is it {' or '.join(near)}?" if near else "; the catalogue lists what there is"
