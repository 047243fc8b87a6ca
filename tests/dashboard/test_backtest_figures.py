"""Charts about backtests and studies as pure functions: what is drawn is what was given, and not more of it than a browser can take."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from components.strategy import catalogue
from pages._shared import backtest_figures, figures, forms, research_figures
from pages._shared.backtest_words import MEASURES, measure, params_words
from pages._shared.research_ranges import spread_of, usual_span

MANY_BARS, MANY_TRADES = 370_000, 15_000
MOST_JSON = 3_000_000


def minutes(rows: int) -> pd.DatetimeIndex:
    return pd.date_range("2019-01-02", periods=rows, freq="min", tz="UTC").as_unit("ms")


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    points = 112_000 + np.cumsum(np.random.default_rng(1).integers(-5, 6, MANY_BARS))
    close = points / 100_000
    return pd.DataFrame({"open": close, "high": close, "low": close, "close": close, "volume": 1.0}, index=minutes(MANY_BARS))


@pytest.fixture(scope="module")
def trades(bars: pd.DataFrame) -> pd.DataFrame:
    rng = np.random.default_rng(2)
    entry = np.sort(rng.integers(0, MANY_BARS - 60, MANY_TRADES))
    leave = entry + rng.integers(1, 60, MANY_TRADES)
    close = bars["close"].to_numpy()
    return pd.DataFrame(
        {
            "side": rng.choice([-1, 1], MANY_TRADES),
            "lots": 0.1,
            "entry_time": bars.index[entry],
            "exit_time": bars.index[leave],
            "entry_price": close[entry],
            "exit_price": close[leave],
            "exit": rng.choice(["stop", "target"], MANY_TRADES),
            "net_profit": rng.normal(0, 10, MANY_TRADES),
        }
    )


def test_a_thinned_curve_keeps_its_ends_and_its_extremes() -> None:
    values = np.random.default_rng(1).normal(size=MANY_BARS).cumsum()
    curve = pd.Series(values, index=minutes(MANY_BARS))
    thin = backtest_figures.thinned_curve(curve)
    assert len(thin) <= backtest_figures.MOST_POINTS + 2
    assert (thin.iloc[0], thin.iloc[-1], thin.min(), thin.max()) == (values[0], values[-1], values.min(), values.max())
    assert thin.index.is_monotonic_increasing
    assert backtest_figures.thinned_curve(curve.head(100)) is not None
    assert len(backtest_figures.thinned_curve(curve.head(100))) == 100


def test_thinned_equity_keeps_the_deepest_drawdown() -> None:
    frame = pd.DataFrame({"equity": 100.0, "drawdown": 0.0}, index=minutes(MANY_BARS))
    frame.iloc[123_456, 1] = 0.5
    assert backtest_figures.thinned_equity(frame)["drawdown"].max() == 0.5


def test_the_overview_of_a_long_run_shows_all_its_profit_and_stays_small(bars: pd.DataFrame, trades: pd.DataFrame) -> None:
    figure = backtest_figures.overview_chart(bars, trades, "EURUSD", "USD", (bars.index[10], bars.index[500]))
    bar = figure.data[-1]
    assert sum(bar.y) == pytest.approx(trades["net_profit"].sum())
    assert sum(bar.customdata) == MANY_TRADES
    assert len(figure.layout.shapes) == 2, "the window is tinted in both lanes"
    assert len(json.dumps(json.loads(figure.to_json()))) < MOST_JSON


def test_a_window_of_trades_is_drawn_in_full(bars: pd.DataFrame, trades: pd.DataFrame) -> None:
    some = trades.iloc[5_000:5_400]
    figure = figures.executions_chart(bars.iloc[100_000:110_000], some, "EURUSD")
    marks = [trace for trace in figure.data if trace.mode == "markers"]
    assert sum(len(trace.x) for trace in marks) == 2 * len(some)
    assert len(json.dumps(json.loads(figure.to_json()))) < MOST_JSON


def test_months_compound_to_the_year_and_a_month_without_equity_is_empty() -> None:
    times = pd.to_datetime(["2018-11-30", "2018-12-31", "2019-01-31", "2019-03-29"], utc=True)
    table = backtest_figures.monthly_returns(pd.Series([110.0, 99.0, 108.9, 98.01], index=times), 100.0)
    assert table.loc[2018, 11] == pytest.approx(10.0)
    assert table.loc[2018, 12] == pytest.approx(-10.0)
    assert table.loc[2018, "year"] == pytest.approx(-1.0)
    assert table.loc[2019, "year"] == pytest.approx(-1.0)
    assert np.isnan(table.loc[2019, 2])
    drawn = backtest_figures.monthly_chart(table).data[0]
    assert drawn.text[0][10] == "+10.00"
    assert drawn.text[1][1] == ""
    assert list(drawn.x)[-1] == "year"


def test_a_run_that_never_moved_has_a_table_too() -> None:
    table = backtest_figures.monthly_returns(pd.Series([100.0, 100.0], index=minutes(2)), 100.0)
    assert backtest_figures.monthly_chart(table).data[0].text[0][0] == "+0.00"


def test_a_fan_begins_at_nothing_and_its_bands_hold_each_other() -> None:
    fan = pd.DataFrame({"trade": [1, 2], "p5": [0.9, 0.8], "p25": [0.95, 0.9], "p50": [1.0, 1.0], "p75": [1.05, 1.1], "p95": [1.1, 1.2]})
    figure = backtest_figures.fan_chart(fan, np.array([1.0, 1.1, 1.2]))
    by_name = {trace.name: trace for trace in figure.data if trace.name}
    assert all(trace.y[0] == 0.0 and trace.x[0] == 0 for trace in figure.data)
    assert by_name["5 to 95 %"].y[2] < by_name["25 to 75 %"].y[2] < by_name["middle"].y[2] < by_name["as it ran"].y[2]


@pytest.mark.parametrize("values", [[], [np.nan], [1.0], list(range(100))])
def test_draws_are_counted_whatever_they_are(values: list[float]) -> None:
    figure = backtest_figures.draws_chart(np.array(values), "Sharpe ratio (a year)", 0.5)
    assert sum(figure.data[0].y) == np.isfinite(values).sum()


def test_a_waterfall_begins_with_our_profit_and_ends_with_theirs() -> None:
    rows = [
        {"cause": "ours", "trades": 10, "amount": 100.0},
        {"cause": "commission", "trades": 10, "amount": -30.0},
        {"cause": "theirs", "trades": 9, "amount": 70.0},
    ]
    drawn = backtest_figures.waterfall_chart(rows, "USD").data[0]
    assert (list(drawn.x), list(drawn.measure)) == (["our profit", "commission", "their profit"], ["absolute", "relative", "total"])
    assert list(drawn.text) == ["+100.00", "−30.00", "+70.00"]


def test_a_bar_that_does_not_reach_beyond_luck_is_red() -> None:
    rows = [
        {"name": "a", "sharpe": 1.0, "sharpe_by_luck": 1.2},
        {"name": "b", "sharpe": 2.0, "sharpe_by_luck": 1.2},
        {"name": "c", "sharpe": 1.0, "sharpe_by_luck": None},
    ]
    bars = backtest_figures.luck_chart(rows).data[0]
    assert dict(zip(bars.y, bars.marker.color, strict=True)) == {"a": figures.RED, "b": figures.GREEN, "c": figures.RED}


def test_a_surface_frames_the_best_cell_and_leaves_holes() -> None:
    table = pd.DataFrame([[1.0, np.nan], [0.5, 2.0]], index=pd.Index([20, 30], name="slow"), columns=pd.Index([5, 10], name="fast"))
    figure = research_figures.surface_chart(table, "Sharpe ratio (a year)", (5, 30))
    frame = figure.layout.shapes[0]
    assert (round((frame.x0 + frame.x1) / 2, 9), round((frame.y0 + frame.y1) / 2, 9)) == (0, 1), "column of 5, row of 30"
    assert frame.x1 - frame.x0 < 1
    assert figure.data[0].text[0][1] == ""
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == ("fast", "slow")


def test_points_that_form_no_grid_are_a_cloud_and_one_parameter_a_line() -> None:
    points = pd.DataFrame({"state": ["done", "failed", "done"], "param.a": [1.5, 2.0, 0.5], "param.b": [3, 4, 5], "sharpe": [0.2, np.nan, 0.4]})
    assert list(research_figures.cloud_chart(points, "a", "b", "sharpe", "Sharpe").data[0].x) == [1.5, 0.5]
    assert list(research_figures.profile_chart(points, "a", "sharpe", "Sharpe").data[0].x) == [0.5, 1.5]


def window(number: int, chosen: float | None, tried: float) -> dict[str, Any]:
    return {"window": number, "in_sample": None if chosen is None else {"sharpe": chosen}, "out_of_sample": {"sharpe": tried}}


def test_windows_that_chose_nothing_are_drawn_without_a_bar() -> None:
    figure = research_figures.windows_chart([window(0, 2.0, 1.0), window(1, None, -0.5)])
    assert list(figure.data[0].y) == [2.0, None]
    assert list(figure.data[1].marker.color) == [figures.GREEN, figures.RED]


def test_stitched_equity_has_a_line_where_each_test_part_begins() -> None:
    equity = pd.DataFrame({"time": minutes(1_000), "equity": np.linspace(100, 90, 1_000)})
    borders = [int(equity["time"].iloc[place].value // 1_000_000) for place in (0, 500)]
    figure = research_figures.stitched_chart(equity, borders, "EUR")
    assert len(figure.layout.shapes) == 3, "two borders and the start"
    assert figure.data[0].line.color == figures.RED
    assert "EUR" in figure.layout.yaxis.title.text


def test_drift_shows_the_ends_of_the_range_and_words_are_no_range() -> None:
    drift = {
        "fast": {"values": [5, 10, None], "range": {"values": [5, 10, 20]}},
        "kind": {"values": ["a", "b", "a"], "range": {"values": ["a", "b"]}},
    }
    figure = research_figures.drift_chart(drift)
    assert [list(trace.y) for trace in figure.data] == [[5, 10, None], ["a", "b", "a"]]
    assert sorted(shape.y0 for shape in figure.layout.shapes) == [5, 20]
    assert research_figures.drift_chart(drift, is_in_order=False).data[0].mode == "markers"


def test_every_path_is_drawn_in_the_colour_of_its_end() -> None:
    equity = pd.DataFrame({"time": list(minutes(2)) * 2, "equity": [100.0, 110.0, 100.0, 90.0], "path": [0, 0, 1, 1]})
    figure = research_figures.paths_chart(equity, "USD")
    assert [(trace.name, trace.line.color) for trace in figure.data] == [("path 1", figures.GREEN), ("path 2", figures.RED)]


def test_lags_are_named_in_words() -> None:
    figure = research_figures.lags_chart([{"lag": -1, "sharpe": 2.0}, {"lag": 0, "sharpe": -1.0}, {"lag": 2, "sharpe": 0.5}])
    assert list(figure.data[0].x) == ["1 early", "on time", "2 late"]
    assert list(figure.data[0].text) == ["2.00", "−1.00", "0.50"]


def test_of_many_splits_some_are_drawn() -> None:
    values = np.linspace(-1, 1, 12_870)
    assert len(research_figures.overfitting_chart(values, values).data[0].x) <= 1_500
    assert len(research_figures.overfitting_chart(np.empty(0), np.empty(0)).data[0].x) == 0


def test_the_range_that_is_offered_is_inside_the_bounds_of_every_parameter() -> None:
    for strategy in catalogue():
        for name, spec in strategy.params.model_json_schema()["properties"].items():
            if spec.get("type") not in ("integer", "number"):
                continue
            low, high = usual_span(spec)
            assert low <= high, (strategy.name, name)
            assert low >= spec.get("minimum", low)
            assert high <= spec.get("maximum", high)
            assert low > spec.get("exclusiveMinimum", low - 1)
            assert high < spec.get("exclusiveMaximum", high + 1)


def test_a_bound_that_is_not_allowed_itself_is_kept_away_from() -> None:
    low, high = usual_span({"type": "number", "default": 0.5, "exclusiveMinimum": 0.4, "exclusiveMaximum": 0.6})
    assert 0.4 < low < high < 0.6
    assert usual_span({"type": "integer", "default": 4, "exclusiveMinimum": 3, "maximum": 6}) == (4, 6)


def test_a_number_in_a_form_has_its_unit_unless_its_name_says_it() -> None:
    assert forms.label_of("slow", {"description": "length of the slow average (bars)"}) == "slow (bars)"
    assert forms.label_of("slippage_points", {"description": "taken against the trader (points)"}) == "slippage points"
    assert forms.label_of("stop_atr", {"description": "distance of the stop (multiples of the average true range)"}) == "stop atr"


def test_the_values_of_a_range_are_told_as_the_sweep_makes_them() -> None:
    assert spread_of(5, 25, 5, True) == [5, 10, 15, 20, 25]
    assert spread_of(1, 2, 5, True) == [1, 2]
    assert spread_of(0.5, 1.0, 3, False) == [0.5, 0.75, 1.0]
    assert spread_of(3, 3, 4, True) == [3]


def test_a_measure_has_a_unit_and_says_nothing_with_a_dash() -> None:
    assert measure("total_return").words(-0.0436, sign=True) == "−4.36 %"
    assert measure("sharpe").words(1.234) == "1.23 a year"
    assert measure("sharpe").words(None) == "–"
    assert all("(" in one.label for one in MEASURES.values()), "each label says its unit"
    assert params_words({"fast": 10, "stop_atr": 2.5, "kind": "a"}, ["stop_atr", "fast"]) == "stop_atr 2.5 · fast 10"
