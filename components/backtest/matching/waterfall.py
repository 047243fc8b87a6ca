"""From our profit to theirs, cause by cause, in cents that add up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from components.backtest.matching.causes import CAUSES


def waterfall(ours: float, theirs: float, amounts: Mapping[str, float], trades: Mapping[str, int]) -> pd.DataFrame:
    """Rows ``cause trades amount``: our profit, each cause that moves a cent, their profit.

    Amounts are whole cents, and our profit with all causes makes theirs to the cent: what rounding leaves over goes where the fraction of a
    cent was largest.

    Parameters
    ----------
    ours, theirs : float
        Net profits, account currency.
    amounts : mapping of str to float
        Money by cause; they sum to `theirs` less `ours`.
    trades : mapping of str to int
        How many trades each cause touches.
    """
    names = [name for name in CAUSES if abs(amounts.get(name, 0.0)) >= 0.005 or trades.get(name, 0)]
    exact = np.array([100.0 * amounts.get(name, 0.0) for name in names])
    start, end = round(100.0 * ours), round(100.0 * theirs)
    cents = np.floor(exact + 0.5).astype(np.int64)
    left = end - start - int(cents.sum())
    if not names and left:
        names, exact, cents = ["conversion"], np.array([float(left)]), np.array([left])
    elif left:
        step = 1 if left > 0 else -1
        order = np.argsort(-step * (exact - cents), kind="stable")
        whole, rest = divmod(abs(left), len(names))
        cents = cents + step * whole
        cents[order[:rest]] += step
    rows = [
        ("ours", int(trades.get("ours", 0)), start),
        *((name, int(trades.get(name, 0)), int(cent)) for name, cent in zip(names, cents, strict=True)),
    ]
    rows.append(("theirs", int(trades.get("theirs", 0)), end))
    return pd.DataFrame({"cause": [row[0] for row in rows], "trades": [row[1] for row in rows], "amount": [row[2] / 100.0 for row in rows]})


def rows_of(frame: pd.DataFrame) -> Sequence[dict[str, Any]]:
    """The rows as plain JSON values."""
    return [{"cause": str(c), "trades": int(t), "amount": float(a)} for c, t, a in frame.itertuples(index=False)]
