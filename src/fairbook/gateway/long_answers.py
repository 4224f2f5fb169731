"""Long answers: paid by rows before they are built, and built in pieces.

Design: of all long answers together one piece is built in a turn of the loop, first come, first
served. So other work waits for one piece at most, however many long answers are under way.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Final, TypeVar

from fairbook.api.orders import ROWS_AT_ONCE
from fairbook.gateway.rate_limits import RateLimits
from fairbook.gateway.request import Request
from fairbook.net.addresses import address_key

ROWS_PER_TOKEN: Final = 50  # they cost about as much as an order

Row = TypeVar("Row")


class LongAnswers:
    """Builds the long answers of one gateway."""

    def __init__(self, rates: RateLimits) -> None:
        self._rates = rates
        self._building = asyncio.Lock()

    def charge(self, request: Request, rows: int) -> None:
        """Take a token for each ROWS_PER_TOKEN rows, of the account or else of the address, but
        never more than half a burst: every answer can be had. Raises TOO_MANY_REQUESTS.
        """
        tokens = rows // ROWS_PER_TOKEN
        if tokens and request.account:
            self._rates.account.take_part(request.account, tokens)
        elif tokens:
            self._rates.address.take_part(address_key(request.address), tokens)

    async def piece(self, rows: Iterable[Row], text_of: Callable[[Row], str]) -> bytes:
        """Rows as JSON, with commas between them, built in a turn without another piece."""
        async with self._building:
            built = ",".join(map(text_of, rows)).encode()
            await asyncio.sleep(0)
        return built

    async def pieces(
        self, rows: Sequence[Row], text_of: Callable[[Row], str]
    ) -> AsyncIterator[bytes]:
        """A JSON array, built as its pieces are taken."""
        start = b"["
        for at in range(0, len(rows), ROWS_AT_ONCE):
            yield start + await self.piece(rows[at : at + ROWS_AT_ONCE], text_of)
            start = b","
        yield b"]" if rows else b"[]"

    async def array(
        self, request: Request, rows: Sequence[Row], text_of: Callable[[Row], str]
    ) -> bytes:
        """A JSON array as a whole, of some 1,000 rows at most, which are charged."""
        self.charge(request, len(rows))
        if len(rows) <= ROWS_AT_ONCE:
            return f"[{','.join(map(text_of, rows))}]".encode()
        return b"".join([piece async for piece in self.pieces(rows, text_of)])
