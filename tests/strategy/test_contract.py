"""The contract refuses what it cannot mean, and names it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from components.fx import BadInput
from components.strategy import Decisions, catalogue, strategy


@pytest.mark.parametrize(
    ("columns", "field"),
    [
        ({"side": np.array([0, 2, 0])}, "decisions.side"),
        ({"side": np.zeros(4)}, "decisions.side"),
        ({"side": np.array([0, 1, 0]), "entry": 1}, "decisions.entry_price"),
        ({"side": np.array([0, 1, 0]), "stop": np.array([np.nan, -1.0, np.nan])}, "decisions.stop"),
        ({"side": np.array([0, 1, 0]), "target": np.array([np.nan, np.inf, np.nan])}, "decisions.target"),
        ({"side": np.array([0, 1, 0]), "size_fraction": 1.5}, "decisions.size_fraction"),
        ({"side": np.array([0, 1, 0]), "confidence": np.nan}, "decisions.confidence"),
        ({"side": np.array([0, 1, 0]), "expiry_bars": -1}, "decisions.expiry_bars"),
        ({"side": 0, "exit": 3}, "decisions.exit"),
    ],
)
def test_a_wrong_column_is_named(columns: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInput) as error:
        Decisions(**columns).checked(3)
    assert error.value.field == field


def test_prices_where_nothing_is_wished_do_not_matter() -> None:
    Decisions(side=np.array([0, 1]), stop=np.array([-5.0, 1.0])).checked(2)


@pytest.mark.parametrize(
    ("name", "params", "field"),
    [
        ("sma_cross", {"fast": 50, "slow": 10}, "params"),
        ("sma_cross", {"fast": "many"}, "params.fast"),
        ("sma_cross", {"speed": 3}, "params.speed"),
        ("atr_breakout", {"stop_atr": float("nan")}, "params.stop_atr"),
        ("model_edge", {"edge": 1.0}, "params.edge"),
    ],
)
def test_a_wrong_parameter_is_named(name: str, params: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInput) as error:
        strategy(name).parse(params)
    assert error.value.field.startswith(field)


def test_an_unknown_strategy_is_answered_with_the_known_ones() -> None:
    with pytest.raises(BadInput, match="sma_cross"):
        strategy("martingale")


def test_every_strategy_has_bounds_on_every_number_and_a_sentence_for_every_reason_it_gives() -> None:
    for item in catalogue():
        for name, schema in item.params.model_json_schema()["properties"].items():
            if schema["type"] in ("integer", "number"):
                assert {"minimum", "exclusiveMinimum"} & set(schema), f"{item.name}.{name}"
                assert {"maximum", "exclusiveMaximum"} & set(schema), f"{item.name}.{name}"
        assert {1, 2} <= set(item.reasons)


def test_break_even_is_off_where_its_parameters_switch_it_off() -> None:
    item = strategy("atr_breakout")
    assert item.managing(item.parse({"break_even_at": 0})) == (None, None)
    assert item.managing(item.parse({"stop_atr": 0})) == (None, None)
    assert item.managing(item.parse(None))[0] is not None
