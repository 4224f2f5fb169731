"""Digests of engine and replicas, signed checkpoints, and the chain of the log: for anyone to
compare, and for a witness.

Invariant: of each kind one request at a time reads files, and at most WAITING_MAX wait for it,
WAITING_PER_ADDRESS_MAX of an address.
"""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from fairbook.api.errors import ApiError, busy, invalid_range
from fairbook.api.requests import is_absent, number_field
from fairbook.api.status import checkpoint_object, proof_status_object
from fairbook.core.units import NS_PER_SECOND
from fairbook.gateway.long_answers import LongAnswers
from fairbook.gateway.rate_limits import too_many
from fairbook.gateway.request import Endpoint, Endpoints, Request
from fairbook.net.addresses import address_key
from fairbook.ports.queries import Checkpoints, LogProofs

NOTES_MAX: Final = 100
CHAIN_MAX: Final = 1_000
ENTRIES_PER_ROW: Final = 4  # an entry of the chain costs a quarter of a row of history
WAITING_MAX: Final = 32
WAITING_PER_ADDRESS_MAX: Final = 2

encode = msgspec.json.encode
T = TypeVar("T")


def checkpoint_endpoints(checkpoints: Checkpoints) -> Endpoints:

    async def newest(request: Request) -> bytes:
        found = checkpoints.checkpoints(number_field(request.fields, "from", 0))
        return encode([checkpoint_object(each) for each in found])

    return {(b"GET", b"/api/v1/checkpoints"): Endpoint(newest)}


class _Queue:
    """Requests that read files, one after the other."""

    def __init__(self) -> None:
        self._reading = asyncio.Lock()
        self._waiting: dict[str, int] = {}

    async def read(self, request: Request, action: Callable[[], T]) -> T:
        """In a thread. Raises 429, 503."""
        waiting, address = self._waiting, address_key(request.address)
        if waiting.get(address, 0) >= WAITING_PER_ADDRESS_MAX:
            raise too_many(NS_PER_SECOND)
        if sum(waiting.values()) >= WAITING_MAX:
            raise busy()
        waiting[address] = waiting.get(address, 0) + 1
        try:
            async with self._reading:
                return await asyncio.to_thread(action)
        finally:
            waiting[address] -= 1
            if not waiting[address]:
                del waiting[address]


class WitnessEndpoints:
    """What a witness reads."""

    def __init__(self, proofs: LogProofs, long_answers: LongAnswers | None = None) -> None:
        """long_answers: charges for the rows; None: they are free."""
        self._proofs = proofs
        self._long_answers = long_answers
        self._notes = _Queue()
        self._chain = _Queue()

    def endpoints(self) -> Endpoints:
        found: Endpoints = {
            (b"GET", b"/api/v1/checkpoints/signed"): Endpoint(self.signed),
            (b"GET", b"/api/v1/chain"): Endpoint(self.chain),
        }
        if status := self._proofs.status:
            found[b"GET", b"/api/v1/proof/status"] = Endpoint(
                lambda _request: encode(proof_status_object(status()))
            )
        return found

    async def signed(self, request: Request) -> bytes:
        """Oldest first; without `from` the newest one alone."""
        count = number_field(request.fields, "limit", NOTES_MAX, minimum=1, maximum=NOTES_MAX)
        key, newest = self._proofs.newest()
        if is_absent(request.fields, "from"):
            return encode({"key": key, "notes": [] if newest is None else [newest]})
        first = number_field(request.fields, "from", 0)
        self._charge(request, count)
        notes = await self._notes.read(request, lambda: self._proofs.notes(first, count))
        return encode({"key": key, "notes": notes})

    async def chain(self, request: Request) -> bytes:
        read = self._proofs.chain
        if read is None:
            raise ApiError(403, "FORBIDDEN", "The chain is not shown to everyone here")
        first = number_field(request.fields, "from", 1, minimum=1)
        last = number_field(request.fields, "to", first + CHAIN_MAX - 1, minimum=first)
        if last - first >= CHAIN_MAX:
            raise invalid_range(f"to: at most {CHAIN_MAX} entries")
        self._charge(request, (last - first + 1) // ENTRIES_PER_ROW)
        part = await self._chain.read(request, lambda: read(first, last))
        return encode(
            {
                "from": str(first),
                "before": part.before.hex(),
                "entries": [[str(time_ns), digest.hex()] for time_ns, digest in part.entries],
            }
        )

    def _charge(self, request: Request, rows: int) -> None:
        if self._long_answers is not None:
            self._long_answers.charge(request, rows)
