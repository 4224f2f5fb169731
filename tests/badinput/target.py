"""A running exchange for bad input, and an independent replay of its log.

Design: `fairbook up` runs twice: first to set up the demo and to place an order in each market that
is closed later; then, with the restrictions of an operator in between, for the tests. Expected
states come only from the log's files, replayed in a core of the test.
"""

from __future__ import annotations

import base64
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from nacl.signing import SigningKey

from fairbook.accounts.credentials import new_token
from fairbook.core import admin_records, records, state
from fairbook.core.exchange import Exchange
from fairbook.demo.demo_venue import demo_venue
from fairbook.log.file_log import FileLog
from fairbook.ports.accounts import READ, TRADE
from tests.badinput.rows import Known, Row
from tests.world.credentials import key_added, key_revoked, token_added, token_revoked
from tests.world.exchange_process import ExchangeProcess
from tests.world.money import credit
from tests.world.rest_client import RestClient
from tests.world.socket_client import BackgroundWait, SocketClient
from tests.world.ws_frames import head, says

USDC = 4
BTC_USDC, ETH_USDC = 2, 3
ORDERS_MAX = 300
EXACT_ATOMS = 14_000_000  # 0.1 SOL at 140 USDC
EXPIRES_NS = 1_000_000_000
FLEETING_NS = 8_000_000_000  # of a token that expires while its connection is subscribed
SEQUENCE_AND_TIME = slice(8, 24)  # the second and third word of a state


class LogReplay:
    """The log, replayed as far as it was read."""

    def __init__(self, folder: Path) -> None:
        self._log = FileLog(folder, read_only=True)
        self.exchange = Exchange()
        self.position = 0
        self.commands = 0  # without ticks of the clock
        self.state = b""
        """What `catch_up` returned last."""

    def catch_up(self) -> bytes:
        """Replay new entries; return the state without sequence and time."""
        for entry in self._log.read(self.position + 1):
            for part in records.split(self.exchange.apply(entry.frame, entry.time_ns)):
                self.commands += records.read_outcome(part).command != records.TICK
            self.position = entry.position
        dump = bytearray(state.dump(self.exchange))
        dump[SEQUENCE_AND_TIME] = bytes(16)
        self.state = bytes(dump)
        return self.state

    def close(self) -> None:
        self._log.close()


class Target:
    """The exchange under test."""

    def __init__(self, folder: Path) -> None:
        self.venue = ExchangeProcess(
            folder, "--no-replica", environment={"FAIRBOOK_GUESSES_PER_MINUTE": "0"}
        )
        self.known = Known()
        self.replayed = LogReplay(folder)
        self.accounts: dict[str, int] = {}
        self.watched: list[SocketClient] = []
        self.watches: dict[str, BackgroundWait] = {}
        self.fleeting_until_s = 0.0
        self.sockets: list[SocketClient] = []  # closed by the test that opened them

    def open(self) -> None:
        """Start, restrict, start again."""
        self.venue.start()
        for name, owner in (("rich", "demo1"), ("other", "demo2")):
            credentials = self.venue.demo(owner)
            self.known.tokens[name] = credentials["token"]
            self.known.keys[name] = SigningKey(base64.b64decode(credentials["apiSecret"]))
        rest = self.rest("rich")
        order = {"side": "Bid", "orderType": "Limit", "price": "50", "quantity": "0.1"}
        for symbol in ("ETH_USDC", "BTC_USDC"):
            placed = rest.expect(200, "POST", "/api/v1/order", {**order, "symbol": symbol})
            self.known.order_ids[symbol] = int(placed["id"])
        rest.close()
        self.venue.stop()
        self._decree()
        self.venue.start()
        self._watch()
        time.sleep(1.1)  # Earlier signatures count as possible replays.
        ladder = self.replayed.exchange.open_orders(4, 1)[0]
        assert ladder.account not in (self.accounts["rich"], self.accounts["other"])
        self.known.order_ids["foreign"] = ladder.order_id

    def _watch(self) -> None:
        """Start what takes seconds, to be checked after the rows (test_ws_slow.py)."""
        listener = self._watched().upgrade(self.known.tokens["fleeting"])
        listener.send(says(method="SUBSCRIBE", params=["account.orderUpdate"]))
        self.watches["fleeting"] = BackgroundWait(listener.closed)
        for name, first in (("silent", b""), ("slow", b""), ("lf", head().replace(b"\r\n", b"\n"))):
            dialed = self._watched()
            dialed.send(first)
            self.watches[name] = BackgroundWait(dialed.drips if name == "slow" else dialed.ends)

    def _watched(self) -> SocketClient:
        self.watched.append(SocketClient(self.venue.ws_port, wait_s=30))
        return self.watched[-1]

    def _decree(self) -> None:
        """Log commands of an operator while the exchange is stopped."""
        self.replayed.catch_up()
        closed = [
            admin_records.set_market(market=market, parameter=admin_records.STATE, value=value)
            for market, value in (
                (ETH_USDC, admin_records.ONLY_CANCEL),
                (BTC_USDC, admin_records.CLOSED_STATE),
            )
        ]
        limit = admin_records.set_exchange(parameter=admin_records.ORDERS_MAX, value=ORDERS_MAX)
        frame = [*closed, limit]
        names = ("exact", "short", "frozen")
        first = 2 + len(demo_venue().accounts)  # after the house's two accounts and the demo's
        for i, name in enumerate(names):
            self.accounts[name] = first + i
            atoms = EXACT_ATOMS - (name == "short")
            frame.append(admin_records.open_account(100 + i))
            frame.append(credit(account=first + i, asset=USDC, atoms=atoms))
        freeze = admin_records.set_account(
            account=self.accounts["frozen"], parameter=admin_records.FROZEN, value=1
        )
        self.venue.append_to_log(*frame, freeze)
        self.replayed.catch_up()
        for name in names:
            assert self.replayed.exchange.balances(self.accounts[name])
        self.venue.append_to_log(*self._credentials(names))

    def _credentials(self, names: tuple[str, ...]) -> Iterator[bytes]:
        """Keys and tokens of every kind."""
        tokens, keys = self.known.tokens, self.known.keys
        self.accounts |= {"rich": self.venue.account("demo1"), "other": self.venue.account("demo2")}
        rich = self.accounts["rich"]
        for name in names:
            tokens[name] = new_token()
            yield token_added(self.accounts[name], tokens[name])
        for name, permissions in (("reader", READ), ("trader", TRADE), ("revoked", READ | TRADE)):
            tokens[name] = new_token()
            keys[name] = SigningKey(name.encode().ljust(32, b"."))
            yield token_added(rich, tokens[name], permissions)
            yield key_added(rich, keys[name], permissions)
        yield key_revoked(rich, keys["revoked"])
        yield token_revoked(rich, tokens["revoked"])
        keys["unknown"] = SigningKey(b"unknown".ljust(32, b"."))
        tokens["unknown"] = "A" * len(tokens["rich"])
        self.fleeting_until_s = (time.time_ns() + FLEETING_NS) / 1e9
        for name, lasts_ns in (("expired", EXPIRES_NS), ("fleeting", FLEETING_NS)):
            tokens[name] = new_token()
            ends_ns = time.time_ns() + lasts_ns
            yield token_added(rich, tokens[name], READ | TRADE, expires_ns=ends_ns)

    def rest(self, who: str) -> RestClient:
        return RestClient(self.venue.http_port, self.known.tokens[who])

    def socket(self, *, receive_bytes: int = 0) -> SocketClient:
        """A new WebSocket connection, before the upgrade."""
        socket = SocketClient(self.venue.ws_port, receive_bytes=receive_bytes)
        self.sockets.append(socket)
        return socket

    def made(self, row: Row) -> bytes:
        """The bytes of a row, as of now."""
        return row.send if isinstance(row.send, bytes) else row.send(self.known)

    def cpu_s(self) -> float:
        """CPU time of the exchange's process so far; 0 where the system does not tell."""
        if sys.platform != "linux":
            return 0.0
        # The process's own clock, as clock_getcpuclockid(3) names it: /proc/PID/stat has 10 ms.
        return time.clock_gettime(~self.venue.pid << 3 | 2)

    def close(self) -> None:
        """Stop with exit status 0 and no trace of a bug on standard error."""
        self.replayed.close()
        for watched in self.watched:
            watched.close()
        try:
            self.venue.stop()
        finally:
            self.venue.kill()
        told = self.venue.stderr()
        assert "Traceback" not in told and "failed" not in told, told[-4000:]
