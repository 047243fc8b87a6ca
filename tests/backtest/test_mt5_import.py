"""Reports of the Strategy Tester: read by position in any language, checked against themselves, kept once."""

from __future__ import annotations

import contextlib
import io
import json
import resource
import time
import zipfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lookalikes_mt5 import LABELS, Fill, Tester, deals_csv, optimisation_xml, report_html, report_xlsx, sample_fills, with_

from components.backtest import BacktestStore, Study
from components.backtest.reports import import_report, platform_symbol, recognise
from components.backtest.reports.html import read_html
from components.backtest.reports.identities import check_identities
from components.backtest.reports.xlsx import read_xlsx
from components.backtest.store import StoredRun
from components.backtest.trades import TRADE_COLUMNS
from components.fx import BadInput, NotFound
from components.ledger import TrialLedger
from components.pipeline import BrokerClock

HOUR = 3_600_000
AT = 1_492_675_200_000


def kept(home: Path, content: bytes, **options: Any) -> StoredRun:
    run = import_report(home, content, **options)
    assert isinstance(run, StoredRun)
    return run


@pytest.mark.parametrize("language", sorted(LABELS))
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-8"])
def test_a_report_reads_the_same_in_every_language_and_encoding(home: Path, language: str, encoding: str) -> None:
    fills = sample_fills()
    run = kept(home, report_html(fills, language, encoding=encoding))
    assert run == kept(home, report_html(fills))
    assert (run.trades, run.symbol, run.timeframe, run.strategy, run.policy, run.source) == (
        40,
        "EURUSD",
        "H1",
        "Lookalike",
        "mt5 tester",
        "imported",
    )
    assert run.params == {"Lots": "0.10", "Fast": "10"}
    assert run.stats["report"]["total_trades"] == 40
    assert run.stats["report"]["symbol"] == "EURUSD"
    assert len(run.stats["report"]) == 54
    assert run.stats["net_profit"] == pytest.approx(run.stats["report"]["total_net_profit"])
    json.dumps(asdict(run), allow_nan=False)


def test_labels_that_are_swapped_change_nothing_because_only_their_place_counts(home: Path) -> None:
    page = report_html(sample_fills(), "en").decode("utf-16")
    swapped = page.replace("Gross Profit:", "@").replace("Gross Loss:", "Gross Profit:").replace("@", "Gross Loss:")
    assert read_html(swapped.encode("utf-16")).values == read_html(page.encode("utf-16")).values


def test_a_chinese_page_keeps_the_value_of_a_label_that_comes_twice() -> None:
    labels = LABELS["zh"].split("|")
    assert len(labels) == 54
    assert len(set(labels)) == 53
    values = read_html(report_html(sample_fills(), "zh")).values
    assert (values["symbol"], values["symbols"]) == ("EURUSD", 1.0)


def test_trades_come_in_our_columns_with_times_prices_and_money(home: Path) -> None:
    fills = sample_fills()
    run = kept(home, report_html(fills))
    trades = BacktestStore.open(home).trades(run.id)
    assert [name for name in trades.columns if name in TRADE_COLUMNS] == [name for name in TRADE_COLUMNS if name in trades.columns]
    assert {"ticket", "side", "lots", "entry_time", "exit_time", "entry_price", "exit_price", "gross_profit", "cost", "net_profit", "exit"} <= set(
        trades.columns
    )
    by_exit = sorted(fills, key=lambda fill: fill.exit_ms or 0)
    assert trades["exit_raw_ms"].tolist() == [fill.exit_ms for fill in by_exit]
    assert trades["side"].tolist() == [fill.side for fill in by_exit]
    for name, part in (("lots", "lots"), ("entry_price", "entry"), ("exit_price", "exit"), ("gross_profit", "profit"), ("swap", "swap")):
        assert trades[name].to_numpy() == pytest.approx(np.array([getattr(fill, part) for fill in by_exit]))
    assert trades["net_profit"].to_numpy() == pytest.approx(np.array([f.profit + f.swap + f.commission + f.exit_commission for f in by_exit]))
    assert trades["exit"].tolist() == [
        {"sl": "stop", "tp": "target", "en": "end_of_data"}.get(fill.exit_comment[:2], "signal") for fill in by_exit
    ]  # fmt: skip
    assert trades["stop"].to_numpy() == pytest.approx(np.array([fill.stop for fill in by_exit]))
    stopped = trades[trades["exit"] == "stop"]
    assert (stopped["level"] == stopped["stop"]).all()
    equity = BacktestStore.open(home).equity(run.id)["equity"]
    assert equity.iloc[0] == 10_000
    assert equity.iloc[-1] == pytest.approx(10_000 + trades["net_profit"].sum())
    assert equity.index.is_monotonic_increasing


def test_without_a_clock_broker_time_is_kept_and_said(home: Path) -> None:
    run = kept(home, report_html(sample_fills()))
    trades = BacktestStore.open(home).trades(run.id)
    assert "offset not known" in run.stats["clock"]
    assert trades["entry_time"].dt.as_unit("ms").astype("int64").tolist() == trades["entry_raw_ms"].tolist()


def test_a_named_clock_turns_broker_time_into_utc_and_makes_another_run(home: Path) -> None:
    plain, clocked = kept(home, report_html(sample_fills())), kept(home, report_html(sample_fills()), clock=BrokerClock.named("us", 120))
    assert plain.id != clocked.id
    trades = BacktestStore.open(home).trades(clocked.id)
    offset = trades["entry_raw_ms"] - trades["entry_time"].dt.as_unit("ms").astype("int64")
    assert set(offset) == {3 * HOUR}  # April to July is American summer
    assert clocked.stats["clock"].startswith("UTC+2, UTC+3 in summer")


def test_the_same_report_twice_is_one_run_one_trial_and_one_file(home: Path) -> None:
    content = report_html(sample_fills())
    first = kept(home, content)
    written = (home / "backtests" / first.id / "trades.arrow").stat().st_mtime_ns
    assert kept(home, content) == first
    assert (home / "backtests" / first.id / "trades.arrow").stat().st_mtime_ns == written
    assert len(BacktestStore.open(home).runs()) == 1
    assert [trial.kind for trial in TrialLedger.open(home).list()] == ["import"]
    (file,) = (home / "reports").iterdir()
    assert file.read_bytes() == content


def test_a_workbook_and_a_deals_file_tell_the_same_trades_as_the_page(home: Path) -> None:
    fills = sample_fills()
    runs = [kept(home, content) for content in (report_html(fills), report_xlsx(fills), deals_csv(fills))]
    tables = [BacktestStore.open(home).trades(run.id) for run in runs]
    same = ["side", "lots", "entry_price", "exit_price", "gross_profit", "net_profit", "entry_raw_ms", "exit_raw_ms", "exit"]
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table[same], tables[0][same])
    assert runs[2].stats["pairing"]["position id"] == 40
    assert runs[1].stats["report"]["total_trades"] == 40
    assert runs[1].stats["report"]["minimal_holding_time"] == runs[0].stats["report"]["minimal_holding_time"]


def test_a_workbook_whose_expert_has_no_inputs_still_has_54_values() -> None:
    assert read_xlsx(report_xlsx(sample_fills(5), Tester(inputs=()))).inputs == {}
    assert read_html(report_html(sample_fills(5), test=Tester(inputs=()))).inputs == {}


def test_a_report_without_trades_is_a_run_without_trades(home: Path) -> None:
    for content in (report_html([]), report_xlsx([])):
        run = kept(home, content)
        assert (run.trades, run.total_return, run.stats["open_positions"]) == (0, 0.0, [])


def test_positions_that_are_open_at_the_end_are_named_and_their_commission_is_paid(home: Path) -> None:
    fills = sample_fills(5)
    fills.append(with_(fills[-1], entry_ms=fills[-1].exit_ms + HOUR, exit_ms=None, commission=-7.0))
    run = kept(home, report_html(fills))
    assert run.trades == 5
    (left,) = run.stats["open_positions"]
    assert (left["why"], left["commission"]) == ("open", -7.0)
    assert run.stats["net_profit"] == pytest.approx(run.stats["report"]["total_net_profit"])


def test_a_test_that_stopped_early_says_when_its_last_deal_was(home: Path) -> None:
    run = kept(home, report_html(sample_fills(3)))
    assert run.stats["last_deal_day"] < run.spec["to_day"] == "2018-02-07"


IDENTITIES: dict[str, tuple[int | str, str]] = {
    "total_net_profit": (12, "11.00"), "balance_drawdown_absolute": (13, "0.01"), "gross_profit": (15, "1.00"), "balance_drawdown_maximal": (16, "1.00 (0.01%)"),
    "gross_loss": (18, "-1.00"), "balance_drawdown_relative": (19, "1.00% (0.01)"), "expected_payoff": (22, "9.99"), "total_trades": (32, "39"),
    "total_deals": (35, "79"), "profit_trades": (36, "1 (2.50%)"), "loss_trades": (37, "1 (2.50%)"), "initial_deposit": (6, "9 000.00"),
}  # fmt: skip


@pytest.mark.parametrize("broken", sorted(IDENTITIES))
def test_a_report_that_contradicts_itself_is_refused_with_both_numbers(home: Path, broken: str) -> None:
    place, text = IDENTITIES[broken]
    with pytest.raises(BadInput, match=r"the report says .*\d") as error:
        import_report(home, report_html(sample_fills(), changes={place: text}))
    assert error.value.field == broken
    assert BacktestStore.open(home).runs() == []


def test_a_trade_that_makes_exactly_nothing_counts_as_a_profit_trade_as_the_terminal_counts(home: Path) -> None:
    fills = [
        with_(fill, exit=fill.entry, profit=0.0, swap=0.0, exit_commission=0.0, exit_comment="") if n < 3 else fill
        for n, fill in enumerate(sample_fills(9))
    ]
    assert kept(home, report_html(fills)).trades == 9


def test_a_changed_deal_is_refused_with_its_row(home: Path) -> None:
    for column, row in ((8, 17), (9, 30), (10, 44), (11, 58)):
        with pytest.raises(BadInput, match=r"the report says .* makes") as error:
            import_report(home, report_html(sample_fills(), changes={f"{row}.{column}": "77.00"}))
        assert error.value.field == f"deals.{row + 1}.balance"


def test_columns_that_change_places_are_refused(home: Path) -> None:
    page = report_html(sample_fills()).decode("utf-16")
    head, _, table = page.rpartition("<b>Balance</b>")
    rows = [row.split("</td><td>") for row in table.split("\r\n")]
    for row in rows:
        if len(row) == 13:
            row[10], row[11] = row[11], row[10]
    swapped = (head + "<b>Balance</b>" + "\r\n".join("</td><td>".join(row) for row in rows)).encode("utf-16")
    with pytest.raises(BadInput, match="balance"):
        import_report(home, swapped)


def test_a_deal_that_is_left_out_is_refused(home: Path) -> None:
    page = report_html(sample_fills()).decode("utf-16").split("\r\n")
    deals = [n for n, line in enumerate(page) if ">out<" in line]
    del page[deals[20]]
    with pytest.raises(BadInput, match="balance"):
        import_report(home, "\r\n".join(page).encode("utf-16"))


def test_deals_that_run_backwards_in_time_are_refused(home: Path) -> None:
    with pytest.raises(BadInput, match="before the deal above"):
        import_report(home, report_html(sample_fills(), changes={"9.0": "2017.04.01 00:00:00"}))


def overlapping(profit: bool = True) -> list[Fill]:
    """A grid: three buys open together, closed in another order than they were opened; one plain trade before tells what a price step is worth."""
    first = Fill(AT, AT + HOUR, 1, 0.1, 1.1, 1.101, 10.0)
    entries = ((0.1, 1.1000), (0.1, 1.0980), (0.1, 1.0960))
    order = (2, 0, 1)
    fills = [first]
    for n, (lots, entry) in enumerate(entries):
        out = 1.1020 if profit else entry
        fills.append(Fill(AT + (3 + n) * HOUR, AT + (10 + order[n]) * HOUR, 1, lots, entry, out, round(lots * 100_000 * (out - entry), 2)))
    return fills


def test_among_positions_of_equal_size_the_profit_tells_which_was_closed(home: Path) -> None:
    run = kept(home, report_html(overlapping()))
    trades = BacktestStore.open(home).trades(run.id)
    assert trades["entry_price"].tolist() == [1.1, 1.098, 1.096, 1.1]  # first in, first out would say 1.1, 1.1, 1.098, 1.096
    assert run.stats["pairing"] == {"only one possible": 2, "profit": 2, "netting": False, "holding_times_agree": True}


def test_where_the_profit_says_nothing_the_volume_and_then_the_stop_tell(home: Path) -> None:
    flat = [with_(fill, lots=lots, profit=0.0, exit=fill.entry) for fill, lots in zip(overlapping(profit=False), (0.1, 0.1, 0.2, 0.3), strict=True)]
    run = kept(home, report_html(flat[1:]))
    assert run.stats["pairing"] == {"volume": 1, "only one possible": 2, "netting": False, "holding_times_agree": True}
    stops = [
        with_(fill, lots=0.1, stop=1.09 - n / 1000, exit=1.09 - n / 1000, exit_comment=f"sl {1.09 - n / 1000:.5f}", profit=-50.0)
        for n, fill in enumerate(flat[1:])
    ]
    run = kept(home, report_html(stops))
    assert run.stats["pairing"] == {"stop or target": 2, "only one possible": 1, "netting": False, "holding_times_agree": True}


def test_a_pairing_that_nothing_tells_is_flagged_as_assumed(home: Path) -> None:
    same = [with_(fill, lots=0.1, profit=1.0, exit=1.2) for fill in overlapping()[1:]]
    run = kept(home, report_html(same))
    trades = BacktestStore.open(home).trades(run.id)
    assert run.stats["pairing"]["assumed"] == 2
    assert run.stats["pairing"]["holding_times_agree"] is False  # and the page's own holding times contradict it
    assert trades["pairing"].tolist() == ["assumed", "assumed", "only one possible"]


def test_with_position_numbers_nothing_has_to_be_assumed(home: Path) -> None:
    same = [with_(fill, lots=0.1, profit=1.0, exit=1.2) for fill in overlapping()[1:]]
    run = kept(home, deals_csv(same))
    assert run.stats["pairing"] == {"position id": 3, "netting": False, "holding_times_agree": None}
    assert BacktestStore.open(home).trades(run.id)["entry_price"].tolist() == [1.098, 1.096, 1.1]


def netting_csv(lines: list[str]) -> bytes:
    head = "time,deal,position_id,order,symbol,type,direction,volume,price,commission,swap,profit,balance,comment"
    return "\n".join([head, "2024.01.02 00:00:00,1,,,,balance,,,,0,0,1000,1000,", *lines]).encode()


def test_a_netting_account_is_known_by_its_reversals_and_trades_at_mean_prices(home: Path) -> None:
    run = kept(
        home,
        netting_csv([
            "2024.01.02 01:00:00,2,,2,EURUSD,buy,in,0.10,1.10000,-1,0,0,999,",
            "2024.01.02 02:00:00,3,,3,EURUSD,buy,in,0.10,1.10200,-1,0,0,998,",
            "2024.01.02 03:00:00,4,,4,EURUSD,sell,in/out,0.30,1.10300,-3,0,40,1035,",
            "2024.01.02 04:00:00,5,,5,EURUSD,buy,out,0.10,1.10200,-1,0,10,1044,",
        ]),
    )  # fmt: skip
    trades = BacktestStore.open(home).trades(run.id)
    assert run.stats["pairing"]["netting"] is True
    assert trades["entry_price"].tolist() == pytest.approx([1.101, 1.103])
    assert trades["lots"].tolist() == pytest.approx([0.2, 0.1])
    assert trades["side"].tolist() == [1, -1]
    assert trades["exit"].tolist() == ["reversal", "signal"]
    assert trades["net_profit"].sum() == pytest.approx(44.0)
    assert trades["commission"].tolist() == pytest.approx([-4.0, -2.0])


def test_a_position_that_is_closed_in_parts_is_a_trade_for_each(home: Path) -> None:
    run = kept(
        home,
        netting_csv([
            "2024.01.02 01:00:00,2,,2,EURUSD,buy,in,0.30,1.10000,-3,0,0,997,",
            "2024.01.02 02:00:00,3,,3,EURUSD,sell,out,0.10,1.10100,-1,0,10,1006,",
            "2024.01.02 03:00:00,4,,4,EURUSD,sell,out,0.20,1.10200,-2,-0.5,40,1043.5,",
        ]),
    )  # fmt: skip
    trades = BacktestStore.open(home).trades(run.id)
    assert trades["lots"].tolist() == pytest.approx([0.1, 0.2])
    assert trades["net_profit"].tolist() == pytest.approx([8.0, 35.5])
    assert run.stats["pairing"]["netting"] is False


def test_a_broker_symbol_is_recognised(home: Path) -> None:
    assert [platform_symbol(name) for name in ("EURUSD", "EURUSD_i", "eurusd.raw", "mGBPJPYc", "XAUUSDm", "MSFT.US")] == [
        "EURUSD", "EURUSD", "EURUSD", "GBPJPY", "XAUUSD", None,
    ]  # fmt: skip
    assert kept(home, report_html(sample_fills(), test=Tester(symbol="EURUSD_i"))).symbol == "EURUSD"
    assert kept(home, report_html(sample_fills(), test=Tester(symbol="CMIG4"))).symbol == "CMIG4"
    assert kept(home, report_html(sample_fills(4), test=Tester(symbol="Euro")), symbol="EURUSD", name="mine").symbol == "EURUSD"


def test_an_optimisation_is_a_study_and_each_pass_a_trial(home: Path) -> None:
    content = optimisation_xml(50)
    study = import_report(home, content)
    assert isinstance(study, Study)
    assert import_report(home, content) == study
    assert (study.kind, study.state, study.strategy, study.result["passes"]) == ("optimisation", "done", "Crosser", 50)
    assert study.result["best"]["pass"] == 0
    assert study.spec["created"] == "2025-09-23T09:01:44Z"
    passes = BacktestStore.open(home).studies.frame(study.id, "passes")
    assert passes.shape == (50, 13)
    assert passes["InpUse"].tolist()[:3] == [False, True, False]
    ledger = TrialLedger.open(home)
    assert ledger.count("Crosser") == 50
    trial = ledger.list("Crosser", 1)[0]
    assert (trial.kind, trial.params["InpFast"], trial.metrics["trades"]) == ("mt5_optimisation_pass", 59.0, 20)
    assert trial.metrics["total_return"] == pytest.approx((1000 - 7.5 * 49) / 10_000)


def test_a_forward_optimisation_keeps_both_of_its_results(home: Path) -> None:
    content = optimisation_xml(5).replace(b">Result<", b'>Forward Result</Data></Cell>\n<Cell><Data ss:Type="String">Back Result<', 1)
    first, *rows = content.split(b"<Row>\n")[1:]
    rows = [row.replace(b"</Cell>\n", b'</Cell>\n<Cell><Data ss:Type="Number">7.5</Data></Cell>\n', 1) for row in rows]
    study = import_report(home, b"<Row>\n".join([content.split(b"<Row>\n")[0], first, *rows]))
    assert isinstance(study, Study)
    passes = BacktestStore.open(home).studies.frame(study.id, "passes")
    assert passes["forward_result"].tolist() == passes["result"].tolist() == [7.5] * 5
    assert passes["back_result"].iloc[0] == 11_000.0
    assert passes["InpFast"].iloc[0] == 10


def test_a_pass_whose_payoff_is_not_its_profit_by_trade_is_refused(home: Path) -> None:
    with pytest.raises(BadInput, match="pass 0 says 50"):
        import_report(home, optimisation_xml(5).replace(b">1000.0<", b">1001.0<"))
    assert TrialLedger.open(home).count() == 0


def test_what_is_paid_in_during_a_test_is_no_profit(home: Path) -> None:
    run = kept(
        home,
        netting_csv([
            "2024.01.02 01:00:00,2,,2,EURUSD,buy,in,0.30,1.10000,-3,0,0,997,",
            "2024.01.03 01:00:00,3,,,,balance,,,,0,0,500,1497,",
            "2024.01.04 02:00:00,4,,4,EURUSD,sell,out,0.30,1.10100,-1,0,10,1506,",
        ]),
    )  # fmt: skip
    assert run.stats["net_profit"] == pytest.approx(6.0)
    assert run.trades == 1


@pytest.mark.slow
def test_a_hundred_thousand_passes_are_read_as_a_stream() -> None:
    from components.backtest.reports.optimisation import read_optimisation

    content = optimisation_xml(100_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = read_optimisation(content)
    assert len(found.passes) == 100_000
    assert found.passes["InpFast"].iloc[-1] == 10 + 99_999
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 400  # megabytes; the file's tree would take gigabytes


def bomb(depth: int = 12) -> str:
    lines = ["<!DOCTYPE lolz [", '<!ENTITY a0 "ha">', *(f'<!ENTITY a{n} "&a{n - 1};&a{n - 1};&a{n - 1};&a{n - 1};">' for n in range(1, depth)), "]>"]
    return "\n".join(lines) + "\n"


def swapped_part(content: bytes, part: str, change: Callable[[bytes], bytes]) -> bytes:
    """A workbook with one of its parts changed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, change(old.read(name)) if name == part else old.read(name))
    return buffer.getvalue()


def hostile() -> dict[str, bytes]:
    page, book, passes = report_html(sample_fills(6)), report_xlsx(sample_fills(6)), optimisation_xml(20)
    random = np.random.default_rng(11)
    return {
        "empty": b"",
        "spaces": b"  \r\n ",
        "random bytes": random.bytes(20_000),
        "random bytes after a mark": b"\xff\xfe" + random.bytes(20_001),
        "half a page": page[: len(page) // 2],
        "a page cut in its deals": page[: len(page) - 2_000],
        "a page of nothing": b"<html><table></table></html>",
        "a page with a huge cell": page.decode("utf-16").replace("Crosser", "x" * 2_000_000, 1).encode("utf-16"),
        "a page of unclosed comments": b"<html>" + b"<!--" * 200_000,
        "a page of unclosed tags": b"<html>" + b"<td " * 300_000,
        "a page of marked sections": b"<html>" + b"<![CDATA[" * 100,
        "a page of broken declarations": b"<html><![ foo <!x <!- ]]>" * 50,
        "a page with a number that is none": report_html(sample_fills(6), changes={12: "1.2.3"}),
        "a page with an infinite balance": report_html(sample_fills(6), changes={"3.11": "inf"}),
        "a page with a volume of zero": report_html(sample_fills(6), changes={"2.5": "0"}),
        "a page with a strange direction": report_html(sample_fills(6), changes={"2.4": "sideways"}),
        "a page with a strange time": report_html(sample_fills(6), changes={"2.0": "2017.13.45 99:00:00"}),
        "half a workbook": book[: len(book) // 2],
        "a workbook with garbage inside": swapped_part(book, "xl/worksheets/sheet1.xml", lambda _: b"<a>" + random.bytes(500)),
        "a workbook with entities": swapped_part(book, "xl/worksheets/sheet1.xml", lambda old: bomb().encode() + old),
        "a workbook without a sheet": swapped_part(book, "xl/workbook.xml", lambda _: b"<workbook/>"),
        "a zip that is no workbook": swapped_part(book, "[Content_Types].xml", lambda _: b"hello"),
        "passes with entities": optimisation_xml(3, prolog=bomb()),
        "passes with an outer document": optimisation_xml(3, prolog='<!DOCTYPE x SYSTEM "file:///etc/passwd">\n'),
        "half the passes": passes[: len(passes) // 2],
        "passes with a cell that is no number": passes.replace(b">20<", b">twenty<", 1),
        "passes with a missing cell": passes.replace(b'<Cell><Data ss:Type="String">false</Data></Cell>', b"", 1),
        "passes with a huge cell": passes.replace(b"Crosser", b"x" * 3_000_000, 1),
        "passes with a far column": passes.replace(b'<Cell ss:StyleID="ce2">', b'<Cell ss:Index="999999999">', 1),
        "passes nested deep": b'<?xml version="1.0"?><Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet">' + b"<a>" * 100_000,
        "half a deals file": deals_csv(sample_fills(6))[:1000],
        "deals with a column missing": deals_csv(sample_fills(6)).replace(b"position_id", b"position", 1),
        "deals with zero bytes": deals_csv(sample_fills(6)).replace(b"Crosser", b"\0\0\0", 1),
        "deals that do not add up": deals_csv(sample_fills(6)).replace(b",10000.0,10000.0", b",10000.0,10007.0"),
        "deals with a header only": deals_csv([]).split(b"\n")[0] + b"\n",
        "JSON that is none": b'{"name": ',
        "JSON nested deep": b'{"a":' * 100_000,
        "JSON that is no backtest": b'{"trades": 5}',
        "a picture": b"\x89PNG\r\n\x1a\n" + random.bytes(300),
        "a text": "Lieber Herr Müller, anbei der Bericht.".encode("latin-1"),
    }  # fmt: skip


HOSTILE = hostile()


@pytest.mark.parametrize("what", sorted(HOSTILE))
def test_a_file_that_cannot_be_read_is_refused_in_words_and_soon(home: Path, what: str) -> None:
    start = time.perf_counter()
    with pytest.raises(BadInput) as error:
        import_report(home, HOSTILE[what])
    assert time.perf_counter() - start < 10
    assert len(error.value.message) < 600
    assert BacktestStore.open(home).runs() == []
    assert not (home / "reports").exists()


def test_pages_cut_anywhere_or_with_flipped_bytes_are_refused_or_read(home: Path) -> None:
    page = report_html(sample_fills(4), encoding="utf-8")
    random = np.random.default_rng(3)
    for _ in range(150):
        broken = bytearray(page[: int(random.integers(10, len(page)))] if random.random() < 0.5 else page)
        for place in random.integers(0, len(broken), 20):
            broken[int(place)] = int(random.integers(0, 256))
        with contextlib.suppress(BadInput):  # anything else is a fault
            import_report(home, bytes(broken))


def test_a_file_that_is_not_there_is_not_found(home: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"nothing\.html"):
        import_report(home, tmp_path / "nothing.html")
    with pytest.raises(BadInput, match="kind"):
        import_report(home, report_html([]), kind="pdf")


def test_a_document_of_ours_comes_in_by_the_same_door(home: Path) -> None:
    document = {"name": "mine", "strategy": "s", "symbol": "EURUSD", "balance": 1000.0, "trades": []}
    assert recognise(json.dumps(document).encode()) == "json"
    assert kept(home, json.dumps(document).encode()).policy == "foreign"


REAL = {
    "tester_en_XAUUSD_H4_hedging.html": (30, 23.06, "XAUUSD", "H4", 5833), "tester_en_XAUUSD_M5_short.html": (3, -6.11, "XAUUSD", "M5", 6104),
    "tester_es_EURUSD_H1_build3092.html": (938, 2032.77, "EURUSD", "H1", 3092), "tester_pt_CMIG4_daily.html": (36, -133.0, "CMIG4", "D1", 4755),
    "tester_zh_MSFT_H1.html": (212, 13854.13, "MSFT.US", "H1", 5430),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(REAL))
def test_a_real_report_holds_every_identity_and_tells_its_trades(home: Path, realdata: Path, name: str) -> None:
    path = realdata / "mt5_tester_html" / name
    trades, net, symbol, timeframe, build = REAL[name]
    run = kept(home, path.read_bytes())
    assert (run.trades, run.symbol, run.timeframe, run.spec["build"]) == (trades, symbol, timeframe, build)
    assert run.stats["net_profit"] == pytest.approx(net)
    assert len(run.stats["identities"]) == 12
    assert run.stats["pairing"]["holding_times_agree"] is True
    assert run.stats["pairing"]["only one possible"] == trades
    again = path.read_bytes().decode("utf-16").encode()  # somebody saved it again as UTF-8
    assert kept(home, again) == run


def test_a_real_workbook_of_28_symbols_pairs_its_grids_without_assuming(home: Path, realdata: Path) -> None:
    run = import_report(home, realdata / "mt5_tester_xlsx" / "tester_export.xlsx")
    assert isinstance(run, StoredRun)
    assert (run.trades, len(run.stats["symbols"]), run.symbol) == (283, 28, "EURUSD")
    assert run.stats["net_profit"] == pytest.approx(429_635.03)
    assert "assumed" not in run.stats["pairing"]
    assert run.stats["pairing"]["holding_times_agree"] is True


@pytest.mark.parametrize(("name", "passes", "inputs"), [("optimisation_EURUSD_M1_39.xml", 39, 22), ("optimisation_XAUUSD_H4_432.xml", 432, 5)])
def test_a_real_optimisation_is_read(home: Path, realdata: Path, name: str, passes: int, inputs: int) -> None:
    study = import_report(home, realdata / "mt5_opt_xml" / name)
    assert isinstance(study, Study)
    assert (study.result["passes"], len(study.spec["inputs"])) == (passes, inputs)
    assert TrialLedger.open(home).count(study.strategy) == passes


def test_a_real_report_with_one_cent_more_is_refused(realdata: Path) -> None:
    report = read_html((realdata / "mt5_tester_html" / "tester_es_EURUSD_H1_build3092.html").read_bytes())
    check_identities(report)
    deals = report.deals.copy()
    deals.loc[700, "profit"] += 0.01
    with pytest.raises(BadInput, match="deal 701"):
        check_identities(replace(report, deals=deals))
