"""A mailbox with one wall-clock account, and a tick store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from mailbox_parts import WALL

from components.bridge import Mailbox, TickStore


@pytest.fixture
def mailbox(home: Path) -> Iterator[Mailbox]:
    mailbox = Mailbox.open(home)
    mailbox.hello(WALL)
    yield mailbox
    mailbox.close()


@pytest.fixture
def ticks(home: Path) -> Iterator[TickStore]:
    ticks = TickStore.open(home)
    yield ticks
    ticks.close()
