"""Features block by block: the whole history's values, bit for bit."""

from __future__ import annotations

import pandas as pd
import pytest

from components.features import DEFAULT_FEATURES, compute_features, feature_blocks
from components.fx import BadInput

KNOWN = (*DEFAULT_FEATURES, "rsi_14.shift_3", "return_1.shift_500", "macd_histogram.shift_40")


@pytest.mark.parametrize("block_rows", [1, 7, 100, 999, 5000, 10_000])
def test_blocks_put_together_are_the_whole_bit_for_bit(block_rows: int, bars: pd.DataFrame) -> None:
    some = bars.iloc[: 1200 if block_rows > 7 else 450]
    blocks = list(feature_blocks(some, KNOWN, block_rows=block_rows))
    assert {len(block) for block in blocks[:-1]} <= {block_rows}
    pd.testing.assert_frame_equal(pd.concat(blocks), compute_features(some, KNOWN), check_exact=True, check_freq=False)


def test_features_of_a_longer_timeframe_come_in_blocks_too(bars: pd.DataFrame) -> None:
    names = ["H4.return_1", "return_1", "H4.rsi_2.shift_2"]
    blocks = pd.concat(feature_blocks(bars.iloc[:600], names, block_rows=128))
    pd.testing.assert_frame_equal(blocks, compute_features(bars.iloc[:600], names), check_exact=True, check_freq=False)


def test_no_bars_give_one_empty_block_and_wrong_input_is_refused_before_the_first(bars: pd.DataFrame) -> None:
    (empty,) = feature_blocks(bars.iloc[:0], KNOWN)
    assert (list(empty.columns), len(empty)) == (list(KNOWN), 0)
    with pytest.raises(BadInput, match="unknown"):
        next(feature_blocks(bars, ["nothing_3"]))
    with pytest.raises(BadInput, match="spread"):
        next(feature_blocks(bars.drop(columns="spread_points"), ["spread_ratio_24"]))
