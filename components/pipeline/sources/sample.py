"""The sample: 5,000 real hourly bars that are installed with the package backtesting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from components.base import now_ms
from components.fx import Unavailable
from components.pipeline.frames import content_hash
from components.pipeline.sources.source import KnownPiece, NoOptions, Piece, Request, SourceContext, refuse_unless

HELD = (("EURUSD", "H1"),)


class Sample:
    """Bars for a first look, without network and without files of one's own."""

    name = "sample"
    gives = "bars"
    is_network = False
    note = (
        "5,000 real hourly EURUSD bars, April 2017 to February 2018, of the package backtesting (AGPL); bid prices and tick volume, UTC. "
        "No spread is recorded in it: a spread used with it is an assumption about cost, not data."
    )
    options = NoOptions

    def offers(self) -> tuple[tuple[str, str], ...]:
        """EURUSD H1."""
        return HELD

    def pieces(self, request: Request, known: Mapping[str, KnownPiece], context: SourceContext) -> Iterator[Piece]:
        """The whole sample as one piece."""
        refuse_unless(HELD, self.name, request)
        bars = sample_bars()
        digest = content_hash(bars)
        if "sample" in known and known["sample"].raw_sha256 == digest:
            return
        context.progress(0.3, f"{len(bars):,} bars read from the package backtesting")
        yield Piece("sample", "package backtesting: backtesting.test.EURUSD", bars, digest, int(bars.memory_usage().sum()), now_ms())


def sample_bars() -> pd.DataFrame:
    """The bars as the package has them, times in UTC.

    Raises
    ------
    Unavailable
        If the package is not installed.
    """
    # Read from the installed package at run time: it is AGPL, and no copy of it is kept in this repository. The package itself is not
    # imported, as it brings its plotting along. Its times carry no zone; they are UTC, which the weekly opens show: 21:00 while New York
    # has summer time, 22:00 from 2017-11-05 on (17:00 New York).
    found = find_spec("backtesting")
    try:
        if found is None or found.origin is None:
            raise FileNotFoundError("no module named backtesting")
        bars = pd.read_csv(Path(found.origin).parent / "test" / "EURUSD.csv", index_col=0, parse_dates=True)
    except FileNotFoundError as error:
        raise Unavailable(f"the sample bars need the package backtesting: {error}") from error
    return bars.rename(columns=str.lower).tz_localize("UTC")
