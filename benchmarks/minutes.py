"""The bars that backtests are measured on: the real EURUSD minutes of 2019 where they are at hand, else a seeded random walk that says so."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd

from components.fx import validate_bars
from components.pipeline import Request, SourceContext, source_named

ROOT = Path(__file__).resolve().parents[1]
FILE = Path("histdata") / "HISTDATA_COM_ASCII_EURUSD_M12019.zip"
ROWS = 370_000


def real_file() -> Path:
    """Where the real minutes would be: under SEQUENCE_REALDATA, or beside the repository."""
    return Path(os.environ.get("SEQUENCE_REALDATA") or ROOT.parent / "shared" / "data") / FILE


def random_minutes(rows: int, seed: int = 20190101) -> pd.DataFrame:
    """Minute bars of a random walk on the grid of points."""
    rng = np.random.default_rng(seed)
    close = np.round(1.1 * np.exp(np.cumsum(rng.normal(0, 1e-4, rows))), 5)
    opens = np.concatenate((close[:1], close[:-1]))
    high = np.round(np.maximum(opens, close) + rng.integers(0, 8, rows) * 1e-5, 5)
    low = np.round(np.minimum(opens, close) - rng.integers(0, 8, rows) * 1e-5, 5)
    index = pd.date_range("2019-01-01", periods=rows, freq="min", tz="UTC")
    return validate_bars(pd.DataFrame({"open": opens, "high": high, "low": low, "close": close}, index=index))


def minutes(rows: int = ROWS) -> tuple[pd.DataFrame, str]:
    """The last `rows` minutes, and words for what they are."""
    path = real_file()
    if not path.exists():
        return random_minutes(rows), f"random walk M1 (the real minutes are not here: no {FILE} under SEQUENCE_REALDATA)"
    (piece,) = source_named("histdata").pieces(Request("EURUSD", "M1", options={"path": str(path)}), {}, SourceContext(path.parent))
    return validate_bars(piece.frame.iloc[-rows:]), "EURUSD M1 2019, real"
