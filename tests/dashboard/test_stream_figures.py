"""Charts about data as pure functions: what is drawn is what was given."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from backtesting.test import EURUSD

from components.pipeline import Coverage, Selection, source_named
from pages._shared import forms, stream_figures, streams_bars, streams_features, text
from pages._shared.streams_sources import PATIENCE

HOUR = 3_600_000


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    return EURUSD.rename(columns=str.lower).tz_localize("UTC")


def month(name: str, bars: int, bar_set: str = "a", symbol: str = "EURUSD") -> Coverage:
    return Coverage(bar_set, "sample", symbol, "H1", round(pd.Timestamp(name, tz="UTC").timestamp() * 1000), bars, 500)


def ms(stamp: pd.Timestamp) -> int:
    return round(stamp.timestamp() * 1000)


def names(figure: object) -> list[str]:
    return [trace.name for trace in figure.data]  # type: ignore[attr-defined]


def test_coverage_has_a_cell_for_every_month_of_a_set_and_none_where_it_has_none() -> None:
    figure = stream_figures.coverage_chart([month("2020-01", 500), month("2020-02", 250), month("2020-05", 0, "b", "GBPUSD")])
    heat = figure.data[0]
    assert list(heat.y) == ["EURUSD H1 · sample", "GBPUSD H1 · sample"]
    assert [pd.Timestamp(one).strftime("%Y-%m") for one in heat.x] == ["2020-01", "2020-02", "2020-03", "2020-04", "2020-05"]
    assert heat.z[0][:2].tolist() == [100.0, 50.0]
    assert np.isnan(heat.z[0][2:]).all()
    assert heat.z[1][4] == 0.0, "an empty month of a set is drawn, and as empty"
    assert heat.text[0][1] == "250 of 500 expected bars"
    assert (heat.zmin, heat.zmax) == (0, 100)


def test_rows_of_coverage_can_be_named_and_those_of_one_name_are_told_apart_by_id() -> None:
    months = [month("2020-01", 1, "EURUSD-H1-aaaaaa111111"), month("2020-01", 1, "EURUSD-H1-bbbbbb222222"), month("2020-01", 1, "c")]
    figure = stream_figures.coverage_chart(months, {"c": "mine"})
    assert list(figure.data[0].y) == ["EURUSD H1 · sample · 111111", "EURUSD H1 · sample · 222222", "mine"]
    assert stream_figures.coverage_chart([]).data[0].z.shape == (0, 0)


def test_stretches_are_drawn_in_their_lanes_and_tint_the_prices_above(bars: pd.DataFrame) -> None:
    inside = (ms(bars.index[100]), ms(bars.index[110]), "ten missing bars")
    across = (ms(bars.index[0]) - 9 * HOUR, ms(bars.index[5]), "begins before")
    outside = (0, HOUR, "long ago")
    figure = stream_figures.history_chart(bars, "EURUSD", [inside, outside], [across])
    assert names(figure) == ["EURUSD close (bid)", None, "missing bars", None, "bad days"]
    lanes = {trace.name: trace for trace in figure.data if trace.name in ("missing bars", "bad days")}
    assert (list(lanes["missing bars"].text), list(lanes["missing bars"].y)) == (["ten missing bars"], [1])
    assert (list(lanes["bad days"].text), list(lanes["bad days"].y)) == (["begins before"], [0])
    assert [shape.fillcolor for shape in figure.layout.shapes] == [stream_figures.AMBER, stream_figures.RED]
    edges = [(pd.Timestamp(shape.x0), pd.Timestamp(shape.x1)) for shape in figure.layout.shapes]
    assert edges[0] == (bars.index[100].tz_localize(None), bars.index[110].tz_localize(None))
    assert edges[1][0] == bars.index[0].tz_localize(None), "cut at the first bar in sight"
    assert list(figure.layout.yaxis2.ticktext) == ["missing", "bad days"]


def test_many_stretches_all_have_their_stroke_but_only_the_longest_tint(bars: pd.DataFrame) -> None:
    many = [(ms(bars.index[10 * n]), ms(bars.index[10 * n]) + n * 1_000, str(n)) for n in range(1, 101)]
    figure = stream_figures.history_chart(bars, "EURUSD", many)
    assert len(next(trace for trace in figure.data if trace.name == "missing bars").x) == 100
    assert len(figure.layout.shapes) == stream_figures.MOST_TINTED
    shortest = min(pd.Timestamp(shape.x1) - pd.Timestamp(shape.x0) for shape in figure.layout.shapes)
    assert shortest == pd.Timedelta(seconds=41)


def test_a_repaired_bar_has_a_ring(bars: pd.DataFrame) -> None:
    flags = np.zeros(len(bars), dtype=np.int64)
    flags[[7, 4_000]] = 16
    figure = stream_figures.history_chart(bars.assign(repair=flags), "EURUSD")
    rings = next(trace for trace in figure.data if trace.name == "repaired bars")
    assert list(rings.y) == bars["close"].to_numpy()[[7, 4_000]].tolist()
    assert "repaired bars" not in names(stream_figures.history_chart(bars.assign(repair=0), "EURUSD"))


def test_a_long_history_keeps_the_extremes_of_each_part(bars: pd.DataFrame) -> None:
    thin = stream_figures.thinned(bars, 400)
    assert len(thin) <= 400
    assert thin.index.is_monotonic_increasing
    for part in np.array_split(np.arange(len(bars)), 200):
        closes = bars["close"].to_numpy()[part]
        kept = thin["close"][(thin.index >= bars.index[part[0]]) & (thin.index <= bars.index[part[-1]])]
        assert (kept.max(), kept.min()) == (closes.max(), closes.min())
    assert stream_figures.thinned(bars, 5_000) is bars


def test_no_line_is_drawn_across_a_hole_that_is_longer_than_a_holiday(bars: pd.DataFrame) -> None:
    holed = bars.drop(bars.index[1_000:1_400])
    line = stream_figures.history_chart(holed, "EURUSD").data[0]
    assert np.isnan(line.y).sum() == 1
    assert np.isnan(line.y[1_000])
    assert len(line.x) == len(line.y) == len(holed) + 1
    assert not np.isnan(stream_figures.history_chart(bars, "EURUSD").data[0].y).any(), "weekends are crossed"


def test_an_empty_history_is_an_empty_chart(bars: pd.DataFrame) -> None:
    assert stream_figures.history_chart(bars.iloc[:0], "EURUSD", [(0, HOUR, "")]).layout.shapes == ()


def test_lost_points_are_sorted_and_what_lost_nothing_is_left_out() -> None:
    bar = stream_figures.lost_points_chart({"missing": 12.5, "stale": 0.001, "spikes": 0.0, "outside": 0.25}).data[0]
    assert list(bar.y) == ["stale", "outside", "missing"]
    assert list(bar.text) == ["under 0.01", "0.25", "12.50"]


def test_correlations_are_those_of_the_columns() -> None:
    frame = pd.DataFrame({"a": [1.0, 2, 3, 4], "b": [-1.0, -2, -3, -4], "c": [1.0, -1, 1, -1], "d": [np.nan] * 4})
    values = stream_figures.correlation_chart(frame).data[0].z
    assert values[0][1] == pytest.approx(-1)
    assert values[0][2] == pytest.approx(frame["a"].corr(frame["c"]))
    assert math.isnan(values[0][3])
    pairs = streams_features.strongest_pairs(frame, 2)
    assert pairs.iloc[0][["feature", "other"]].tolist() == ["a", "b"]
    assert len(pairs) == 2


def test_bars_around_a_gap_reach_to_both_sides_of_it(bars: pd.DataFrame) -> None:
    shown = streams_bars.around(bars, ms(bars.index[1_000]), ms(bars.index[1_003]))
    assert (shown.index[0], shown.index[-1]) == (bars.index[1_000 - streams_bars.AROUND_BARS], bars.index[1_002 + streams_bars.AROUND_BARS])
    assert streams_bars.around(bars, 0, HOUR).index[0] == bars.index[0]


@pytest.mark.parametrize(
    ("clock", "words"),
    [
        ({}, "UTC"),
        ({"rule": "us", "offset_winter_minutes": -300}, "UTC−5, summer time of the US"),
        ({"rule": "eu", "offset_winter_minutes": 120}, "UTC+2, summer time of Europe"),
        ({"rule": "none", "offset_winter_minutes": 330}, "UTC+5.5, no summer time"),
    ],
)
def test_a_clock_is_told_in_a_few_words(clock: dict[str, object], words: str) -> None:
    assert streams_bars.clock_words(clock) == words


def test_features_of_other_pairs_are_offered_once_for_each_pair_that_is_there() -> None:
    alone = streams_features.names_for((), False)
    assert "rsi_14" in alone
    assert not {"base_strength_24", "quote_tone"} & set(alone)
    two = streams_features.names_for(("GBPUSD", "USDJPY"), True)
    assert {"GBPUSD.correlation_48", "USDJPY.correlation_48", "base_strength_24", "quote_tone"} <= set(two)
    assert len(two) == len(set(two))


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "–"), (math.nan, "–"), (0.0, "0"), (math.inf, "∞"), (1_234.5678, "1,235"), (0.0009975, "0.0009975"), (52.0725, "52.07"),
     (-7.632e-7, "−7.632 × 10⁻⁷"), (3.5e12, "3.500 × 10¹²"), (123_456.0, "123,456")],
)  # fmt: skip
def test_a_number_of_any_size_has_digits_that_say_something(value: float | None, words: str) -> None:
    assert text.significant(value) == words


def test_every_option_of_every_source_gets_an_input() -> None:
    for name in ("histdata", "mt5_csv", "mt5_terminal", "folder", "live", "ecb", "yfinance", "gdelt", "gdelt_events"):
        for field, spec in source_named(name).options.model_json_schema()["properties"].items():
            shape = forms.shape(spec)
            is_list = shape.get("type") == "array" and shape["items"].get("type") == "string"
            assert forms.is_plain(shape) or is_list or shape.get("type") in ("object", "array"), f"{name}.{field}"
    assert set(PATIENCE) >= {"tries", "seconds_between", "base_url"}


def test_a_field_that_may_be_empty_is_drawn_as_what_it_is_where_it_is_not() -> None:
    schema = Selection.model_json_schema()["properties"]
    assert forms.shape(schema["most_features"]) | {"default": None, "title": ""} == {
        "type": "integer", "minimum": 1, "maximum": 5000, "nullable": True, "default": None, "title": "",
        "description": "features that are kept at most",
    }  # fmt: skip
    assert forms.shape(schema["method"]) == schema["method"]


def test_only_what_was_changed_is_asked_for() -> None:
    folder = source_named("folder").options
    values = {"path": "/data", "glob": "*", "time": [], "columns": None, "ask_path": None, "has_header": False, "delimiter": "", "stamp": "close"}
    assert forms.changed(folder, values) == {"path": "/data", "has_header": False, "stamp": "close"}
