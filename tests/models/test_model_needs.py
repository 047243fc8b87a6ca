"""A model that needs more than the bars it is asked with is refused at the door, not at the first bar."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.fx import BadInput
from components.models import Model


def model(*features: str) -> Model:
    return Model("m1", "direction", 1, "lightgbm", "d1", "EURUSD", "H1", features, 0, {}, Path("model.txt"), "", 0, "candidate")


@pytest.mark.parametrize(
    ("feature", "words"),
    [("GBPUSD.return_1", "bars of other symbols"), ("base_strength_24", "bars of other symbols"), ("EURUSD.base_strength_24", "bars of other"),
     ("base_tone", "needs news")],
)  # fmt: skip
def test_a_model_of_other_symbols_or_news_is_refused_where_only_bars_are_at_hand(feature: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        model("rsi_14", feature).require_for("EURUSD", "H1")


def test_one_of_its_own_bars_and_longer_ones_of_them_passes() -> None:
    model("rsi_14", "H4.rsi_14.shift_2", "EURUSD.return_1", "hour_sin").require_for("EURUSD", "H1")
