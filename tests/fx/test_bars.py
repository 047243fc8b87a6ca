"""The door of the bars frame: what is wrong is refused, with the field and the row named."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from components.fx import BadInput, validate_bars


def good_bars() -> pd.DataFrame:
    """Four hourly bars."""
    index = pd.date_range("2026-01-05", periods=4, freq="h", tz="UTC")
    columns = {
        "open": [1.10, 1.11, 1.12, 1.13],
        "high": [1.12, 1.13, 1.14, 1.15],
        "low": [1.09, 1.10, 1.11, 1.12],
        "close": [1.11, 1.12, 1.13, 1.14],
        "volume": [10, 20, 30, 40],
        "spread_points": [5, 0, 7, 8],
    }
    return pd.DataFrame(columns, index=index)


def test_a_good_frame_comes_back_in_canonical_form_and_is_a_copy() -> None:
    bars = good_bars().tz_convert("Asia/Tokyo")
    frame = validate_bars(bars[["close", "open", "high", "low", "spread_points", "volume"]].assign(note="x"))
    assert list(frame.columns) == ["open", "high", "low", "close", "volume", "spread_points"]
    assert set(frame.dtypes) == {np.dtype("float64")}
    assert (frame.index.name, str(frame.index.dtype)) == ("open_time", "datetime64[ms, UTC]")
    assert frame.index[0] == pd.Timestamp("2026-01-05", tz="UTC")
    frame.iloc[0, 0] = 9.0
    assert bars["open"].iloc[0] == 1.10
    pd.testing.assert_frame_equal(validate_bars(validate_bars(bars)), validate_bars(bars))


def test_volume_is_zero_and_spread_is_absent_where_they_are_unknown() -> None:
    frame = validate_bars(good_bars()[["open", "high", "low", "close"]])
    assert list(frame.columns) == ["open", "high", "low", "close", "volume"]
    assert (frame["volume"] == 0.0).all()


def test_an_empty_frame_is_a_frame() -> None:
    assert len(validate_bars(good_bars().iloc[:0])) == 0


def with_value(column: str, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Puts `value` into row 2 of `column`."""

    def change(bars: pd.DataFrame) -> pd.DataFrame:
        bars = bars.astype({column: object})
        bars.iloc[2, bars.columns.get_loc(column)] = value
        return bars

    return change


def with_times(*rows: int) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """The rows in this order."""
    return lambda bars: bars.iloc[list(rows)]


def with_missing_time(bars: pd.DataFrame) -> pd.DataFrame:
    """Row 0 without a time."""
    return bars.set_axis(bars.index.where(np.arange(len(bars)) > 0))


BAD = [
    ("column open is missing", lambda bars: bars.drop(columns="open"), "bars", "'open' is missing"),
    ("column close is missing", lambda bars: bars.drop(columns="close"), "bars", "'close' is missing"),
    ("index is not of times", lambda bars: bars.reset_index(drop=True), "bars.open_time", "RangeIndex"),
    ("times without a zone", lambda bars: bars.tz_localize(None), "bars.open_time", "no zone"),
    ("repeated time", with_times(0, 1, 1, 3), "bars.open_time", "row 2 (2026-01-05T01:00:00+00:00) does not come after"),
    ("times going back", with_times(0, 2, 1, 3), "bars.open_time", "row 2"),
    ("missing time", with_missing_time, "bars.open_time", "row 0 has no time"),
    ("only a missing time", lambda bars: with_missing_time(bars).iloc[:1], "bars.open_time", "row 0 has no time"),
    *[
        (f"{name} is {value}", with_value(name, value), f"bars.{name}", "at row 2 (2026-01-05T02:00:00+00:00) is not a positive price")
        for name in ("open", "high", "low", "close")
        for value in (0.0, -1.0, np.nan, np.inf, None)
    ],
    ("open above high", with_value("open", 1.15), "bars.open", "lies outside"),
    ("open below low", with_value("open", 1.10), "bars.open", "lies outside"),
    ("close above high", with_value("close", 1.15), "bars.close", "lies outside"),
    ("close below low", with_value("close", 1.10), "bars.close", "lies outside"),
    ("low above high", with_value("low", 1.15), "bars.low", "is above the bar's high"),
    ("text for a price", with_value("close", "n/a"), "bars.close", "not a number"),
    ("column twice", lambda bars: pd.concat([bars, bars[["high"]]], axis=1), "bars.high", "twice"),
    ("volume below zero", with_value("volume", -1), "bars.volume", "is not zero or more"),
    ("volume unknown in one row", with_value("volume", np.nan), "bars.volume", "is not zero or more"),
    ("spread below zero", with_value("spread_points", -1), "bars.spread_points", "is not zero or more"),
    ("spread without end", with_value("spread_points", np.inf), "bars.spread_points", "is not zero or more"),
]


@pytest.mark.parametrize(("spoil", "field", "message"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_a_bad_frame_is_refused_with_field_and_row(spoil: Callable[[pd.DataFrame], pd.DataFrame], field: str, message: str) -> None:
    with pytest.raises(BadInput) as refused:
        validate_bars(spoil(good_bars()))
    assert refused.value.field == field
    assert message in refused.value.message
