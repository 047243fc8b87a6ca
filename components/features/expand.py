"""Many features from a few words: formulas × periods × timeframes × pairs × shifts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from components.features.catalogue import checked_periods, formulas, resolve
from components.features.family_cross import PAIRED_NAMES
from components.features.formula import LARGEST_PERIOD, Formula
from components.features.names import FeatureName, parse_name
from components.features.panel import BASKET_NAMES
from components.fx import BadInput, Timeframe

One = TypeVar("One")
MOST_NAMES = 5_000
OWN = "own"
"""Stands for the bars' own pair or timeframe."""


class FeatureRecipe(BaseModel):
    """Which features, as formulas and what to combine them with; `expand` gives their names.

    Examples
    --------
    Sixty features of EURUSD H1 bars: three formulas, two with three periods each and one with four, on two timeframes, now, and one and
    two bars before.

    >>> recipe = FeatureRecipe(
    ...     formulas=("rsi", "z_score", "return"),
    ...     periods={"rsi": (7, 14, 28), "z_score": (24, 48, 96), "return": (1, 4, 12, 24)},
    ...     timeframes=("own", "H4"),
    ...     shifts=(0, 1, 2),
    ... )
    >>> names = expand(recipe)
    >>> len(names), names[0], names[-1]
    (60, 'rsi_7', 'H4.return_24.shift_2')
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    formulas: tuple[str, ...] = Field(..., min_length=1, max_length=500, description="names of formulas, without periods")
    periods: dict[str, tuple[tuple[int, ...], ...]] = Field(
        default_factory=dict, description="periods of each formula, one number or a list of them at a time; the catalogued ones where it is left out"
    )
    timeframes: tuple[str, ...] = Field((OWN,), min_length=1, max_length=10, description="lengths of the bars, own for the bars' own")
    pairs: tuple[str, ...] = Field((OWN,), min_length=1, max_length=50, description="whose bars, own for the bars' own pair")
    shifts: tuple[int, ...] = Field((0,), min_length=1, max_length=100, description="bars by which a value is older")

    @field_validator("formulas")
    @classmethod
    def _known_formulas(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            _formula(name)
        return _distinct(names)

    @field_validator("periods", mode="before")
    @classmethod
    def _listed(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {name: [[one] if isinstance(one, int) else one for one in _listed(wanted)] for name, wanted in given.items()}

    @field_validator("periods")
    @classmethod
    def _fitting(cls, given: dict[str, tuple[tuple[int, ...], ...]], info: ValidationInfo) -> dict[str, tuple[tuple[int, ...], ...]]:
        for name, wanted in given.items():
            if name not in info.data.get("formulas", ()):
                raise ValueError(f"{name!r} is not among the formulas")
            if not wanted:
                raise ValueError(f"{name!r} has no periods; leave it out for the catalogued ones")
            for periods in _distinct(wanted):
                _refused_as_value(checked_periods, _formula(name), periods)
        return given

    @field_validator("timeframes")
    @classmethod
    def _known_timeframes(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name != OWN:
                _refused_as_value(Timeframe.named, name)
        return _distinct(tuple(name if name == OWN else name.upper() for name in names))

    @field_validator("pairs")
    @classmethod
    def _pairs(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name != OWN:
                _refused_as_value(parse_name, f"{name}.gap")
        return _distinct(names)

    @field_validator("shifts")
    @classmethod
    def _not_ahead(cls, shifts: tuple[int, ...]) -> tuple[int, ...]:
        for shift in shifts:
            if not 0 <= shift <= LARGEST_PERIOD:
                raise ValueError(f"{shift} is not between 0 and {LARGEST_PERIOD}; a value of a later bar is not known yet")
        return _distinct(shifts)


def expand(recipe: FeatureRecipe) -> tuple[str, ...]:
    """The names that a recipe stands for.

    Parameters
    ----------
    recipe : FeatureRecipe

    Returns
    -------
    tuple of str
        By pair, then timeframe, formula, periods and shift, each in the recipe's order, without duplicates. What cannot be is left out: a
        formula of two pairs for the bars' own, one of all pairs or of news for another pair, news on another timeframe.

    Raises
    ------
    BadInput
        If there would be more than `MOST_NAMES`, or a formula is left without any name; the field is named.
    """
    chosen = {name: recipe.periods.get(name, (_formula(name).periods,)) for name in recipe.formulas}
    count = sum(map(len, chosen.values())) * len(recipe.timeframes) * len(recipe.pairs) * len(recipe.shifts)
    if count > MOST_NAMES:
        raise BadInput(
            "formulas", f"the recipe stands for {count:,} features, at most {MOST_NAMES:,} are allowed; take fewer formulas, periods or shifts"
        )
    names = dict.fromkeys(str(name) for name in _names(recipe, chosen))
    for name in recipe.formulas:
        if not any(parse_name(one).formula == name for one in names):
            raise BadInput(
                "pairs", f"{name!r} cannot be had of {', '.join(recipe.pairs)} on {', '.join(recipe.timeframes)}: {_place_of(_formula(name))}"
            )
    return tuple(names)


def _names(recipe: FeatureRecipe, chosen: dict[str, tuple[tuple[int, ...], ...]]) -> Iterator[FeatureName]:
    for pair in recipe.pairs:
        for timeframe in recipe.timeframes:
            for formula in map(_formula, recipe.formulas):
                if _is_possible(formula, pair == OWN, timeframe == OWN):
                    for periods in chosen[formula.name]:
                        stem = parse_name(formula.named(periods))
                        for shift in recipe.shifts:
                            length = None if timeframe == OWN else Timeframe[timeframe]
                            yield FeatureName(None if pair == OWN else pair, length, stem.formula, stem.periods, shift)


def _is_possible(formula: Formula, is_own_pair: bool, is_own_timeframe: bool) -> bool:
    if formula.name in PAIRED_NAMES:
        return not is_own_pair
    if "news" in formula.needs:
        return is_own_pair and is_own_timeframe
    return is_own_pair or formula.name not in BASKET_NAMES


def _place_of(formula: Formula) -> str:
    if formula.name in PAIRED_NAMES:
        return "it needs another pair"
    return "it is of the bars' own pair and timeframe" if "news" in formula.needs else "it is of the bars' own pair"


def _formula(name: str) -> Formula:
    """The formula of that name.

    Raises
    ------
    ValueError
        If there is none.
    """
    for formula in formulas():
        if formula.name == name:
            return formula
    hint = " (a name without periods is wanted)" if _is_feature(name) else ""
    raise ValueError(f"{name!r} is no formula of the catalogue{hint}")


def _is_feature(name: str) -> bool:
    try:
        resolve(name)
    except BadInput:
        return False
    return True


def _refused_as_value(check: Callable[..., object], *given: object) -> None:
    """Let a check refuse in pydantic's way, so that the field is named."""
    try:
        check(*given)
    except BadInput as error:
        raise ValueError(error.message.removeprefix(f"{error.field}: ")) from None


def _listed(wanted: Any) -> Any:
    return [wanted] if isinstance(wanted, int) else wanted


def _distinct(values: tuple[One, ...]) -> tuple[One, ...]:
    if len(set(values)) < len(values):
        raise ValueError(f"{next(one for one in values if values.count(one) > 1)!r} is given twice")
    return values
