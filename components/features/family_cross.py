"""Cross-pair features: a pair beside another one, a currency across all pairs given, a cross against its two legs.

Their kernels read more rows than the six of the bars: behind them, the closes of the other symbols as they stood at the close of each bar,
NaN where unknown (`components.features.panel`). Behind the periods, ``params`` says which of these rows count, and with which sign.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from components.features.compiled import compiled
from components.features.formula import CLOSE, SPREAD, Floats, Formula, Ints, Kernel
from components.features.inputs import currencies_of
from components.features.windows import window_deviation
from components.fx import BadInput

FIRST_OTHER = SPREAD + 1
"""The first row of the matrix behind those of the bars."""
BASIS_POINTS = 10_000.0
_FLAT = 1e-12
"""Below this share of the squares a sum of squared deviations is rounding."""
Bound = float | Callable[..., float]


@compiled
def _steps(prices: Floats, begin: int, stop: int) -> Floats:
    """Log returns of rows `begin` to `stop`, shape (stop - begin,); NaN for a row that has none before it."""
    out = np.empty(stop - begin)
    for t in range(begin, stop):
        out[t - begin] = math.log(prices[t] / prices[t - 1]) if t else np.nan
    return out


@compiled
def _moments(one: Floats, two: Floats, first: int, lag: int, bars: int) -> tuple[float, float, float]:
    """Sums of squares of each and of their product about the means, 0 where a square is but rounding; `two` is `lag` rows older."""
    mean_one, mean_two, plain_one, plain_two = 0.0, 0.0, 0.0, 0.0
    for k in range(first, first + bars):
        mean_one += one[k]
        mean_two += two[k - lag]
    mean_one, mean_two = mean_one / bars, mean_two / bars
    square_one, square_two, product = 0.0, 0.0, 0.0
    for k in range(first, first + bars):
        a, b = one[k] - mean_one, two[k - lag] - mean_two
        square_one += a * a
        square_two += b * b
        product += a * b
        plain_one += one[k] * one[k]
        plain_two += two[k - lag] * two[k - lag]
    if square_one <= _FLAT * plain_one:
        square_one = product = 0.0
    if square_two <= _FLAT * plain_two:
        square_two = product = 0.0
    return square_one, square_two, product


@compiled
def _correlate(data: Floats, origin: int, start: int, stop: int, other: int, bars: int, lag: int, is_beta: bool, out: Floats) -> None:
    begin = max(start - bars + 1 - lag, 0)
    own, theirs = _steps(data[CLOSE], begin, stop), _steps(data[other], begin, stop)
    for t in range(start, stop):
        if origin + t < bars + lag:
            out[t] = np.nan
            continue
        one, two, product = _moments(own, theirs, t - bars + 1 - begin, lag, bars)
        scale = two if is_beta else math.sqrt(one) * math.sqrt(two)
        value = product / scale if scale != 0 else 0.0
        out[t] = value if is_beta or np.isnan(value) else min(max(value, -1.0), 1.0)


@compiled
def _correlation(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    _correlate(data, origin, start, stop, int(params[1]), int(params[0]), 0, False, out)


@compiled
def _lead_correlation(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    _correlate(data, origin, start, stop, int(params[1]), int(params[0]), 1, False, out)


@compiled
def _beta(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    _correlate(data, origin, start, stop, int(params[1]), int(params[0]), 0, True, out)


@compiled
def _relative_value(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    bars, other = int(params[0]), int(params[1])
    begin = max(start - bars + 1, 0)
    ratio, mean = np.empty(stop - begin), np.empty(stop - start)
    for t in range(begin, stop):
        ratio[t - begin] = math.log(data[CLOSE, t] / data[other, t])
    window_deviation(ratio, start - begin, bars, 0, mean, out[start:stop])
    limit = math.sqrt(bars - 1)
    for t in range(start, stop):
        if out[t] <= _FLAT:
            out[t] = 0.0
        elif not np.isnan(out[t]):
            out[t] = min(max((ratio[t - begin] - mean[t - start]) / out[t], -limit), limit)


@compiled
def _basket(data: Floats, origin: int, start: int, stop: int, params: Floats, first: int, count: int, out: Floats) -> None:
    """Sum of a currency's mean log returns across pairs, over the root of bars times their squares: −1 to 1; 0 where nothing moved."""
    bars = int(params[0])
    begin = max(start - bars + 1, 0)
    mean = np.empty(stop - begin)
    for t in range(begin, stop):
        total, known = 0.0, 0
        for place in range(count):
            row = int(params[first + 2 * place])
            if t and not np.isnan(data[row, t]) and not np.isnan(data[row, t - 1]):
                total += params[first + 2 * place + 1] * math.log(data[row, t] / data[row, t - 1])
                known += 1
        mean[t - begin] = total / known if known else 0.0
    for t in range(start, stop):
        if origin + t < bars:
            out[t] = np.nan
            continue
        total, squares = 0.0, 0.0
        for k in range(t - bars + 1 - begin, t + 1 - begin):
            total += mean[k]
            squares += mean[k] * mean[k]
        out[t] = min(max(total / math.sqrt(bars * squares), -1.0), 1.0) if squares > 0 else 0.0


@compiled
def _base_strength(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    _basket(data, origin, start, stop, params, 2, int(params[1]), out)


@compiled
def _quote_strength(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    count = int(params[1])
    _basket(data, origin, start, stop, params, 2 + 2 * count, (len(params) - 2 - 2 * count) // 2, out)


@compiled
def _strength_difference(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    count = int(params[1])
    quote = np.empty(stop)
    _basket(data, origin, start, stop, params, 2, count, out)
    _basket(data, origin, start, stop, params, 2 + 2 * count, (len(params) - 2 - 2 * count) // 2, quote)
    for t in range(start, stop):
        out[t] -= quote[t]


@compiled
def _cross_rank(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    bars = int(params[0])
    for t in range(start, stop):
        if origin + t < bars:
            out[t] = np.nan
            continue
        own, below, known = data[CLOSE, t] / data[CLOSE, t - bars], 0.0, 0
        for place in range(1, len(params)):
            row = int(params[place])
            theirs = data[row, t] / data[row, t - bars]
            if not np.isnan(theirs):
                below += 1.0 if theirs < own else 0.5 if theirs == own else 0.0
                known += 1
        out[t] = below / known if known else np.nan


@compiled
def _triangle_residual(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    for t in range(start, stop):
        total, known = 0.0, 0
        for first in range(0, len(params), 4):
            one = params[first + 1] * math.log(data[int(params[first]), t])
            apart = math.log(data[CLOSE, t]) - one - params[first + 3] * math.log(data[int(params[first + 2]), t])
            if not np.isnan(apart):
                total += apart
                known += 1
        out[t] = BASIS_POINTS * total / known if known else np.nan


def _formula(
    name: str,
    source: str,
    text: str,
    kernel: Kernel,
    periods: tuple[int, ...],
    late: int,
    low: Bound = -math.inf,
    high: Bound = math.inf,
    least: tuple[int, ...] = (),
) -> Formula:
    def rows(*chosen: int) -> int:
        return chosen[0] + late if chosen else 0

    needs = frozenset({"others"})
    return Formula(name, "cross", source, text, kernel, periods, least, warmup=rows, lookback=rows, low=low, high=high, needs=needs)


PAIRED: tuple[Formula, ...] = (
    _formula("correlation", "Pearson 1895", "correlation of the log returns of both symbols over {0} bars; 0 where one did not move",
             _correlation, (48,), 0, low=-1.0, high=1.0),
    _formula("lead_correlation", "lead and lag, Epps 1979", "correlation over {0} bars of the log returns with those of the other symbol one bar before",
             _lead_correlation, (48,), 1, low=-1.0, high=1.0),
    _formula("beta", "market model, Sharpe 1963", "cov(r, other's r) / var(other's r) over {0} bars; 0 where the other did not move",
             _beta, (120,), 0),
    _formula("relative_value", "pairs trading, Gatev, Goetzmann and Rouwenhorst 2006",
             "standard score of ln(C / other's C) in its last {0} bars; 0 where the ratio did not move",
             _relative_value, (120,), -1, low=lambda n: -math.sqrt(n - 1), high=lambda n: math.sqrt(n - 1)),
)  # fmt: skip
"""Formulas of the bars and one other symbol, which stands before the name: ``GBPUSD.correlation_48``."""
BASKETS: tuple[Formula, ...] = (
    _formula("base_strength", "currency index, mean across pairs",
             "sum over {0} bars of the base currency's mean log return across the pairs given, over sqrt({0} sum of its squares)",
             _base_strength, (24,), 0, least=(1,), low=-1.0, high=1.0),
    _formula("quote_strength", "currency index, mean across pairs", "base_strength_{0}, of the quote currency",
             _quote_strength, (24,), 0, least=(1,), low=-1.0, high=1.0),
    _formula("strength_difference", "currency momentum, Menkhoff and others 2012", "base_strength_{0} − quote_strength_{0}",
             _strength_difference, (24,), 0, least=(1,), low=-2.0, high=2.0),
    _formula("cross_rank", "cross-sectional momentum, Jegadeesh and Titman 1993",
             "share of the other pairs given whose return over {0} bars is smaller, equal ones by half",
             _cross_rank, (24,), 0, least=(1,), low=0.0, high=1.0),
    _formula("triangle_residual", "triangular parity, Aiba and others 2002",
             "ln C less that of the rate by way of a third currency, in basis points; the mean over the triangles that the pairs given make",
             _triangle_residual, (), 0),
)  # fmt: skip
"""Formulas of the bars and all other symbols given."""
FORMULAS: tuple[Formula, ...] = PAIRED + BASKETS
PAIRED_NAMES = frozenset(formula.name for formula in PAIRED)


def rows_wanted(formula: Formula, name: str, symbol: str | None, others: Mapping[str, int]) -> tuple[float, ...]:
    """What stands behind the periods in the ``params`` of a basket formula.

    Parameters
    ----------
    formula : Formula
        One of `BASKETS`.
    name : str
        The feature that asks, for messages.
    symbol : str or None
        Whose bars the first six rows are.
    others : mapping of str to int
        The row of each other symbol.

    Raises
    ------
    BadInput
        If the symbol is not given or no pair, or no other one has what the formula needs.
    """
    legs = {symbol or "": CLOSE, **others}
    base, quote = currencies_of(symbol, name)
    if formula.name == "cross_rank":
        if not others:
            raise BadInput("features", f"{name!r} needs the bars of other symbols")
        return tuple(float(row) for row in others.values())
    pairs = {one: currencies_of(one, name) for one in legs if one == symbol or _is_pair(one)}
    if formula.name == "triangle_residual":
        return _triangles(name, base, quote, {one: pair for one, pair in pairs.items() if one != symbol}, others)
    of_base, of_quote = (_signed(currency, pairs, legs) for currency in (base, quote))
    if len(of_base) + len(of_quote) < 6:
        raise BadInput(
            "features", f"{name!r} needs the bars of another pair with {base} or {quote}; given are those of {', '.join(others) or 'none'}"
        )
    return (len(of_base) / 2, *of_base, *of_quote)


def _is_pair(symbol: str) -> bool:
    try:
        currencies_of(symbol, symbol)
    except BadInput:
        return False
    return True


def _signed(currency: str, pairs: Mapping[str, tuple[str, str]], rows: Mapping[str, int]) -> tuple[float, ...]:
    """Row and sign of every pair with the currency, the sign −1 where it is the quote."""
    found: list[float] = []
    for symbol, (base, quote) in pairs.items():
        if currency in (base, quote):
            found += [float(rows[symbol]), 1.0 if currency == base else -1.0]
    return tuple(found)


def _triangles(name: str, base: str, quote: str, pairs: Mapping[str, tuple[str, str]], rows: Mapping[str, int]) -> tuple[float, ...]:
    """Row and sign of both legs of every way from base to quote by one third currency."""
    found: list[float] = []
    for third in sorted({currency for pair in pairs.values() for currency in pair} - {base, quote}):
        legs = _leg(base, third, pairs, rows) + _leg(third, quote, pairs, rows)
        found += legs if len(legs) == 4 else ()
    if not found:
        raise BadInput("features", f"{name!r} needs two other pairs that lead from {base} to {quote}; given are those of {', '.join(rows) or 'none'}")
    return tuple(found)


def _leg(one: str, two: str, pairs: Mapping[str, tuple[str, str]], rows: Mapping[str, int]) -> tuple[float, ...]:
    """Row of the pair of two currencies, and 1 where the first is its base, else −1; empty where there is none."""
    for symbol, pair in pairs.items():
        if pair in ((one, two), (two, one)):
            return float(rows[symbol]), 1.0 if pair == (one, two) else -1.0
    return ()
