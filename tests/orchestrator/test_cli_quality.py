"""The commands about belief in prices, as processes: score, comparisons, clocks, quarantine, repairs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.fx import Timeframe
from components.pipeline import PipelineStore, fetch_bars
from tests.orchestrator.command import Command, refused
from tests.pipeline.lookalikes import bars_at, trading_ms

pytestmark = pytest.mark.slow


def written(path: Path, frame: pd.DataFrame) -> Path:
    """Bars as a plain CSV file with ISO times."""
    table = frame.reset_index(names="time")
    table.assign(time=table["time"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> tuple[Command, dict[str, str]]:
    """The sample, the half of it that is quarantined, a spiked copy, and a triangle; ids by name."""
    folder = tmp_path_factory.mktemp("quality")
    sequence = Command(folder / "output_central")
    raw = fetch_bars("sample", "EURUSD", Timeframe.H1)
    half = raw.iloc[np.sort(np.random.default_rng(1).choice(5000, 2500, replace=False))]
    spiked = raw.copy()
    spiked.iloc[[700, 2700], spiked.columns.get_loc("high")] = 1.6
    lines = {"sample": ("collect",)}
    for name, frame in (("half", half), ("spiked", spiked)):
        where = ("--as", "folder", "--symbol", "EURUSD", "--timeframe", "H1")
        # A series of its own each: what is read under one name belongs together.
        lines[name] = ("import", str(written(folder / f"{name}.csv", frame)), *where)
    rates = {"EURUSD": 1.1, "USDJPY": 1.3}
    frames = {}
    for seed, (symbol, start) in enumerate(rates.items()):
        bars = bars_at(trading_ms("2023-01-02", "2023-04-01", 60), start=start, seed=seed)
        frames[symbol] = pd.DataFrame({**bars.prices, "volume": bars.volume}, index=pd.DatetimeIndex(bars.utc_ms.view("M8[ms]")).tz_localize("UTC"))
    frames["USDJPY"][["open", "high", "low", "close"]] *= 100
    cross = frames["EURUSD"].copy()
    for name in ("open", "close"):
        cross[name] = frames["EURUSD"][name] * frames["USDJPY"][name]
    cross["high"], cross["low"] = cross[["open", "close"]].max(axis=1), cross[["open", "close"]].min(axis=1)
    for symbol, frame in {**frames, "EURJPY": cross.round(3)}.items():
        path = written(folder / f"{symbol}.csv", frame)
        bounds = ("--set", f"path={path}")
        lines[symbol] = ("collect", "--source", "folder", "--symbol", symbol, "--timeframe", "H1", *bounds)
    ids = {}
    for name, line in lines.items():
        if name == "spiked":  # the same series again, so that only the newer file stands
            (folder / "half.csv").unlink()
        ids[name] = str(sequence.answers(line)[0]["bar_set_id"])
    return sequence, ids


def test_a_score_is_told_with_its_parts_and_reasons(platform: tuple[Command, dict[str, str]]) -> None:
    sequence, ids = platform
    good, bad = sequence.answers(("quality", "show", ids["sample"]), ("quality", "show", ids["half"]))
    assert (good["id"], good["rows"], good["state"]) == (ids["sample"], 5000, "trusted")
    assert good["parts"]["score"] == good["score"]
    assert (bad["state"], bad["score"] < 80) == ("quarantined", True)
    text, newest = sequence.many(("quality", "show", ids["half"]), ("quality",))
    assert "quarantined" in text.stdout
    assert "why 1" in text.stdout
    assert "is below 80" in text.stdout
    assert "expected bars that are not there" in text.stdout
    assert newest.returncode == 0


def test_nothing_is_built_on_a_quarantined_set_until_a_person_releases_it_by_name_and_reason(
    platform: tuple[Command, dict[str, str]], tmp_path: Path
) -> None:
    sequence, ids = platform
    half = ids["half"]
    out = str(tmp_path / "x.csv")
    for done in sequence.many(
        ("dataset", "build", "--bars", half),
        ("bars", "resample", "D1", "--bars", half),
        ("bars", "intrinsic", "volume", "1000", "--bars", half, "--out", out),
        ("features", "compute", "--bars", half, "--out", out),
        ("backtest", "run", "sma_cross", "--bars", half),
    ):
        refused(done, 4, f"bar set {half} (EURUSD H1 of folder) is quarantined and nothing is built on it: the score")
    assert not Path(out).exists()
    nameless, why = sequence.many(("quality", "release", half, "--reason", " "), ("quality", "release", half))
    refused(nameless, 2, "reason: is missing; a change of state says who made it and why")
    assert (why.returncode, "--reason" in why.stderr) == (2, True)
    released, built, states = sequence.answers(
        ("quality", "release", half, "--reason", "only a try", "--by", "Anna"),
        ("bars", "resample", "D1", "--bars", half),
        ("quality", "states", half),
    )
    assert released["state"] == "released"
    assert built["state"] in ("trusted", "released")
    assert [(one["state"], one["by"], one["reason"]) for one in states[-1:]] == [("released", "Anna", "only a try")]
    back, again = sequence.answers(("quality", "quarantine", half, "--reason", "no more"), ("quality", "check", half))
    assert (back["state"], again["state"]) == ("quarantined", "quarantined")
    (unchanged,) = sequence.many(("quality", "states", ids["USDJPY"]))
    assert "Its state was never changed." in unchanged.stdout


def test_repairs_are_proposed_made_and_flagged_and_the_original_stays(platform: tuple[Command, dict[str, str]]) -> None:
    sequence, ids = platform
    proposals, made = sequence.answers(
        ("quality", "proposals", ids["spiked"]), ("quality", "repair", "cut_spikes", "--bars", ids["spiked"], "--by", "Anna")
    )
    spikes = next(one for one in proposals if one["kind"] == "cut_spikes")
    assert spikes["rows"] >= 2
    assert (made["made_by"]["kind"], made["made_by"]["by"], made["made_by"]["repaired_rows"]) == ("repaired", "Anna", spikes["rows"])
    store = PipelineStore.open(sequence.home)
    bars, before = store.load_bars(made["bar_set_id"]), store.load_bars(ids["spiked"])
    assert (bars["repair"] != 0).sum() == spikes["rows"]
    assert bars["high"].max() < 1.6 == before["high"].max()
    nothing, unknown, none = sequence.many(
        ("quality", "proposals", ids["EURJPY"]),
        ("quality", "repair", "polish", "--bars", ids["spiked"]),
        ("quality", "repair", "fill_gaps", "--bars", ids["EURJPY"]),
    )
    assert nothing.returncode == 0
    refused(unknown, 2, "kinds: 'polish' is no repair; known are sort, drop_duplicates")
    refused(none, 2, "fill_gaps would change nothing in")


def test_sources_and_crosses_are_compared(platform: tuple[Command, dict[str, str]]) -> None:
    sequence, ids = platform
    cross, triangle, checked = sequence.answers(
        ("quality", "cross", ids["sample"], ids["spiked"]),
        ("quality", "triangle", ids["EURJPY"], ids["EURUSD"], ids["USDJPY"]),
        ("quality", "check", ids["EURJPY"]),
    )
    assert (cross["kind"], cross["unit"], cross["shift_minutes"], cross["overlap"]) == ("sources", "pips", 0, 5000)
    assert (triangle["kind"], triangle["unit"], triangle["shift_minutes"]) == ("triangle", "bp", 0)
    assert triangle["typical"] < 1
    assert any(words.startswith("EURJPY against EURUSD and USDJPY") or "EURJPY" in words for words in checked["checks"])
    apart, text = sequence.many(("quality", "cross", ids["sample"], ids["EURUSD"]), ("quality", "show", ids["EURJPY"]))
    refused(apart, 2, "overlap") if "overlap" in apart.stderr else refused(apart, 2, "common")
    assert "compared" in text.stdout


def test_a_clock_is_told_where_one_was_inferred(platform: tuple[Command, dict[str, str]]) -> None:
    sequence, ids = platform
    utc, nobody = sequence.many(("quality", "clock", ids["sample"]), ("quality", "clock", ids["sample"], "--account", "a-1"))
    assert "Its times came in UTC: there was no clock to infer." in utc.stdout
    refused(nobody, 3, "no terminal of account 'a-1' has told its clock yet")


def test_unknown_sets_are_not_found_by_any_of_them(platform: tuple[Command, dict[str, str]]) -> None:
    sequence, ids = platform
    lines = [
        ("quality", "show", "nothing"),
        ("quality", "check", "nothing"),
        ("quality", "cross", ids["sample"], "nothing"),
        ("quality", "triangle", "nothing", ids["sample"], ids["half"]),
        ("quality", "clock", "nothing"),
        ("quality", "quarantine", "nothing", "--reason", "x"),
        ("quality", "release", "nothing", "--reason", "x"),
        ("quality", "states", "nothing"),
        ("quality", "proposals", "nothing"),
        ("quality", "repair", "fill_gaps", "--bars", "nothing"),
    ]
    for done in sequence.many(*lines):
        refused(done, 3, "there is no bar set 'nothing'")


def test_work_on_quality_can_wait_for_a_worker(platform: tuple[Command, dict[str, str]]) -> None:
    sequence, ids = platform
    check, repair = sequence.answers(
        ("quality", "check", ids["sample"], "--queue"), ("quality", "repair", "fill_gaps", "--bars", ids["sample"], "--by", "Anna", "--queue")
    )
    assert (check["kind"], check["state"], check["payload"]) == ("cross_check", "queued", {"bar_set_id": ids["sample"]})
    assert repair["payload"] == {"bar_set_id": ids["sample"], "kinds": ["fill_gaps"], "by": "Anna"}
    (wrong,) = sequence.many(("quality", "repair", "polish", "--bars", ids["sample"], "--queue"))
    refused(wrong, 2, "kinds: 'polish' is no repair")
    assert json.loads(json.dumps(check)) == check
