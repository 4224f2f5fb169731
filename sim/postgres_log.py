"""A model of the log in PostgreSQL: a primary, two standbys, one of which must have each commit.

What it has of the real thing: rows are visible on the primary before a standby has them; a wait for
a standby can be cancelled, and the row stays; an append whose answer is lost may have happened; a
failover takes away what the promoted standby lacks; a former primary that comes back loses what it
had alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from fairbook.log.command_log import GENESIS, Entry, entry_after
from sim.scheduler import MS, Machine, Network, Simulation

FLUSH_MAX_NS: Final = 4 * MS
STREAM_NS: Final = 100 * MS
READ_MAX: Final = 64  # entries in an answer
MANAGER_NS: Final = 1500 * MS  # until the loss of a primary is noticed


class Row(NamedTuple):
    """An entry, and whose append it was."""

    entry: Entry
    instance: int
    number: int
    begin_key: bytes


class Stored(NamedTuple):
    """The answer to an append. is_durable False: the wait was cancelled, and nothing is known."""

    number: int
    position: int
    is_durable: bool
    is_refused: bool = False


class _Waiting(NamedTuple):
    """An append that waits for a standby."""

    position: int
    number: int
    answer: Callable[[Stored], None]


class Server(Machine):
    """One server: its rows are on its disk."""

    def __init__(self, simulation: Simulation, name: str) -> None:
        super().__init__(simulation, name)
        self.rows: list[Row] = []
        self.waiting: list[_Waiting] = []

    @property
    def last(self) -> int:
        return len(self.rows)

    def end(self) -> None:
        super().end()
        self.waiting.clear()

    def newest_of(self, instance: int, key: bytes) -> Row | None:
        """What the row of an instance says: its last append. instance 0: the begins of a key."""
        for row in reversed(self.rows):
            if row.instance == instance and (instance or row.begin_key == key):
                return row
        return None


class PostgresLog:
    """The three servers, and the manager that promotes."""

    def __init__(self, simulation: Simulation, network: Network, *, first: list[bytes]) -> None:
        """first: frames that are on all servers at the beginning."""
        self._simulation = simulation
        self._network = network
        self.servers = [Server(simulation, f"postgres {number}") for number in range(3)]
        self.primary: Server | None = self.servers[0]
        self.wait_cancelled = 0.0
        """Share of the appends whose wait is cancelled."""
        last = GENESIS
        for frame in first:
            entry = entry_after(last, frame, simulation.now_ns)
            for server in self.servers:
                server.rows.append(Row(entry, 0, 0, b""))
            last = entry.without_frame()
        simulation.after(STREAM_NS, self._stream)

    def _stream(self) -> None:
        """Standbys ask for what they lack, again and again."""
        if self.primary is not None:
            self._replicate(self.primary)
        self._simulation.after(STREAM_NS, self._stream)

    def append(
        self, sender: Machine, instance: int, number: int, key: bytes, frame: bytes,
        answer: Callable[[Stored], None],
    ) -> None:  # fmt: skip
        """Send an append to the primary. answer: called at the sender, perhaps."""
        server = self.primary
        if server is None:
            return

        def reply(stored: Stored) -> None:
            self._network.send(server, sender, lambda: answer(stored))

        stamp_ns = self._simulation.now_ns

        def arrive() -> None:
            self._append(server, instance, number, key, frame, stamp_ns, reply)

        self._network.send(sender, server, arrive)

    def _append(
        self, server: Server, instance: int, number: int, key: bytes, frame: bytes, stamp_ns: int,
        reply: Callable[[Stored], None],
    ) -> None:  # fmt: skip
        """One transaction: the next number of its instance is stored, the last one is answered
        again, any other is refused.
        """
        known = server.newest_of(instance, key)
        last = 0 if known is None else known.number
        if known is not None and number == last:
            position = known.entry.position
        elif number == last + 1 or (instance == 0 and number > last):
            before = server.rows[-1].entry
            time_ns = max(before.time_ns, min(self._simulation.now_ns, stamp_ns))
            entry = entry_after(before.without_frame(), frame, time_ns)
            server.rows.append(Row(entry, instance, number, key))
            position = entry.position
            self._simulation.count("append")
            if server is self.primary:
                self._replicate(server)
        else:
            reply(Stored(number, 0, is_durable=False, is_refused=True))
            return
        if self._simulation.chance.random() < self.wait_cancelled:
            self._simulation.count("wait cancelled")
            reply(Stored(number, position, is_durable=False))
            return
        server.waiting.append(_Waiting(position, number, reply))
        self._answer_waiting(server)

    def _replicate(self, primary: Server) -> None:
        for standby in self.servers:
            if standby is not primary and standby.is_up:
                delay_ns = self._simulation.chance.randrange(MS // 5, FLUSH_MAX_NS)
                self._simulation.after(delay_ns, partial(self._flush, primary, standby))

    def _flush(self, primary: Server, standby: Server) -> None:
        """What the primary has now is on the disk of a standby."""
        pair = frozenset((primary.name, standby.name))
        if primary is not self.primary or not primary.is_up or not standby.is_up:
            return
        if pair in self._network.cut:
            return
        standby.rows = primary.rows[: max(primary.last, 0)]
        self._answer_waiting(primary)

    def durable(self, primary: Server) -> int:
        """Up to where a standby has what the primary has."""
        return max(
            (_common(primary, each) for each in self.servers if each is not primary), default=0
        )

    def _answer_waiting(self, server: Server) -> None:
        durable = self.durable(server)
        ready = [each for each in server.waiting if each.position <= durable]
        server.waiting = [each for each in server.waiting if each.position > durable]
        for each in ready:
            each.answer(Stored(each.number, each.position, is_durable=True))

    def read(
        self, sender: Machine, first: int, answer: Callable[[int, bytes, list[Entry], int], None]
    ) -> None:
        """answer: called at the sender, perhaps, with the end of the log, the chain before `first`,
        the entries from there on, and up to where they are on a standby.
        """
        server = self.primary
        if server is None:
            return

        def found() -> None:
            last, entries = server.last, [row.entry for row in server.rows[first - 1 :][:READ_MAX]]
            before = server.rows[first - 2].entry.chain if 2 <= first <= last + 1 else b""
            durable = self.durable(server)
            self._network.send(server, sender, lambda: answer(last, before, entries, durable))

        self._network.send(sender, server, found)

    def end_primary(self) -> None:
        """It loses power; the manager promotes another one some time later."""
        if self.primary is None:
            return
        self._simulation.count("primary lost")
        lost, self.primary = self.primary, None
        lost.end()
        self._simulation.after(MANAGER_NS, self._promote)
        back_ns = self._simulation.chance.randrange(MANAGER_NS, 4 * MANAGER_NS)
        self._simulation.after(back_ns, lambda: self._come_back(lost))

    def _promote(self) -> None:
        """The standby that has most; only if both are there, or it is not known which has most."""
        standbys = [each for each in self.servers if each.is_up]
        if self.primary is not None:
            return
        if len(standbys) < 2:
            self._simulation.after(MANAGER_NS, self._promote)
            return
        self.primary = max(standbys, key=lambda each: each.last)
        self._simulation.count("standby promoted")
        self._replicate(self.primary)

    def _come_back(self, server: Server) -> None:
        server.start()
        if self.primary is None:
            return
        # What it had alone is gone: it follows the new primary.
        del server.rows[_common(self.primary, server) :]
        self._replicate(self.primary)


def _common(primary: Server, other: Server) -> int:
    """How many rows the two have alike, from the first one on."""
    last = min(primary.last, other.last)
    while last and primary.rows[last - 1].entry.chain != other.rows[last - 1].entry.chain:
        last -= 1
    return last
