"""Probabilistic and deflated Sharpe ratios are those of the papers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from components.backtest.honesty import (
    SharpeFacts,
    annualised,
    deflated_sharpe,
    expected_max_sharpe,
    min_track_record,
    probabilistic_sharpe,
    sharpe_error,
    sharpe_facts,
)
from components.fx import BadInput, sharpe_ratio

# Bailey and López de Prado (2014), the example of section "A numerical example": 2.5 a year of 250 days, five years.
PUBLISHED = SharpeFacts(days=1250, sharpe=2.5 / math.sqrt(250), skew=-3.0, kurtosis=10.0)


def test_the_published_example_of_the_deflated_sharpe_ratio_comes_out() -> None:
    assert round(expected_max_sharpe(100, 0.5 / 250), 4) == 0.1132
    assert round(deflated_sharpe(PUBLISHED, 100, 0.5 / 250), 4) == 0.9004


def test_with_46_tries_the_published_example_would_have_passed() -> None:
    assert round(deflated_sharpe(PUBLISHED, 46, 0.5 / 250), 4) == 0.9505
    assert deflated_sharpe(PUBLISHED, 88, 0.5 / 250) < 0.95


def test_normal_returns_would_have_passed_with_88_tries() -> None:
    """The same section: without skew and kurtosis a discovery stands up to N = 88."""
    normal = SharpeFacts(1250, PUBLISHED.sharpe)
    assert round(deflated_sharpe(normal, 88, 0.5 / 250), 4) == 0.9505


def test_the_published_minimum_track_record_comes_out() -> None:
    """Bailey and López de Prado (2012): 2 a year from daily normal returns needs 2.73 years at 95 % to be above 1."""
    facts = SharpeFacts(250, 2 / math.sqrt(250))
    assert min_track_record(facts, 1 / math.sqrt(250), 0.95) / 250 == pytest.approx(2.73, abs=0.005)


def test_the_probability_reaches_the_confidence_at_the_minimum_track_record() -> None:
    facts = SharpeFacts(100, 0.08, -0.7, 6.0)
    days = min_track_record(facts, 0.01, 0.9)
    reached = SharpeFacts(math.ceil(days), facts.sharpe, facts.skew, facts.kurtosis)
    short = SharpeFacts(math.floor(days) - 1, facts.sharpe, facts.skew, facts.kurtosis)
    assert probabilistic_sharpe(short, 0.01) < 0.9 <= probabilistic_sharpe(reached, 0.01)
    assert min_track_record(facts, 0.08) == math.inf


def test_moments_are_those_of_scipy_and_the_ratio_that_of_the_platform() -> None:
    returns = np.random.default_rng(1).gamma(2.0, 0.01, 500) - 0.019
    facts = sharpe_facts(returns)
    assert facts is not None
    assert facts.skew == pytest.approx(stats.skew(returns))
    assert facts.kurtosis == pytest.approx(stats.kurtosis(returns, fisher=False))
    assert annualised(facts.sharpe) == pytest.approx(sharpe_ratio(returns))


def test_the_standard_error_is_the_scatter_of_many_samples() -> None:
    rng = np.random.default_rng(2)
    samples = rng.gamma(2.0, 0.01, (20_000, 400)) - 0.019  # skew √2, kurtosis 6
    ratios = samples.mean(axis=1) / samples.std(axis=1, ddof=1)
    true = SharpeFacts(400, 0.001 / (0.01 * math.sqrt(2)), math.sqrt(2), 6.0)
    assert sharpe_error(true) == pytest.approx(float(ratios.std()), rel=0.02)
    assert true.error == sharpe_error(true)


def test_the_expected_maximum_is_the_mean_of_many_maxima() -> None:
    rng = np.random.default_rng(3)
    for tries in (5, 50, 1000):
        maxima = rng.normal(0, 0.5, (5_000, tries)).max(axis=1)
        assert expected_max_sharpe(tries, 0.25) == pytest.approx(float(maxima.mean()), rel=0.03)


def test_one_try_has_nothing_to_deflate() -> None:
    facts = SharpeFacts(500, 0.1)
    assert expected_max_sharpe(1, 0.5) == 0.0
    assert deflated_sharpe(facts, 1, 0.5) == probabilistic_sharpe(facts)
    assert expected_max_sharpe(1.2, 0.5) >= 0.0


def test_more_tries_or_more_scatter_among_them_deflate_more() -> None:
    facts = SharpeFacts(500, 0.1)
    by_tries = [deflated_sharpe(facts, n, 0.002) for n in (1, 2, 10, 100, 10_000)]
    assert by_tries == sorted(by_tries, reverse=True)
    assert deflated_sharpe(facts, 100, 0.004) < deflated_sharpe(facts, 100, 0.002)


@pytest.mark.parametrize("returns", [[], [0.1], [0.1, 0.2], [0.0] * 50, [0.01] * 50])
def test_too_few_or_unmoving_returns_say_nothing(returns: list[float]) -> None:
    assert sharpe_facts(np.array(returns)) is None


def test_what_cannot_be_is_refused_by_name() -> None:
    with pytest.raises(BadInput, match="not finite"):
        sharpe_facts(np.array([0.1, np.nan, 0.2]))
    with pytest.raises(BadInput, match="below 1"):
        expected_max_sharpe(0, 1.0)
    with pytest.raises(BadInput, match="variance"):
        expected_max_sharpe(5, -1.0)
    with pytest.raises(BadInput, match="confidence"):
        min_track_record(SharpeFacts(100, 0.1), 0.0, 1.0)
    with pytest.raises(BadInput, match="no series"):
        sharpe_error(SharpeFacts(100, 1.0, 5.0, 2.0))
