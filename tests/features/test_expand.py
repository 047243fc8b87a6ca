"""One recipe of formulas, periods, timeframes, pairs and shifts: which names it stands for, and what it refuses."""

from __future__ import annotations

import doctest
import sys

import pytest
from panel_world import world_bars, world_inputs
from pydantic import ValidationError

from components.features import FeatureRecipe, compute_features, expand, features_named
from components.fx import BadInput


def test_the_example_of_the_recipe_runs_and_gives_sixty() -> None:
    # The front's function of the same name stands before the module.
    results = doctest.testmod(sys.modules["components.features.expand"])
    assert (results.failed, results.attempted) == (0, 3)


def test_names_come_by_pair_timeframe_formula_periods_and_shift() -> None:
    recipe = FeatureRecipe(formulas=("rsi", "gap"), periods={"rsi": (7, 14)}, timeframes=("own", "h4"), pairs=("own", "GBPUSD"), shifts=(0, 2))
    assert expand(recipe) == (
        *("rsi_7", "rsi_7.shift_2", "rsi_14", "rsi_14.shift_2", "gap", "gap.shift_2"),
        *("H4.rsi_7", "H4.rsi_7.shift_2", "H4.rsi_14", "H4.rsi_14.shift_2", "H4.gap", "H4.gap.shift_2"),
        *("GBPUSD.rsi_7", "GBPUSD.rsi_7.shift_2", "GBPUSD.rsi_14", "GBPUSD.rsi_14.shift_2", "GBPUSD.gap", "GBPUSD.gap.shift_2"),
        *("GBPUSD.H4.rsi_7", "GBPUSD.H4.rsi_7.shift_2", "GBPUSD.H4.rsi_14", "GBPUSD.H4.rsi_14.shift_2", "GBPUSD.H4.gap", "GBPUSD.H4.gap.shift_2"),
    )


def test_periods_left_out_are_the_catalogued_ones_and_several_are_a_list() -> None:
    recipe = FeatureRecipe.model_validate({"formulas": ["macd_histogram", "volatility_rank", "dc_side"], "periods": {"dc_side": [[2, 24], [4, 24]]}})
    assert expand(recipe) == ("macd_histogram", "volatility_rank_24_240", "dc_side_2_24", "dc_side_4_24")


def test_what_cannot_be_is_left_out_and_the_rest_can_be_computed() -> None:
    recipe = FeatureRecipe(formulas=("rsi", "correlation", "base_strength", "base_tone"), timeframes=("own", "H4"), pairs=("own", "GBPUSD"))
    names = expand(recipe)
    assert set(names) == {
        *("rsi_14", "base_strength_24", "base_tone", "H4.rsi_14", "H4.base_strength_24"),
        *("GBPUSD.rsi_14", "GBPUSD.correlation_48", "GBPUSD.H4.rsi_14", "GBPUSD.H4.correlation_48"),
    }
    assert len(features_named(names)) == len(names)
    assert list(compute_features(world_bars().iloc[:400], names, world_inputs()).columns) == list(names)


def test_the_same_recipe_gives_the_same_names_and_survives_json() -> None:
    recipe = FeatureRecipe(formulas=("return", "rsi"), periods={"return": (1, 4)}, pairs=("GBPUSD", "own"), shifts=(1, 0))
    again = FeatureRecipe.model_validate_json(recipe.model_dump_json())
    assert again == recipe
    assert expand(again) == expand(recipe)
    assert expand(recipe)[0] == "GBPUSD.return_1.shift_1"


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"formulas": ["rsi", "macdd"]}, "formulas", "'macdd' is no formula of the catalogue"),
        ({"formulas": ["rsi_14"]}, "formulas", "a name without periods is wanted"),
        ({"formulas": ["rsi", "rsi"]}, "formulas", "'rsi' is given twice"),
        ({"formulas": []}, "formulas", "at least 1"),
        ({"periods": {"rsi": [1]}}, "periods", "period 1 is not between 2 and 5000"),
        ({"periods": {"rsi": [6000]}}, "periods", "not between"),
        ({"periods": {"rsi": [[7, 14]]}}, "periods", "has 2 periods, the formula has 1"),
        ({"periods": {"rsi": [7, 7]}}, "periods", "given twice"),
        ({"periods": {"rsi": []}}, "periods", "has no periods"),
        ({"periods": {"adx": [7]}}, "periods", "'adx' is not among the formulas"),
        ({"timeframes": ["H3"]}, "timeframes", "'H3' is unknown"),
        ({"timeframes": ["H4", "h4"]}, "timeframes", "given twice"),
        ({"pairs": ["eurusd"]}, "pairs", "is no feature's name"),
        ({"pairs": ["GBPUSD", "GBPUSD"]}, "pairs", "given twice"),
        ({"shifts": [0, -1]}, "shifts", "a value of a later bar is not known yet"),
        ({"shifts": [9_999]}, "shifts", "between 0 and 5000"),
        ({"bars": 3}, "bars", "not permitted"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, object], field: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said) as caught:
        FeatureRecipe.model_validate({"formulas": ["rsi"], **change})
    assert caught.value.errors()[0]["loc"][0] == field


def test_more_names_than_a_dataset_can_hold_are_refused_before_they_are_made() -> None:
    wide = FeatureRecipe(formulas=("rsi", "return"), periods={"rsi": tuple(range(2, 62)), "return": tuple(range(1, 61))}, shifts=tuple(range(50)))
    with pytest.raises(BadInput, match="6,000 features, at most 5,000"):
        expand(wide)


def test_a_formula_that_is_left_without_a_name_is_told() -> None:
    with pytest.raises(BadInput, match="pairs: 'correlation' cannot be had of own on own: it needs another pair"):
        expand(FeatureRecipe(formulas=("rsi", "correlation")))
    with pytest.raises(BadInput, match="'base_tone' cannot be had"):
        expand(FeatureRecipe(formulas=("base_tone",), timeframes=("H4",)))
