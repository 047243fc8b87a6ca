"""Bar by bar equals the whole history, bit for bit, whatever was warmed, pushed, kept and restored in between."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.features import DEFAULT_FEATURES, FeatureStream, catalogue, compute_features, compute_indicators, indicator_formulas
from components.fx import BadInput, Corrupt

ALL = [feature.name for feature in catalogue() if not feature.needs & {"others", "news"}]
SOME = ["rsi_14", "return_1", "adx_14.shift_3", "rsi_14.shift_1", "z_score_48", "volume_ratio_24", "hour_sin", "mass_index_9_25", "gap.shift_60"]
NAMES = ("open", "high", "low", "close", "volume", "spread_points")


def push_all(stream: FeatureStream, bars: pd.DataFrame) -> np.ndarray:
    """The rows that a stream gives, one by one."""
    open_ms = pd.DatetimeIndex(bars.index).as_unit("ms").asi8.tolist()
    rows = [stream.push(at, *bar) for at, bar in zip(open_ms, bars[list(NAMES)].itertuples(index=False, name=None), strict=True)]
    return np.array(rows).reshape(len(bars), len(stream.names))


def test_all_features_warmed_on_a_history_and_pushed_for_500_bars_equal_the_whole(bars: pd.DataFrame) -> None:
    stream = FeatureStream(ALL)
    stream.warm(bars.iloc[:-500])
    np.testing.assert_array_equal(push_all(stream, bars.iloc[-500:]), compute_features(bars, ALL).iloc[-500:])
    assert stream.rows == len(bars)
    assert stream.last_open_ms == bars.index.as_unit("ms").asi8[-1]


def test_all_features_pushed_from_the_first_bar_on_equal_the_whole(bars: pd.DataFrame) -> None:
    some = bars.iloc[:900]
    np.testing.assert_array_equal(push_all(FeatureStream(ALL), some), compute_features(some, ALL))


def test_indicators_stream_as_well(bars: pd.DataFrame) -> None:
    names = [formula.named() for formula in indicator_formulas()]
    stream = FeatureStream.of_indicators([*names, "sma_5.shift_2"])
    stream.warm(bars.iloc[:700])
    stream = FeatureStream.restore(stream.state())
    np.testing.assert_array_equal(push_all(stream, bars.iloc[700:1400]), compute_indicators(bars.iloc[:1400], [*names, "sma_5.shift_2"]).iloc[700:])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["warm", "push", "restore"]), st.integers(1, 700)), min_size=1, max_size=6))
def test_any_mixture_of_warming_pushing_and_restoring_equals_the_whole(bars: pd.DataFrame, steps: list[tuple[str, int]]) -> None:
    whole, stream, done = compute_features(bars, SOME).to_numpy(), FeatureStream(SOME), 0
    for what, rows in [*steps, ("push", 40)]:
        part = bars.iloc[done : done + rows]
        if what == "restore":
            stream = FeatureStream.restore(stream.state())
        elif what == "warm":
            stream.warm(part)
            done += len(part)
        else:
            np.testing.assert_array_equal(push_all(stream, part), whole[done : done + len(part)])
            done += len(part)
    assert stream.rows == done


@pytest.mark.slow
def test_a_state_goes_on_in_another_process(bars: pd.DataFrame, tmp_path: object) -> None:
    stream = FeatureStream(["rsi_14", "skew_48"])
    stream.warm(bars.iloc[:1000])
    code = (
        "import sys; from components.features import FeatureStream; "
        "stream = FeatureStream.restore(sys.stdin.buffer.read()); "
        "print([value.hex() for value in stream.push(2_000_000_000_000, 1.1, 1.2, 1.0, 1.15, 10.0, 5.0)])"
    )
    run = subprocess.run([sys.executable, "-c", code], input=stream.state(), capture_output=True, check=True)
    here = stream.push(2_000_000_000_000, 1.1, 1.2, 1.0, 1.15, 10.0, 5.0)
    assert run.stdout.decode().strip() == str([value.hex() for value in here.tolist()])


def test_taking_a_state_changes_nothing(bars: pd.DataFrame) -> None:
    stream = FeatureStream(SOME)
    stream.warm(bars.iloc[:500])
    assert stream.state() == stream.state()
    assert FeatureStream.restore(stream.state()).state() == stream.state()


def test_a_damaged_state_is_refused_and_a_strange_one_too(bars: pd.DataFrame) -> None:
    stream = FeatureStream(SOME)
    stream.warm(bars.iloc[:500])
    state = bytearray(stream.state())
    for place in (3, 40, 200, len(state) - 5):
        damaged = state.copy()
        damaged[place] ^= 1
        with pytest.raises(Corrupt, match="warm a new stream"):
            FeatureStream.restore(bytes(damaged))
    for other in (b"", b"nothing", bytes(state[:-8])):
        with pytest.raises(Corrupt):
            FeatureStream.restore(other)


def test_a_state_of_other_formulas_is_refused(bars: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = FeatureStream(["rsi_14"])
    stream.warm(bars.iloc[:100])
    state = stream.state()
    layout = FeatureStream._layout
    monkeypatch.setattr(FeatureStream, "_layout", lambda self: [*layout(self), ["another", [1], 1, 1]])
    with pytest.raises(BadInput, match="made by a version"):
        FeatureStream.restore(state)


def test_a_bar_out_of_order_or_no_bar_at_all_is_refused_and_leaves_the_stream_alone(bars: pd.DataFrame) -> None:
    stream = FeatureStream(SOME)
    stream.warm(bars.iloc[:300])
    state, last = stream.state(), stream.last_open_ms
    assert last is not None
    for bar in ((last, 1.1, 1.2, 1.0, 1.1), (last - 1, 1.1, 1.2, 1.0, 1.1)):
        with pytest.raises(BadInput, match="does not come after"):
            stream.push(*bar)
    nan = float("nan")
    for prices in ((1.1, 1.0, 1.2, 1.1), (1.3, 1.2, 1.0, 1.1), (1.1, 1.2, 1.0, 0.9), (nan, 1.2, 1.0, 1.1), (1.1, nan, 1.0, 1.1), (1.1, 1.2, nan, 1.1),
                   (1.1, 1.2, 1.0, nan), (0.0, 0.0, 0.0, 0.0), (1.1, float("inf"), 1.0, 1.1)):  # fmt: skip
        with pytest.raises(BadInput, match="is no bar"):
            stream.push(last + 1, *prices)
    with pytest.raises(BadInput, match="does not come after"):
        stream.warm(bars.iloc[:10])
    assert stream.state() == state


def test_an_empty_stretch_is_no_step(bars: pd.DataFrame) -> None:
    stream = FeatureStream()
    assert stream.names == DEFAULT_FEATURES
    assert (stream.rows, stream.last_open_ms) == (0, None)
    stream.warm(bars.iloc[:0])
    assert stream.rows == 0


@pytest.mark.parametrize(("name", "said"), [("H4.rsi_14", "another symbol or timeframe"), ("rsi", "unknown"), ("news_tone_24", "unknown")])
def test_what_a_stream_of_one_symbol_cannot_give_is_refused(name: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        FeatureStream([name])
