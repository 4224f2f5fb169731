"""The maker's process and a real exchange: life from outside, kill -9, silence, SIGTERM."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fairbook.net import control_socket as control
from tests.world.exchange_process import SOURCE, ExchangeProcess
from tests.world.rest_client import OutcomeUnknown, RestClient
from tests.world.waiting import wait_until

SYMBOLS = ("SOL_USDC", "BTC_USDC", "ETH_USDC")


def until(condition: Callable[[], Any], what: str) -> None:
    def holds() -> Any:
        try:
            return condition()
        except OutcomeUnknown:
            return None  # The exchange is down.

    wait_until(holds, what, interval_s=0.05)


@contextmanager
def maker(venue: ExchangeProcess) -> Iterator[subprocess.Popen[bytes]]:
    """A maker with the tokens of the two demo accounts."""
    credentials = venue.folder / "bot.json"
    accounts = {"maker": venue.demo("demo1"), "taker": venue.demo("demo2")}
    written = json.loads(venue.demo_path.read_bytes())
    credentials.write_text(json.dumps({**written, "accounts": accounts}))
    credentials.chmod(0o600)
    with (venue.folder / "bot.txt").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "fairbook", "maker", "--credentials", str(credentials)],
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


class Seen:
    """Market data, and the maker's own orders."""

    def __init__(self, venue: ExchangeProcess) -> None:
        self.rest = RestClient(venue.http_port, venue.demo("demo1")["token"])

    def best(self, symbol: str) -> tuple[str, str]:
        depth = self.rest.expect(200, "GET", f"/api/v1/depth?symbol={symbol}&limit=5")
        return depth["bids"][-1][0], depth["asks"][0][0]

    def last_trade(self, symbol: str) -> int:
        trades = self.rest.call("GET", f"/api/v1/trades?symbol={symbol}&limit=1").body
        return int(trades[0]["id"]) if isinstance(trades, list) and trades else 0

    def own(self) -> int:
        return len(self.rest.expect(200, "GET", "/api/v1/orders"))


@pytest.mark.slow
def test_the_maker_lives_with_a_real_exchange(tmp_path: Path) -> None:
    """All markets trade and move; it survives a killed exchange; SIGTERM ends it and its orders."""
    with ExchangeProcess(tmp_path) as venue, maker(venue) as process:
        seen = Seen(venue)
        until(lambda: all(map(seen.last_trade, SYMBOLS)), "all markets trade")
        first = [seen.best(symbol) for symbol in SYMBOLS]
        moved: set[int] = set()

        def have_moved() -> bool:
            moved.update(n for n, s in enumerate(SYMBOLS) if seen.best(s) != first[n])
            return len(moved) == len(SYMBOLS)

        until(have_moved, "all prices move")

        seen.rest.close()
        venue.kill()
        venue.start()
        before = {symbol: seen.last_trade(symbol) for symbol in SYMBOLS}
        until(
            lambda: all(seen.last_trade(symbol) > before[symbol] for symbol in SYMBOLS),
            "trades go on after a crash",
        )

        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
        until(lambda: seen.own() == 0, "its orders go with it")
        lines = (venue.folder / "bot.txt").read_bytes().splitlines()
        assert len(lines) < 20, "it logs little"
        seen.rest.close()


@pytest.mark.slow
def test_a_frozen_exchange_ends_the_connection(tmp_path: Path) -> None:
    """It stops with all connections open: the maker disconnects, and later reconnects."""
    with ExchangeProcess(tmp_path) as venue, maker(venue):
        seen = Seen(venue)
        until(lambda: all(map(seen.last_trade, SYMBOLS)), "all markets trade")
        venue.signal(signal.SIGSTOP)
        try:
            until(lambda: b"nothing received" in (tmp_path / "bot.txt").read_bytes(), "it gives up")
        finally:
            venue.signal(signal.SIGCONT)
        before = {symbol: seen.last_trade(symbol) for symbol in SYMBOLS}
        until(
            lambda: all(seen.last_trade(symbol) > before[symbol] for symbol in SYMBOLS),
            "trades go on",
        )
        assert seen.own()
        seen.rest.close()


def test_no_maker_outlives_its_exchange(tmp_path: Path) -> None:
    """The maker notices that the exchange was killed, and ends."""
    with ExchangeProcess(tmp_path, maker=True) as venue:
        until(lambda: control.ask(tmp_path, "status")["maker"]["pid"], "there is a maker")
        pid = int(control.ask(tmp_path, "status")["maker"]["pid"])
        assert runs(pid)
        venue.kill()
        until(lambda: not runs(pid), "the maker has ended")


def runs(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie."""
    said = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return said.stdout.strip()[:1] not in ("", "Z")
