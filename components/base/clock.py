"""The platform's clock: UTC only."""

from __future__ import annotations

import time


def now_ms() -> int:
    """Now, in epoch milliseconds UTC."""
    return time.time_ns() // 1_000_000
