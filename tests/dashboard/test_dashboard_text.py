"""Numbers, times and forms in words."""

from __future__ import annotations

import math

import pytest

from components.fx import BadInput, Corrupt, NotFound, PlatformError, Refused, Unavailable
from components.strategy import catalogue
from pages._shared import deploy, forms, liveness, text
from pages._shared.parts import WHAT_TO_DO, plain


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [(None, "–"), (0, "0 ms"), (640, "640 ms"), (1_000, "1 s"), (125_000, "2 min 5 s"), (3_600_000, "1 h"), (273_600_000, "3 d 4 h"), (-5, "0 ms")],
)
def test_a_duration_is_told_in_its_two_largest_units(milliseconds: float | None, words: str) -> None:
    assert text.span(milliseconds) == words


def test_times_are_told_in_utc() -> None:
    assert text.utc(1_492_592_400_000) == "2017-04-19 09:00:00"
    assert text.utc(1_492_592_400_000, seconds=False) == "2017-04-19 09:00"
    assert text.utc(None) == "–"


@pytest.mark.parametrize(
    ("value", "words"), [(None, "–"), (math.nan, "–"), (math.inf, "∞"), (-math.inf, "−∞"), (1234.5, "1,234.50 USD"), (-0.5, "−0.50 USD")]
)
def test_a_number_carries_its_unit_and_nothing_is_a_dash(value: float | None, words: str) -> None:
    assert text.number(value, 2, "USD" if value is not None and math.isfinite(value) else "") == words


def test_a_share_is_told_as_percent_with_its_sign() -> None:
    assert text.percent(0.1549, sign=True) == "+15.49 %"
    assert text.percent(-0.0436, sign=True) == "−4.36 %"


@pytest.mark.parametrize(("count", "words"), [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (25_300_000_000, "25.3 GB"), (None, "–")])
def test_bytes_are_told_in_powers_of_a_thousand(count: int | None, words: str) -> None:
    assert text.size(count) == words


def test_one_is_not_many() -> None:
    assert [text.plural(1, "bar"), text.plural(5_000, "bar"), text.plural(2, "try", "tries")] == ["1 bar", "5,000 bars", "2 tries"]


@pytest.mark.parametrize("error", [BadInput("lots", "is negative"), NotFound("gone"), Refused("rule", "no"), Unavailable("later"), Corrupt("broken")])
def test_every_error_of_the_platform_comes_with_what_to_do(error: PlatformError) -> None:
    assert any(isinstance(error, kind) for kind in WHAT_TO_DO)


def test_text_from_outside_is_not_read_as_markdown() -> None:
    assert plain("`a` *b* <c> $d$ [e](f)") == r"\`a\` \*b\* \<c\> \$d\$ \[e\]\(f\)"


def test_bounds_of_a_field_are_told() -> None:
    assert forms.describe({"type": "integer", "minimum": 2, "maximum": 500}) == "from 2, to 500"
    assert forms.describe({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1, "description": "a share"}) == "a share, above 0, below 1"
    assert forms.describe({"type": "boolean"}) is None


def test_every_parameter_of_every_strategy_gets_an_input() -> None:
    for strategy in catalogue():
        for name, spec in strategy.params.model_json_schema()["properties"].items():
            assert forms.is_plain(spec), f"{strategy.name}.{name} cannot be drawn"


@pytest.mark.parametrize(
    ("what", "row", "words"),
    [
        ("bar", (0, 1.1, 1.2, 1.0, 1.15, 40.0), "open 1.1, high 1.2, low 1, close 1.15, volume 40"),
        ("signal", (0, "open", 1, 0.1, None, 1.05, 1.3), "open long, lots 0.1, stop 1.05, target 1.3"),
        ("fill", (0, "closed", 7, -1, 0.1, 1.2, "STOP", -5.0, 0.7), "closed no. 7 short by stop, lots 0.1, at 1.2, profit -5, cost 0.7"),
        ("fill", None, "nothing"),
    ],
)
def test_every_kind_of_difference_from_the_twin_is_told(what: str, row: tuple[object, ...] | None, words: str) -> None:
    assert deploy._row_words(what, row) == words


def test_a_bar_that_waits_is_called_late_after_the_grace_only(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000
    monkeypatch.setattr(liveness, "now_ms", lambda: now)
    assert not liveness._waits_long("d-grace", 10)
    now += liveness.GRACE_MS - 1
    assert not liveness._waits_long("d-grace", 10)
    now += 1
    assert liveness._waits_long("d-grace", 10)
    assert not liveness._waits_long("d-grace", 20), "the next bar has its own grace"
    now += liveness.GRACE_MS
    assert not liveness._waits_long("d-grace", None)
    assert not liveness._waits_long("d-grace", 20)
