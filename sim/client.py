"""A client: places orders with client ids, and asks again until it knows what became of each."""

from __future__ import annotations

from typing import Final, NamedTuple

from fairbook.core import records
from sim.gateway import DONE, REFUSED, Gateway
from sim.scheduler import MS, Machine, S, Simulation

PRICES: Final = range(95, 106)
DEADLINE_NS: Final = 2 * S
RETRY_NS: Final = 400 * MS


class Placed(NamedTuple):
    """What a client was told of an order: its sequence, or a reject code."""

    account: int
    client_id: int
    status: int
    reason: int
    order_id: int


class Client(Machine):
    """One client of one account, which never loses its memory."""

    def __init__(
        self, simulation: Simulation, number: int, account: int, gateways: list[Gateway], *,
        pause_max_ns: int,
    ) -> None:  # fmt: skip
        super().__init__(simulation, f"client {number}")
        self._account = account
        self._gateways = gateways
        self._pause_max_ns = pause_max_ns
        self._next_id = number << 20
        self.told: list[Placed] = []
        self.refused: list[int] = []
        """Client ids of which it was told that nothing was done, and that it gave up."""
        self.sent = 0
        self.is_stopping = False
        self.is_done = False
        self.after(0, self._place)

    def _place(self) -> None:
        if self.is_stopping:
            self.is_done = True
            return
        chance = self.simulation.chance
        self._next_id += 1
        self.sent += 1
        unit = records.place(
            account=self._account, market=1, side=chance.randrange(2),
            price=chance.choice(PRICES), quantity=chance.randrange(1, 5),
            flags=records.HAS_CLIENT_ID, client_id=self._next_id,
            session=1 if chance.random() < 0.3 else 0,
        )  # fmt: skip
        self._try(unit, self._next_id, is_doubtful=False)

    def _try(self, unit: bytes, client_id: int, *, is_doubtful: bool) -> None:
        """is_doubtful: an earlier try may have been executed."""
        answered = False

        def answer(what: str, events: bytes) -> None:
            nonlocal answered
            if answered:
                return
            answered = True
            if what == DONE:
                outcome = records.read_outcome(events)
                self.told.append(
                    Placed(
                        self._account, client_id, int(outcome.status), int(outcome.reason),
                        int(outcome.order_id),
                    )
                )  # fmt: skip
                self._rest()
            elif what == REFUSED and not is_doubtful and self.simulation.chance.random() < 0.2:
                self.refused.append(client_id)
                self._rest()
            else:
                doubt = is_doubtful or what != REFUSED
                self.after(RETRY_NS, lambda: self._again(unit, client_id, is_doubtful=doubt))

        def too_late() -> None:
            answer("too late", b"")

        self.simulation.chance.choice(self._gateways).order(self, unit, answer)
        self.after(DEADLINE_NS, too_late)

    def _again(self, unit: bytes, client_id: int, *, is_doubtful: bool) -> None:
        self.simulation.count("order repeated")
        self._try(unit, client_id, is_doubtful=is_doubtful)

    def _rest(self) -> None:
        self.after(self.simulation.chance.randrange(self._pause_max_ns), self._place)
