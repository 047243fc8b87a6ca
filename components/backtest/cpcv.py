"""Combinatorial purged cross-validation: which rows each split trains and tests on, and which splits make up each path."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, pairwise
from math import comb

from components.fx import BadInput

Stretch = tuple[int, int]
"""First row, and the row after the last one."""

MOST_SPLITS = 2_000


@dataclass(frozen=True)
class CpcvSplit:
    """One split.

    Parameters
    ----------
    number : int
        From 0, in the order of `itertools.combinations`.
    test_groups : tuple of int
        The groups that are tested, in order.
    train : tuple of (int, int)
        Rows that may be trained on, as stretches in order of time; what is purged or under embargo is in none of them.
    test : tuple of (int, int)
        Rows of each of `test_groups`.
    """

    number: int
    test_groups: tuple[int, ...]
    train: tuple[Stretch, ...]
    test: tuple[Stretch, ...]


def group_spans(rows: int, groups: int) -> tuple[Stretch, ...]:
    """`rows` rows cut into `groups` stretches without gap or overlap, the lengths at most one apart."""
    edges = [rows * k // groups for k in range(groups + 1)]
    return tuple(pairwise(edges))


def cpcv_splits(rows: int, groups: int, test_groups: int, purge: int = 0, embargo: int = 0) -> tuple[CpcvSplit, ...]:
    """Every choice of `test_groups` out of `groups` stretches of time, each with what is left to train on.

    Parameters
    ----------
    rows : int
        Rows in order of time.
    groups, test_groups : int
        N and k of the book; 2 ≤ N ≤ rows, 1 ≤ k < N.
    purge : int
        Rows that a label (or whatever is learned from) looks ahead: that many are left out of the training part on both sides of a tested
        stretch, since a label that begins before it ends in it, and one that begins in it ends after it.
    embargo : int
        Rows left out of the training part after that, behind each tested stretch: what follows a test still echoes it.

    Returns
    -------
    tuple of CpcvSplit
        N over k of them.

    Raises
    ------
    BadInput
        If a number is out of its bounds, or a split has nothing left to train on.

    Notes
    -----
    Source: López de Prado (2018), Advances in Financial Machine Learning, chapters 7 (purge and embargo) and 12 (combinatorial splits).
    """
    if not 2 <= groups <= rows:
        raise BadInput("groups", f"{groups} groups of {rows:,} rows; there must be at least 2, and a row for each")
    if not 1 <= test_groups < groups:
        raise BadInput("test_groups", f"{test_groups} of {groups} groups tested; at least 1, and one must be left to train on")
    if comb(groups, test_groups) > MOST_SPLITS:
        raise BadInput("groups", f"{groups} groups with {test_groups} tested make {comb(groups, test_groups):,} splits; at most {MOST_SPLITS:,}")
    for name, value in (("purge_bars", purge), ("embargo_bars", embargo)):
        if value < 0:
            raise BadInput(name, f"{value} is below 0")
    spans = group_spans(rows, groups)
    made = []
    for number, chosen in enumerate(combinations(range(groups), test_groups)):
        train = _rest(rows, [spans[group] for group in chosen], purge, embargo)
        if not train:
            raise BadInput("embargo_bars", f"with groups {chosen} tested, purge {purge} and embargo {embargo} leave nothing to train on")
        made.append(CpcvSplit(number, chosen, train, tuple(spans[group] for group in chosen)))
    return tuple(made)


def cpcv_paths(groups: int, test_groups: int) -> tuple[tuple[int, ...], ...]:
    """For each path, the number of the split that tests each group.

    Every group is tested by φ = k/N · C(N, k) splits; path j takes the j-th of them for each group, so that each (split, tested group) is in
    exactly one path.

    Returns
    -------
    tuple of tuple of int, shape (φ, N)
    """
    choices = list(combinations(range(groups), test_groups))
    tested_by = [[number for number, chosen in enumerate(choices) if group in chosen] for group in range(groups)]
    return tuple(zip(*tested_by, strict=True))


def _rest(rows: int, tested: list[Stretch], purge: int, embargo: int) -> tuple[Stretch, ...]:
    """What is neither tested, nor within `purge` before, nor within `purge` + `embargo` after a tested stretch."""
    free: list[Stretch] = []
    start = 0
    for first, end in [*tested, (rows + purge, rows)]:
        if first - purge > start:
            free.append((start, first - purge))
        start = max(start, end + purge + embargo)
    return tuple(free)
