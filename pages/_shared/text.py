"""Values as words: every number with its unit, every time in UTC, a dash where there is nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

DASH = "–"
SMALLEST_POWER = 4
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def utc(ms: int | None, seconds: bool = True) -> str:
    """Epoch milliseconds as ``2017-04-19 09:00:00``; a dash for None."""
    if ms is None:
        return DASH
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")


def span(milliseconds: float | None) -> str:
    """A duration in its two largest units: ``3 d 4 h``, ``2 min 5 s``, ``640 ms``; a dash for None."""
    if milliseconds is None:
        return DASH
    if milliseconds < 1_000:
        return f"{max(0, round(milliseconds))} ms"
    seconds = int(milliseconds // 1_000)
    parts = [(seconds // 86_400, "d"), (seconds % 86_400 // 3_600, "h"), (seconds % 3_600 // 60, "min"), (seconds % 60, "s")]
    first = next(place for place, (value, _) in enumerate(parts) if value)
    return " ".join(f"{value} {unit}" for value, unit in parts[first : first + 2] if value)


def age(ms: int | None, now: int) -> str:
    """How long ago an instant was, as ``12 s ago``; a dash for None."""
    return DASH if ms is None else f"{span(now - ms)} ago"


def number(value: float | None, digits: int = 2, unit: str = "", sign: bool = False) -> str:
    """A number with its unit; a dash for None and NaN, ``∞`` for infinity."""
    if value is None or math.isnan(value):
        return DASH
    text = f"{'−' if value < 0 else ''}∞" if math.isinf(value) else f"{value:{'+' if sign else ''},.{digits}f}".replace("-", "−")
    return f"{text} {unit}".strip()


def significant(value: float | None, digits: int = 4) -> str:
    """A number of any size with so many digits that say something: ``1,234``, ``0.0009975``, ``−7.632 × 10⁻⁷``; a dash for None and NaN."""
    if value is None or math.isnan(value):
        return DASH
    if value == 0 or math.isinf(value):
        return number(value, 0)
    power = math.floor(math.log10(abs(value)))
    if -SMALLEST_POWER <= power < digits + 3:
        return number(value, max(digits - 1 - power, 0))
    return f"{number(value / 10.0**power, digits - 1)} × 10{str(power).translate(_SUPERSCRIPT)}"


def percent(fraction: float | None, digits: int = 2, sign: bool = False) -> str:
    """A fraction as percent."""
    return number(None if fraction is None else fraction * 100, digits, "%", sign)


def size(count: int | None) -> str:
    """Bytes as ``1.2 GB``, in powers of 1,000."""
    if count is None:
        return DASH
    value, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:,.0f} {unit}" if unit == "B" else f"{value:,.1f} {unit}"


def pairs(values: Mapping[str, Any]) -> str:
    """A mapping in one line: ``fast 10 · slow 30``."""
    return " · ".join(f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}" for key, value in values.items()) or DASH


def plural(count: int, one: str, many: str | None = None) -> str:
    """``1 bar``, ``5,000 bars``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def side_word(side: int) -> str:
    """``long``, ``short`` or a dash."""
    return "long" if side > 0 else "short" if side < 0 else DASH
