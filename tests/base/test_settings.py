"""Settings, clock and log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from components.base import ROOT, load_settings, now_ms
from components.base.settings import Settings
from components.fx import BadInput


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No SEQUENCE_* of the machine, no .env, and nothing remembered."""
    for name in [name for name in os.environ if name.startswith("SEQUENCE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setitem(Settings.model_config, "env_file", None)
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


def test_without_an_environment_everything_has_a_default() -> None:
    settings = load_settings()
    assert settings.home == ROOT / "output_central"
    assert (settings.host, settings.api_port, settings.dashboard_port) == ("127.0.0.1", 5000, 8504)
    assert settings.api_url == "http://127.0.0.1:5000"


def test_the_environment_is_read_once_and_frozen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEQUENCE_HOME", str(tmp_path))
    monkeypatch.setenv("SEQUENCE_API_PORT", "5055")
    settings = load_settings()
    assert (settings.home, settings.api_port) == (tmp_path, 5055)
    monkeypatch.setenv("SEQUENCE_API_PORT", "5066")
    assert load_settings().api_port == 5055
    with pytest.raises(ValidationError, match="frozen"):
        settings.api_port = 1


@pytest.mark.parametrize(
    ("name", "value"),
    [("SEQUENCE_API_PORT", "five"), ("SEQUENCE_API_PORT", "0"), ("SEQUENCE_DASHBOARD_PORT", "70000"), ("SEQUENCE_LOG_LEVEL", "LOUD")],
)
def test_a_bad_variable_is_named_with_its_value(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BadInput, match=value) as refused:
        load_settings()
    assert refused.value.field == name


def test_a_server_database_is_refused_until_it_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQUENCE_DATABASE_URL", "postgresql://localhost/sequence")
    with pytest.raises(BadInput, match="not supported yet") as refused:
        load_settings()
    assert refused.value.field == "SEQUENCE_DATABASE_URL"


def test_the_clock_is_in_milliseconds_utc() -> None:
    assert abs(now_ms() - time.time() * 1000) < 1000


def test_the_log_is_one_json_line_per_event_on_standard_error() -> None:
    script = (
        "from components.base import configure_log, get_log\n"
        "configure_log('INFO'); log = get_log('jobs'); log.debug('hidden'); log.info('shown', job='7')\n"
        "try: 1 / 0\n"
        "except ZeroDivisionError as error: log.error('bad', exc_info=error)"
    )
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    shown, bad = [json.loads(line) for line in run.stderr.splitlines()]
    assert run.stdout == ""
    assert (shown["event"], shown["room"], shown["job"], shown["level"]) == ("shown", "jobs", "7", "info")
    assert shown["timestamp"].endswith("Z")
    assert "ZeroDivisionError" in bad["exception"]
