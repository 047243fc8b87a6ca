"""News features: tone and volume of the news about the base and the quote currency, as they stood when a bar closed.

What counts is when something was **first seen**, not what span of time it speaks of: a bucket that is not there yet is unknown, not zero, and
a revised value counts from its own first sight on. Values hold until something newer is seen, for `FeatureInputs.stale_hours` at most.

`NewsSteps` computes them from what was seen; there is nothing in the bars for a kernel to read.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right

import numpy as np

from components.features.compiled import compiled
from components.features.formula import Floats, Formula, Ints
from components.fx import BadInput

HOUR_MS = 3_600_000
LEAST_BUCKETS = 8
"""Buckets that a standard score needs."""


def _nothing_in_bars(data: Floats, open_ms: Ints, origin: int, start: int, stop: int, params: Floats, state: Floats, out: Floats) -> None:
    raise BadInput("features", "a feature of news is computed from news, not from bars; give them with the inputs")


@compiled
def _standard_score(values: Floats) -> float:
    """Standard score of the last value among all; 0 where they are equal."""
    mean, squares = 0.0, 0.0
    for value in values:
        mean += value
    mean /= len(values)
    for value in values:
        squares += (value - mean) * (value - mean)
    deviation = math.sqrt(squares / len(values))
    return (values[-1] - mean) / deviation if deviation > 1e-12 * abs(mean) else 0.0


def _formulas(side: str) -> tuple[Formula, ...]:
    needs, source = frozenset({"news"}), "GDELT timelines, Leetaru and Schrodt 2013"
    about = f"of the news about the {side} currency"
    return (
        Formula(f"{side}_tone", "news", source, f"tone {about}, newest bucket seen by the close", _nothing_in_bars, needs=needs),
        Formula(
            f"{side}_tone_change", "news", source, f"tone {about} as it stands less as it stood {{0}} hours before", _nothing_in_bars, (24,),
            least=(1,), needs=needs,
        ),
        Formula(
            f"{side}_tone_z", "news", source, f"standard score of the tone {about} in the buckets of the last {{0}} hours, at least {LEAST_BUCKETS}",
            _nothing_in_bars, (168,), least=(2,), needs=needs,
        ),
        Formula(f"{side}_news_volume", "news", source, f"volume {about}, newest bucket seen by the close", _nothing_in_bars, low=0.0, needs=needs),
        Formula(
            f"{side}_news_volume_z", "news", source,
            f"standard score of the volume {about} in the buckets of the last {{0}} hours, at least {LEAST_BUCKETS}",
            _nothing_in_bars, (168,), least=(2,), needs=needs,
        ),
        Formula(f"{side}_news_hours", "news", source, f"hours from the last sight {about} to the close", _nothing_in_bars, low=0.0, needs=needs),
    )  # fmt: skip


FORMULAS: tuple[Formula, ...] = _formulas("base") + _formulas("quote")
NEWS_NAMES = frozenset(formula.name for formula in FORMULAS)


class NewsSteps:
    """One news feature of one currency as a step function of time: it changes only when something is seen.

    Parameters
    ----------
    formula : str
        Name of one of `FORMULAS`; its first word says base or quote and is left aside.
    hours : int
        Its period.
    stale_hours : float
        Hours after the last sight from which the value is unknown.
    """

    def __init__(self, formula: str, hours: int, stale_hours: float) -> None:
        self.measure = formula.split("_", 1)[1]
        self.column = "volume" if "volume" in self.measure else "tone"
        self._window_ms = hours * HOUR_MS
        self._stale_ms = stale_hours * HOUR_MS
        self._buckets: list[int] = []
        self._values = np.empty(64)
        self._times: list[int] = []
        self._steps: list[float] = []

    def see(self, seen_ms: int, bucket_ms: int, value: float) -> None:
        """Take in what was first seen at an instant, not before what was seen before; NaN says nothing."""
        if self.measure == "news_hours":
            self._step(seen_ms, 0.0)
        elif not math.isnan(value):
            self._place(bucket_ms, value)
            self._step(seen_ms, self._score() if self.measure.endswith("_z") else float(self._values[len(self._buckets) - 1]))

    def at(self, close_ms: Ints) -> Floats:
        """The value at each instant, shape (n,) to (n,); NaN before the first sight and where the last one is too long ago."""
        known, since = self._known(close_ms)
        if self.measure == "news_hours":
            return since / HOUR_MS
        if self.measure == "tone_change":
            return known - self._known(close_ms - self._window_ms)[0]
        return known

    def at_one(self, close_ms: int) -> float:
        """The value at one instant: `at`, quickly."""
        place, since = self._place_of(close_ms)
        if place < 0:
            return math.nan
        if self.measure == "news_hours":
            return since / HOUR_MS
        if self.measure == "tone_change":
            before, _ = self._place_of(close_ms - self._window_ms)
            return self._steps[place] - self._steps[before] if before >= 0 else math.nan
        return self._steps[place]

    def forget(self, now_ms: int) -> None:
        """Let go of what no later instant than `now_ms` can ask for."""
        first = max(bisect_right(self._times, now_ms - self._window_ms - self._stale_ms) - 1, 0)
        del self._times[:first], self._steps[:first]
        if self._buckets:
            old = min(bisect_right(self._buckets, self._buckets[-1] - self._window_ms), len(self._buckets) - 1)
            if old:
                self._values[: len(self._buckets) - old] = self._values[old : len(self._buckets)].copy()
                del self._buckets[:old]

    def as_dict(self) -> dict[str, list[float] | list[int]]:
        """What it remembers, as plain values."""
        values = self._values[: len(self._buckets)].tolist()
        return {"buckets": list(self._buckets), "values": values, "times": list(self._times), "steps": list(self._steps)}

    def take(self, remembered: dict[str, list[float] | list[int]]) -> None:
        """Go on from what `as_dict` gave."""
        self._buckets, self._times = [int(one) for one in remembered["buckets"]], [int(one) for one in remembered["times"]]
        self._steps = [float(one) for one in remembered["steps"]]
        self._values = np.empty(max(64, 2 * len(self._buckets)))
        self._values[: len(self._buckets)] = remembered["values"]

    def _place(self, bucket_ms: int, value: float) -> None:
        size = len(self._buckets)
        place = bisect_left(self._buckets, bucket_ms)
        if place < size and self._buckets[place] == bucket_ms:
            self._values[place] = value
            return
        if size == len(self._values):
            self._values = np.concatenate((self._values, np.empty(size)))
        self._values[place + 1 : size + 1] = self._values[place:size].copy()
        self._values[place] = value
        self._buckets.insert(place, bucket_ms)

    def _score(self) -> float:
        first = bisect_right(self._buckets, self._buckets[-1] - self._window_ms)
        values = self._values[first : len(self._buckets)]
        return float(_standard_score(values)) if len(values) >= LEAST_BUCKETS else math.nan

    def _step(self, seen_ms: int, value: float) -> None:
        if self._times and self._times[-1] == seen_ms:
            self._steps[-1] = value
        else:
            self._times.append(seen_ms)
            self._steps.append(value)

    def _place_of(self, at_ms: int) -> tuple[int, int]:
        """The step at an instant, −1 where there is none or it is stale, and the milliseconds since it."""
        place = bisect_right(self._times, at_ms) - 1
        since = at_ms - self._times[place] if place >= 0 else 0
        return (place, since) if since <= self._stale_ms else (-1, 0)

    def _known(self, at_ms: Ints) -> tuple[Floats, Floats]:
        """The step at each instant and the milliseconds since it, NaN where there is none or it is stale."""
        if not self._times:
            return np.full(len(at_ms), np.nan), np.full(len(at_ms), np.nan)
        times, steps = np.array(self._times, dtype=np.int64), np.array(self._steps)
        places = np.searchsorted(times, at_ms, side="right") - 1
        since = np.where(places >= 0, at_ms - times[np.maximum(places, 0)], np.nan)
        since[since > self._stale_ms] = np.nan
        return np.where(np.isnan(since), np.nan, steps[np.maximum(places, 0)]), since
