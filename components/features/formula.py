"""What a catalogued formula is: a kernel that fills rows of one column, and what must be known to use it.

The same kernel computes a whole history, a block of it, and the one next bar: it is given the rows to fill, the history before them and
the state that it left behind. So incremental equals full, bit for bit, by construction.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Kernel = Callable[[Floats, Ints, int, int, int, Floats, Floats, Floats], None]
"""``kernel(data, open_ms, origin, start, stop, params, state, out)``: see `Formula.kernel`."""

OPEN, HIGH, LOW, CLOSE, VOLUME, SPREAD = range(6)
"""Rows of the kernel's ``data``."""
LARGEST_PERIOD = 5_000


def no_rows(*_periods: int) -> int:
    """Zero rows, for formulas of one bar alone."""
    return 0


@dataclass(frozen=True)
class Formula:
    """One formula of the catalogue, for any periods.

    Parameters
    ----------
    name : str
        Lower case; with the periods it makes a feature's name, ``rsi`` and 14 make ``rsi_14``.
    family, source, text : str
        Its kind, who published it, and the formula in words: O, H, L, C, V of the bar, the periods as ``{0}``, ``{1}``.
    kernel : callable
        ``kernel(data, open_ms, origin, start, stop, params, state, out)`` fills ``out[start:stop]``. ``data`` is float64 of shape (6, m),
        its rows `OPEN` to `SPREAD` (spread in points, NaN where unknown); ``open_ms`` int64 of shape (m,), UTC; row i of both is row
        ``origin + i`` of the history, and the rows before ``start`` are history: `lookback` of them, or all there are. ``params`` float64
        (k,) are the periods, ``state`` float64 of `state_size` is what the kernel left after the row before ``start`` (zeros before row 0
        of the history), ``out`` float64 (m,). A window that is not whole gives NaN. Row t uses rows ≤ t.
    periods : tuple of int
        The catalogued ones, in bars; any others may be asked for.
    least : tuple of int
        Smallest period allowed at each place; 2 where it is left out.
    warmup : callable
        Periods → number of first rows that are NaN: the window of a windowed formula; for a recursive one, as many bars as it takes until a
        computation that began elsewhere agrees to 1e-6 of the spread of its values.
    lookback : callable
        Periods → rows before ``start`` that the kernel reads.
    state_size : callable
        Periods → numbers of carried state; 0 for a windowed formula.
    low, high : float or callable
        Bounds of every value, as numbers or from the periods; infinite where there is none.
    needs : frozenset of str
        What it cannot do without: ``spread``, ``volume``, ``others`` (another symbol), ``news``.
    is_recursive : bool
        Whether it remembers its first bar.
    fixed_name : str, optional
        The feature's name where the catalogued periods are not part of it.
    """

    name: str
    family: str
    source: str
    text: str
    kernel: Kernel = field(repr=False, compare=False)
    periods: tuple[int, ...] = ()
    least: tuple[int, ...] = ()
    warmup: Callable[..., int] = no_rows
    lookback: Callable[..., int] = no_rows
    state_size: Callable[..., int] = no_rows
    low: float | Callable[..., float] = -math.inf
    high: float | Callable[..., float] = math.inf
    needs: frozenset[str] = frozenset()
    is_recursive: bool = False
    fixed_name: str | None = None

    def named(self, periods: tuple[int, ...] | None = None) -> str:
        """The feature's name with these periods, the catalogued ones by default."""
        chosen = self.periods if periods is None else periods
        if self.fixed_name is not None and chosen == self.periods:
            return self.fixed_name
        return "_".join((self.name, *map(str, chosen)))
