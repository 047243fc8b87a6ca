"""A panel stream refuses what is no bar before anything of it is taken in."""

from __future__ import annotations

import math

import numpy as np
import pytest
from panel_world import HOUR_MS, world_bars

from components.features import FeatureInputs, PanelStream, compute_features
from components.fx import BadInput, Timeframe

NO_BARS = [(math.nan,) * 4, (1.1, 99.0, 1.05, 200.0), (1.1, 1.0, 1.05, 1.1), (-1.0, 1.0, -2.0, 0.5)]


@pytest.mark.parametrize("names", [("H4.return_1", "H4.body_share"), ("H4.body_share", "return_1")])
def test_a_bar_that_is_none_is_refused_and_leaves_no_trace(names: tuple[str, ...]) -> None:
    bars = world_bars().iloc[:80]
    stream = PanelStream(names, symbol="EURUSD", timeframe=Timeframe.H1)
    rows = []
    for open_ms, values in zip(bars.index.asi8.tolist(), bars[["open", "high", "low", "close", "volume"]].to_numpy().tolist(), strict=True):
        for wrong in NO_BARS:
            with pytest.raises(BadInput, match="is no bar"):
                stream.push(open_ms, *wrong)
        rows.append(stream.push(open_ms, *values))
    expected = compute_features(bars, names, FeatureInputs("EURUSD", timeframe=Timeframe.H1)).to_numpy()
    np.testing.assert_array_equal(np.array(rows), expected)


def test_another_symbols_bar_that_is_none_is_refused_when_it_is_given() -> None:
    stream = PanelStream(["GBPUSD.return_1"], symbol="EURUSD", timeframe=Timeframe.H1, others=["GBPUSD"])
    for number, wrong in enumerate(NO_BARS):
        with pytest.raises(BadInput, match="is no bar"):
            stream.push_other("GBPUSD", number * HOUR_MS, *wrong)
    stream.push_other("GBPUSD", 0, 1.3, 1.31, 1.29, 1.3)


@pytest.mark.parametrize("name", ["GBPUSD.return_1", "GBPUSD.H4.rsi_14", "GBPUSD.correlation_48"])
def test_a_missing_symbol_is_told_with_the_name_that_asks_for_it(name: str) -> None:
    with pytest.raises(BadInput, match=f"'{name}' needs the bars of GBPUSD"):
        compute_features(world_bars(), [name], FeatureInputs("EURUSD", timeframe=Timeframe.H1))
