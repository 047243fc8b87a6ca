"""Combinatorial purged cross-validation, checked against the worked example of López de Prado (2018), chapter 12."""

from __future__ import annotations

from itertools import combinations, pairwise
from math import comb

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from components.backtest.cpcv import CpcvSplit, cpcv_paths, cpcv_splits, group_spans
from components.fx import BadInput


def rows_of(spans: tuple[tuple[int, int], ...]) -> set[int]:
    return {row for first, end in spans for row in range(first, end)}


def test_six_groups_with_two_tested_make_the_fifteen_splits_and_five_paths_of_the_book() -> None:
    splits = cpcv_splits(600, 6, 2)
    assert len(splits) == 15
    assert [split.test_groups for split in splits] == list(combinations(range(6), 2))
    paths = cpcv_paths(6, 2)
    assert len(paths) == 5
    # Figure 12.1 and the text below it: path 1 is (G1,S1), (G2,S1), (G3,S2), (G4,S3), (G5,S4), (G6,S5); path 2 (G1,S2), (G2,S6), (G3,S6), …
    assert [split + 1 for split in paths[0]] == [1, 1, 2, 3, 4, 5]
    assert [split + 1 for split in paths[1]] == [2, 6, 6, 7, 8, 9]


@given(groups=st.integers(2, 9), data=st.data())
def test_every_tested_group_of_every_split_is_in_exactly_one_path(groups: int, data: st.DataObject) -> None:
    tested = data.draw(st.integers(1, groups - 1))
    paths = cpcv_paths(groups, tested)
    assert len(paths) * groups == tested * comb(groups, tested)
    used = [(split, group) for path in paths for group, split in enumerate(path)]
    splits = cpcv_splits(groups * 10, groups, tested)
    assert sorted(used) == sorted((split.number, group) for split in splits for group in split.test_groups)


@given(rows=st.integers(60, 400), groups=st.integers(3, 7), purge=st.integers(0, 6), embargo=st.integers(0, 6), data=st.data())
def test_nothing_trained_on_is_tested_or_within_reach_of_a_test(rows: int, groups: int, purge: int, embargo: int, data: st.DataObject) -> None:
    tested = data.draw(st.integers(1, groups - 1))
    try:
        splits = cpcv_splits(rows, groups, tested, purge, embargo)
    except BadInput:
        assume(False)
    for split in splits:
        test, train = rows_of(split.test), rows_of(split.train)
        forbidden = {row + off for row in test for off in range(-purge, purge + embargo + 1)}
        assert train == set(range(rows)) - forbidden
        assert not any(row + purge in test for row in train)
        assert [first for first, _ in split.train] == sorted(first for first, _ in split.train)


def test_groups_cut_the_rows_without_gap_and_nearly_evenly() -> None:
    spans = group_spans(5_000, 6)
    assert (spans[0][0], spans[-1][1]) == (0, 5_000)
    assert all(before[1] == after[0] for before, after in pairwise(spans))
    assert np.ptp([end - first for first, end in spans]) <= 1


def test_purge_and_embargo_take_their_rows_behind_a_test_and_only_the_purge_before_it() -> None:
    split = next(one for one in cpcv_splits(100, 5, 1, purge=3, embargo=4) if one.test_groups == (2,))
    assert split == CpcvSplit(2, (2,), ((0, 37), (67, 100)), ((40, 60),))


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ((100, 1, 1), "groups"), ((3, 5, 2), "groups"), ((100, 5, 0), "test_groups"), ((100, 5, 5), "test_groups"),
        ((10_000, 40, 20), "groups"), ((100, 5, 1, -1), "purge_bars"), ((100, 5, 1, 0, -1), "embargo_bars"), ((100, 4, 2, 20, 60), "embargo_bars"),
    ],
)  # fmt: skip
def test_what_cannot_be_split_says_why(arguments: tuple[int, ...], field: str) -> None:
    with pytest.raises(BadInput) as error:
        cpcv_splits(*arguments)
    assert error.value.field == field
