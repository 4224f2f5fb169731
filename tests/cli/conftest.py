"""A small exchange with a log, for the commands that read one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.world.logged_exchange import LoggedExchange


@pytest.fixture
def logged(tmp_path: Path) -> Iterator[LoggedExchange]:
    """Its log stays open: it is inspected while it is in use."""
    exchange = LoggedExchange(tmp_path)
    yield exchange
    exchange.close()
