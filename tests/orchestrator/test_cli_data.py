"""The commands about prices, as processes: sources, collect, import, rates, news, bars."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from components.base import ROOT
from components.pipeline import PipelineStore
from tests.orchestrator.command import Command, refused
from tests.pipeline.lookalike_news import keep_tone
from tests.pipeline.lookalikes import bars_at, histdata_m1, ms, mt5_bars, trading_ms, wall_clock, week_edges, zipped

HOUR = 3_600_000


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What operators have on their disks: two HistData years, a terminal's export, a table of one's own."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "histdata").mkdir()
    for year in (2018, 2019):
        bars = bars_at(week_edges(f"{year}-01-01T22:00", f"{year}-12-31T22:00"), seed=year)
        text = histdata_m1(wall_clock(bars.utc_ms, -300, "us"), bars)
        zipped(folder / "histdata" / f"HISTDATA_COM_ASCII_EURUSD_M1{year}.zip", {f"DAT_ASCII_EURUSD_M1_{year}.csv": text})
    hours = bars_at(trading_ms("2022-01-03", "2023-01-01", 60))
    (folder / "GBPUSD_H1.csv").write_text(mt5_bars(wall_clock(hours.utc_ms, 120, "us"), hours))
    own = pd.DataFrame(
        {"when": hours.utc_ms, "o": hours.prices["open"], "h": hours.prices["high"], "l": hours.prices["low"], "c": hours.prices["close"]}
    )
    own.to_csv(folder / "own.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def sequence(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """A platform on which the sample is collected."""
    command = Command(tmp_path_factory.mktemp("cli") / "output_central")
    done = command("collect")
    assert done.returncode == 0, done.stderr
    return command


@pytest.mark.slow
def test_sources_are_listed_and_each_says_what_it_takes(sequence: Command) -> None:
    every, folder, live = sequence.answers(("sources",), ("sources", "folder"), ("sources", "live"))
    names = [one["name"] for one in every]
    assert names == ["sample", "histdata", "mt5_csv", "mt5_terminal", "folder", "live", "ecb", "yfinance", "gdelt", "gdelt_events"]
    assert {one["gives"] for one in every} == {"bars", "rates", "news"}
    assert folder["options"]["path"] == "needed"
    assert folder["options"]["columns"] == "a JSON object; may be left out"
    assert folder["options"]["stamp"] == "one of open, close; open where it is left out"
    assert "named by its open or its close" in folder["about options"]
    assert "one of repaired, ticks, terminal" in live["options"]["mode"]
    text, unknown = sequence.many(("sources",), ("sources", "moon"))
    assert "gdelt_events" in text.stdout
    refused(unknown, 2, "source: 'moon' is unknown; known are sample, histdata")


@pytest.mark.slow
def test_a_collection_can_be_bounded_repeated_and_looked_at(sequence: Command) -> None:
    first, last = "2017-06-01", "2017-07-04T12:00"
    bounded = ("collect", "--from", first, "--to", last)
    part, again, sets, series, pieces = sequence.answers(
        bounded, bounded, ("bars", "list"), ("bars", "series"), ("bars", "pieces", "sample", "EURUSD", "H1")
    )
    assert (part["source"], part["symbol"], part["state"]) == ("sample", "EURUSD", "trusted")
    assert (part["new_pieces"], part["pieces"]) == (0, 1)
    assert again == part
    one = next(row for row in sets if row["id"] == part["bar_set_id"])
    assert one["start_ms"] >= ms(first)
    assert one["end_ms"] <= ms(last) + HOUR
    assert one["made_by"]["start_ms"] == ms(first)
    assert (series[0]["rows"], series[0]["pieces"], pieces[0]["key"], pieces[0]["rows"]) == (5000, 1, "sample", 5000)
    shown, coverage, june, text, nothing = sequence.many(
        ("bars", "show", part["bar_set_id"]),
        ("bars", "coverage", "--json"),
        ("bars", "coverage", "--symbol", "USDJPY"),
        ("bars", "list"),
        ("bars", "pieces", "sample", "EURUSD", "M1"),
    )
    assert "kind" in shown.stdout
    months = [row for row in json.loads(coverage.stdout) if row["bar_set_id"] == part["bar_set_id"]]
    assert [(pd.Timestamp(row["month_ms"], unit="ms").month, row["share"] > 0.99) for row in months] == [(6, True), (7, True)]
    assert june.stdout.startswith("No bars yet")
    assert part["bar_set_id"] in text.stdout
    assert "No pieces of that series." in nothing.stdout


@pytest.mark.slow
def test_files_are_imported_by_what_they_are(sequence: Command, files: Path) -> None:
    years, export, again = sequence.answers(
        ("import", str(files / "histdata")), ("import", str(files / "GBPUSD_H1.csv")), ("import", str(files / "histdata"))
    )
    assert (years["source"], years["symbol"], years["new_pieces"]) == ("histdata", "EURUSD", 2)
    assert (export["source"], export["symbol"], export["new_pieces"]) == ("mt5_csv", "GBPUSD", 1)
    assert (again["new_pieces"], again["bar_set_id"]) == (0, years["bar_set_id"])
    own = ("import", str(files / "own.csv"), "--as", "folder", "--symbol", "GBPUSD", "--timeframe", "H1")
    mapping = ("--set", 'columns={"open": "o", "high": "h", "low": "l", "close": "c"}', "--set", "time_format=ms", "--set", "time=when")
    table, clocks = sequence.answers((*own, *mapping), ("quality", "clock", years["bar_set_id"]))
    assert (table["source"], table["rows"]) == ("folder", export["rows"])
    assert [(one["rule"], one["winter_minutes"]) for one in clocks] == [("us", -300)] * 2
    # The export and the table are the same bars, so each is a second opinion of the other.
    (one,) = sequence.json("bars", "show", table["bar_set_id"])["quality"]["cross"]
    assert (one["kind"], one["shift_minutes"], one["worst"]) == ("sources", 0, 0.0)


@pytest.mark.slow
def test_longer_bars_and_bars_by_activity_are_made_of_bars(sequence: Command, tmp_path: Path) -> None:
    sample = sequence.json("collect")["bar_set_id"]
    longer, activity = sequence.answers(
        ("bars", "resample", "D1", "--bars", sample),
        ("bars", "intrinsic", "volume", "50000", "--bars", sample, "--out", str(tmp_path / "volume.parquet")),
    )
    assert longer["state"] == "trusted"
    assert longer["rows"] > 200
    made = pd.read_parquet(tmp_path / "volume.parquet")
    assert (len(made), list(made.columns[:2])) == (activity["bars"], ["open_time", "close_time"])
    shown = sequence.json("bars", "show", longer["bar_set_id"])
    assert (shown["parents"], shown["made_by"]["kind"]) == ([sample], "resampled")
    deleted, gone, used = sequence.many(
        ("bars", "delete", longer["bar_set_id"]), ("bars", "show", longer["bar_set_id"]), ("bars", "resample", "M5", "--bars", sample)
    )
    assert deleted.returncode == 0
    refused(gone, 3, f"there is no bar set '{longer['bar_set_id']}'")
    refused(used, 2, f"timeframe: M5 is not longer than H1, the timeframe of {sample}")


@pytest.mark.slow
def test_reference_rates_are_those_that_were_known_at_the_instant(sequence: Command) -> None:
    collected, rate, back, own = sequence.answers(
        ("collect", "--source", "ecb", "--symbol", "EUR", "--set", "download=never"),
        ("rates", "usd", "eur", "--at", "2018-05-05"),
        ("rates", "EUR", "USD", "--at", "2018-05-05"),
        ("rates", "CHF", "CHF"),
    )
    assert "bar_set_id" not in collected
    assert collected["rows"] > 5000
    assert (rate["pair"], round(rate["rate"] * back["rate"], 12), own["rate"]) == ("USDEUR", 1.0, 1.0)
    assert rate["fixed_ms"] < ms("2018-05-05")
    stale, unknown, wrong = sequence.many(
        ("rates", "USD", "EUR", "--at", "2090-01-01"), ("rates", "USD", "XXX", "--at", "2018-05-05"), ("rates", "USD", "EUR", "--at", "May")
    )
    refused(stale, 2, "collect the source 'ecb' again")
    refused(unknown, 2, "the ECB gives no rate for 'XXX'")
    refused(wrong, 2, "at: 'May' is not an ISO date or time")


def test_news_are_told_by_when_they_could_first_be_seen(home: Path) -> None:
    keep_tone(home, "USD", ms("2024-01-02"), 30)
    (rows, text, none) = Command(home).many(("news", "usd", "--rows", "3", "--json"), ("news", "USD"), ("news", "EUR"))
    told = json.loads(rows.stdout)
    assert [row["first_seen"] for row in told] == [f"2024-01-02T07:{minute}:00+00:00" for minute in ("15", "30", "45")]
    assert all(row["tone"] is not None and row["volume"] is not None for row in told)
    assert "tone" in text.stdout
    refused(none, 3, "there is no news of 'EUR' kept; collect the source gdelt for it")


REFUSED = [
    (("collect", "--source", "moon"), 2, "source: 'moon' is unknown"),
    (("collect", "--timeframe", "H7"), 2, "timeframe: 'H7' is unknown"),
    (("collect", "--timeframe", "M5"), 2, "timeframe: source 'sample' has no EURUSD M5; it holds EURUSD H1"),
    (("collect", "--symbol", "XXXYYY"), 2, "symbol: 'XXXYYY' is unknown"),
    (("collect", "--from", "yesterday"), 2, "from: 'yesterday' is not an ISO date or time, such as 2019-03-01"),
    (("collect", "--from", "2018-01-01", "--to", "2017-01-01"), 2, "is not after start_ms"),
    (("collect", "--set", "speed=9"), 2, "speed: is unknown"),
    (("collect", "--source", "histdata"), 2, "path: is missing"),
    (("collect", "--source", "histdata", "--set", "path=/no/such/folder"), 3, "there is no file or folder /no/such/folder"),
    (("collect", "--source", "live"), 5, "no terminal has sent EURUSD yet"),
    (("collect", "--source", "mt5_terminal"), 5, "MetaTrader5"),
    (("collect", "--set", "path"), 2, "set: 'path' is not name=value"),
    (("import", "/no/such/file"), 3, "there is no file or folder /no/such/file; give the path of one"),
    (("import", "README.md"), 2, "README.md begins like no layout that is known"),
    (("import", "README.md", "--as", "ecb"), 2, "as: 'ecb' reads no files that lie here"),
    (("bars", "show", "nothing"), 3, "there is no bar set 'nothing'"),
    (("bars", "delete", "nothing"), 3, "there is no bar set 'nothing'"),
    (("bars", "resample", "H4", "--bars", "nothing"), 3, "there is no bar set 'nothing'"),
    (("bars", "resample", "H7"), 2, "timeframe: 'H7' is unknown"),
    (("bars", "intrinsic", "renko", "5", "--out", "x.parquet"), 2, "kind: 'renko' is unknown; use one of tick, volume"),
    (("bars", "intrinsic", "tick", "5", "--out", "x.parquet"), 2, "was made of bars; tick bars need ticks"),
    (("bars", "intrinsic", "volume", "5000", "--out", "x.xlsx"), 2, "out: 'x.xlsx' ends in neither .parquet nor .csv"),
]


@pytest.mark.slow
def test_what_is_wrong_with_prices_is_said_in_a_sentence(sequence: Command) -> None:
    for done, (_, code, words) in zip(sequence.many(*(line for line, _, _ in REFUSED)), REFUSED, strict=True):
        refused(done, code, words)


@pytest.mark.slow
def test_without_bars_every_command_says_how_to_begin(tmp_path: Path) -> None:
    lines = [("bars", "resample", "H4"), ("quality",), ("quality", "check"), ("features", "describe"), ("dataset", "build")]
    for done in Command(tmp_path).many(*lines):
        refused(done, 3, "no bars are collected yet; begin with: sequence collect")
    empty = Command(tmp_path).many(("bars", "list"), ("bars", "series"), ("bars", "coverage"), ("dataset", "list"))
    assert ["; begin with: sequence" in done.stdout for done in empty] == [True] * 4


@pytest.mark.slow
@pytest.mark.usefixtures("control_c")
def test_a_collection_that_is_interrupted_ends_at_once_and_goes_on_next_time(home: Path, files: Path) -> None:
    """Control-C, as a terminal sends it."""
    environment = {**Command(home).environment, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "components", "import", str(files / "histdata")]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "reading" in line:
            process.send_signal(signal.SIGINT)
            break
    began = time.monotonic()
    out, err = process.communicate(timeout=30)
    assert time.monotonic() - began < 10
    assert process.returncode not in (0, -signal.SIGINT)
    assert (out, "Traceback" in err) == ("", False)
    done = Command(home).json("import", str(files / "histdata"))
    assert done["pieces"] == 2


@pytest.mark.slow
def test_a_real_year_is_imported_from_its_zip(home: Path, realdata: Path) -> None:
    path = realdata / "histdata" / "HISTDATA_COM_ASCII_EURUSD_M12018.zip"
    if not path.is_file():
        pytest.skip("the HistData year is not here")
    done = Command(home)("import", str(path), "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["symbol"], answer["rows"], answer["state"]) == ("EURUSD", 372_607, "trusted")
    assert answer["quality_score"] > 99
    assert "collect   0% reading EURUSD M1 from histdata" in done.stderr
    assert os.path.getsize(PipelineStore.open(home).bar_set(answer["bar_set_id"]).path) > 10_000_000
