"""Names of features: taken apart, put together, refused with a sentence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.features import FeatureName, catalogue, feature_of, formulas, parse_name
from components.features.catalogue import resolve
from components.fx import BadInput, Timeframe


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("rsi_14", (None, None, "rsi", (14,), 0)),
        ("macd_histogram", (None, None, "macd_histogram", (), 0)),
        ("H4.rsi_14", (None, Timeframe.H4, "rsi", (14,), 0)),
        ("GBPUSD.return_1", ("GBPUSD", None, "return", (1,), 0)),
        ("GBPUSD.H4.rsi_14.shift_2", ("GBPUSD", Timeframe.H4, "rsi", (14,), 2)),
        ("gap.shift_1", (None, None, "gap", (), 1)),
        ("US30.D1.ichimoku_cloud_9_26_52", ("US30", Timeframe.D1, "ichimoku_cloud", (9, 26, 52), 0)),
        ("r_squared_20", (None, None, "r_squared", (20,), 0)),
    ],
)
def test_a_name_is_taken_apart_and_put_together_again(name: str, parts: tuple[object, ...]) -> None:
    parsed = parse_name(name)
    assert (parsed.symbol, parsed.timeframe, parsed.formula, parsed.periods, parsed.shift) == parts
    assert str(parsed) == name
    assert parsed.is_plain == (parts[0] is None and parts[1] is None)


PARTS = st.builds(
    FeatureName,
    st.sampled_from([None, "EURUSD", "XAUUSD", "US30"]),
    st.sampled_from([None, *Timeframe]),
    st.sampled_from(sorted({formula.name for formula in formulas()})),
    st.lists(st.integers(0, 5000), max_size=3).map(tuple),
    st.integers(0, 5000),
)


@given(PARTS)
def test_whatever_is_put_together_is_taken_apart_into_the_same(name: FeatureName) -> None:
    assert parse_name(str(name)) == name


@pytest.mark.parametrize(
    "name",
    ["", "RSI_14", "rsi_", "rsi_014", "rsi 14", "rsi_14.shift_0", "rsi_14.shift_01", "rsi_14.shift", "H4", "H4.", ".rsi_14", "rsi_14.H4",
     "H4.GBPUSD.rsi_14", "EURUSD.GBPUSD.rsi_14", "H3.rsi_14.", "H3..rsi_14", "rsi_14.shift_1.shift_2", "rsi_-14", "14", "_rsi_14", "rsi__14"],
)  # fmt: skip
def test_what_is_no_name_is_refused_and_shown_how_to_write_one(name: str) -> None:
    with pytest.raises(BadInput, match="no feature's name") as caught:
        parse_name(name)
    assert caught.value.field == "features"
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("rsi", "'rsi' is unknown: it takes 1 periods, as in rsi_14"),
        ("rsi_14_3", "has 2 periods, the formula has 1, as in rsi_14"),
        ("rsi_1", "the period 1 is not between 2 and 5000"),
        ("rsi_5001", "the period 5001 is not between 2 and 5000"),
        ("rsi_14.shift_5001", "at most 5000"),
        ("gap_3", "has 1 periods, the formula has 0, as in gap"),
        ("macd_histogram_12_26_9", "is called macd_histogram"),
        ("rsj_14", "'rsj_14' is unknown; is it rsi_14"),
        ("zzz", "'zzz' is unknown; the catalogue lists"),
    ],
)
def test_a_name_that_speaks_of_nothing_is_refused_with_what_would_do(name: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        feature_of(name)
    assert said in str(caught.value)


def test_every_catalogued_name_is_the_only_one_of_its_feature() -> None:
    for entry in catalogue():
        formula, periods = resolve(entry.name)
        assert formula.named(periods) == entry.name
        assert feature_of(entry.name) == entry


def test_a_feature_of_elsewhere_says_so_and_counts_its_shift_as_warm_up() -> None:
    plain, other = feature_of("rsi_14"), feature_of("GBPUSD.H4.rsi_14.shift_2")
    assert other.needs == {"others"}
    assert (other.name, other.warmup_bars) == ("GBPUSD.H4.rsi_14.shift_2", plain.warmup_bars + 2)
    assert feature_of("macd_histogram_5_34_5").formula == "(MACD(5, 34) − EMA(MACD, 5)) / C"
