"""The name of a feature is its recipe: ``[SYMBOL.][TIMEFRAME.]formula[_p1[_p2…]][.shift_k]``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from components.features.formula import LARGEST_PERIOD
from components.fx import BadInput, Timeframe

_FORMULA = re.compile(r"([a-z][a-z0-9]*(?:_[a-z][a-z0-9]*)*)((?:_(?:0|[1-9][0-9]*))*)")
_SHIFT = re.compile(r"shift_([1-9][0-9]*)")
_SYMBOL = re.compile(r"[A-Z][A-Z0-9]{2,}")


@dataclass(frozen=True)
class FeatureName:
    """A feature's name, taken apart; ``str()`` puts it together again.

    Parameters
    ----------
    symbol : str, optional
        Whose bars; the dataset's own symbol where it is None.
    timeframe : Timeframe, optional
        Of which length; the bars' own where it is None.
    formula : str
        The formula's name without its periods.
    periods : tuple of int
        As given in the name; empty for a formula that has none, or whose name stands for its usual ones.
    shift : int
        Bars of the bars' own timeframe by which the value is older; 0 is the bar itself.
    """

    symbol: str | None
    timeframe: Timeframe | None
    formula: str
    periods: tuple[int, ...] = ()
    shift: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether it is computed from the bars at hand: no other symbol and no other timeframe."""
        return self.symbol is None and self.timeframe is None

    @property
    def stem(self) -> str:
        """Formula and periods alone, ``rsi_14``."""
        return "_".join((self.formula, *map(str, self.periods)))

    def __str__(self) -> str:
        timeframe = None if self.timeframe is None else self.timeframe.name
        shift = f"shift_{self.shift}" if self.shift else None
        return ".".join(part for part in (self.symbol, timeframe, self.stem, shift) if part)


def parse_name(name: str) -> FeatureName:
    """Take a feature's name apart; whether such a formula exists is for the catalogue to say.

    Parameters
    ----------
    name : str
        For example ``rsi_14``, ``H4.rsi_14``, ``GBPUSD.return_1``, ``GBPUSD.H4.rsi_14.shift_2``.

    Raises
    ------
    BadInput
        If the name is not of this form, or a shift is above `LARGEST_PERIOD`.
    """
    parts = str(name).split(".")
    shift = 0
    if len(parts) > 1 and (shifted := _SHIFT.fullmatch(parts[-1])):
        shift = int(shifted.group(1))
        parts.pop()
        if shift > LARGEST_PERIOD:
            raise BadInput("features", f"{name!r} is shifted by {shift} bars; at most {LARGEST_PERIOD} are allowed")
    stem = _FORMULA.fullmatch(parts.pop())
    timeframe = Timeframe[parts.pop()] if parts and parts[-1] in Timeframe.__members__ else None
    symbol = parts.pop() if parts and _SYMBOL.fullmatch(parts[-1]) else None
    if stem is None or parts:
        raise BadInput("features", f"{name!r} is no feature's name; write it as rsi_14, H4.rsi_14 or GBPUSD.H4.rsi_14.shift_2")
    return FeatureName(symbol, timeframe, stem.group(1), tuple(int(period) for period in stem.group(2).split("_")[1:]), shift)
