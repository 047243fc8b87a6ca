"""Cross-pair formulas against pandas, and worlds whose answer is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from kernel_runs import made

from components.features import FeatureInputs, compute_features
from components.fx import Timeframe

ROWS = 700


def walk(seed: int, level: float, deviation: float = 0.001) -> np.ndarray:
    return level * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, deviation, ROWS)))


@pytest.fixture(scope="module")
def closes() -> dict[str, np.ndarray]:
    """Pairs that obey their triangles, but for a few basis points in EURJPY."""
    euro, yen, pound = walk(1, 1.1), walk(2, 110.0), walk(3, 1.3)
    return {"EURUSD": euro, "USDJPY": yen, "GBPUSD": pound, "EURJPY": euro * yen * np.exp(walk(4, 0.0003, 0.3)), "EURGBP": euro / pound}


def features(closes: dict[str, np.ndarray], symbol: str, names: list[str]) -> pd.DataFrame:
    others = {other: made(prices) for other, prices in closes.items() if other != symbol}
    return compute_features(made(closes[symbol]), names, FeatureInputs(symbol, others, timeframe=Timeframe.H1))


def test_formulas_of_a_pair_are_those_of_pandas(closes: dict[str, np.ndarray]) -> None:
    names = ["GBPUSD.correlation_48", "GBPUSD.lead_correlation_30", "GBPUSD.beta_120", "GBPUSD.relative_value_60"]
    found = features(closes, "EURUSD", names).reset_index(drop=True)
    own, theirs = (pd.Series(np.log(closes[symbol])) for symbol in ("EURUSD", "GBPUSD"))
    r, q, ratio = own.diff(), theirs.diff(), own - theirs
    expected = {
        names[0]: r.rolling(48).corr(q),
        names[1]: r.rolling(30).corr(q.shift(1)),
        names[2]: r.rolling(120).cov(q) / q.rolling(120).var(),
        names[3]: (ratio - ratio.rolling(60).mean()) / ratio.rolling(60).std(ddof=0),
    }
    for name in names:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-7, atol=1e-9, err_msg=name)


def test_strength_is_the_currency_mean_across_its_pairs(closes: dict[str, np.ndarray]) -> None:
    found = features(closes, "EURUSD", ["base_strength_24", "quote_strength_24", "strength_difference_24"]).reset_index(drop=True)
    r = {symbol: np.log(pd.Series(prices)).diff() for symbol, prices in closes.items()}
    mean = {"base": (r["EURUSD"] + r["EURJPY"] + r["EURGBP"]) / 3, "quote": (-r["EURUSD"] + r["USDJPY"] - r["GBPUSD"]) / 3}
    for side, steps in mean.items():
        expected = steps.rolling(24).sum() / np.sqrt(24 * (steps**2).rolling(24).sum())
        np.testing.assert_allclose(found[f"{side}_strength_24"], expected, rtol=1e-7, atol=1e-9)
    np.testing.assert_array_equal(found["strength_difference_24"], found["base_strength_24"] - found["quote_strength_24"])


def test_a_currency_that_rises_against_all_is_the_strongest(closes: dict[str, np.ndarray]) -> None:
    rise = np.exp(0.001 * np.arange(ROWS))
    strong = {symbol: prices * rise if symbol.startswith("EUR") else prices for symbol, prices in closes.items()}
    found = features(strong, "EURUSD", ["base_strength_240", "quote_strength_240", "cross_rank_240"]).iloc[-1]
    assert found["base_strength_240"] > 0.5
    assert found["quote_strength_240"] < 0
    assert features(strong, "GBPUSD", ["cross_rank_240"]).iloc[-1].item() < 0.5
    assert found["cross_rank_240"] >= 0.5


def test_the_rank_is_the_share_of_pairs_that_rose_less(closes: dict[str, np.ndarray]) -> None:
    found = features(closes, "EURUSD", ["cross_rank_24"])["cross_rank_24"].to_numpy()
    returns = {symbol: prices[24:] / prices[:-24] for symbol, prices in closes.items()}
    below = [returns[symbol] < returns["EURUSD"] for symbol in closes if symbol != "EURUSD"]
    np.testing.assert_allclose(found[24:], np.mean(below, axis=0))


def test_the_residual_of_a_triangle_is_in_basis_points_whichever_way_its_legs_are_quoted(closes: dict[str, np.ndarray]) -> None:
    cross = features({symbol: closes[symbol] for symbol in ("EURJPY", "EURUSD", "USDJPY")}, "EURJPY", ["triangle_residual"])
    put_in = np.log(closes["EURJPY"] / closes["EURUSD"] / closes["USDJPY"]) * 10_000
    np.testing.assert_allclose(cross["triangle_residual"], put_in, atol=1e-8)
    turned = {"EURJPY": closes["EURJPY"], "USDEUR": 1 / closes["EURUSD"], "JPYUSD": 1 / closes["USDJPY"]}
    np.testing.assert_allclose(features(turned, "EURJPY", ["triangle_residual"])["triangle_residual"], put_in, atol=1e-8)


def test_several_triangles_are_averaged(closes: dict[str, np.ndarray]) -> None:
    found = features(closes, "EURUSD", ["triangle_residual"])["triangle_residual"]
    by_pound = np.log(closes["EURUSD"] / (closes["EURGBP"] * closes["GBPUSD"]))
    by_yen = np.log(closes["EURUSD"] / (closes["EURJPY"] / closes["USDJPY"]))
    np.testing.assert_allclose(found, 10_000 * (by_pound + by_yen) / 2, atol=1e-8)


def test_a_pair_that_does_not_move_has_no_correlation_and_no_value_against_itself() -> None:
    still = {"EURUSD": walk(1, 1.1), "GBPUSD": np.full(ROWS, 1.3)}
    found = features(still, "EURUSD", ["GBPUSD.correlation_48", "GBPUSD.beta_48"]).iloc[-1]
    assert found.tolist() == [0.0, 0.0]
    same = features({"EURUSD": still["EURUSD"], "GBPUSD": 2 * still["EURUSD"]}, "EURUSD", ["GBPUSD.correlation_48", "GBPUSD.relative_value_48"]).iloc[
        -1
    ]
    assert same["GBPUSD.correlation_48"] == pytest.approx(1.0)
    assert same["GBPUSD.relative_value_48"] == 0.0
