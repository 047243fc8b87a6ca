"""Errors, signals and the book's layout: what other rooms rely on."""

from __future__ import annotations

import pytest

from components.fx import BadInput, Corrupt, NotFound, PlatformError, Refused, Signal, SignalState, Unavailable, book


def test_every_error_says_what_the_caller_does_next() -> None:
    errors = [
        BadInput("lots", "−1 is not positive"),
        NotFound("no run 7"),
        Refused("daily_loss", "limit reached"),
        Unavailable("busy"),
        Corrupt("bad"),
    ]
    assert [error.http_status for error in errors] == [400, 404, 409, 503, 500]
    assert len({error.exit_code for error in errors}) == len(errors)
    assert 0 not in {error.exit_code for error in errors}
    assert [error.code for error in errors] == ["bad_input", "not_found", "daily_loss", "unavailable", "corrupt"]
    assert str(errors[0]) == errors[0].message == "lots: −1 is not positive"
    assert all(isinstance(error, PlatformError) for error in errors)


def test_a_signal_id_fits_an_mt5_comment() -> None:
    assert Signal("a" * 26, "1", "d", "open", "EURUSD").id == "a" * 26
    for wrong in ("", "a" * 27):
        with pytest.raises(BadInput, match="1 to 26"):
            Signal(wrong, "1", "d", "open", "EURUSD")


def test_only_a_signal_that_is_over_is_final() -> None:
    final = {state for state in SignalState if state.is_final}
    assert final == {SignalState.FILLED, SignalState.REJECTED, SignalState.EXPIRED, SignalState.CANCELLED}


@pytest.mark.parametrize(
    ("prefix", "size"),
    [("A_", "ACCOUNT"), ("P_", "POSITION"), ("O_", "ORDER"), ("R_", "REQUEST"), ("S_", "SPEC"), ("E_", "EVENT")],
)
def test_every_field_of_the_book_has_a_place_of_its_own(prefix: str, size: str) -> None:
    places = sorted(value for name, value in vars(book).items() if name.startswith(prefix))
    assert places == list(range(getattr(book, f"{size}_FIELDS")))
