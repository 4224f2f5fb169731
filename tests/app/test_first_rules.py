"""Two new exchanges never share an id or a salt, whether they begin with a generated day or not."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, closing
from pathlib import Path

from fairbook.app.exchange_app import ExchangeApp
from fairbook.app.settings import read_settings
from fairbook.app.venue_file import load_venue
from fairbook.core import records
from fairbook.core.records import Command
from fairbook.log.file_log import FileLog


def started(directory: Path, *, with_maker: bool) -> tuple[int, int]:
    """Build an exchange, without its ports; the id and the salt of its log."""
    directory.mkdir()
    options = {"FAIRBOOK_DATA": str(directory)}
    settings = read_settings(
        {"with_maker": with_maker, "with_replica": False, "with_recorder": False}, options
    )

    async def story() -> None:
        async with AsyncExitStack() as stack:
            await ExchangeApp.build(settings, load_venue(None), stack)

    asyncio.run(story())
    command = Command()
    with closing(FileLog(directory, read_only=True)) as log:
        command.read(next(log.read(1)).frame, 0, 1)
    assert command.kind == records.RULES
    return command.order_id, command.price


def test_new_exchanges_have_secrets_of_their_own(tmp_path: Path) -> None:
    found: list[int] = []
    for number in range(4):
        found += started(tmp_path / str(number), with_maker=number % 2 == 0)
    assert len(set(found)) == len(found) and 0 not in found
