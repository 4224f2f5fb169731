"""`fairbook up` as a process: start, stop, crash, and what it refuses."""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

import pytest
from nacl.signing import SigningKey

from fairbook.cli import main
from tests.world.exchange_process import ExchangeProcess
from tests.world.http_client import bid, signed
from tests.world.rest_client import RestClient
from tests.world.waiting import WAIT_S, wait_until

SIGTERM = signal.SIGTERM


class Up(ExchangeProcess):
    """`fairbook up` and its demo accounts."""

    def __init__(
        self, folder: Path, *, followers: bool = False, http_port: int = 0,
        environment: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """followers: with replica and recorder, which take three times as long to start."""
        options = () if followers else ("--no-replica", "--no-recorder")
        super().__init__(folder, *options, http_port=http_port, environment=environment)

    def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """One request on a new connection; status and body."""
        with closing(RestClient(self.http_port)) as client:
            client.headers |= headers or {}
            return client.call(method, path, body)[:2]

    def by_token(self, name: str = "demo1") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.demo(name)['token']}"}

    def by_signature(
        self, instruction: str, fields: dict[str, str], name: str = "demo1"
    ) -> dict[str, str]:
        """The headers that sign `fields`."""
        key = SigningKey(base64.b64decode(self.demo(name)["apiSecret"]))
        at_ms = time.time_ns() // 1_000_000
        return signed(instruction, urlencode(sorted(fields.items())), at_ms=at_ms, key=key)

    def place(self, client_id: int) -> tuple[int, Any]:
        """A bid for SOL far below the ladder."""
        return self.call("POST", "/api/v1/order", limit_order(client_id), self.by_token())

    def open_client_ids(self) -> list[int]:
        """Of demo1's open orders."""
        status, orders = self.call("GET", "/api/v1/orders", headers=self.by_token())
        assert status == 200
        return sorted(order["clientId"] for order in orders)


def limit_order(client_id: int) -> dict[str, Any]:
    return bid("100", "1.5", clientId=client_id)


class Starter(Protocol):
    def __call__(self, *, followers: bool = False, **environ: str) -> Up: ...


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Starter]:
    """Start `up` on one directory; processes that still run at the end are killed."""
    started: list[Up] = []

    def start_one(*, followers: bool = False, **environ: str) -> Up:
        started.append(Up(tmp_path / "kept", followers=followers, environment=environ))
        started[-1].start()
        return started[-1]

    yield start_one
    for one in started:
        one.kill()


def test_demo_json_and_markets_are_complete_when_it_is_ready(up: Starter) -> None:
    exchange = up(followers=True)
    demo = exchange.demo_file()
    assert demo["http"] in exchange.stdout()
    assert f"\n  streams: {demo['ws']}\n" in exchange.stdout()
    assert exchange.call("GET", "/api/v1/ping") == (200, "pong")
    assert set(demo) == {"http", "ws", "accounts"}
    assert set(demo["accounts"]) == {"demo1", "demo2"}
    for account in demo["accounts"].values():
        assert set(account) == {"apiKey", "apiSecret", "token"}
        assert len(base64.b64decode(account["apiSecret"], validate=True)) == 32
    status, markets = exchange.call("GET", "/api/v1/markets")
    assert status == 200
    assert {market["symbol"]: market["filters"]["price"]["tickSize"] for market in markets} == {
        "SOL_USDC": "0.01",
        "BTC_USDC": "0.1",
        "ETH_USDC": "0.01",
    }
    assert [market["orderBookState"] for market in markets] == ["Open"] * 3


def test_orders_by_token_and_by_signature(up: Starter) -> None:
    exchange = up()
    status, placed = exchange.place(1)
    assert (status, placed["status"], placed["clientId"]) == (200, "New", 1)

    market_order: dict[str, str] = {
        "symbol": "BTC_USDC",
        "side": "Ask",
        "orderType": "Market",
        "quantity": "0.3",
    }
    headers = exchange.by_signature("orderExecute", market_order, "demo2")
    status, filled = exchange.call("POST", "/api/v1/order", market_order, headers)
    assert (status, filled["status"], filled["executedQuantity"]) == (200, "Filled", "0.3")

    headers = exchange.by_signature("balanceQuery", {}, "demo2")
    status, balances = exchange.call("GET", "/api/v1/capital", headers=headers)
    assert (status, balances["BTC"]["available"]) == (200, "999.7")

    forged = exchange.by_signature("orderExecute", market_order, "demo2") | {
        "X-API-Key": exchange.demo("demo1")["apiKey"]
    }
    status, refused = exchange.call("POST", "/api/v1/order", market_order, forged)
    assert (status, refused["code"]) == (401, "INVALID_SIGNATURE")


def test_an_orderly_stop_keeps_everything(up: Starter, capsys: pytest.CaptureFixture[str]) -> None:
    """SIGTERM: exit 0, a snapshot; the next start has the same orders, keys and tokens."""
    exchange = up(followers=True)
    for client_id in (1, 2, 3):
        assert exchange.place(client_id)[0] == 200
    accounts = exchange.demo_file()["accounts"]
    exchange.stop()
    assert len(list((exchange.folder / "snapshots").glob("*.snapshot"))) == 1

    again = up()
    assert again.open_client_ids() == [1, 2, 3]
    assert again.demo_file()["accounts"] == accounts
    status, repeated = again.place(2)
    assert (status, repeated["clientId"]) == (200, 2)
    assert again.open_client_ids() == [1, 2, 3]
    again.stop()
    lines = again.new_stderr().splitlines()
    recovered = next(line for line in lines if "recovered" in line)
    assert json.loads(recovered)["replayed"] == 0

    assert main(["verify", str(exchange.folder)]) == 0
    assert "digest" in capsys.readouterr().out


def test_a_crash_loses_nothing_acknowledged(up: Starter) -> None:
    """kill -9 right after the answer; `verify` agrees, also while it runs."""
    exchange = up()
    assert main(["verify", str(exchange.folder)]) == 0
    for turn in range(2):
        assert exchange.place(turn)[0] == 200
        exchange.kill()
        exchange = up()
        assert exchange.open_client_ids() == list(range(turn + 1))
    assert main(["verify", str(exchange.folder)]) == 0


def test_a_first_start_that_is_killed_early_is_completed_later(tmp_path: Path) -> None:
    """Killed at different times of the first start."""
    for step in range(3):
        process = Up(tmp_path / "kept").spawn()
        time.sleep(0.2 + 0.1 * step)
        process.kill()
    exchange = Up(tmp_path / "kept")
    with exchange:
        status, balances = exchange.call("GET", "/api/v1/capital", headers=exchange.by_token())
        assert (status, balances["SOL"]["available"]) == (200, "100000")
        status, depth = exchange.call("GET", "/api/v1/depth?symbol=SOL_USDC")
        assert (status, len(depth["bids"]), len(depth["asks"])) == (200, 10, 10)


def test_pending_requests_are_answered_before_it_stops(up: Starter) -> None:
    """On an open connection every order is answered, or refused with 503."""
    exchange = up()
    connection = http.client.HTTPConnection("127.0.0.1", exchange.http_port, timeout=WAIT_S)
    acknowledged = []
    exchange_stopped = False
    for client_id in range(2_000):
        if client_id == 20:
            exchange.signal(SIGTERM)
        try:
            connection.request(
                "POST",
                "/api/v1/order",
                json.dumps(limit_order(client_id)),
                {"Content-Type": "application/json"} | exchange.by_token(),
            )
            reply = connection.getresponse()
            text = reply.read()
        except (ConnectionError, http.client.HTTPException):
            exchange_stopped = True
            break
        if reply.status == 200:
            acknowledged.append(client_id)
        else:
            assert (reply.status, json.loads(text)["code"]) == (503, "MAINTENANCE")
    connection.close()
    assert exchange_stopped
    assert len(acknowledged) >= 20
    assert exchange.wait() == 0

    open_after = up().open_client_ids()
    assert set(acknowledged) <= set(open_after)
    # The last one may have been logged, and the connection closed before the answer.
    assert len(open_after) <= len(acknowledged) + 1


def test_a_second_exchange_on_the_same_directory_is_refused(up: Starter) -> None:
    """In one line that names the other process, which goes on."""
    exchange = up()
    demo = exchange.demo_file()
    code, out, said = Up(exchange.folder).spawn().outcome()
    assert (code, out) == (1, "")
    (line,) = said.splitlines()
    assert f"process {exchange.pid}" in line
    assert exchange.call("GET", "/api/v1/ping") == (200, "pong")
    assert exchange.demo_file() == demo


def test_a_port_in_use_is_refused(tmp_path: Path) -> None:
    """In one line, before anything is created."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, out, said = Up(tmp_path / "kept", http_port=port).spawn().outcome()
    assert (code, out) == (1, "")
    (line,) = said.splitlines()
    assert f"port {port}" in line
    assert "in use" in line
    assert not (tmp_path / "kept").exists()


def damage_log(directory: Path) -> None:
    (segment,) = (directory / "log").glob("*.log")
    octets = bytearray(segment.read_bytes())
    octets[300] ^= 1  # In the first record: a damaged last one may be a torn tail.
    segment.write_bytes(octets)


def damage_accounts(directory: Path) -> None:
    (directory / "accounts.db-wal").unlink(missing_ok=True)
    (directory / "accounts.db").write_bytes(b"nothing that a database would be" * 200)


def remove_log(directory: Path) -> None:
    for segment in (directory / "log").glob("*.log"):
        segment.unlink()


def test_a_damaged_directory_is_refused(up: Starter, tmp_path: Path) -> None:
    """In one line that names the damage."""
    exchange = up()
    exchange.stop()
    refused: list[tuple[str, ExchangeProcess]] = []
    for damage, named in (
        (damage_log, "00000000000000000001.log"),
        (damage_accounts, "accounts.db"),
        (remove_log, "acknowledged"),
    ):
        directory = tmp_path / named
        shutil.copytree(exchange.folder, directory)
        damage(directory)
        refused.append((named, Up(directory).spawn()))
    for named, process in refused:
        code, out, said = process.outcome()
        assert (code, out) == (1, "")
        assert named in said.splitlines()[-1]
        assert "Traceback" not in said


def test_a_log_that_fails_ends_the_process(up: Starter) -> None:
    """When its file is removed, no order is acknowledged, and one line says why."""
    exchange = up()
    (segment,) = (exchange.folder / "log").glob("*.log")
    segment.rename(segment.with_suffix(".moved"))
    segment.with_suffix(".moved").unlink()
    status, answer = exchange.place(1)
    assert (status, answer["code"]) in {(504, "TIMEOUT"), (503, "MAINTENANCE")}
    code, _, said = exchange.outcome()
    assert code == 1
    assert "deleted or replaced" in said.splitlines()[-1]
    assert "Traceback" not in said


def test_a_signal_before_it_is_ready_ends_it_at_once(tmp_path: Path) -> None:
    """Exit 0, or the signal's default if Python had not started."""
    for step in range(3):
        process = Up(tmp_path / "kept").spawn()
        time.sleep(0.1 + 0.07 * step)
        process.signal(SIGTERM)
        code, _, said = process.outcome()
        assert code in (0, -SIGTERM)
        assert "Traceback" not in said


def test_a_later_signal_ends_it_at_once(up: Starter) -> None:
    """While it drains a response that the client does not read; acknowledged orders are kept."""
    exchange = up(FAIRBOOK_DRAIN_MAX_S="60")
    assert exchange.place(1)[0] == 200
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", exchange.http_port))
        slow.settimeout(0.2)
        large = b"GET /api/v1/markets HTTP/1.1\r\nHost: localhost\r\nX: %b\r\n\r\n" % (b"x" * 2000)
        with pytest.raises(TimeoutError):
            while True:  # until the exchange, which waits for the client to read, reads no more
                slow.sendall(large)
        exchange.signal(SIGTERM)
        for _ in range(2):  # within a second: they count once, as wrappers send them twice
            with pytest.raises(subprocess.TimeoutExpired):
                exchange.wait(0.3)
            exchange.signal(SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            exchange.wait(1.0)
        exchange.signal(signal.SIGINT)
        code = exchange.wait()
    assert code == 128 + signal.SIGINT
    assert up().open_client_ids() == [1]


def test_confirm_clock(up: Starter, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    up()
    assert main(["admin", "confirm-clock", str(tmp_path / "kept")]) == 0
    assert "log time follows the wall clock; it was 0 s behind" in capsys.readouterr().out
    assert main(["admin", "confirm-clock", str(tmp_path / "nothing")]) == 1


def test_limits_can_be_set(up: Starter) -> None:
    exchange = up(FAIRBOOK_ADDRESS_PER_MINUTE="1", FAIRBOOK_ADDRESS_BURST="2")
    statuses = [exchange.call("GET", "/api/v1/ping")[0] for _ in range(4)]
    assert statuses == [200, 200, 429, 429]


def test_it_goes_on_when_its_output_pipe_is_closed(tmp_path: Path) -> None:
    """As in `fairbook up | head`."""
    reader, writer = os.pipe()
    process = Up(tmp_path / "kept").spawn(stdout=writer)
    os.close(writer)
    os.close(reader)
    wait_until(lambda: '"ready"' in process.new_stderr() or process.has_ended())
    process.stop()
