"""Features of other symbols and timeframes: known from their own close on, never before; refused in words where they cannot be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from panel_world import HOUR_MS, world_bars, world_inputs

from components.features import FeatureInputs, check_causal, compute_features
from components.features.inputs import timeframe_of
from components.fx import BadInput, Timeframe, bar_close_ms, resample_bars, validate_bars

LONGER = ("H4.rsi_14", "D1.return_1", "W1.body_share", "H4.hour_sin")
THEIRS = ("GBPUSD.rsi_14", "USDJPY.return_1", "GBPUSD.H4.return_2", "EURJPY.D1.body_share")
CROSSES = ("GBPUSD.correlation_48", "USDJPY.H4.beta_20", "base_strength_24", "triangle_residual", "H4.cross_rank_12")
NEWS = ("base_tone", "quote_tone_z_24", "base_tone_change_24", "quote_news_volume", "base_news_hours")
ALL = (*LONGER, *THEIRS, *CROSSES, *NEWS, "H4.rsi_14.shift_3", "GBPUSD.rsi_14.shift_1", "base_tone.shift_2")


def values(names: tuple[str, ...] | list[str], inputs: FeatureInputs | None = None, bars: pd.DataFrame | None = None) -> pd.DataFrame:
    return compute_features(world_bars() if bars is None else bars, names, world_inputs() if inputs is None else inputs)


def closed_by(bars: pd.DataFrame, close_ms: int, timeframe: Timeframe) -> pd.DataFrame:
    """The bars that have closed at an instant."""
    return bars[bar_close_ms(bars.index.asi8, timeframe) <= close_ms]


def test_nothing_of_a_panel_looks_ahead_on_truncated_and_changed_futures() -> None:
    assert check_causal(lambda bars: values(ALL, bars=bars), world_bars(), cuts=[0, 1, 40, 431, 1_000, 1_298, 1_299]) == []


def test_nor_does_it_without_being_told_the_timeframe() -> None:
    assert check_causal(lambda bars: compute_features(bars, LONGER), world_bars().iloc[:400], cuts=12) == []


@pytest.mark.parametrize("cut", [250, 431, 777, 1_100])
def test_what_other_symbols_do_later_changes_nothing(cut: int) -> None:
    before, known_ms = values(ALL), int(world_bars().index.asi8[cut]) + HOUR_MS
    others = {}
    for symbol, bars in world_inputs().others.items():
        later = bars.index.asi8 + HOUR_MS > known_ms
        changed = bars.copy()
        changed.loc[later, ["open", "high", "low", "close"]] *= 1.3
        others[symbol] = changed if cut % 2 else changed[~later]
    after = values(ALL, replace(world_inputs(), others=others))
    pd.testing.assert_frame_equal(before.iloc[: cut + 1], after.iloc[: cut + 1], check_exact=True)
    assert not before.iloc[cut + 1 :].equals(after.iloc[cut + 1 :])


def test_a_longer_timeframe_is_that_of_its_newest_closed_bar() -> None:
    bars, found = world_bars(), values(LONGER)
    for row in (120, 345, 678, 1_040, 1_299):
        close_ms = int(bars.index.asi8[row]) + HOUR_MS
        for name in LONGER:
            length, stem = Timeframe[name[:2]], name[3:]
            longer = closed_by(resample_bars(bars.iloc[: row + 1], length, include_forming=True), close_ms, length)
            whole = longer.iloc[1:] if longer.index[0] != bars.index[0] else longer
            expected = compute_features(whole, [stem])[stem].iloc[-1] if len(whole) else np.nan
            np.testing.assert_equal(found[name].iloc[row], expected, err_msg=f"{name} at {row}")


def test_a_four_hour_bar_is_there_at_the_close_of_its_last_hour_and_not_before() -> None:
    opens = values(["H4.hour_sin", "H4.hour_cos"])
    of_bar = (np.arctan2(opens["H4.hour_sin"], opens["H4.hour_cos"]) % (2 * np.pi) / (2 * np.pi) * 24).round()
    day = of_bar.loc["2017-11-14"]
    # Winter: bars open at 22, 2, 6, 10, 14 and 18 UTC; the hour that opens at 5 closes at 6, when the bar of 2 to 6 is complete.
    assert day.iloc[4:7].tolist() == [22.0, 2.0, 2.0]


def test_another_symbol_is_that_of_its_newest_bar_closed_by_then() -> None:
    bars, found = world_bars(), values(THEIRS)
    for row in (120, 399, 777, 1_299):
        close_ms = int(bars.index.asi8[row]) + HOUR_MS
        for name in THEIRS:
            symbol, *length, stem = name.split(".")
            theirs = closed_by(world_inputs().others[symbol], close_ms, Timeframe.H1)
            if length:
                longer = resample_bars(theirs, Timeframe[length[0]], include_forming=True)
                longer = longer.iloc[1:] if longer.index[0] != theirs.index[0] else longer
                theirs = closed_by(longer, close_ms, Timeframe[length[0]])
            np.testing.assert_equal(found[name].iloc[row], compute_features(theirs, [stem])[stem].iloc[-1], err_msg=f"{name} at {row}")


def test_a_longer_bar_of_another_symbol_is_known_at_its_end_though_its_last_hour_is_missing_and_nothing_came_since() -> None:
    # In winter an H4 bar ends at 14:00 UTC; the pair has no bar from 13:00 on.
    theirs = world_inputs().others["EURJPY"]
    theirs = theirs[theirs.index < pd.Timestamp("2017-11-14 13:00", tz="UTC")]
    found = values(["EURJPY.H4.body_share"], replace(world_inputs(), others={"EURJPY": theirs}))["EURJPY.H4.body_share"]
    last = theirs.loc["2017-11-14 10:00":]
    share = (last["close"].iloc[-1] - last["open"].iloc[0]) / (last["high"].max() - last["low"].min())
    assert found.loc["2017-11-14 13:00"].item() == pytest.approx(share)
    assert found.loc["2017-11-14 12:00"].item() != pytest.approx(share)


def test_a_value_of_another_symbol_stands_for_twelve_bars_and_is_unknown_then() -> None:
    # The pairs have no bars from row 400 to 429.
    hole = values(["EURJPY.body_share", "EURJPY.correlation_5"]).iloc[395:440]
    known = hole["EURJPY.body_share"].notna().to_numpy()
    assert known[:17].all()
    assert not known[17:35].any(), "rows 412 to 429 come more than twelve bars after the last known close"
    assert known[35:].all()
    assert hole["EURJPY.correlation_5"].iloc[17:40].isna().all(), "a window with an unknown close is unknown"
    at_once = replace(world_inputs(), stale_bars=0)
    assert np.isnan(values(["EURJPY.body_share"], at_once).iloc[400].item())


def test_a_shift_counts_the_bars_at_hand() -> None:
    frame = values(["H4.rsi_14", "H4.rsi_14.shift_3", "GBPUSD.rsi_14", "GBPUSD.rsi_14.shift_3", "rsi_14", "rsi_14.shift_3"])
    for name in ("H4.rsi_14", "GBPUSD.rsi_14", "rsi_14"):
        np.testing.assert_array_equal(frame[f"{name}.shift_3"].iloc[3:], frame[name].iloc[:-3])
        assert frame[f"{name}.shift_3"].iloc[:3].isna().all()


def test_the_bars_own_symbol_and_timeframe_may_be_named() -> None:
    frame = values(["rsi_14", "H1.rsi_14", "EURUSD.rsi_14", "EURUSD.H1.rsi_14", "EURUSD.H4.rsi_14", "H4.rsi_14"])
    for name in ("H1.rsi_14", "EURUSD.rsi_14", "EURUSD.H1.rsi_14"):
        np.testing.assert_array_equal(frame[name], frame["rsi_14"])
    np.testing.assert_array_equal(frame["EURUSD.H4.rsi_14"], frame["H4.rsi_14"])


def test_columns_come_in_the_asked_order_beside_plain_ones() -> None:
    names = ["base_tone", "rsi_14", "H4.rsi_14", "gap", "GBPUSD.beta_120"]
    frame = values(names)
    assert list(frame.columns) == names
    np.testing.assert_array_equal(frame["rsi_14"], compute_features(world_bars(), ["rsi_14"])["rsi_14"])


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_few_bars_give_frames_of_their_length(rows: int) -> None:
    frame = values([name for name in ALL if "W1" not in name], bars=world_bars().iloc[:rows])
    assert frame.shape == (rows, len(ALL) - 1)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("M15.rsi_14", "bars are H1, and shorter ones cannot be made of them"),
        ("AUDUSD.rsi_14", "needs the bars of AUDUSD; given are those of EURGBP, EURJPY, GBPUSD, USDJPY"),
        ("correlation_48", "needs another symbol in front of it, as in GBPUSD.correlation_48"),
        ("EURUSD.correlation_48", "needs another symbol in front of it"),
        ("GBPUSD.base_strength_24", "leave GBPUSD out"),
        ("H4.base_tone", "ask for base_tone"),
        ("GBPUSD.base_tone", "ask for base_tone"),
        ("rsi_14.shift_-1", "is no feature's name"),
        ("GBPUSD.rsi", "takes 1 periods"),
    ],
)
def test_what_cannot_be_is_refused_in_words(name: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        values([name])


def test_what_is_not_given_is_asked_for() -> None:
    bars, given = world_bars(), world_inputs()
    for name, inputs, said in (
        ("base_tone", replace(given, news={}), "needs the news of EUR; given are those of no currency"),
        ("base_tone", replace(given, symbol=None), "give the symbol with the inputs"),
        ("base_strength_24", replace(given, others={}), "needs the bars of another pair with EUR or USD"),
        ("cross_rank_24", replace(given, others={}), "needs the bars of other symbols"),
        ("triangle_residual", replace(given, others={"GBPUSD": given.others["GBPUSD"]}), "two other pairs that lead from EUR to USD"),
        ("base_strength_24", replace(given, symbol="SP500"), "'SP500' is none"),
    ):
        with pytest.raises(BadInput, match=said):
            compute_features(bars, [name], inputs)


def test_bars_of_another_length_are_not_taken_for_those_of_another_symbol() -> None:
    daily = resample_bars(world_inputs().others["GBPUSD"], Timeframe.D1)
    with pytest.raises(BadInput, match="are D1 bars beside H1 ones"):
        values(["GBPUSD.rsi_14"], replace(world_inputs(), others={"GBPUSD": daily}))


def test_the_length_of_bars_is_read_off_their_times() -> None:
    for timeframe in Timeframe:
        if timeframe.value >= 60:
            assert timeframe_of(resample_bars(world_bars(), timeframe).index.asi8) is timeframe
    holes = world_bars().iloc[[0, 1, 5, 6, 30]]
    assert timeframe_of(holes.index.asi8) is Timeframe.H1


def test_inputs_that_make_no_sense_are_refused() -> None:
    with pytest.raises(BadInput, match="stale_bars"):
        FeatureInputs(stale_bars=-1)
    with pytest.raises(BadInput, match="stale_hours"):
        FeatureInputs(stale_hours=0)


def joined_by_open(bars: pd.DataFrame) -> pd.DataFrame:
    """The usual mistake: a longer bar is taken from its open on, with its final close."""
    longer = resample_bars(bars, Timeframe.H4, include_forming=True)
    return compute_features(longer, ["body_share"]).reindex(bars.index, method="ffill")


def test_the_check_finds_a_longer_bar_that_is_used_from_its_open_on() -> None:
    assert {leak.kind for leak in check_causal(joined_by_open, world_bars(), cuts=12)} == {"truncation", "perturbation"}


def broker_bars(folder: Path, symbol: str) -> pd.DataFrame:
    """Hours of a terminal whose midnight is 17:00 New York."""
    frame = pd.read_csv(folder / "broker_bars" / f"{symbol.lower()}_h1.csv.gz", parse_dates=["Date"])
    local = pd.DatetimeIndex(frame["Date"] - pd.Timedelta(hours=7))
    frame = frame.rename(columns=str.lower).drop(columns="date").set_axis(local.tz_localize("America/New_York", ambiguous="NaT", nonexistent="NaT"))
    return validate_bars(frame[frame.index.notna()])


def test_real_pairs_agree_with_their_triangle_and_move_together(realdata: Path) -> None:
    bars = {symbol: broker_bars(realdata, symbol) for symbol in ("EURJPY", "EURUSD", "USDJPY", "GBPJPY")}
    names = ["triangle_residual", "GBPJPY.correlation_48", "USDJPY.D1.correlation_20", "base_strength_24", "quote_strength_24"]
    frame = compute_features(bars["EURJPY"], names, FeatureInputs("EURJPY", {symbol: own for symbol, own in bars.items() if symbol != "EURJPY"}))
    assert len(frame) > 29_000
    assert frame.notna().mean().min() > 0.95
    assert frame["triangle_residual"].abs().median() < 1.0, "basis points"
    assert frame["triangle_residual"].abs().max() < 30.0
    assert 0.6 < frame["GBPJPY.correlation_48"].median() < 0.95
    assert frame["base_strength_24"].corr(-frame["quote_strength_24"]) > 0.5
