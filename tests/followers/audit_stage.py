"""A log with a difference to judge, and an engine with its audit whose replica a test plays."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from fairbook.core import admin_records, state
from fairbook.core.exchange import Exchange
from fairbook.core.parts import with_detail
from fairbook.core.state_slices import slice_bytes
from fairbook.engine.engine import Engine
from fairbook.engine.runner import Runner
from fairbook.engine.snapshots import Snapshots
from fairbook.followers import audit_files, wire
from fairbook.followers.audit import Audit
from fairbook.followers.audit_files import Verdict, edit_memory, finding_hash, write_verdict
from fairbook.followers.judge import ENGINE, REPLICA, judge
from fairbook.followers.pauses import DIFFERENCE
from fairbook.followers.replica_link import Mismatch, ReplicaLink
from fairbook.log.file_log import FileLog
from tests.world import traffic
from tests.world.money import new_reference

COUNT = 4
HELD_ATOMS = 12_345


def filled_log(directory: Path, seed: int = 1, count: int = 60) -> Runner:
    """A log on disk, and the state after it: open orders, and a hold of account 2."""
    log = FileLog(directory)
    runner = Runner(Exchange())
    hold = admin_records.hold(
        account=2, asset=2, atoms=HELD_ATOMS, reference=new_reference(), detail=bytes(32)
    )
    frames = [*traffic.frames(seed=seed, count=count), hold + traffic.buy(2)]
    for number, frame in enumerate(frames):
        runner.apply(log.append(frame, traffic.START_NS + number))
        if number == count // 2:
            Snapshots(directory).write(runner.snapshot())
    log.close()
    return runner


def accuse(
    directory: Path,
    runner: Runner,
    harmed: dict[str, Callable[[Exchange], None]],
    *,
    count: int = COUNT,
) -> Verdict:
    """The files of a difference in a slice: each of `harmed` has its memory changed."""
    index = count // 2
    place: dict[str, Any] = {"position": runner.position, "index": index, "count": count}
    for who in (ENGINE, REPLICA):
        exchange = state.load(state.dump(runner.exchange))
        if who in harmed:
            harmed[who](exchange)
        octets = slice_bytes(exchange, index, count)
        place[who] = sha256(octets).hexdigest()
        path = audit_files.slice_path(directory, runner.position, index, count, who)
        audit_files.write_audit_file(path, octets)
    verdict: Verdict = {
        "status": "found",
        "position": runner.position,
        "at": "2026-01-02T03:04:05.678+00:00",
        "wrong": None,
        ENGINE: {"id": "engine-1", "version": "1"},
        REPLICA: {"id": "replica-1", "version": "1"},
        "events": None,
        "slices": [place],
        "differences": [],
    }
    write_verdict(directory, verdict)
    return verdict


def pause_for(directory: Path, verdict: Verdict) -> None:
    """Log the pause of a verdict, as the process did that found the difference."""
    log = FileLog(directory)
    pause = admin_records.pause(admin_records.BY_AUDIT, DIFFERENCE)
    log.append(with_detail(pause, finding_hash(verdict)), log.last.time_ns + 1)
    log.close()


def one_atom(exchange: Exchange) -> None:
    in_slice_2 = len(exchange.tables.accounts) * 2 // COUNT
    edit_memory(exchange, account=in_slice_2, asset=2, field=0, atoms=1)


class Stage:
    """An engine, its link and its audit, and a replica played by the test over a real socket."""

    def __init__(self, directory: Path, engine: Engine) -> None:
        self.directory = directory
        self.engine = engine
        self.exchange = engine.runner.exchange
        self.link = ReplicaLink(engine.runner, on_mismatch=self._on_mismatch)
        self.replaced: list[str] = []
        self.judged = 0
        self.audit = Audit(
            directory,
            self.exchange,
            engine.commands,
            self.link,
            run_judge=self._judge,
            replace_replica=self.replaced.append,
        )
        self.begin_replica()

    def begin_replica(self) -> None:
        self.replica, ours = socket.socketpair()
        self.replica.setblocking(False)
        self.messages = wire.MessageParser()
        self.link.connect(ours)

    def _on_mismatch(self, mismatch: Mismatch) -> None:
        self.audit.add(mismatch)

    async def _judge(self) -> Verdict:
        self.judged += 1
        return judge(self.directory)

    def hello(self, version: str = wire.VERSION) -> None:
        words = {"id": "replica-of-a-test", "version": version}
        self.replica.send(wire.pack_text(wire.HELLO, json.dumps(words)))

    def done(self) -> None:
        done = wire.pack(wire.PROGRESS, self.engine.position, 0)
        self.replica.send(done)

    async def deny_a_slice(self) -> None:
        """Report that the next slice differs."""
        loop = asyncio.get_running_loop()
        while True:
            for message in self.messages.feed(await loop.sock_recv(self.replica, 65536)):
                if message.kind == wire.SLICE:
                    self.replica.send(
                        wire.pack(
                            wire.SLICE_DIFFERS,
                            message.position,
                            message.number,
                            message.detail,
                            bytes(32),
                        )
                    )
                    return


def staged(directory: Path, story: Callable[[Stage], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        engine = await Engine.start(FileLog(directory), Snapshots(directory))
        if not engine.catalogue.markets():
            await asyncio.gather(*[engine.commands.submit(each) for each in traffic.setup()])
        stage = Stage(directory, engine)
        try:
            stage.audit.start()
            await story(stage)
        finally:
            await stage.audit.stop()
            stage.link.disconnect("the test ends")
            stage.replica.close()
            await engine.stop()

    asyncio.run(main())


async def agree_with_all(stage: Stage) -> None:
    """Agree with every frame and slice."""
    stage.hello()
    stage.done()
    loop = asyncio.get_running_loop()
    while True:
        for message in stage.messages.feed(await loop.sock_recv(stage.replica, 65536)):
            if message.kind in (wire.APPLIED, wire.SLICE):
                serial = message.number if message.kind == wire.SLICE else 0
                done = wire.pack(wire.PROGRESS, message.position, serial)
                await loop.sock_sendall(stage.replica, done)


@asynccontextmanager
async def agreeing(stage: Stage) -> AsyncIterator[None]:
    """The replica agrees with everything meanwhile."""
    task = asyncio.ensure_future(agree_with_all(stage))
    try:
        yield
    finally:
        task.cancel()
