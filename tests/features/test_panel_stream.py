"""Bar by bar, a panel gives the rows of the whole computation bit for bit, however the other symbols' bars and news come in."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from panel_world import HOUR_MS, world_bars, world_inputs

from components.features import FeatureInputs, compute_features
from components.features.family_cross import BASKETS, PAIRED
from components.features.family_news import FORMULAS as NEWS
from components.features.panel_stream import PanelStream
from components.fx import BadInput, Corrupt, Timeframe

NAMES = (
    *("rsi_14", "rsi_14.shift_5", "macd_histogram", "hour_sin", "H1.rsi_14", "EURUSD.rsi_14.shift_1"),
    *("H4.rsi_14", "H4.rsi_14.shift_2", "D1.return_1", "W1.body_share", "H4.dc_side_1_5", "D1.doji"),
    *("GBPUSD.rsi_14", "USDJPY.return_1", "GBPUSD.H4.return_2", "GBPUSD.H4.rsi_14.shift_2", "EURJPY.D1.body_share"),
    *(f"{symbol}.{formula.named()}" for symbol in ("GBPUSD", "USDJPY") for formula in PAIRED),
    *("GBPUSD.H4.correlation_24", "USDJPY.D1.correlation_5", "H4.base_strength_12", "H4.triangle_residual.shift_3"),
    *(formula.named() for formula in (*BASKETS, *NEWS)),
    *("base_tone.shift_2", "quote_tone_z_24"),
)


def fresh(names: tuple[str, ...] = NAMES) -> PanelStream:
    return PanelStream(names, symbol="EURUSD", timeframe=Timeframe.H1, others=world_inputs().others)


def rows(bars: pd.DataFrame) -> list[tuple[int, list[float]]]:
    return list(zip(bars.index.asi8.tolist(), bars.to_numpy().tolist(), strict=True))


class Feed:
    """Everything of the world in the order in which it becomes known, perhaps the other pairs' bars some hours early."""

    def __init__(self, early_ms: int = 0) -> None:
        self.early_ms = early_ms
        inputs = world_inputs()
        self.bars = {symbol: iter(rows(bars)) for symbol, bars in inputs.others.items()}
        self.news: dict[str, Iterator[tuple[object, ...]]] = {currency: news.itertuples() for currency, news in inputs.news.items()}
        self.next_bar = {symbol: next(waiting) for symbol, waiting in self.bars.items()}
        self.next_news = {currency: next(waiting) for currency, waiting in self.news.items()}

    def give(self, stream: PanelStream, until_ms: int) -> None:
        for symbol, waiting in self.bars.items():
            while self.next_bar[symbol][0] + HOUR_MS <= until_ms + self.early_ms:
                stream.push_other(symbol, self.next_bar[symbol][0], *self.next_bar[symbol][1])
                self.next_bar[symbol] = next(waiting, (2**60, []))
        for currency, waiting in self.news.items():
            while (one := self.next_news[currency]) is not None and one.Index.value // 10**6 <= until_ms:
                stream.push_news(currency, one.Index.value // 10**6, one.bucket_ms, one.tone, one.volume)
                self.next_news[currency] = next(waiting, None)


@pytest.fixture(scope="module")
def full() -> np.ndarray:
    """The whole computation."""
    return compute_features(world_bars(), NAMES, world_inputs()).to_numpy()


@pytest.mark.parametrize(("early_hours", "saved_every"), [(0, 0), (7, 0), (0, 97)], ids=["in time", "others early", "saved and restored"])
def test_bar_by_bar_is_the_whole_computation_bit_for_bit(early_hours: int, saved_every: int, full: np.ndarray) -> None:
    stream, feed = fresh(), Feed(early_hours * HOUR_MS)
    for row, (open_ms, bar) in enumerate(rows(world_bars())):
        feed.give(stream, open_ms + HOUR_MS)
        np.testing.assert_array_equal(stream.push(open_ms, *bar), full[row], err_msg=str(row))
        if saved_every and row % saved_every == 0:
            stream = PanelStream.restore(stream.state())
    assert stream.names == NAMES


def test_bars_that_are_missing_at_the_end_of_a_longer_one_change_nothing_about_that() -> None:
    # Then a longer bar is known only when a later bar comes, while the other pairs have gone on.
    bars, random = world_bars(), np.random.default_rng(8)
    holes = bars[(random.random(len(bars)) > 0.3) & (np.arange(len(bars)) % 40 > 7)]
    names = tuple(name for name in NAMES if "H4" in name or "D1" in name)
    expected = compute_features(holes, names, world_inputs()).to_numpy()
    stream, feed = fresh(names), Feed()
    for row, (open_ms, bar) in enumerate(rows(holes)):
        feed.give(stream, open_ms + HOUR_MS)
        np.testing.assert_array_equal(stream.push(open_ms, *bar), expected[row], err_msg=str(row))


def test_a_warm_stream_goes_on_where_the_history_ended(full: np.ndarray) -> None:
    stream = fresh()
    stream.warm(world_bars().iloc[:900], world_inputs())
    for row, (open_ms, bar) in enumerate(rows(world_bars())[900:960], 900):
        np.testing.assert_array_equal(stream.push(open_ms, *bar), full[row])


def test_every_column_is_known_somewhere(full: np.ndarray) -> None:
    known = dict(zip(NAMES, np.isfinite(full).sum(axis=0), strict=True))
    assert {name for name, count in known.items() if count < 200} == set()


def test_a_bar_that_comes_late_counts_from_the_next_bar_on() -> None:
    bars = rows(world_bars())
    theirs = dict(rows(world_inputs().others["EURJPY"]))
    stream = PanelStream(["EURJPY.body_share"], symbol="EURUSD", timeframe=Timeframe.H1, others=["EURJPY"])
    assert math.isnan(stream.push(bars[0][0], *bars[0][1])[0])
    stream.push_other("EURJPY", bars[0][0], *theirs[bars[0][0]])
    opened, high, low, closed = theirs[bars[0][0]][:4]
    assert stream.push(bars[1][0], *bars[1][1])[0] == (closed - opened) / (high - low)


def test_plain_features_need_no_more_than_their_names(full: np.ndarray) -> None:
    stream = PanelStream(["rsi_14", "rsi_14.shift_5"])
    stream.warm(world_bars().iloc[:600])
    open_ms, bar = rows(world_bars())[600]
    np.testing.assert_array_equal(stream.push(open_ms, *bar), full[600, :2])


def test_what_does_not_come_in_order_is_refused() -> None:
    stream, (open_ms, bar) = fresh(), rows(world_bars())[0]
    stream.push(open_ms, *bar)
    stream.push_other("GBPUSD", open_ms, *bar)
    stream.push_news("EUR", open_ms, open_ms, 1.0)
    with pytest.raises(BadInput, match="does not come after the last bar of this stream"):
        stream.push(open_ms, *bar)
    with pytest.raises(BadInput, match="does not come after the last bar of GBPUSD"):
        stream.push_other("GBPUSD", open_ms, *bar)
    with pytest.raises(BadInput, match="not among the others"):
        stream.push_other("AUDUSD", open_ms, *bar)
    with pytest.raises(BadInput, match="give them as they are seen"):
        stream.push_news("EUR", open_ms - 1, open_ms - 1, 1.0)
    with pytest.raises(BadInput, match="give them as they are seen"):
        stream.push_news("USD", open_ms, open_ms + 1, 1.0)


@pytest.mark.parametrize(
    ("names", "given", "said"),
    [
        (["H4.rsi_14"], {}, "give their timeframe"),
        (["GBPUSD.rsi_14"], {"timeframe": Timeframe.H1}, "name it among the others"),
        (["GBPUSD.rsi_14"], {}, "give their timeframe"),
        (["base_tone"], {"symbol": "EURUSD"}, "give their timeframe"),
        (["base_strength_24"], {"symbol": "EURUSD", "timeframe": Timeframe.H1}, "another pair with EUR or USD"),
        (["M5.rsi_14"], {"timeframe": Timeframe.H1}, "shorter ones cannot be made of them"),
        (["rsi_14", "rsi_14"], {}, "given twice"),
    ],
)
def test_a_stream_that_could_not_answer_is_refused_at_once(names: list[str], given: dict[str, object], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        PanelStream(names, **given)  # type: ignore[arg-type]


def test_a_damaged_state_is_found() -> None:
    stream = fresh(("H4.rsi_14", "base_tone"))
    stream.warm(world_bars().iloc[:50], FeatureInputs("EURUSD", {}, world_inputs().news))
    state = bytearray(stream.state())
    state[-7] ^= 1
    with pytest.raises(Corrupt, match="damaged"):
        PanelStream.restore(bytes(state))
