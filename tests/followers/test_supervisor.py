"""The supervisor of a child without a connection: starts, restarts, signals."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from fairbook.followers.supervisor import DAMAGED_ENDS_MAX, DAMAGED_EXIT_STATUS, PAUSE_S, Supervisor
from tests.world.waiting import until

READ_ON = "import sys; sys.stdin.read(); raise SystemExit(4)"
NOTE_SIGTERM = """
import pathlib, signal, sys, time
def note(*_):
    pathlib.Path(sys.argv[1]).write_text("told to end")
    raise SystemExit(0)
signal.signal(signal.SIGTERM, note)
pathlib.Path(sys.argv[1]).write_text("ready")
time.sleep(600)
"""


async def test_a_child_that_ends_is_started_again(tmp_path: Path) -> None:
    """However it ended."""
    supervisor = Supervisor("child", [sys.executable, "-c", READ_ON])
    supervisor.start()
    await until(lambda: supervisor.pid is not None)
    first = supervisor.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: supervisor.starts == 2 and supervisor.pid not in (None, first))
    assert supervisor.last_end == "by itself (exit status -9)"
    await supervisor.stop()
    assert supervisor.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)


async def test_a_child_that_a_damaged_file_stops_is_not_started_again_and_again() -> None:
    supervisor = Supervisor(
        "child", [sys.executable, "-c", f"raise SystemExit({DAMAGED_EXIT_STATUS})"]
    )
    supervisor.start()
    await until(lambda: supervisor.is_stopped)
    assert supervisor.starts == DAMAGED_ENDS_MAX
    assert supervisor.last_end == f"by itself (exit status {DAMAGED_EXIT_STATUS})"
    await asyncio.sleep(2 * PAUSE_S)
    assert supervisor.starts == DAMAGED_ENDS_MAX
    await supervisor.stop()


async def test_a_child_is_stopped_by_sigterm(tmp_path: Path) -> None:
    file = tmp_path / "said"
    supervisor = Supervisor("child", [sys.executable, "-c", NOTE_SIGTERM, str(file)])
    supervisor.start()
    await until(lambda: file.exists() and file.read_text() == "ready")
    await supervisor.stop()
    assert file.read_text() == "told to end"
    assert supervisor.starts == 1


async def test_a_child_that_ignores_sigterm_is_killed() -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    supervisor = Supervisor("child", [sys.executable, "-c", deaf], end_wait_s=0.5)
    supervisor.start()
    await until(lambda: supervisor.pid is not None)
    await asyncio.sleep(0.2)
    await supervisor.stop()
    assert supervisor.pid is None


async def test_a_stop_during_a_start_leaves_no_process() -> None:
    """The process that is being started is ended too."""
    for turns in range(4):
        supervisor = Supervisor("child", [sys.executable, "-c", READ_ON])
        supervisor.start()
        for _ in range(turns):
            await asyncio.sleep(0)
        await supervisor.stop()
        assert supervisor.pid is None


def test_a_child_can_see_that_its_parent_has_gone(tmp_path: Path) -> None:
    """Its standard input ends with the parent, also when the parent was killed."""
    parent = f"""
import asyncio, os, signal, sys
from fairbook.followers.supervisor import Supervisor
from tests.world.waiting import until
async def main():
    supervisor = Supervisor("child", [sys.executable, "-c", {READ_ON!r}])
    supervisor.start()
    while supervisor.pid is None:
        await asyncio.sleep(0.005)
    print(supervisor.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""

    async def main() -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", parent, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await process.communicate()
        await until(lambda: not _is_running(int(said)))

    asyncio.run(main())


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")  # A process that is not waited for stays, as a zombie.
    return not (status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] == "Z")
