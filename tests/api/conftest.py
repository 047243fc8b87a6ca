"""An API for each test, or one for a whole file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from api_process import FACTS, Api


def _running(home: Path) -> Iterator[Api]:
    api = Api(home)
    api.start()
    yield api
    for client in api.clients:
        client.close()
    if api.process is not None and api.process.poll() is None:
        api.kill()


@pytest.fixture
def api(home: Path) -> Iterator[Api]:
    """An API of this test's own."""
    yield from _running(home)


@pytest.fixture(scope="module")
def shared_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API that the tests of one file share, with one account that has said hello."""
    for api in _running(tmp_path_factory.mktemp("shared")):
        api.client().hello(FACTS)
        yield api
