"""The commands about features, as processes: catalogue, expansion, values, distribution, correlation, look-ahead."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from components.features import DEFAULT_FEATURES, FeatureInputs, catalogue, compute_features
from components.fx import Timeframe
from components.pipeline import PipelineStore, news_frame
from tests.orchestrator.command import Command, refused
from tests.pipeline.lookalike_news import keep_tone
from tests.pipeline.lookalikes import bars_at, ms, trading_ms

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> tuple[Command, str, str]:
    """The sample, hourly GBPUSD of the same time, and news of a few days; the ids of both bar sets."""
    folder = tmp_path_factory.mktemp("features")
    sequence = Command(folder / "output_central")
    bars = bars_at(trading_ms("2017-04-02T21:00", "2018-03-01", 60), start=1.3, seed=4)
    frame = pd.DataFrame({"time": bars.utc_ms, **bars.prices, "volume": bars.volume})
    frame.to_csv(folder / "pound.csv", index=False)
    pound = ("import", str(folder / "pound.csv"), "--as", "folder", "--symbol", "GBPUSD", "--timeframe", "H1", "--set", "time_format=ms")
    other, own = sequence.answers(pound, ("collect",))
    keep_tone(sequence.home, "USD", ms("2018-01-02"), 400)
    return sequence, own["bar_set_id"], other["bar_set_id"]


def test_the_catalogue_is_listed_by_family_with_warm_up_and_range(platform: tuple[Command, str, str]) -> None:
    sequence, _, _ = platform
    every, trend = sequence.answers(("features", "list"), ("features", "list", "--family", "trend"))
    assert len(every) == len(catalogue()) >= 80
    assert set(every[0]) == {"name", "family", "warmup_bars", "low", "high", "source", "formula"}
    assert {one["family"] for one in trend} == {"trend"}
    (wrong,) = sequence.many(("features", "list", "--family", "moon"))
    refused(wrong, 2, "family: 'moon' is unknown; use one of return,")


def test_a_recipe_stands_for_many_names(platform: tuple[Command, str, str]) -> None:
    sequence, _, _ = platform
    line = ("features", "expand", "--set", 'formulas=["rsi","return"]', "--set", 'periods={"rsi":[7,14]}', "--set", 'timeframes=["own","H4"]')
    (names,) = sequence.answers((*line, "--set", "shifts=[0,2]"))
    assert [one["name"] for one in names][:4] == ["rsi_7", "rsi_7.shift_2", "rsi_14", "rsi_14.shift_2"]
    assert len(names) == 12
    ahead, unknown, none = sequence.many(
        (*line, "--set", "shifts=[-1]"), ("features", "expand", "--set", 'formulas=["magic"]'), ("features", "expand", "--set", "formulas=[]")
    )
    refused(ahead, 2, "shifts: -1 is not between 0 and 5000; a value of a later bar is not known yet")
    refused(unknown, 2, "formulas: 'magic' is no formula of the catalogue")
    refused(none, 2, "formulas")


def test_values_are_written_as_the_engine_computes_them(platform: tuple[Command, str, str], tmp_path: Path) -> None:
    sequence, own, other = platform
    wanted = ("rsi_7", "H4.rsi_14.shift_1", "GBPUSD.return_1", "quote_tone")
    names = [part for name in wanted for part in ("--feature", name)]
    path = tmp_path / "deep" / "some.parquet"
    answers = sequence.answers(
        ("features", "compute", "--bars", own, "--out", str(tmp_path / "default.csv")),
        ("features", "compute", "--bars", own, "--out", str(path), "--other", other, "--news", "USD", *names),
    )
    assert answers[0] == {"bar_set_id": own, "rows": 5000, "features": len(DEFAULT_FEATURES), "path": str(tmp_path / "default.csv")}
    store = PipelineStore.open(sequence.home)
    inputs = FeatureInputs("EURUSD", {"GBPUSD": store.load_bars(other)}, {"USD": news_frame(sequence.home, "USD")}, Timeframe.H1)
    expected = compute_features(store.load_bars(own), wanted, inputs)
    pd.testing.assert_frame_equal(pd.read_parquet(path), expected, check_freq=False)
    assert expected.notna().any().all()
    assert list(pd.read_csv(tmp_path / "default.csv", nrows=1).columns) == ["open_time", *DEFAULT_FEATURES]


def test_distributions_and_correlations_are_told(platform: tuple[Command, str, str]) -> None:
    sequence, own, _ = platform
    some = ("--bars", own, "--feature", "rsi_14", "--feature", "return_1", "--feature", "ema_distance")
    described, pairs, strong = sequence.answers(
        ("features", "describe", *some), ("features", "correlations", *some), ("features", "correlations", *some, "--least", "0.8")
    )
    values = compute_features(PipelineStore.open(sequence.home).load_bars(own), ("rsi_14", "return_1", "ema_distance"))
    assert [one["feature"] for one in described] == ["rsi_14", "return_1", "ema_distance"]
    assert described[1]["known"] == 4999
    assert described[1]["mean"] == pytest.approx(values["return_1"].mean(), rel=1e-12)
    assert described[1]["deviation"] == pytest.approx(values["return_1"].std(), rel=1e-12)
    assert (pairs[0]["feature"], pairs[0]["other"]) == ("rsi_14", "ema_distance")
    assert pairs[0]["correlation"] == pytest.approx(values["rsi_14"].corr(values["ema_distance"]), rel=1e-9)
    assert [abs(one["correlation"]) for one in pairs] == sorted((abs(one["correlation"]) for one in pairs), reverse=True)
    assert (len(pairs), len(strong)) == (3, 1)


def test_the_look_ahead_check_finds_nothing_and_can_be_queued(platform: tuple[Command, str, str]) -> None:
    sequence, own, _ = platform
    some = ("--bars", own, "--feature", "rsi_14", "--feature", "H4.atr_ratio_14", "--rows", "400")
    (done,) = sequence.many(("features", "check", *some, "--json"))
    assert json.loads(done.stdout) == {"checked": 2, "bars": 400, "leaks": []}
    assert "checking H4.atr_ratio_14, 0 leaks so far" in done.stderr
    (job,) = sequence.answers(("features", "check", *some, "--queue"))
    assert (job["kind"], job["payload"]) == ("check_features", {"bar_set_id": own, "features": ["rsi_14", "H4.atr_ratio_14"], "rows": 400})


def test_what_is_wrong_with_features_is_said_in_a_sentence(platform: tuple[Command, str, str], tmp_path: Path) -> None:
    sequence, own, other = platform
    out = ("--out", str(tmp_path / "x.parquet"))
    cases = [
        (("features", "compute", "--out", str(tmp_path / "x.xlsx")), 2, "out: 'x.xlsx' ends in neither .parquet nor .csv"),
        (("features", "compute", "--bars", "nothing", *out), 3, "there is no bar set 'nothing'"),
        (("features", "compute", "--bars", own, "--feature", "magic_3", *out), 2, "magic_3"),
        (("features", "compute", "--bars", own, "--feature", "GBPUSD.return_1", *out), 2, "needs the bars of GBPUSD; given are those of none"),
        (("features", "compute", "--bars", own, "--feature", "quote_tone", *out), 2, "news"),
        (("features", "compute", "--bars", own, "--news", "JPY", *out), 3, "there is no news of 'JPY' kept"),
        (("features", "describe", "--bars", own, "--other", "nothing"), 3, "there is no bar set 'nothing'"),
        (("features", "correlations", "--bars", own, "--least", "2"), 2, "--least"),
        (("features", "check", "--bars", own, "--rows", "10"), 2, "--rows"),
        (("features", "check", "--bars", own, "--feature", "magic_3", "--queue"), 2, "magic_3"),
        (("features", "check", "--bars", "nothing"), 3, "there is no bar set 'nothing'"),
    ]
    for done, (_, code, words) in zip(sequence.many(*(line for line, _, _ in cases)), cases, strict=True):
        refused(done, code, words)
    assert other
