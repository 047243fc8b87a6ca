"""Which bars each window of a walk-forward learns from and which it is tested on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from components.backtest.cpcv import Stretch, cpcv_splits
from components.fx import BadInput

Mode = Literal["rolling", "anchored", "combinatorial"]
TRAIN_PER_TEST = 4
WINDOWS = 6
LEAST_BARS = 2


@dataclass(frozen=True)
class Window:
    """One window; spans are (first bar, bar after the last one), in order of time.

    Parameters
    ----------
    number : int
        From 0.
    train : tuple of (int, int)
        What parameters and models are chosen on: one span, or several in combinatorial mode.
    test : tuple of (int, int)
        What they are then tried on: one span, or one per tested group in combinatorial mode.
    groups : tuple of int
        The tested groups in combinatorial mode, else empty.
    """

    number: int
    train: tuple[Stretch, ...]
    test: tuple[Stretch, ...]
    groups: tuple[int, ...] = ()

    @property
    def train_bars(self) -> int:
        """Bars of the training part."""
        return sum(end - first for first, end in self.train)

    @property
    def test_bars(self) -> int:
        """Bars of the test part."""
        return sum(end - first for first, end in self.test)


def walk_windows(
    bars: int,
    mode: Mode,
    *,
    train_bars: int | None = None,
    test_bars: int | None = None,
    windows: int | None = None,
    purge: int = 0,
    embargo: int = 0,
) -> tuple[Window, ...]:
    """Windows that move through time: each is tested on the bars that follow its training part.

    Parameters
    ----------
    bars : int
    mode : {'rolling', 'anchored'}
        Rolling windows all train on `train_bars`; anchored ones all begin at the first bar, so that `train_bars` is the length of the first.
    train_bars, test_bars, windows : int, optional
        Lengths of the parts, and how many windows there are. What is left out follows from the others; a training part is 4 times as long
        as a test part where neither says otherwise (Pardo 2008 advises test parts of a fifth to a third of the training part), and there are
        6 windows where nothing is said at all.
    purge, embargo : int
        Bars between a training part and its test part that are in neither.

    Returns
    -------
    tuple of Window
        The test parts follow each other without gap or overlap and end with the last bar; bars that fill no window are the oldest ones.

    Raises
    ------
    BadInput
        If a length is out of its bounds, or the windows do not fit into the bars.
    """
    for name, value, least in (
        ("train_bars", train_bars, LEAST_BARS),
        ("test_bars", test_bars, LEAST_BARS),
        ("windows", windows, 1),
        ("purge_bars", purge, 0),
        ("embargo_bars", embargo, 0),
    ):
        if value is not None and value < least:
            raise BadInput(name, f"{value} is below {least}")
    gap = purge + embargo
    train, test, count = _lengths(bars - gap, train_bars, test_bars, windows)
    if min(train, test) < LEAST_BARS or count < 1 or train + gap + count * test > bars:
        asked = f"{count} windows of {test:,} bars after {train:,} training bars and a gap of {gap:,}"
        raise BadInput("windows" if windows else "train_bars", f"{asked} do not fit into {bars:,} bars; ask for fewer or shorter ones")
    first_test = bars - count * test
    made = []
    for number in range(count):
        start = first_test + number * test
        begin = 0 if mode == "anchored" else start - gap - train
        made.append(Window(number, ((begin, start - gap),), ((start, start + test),)))
    return tuple(made)


def combinatorial_windows(bars: int, groups: int, test_groups: int, purge: int, embargo: int) -> tuple[Window, ...]:
    """The splits of combinatorial purged cross-validation as windows; see `cpcv_splits`."""
    if bars < groups * LEAST_BARS:
        raise BadInput("groups", f"{groups} groups need at least {groups * LEAST_BARS} bars; there are {bars}")
    made = []
    for split in cpcv_splits(bars, groups, test_groups, purge, embargo):
        train = tuple((first, end) for first, end in split.train if end - first >= LEAST_BARS)
        if not train:
            raise BadInput("embargo_bars", f"with groups {split.test_groups} tested, {purge} + {embargo} bars leave nothing to train on")
        made.append(Window(split.number, train, split.test, split.test_groups))
    return tuple(made)


def _lengths(room: int, train: int | None, test: int | None, windows: int | None) -> tuple[int, int, int]:
    """Length of a training part, of a test part, and number of windows, from those that are given; `room` is what the gap leaves."""
    if train is None and test is None:
        windows = windows or WINDOWS
        test = room // (windows + TRAIN_PER_TEST)
    if test is None:
        assert train is not None
        test = (room - train) // windows if windows else max(train // TRAIN_PER_TEST, LEAST_BARS)
    if train is None:
        train = room - windows * test if windows else TRAIN_PER_TEST * test
    return train, test, windows or (room - train) // test
