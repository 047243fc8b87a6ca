"""The parser under the file sources: exact where a text is right, precise about where it is wrong."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from components.fx import BadInput
from components.pipeline.sources import text_table
from components.pipeline.sources.mapped_table import epoch_ms
from components.pipeline.sources.text_file import as_utf8
from components.pipeline.sources.text_table import Layout, fixed_times_ms, read_table
from tests.pipeline.lookalikes import ms

LAYOUT = Layout(";", ("time", "a", ""), ("time",))


def times_of(texts: text_table.Texts) -> tuple[text_table.Ints, text_table.Flags]:
    """Times of the tests."""
    return fixed_times_ms(texts["time"], ("YYYYMMDD hhmmss",))


def one(text: str, *patterns: str) -> tuple[int, bool]:
    """A single time, and whether it is bad."""
    time_ms, is_bad = fixed_times_ms(pa.chunked_array([[text]]), patterns)
    return int(time_ms[0]), bool(is_bad[0])


@pytest.mark.parametrize(
    ("text", "pattern", "wanted"),
    [
        ("20200229 235959", "YYYYMMDD hhmmss", "2020-02-29T23:59:59"),
        ("20200101 170000065", "YYYYMMDD hhmmssfff", "2020-01-01T17:00:00.065"),
        ("1969.12.31 23:59", "YYYY.MM.DD hh:mm", "1969-12-31T23:59"),
        ("2013-01-01 22:00:00.295999", "YYYY-MM-DD hh:mm:ss.ffffff", "2013-01-01T22:00:00.295"),
    ],
)
def test_a_time_in_fixed_columns_is_read_to_the_millisecond(text: str, pattern: str, wanted: str) -> None:
    assert one(text, pattern) == (ms(wanted), False)


@pytest.mark.parametrize("text", ["20210229 000000", "20211301 000000", "20210100 000000", "20210101 240000", "20210101 006000", "2021010a 000000", "20210101T000000", "20210101 00000:", "20a10101 000000", "20210101", ""])  # fmt: skip
def test_what_is_no_time_is_said_to_be_none(text: str) -> None:
    assert one(text, "YYYYMMDD hhmmss")[1]


def test_times_of_several_lengths_are_each_read_by_their_own_pattern() -> None:
    texts = pa.chunked_array([["01:02", "01:02:03", "x"], ["01:02:03.004"]])
    time_ms, is_bad = fixed_times_ms(texts, ("hh:mm", "hh:mm:ss", "hh:mm:ss.fff"))
    assert time_ms[[0, 1, 3]].tolist() == [3_720_000, 3_723_000, 3_723_004]
    assert is_bad.tolist() == [False, False, True, False]


def test_a_sliced_column_is_read_from_where_it_begins() -> None:
    texts = pa.chunked_array([pa.array(["20200101 000000", "20200102 000000", "20200103 000000"]).slice(1)])
    assert fixed_times_ms(texts, ("YYYYMMDD hhmmss",))[0].tolist() == [ms("2020-01-02"), ms("2020-01-03")]


def test_bad_rows_are_found_across_portions_and_left_out_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_table, "_ROWS_AT_ONCE", 4)
    lines = [f"202001{day:02d} 000000;{day};junk" for day in range(1, 21)]
    lines[6], lines[13], lines[19] = "20200107 000000;seven;", "20200114;14;", "20200120 000000;20"
    text = "\n".join(lines).encode()
    table = read_table(text, LAYOUT, times_of, "x.csv", is_strict=False)
    assert table.numbers["a"].tolist() == [day for day in range(1, 21) if day not in (7, 14, 20)]
    assert (np.diff(table.time_ms) > 0).all()
    assert table.rejected == 3
    assert table.examples == (
        "line 7: a 'seven' is not a number",
        "line 14: time '20200114' is no time as the first row writes it",
        "line 20: 2 cells instead of 3 in '20200120 000000;20'",
    )
    with pytest.raises(BadInput, match=r"x\.csv line 7: a 'seven'"):
        read_table(text, LAYOUT, times_of, "x.csv")


def test_the_slow_way_reads_what_the_fast_way_reads() -> None:
    rng = np.random.default_rng(5)
    text = "".join(f"20200101 00{n // 60:02d}{n % 60:02d};{value:.17g};0\n" for n, value in enumerate(rng.normal(0, 1e3, 600))).encode()
    fast = read_table(text, LAYOUT, times_of, "x.csv")
    slow = text_table._line_by_line(text, LAYOUT, times_of, "x.csv", True)
    assert (fast.time_ms == slow.time_ms).all()
    assert (fast.numbers["a"] == slow.numbers["a"]).all()
    assert fast.rejected == slow.rejected == 0


def test_a_text_with_nothing_readable_says_why() -> None:
    with pytest.raises(BadInput, match="no row that could be read; line 1: time 'nothing'"):
        read_table(b"nothing;1;2\n", LAYOUT, times_of, "x.csv", is_strict=False)


def test_epoch_numbers_keep_their_milliseconds() -> None:
    assert epoch_ms(np.array([1577898000.065, np.nan, 1.9999]), "s")[0].tolist() == [1577898000065, 0, 1999]
    assert epoch_ms(np.array([1577898000.065, np.nan]), "s")[1].tolist() == [False, True]
    assert epoch_ms(np.array([1577898000065999999]), "ns")[0].tolist() == [1577898000065]


def test_utf16_without_a_mark_is_known_by_its_zeros() -> None:
    for encoding in ("utf-16-le", "utf-16-be", "utf-16", "utf-8", "utf-8-sig"):
        assert as_utf8("<DATE>\tü".encode(encoding), "x") == "<DATE>\tü".encode()
    with pytest.raises(BadInput, match="begins as utf-16 text and is not"):
        as_utf8(b"\xff\xfea", "x.csv")
