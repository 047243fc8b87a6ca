"""Charts as pure functions: what is drawn is what was given."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from backtesting.test import EURUSD

from pages._shared import figures


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    return EURUSD.rename(columns=str.lower).tz_localize("UTC")


def executions(bars: pd.DataFrame) -> pd.DataFrame:
    kinds = ["stop", "target", "signal", "reversal", "end_of_data", "stop_out", "manual"]
    rows = np.arange(len(kinds)) * 10
    return pd.DataFrame(
        {
            "side": [1, -1, 1, -1, 1, -1, 1],
            "lots": 0.1,
            "entry_time": bars.index[rows],
            "exit_time": bars.index[rows + 5],
            "entry_price": bars["close"].to_numpy()[rows],
            "exit_price": bars["close"].to_numpy()[rows + 5],
            "exit": kinds,
            "net_profit": [-1.0, 2.0, 0.5, -0.5, 0.0, -9.0, 3.0],
        }
    )


def names(figure: object) -> list[str]:
    return [trace.name for trace in figure.data]  # type: ignore[attr-defined]


def test_a_short_stretch_is_drawn_bar_by_bar_and_a_long_one_as_a_line(bars: pd.DataFrame) -> None:
    assert figures.price_chart(bars.tail(200), "EURUSD").data[0].type == "candlestick"
    line = figures.price_chart(bars, "EURUSD").data[0]
    assert line.type == "scatter"
    assert len(line.x) == len(bars)
    assert line.y[-1] == bars["close"].iloc[-1]


def test_times_are_drawn_in_utc_to_the_millisecond(bars: pd.DataFrame) -> None:
    shown = bars.tail(300).tz_convert("America/New_York")
    line = figures.price_chart(shown, "EURUSD").data[0]
    assert pd.Timestamp(line.x[0]) == bars.index[-300].tz_localize(None)


def test_a_gap_in_the_shown_stretch_is_marked_and_one_before_it_is_not(bars: pd.DataFrame) -> None:
    shown = bars.tail(100)
    inside = int(shown.index[10].timestamp() * 1000)
    before = int(bars.index[0].timestamp() * 1000)
    figure = figures.price_chart(
        shown, "EURUSD", [{"first_ms": inside, "last_ms": inside, "bars": 1}, {"first_ms": before, "last_ms": before, "bars": 1}]
    )
    assert len(figure.layout.shapes) == 1
    assert "missing bars" in names(figure)
    assert "missing bars" not in names(figures.price_chart(shown, "EURUSD"))


def test_every_execution_is_drawn_once_as_entry_and_once_as_exit_by_its_kind(bars: pd.DataFrame) -> None:
    trades = executions(bars)
    figure = figures.executions_chart(bars.head(100), trades, "EURUSD")
    marks = {trace.name: len(trace.x) for trace in figure.data if trace.type == "scatter" and trace.mode == "markers"}
    assert marks["long entry"] + marks["short entry"] == len(trades)
    assert {name for name in marks if name.startswith("exit")} == {f"exit: {kind.replace('_', ' ')}" for kind in trades["exit"]}
    links = {trace.name: len(trace.x) // 3 for trace in figure.data if trace.name in ("won", "lost")}
    assert links == {"won": 3, "lost": 4}


def test_an_exit_of_an_unknown_kind_is_drawn_too(bars: pd.DataFrame) -> None:
    trades = executions(bars).assign(exit="something new")
    assert "exit: something new" in names(figures.executions_chart(bars.head(100), trades, "EURUSD"))


def test_a_run_without_trades_can_be_drawn(bars: pd.DataFrame) -> None:
    assert names(figures.executions_chart(bars.head(50), executions(bars).head(0), "EURUSD")) == ["EURUSD bid"]


def test_equity_is_red_where_it_ends_below_its_start_and_drawdown_points_down(bars: pd.DataFrame) -> None:
    equity = pd.DataFrame({"equity": [100.0, 120.0, 90.0], "drawdown": [0.0, 0.0, 0.25]}, index=bars.index[:3])
    figure = figures.equity_chart(equity, "EUR")
    assert figure.data[0].line.color == figures.RED
    assert list(figure.data[1].y) == [0.0, 0.0, -25.0]
    assert "EUR" in figure.layout.yaxis.title.text


def test_a_distribution_counts_finite_values_between_its_percentiles() -> None:
    values = np.concatenate(([np.nan, np.inf], np.linspace(0.0, 1.0, 1_000)))
    figure = figures.distribution(values, "feature")
    assert sum(figure.data[0].y) == pytest.approx(990, abs=2)


@pytest.mark.parametrize("values", [np.array([]), np.full(5, np.nan), np.zeros(5)])
def test_a_distribution_of_nothing_or_of_one_value_does_not_fail(values: np.ndarray) -> None:
    assert sum(figures.distribution(values, "feature").data[0].y) in (0, 5)


def test_dots_show_every_value_and_mark_the_best() -> None:
    figure = figures.dots_chart({"model": 1.05, "naive": 1.04}, "log loss (nats)", best="model")
    assert dict(zip(figure.data[0].y, figure.data[0].x, strict=True)) == {"model": 1.05, "naive": 1.04}
    assert set(figure.data[0].text) == {"1.0500", "1.0400"}
    low, high = figure.layout.xaxis.range
    assert low < 1.04 < 1.05 < high


@pytest.mark.parametrize(("value", "colour"), [(10.0, figures.GREEN), (75.0, figures.AMBER), (95.0, figures.RED)])
def test_a_dial_changes_colour_before_its_top(value: float, colour: str) -> None:
    assert figures.gauge(value, "memory").data[0].gauge.bar.color == colour


def test_more_lines_than_colours_are_all_drawn(bars: pd.DataFrame) -> None:
    series = pd.Series([1.0, 2.0], bars.index[:2])
    assert len(figures.lines_chart({str(number): series for number in range(20)}, "equity (USD)").data) == 20
    eight = figures.lines_chart({str(number): series for number in range(8)}, "equity (USD)").data
    assert len({(one.line.color, one.line.dash) for one in eight}) == 8, "no two look alike"


def test_counts_are_drawn_with_the_longest_bar_on_top() -> None:
    assert list(figures.counts_chart({"a": 1, "b": 7, "c": 3}, "trials").data[0].y) == ["a", "c", "b"]
