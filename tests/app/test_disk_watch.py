"""Little room on the disk pauses trading, and a reserve is given back for cancels."""

import errno
import os
from pathlib import Path

import pytest

from fairbook.app.disk_watch import RESERVE_NAME, DiskWatch, free_bytes
from fairbook.cli import main
from fairbook.core import admin_records
from fairbook.core.admin_records import BY_OPERATOR
from fairbook.followers.pauses import DISK_LOW
from fairbook.net import control_socket
from tests.world.direct_exchange import DirectExchange, small_exchange
from tests.world.exchange_process import ExchangeProcess
from tests.world.http_client import bid
from tests.world.waiting import wait_until

MIB = 1 << 20


class Disk:
    """A file system of 1,000 MiB: the low mark is 50, the reserve 6."""

    def __init__(self, free_mib: int) -> None:
        self.free_mib = free_mib

    def __call__(self, _directory: Path) -> tuple[int, int]:
        return self.free_mib * MIB, 1000 * MIB


def reason(exchange: DirectExchange) -> int:
    return int(exchange.core.pause(BY_OPERATOR).reason)


async def test_trading_is_paused_below_the_low_mark_until_there_is_a_quarter_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    exchange, disk = small_exchange(), Disk(100)
    watch = DiskWatch(tmp_path, disk=disk)
    seen = []
    for disk.free_mib in (100, 50, 49, 48, 62, 63, 49, 100):
        await watch.check(exchange, exchange.core)
        seen.append(reason(exchange))
    assert seen == [0, 0, DISK_LOW, DISK_LOW, DISK_LOW, 0, DISK_LOW, 0]
    assert watch.status() == {
        "path": str(tmp_path), "free_bytes": 100 * MIB, "low_bytes": 50 * MIB, "has_reserve": True
    }  # fmt: skip
    assert [str(tmp_path) in record.message for record in caplog.records] == [True] * 4


async def test_the_pause_of_a_person_stays(tmp_path: Path) -> None:
    exchange, disk = small_exchange(), Disk(40)
    exchange.do(admin_records.pause(BY_OPERATOR, 7))
    watch = DiskWatch(tmp_path, disk=disk)
    for disk.free_mib in (40, 100):
        await watch.check(exchange, exchange.core)
        assert reason(exchange) == 7


async def test_the_reserve_has_real_blocks_and_is_given_back(tmp_path: Path) -> None:
    exchange, disk, reserve = small_exchange(), Disk(67), tmp_path / RESERVE_NAME
    watch = DiskWatch(tmp_path, disk=disk)
    await watch.check(exchange, exchange.core)
    assert not reserve.exists()  # With it, only 61 MiB would be free.
    disk.free_mib = 69
    await watch.check(exchange, exchange.core)
    assert reserve.stat().st_blocks * 512 >= 50 * MIB // 8
    for disk.free_mib in (49, 7):
        await watch.check(exchange, exchange.core)
        assert reserve.exists()
    disk.free_mib = 6
    await watch.check(exchange, exchange.core)
    assert not reserve.exists()
    disk.free_mib = 100
    await watch.check(exchange, exchange.core)
    assert reserve.exists()
    disk.free_mib = 6
    DiskWatch(tmp_path, disk=disk)  # A start gives it back too.
    assert not reserve.exists()


async def test_a_reserve_without_fallocate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS."""
    monkeypatch.delattr(os, "posix_fallocate")
    exchange, disk = small_exchange(), Disk(100)
    watch = DiskWatch(tmp_path, disk=disk)
    await watch.check(exchange, exchange.core)
    assert (tmp_path / RESERVE_NAME).stat().st_blocks * 512 >= 50 * MIB // 8


@pytest.mark.parametrize(
    ("number", "tries"), [(errno.ENOSPC, 2), (errno.EOPNOTSUPP, 1)], ids=["full", "unsupported"]
)
async def test_no_reserve_stops_nothing(
    number: int, tries: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without room it is tried again; a file system that cannot hold one is left alone."""
    tried = []

    def fail(*_arguments: int) -> None:
        tried.append(True)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", fail)
    exchange = small_exchange()
    watch = DiskWatch(tmp_path, disk=Disk(100))
    for _ in range(2):
        await watch.check(exchange, exchange.core)
    assert len(tried) == tries
    assert watch.status()["has_reserve"] is False
    assert reason(exchange) == 0


def test_a_real_exchange_says_where_room_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It takes cancels only, also after a restart, and trades once the mark is lower."""
    low = {"FAIRBOOK_DISK_LOW_MIB": str((free_bytes(tmp_path)[1] >> 20) + 1)}

    def is_paused() -> bool:
        return control_socket.ask(tmp_path, "status")["pauses"]["operator"] is not None

    with ExchangeProcess(tmp_path, environment=low) as exchange:
        wait_until(is_paused, exchange.stderr)
        client = exchange.rest()
        refused = client.call("POST", "/api/v1/order", bid("90", "0.1"))
        assert (refused.status, refused.body["code"]) == (503, "TRADING_PAUSED")
        client.expect(200, "DELETE", "/api/v1/orders", {"symbol": "SOL_USDC"})
        client.close()
        assert main(["status", str(tmp_path)]) == 1
        shown = capsys.readouterr().out
        assert "the disk is nearly full" in shown and f"MiB free at {tmp_path}" in shown
    with ExchangeProcess(tmp_path) as exchange:
        wait_until(lambda: not is_paused(), exchange.stderr)
