"""The checks that run nothing, as tests, so that one summary tells everything: format, lint and types. Imports are in test_architecture."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from components.base import ROOT


@pytest.mark.parametrize("check", ["format", "lint", "types"])
def test_the_sources_pass(check: str) -> None:
    environment = {**os.environ, "PYTHON": sys.executable}
    done = subprocess.run((str(ROOT / ".ci" / "checks"), check), env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_check_that_fails_is_noticed() -> None:
    done = subprocess.run((str(ROOT / ".ci" / "checks"), "lint"), env={**os.environ, "PYTHON": "false"}, capture_output=True, check=False)
    assert done.returncode != 0
