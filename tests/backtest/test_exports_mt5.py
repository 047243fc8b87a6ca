"""A backtest as files: signals that come back as they went, tables, and a page that needs nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lookalikes_mt5 import Tester, report_html, sample_fills

from components.backtest import (
    BacktestStore,
    Finding,
    execute_backtest,
    export_run,
    export_signals,
    html_report,
    import_backtest,
    import_report,
    read_signals,
)
from components.backtest.exports.svg import line_chart, thinned
from components.backtest.store import StoredRun
from components.fx import BadInput, NotFound, Refused, instrument
from components.pipeline import BrokerClock, PipelineStore, collect

CLOCK = BrokerClock.named("us", 120)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StoredRun]:
    home = tmp_path_factory.mktemp("exports") / "output_central"
    home.mkdir()
    bar_set = collect(home, "sample", "EURUSD", "H1").id
    run = execute_backtest(home, {"strategy": "sma_cross", "bar_set_id": bar_set, "costs": {"commission_per_lot": 3.0}})
    return home, run


def test_signals_come_back_as_the_trades_of_the_run(kept: tuple[Path, StoredRun], tmp_path: Path) -> None:
    home, run = kept
    file = export_signals(home, run.id, tmp_path / "signals.csv", CLOCK, symbol="EURUSD.raw")
    signals, trades = read_signals(file.path, CLOCK), BacktestStore.open(home).trades(run.id)
    assert file.rows == len(signals) == sum(file.actions.values())
    opened = signals[signals["action"] == "open"].reset_index(drop=True)
    by_entry = trades.sort_values("ticket", kind="stable").reset_index(drop=True)
    assert len(opened) == len(trades)
    assert opened["id"].str.rpartition("-")[2].astype(int).tolist() == by_entry["ticket"].tolist()
    assert opened["side"].tolist() == ["buy" if side > 0 else "sell" for side in by_entry["side"]]
    assert opened["lots"].to_numpy() == pytest.approx(by_entry["lots"].to_numpy())
    assert opened["stop"].to_numpy() == pytest.approx(by_entry["stop"].to_numpy(), abs=1e-9)
    assert opened["target"].to_numpy() == pytest.approx(by_entry["target"].to_numpy(), abs=1e-9)
    # A decision is carried out at the open of the bar that follows; over a weekend that is later than the close of its own bar.
    waited = (by_entry["entry_time"] - opened["time"]).dt.total_seconds()
    assert (waited >= 0).all()
    assert (waited == 0).mean() > 0.9
    closed = signals[signals["action"] == "close"]
    by_hand = trades[trades["exit"].isin(["reversal", "signal"])]
    assert sorted(closed["id"].str.rpartition("-")[2].astype(int)) == sorted(by_hand["ticket"])
    exits = closed.assign(ticket=closed["id"].str.rpartition("-")[2].astype("int64")).merge(by_hand, on="ticket", suffixes=("", "_of_trade"))
    assert ((exits["exit_time"] - exits["time"]).dt.total_seconds() >= 0).all()
    assert set(signals["symbol"]) == {"EURUSD.raw"}
    assert signals["time"].is_monotonic_increasing


def carried_out(signals: pd.DataFrame, bars: pd.DataFrame, spread: float) -> list[tuple[Any, ...]]:
    """What a terminal makes of the file: instructions at the first price from their time on, stops and targets by itself, the stop first."""
    lines = signals.to_dict("records")
    positions: dict[str, dict[str, Any]] = {}
    done: list[tuple[Any, ...]] = []
    waiting = 0

    def close(key: str, price: float, at: pd.Timestamp) -> None:
        one = positions.pop(key)
        done.append((key, one["side"], one["lots"], one["at"], at, one["entry"], price))

    for at, bar in zip(bars.index, bars.to_dict("records"), strict=True):
        while waiting < len(lines) and lines[waiting]["time"] <= at:
            line = lines[waiting]
            waiting += 1
            if line["action"] == "open":
                side = 1 if line["side"] == "buy" else -1
                entry = bar["open"] + (spread if side > 0 else 0.0)
                positions[line["id"]] = {"side": side, "lots": line["lots"], "entry": entry, "at": at, "stop": line["stop"], "target": line["target"]}
            elif line["action"] == "close" and line["id"] in positions:
                close(line["id"], bar["open"] + (spread if positions[line["id"]]["side"] < 0 else 0.0), at)
        for key, one in list(positions.items()):
            paid = 0.0 if one["side"] > 0 else spread
            first, worst, best = bar["open"] + paid, *((bar["low"], bar["high"]) if one["side"] > 0 else (bar["high"] + spread, bar["low"] + spread))
            if one["side"] * (worst - one["stop"]) <= 0:
                close(key, one["side"] * min(one["side"] * first, one["side"] * one["stop"]), at)
            elif one["side"] * (best - one["target"]) >= 0:
                close(key, one["side"] * max(one["side"] * first, one["side"] * one["target"]), at)
    return done


def test_a_terminal_that_only_has_the_file_makes_the_same_trades(kept: tuple[Path, StoredRun], tmp_path: Path) -> None:
    home, run = kept
    signals = read_signals(export_signals(home, run.id, tmp_path / "signals.csv", CLOCK).path, CLOCK)
    trades = BacktestStore.open(home).trades(run.id)
    store = PipelineStore.open(home)
    done = carried_out(signals, store.load_bars(str(run.bar_set_id)), 10 * instrument("EURUSD").point)
    expected = trades[trades["exit"] != "end_of_data"].sort_values("ticket")
    made = sorted(done, key=lambda one: int(one[0].rpartition("-")[2]))
    assert len(made) == len(expected) > 100
    for one, row in zip(made, expected.to_dict("records"), strict=True):
        assert one[1:5] == (row["side"], row["lots"], row["entry_time"], row["exit_time"])
        assert one[5:] == pytest.approx((row["entry_price"], row["exit_price"]), abs=1e-9)


def test_signal_times_are_the_brokers_in_summer_and_winter(kept: tuple[Path, StoredRun], tmp_path: Path) -> None:
    home, run = kept
    path = export_signals(home, run.id, tmp_path / "signals.csv", CLOCK).path
    utc = read_signals(path, CLOCK)["time"]
    wall = pd.to_datetime(pd.read_csv(path, dtype=str)["time"], format="%Y.%m.%d %H:%M:%S").dt.tz_localize("UTC")
    hours = (wall - utc).dt.total_seconds() / 3600
    summer = (utc >= pd.Timestamp("2017-03-12T07:00Z")) & (utc < pd.Timestamp("2017-11-05T06:00Z"))
    assert set(hours[summer]) == {3.0}
    assert set(hours[~summer]) == {2.0}


def test_a_signal_file_is_plain_for_the_expert_advisor(kept: tuple[Path, StoredRun], tmp_path: Path) -> None:
    home, run = kept
    content = export_signals(home, run.id, tmp_path / "signals.csv", CLOCK).path.read_bytes()
    content.decode("ascii")
    lines = content.decode().split("\r\n")
    assert lines[0] == "time,id,action,symbol,side,entry,price,stop,target,stop_points,target_points,lots,expires,reason"
    assert lines[-1] == ""
    assert {line.count(",") for line in lines[:-1]} == {13}
    assert '"' not in content.decode()
    assert "nan" not in content.decode()
    assert all(len(line.split(",")[1]) <= 26 for line in lines[1:-1])
    prices = [cell for line in lines[1:-1] for cell in line.split(",")[7:9] if cell]
    assert all(re.fullmatch(r"\d\.\d{5}", price) for price in prices)


@pytest.mark.parametrize("strategy", ["pullback", "atr_breakout"])
def test_working_orders_distances_and_moved_stops_are_in_the_file(home: Path, tmp_path: Path, strategy: str) -> None:
    bar_set = collect(home, "sample", "EURUSD", "H1").id
    run = execute_backtest(home, {"strategy": strategy, "bar_set_id": bar_set})
    signals = read_signals(export_signals(home, run.id, tmp_path / "s.csv", CLOCK).path, CLOCK)
    trades = BacktestStore.open(home).trades(run.id)
    opened = signals[signals["action"] == "open"]
    assert set(trades["ticket"]) <= set(opened["id"].str.rpartition("-")[2].astype(int))
    working = opened[opened["entry"] != "market"]
    assert working["price"].notna().all()
    assert (opened["stop"].notna() | opened["stop_points"].notna())[
        opened["id"].str.rpartition("-")[2].astype(int).isin(trades["ticket"][trades["stop"].notna()])
    ].all()


def test_what_cannot_become_signals_says_why(kept: tuple[Path, StoredRun], tmp_path: Path) -> None:
    home, run = kept
    foreign = import_backtest(home, {"name": "n", "strategy": "s", "symbol": "EURUSD", "balance": 1.0, "trades": []})
    with pytest.raises(BadInput, match="imported"):
        export_signals(home, foreign.id, tmp_path / "a.csv", CLOCK)
    with pytest.raises(NotFound):
        export_signals(home, "nobody", tmp_path / "a.csv", CLOCK)
    (tmp_path / "there.csv").write_text("mine")
    with pytest.raises(BadInput, match="already"):
        export_signals(home, run.id, tmp_path / "there.csv", CLOCK)
    assert (tmp_path / "there.csv").read_text() == "mine"
    export_signals(home, run.id, tmp_path / "there.csv", CLOCK, overwrite=True)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(BadInput, match="header"):
        read_signals(tmp_path / "other.csv", CLOCK)


def test_a_run_whose_strategy_trades_otherwise_now_is_refused(kept: tuple[Path, StoredRun], tmp_path: Path) -> None:
    home, run = kept
    store = BacktestStore.open(home)
    trades = store.trades(run.id)
    changed = StoredRun(**{**vars(run), "id": "changed"})
    store.add(changed, trades.assign(exit_price=trades["exit_price"] + 0.001), store.equity(run.id)["equity"])
    with pytest.raises(Refused, match="other trades"):
        export_signals(home, "changed", tmp_path / "a.csv", CLOCK)
    assert not (tmp_path / "a.csv").exists()


def test_tables_hold_the_run_to_the_last_digit(kept: tuple[Path, StoredRun], tmp_path: Path) -> None:
    home, run = kept
    paths = export_run(home, run.id, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(paths) == ["equity.csv", "report.html", "run.json", "trades.csv"]
    trades, stored = pd.read_csv(paths["trades.csv"]), BacktestStore.open(home).trades(run.id)
    assert trades["net_profit"].to_numpy().tolist() == stored["net_profit"].tolist()
    assert pd.to_datetime(trades["entry_time"]).tolist() == stored["entry_time"].tolist()
    equity = pd.read_csv(paths["equity.csv"])
    assert equity["equity"].tolist() == BacktestStore.open(home).equity(run.id)["equity"].tolist()
    assert json.loads(paths["run.json"].read_text())["stats"]["trades"] == run.trades
    with pytest.raises(BadInput, match="already"):
        export_run(home, run.id, tmp_path / "out")


class Outside(HTMLParser):
    """Everything in a page that would ask for something elsewhere, and whether its tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, Any]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [(tag, value) for name, value in attrs if name in ("src", "href", "data", "action", "onload", "onclick", "onerror")]
        if tag in ("script", "link", "iframe", "object", "embed"):
            self.found.append((tag, None))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [(tag, value) for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_alone_and_says_what_the_run_came_to(kept: tuple[Path, StoredRun], tmp_path: Path) -> None:
    home, run = kept
    page = html_report(home, run.id, tmp_path / "report.html").read_text()
    reader = Outside()
    reader.feed(page)
    assert reader.found == []
    assert reader.open == []
    assert "default-src 'none'" in page
    for words in (
        "Measures",
        "Equity",
        "Drawdown",
        "Return by month",
        "Costs",
        "Findings",
        "Settings",
        "Trades",
        f"{run.trades:,}",
        run.id,
        "EURUSD",
        "USD",
    ):
        assert words in page, words
    assert re.search(r'class="verdict (believable|doubtful|not)"', page)
    assert page.count("<svg") == 3
    assert "nan" not in page.lower().replace("financ", "")
    assert len(page) < 400_000


def test_months_of_the_page_multiply_to_the_return(kept: tuple[Path, StoredRun], tmp_path: Path) -> None:
    home, run = kept
    page = html_report(home, run.id, tmp_path / "report.html").read_text()
    table = page.split("Return by month")[1].split("</table>")[0]
    rows = [[float(cell) for cell in re.findall(r">([+-]\d+\.\d\d)<", row)] for row in table.split("<tr>")[2:]]
    product = float(np.prod([1 + month / 100 for row in rows for month in row[:-1]]))
    assert product - 1 == pytest.approx(run.total_return, abs=0.002)
    assert float(np.prod([1 + row[-1] / 100 for row in rows])) - 1 == pytest.approx(run.total_return, abs=0.001)


EVIL = '<script>alert(1)</script>"><img src=x onerror=alert(2)>'


def test_names_from_elsewhere_are_words_and_no_markup(home: Path, tmp_path: Path) -> None:
    escaped = EVIL.replace("<", "&lt;").replace(">", "&gt;")
    run = import_report(home, report_html(sample_fills(), test=Tester(expert=escaped, inputs=(f"Name={escaped}",), currency=escaped)), name=EVIL)
    finding = Finding("c", EVIL, "doubt", EVIL, {}, EVIL)
    page = html_report(home, run.id, tmp_path / "report.html", findings=[finding]).read_text()
    reader = Outside()
    reader.feed(page)
    assert reader.found == []
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_an_imported_report_shows_the_terminals_own_numbers(home: Path, tmp_path: Path) -> None:
    run = import_report(home, report_html(sample_fills()))
    page = html_report(home, run.id, tmp_path / "report.html").read_text()
    assert "The report&#x27;s own numbers" in page
    assert "balance drawdown maximal" in page
    assert "offset not known" in page


def test_a_run_without_trades_has_a_page_too(home: Path, tmp_path: Path) -> None:
    for number, document in enumerate(({"name": "n", "strategy": "s", "symbol": "EURUSD", "balance": 1.0, "trades": []},)):
        run = import_backtest(home, document)
        page = html_report(home, run.id, tmp_path / f"{number}.html").read_text()
        assert "No trades." in page
    page = html_report(home, import_report(home, report_html([])).id, tmp_path / "none.html").read_text()
    assert "No trades." in page


def test_more_trades_than_a_page_holds_are_counted(home: Path, tmp_path: Path) -> None:
    run = import_report(home, report_html(sample_fills(700)))
    page = html_report(home, run.id, tmp_path / "report.html").read_text()
    assert "The first 500 of 700" in page
    assert page.split("<h2>Trades</h2>")[1].count("<tr>") == 501


def test_a_thinned_curve_keeps_its_lowest_and_highest_point() -> None:
    values = np.random.default_rng(4).normal(0, 1, 200_000).cumsum()
    values[123_457] -= 1e6
    kept = thinned(values)
    assert len(kept) <= 1_802
    assert values[kept].min() == values.min()
    assert values[kept].max() == values.max()
    times = pd.date_range("2020-01-01", periods=len(values), freq="min", tz="UTC")
    assert len(line_chart(times, values, label="x")) < 60_000


def test_flat_and_single_curves_are_drawn() -> None:
    for count in (1, 2, 50):
        times = pd.date_range("2020-01-01", periods=count, freq="h", tz="UTC")
        for value in (0.0, 100.0, -3e-7):
            chart = line_chart(times, np.full(count, value), label="x")
            assert "nan" not in chart
            assert "inf" not in chart


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync = pytest.importorskip("playwright.sync_api")
    path = next((one for one in ("/usr/bin/chromium", "/usr/bin/google-chrome") if Path(one).exists()), None)
    with sync.sync_playwright() as playwright:
        try:
            launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except Exception as error:  # no browser is installed
            pytest.skip(f"no browser starts: {str(error)[:100]}")
        yield launched
        launched.close()


@pytest.mark.slow
def test_the_page_opens_in_a_browser_without_a_request_or_an_error(kept: tuple[Path, StoredRun], tmp_path: Path, browser: Any) -> None:
    home, run = kept
    path = html_report(home, run.id, tmp_path / "report.html")
    for width in (1200, 420):
        page = browser.new_page(viewport={"width": width, "height": 900})
        told: list[str] = []
        page.on("console", lambda message, told=told: told.append(message.text))
        page.on("request", lambda request, told=told: told.append(request.url) if not request.url.startswith("file:") else None)
        page.goto(path.as_uri())
        assert told == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(3, 8, 5)"
        page.emulate_media(media="print")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        page.close()
