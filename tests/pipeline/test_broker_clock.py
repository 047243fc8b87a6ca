"""The broker's clock from bars alone: look-alikes of every rule, real files, and second sources that say the same."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.fx import BadInput, BrokerDay, Timeframe, bar_open_ms, resample_bars
from components.pipeline.broker_clock import BrokerClock, Era, compare_clocks, confirm_clock, detect_day, infer_clock

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


def ms(text: str) -> int:
    """Epoch milliseconds of a wall clock time, read as if it were UTC."""
    return int(np.datetime64(text, "ms").astype(np.int64))


def market(first: str, last: str, timeframe: Timeframe, *, opens_late: bool = False) -> pd.DatetimeIndex:
    """UTC times of the bars of a market that is open from Sunday to Friday at five in New York; a late one rests from five to six daily."""
    grid = pd.date_range(first, last, freq=f"{min(timeframe.value, 60)}min", tz="UTC", inclusive="left")
    local = grid.tz_convert("America/New_York").tz_localize(None)
    shifted = local + pd.Timedelta(hours=7)
    is_open = (shifted.day_of_week < 5) & ~((shifted.month == 12) & (shifted.day == 25))
    return grid[is_open & ~((local.hour == 17) & opens_late)]


def shown(utc: pd.DatetimeIndex, rule: str, winter_minutes: int) -> np.ndarray:
    """What a broker's clock shows, worked out with a zone that has the rule."""
    zone, own = {"us": ("America/New_York", -300), "eu": ("Europe/Helsinki", 120), "none": ("UTC", 0)}[rule]
    wall = utc.tz_convert(zone).tz_localize(None) + pd.Timedelta(minutes=winter_minutes - own)
    return wall.as_unit("ms").asi8.copy()


CLOCKS = [
    ("us", 120),
    ("us", -300),
    ("eu", 120),
    ("eu", 0),
    ("eu", -300),
    ("none", 0),
    ("none", 180),
    ("none", -300),
    ("none", 330),
    ("us", 600),
    ("us", -480),
]


@pytest.mark.parametrize(
    ("timeframe", "rule", "winter"),
    [(timeframe, *clock) for timeframe in (Timeframe.M5, Timeframe.H1) for clock in CLOCKS if timeframe is Timeframe.M5 or clock[1] % 60 == 0],
)
def test_two_years_tell_the_rule_and_the_offset(timeframe: Timeframe, rule: str, winter: int) -> None:
    utc = market("2021-01-01", "2023-01-01", timeframe)
    clock = infer_clock(shown(utc, rule, winter), timeframe.ms)
    assert (clock.rule, clock.offset_winter_minutes) == (rule, winter)
    assert clock.confidence > 0.9
    assert clock.is_settled
    assert not clock.is_ambiguous
    assert (clock.to_utc(shown(utc, rule, winter)) == utc.as_unit("ms").asi8).all()


@pytest.mark.parametrize(("rule", "winter"), CLOCKS)
def test_metals_open_an_hour_late_and_give_the_same_clock(rule: str, winter: int) -> None:
    utc = market("2022-01-01", "2023-02-01", Timeframe.M15, opens_late=True)
    clock = infer_clock(shown(utc, rule, winter), Timeframe.M15.ms)
    assert (clock.rule, clock.offset_winter_minutes, clock.opens_late_minutes) == (rule, winter, 60)


def test_a_market_that_closes_an_hour_early_is_not_taken_for_one_that_opens_late() -> None:
    utc = market("2022-01-01", "2023-02-01", Timeframe.M15)
    local = utc.tz_convert("America/New_York")
    clock = infer_clock(shown(utc[~((local.day_of_week == 4) & (local.hour == 16))], "us", 120), Timeframe.M15.ms)
    assert clock.opens_late_minutes == 0
    assert not clock.is_settled  # either the close is early, or another clock hides Sunday's bars: that one edge cannot say


def test_quiet_openings_early_closes_and_a_stray_quote_do_not_matter() -> None:
    utc = market("2022-01-01", "2023-02-01", Timeframe.M1)
    local = utc.tz_convert("America/New_York")
    random = np.random.default_rng(3)
    late_by = random.integers(0, 15, 600)[utc.isocalendar().week.to_numpy() * 2]
    keep = ~((local.day_of_week == 6) & (local.hour == 17) & (local.minute < late_by))
    keep &= ~((local.day_of_week == 4) & (local.hour == 16) & (local.minute > 52))
    raw = np.sort(np.append(shown(utc[keep], "eu", 120), [ms("2022-05-14T13:00"), ms("2022-08-20T02:11"), ms("2022-10-21T23:58")]))
    clock = infer_clock(raw, MINUTE)
    assert (clock.rule, clock.offset_winter_minutes) == ("eu", 120)
    assert clock.weeks - 3 <= clock.explained_weeks


def test_a_server_that_hides_sunday_still_shows_european_dates_by_its_closes() -> None:
    utc = market("2022-01-01", "2023-02-01", Timeframe.H1)
    raw = shown(utc, "eu", 120)
    raw = raw[(raw // DAY + 3) % 7 < 5]  # in the weeks between, the market opens on Sunday at 23:00 of this clock
    clock = infer_clock(raw, HOUR)
    assert (clock.rule, clock.offset_winter_minutes) == ("eu", 120)
    american = infer_clock(shown(utc, "us", 120), HOUR)
    assert (american.rule, american.offset_winter_minutes) == ("us", 120)


def test_a_file_without_a_separating_week_says_that_the_rule_is_open_and_the_times_are_not() -> None:
    utc = market("2022-06-01", "2022-08-01", Timeframe.M15)
    clock = infer_clock(shown(utc, "eu", 120), Timeframe.M15.ms)
    assert clock.is_ambiguous
    assert clock.is_settled
    assert {(other.rule, other.winter_minutes) for other in clock.alternatives} == {("eu", 120), ("none", 180)}
    assert all(other.is_same_here for other in clock.alternatives)
    assert (clock.to_utc(shown(utc, "eu", 120)) == utc.as_unit("ms").asi8).all()
    assert "2 others give these bars the same times" in str(clock)


def test_confidence_grows_with_the_weekends_that_decide() -> None:
    lengths = ["2022-03-14", "2022-03-21", "2022-03-28", "2022-12-31"]
    sure = [infer_clock(shown(market("2022-02-10", last, Timeframe.M15), "us", 120), Timeframe.M15.ms).confidence for last in lengths]
    assert sure == sorted(sure)
    assert sure[-1] > 0.85
    one = infer_clock(shown(market("2022-06-01", "2022-06-08", Timeframe.M15), "us", 120), Timeframe.M15.ms)
    assert (one.weeks, one.separating_weeks, one.confidence) == (1, 1, 0.5)


@pytest.mark.parametrize("timeframe", [Timeframe.H4, Timeframe.D1])
def test_long_bars_leave_the_clock_open(timeframe: Timeframe) -> None:
    raw = shown(market("2020-01-01", "2023-01-01", Timeframe.H1), "eu", 120)
    raw = raw[(raw // DAY + 3) % 7 < 5]
    raw = np.unique(raw - raw % timeframe.ms)
    clock = infer_clock(raw, timeframe.ms)
    assert clock.confidence == 0.0
    assert clock.is_ambiguous
    assert not clock.is_settled
    assert {("eu", 120), ("none", 120)} <= {(other.rule, other.winter_minutes) for other in clock.alternatives}
    assert "not certain" in str(clock)


def test_bars_without_a_weekend_are_unknown_and_say_so() -> None:
    clock = infer_clock(ms("2022-06-06") + MINUTE * np.arange(2_000), MINUTE)
    assert (clock.weeks, clock.confidence, clock.is_settled, clock.is_ambiguous) == (0, 0.0, False, True)
    assert "no weekend" in str(clock)
    always_open = infer_clock(ms("2022-06-06") + HOUR * np.arange(5_000), HOUR)
    assert always_open.confidence == 0.0
    for wrong in ([], [1.5]):
        with pytest.raises(BadInput, match="raw_open_ms"):
            infer_clock(wrong, HOUR)


def test_a_broker_that_moves_its_servers_gets_two_eras() -> None:
    first, then = market("2020-01-01", "2021-06-06 12:00", Timeframe.M15), market("2021-06-06 12:00", "2023-01-01", Timeframe.M15)
    for before, after in ([("none", 0), ("us", 120)], [("us", 120), ("none", 0)], [("us", 120), ("eu", 60)], [("eu", 0), ("us", -300)]):
        raw = np.concatenate((shown(first, *before), shown(then, *after)))
        clock = infer_clock(raw, Timeframe.M15.ms)
        assert [(era.rule, era.winter_minutes) for era in clock.eras] == [before, after]
        assert clock.confidence > 0.85
        assert (clock.to_utc(raw) == np.concatenate((first.as_unit("ms").asi8, then.as_unit("ms").asi8))).all()
    first, then = market("2020-01-01", "2021-06-02", Timeframe.M15), market("2021-06-02", "2023-01-01", Timeframe.M15)
    raw = np.concatenate((shown(first, "none", 0), shown(then, "us", 120)))
    wrong = infer_clock(raw, Timeframe.M15.ms).to_utc(raw) != np.concatenate((first.as_unit("ms").asi8, then.as_unit("ms").asi8))
    assert 0 < wrong.sum() < 5 * 96  # within the week of the change the bars cannot say when it was
    years = [market(f"{year}-01-01", f"{year + 1}-01-01", Timeframe.M15) for year in (2018, 2019)]
    both = infer_clock(np.concatenate((shown(years[0], "us", -300), shown(years[1], "eu", -300))), Timeframe.M15.ms)
    assert [era.rule for era in both.eras] == ["us", "eu"]


def test_the_hour_shown_twice_is_resolved_by_the_order_of_the_file() -> None:
    utc = pd.date_range("2021-10-28", "2022-11-08", freq="10min", tz="UTC")  # a market that never closes, and two autumns
    for rule, winter in (("eu", 120), ("us", -300)):
        raw = shown(utc, rule, winter)
        assert (np.diff(raw) < 0).sum() == 2
        clock = BrokerClock.named(rule, winter)  # type: ignore[arg-type]
        assert (clock.to_utc(raw) == utc.as_unit("ms").asi8).all()
        assert (clock.offset_minutes(raw)[[0, -1]] == [winter + 60, winter]).all()
        assert (clock.to_utc(raw[: len(raw) // 2]) == utc.as_unit("ms").asi8[: len(raw) // 2]).all()
        once = raw[np.concatenate(([True], np.diff(np.maximum.accumulate(raw)) > 0))]
        found = clock.to_utc(once)  # a file that shows the hour once has the first time round
        assert (np.diff(found) > 0).all()
        assert len(np.intersect1d(found, utc.as_unit("ms").asi8)) == len(found)


def test_spring_leaves_out_an_hour_and_nothing_else() -> None:
    utc = pd.date_range("2022-03-11", "2022-03-29", freq="10min", tz="UTC")
    for rule, winter in (("eu", 120), ("us", -300)):
        assert (BrokerClock.named(rule, winter).to_utc(shown(utc, rule, winter)) == utc.as_unit("ms").asi8).all()  # type: ignore[arg-type]


def test_a_time_that_the_clock_never_showed_is_read_as_winter() -> None:
    shown_never = [ms("2022-03-27T03:30"), ms("2022-03-27T04:00")]
    assert (BrokerClock.named("eu", 120).to_utc(shown_never) == [ms("2022-03-27T01:30"), ms("2022-03-27T01:00")]).all()


def test_a_clock_is_the_same_after_a_round_through_json() -> None:
    utc = market("2021-01-01", "2022-01-01", Timeframe.M15)
    clock = infer_clock(shown(utc, "eu", 120), Timeframe.M15.ms)
    stored = json.loads(json.dumps(clock.as_dict()))
    assert BrokerClock.from_dict(stored) == clock
    assert (stored["rule"], stored["offset_winter_minutes"], stored["offset_summer_minutes"], stored["version"]) == ("eu", 120, 180, 1)
    assert "European dates" in stored["words"]
    assert [minutes for _, minutes in clock.segments] == [120, 180, 120]
    assert [np.datetime64(at, "ms").astype("datetime64[h]") for at, _ in clock.segments[1:]] == [
        np.datetime64("2021-03-28T04"), np.datetime64("2021-10-31T03"),
    ]  # fmt: skip
    for broken in (
        {},
        {**stored, "eras": []},
        {**stored, "eras": [[0, "mars", 0]]},
        {**stored, "confidence": None},
        {**stored, "eras": [[0, "us", 9_000]]},
    ):
        with pytest.raises(BadInput, match="clock"):
            BrokerClock.from_dict(broken)


def test_a_terminal_that_tells_its_clock_is_compared_in_words() -> None:
    summer, between = ms("2022-07-01"), ms("2022-03-20")
    clock = BrokerClock.named("us", 120)
    agreed = compare_clocks(clock, 3 * HOUR + 1_400, summer)  # a clock that runs a second fast
    assert agreed.agrees
    assert "agree: UTC+3" in agreed.words
    differs = compare_clocks(clock, 2 * HOUR, between)
    assert (differs.agrees, differs.inferred_minutes, differs.told_minutes) == (False, 180, 120)
    assert "60 minutes apart" in differs.words
    open_rule = infer_clock(shown(market("2022-06-01", "2022-08-01", Timeframe.M15), "eu", 120), Timeframe.M15.ms)
    assert "the bars would also allow UTC+2 eu" in compare_clocks(open_rule, 2 * HOUR, between).words
    eras = BrokerClock((Era(0, "none", 0), Era(ms("2022-05-01"), "us", 120)))
    assert [eras.offset_minutes_at(at) for at in (between, summer)] == [0, 180]


def walk(index: pd.DatetimeIndex, seed: int = 5) -> pd.DataFrame:
    """A price on a random walk at the given times."""
    close = 1.1 + np.cumsum(np.random.default_rng(seed).normal(0, 2, len(index))) / 10_000
    return pd.DataFrame({"open": close, "high": close, "low": close, "close": close, "volume": 1.0}, index=index)


def test_a_second_source_confirms_the_right_rule_and_finds_the_season_of_a_wrong_one() -> None:
    truth = walk(market("2022-01-01", "2023-01-01", Timeframe.H1))
    raw = shown(pd.DatetimeIndex(truth.index), "eu", 120)
    noisy = truth + np.random.default_rng(1).normal(0, 1, truth.shape) / 100_000

    def read(rule: str, winter: int) -> pd.DataFrame:
        utc = BrokerClock.named(rule, winter).to_utc(raw)  # type: ignore[arg-type]
        frame = noisy.set_axis(pd.DatetimeIndex(pd.to_datetime(utc, unit="ms", utc=True)))
        return frame[np.concatenate(([True], np.diff(utc) > 0))]

    right = confirm_clock(read("eu", 120), truth)
    assert right.is_confirmed
    assert {season.season for season in right.seasons} == {"winter", "summer", "between"}
    assert str(right).startswith("confirmed over")
    american = confirm_clock(read("us", 120), truth)
    assert not american.is_confirmed
    assert {season.season: season.shift_hours_best for season in american.seasons} == {"winter": 0, "summer": 0, "between": 1}
    assert american.shift_hours_best == 0  # over everything it would have looked right
    assert confirm_clock(read("eu", 360), truth).shift_hours_best == 4
    assert "between +1 h fits best" in str(american)


def test_bars_of_four_hours_are_confirmed_against_hours_and_not_against_each_other() -> None:
    truth = walk(market("2022-01-01", "2023-01-01", Timeframe.H1))
    fours = resample_bars(truth, Timeframe.H4)
    assert confirm_clock(fours, truth).is_confirmed
    alone = confirm_clock(fours, fours)
    assert not alone.is_confirmed
    assert "an hour would not show" in str(alone)
    with pytest.raises(BadInput, match="fewer than 12"):
        confirm_clock(truth.iloc[:5], truth)


@pytest.mark.parametrize(
    "day", [BrokerDay(), BrokerDay("Europe/London", 0), BrokerDay("UTC", 0), BrokerDay("Europe/Helsinki", 0), BrokerDay("Etc/GMT-3", 0)]
)
@pytest.mark.parametrize("timeframe", [Timeframe.H4, Timeframe.D1, Timeframe.W1])
def test_the_day_with_which_bars_open_is_found(timeframe: Timeframe, day: BrokerDay) -> None:
    hours = market("2021-01-01", "2023-01-01", Timeframe.H1).as_unit("ms").asi8
    assert detect_day(np.unique(bar_open_ms(hours, timeframe, day)), timeframe) == day
    if timeframe is Timeframe.D1:
        summer = hours[(hours > ms("2021-06-01")) & (hours < ms("2021-09-01"))]
        found = detect_day(np.unique(bar_open_ms(summer, timeframe, day)), timeframe)
        assert Timeframe.D1.is_aligned(bar_open_ms(summer, timeframe, day), found).all()


def test_weeks_that_metatrader_labels_by_sunday_midnight_belong_to_their_day() -> None:
    days = np.unique(bar_open_ms(market("2021-01-01", "2023-01-01", Timeframe.H1).as_unit("ms").asi8, Timeframe.D1))
    sundays = np.unique(bar_open_ms(days, Timeframe.W1)) - DAY  # 17:00 New York on Saturday, but for the weekends of a clock change
    assert detect_day(bar_open_ms(sundays + HOUR, Timeframe.D1), Timeframe.W1) == BrokerDay()


def test_bars_that_open_with_no_day_are_refused() -> None:
    with pytest.raises(BadInput, match="UTC grid"):
        detect_day([0], Timeframe.H1)
    with pytest.raises(BadInput, match="no bars"):
        detect_day([], Timeframe.D1)
    with pytest.raises(BadInput, match="no day fits"):
        detect_day(ms("2022-01-03") + DAY * np.arange(50) + HOUR * (np.arange(50) % 2), Timeframe.D1)


# -- real files ----------------------------------------------------------------------------------------------------------------------------


def histdata(folder: Path, name: str) -> tuple[np.ndarray, pd.DataFrame]:
    """Raw times and prices of a HistData file."""
    path = folder / "histdata" / name
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            content = archive.read(next(member for member in archive.namelist() if member.endswith(".csv")))
    else:
        content = path.read_bytes()
    is_mt = "_MT_" in name
    table = pd.read_csv(io.BytesIO(content), header=None, sep="," if is_mt else ";")
    stamps = table[0] + " " + table[1] if is_mt else table[0]
    times = pd.to_datetime(stamps, format="%Y.%m.%d %H:%M" if is_mt else "%Y%m%d %H%M%S")
    return _raw(times), table.iloc[:, -5:].set_axis(["open", "high", "low", "close", "volume"], axis=1)


def broker(folder: Path, name: str) -> tuple[np.ndarray, pd.DataFrame]:
    """Raw times and prices of the broker's bars."""
    with gzip.open(folder / "broker_bars" / f"{name}.csv.gz") as file:
        table = pd.read_csv(file)
    return _raw(pd.to_datetime(table["Date"])), table.iloc[:, 1:].rename(columns=str.lower)


def exported(folder: Path, name: str) -> np.ndarray:
    """Raw times of bars that MetaTrader exported."""
    table = pd.read_csv(folder / "mt5_bars_csv" / name, sep="\t")
    return _raw(pd.to_datetime(table["<DATE>"] + " " + table["<TIME>"] if "<TIME>" in table else table["<DATE>"]))


def _raw(times: pd.Series) -> np.ndarray:
    return times.to_numpy().astype("datetime64[ms]").astype(np.int64)


def in_utc(raw: np.ndarray, prices: pd.DataFrame, clock: BrokerClock) -> pd.DataFrame:
    """Prices by UTC, an hour that is there twice taken once."""
    frame = prices.astype(float).set_axis(pd.DatetimeIndex(pd.to_datetime(clock.to_utc(raw), unit="ms", utc=True)))
    return frame[~frame.index.duplicated()]


@pytest.mark.parametrize(
    ("name", "rule", "weeks", "is_ambiguous"),
    [
        ("HISTDATA_COM_ASCII_EURUSD_M12018.zip", "us", 52, False),
        ("HISTDATA_COM_ASCII_GBPUSD_M12018.zip", "us", 52, False),
        ("HISTDATA_COM_ASCII_USDJPY_M12018.zip", "us", 52, False),
        ("HISTDATA_COM_ASCII_XAUUSD_M12018.zip", "us", 50, False),
        ("HISTDATA_COM_ASCII_EURUSD_M12019.zip", "eu", 51, False),
        ("DAT_ASCII_EURUSD_M1_201703.csv", "us", 4, False),
        ("DAT_ASCII_EURUSD_M1_202103.csv", "eu", 4, False),
        ("DAT_ASCII_EURUSD_M1_202503.csv", "eu", 4, False),
        ("DAT_MT_EURCHF_M1_202501.csv", "us", 4, True),
    ],
)
def test_histdata_is_new_york_in_some_years_and_european_dates_in_others(
    realdata: Path, name: str, rule: str, weeks: int, is_ambiguous: bool
) -> None:
    clock = infer_clock(histdata(realdata, name)[0], MINUTE)
    assert (clock.rule, clock.offset_winter_minutes, clock.explained_weeks) == (rule, -300, weeks)
    assert (clock.is_ambiguous, clock.is_settled) == (is_ambiguous, True)
    assert clock.opens_late_minutes == (60 if "XAU" in name else 0)


def test_the_hour_that_histdata_has_twice_in_2019_is_one_hour_written_twice(realdata: Path) -> None:
    raw, prices = histdata(realdata, "HISTDATA_COM_ASCII_EURUSD_M12019.zip")
    back = np.flatnonzero(np.diff(raw) < 0)
    assert len(back) == 1
    utc = infer_clock(raw, MINUTE).to_utc(raw)
    twice = np.flatnonzero(np.diff(np.maximum.accumulate(utc)) == 0) + 1
    assert len(twice) == 60
    for row in twice:
        first = int(np.flatnonzero(utc[: back[0] + 1] == utc[row])[0])
        assert (prices.iloc[row].to_numpy() == prices.iloc[first].to_numpy()).all()
    spring = raw[(raw > ms("2019-03-31T17:00")) & (raw < ms("2019-03-31T21:00"))]
    assert not ((spring >= ms("2019-03-31T19:00")) & (spring < ms("2019-03-31T20:00"))).any()  # and in spring an hour is missing


def test_the_broker_is_two_hours_from_utc_with_european_dates(realdata: Path) -> None:
    symbols = ["audjpy", "audusd", "eurgbp", "eurjpy", "eurusd", "gbpjpy", "gbpusd", "usdcad", "usdchf", "usdjpy"]
    for name, length in [*((f"{symbol}_h1", HOUR) for symbol in symbols), ("eurusd_m15", 15 * MINUTE)]:
        clock = infer_clock(broker(realdata, name)[0], length)
        assert (clock.rule, clock.offset_winter_minutes) == ("eu", 120), name
        assert clock.confidence > 0.9
    for name, length in (("eurusd_h4", 4 * HOUR), ("eurusd_d1", DAY)):
        clock = infer_clock(broker(realdata, name)[0], length)
        assert (clock.confidence, clock.is_ambiguous) == (0.0, True)
    winter = infer_clock(broker(realdata, "eurusd_m1")[0], MINUTE)
    assert (winter.offset_winter_minutes, winter.is_settled, winter.is_ambiguous) == (120, True, True)


def test_metatrader_exports_of_gold_and_an_index(realdata: Path) -> None:
    for name, length in (("XAUUSD_H1_202501020100_202510272200.csv", HOUR), ("XAUUSD_M15_202501020100_202510272245.csv", 15 * MINUTE)):
        gold = infer_clock(exported(realdata, name), length)
        assert (gold.rule, gold.offset_winter_minutes, gold.opens_late_minutes, gold.explained_weeks, gold.weeks) == ("eu", 120, 60, 40, 43)
    index = infer_clock(exported(realdata, "US30Cash_M1_202310020100_202310132359.csv"), MINUTE)
    assert (index.segments[0][1], index.weeks, index.confidence, index.is_settled) == (180, 1, 0.5, True)
    daily = infer_clock(exported(realdata, "EURUSD_Daily_20250102_20251204.csv"), DAY)
    assert daily.confidence == 0.0


def test_histdata_and_the_broker_meet_the_utc_series_and_each_other(realdata: Path, raw: pd.DataFrame) -> None:
    sample = raw.set_axis(pd.DatetimeIndex(raw.index).tz_convert("UTC"))
    times, prices = histdata(realdata, "HISTDATA_COM_ASCII_EURUSD_M12018.zip")
    year = in_utc(times, prices, infer_clock(times, MINUTE))
    against_sample = confirm_clock(resample_bars(year, Timeframe.H1), sample)
    assert against_sample.is_confirmed
    assert against_sample.rows == 642
    assert against_sample.mean_abs_diff_zero * 10_000 < 0.4
    hours_raw, hours_prices = broker(realdata, "eurusd_h1")
    hours = in_utc(hours_raw, hours_prices, infer_clock(hours_raw, HOUR))
    month_raw, month_prices = histdata(realdata, "DAT_ASCII_EURUSD_M1_202503.csv")
    month = in_utc(month_raw, month_prices, infer_clock(month_raw, MINUTE))
    assert confirm_clock(hours, month).is_confirmed
    american = confirm_clock(in_utc(hours_raw, hours_prices, BrokerClock.named("us", 120)), month)
    assert [season.season for season in american.seasons if season.shift_hours_best] == ["between"]


@pytest.mark.slow
def test_the_brokers_h4_follow_european_dates_wherever_minutes_can_tell(realdata: Path) -> None:
    fours_raw, fours_prices = broker(realdata, "eurusd_h4")
    fours = in_utc(fours_raw, fours_prices, BrokerClock.named("eu", 120))
    assert detect_day(pd.DatetimeIndex(fours.index).as_unit("ms").asi8, Timeframe.H4) == BrokerDay("Europe/Helsinki", 0)
    names = [
        "HISTDATA_COM_ASCII_EURUSD_M12018.zip",
        "HISTDATA_COM_ASCII_EURUSD_M12019.zip",
        "DAT_ASCII_EURUSD_M1_201703.csv",
        "DAT_ASCII_EURUSD_M1_202103.csv",
    ]
    for name in names:
        times, prices = histdata(realdata, name)
        minutes = in_utc(times, prices, infer_clock(times, MINUTE))
        assert confirm_clock(fours, minutes).is_confirmed, name
        american = confirm_clock(in_utc(fours_raw, fours_prices, BrokerClock.named("us", 120)), minutes)
        assert {season.season: season.shift_hours_best for season in american.seasons}["between"] == 1, name
    hours_raw, hours_prices = broker(realdata, "eurusd_h1")
    days = resample_bars(in_utc(hours_raw, hours_prices, BrokerClock.named("eu", 120)), Timeframe.D1, day=BrokerDay("Europe/Helsinki", 0))
    daily_raw, daily = broker(realdata, "eurusd_d1")
    own = in_utc(daily_raw, daily, BrokerClock.named("eu", 120))["close"].reindex(days.index)
    assert own.notna().sum() > 1_200
    assert (own.dropna() == days["close"][own.notna()]).all()
