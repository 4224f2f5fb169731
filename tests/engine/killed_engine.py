"""An engine of its own process, to be killed: `python -m tests.engine.killed_engine DIR SEED`.

It keeps 64 commands in flight, takes a snapshot now and then, and prints `sequence position` of
each command that it has an answer for. It never ends by itself.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from fairbook.core import records
from fairbook.engine.engine import Engine
from fairbook.engine.snapshots import Snapshots
from fairbook.log.file_log import FileLog
from tests.world import traffic

CLIENTS = 64
COMMANDS_PER_SNAPSHOT = 500


async def main(directory: Path, seed: int) -> None:
    engine = await Engine.start(
        FileLog(directory, segment_bytes=64 * 1024), Snapshots(directory), tick_after_s=0.01
    )
    if not engine.catalogue.markets():
        await asyncio.gather(*[engine.commands.submit(command) for command in traffic.setup()])
    traders = traffic.busy_traders(seed)

    async def client() -> None:
        for command in traders:
            answer = await engine.commands.submit(command)
            print(records.read_outcome(answer.events).sequence, answer.position, flush=True)

    async def photographer() -> None:
        while True:
            await engine.snapshot()
            await engine.queries.at(engine.position + COMMANDS_PER_SNAPSHOT // CLIENTS)

    await asyncio.gather(*[client() for _ in range(CLIENTS)], photographer())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
