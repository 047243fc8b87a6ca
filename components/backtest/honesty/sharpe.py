"""How much a Sharpe ratio is worth: its error, the chance that it is above a mark, and what the best of many tries would show by luck.

Everything here is per observation (one daily return), never annualised: `annualised` turns one into the figure that people see. The kurtosis is
the plain one, 3 for a normal distribution.

Sources
-------
Bailey and López de Prado (2012), The Sharpe ratio efficient frontier, J. Risk 15(2): probabilistic Sharpe ratio, minimum track record length.
Bailey and López de Prado (2014), The deflated Sharpe ratio, J. Portfolio Management 40(5): expected maximum, deflated Sharpe ratio.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from components.fx import BadInput

Floats = NDArray[np.float64]
EULER_MASCHERONI = 0.5772156649015329
TRADING_DAYS = 252.0
FEWEST_DAYS = 3
_NORMAL = NormalDist()


@dataclass(frozen=True)
class SharpeFacts:
    """What the formulas need to know of a series of daily returns.

    Parameters
    ----------
    days : int
        Number of returns.
    sharpe : float
        Mean over standard deviation (n − 1), per day.
    skew, kurtosis : float
        Third and fourth standardised moment of the sample; 0 and 3 for a normal distribution.
    """

    days: int
    sharpe: float
    skew: float = 0.0
    kurtosis: float = 3.0

    @property
    def error(self) -> float:
        """Standard error of `sharpe`, per day."""
        return sharpe_error(self)


def sharpe_facts(daily_returns: Floats) -> SharpeFacts | None:
    """Sharpe ratio and moments of daily returns, shape (n,); None where they say nothing: fewer than 3 days, or none that differs.

    Raises
    ------
    BadInput
        If a return is not finite.
    """
    values = np.asarray(daily_returns, dtype=np.float64)
    if not np.isfinite(values).all():
        raise BadInput("daily_returns", f"{int((~np.isfinite(values)).sum())} of {len(values)} are not finite")
    if len(values) < FEWEST_DAYS:
        return None
    centred = values - values.mean()
    variance = float(np.mean(centred**2))
    # The same bound as `fx.sharpe_ratio`: what is below it is rounding, not movement.
    if math.sqrt(variance) < 1e-15:
        return None
    sharpe = float(values.mean()) / math.sqrt(variance * len(values) / (len(values) - 1))
    return SharpeFacts(len(values), sharpe, float(np.mean(centred**3)) / variance**1.5, float(np.mean(centred**4)) / variance**2)


def annualised(sharpe: float, days_per_year: float = TRADING_DAYS) -> float:
    """A Sharpe ratio per day as one per year."""
    return sharpe * math.sqrt(days_per_year)


def sharpe_error(facts: SharpeFacts) -> float:
    """Standard error of a Sharpe ratio per day under any skew and kurtosis: √((1 − γ₃·SR + (γ₄ − 1)/4·SR²)/(n − 1)). Source: Mertens (2002)."""
    return math.sqrt(_spread(facts) / (facts.days - 1))


def probabilistic_sharpe(facts: SharpeFacts, mark: float = 0.0) -> float:
    """Probability that the true Sharpe ratio is above `mark` (per day), given what was seen; source: Bailey and López de Prado (2012), eq. 11."""
    return _NORMAL.cdf((facts.sharpe - mark) / sharpe_error(facts))


def min_track_record(facts: SharpeFacts, mark: float = 0.0, confidence: float = 0.95) -> float:
    """Days of such returns that it takes until `probabilistic_sharpe` reaches `confidence`; inf where the Sharpe ratio is not above the mark.

    Source: Bailey and López de Prado (2012), eq. 13.

    Raises
    ------
    BadInput
        If `confidence` is not between 0.5 and 1.
    """
    if not 0.5 < confidence < 1.0:
        raise BadInput("confidence", f"{confidence!r} is not between 0.5 and 1")
    if facts.sharpe <= mark:
        return math.inf
    return 1.0 + _spread(facts) * (_NORMAL.inv_cdf(confidence) / (facts.sharpe - mark)) ** 2


def expected_max_sharpe(trials: float, variance: float) -> float:
    """The Sharpe ratio that the best of `trials` independent tries shows when none of them has any.

    Parameters
    ----------
    trials : float
        Number of independent tries, at least 1; it need not be whole.
    variance : float
        Variance of the Sharpe ratios of the tries, per day (an annualised one divided by the days in a year).

    Returns
    -------
    float
        √V·((1 − γ)·Z⁻¹(1 − 1/N) + γ·Z⁻¹(1 − 1/(N·e))), γ the Euler-Mascheroni constant; 0 for one try, and never below.

    Raises
    ------
    BadInput
        If there is less than one try or the variance is negative.

    Notes
    -----
    Source: Bailey and López de Prado (2014), eq. 1, the False Strategy theorem.
    """
    if not trials >= 1.0:
        raise BadInput("trials", f"{trials!r} is below 1")
    if not variance >= 0.0:
        raise BadInput("variance", f"{variance!r} is not 0 or above")
    if trials == 1.0:
        return 0.0
    high = (1.0 - EULER_MASCHERONI) * _NORMAL.inv_cdf(1.0 - 1.0 / trials)
    return math.sqrt(variance) * max(0.0, high + EULER_MASCHERONI * _NORMAL.inv_cdf(1.0 - 1.0 / (trials * math.e)))


def deflated_sharpe(facts: SharpeFacts, trials: float, variance: float) -> float:
    """Probability that the true Sharpe ratio is above what the best of `trials` tries shows by luck.

    Parameters
    ----------
    facts : SharpeFacts
        Of the chosen try.
    trials, variance : float
        As in `expected_max_sharpe`: number of tries, and the variance of their Sharpe ratios per day.

    Notes
    -----
    Source: Bailey and López de Prado (2014), eq. 2. Its example (Sharpe 2.5 a year over 1,250 days of 250, 100 tries whose annualised Sharpe
    ratios have a variance of ½, skew −3, kurtosis 10) gives 0.1132 for the mark and 0.9004.
    """
    return probabilistic_sharpe(facts, expected_max_sharpe(trials, variance))


def _spread(facts: SharpeFacts) -> float:
    """1 − γ₃·SR + (γ₄ − 1)/4·SR². With moments of one sample it is positive (γ₄ ≥ 1 + γ₃²); asked-for ones may contradict each other."""
    spread = 1.0 - facts.skew * facts.sharpe + (facts.kurtosis - 1.0) / 4.0 * facts.sharpe**2
    if spread <= 0.0 or facts.days < 2:
        raise BadInput("facts", f"skew {facts.skew} and kurtosis {facts.kurtosis} over {facts.days} days are those of no series of returns")
    return spread
