"""A broker's clock in a few letters, as a person types it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

from components.fx import BadInput

if TYPE_CHECKING:
    from components.pipeline import BrokerClock

EXAMPLES = "us:2 is UTC+2 and UTC+3 in American summer, eu:2 the same by European dates, none:0 is UTC all year"


def clock_named(text: str | None) -> BrokerClock | None:
    """The clock that a text such as ``us:2`` names: rule of summer time (us, eu, none) and hours ahead of UTC in winter; None stays None.

    Raises
    ------
    BadInput
        If it names no clock.
    """
    if text is None:
        return None
    from components.pipeline import BrokerClock

    rule, _, hours = text.strip().lower().partition(":")
    try:
        minutes = float(hours) * 60.0
    except ValueError:
        minutes = float("nan")
    if rule not in ("us", "eu", "none") or not abs(minutes) <= 15 * 60 or minutes != round(minutes):
        raise BadInput("clock", f"{text!r} names no clock; {EXAMPLES}")
    return BrokerClock.named(cast(Literal["us", "eu", "none"], rule), int(minutes))
