"""Client ids: what an accepted order was answered, for a client that asks again.

How it works: each account has a dictionary from client id to receipt. The receipt of an open order
stays; when the order closes, the
receipt joins two queues, one of its account (at most 256) and one of all accounts (at most ten
minutes of log time). Both are in closing
order, so the oldest of all is also the oldest of its account.

Always true: a client id stands for one payload while it is remembered; the number of receipts is
bounded by open orders plus 256 an account.

Not here: comparing a new order with a receipt (exchange.py).
"""

from __future__ import annotations

from typing import Final, final

from mypy_extensions import i64, mypyc_attr

CLOSED_MAX: Final = 256
KEPT_NS: Final = 600_000_000_000


@final
@mypyc_attr(acyclic=True)
class Receipt:
    """The first answer to one client id, and the payload that it was given for."""

    def __init__(
        self, client_id: i64, payload: i64, price: i64, quantity: i64, order_id: i64
    ) -> None:
        self.client_id = client_id
        self.payload = payload  # the head of the command: kind, side, tif, flags, market
        self.price = price
        self.quantity = quantity
        self.order_id = order_id
        self.status: i64 = 0
        self.reason: i64 = 0
        self.filled: i64 = 0
        self.quote: i64 = 0
        self.created_ns: i64 = 0
        self.closed_ns: i64 = 0
        self.memory: Memory | None = None  # whose it is, once closed
        self.younger: Receipt | None = None  # in the queue of all
        self.older: Receipt | None = None
        self.own_younger: Receipt | None = None  # in the queue of its account


@final
@mypyc_attr(acyclic=True)
class Memory:
    """The receipts of one account."""

    def __init__(self) -> None:
        self.by_client_id: dict[int, Receipt] = {}
        self.oldest: Receipt | None = None  # of the closed ones
        self.youngest: Receipt | None = None
        self.closed: i64 = 0


@final
class Receipts:
    """The closed receipts of all accounts, oldest first."""

    def __init__(self) -> None:
        self.oldest: Receipt | None = None
        self.youngest: Receipt | None = None

    def close(self, receipt: Receipt, memory: Memory, time_ns: i64) -> None:
        """The order behind a receipt is closed: from here on it is kept for a while."""
        receipt.closed_ns = time_ns
        receipt.memory = memory
        youngest = self.youngest
        receipt.older = youngest
        if youngest is None:
            self.oldest = receipt
        else:
            youngest.younger = receipt
        self.youngest = receipt
        own_youngest = memory.youngest
        if own_youngest is None:
            memory.oldest = receipt
        else:
            own_youngest.own_younger = receipt
        memory.youngest = receipt
        memory.closed += 1
        if memory.closed > CLOSED_MAX:
            self._forget_oldest_of(memory)

    def expire(self, time_ns: i64) -> None:
        """Forget what was closed ten minutes of log time ago, or earlier."""
        oldest = self.oldest
        while oldest is not None and time_ns - oldest.closed_ns >= KEPT_NS:
            memory = oldest.memory
            assert memory is not None and memory.oldest is oldest
            self._forget_oldest_of(memory)
            oldest = self.oldest

    def _forget_oldest_of(self, memory: Memory) -> None:
        receipt = memory.oldest
        assert receipt is not None
        del memory.by_client_id[receipt.client_id]
        memory.oldest = receipt.own_younger
        if memory.oldest is None:
            memory.youngest = None
        memory.closed -= 1
        older, younger = receipt.older, receipt.younger
        if older is None:
            self.oldest = younger
        else:
            older.younger = younger
        if younger is None:
            self.youngest = older
        else:
            younger.older = older
        # A forgotten receipt must not keep its neighbours alive.
        receipt.older = receipt.younger = receipt.own_younger = None
        receipt.memory = None
