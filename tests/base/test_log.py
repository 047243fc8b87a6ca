"""Log lines go to the standard error of the moment."""

from __future__ import annotations

import io
import json
import sys

import pytest

from components.base import configure_log, get_log


def test_a_line_goes_to_the_standard_error_of_its_moment_and_never_to_one_that_was_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", first)
    configure_log("WARNING")
    log = get_log("bridge")
    log.warning("one", value=1)
    monkeypatch.setattr(sys, "stderr", second)
    before = first.getvalue()
    first.close()
    log.warning("two", value=2)
    assert json.loads(before)["event"] == "one"
    assert json.loads(second.getvalue()) | {"timestamp": ""} == {"event": "two", "room": "bridge", "level": "warning", "value": 2, "timestamp": ""}
