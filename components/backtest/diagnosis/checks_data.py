"""What the run was made on: stale bars, gaps, quality, old rates, training data, warm-up."""

from __future__ import annotations

import numpy as np

from components.backtest.diagnosis.check import Said, bound, check
from components.backtest.diagnosis.evidence import MS_PER_DAY, Evidence


@check("flat_bars", "Decided on stale prices", "doubt", "Look at these bars; where nothing moved, nothing could be traded either.", fewest=10)
def flat_bars(e: Evidence) -> Said | None:
    """The bar before an entry did not move at all."""
    rows, bars = e.entry_rows, e.bars
    if rows is None or bars is None:
        return None
    flat = bars["high"].to_numpy() == bars["low"].to_numpy()
    found = flat[np.maximum(rows - 1, 0)]
    part = float(np.mean(found))
    if part < bound("flat_bars", "share"):
        return None
    words = f"{int(found.sum())} of {len(rows)} trades ({part:.0%}) were decided on a bar in which the price did not move."
    return words, {"trades": int(found.sum()), "share": part, "flat_bars": int(flat.sum())}


@check(
    "gap_entries",
    "Entered after holes in the data",
    "doubt",
    "Collect the missing bars or another source; an entry after a hole uses a price that nobody saw.",
    fewest=10,
)
def gap_entries(e: Evidence) -> Said | None:
    """The bar of an entry is not the one that should follow; weekends are no hole."""
    rows = e.entry_rows
    if rows is None or e.timeframe is None or len(e.curve_ms) < 2:
        return None
    step = np.diff(e.curve_ms, prepend=e.curve_ms[:1])
    # A hole up to three days that begins on Friday afternoon is the weekend, wherever the week ends.
    weekday = (e.curve_ms // MS_PER_DAY + 3) % 7
    is_weekend = (np.append(weekday[:1], weekday[:-1]) >= 4) & ((weekday == 6) | (weekday == 0)) & (step <= 3.5 * MS_PER_DAY)
    hole = (step > e.timeframe.ms) & ~is_weekend
    if e.timeframe.ms >= MS_PER_DAY:
        hole &= step > 4 * e.timeframe.ms
    part = float(np.mean(hole[rows]))
    if part < bound("gap_entries", "share"):
        return None
    words = f"{int(hole[rows].sum())} of {len(rows)} trades ({part:.0%}) entered on the first bar after a hole within the week."
    return words, {"trades": int(hole[rows].sum()), "share": part, "holes": int(hole.sum())}


@check("poor_bars", "Bars of poor quality", "doubt", "Read the quality report of these bars, repair them or take another source.", fewest=0)
def poor_bars(e: Evidence) -> Said | None:
    """The bar set's own score is low."""
    score = None if e.quality is None else e.quality.get("score")
    if score is None or float(score) >= bound("poor_bars", "score"):
        return None
    return f"The quality of the bars is {float(score):.1f} of 100; below {bound('poor_bars', 'score'):.0f} they are quarantined.", {
        "score": float(score)
    }


@check("released_bars", "Bars that were quarantined", "note", "Read why they were quarantined and who released them.", fewest=0)
def released_bars(e: Evidence) -> Said | None:
    """A person decided that these bars may be used."""
    if e.quality is None or e.quality.get("state") != "released":
        return None
    return "The bars were quarantined, and a person released them.", {"score": e.quality.get("score")}


@check("old_rates", "Converted by reference rates", "note", "Give bars of the pair that converts the profit, as conversion_bar_set_ids.", fewest=1)
def old_rates(e: Evidence) -> Said | None:
    """Profit is converted by daily fixes, not by prices."""
    facts = e.stats.get("conversion") or {}
    rows, hours = int(facts.get("reference_rows") or 0), float(facts.get("reference_oldest_hours") or 0.0)
    if rows == 0 or hours < bound("old_rates", "hours"):
        return None
    words = f"The profit of {rows:,} bars was converted by daily reference rates, up to {hours:.0f} hours old."
    return words, {"rows": rows, "oldest_hours": hours, "oldest_fix": facts.get("reference_oldest_fix")}


@check("trained_on", "Trades what its model learned from", "fatal", "Run it only over bars after the model's training.", fewest=1)
def trained_on(e: Evidence) -> Said | None:
    """Entries inside the training time of the run's model."""
    if e.trained_until_ms is None:
        return None
    seen = int((e.entry_ms < e.trained_until_ms).sum())
    if seen == 0:
        return None
    return f"{seen} of {len(e.trades)} trades entered before the end of what the model was trained on.", {"trades": seen}


@check("warm_up", "Short for its warm-up", "note", "Begin the bars earlier: decisions are settled only after the warm-up.", fewest=1)
def warm_up(e: Evidence) -> Said | None:
    """Much of the run is warm-up."""
    rows = e.entry_rows
    if not e.warmup_bars or rows is None or not len(e.curve):
        return None
    part = e.warmup_bars / len(e.curve)
    if part < bound("warm_up", "share"):
        return None
    early = int((rows <= e.warmup_bars).sum())
    words = f"{e.warmup_bars:,} of {len(e.curve):,} bars ({part:.0%}) are warm-up; {early} of {len(rows)} trades entered in it."
    return words, {"warmup_bars": e.warmup_bars, "bars": len(e.curve), "share": part, "trades": early}
