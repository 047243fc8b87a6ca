"""Our backtest beside the Strategy Tester's: a planted difference is found, with its amount, and the waterfall adds up to the cent."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lookalikes_mt5 import Fill, Tester, deals_csv, report_html, sample_fills

from components.backtest import BacktestStore, Study, execute_backtest
from components.backtest.matching import compare_trades, compare_with_report
from components.backtest.matching.pairs import match_trades
from components.backtest.matching.waterfall import waterfall
from components.backtest.reports import import_report
from components.backtest.store import StoredRun
from components.fx import BadInput, instrument
from components.pipeline import BrokerClock, PipelineStore, collect

POINT = instrument("EURUSD").point
HOUR = 3_600_000


@dataclass(frozen=True)
class Ours:
    """A run of ours on the real hours of the sample, its trades and bars."""

    home: Path
    run: StoredRun
    trades: pd.DataFrame
    bars: pd.DataFrame


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Ours:
    home = tmp_path_factory.mktemp("mt5") / "output_central"
    home.mkdir()
    bar_set = collect(home, "sample", "EURUSD", "H1").id
    spec = {"strategy": "sma_cross", "bar_set_id": bar_set, "costs": {"spread_points": 10, "commission_per_lot": 3.0, "swap": "none"}}
    run = execute_backtest(home, spec)
    trades = BacktestStore.open(home).trades(run.id)
    assert len(trades) > 80
    return Ours(home, run, trades, PipelineStore.open(home).load_bars(bar_set))


Change = Callable[[dict[str, Any]], dict[str, Any] | None]


def terminal(ours: Ours, change: Change | None = None, clock: BrokerClock | None = None) -> list[Fill]:
    """What the terminal would have made of our trades: the same, changed trade by trade, by the broker's clock."""
    fills = []
    for n, row in enumerate(ours.trades.to_dict("records")):
        one = {
            "n": n, "entry_ms": int(row["entry_time"].timestamp() * 1000), "exit_ms": int(row["exit_time"].timestamp() * 1000), "side": row["side"], "lots": row["lots"],
            "entry": row["entry_price"], "exit": row["exit_price"], "value": 100_000.0, "commission": 3.0, "swap": 0.0, "kind": row["exit"], "level": row["level"],
            "stop": row["stop"], "target": row["target"],
        }  # fmt: skip
        changed = change(one) if change else one
        if changed is not None:
            fills.append(fill_of(changed, clock))
    return fills


def fill_of(one: dict[str, Any], clock: BrokerClock | None) -> Fill:
    def wall(ms: int) -> int:
        return ms + (0 if clock is None else clock.offset_minutes_at(ms) * 60_000)

    comment = {"stop": f"sl {one['level']:.5f}", "target": f"tp {one['level']:.5f}", "end_of_data": "end of test"}.get(one["kind"], "")
    profit = one["side"] * one["lots"] * one["value"] * (one["exit"] - one["entry"])
    commission = -round(one["commission"] * one["lots"], 2)
    return Fill(
        wall(one["entry_ms"]), wall(one["exit_ms"]), one["side"], one["lots"], one["entry"], one["exit"], profit, commission, commission, one["swap"],
        one["stop"] if one["stop"] == one["stop"] else None, one["target"] if one["target"] == one["target"] else None, "x", comment,
    )  # fmt: skip


def compared(ours: Ours, fills: list[Fill], **options: Any) -> tuple[Study, dict[str, float]]:
    """The comparison by way of a page of the tester, and its waterfall by cause."""
    report = import_report(ours.home, report_html(fills))
    study = compare_with_report(ours.home, ours.run.id, report.id, **options)
    rows = study.result["waterfall"]
    assert [rows[0]["cause"], rows[-1]["cause"]] == ["ours", "theirs"]
    assert round(sum(row["amount"] for row in rows[:-1]), 2) == rows[-1]["amount"]
    assert rows[0]["amount"] == pytest.approx(ours.trades["net_profit"].sum(), abs=0.005)
    assert rows[-1]["amount"] == pytest.approx(report.stats["report"]["total_net_profit"], abs=0.005)
    json.dumps(study.result, allow_nan=False)
    return study, {row["cause"]: row["amount"] for row in rows[1:-1]}


def rest(amounts: dict[str, float], *causes: str) -> float:
    """Money of all causes but the named ones; cents are rounded in a report, at most half of one for each number of each trade."""
    return sum(abs(amount) for cause, amount in amounts.items() if cause not in causes)


CENTS = 2.0


def test_the_same_trades_agree_in_everything(ours: Ours) -> None:
    study, amounts = compared(ours, terminal(ours))
    result = study.result
    assert (result["matched"], result["missing"], result["extra"]) == (len(ours.trades), 0, 0)
    assert result["agree"] == len(ours.trades)
    assert rest(amounts) < CENTS
    assert (result["spread_points"], result["slippage_points"]) == (0, 0)
    assert result["clock"]["winter_minutes"] == 0
    assert len(result["change"]) == 1


CLOCKS = [("us", 120), ("eu", 120), ("none", 0), ("us", -300), ("eu", 600), ("none", 330), ("us", 0)]


@pytest.mark.parametrize(("rule", "minutes"), CLOCKS)
def test_the_brokers_clock_is_found_with_its_rule_of_summer_time(ours: Ours, rule: Any, minutes: int) -> None:
    study, amounts = compared(ours, terminal(ours, clock=BrokerClock.named(rule, minutes)))
    found = study.result["clock"]
    assert (found["rule"], found["winter_minutes"]) == (rule, minutes)
    assert found["confidence"] > 0.8
    assert study.result["matched"] == len(ours.trades)
    assert rest(amounts) < CENTS
    assert str(BrokerClock.named(rule, minutes).eras[-1]) in study.result["change"][0]


def test_a_wider_spread_is_found_in_points_and_money(ours: Ours) -> None:
    wider = 14 * POINT

    def change(one: dict[str, Any]) -> dict[str, Any]:
        if one["side"] > 0:
            one["entry"] += wider
        elif one["kind"] not in ("stop", "target"):
            one["exit"] += wider
        return one

    study, amounts = compared(ours, terminal(ours, change))
    assert study.result["spread_points"] == pytest.approx(14, abs=0.1)
    longs = ours.trades["side"] > 0
    bought = longs | ~ours.trades["exit"].isin(["stop", "target"])
    assert amounts["spread"] == pytest.approx(-float((ours.trades["lots"] * 100_000 * wider)[bought].sum()), rel=0.02)
    assert rest(amounts, "spread") < CENTS + 0.02 * abs(amounts["spread"])
    assert any("set spread_points to 24 (now 10" in words for words in study.result["change"])


def test_a_stop_that_moves_with_its_entry_is_no_cause_of_its_own(ours: Ours) -> None:
    wider = 12 * POINT

    def change(one: dict[str, Any]) -> dict[str, Any]:
        if one["side"] > 0:
            one["entry"] += wider
            if one["kind"] in ("stop", "target"):
                one["exit"] += wider
                one["level"] += wider
        elif one["kind"] not in ("stop", "target"):
            one["exit"] += wider
        return one

    _, amounts = compared(ours, terminal(ours, change))
    assert abs(amounts.get("stop or target", 0.0)) < 0.01
    free = (ours.trades["side"] < 0) & ~ours.trades["exit"].isin(["stop", "target"]) | (ours.trades["side"] > 0) & ~ours.trades["exit"].isin(
        ["stop", "target"]
    )
    assert amounts.get("spread", 0.0) == pytest.approx(-float((ours.trades["lots"] * 100_000 * wider)[free].sum()), abs=CENTS)


def test_slippage_on_market_orders_is_told_from_a_wider_spread(ours: Ours) -> None:
    slip = 4 * POINT

    def change(one: dict[str, Any]) -> dict[str, Any]:
        one["entry"] += one["side"] * slip
        if one["kind"] not in ("stop", "target"):
            one["exit"] -= one["side"] * slip
        return one

    study, amounts = compared(ours, terminal(ours, change))
    assert study.result["slippage_points"] == pytest.approx(4, abs=0.1)
    assert study.result["spread_points"] == 0
    both = 1.0 + (~ours.trades["exit"].isin(["stop", "target"])).astype(float)
    assert amounts["slippage"] == pytest.approx(-float((ours.trades["lots"] * 100_000 * slip * both).sum()), rel=0.02)
    assert any("set slippage_points to 4" in words for words in study.result["change"])


def test_stops_that_fill_beyond_their_level_are_slippage(ours: Ours) -> None:
    slip = 6 * POINT

    def change(one: dict[str, Any]) -> dict[str, Any]:
        if one["kind"] == "stop":
            one["exit"] -= one["side"] * slip
        return one

    study, amounts = compared(ours, terminal(ours, change))
    stopped = ours.trades["exit"] == "stop"
    assert stopped.sum() > 10
    assert amounts["slippage"] == pytest.approx(-float((ours.trades["lots"] * 100_000 * slip)[stopped].sum()), abs=CENTS)
    assert rest(amounts, "slippage") < CENTS
    assert any("stops fill 6.0 points beyond their level" in words for words in study.result["change"])


def test_a_missing_trade_and_one_too_many_are_found_with_their_money(ours: Ours) -> None:
    gone = {7, 21, 40}

    def change(one: dict[str, Any]) -> dict[str, Any] | None:
        return None if one["n"] in gone else one

    fills = terminal(ours, change)
    at = max(fill.exit_ms or 0 for fill in fills) + 50 * HOUR
    fills.append(Fill(at, at + HOUR, 1, 0.1, 1.2, 1.21, 100.0, -0.3, -0.3, -1.0))
    study, amounts = compared(ours, fills)
    assert (study.result["missing"], study.result["extra"]) == (3, 1)
    assert amounts["missing"] == pytest.approx(-float(ours.trades["net_profit"].iloc[sorted(gone)].sum()), abs=0.02)
    assert amounts["extra"] == pytest.approx(98.4, abs=0.02)
    assert rest(amounts, "missing", "extra") < CENTS
    matches = BacktestStore.open(ours.home).studies.frame(study.id, "matches")
    assert (matches["cause"] == "missing").sum() == 3
    assert matches["difference"].sum() == pytest.approx(study.result["theirs"]["net_profit"] - study.result["ours"]["net_profit"], abs=0.02)
    assert any(words.startswith("3 of our trades") for words in study.result["change"])


def test_entries_a_bar_late_are_found_with_their_money(ours: Ours) -> None:
    opens = ours.bars["open"]

    def change(one: dict[str, Any]) -> dict[str, Any]:
        later = pd.Timestamp(one["entry_ms"] + HOUR, unit="ms", tz="UTC")
        if one["n"] % 3 == 0 and later in opens.index and one["exit_ms"] > one["entry_ms"] + HOUR:
            one["entry_ms"] += HOUR
            one["entry"] = float(opens[later]) + (10 * POINT if one["side"] > 0 else 0.0)
        return one

    fills = terminal(ours, change)
    late = [n for n, (a, b) in enumerate(zip(terminal(ours), fills, strict=True)) if a.entry_ms != b.entry_ms]
    assert len(late) > 20
    study, amounts = compared(ours, fills)
    expected = sum(-fills[n].side * fills[n].lots * 100_000 * (fills[n].entry - ours.trades["entry_price"].iloc[n]) for n in late)
    assert amounts["late"] == pytest.approx(expected, abs=0.1)
    assert rest(amounts, "late") < CENTS
    matches = BacktestStore.open(ours.home).studies.frame(study.id, "matches")
    assert (matches["entry_bars_late"] == 1).sum() == len(late)
    assert any(f"{len(late)} of their entries come a bar or more after ours" in words for words in study.result["change"])


def test_half_the_size_is_found_and_takes_its_share_of_the_costs(ours: Ours) -> None:
    def change(one: dict[str, Any]) -> dict[str, Any]:
        one["lots"] = one["lots"] / 2
        return one

    study, amounts = compared(ours, terminal(ours, change))
    assert amounts["size"] == pytest.approx(-float(ours.trades["net_profit"].sum()) / 2, abs=0.5)
    assert rest(amounts, "size") < CENTS
    assert any("0.5 times ours" in words for words in study.result["change"])


def test_another_commission_is_found_per_lot(ours: Ours) -> None:
    study, amounts = compared(ours, terminal(ours, lambda one: one | {"commission": 3.5}))
    assert amounts["commission"] == pytest.approx(-float(ours.trades["lots"].sum()), rel=0.02)
    assert rest(amounts, "commission") < CENTS
    assert any("set commission_per_lot to 3.5" in words and "(now 3)" in words for words in study.result["change"])


def test_swap_is_found_in_points_per_night(ours: Ours) -> None:
    def change(one: dict[str, Any]) -> dict[str, Any]:
        nights = one["exit_ms"] // 86_400_000 - one["entry_ms"] // 86_400_000
        one["swap"] = -5.0 * nights * one["lots"] if one["side"] > 0 else 2.0 * nights * one["lots"]
        return one

    fills = terminal(ours, change)
    study, amounts = compared(ours, fills)
    assert amounts["swap"] == pytest.approx(sum(round(fill.swap, 2) for fill in fills), abs=0.02)
    assert rest(amounts, "swap") < CENTS
    (words,) = [words for words in study.result["change"] if "swap" in words]
    assert "-5.0 points long" in words
    assert "+2.0 points short" in words


def test_a_stop_where_we_saw_the_target_is_another_way_out(ours: Ours) -> None:
    targets = [n for n, kind in enumerate(ours.trades["exit"]) if kind == "target"][:5]
    assert len(targets) == 5

    def change(one: dict[str, Any]) -> dict[str, Any]:
        if one["n"] in targets:
            one |= {"kind": "stop", "level": one["stop"], "exit": one["stop"]}
        return one

    study, amounts = compared(ours, terminal(ours, change))
    expected = sum(-abs(row["target"] - row["stop"]) * row["lots"] * 100_000 for row in ours.trades.iloc[targets].to_dict("records"))
    assert amounts["stop or target"] == pytest.approx(expected, rel=0.01)
    assert any("our target, their stop 5" in words for words in study.result["change"])


def test_a_trade_that_the_end_of_the_test_cuts_off_is_named_so(ours: Ours) -> None:
    cut = len(ours.trades) - 3

    def change(one: dict[str, Any]) -> dict[str, Any] | None:
        if one["n"] == cut:
            one |= {"kind": "end_of_data", "exit": one["exit"] + 50 * POINT}
        return one

    _, amounts = compared(ours, terminal(ours, change))
    row = ours.trades.iloc[cut]
    assert amounts["end of test"] == pytest.approx(float(row["side"] * row["lots"] * 100_000 * 50 * POINT), abs=0.02)


def test_prices_of_another_feed_are_an_offset_of_buys_and_sells_alike(ours: Ours) -> None:
    def change(one: dict[str, Any]) -> dict[str, Any]:
        return one | {"entry": one["entry"] + 7 * POINT, "exit": one["exit"] + 7 * POINT, "level": one["level"] + 7 * POINT}

    study, amounts = compared(ours, terminal(ours, change))
    assert study.result["price_offset_points"] == pytest.approx(7, abs=0.1)
    assert (study.result["spread_points"], study.result["slippage_points"]) == (0, 0)
    assert rest(amounts, "price") < CENTS


def test_everything_at_once_still_adds_up_to_the_cent(ours: Ours) -> None:
    random = np.random.default_rng(9)

    def change(one: dict[str, Any]) -> dict[str, Any] | None:
        if random.random() < 0.08:
            return None
        one["entry"] += float(random.normal(3, 5)) * POINT
        one["exit"] += float(random.normal(0, 6)) * POINT
        one["lots"] = max(0.01, round(one["lots"] * float(random.uniform(0.5, 1.4)), 2))
        one["exit_ms"] += int(random.integers(0, 3)) * HOUR
        one["swap"] = float(random.normal(-1, 1))
        one["commission"] = 3.7
        one["kind"] = str(random.choice(["stop", "target", "signal"])) if random.random() < 0.2 and one["level"] == one["level"] else one["kind"]
        return one

    study, _ = compared(ours, terminal(ours, change, BrokerClock.named("us", 120)))
    assert (study.result["clock"]["rule"], study.result["clock"]["winter_minutes"]) == ("us", 120)
    assert study.result["matched"] > 0.9 * study.result["theirs"]["trades"]
    steps = BacktestStore.open(ours.home).studies.frame(study.id, "waterfall")
    assert round(steps["amount"].iloc[:-1].sum(), 2) == steps["amount"].iloc[-1]


def test_a_named_clock_is_taken_as_it_is(ours: Ours) -> None:
    study, _ = compared(ours, terminal(ours, clock=BrokerClock.named("us", 120)), clock=BrokerClock.named("us", 120))
    assert study.result["clock"]["confidence"] == 1.0
    assert study.result["matched"] == len(ours.trades)


def test_what_cannot_be_compared_says_why(ours: Ours) -> None:
    report = import_report(ours.home, report_html(sample_fills(6)))
    with pytest.raises(BadInput, match="tolerance_bars"):
        compare_with_report(ours.home, ours.run.id, report.id, tolerance_bars=0)
    euros = import_report(ours.home, report_html(sample_fills(6), test=Tester(currency="EUR")))
    with pytest.raises(BadInput, match="EUR"):
        compare_with_report(ours.home, ours.run.id, euros.id)
    other = import_report(ours.home, deals_csv([Fill(1_500_000_000_000, 1_500_000_060_000, 1, 0.1, 1.0, 1.1, 1.0, symbol="GBPJPY")]))
    with pytest.raises(BadInput, match="no trade of EURUSD"):
        compare_with_report(ours.home, ours.run.id, other.id)


def test_a_report_without_trades_leaves_all_of_ours_missing(ours: Ours) -> None:
    study, amounts = compared(ours, [])
    assert study.result["missing"] == len(ours.trades)
    assert amounts == {"missing": pytest.approx(-float(ours.trades["net_profit"].sum()), abs=0.01)}


def test_matching_is_the_best_assignment_and_not_the_first_fit() -> None:
    def trades(entries: list[tuple[int, float]]) -> pd.DataFrame:
        return pd.DataFrame({
            "entry_ms": [at * HOUR for at, _ in entries], "exit_ms": [(at + 5) * HOUR for at, _ in entries], "side": 1, "lots": 0.1,
            "entry_price": [price for _, price in entries],
        })  # fmt: skip

    # Theirs at hour 2 could be either of ours; the one at hour 4 only the second. Taking the nearest first would leave one alone.
    left, right = match_trades(trades([(1, 1.1), (2, 1.1)]), trades([(2, 1.1), (4, 1.1)]), HOUR, 2.0, 0.01)
    assert (left.tolist(), right.tolist()) == ([0, 1], [0, 1])
    left, right = match_trades(trades([(1, 1.1), (1, 1.2)]), trades([(1, 1.2), (1, 1.1)]), HOUR, 2.0, 0.5)
    assert right.tolist() == [1, 0]


def test_cents_of_a_waterfall_always_add_up() -> None:
    random = np.random.default_rng(2)
    names = ["missing", "size", "late", "spread", "price", "swap"]
    for _ in range(300):
        amounts = dict(zip(names, random.normal(0, 50, len(names)).tolist(), strict=True))
        start = float(random.normal(0, 1000))
        steps = waterfall(start, start + sum(amounts.values()), amounts, {})
        assert round(steps["amount"].iloc[:-1].sum(), 2) == steps["amount"].iloc[-1] == round(start + sum(amounts.values()), 2)
        for name, amount in amounts.items():
            if name in steps["cause"].tolist():
                assert steps["amount"][steps["cause"] == name].iloc[0] == pytest.approx(amount, abs=0.0101)


@pytest.mark.slow
def test_fifteen_thousand_trades_are_matched_in_seconds() -> None:
    random = np.random.default_rng(1)
    count = 15_000
    at = np.sort(random.choice(370_000, count, replace=False)) * 60_000 + 1_546_300_800_000
    lots = random.integers(1, 50, count) / 100
    side = random.choice([-1, 1], count)
    entry = 1.12 + random.normal(0, 0.01, count).round(5)
    out = entry + random.normal(0, 0.001, count).round(5)
    times = pd.DatetimeIndex(at.astype("M8[ms]")).tz_localize("UTC")
    trades = pd.DataFrame({
        "ticket": np.arange(count), "side": side, "lots": lots, "entry_time": times, "exit_time": times + pd.Timedelta(minutes=20), "entry_price": entry, "exit_price": out,
        "stop": np.nan, "target": np.nan, "gross_profit": side * lots * 100_000 * (out - entry), "net_profit": side * lots * 100_000 * (out - entry), "exit": "signal",
        "level": np.nan,
    })  # fmt: skip
    theirs = trades.copy()
    theirs["entry_price"] += 3 * POINT
    theirs["symbol"] = "EURUSD"
    for one in ("entry", "exit"):
        theirs[f"{one}_raw_ms"] = theirs[f"{one}_time"].dt.as_unit("ms").astype("int64") + 2 * HOUR
    run = StoredRun("a", "a", "sequence", "s", {}, "EURUSD", "M1", None, None, None, "mt5", "USD", {}, {}, 0.0, 0.0, 0.0, count, 0, 1, "v", 0)
    start = time.perf_counter()
    found = compare_trades(run, trades, run, theirs.drop(index=range(100, 200)))
    assert time.perf_counter() - start < 60
    assert (found.result["matched"], found.result["missing"]) == (count - 100, 100)
    assert found.result["clock"]["winter_minutes"] == 120


@pytest.mark.parametrize("name", ["mt5_tester_html/tester_en_XAUUSD_H4_hedging.html", "mt5_tester_html/tester_es_EURUSD_H1_build3092.html",
                                  "mt5_tester_html/tester_zh_MSFT_H1.html", "mt5_tester_xlsx/tester_export.xlsx"])  # fmt: skip
def test_a_real_report_agrees_with_itself_to_the_cent(home: Path, realdata: Path, name: str) -> None:
    report = import_report(home, realdata / name)
    study = compare_with_report(home, report.id, report.id)
    assert study.result["agree"] == study.result["matched"] == study.result["ours"]["trades"]
    assert [row["cause"] for row in study.result["waterfall"]] == ["ours", "theirs"]
