"""The key and the signatures: what is accepted once, and what never."""

from __future__ import annotations

import hashlib
import hmac
import os
import threading
from pathlib import Path

import pytest

from components.bridge import Unsigned, Verifier, load_or_make_key, sign_request
from components.fx import Corrupt

KEY = bytes(range(32))
NOW = 1_700_000_000_000
PATH = "/api/v1/signals/pending?account_id=a&lease_id=1"


def check(
    verifier: Verifier, *, time_ms: int = NOW, with_nonce: str = "nonce-0001", body: bytes = b"", at_ms: int = NOW, key: bytes = KEY, **changed: str
) -> None:
    signature = sign_request(key, "GET", PATH, time_ms, with_nonce, body)
    sent = {"method": "GET", "path_with_query": PATH, "time_text": str(time_ms), "nonce": with_nonce, "signature": signature} | changed
    verifier.check(**sent, body=body, at_ms=at_ms)


def refusal(verifier: Verifier, **changes: object) -> str:
    with pytest.raises(Unsigned) as error:
        check(verifier, **changes)  # type: ignore[arg-type]
    assert error.value.http_status == 401
    return error.value.code


@pytest.fixture
def verifier() -> Verifier:
    return Verifier(KEY, started_ms=NOW - 60_000)


def test_the_signature_is_hmac_over_five_lines_so_that_any_language_can_make_it() -> None:
    body = b'{"a":1}'
    text = f"POST\n/api/v1/tick\n{NOW}\nabcdefgh\n{hashlib.sha256(body).hexdigest()}"
    assert sign_request(KEY, "POST", "/api/v1/tick", NOW, "abcdefgh", body) == hmac.new(KEY, text.encode(), "sha256").hexdigest()


def test_a_signed_request_is_accepted_once_and_its_replay_is_refused(verifier: Verifier) -> None:
    check(verifier)
    assert refusal(verifier) == "replayed"
    assert refusal(verifier, at_ms=NOW + 29_000) == "replayed"
    check(verifier, with_nonce="nonce-0002")


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"method": "POST"}, "bad_signature"),
        ({"path_with_query": PATH + "&limit=9"}, "bad_signature"),
        ({"time_text": str(NOW + 1)}, "bad_signature"),
        ({"nonce": "nonce-0009"}, "bad_signature"),
        ({"signature": "00" * 32}, "bad_signature"),
        ({"signature": "é"}, "bad_signature"),
        ({"signature": ""}, "missing_header"),
        ({"time_text": ""}, "missing_header"),
        ({"nonce": ""}, "missing_header"),
        ({"time_text": "yesterday"}, "bad_header"),
        ({"time_text": "-5"}, "bad_header"),
        ({"time_text": "٣"}, "bad_header"),
        ({"time_text": "9" * 40}, "bad_header"),
        ({"nonce": "short"}, "bad_header"),
        ({"nonce": "n" * 65}, "bad_header"),
    ],
)
def test_whatever_was_changed_on_the_way_is_refused(verifier: Verifier, changed: dict[str, str], code: str) -> None:
    assert refusal(verifier, **changed) == code


def test_a_changed_body_or_another_key_is_refused(verifier: Verifier) -> None:
    with pytest.raises(Unsigned):
        verifier.check("GET", PATH, str(NOW), "nonce-0001", sign_request(KEY, "GET", PATH, NOW, "nonce-0001", b"1"), b"2", NOW)
    assert refusal(verifier, key=bytes(32)) == "bad_signature"


def test_a_clock_that_drifts_is_told_apart_from_a_bad_signature(verifier: Verifier) -> None:
    assert refusal(verifier, time_ms=NOW - 30_001) == "clock_drift"
    assert refusal(verifier, time_ms=NOW + 5_001) == "clock_drift"
    check(verifier, time_ms=NOW - 30_000)
    check(verifier, time_ms=NOW + 5_000, with_nonce="nonce-0002")


def test_a_replay_is_refused_after_a_restart_too() -> None:
    check(Verifier(KEY, started_ms=NOW - 10))
    assert refusal(Verifier(KEY, started_ms=NOW + 1), at_ms=NOW + 2) == "clock_drift"


def test_nonces_are_forgotten_only_when_their_time_is_refused_anyway(verifier: Verifier) -> None:
    check(verifier, time_ms=NOW + 5_000)
    assert refusal(verifier, time_ms=NOW + 5_000, at_ms=NOW + 35_000) == "replayed"
    for number in range(50):
        check(verifier, with_nonce=f"later-{number:04d}", time_ms=NOW + 100_000, at_ms=NOW + 100_000)
    assert len(verifier._seen) == 50


def test_of_many_equal_requests_at_once_one_is_accepted(verifier: Verifier) -> None:
    outcomes: list[str] = []

    def send() -> None:
        try:
            check(verifier)
            outcomes.append("accepted")
        except Unsigned as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=send) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["accepted"] + ["replayed"] * 15


def test_the_key_is_made_once_for_the_owner_only(home: Path) -> None:
    keys: list[bytes] = []
    threads = [threading.Thread(target=lambda: keys.append(load_or_make_key(home / "deeper"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1
    assert len(keys[0]) == 32
    assert os.stat(home / "deeper" / "api_key").st_mode & 0o777 == 0o600
    assert [path.name for path in (home / "deeper").iterdir()] == ["api_key"]


def test_a_damaged_key_file_is_said_to_be_one(home: Path) -> None:
    (home / "api_key").write_text("not a key")
    with pytest.raises(Corrupt, match="delete it to make a new key"):
        load_or_make_key(home)
