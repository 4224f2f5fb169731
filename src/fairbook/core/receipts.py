"""Client ids: what an accepted order was answered, for a client that asks again.

How it works: each account has three tables of whole words. Entries hold payload and answer; an
index with open addressing finds
the entry of a client id; a ring holds the closed ones in closing order, 256 at most, for ten
minutes of log time. An order then
touches few lines of memory that nobody else has touched lately: one of the index to find nothing,
its entry, and
one of the index for the entry that it displaces. With objects in a dictionary an order with a
client id cost twice as much.

Always true: a client id stands for one payload while it is remembered; an account remembers its
open orders and 256 closed
ones at most. Entry 0 is never used and means "none".

Not here: comparing a new order with a receipt (exchange.py).
"""

from __future__ import annotations

from typing import Final, final

from librt.strings import BytesWriter, write_i64_le
from librt.vecs import append, vec
from mypy_extensions import i64, mypyc_attr

CLOSED_MAX: Final = 256
KEPT_NS: Final = 600_000_000_000
ENTRIES_MIN: Final = 8

NONE: Final = 0

# The words of an entry. PAYLOAD is the head of the command: kind, side, tif, flags, market; in a
# free entry, the next free one. ANSWER is status and reason << 8.
ENTRY_WORDS: Final = 8
PAYLOAD: Final = 0
PRICE: Final = 1
QUANTITY: Final = 2
ORDER_ID: Final = 3
ANSWER: Final = 4
FILLED: Final = 5
QUOTE: Final = 6
CREATED_NS: Final = 7

# A word of the index, and the first of two in the ring, is entry | client id << 24.
ENTRY_BITS: Final = 24
ENTRY_MASK: Final = (1 << ENTRY_BITS) - 1


def zeros(count: i64) -> vec[i64]:
    """A table of zeros."""
    words = vec[i64](capacity=count)
    i: i64 = 0
    while i < count:
        words = append(words, 0)
        i += 1
    return words


@final
@mypyc_attr(acyclic=True)
class Receipts:
    """What one account is remembered for."""

    def __init__(self) -> None:
        self.entries: vec[i64] = zeros(ENTRIES_MIN * ENTRY_WORDS)
        self.index: vec[i64] = zeros(2 * ENTRIES_MIN)  # 0: empty; a power of two, half full
        self.ring: vec[i64] = zeros(2 * ENTRIES_MIN)  # pairs: client id and entry, closed_ns
        self.count: i64 = 0
        self.used: i64 = 1  # entries that were ever used, and entry 0
        self.free: i64 = NONE
        self.closed: i64 = 0
        self.first: i64 = 0  # of the closed ones, its place in the ring

    def find(self, client_id: i64) -> i64:
        """The entry of a client id, or NONE."""
        index = self.index
        mask: i64 = len(index) - 1
        at = home(client_id) & mask
        word = index[at]
        while word != 0 and word >> ENTRY_BITS != client_id:
            at = at + 1 & mask
            word = index[at]
        return word & ENTRY_MASK

    def add(self, client_id: i64, payload: i64, price: i64, quantity: i64, order_id: i64) -> i64:
        """Remember an accepted order. Its client id must not be remembered."""
        entry = self._take()
        entries = self.entries
        at = entry * ENTRY_WORDS
        entries[at + PAYLOAD] = payload
        entries[at + PRICE] = price
        entries[at + QUANTITY] = quantity
        entries[at + ORDER_ID] = order_id
        self._enter(entry | client_id << ENTRY_BITS)
        self.count += 1
        return entry

    def stands_for(self, entry: i64, payload: i64, price: i64, quantity: i64) -> bool:
        """Whether an entry was made by this payload."""
        entries = self.entries
        at = entry * ENTRY_WORDS
        return (
            entries[at + PAYLOAD] == payload
            and entries[at + PRICE] == price
            and entries[at + QUANTITY] == quantity
        )

    def answer(
        self, entry: i64, status: i64, reason: i64, filled: i64, quote: i64, created_ns: i64
    ) -> None:
        """What the order of an entry was answered."""
        entries = self.entries
        at = entry * ENTRY_WORDS
        entries[at + ANSWER] = status | reason << 8
        entries[at + FILLED] = filled
        entries[at + QUOTE] = quote
        entries[at + CREATED_NS] = created_ns

    def word(self, entry: i64, which: i64) -> i64:
        """A word of an entry, by the names above."""
        return self.entries[entry * ENTRY_WORDS + which]

    def close(self, entry: i64, client_id: i64, time_ns: i64) -> None:
        """The order of an entry is closed: from here on it is kept for a while."""
        if self.closed == CLOSED_MAX:
            self._forget_first()
        if 2 * self.closed == len(self.ring):
            self._widen()
        ring = self.ring
        at = self._place(self.closed)
        ring[at] = entry | client_id << ENTRY_BITS
        ring[at + 1] = time_ns
        self.closed += 1

    def expire(self, time_ns: i64) -> None:
        """Forget what was closed ten minutes of log time ago, or earlier."""
        while self.closed > 0 and time_ns - self.closed_ns(0) >= KEPT_NS:
            self._forget_first()

    def closed_entry(self, which: i64) -> i64:
        """The entry of a closed order; 0 is the one closed first."""
        return self.ring[self._place(which)] & ENTRY_MASK

    def closed_client_id(self, which: i64) -> i64:
        """Its client id."""
        return self.ring[self._place(which)] >> ENTRY_BITS

    def closed_ns(self, which: i64) -> i64:
        """When it was closed."""
        return self.ring[self._place(which) + 1]

    def put(self, entry: i64, out: BytesWriter) -> None:
        """Write the words of an entry."""
        i: i64 = 0
        while i < ENTRY_WORDS:
            write_i64_le(out, self.word(entry, i))
            i += 1

    def _place(self, which: i64) -> i64:
        return (self.first + 2 * which) & len(self.ring) - 1

    def _forget_first(self) -> None:
        word = self.ring[self.first]
        self.first = self._place(1)
        self.closed -= 1
        self.count -= 1
        self._leave(word)
        entry = word & ENTRY_MASK
        self.entries[entry * ENTRY_WORDS + PAYLOAD] = self.free
        self.free = entry

    def _take(self) -> i64:
        entry = self.free
        if entry != NONE:
            self.free = self.word(entry, PAYLOAD)
            return entry
        if self.used * ENTRY_WORDS == len(self.entries):
            self._grow()
        entry = self.used
        self.used += 1
        return entry

    def _enter(self, word: i64) -> None:
        index = self.index
        mask: i64 = len(index) - 1
        at = home(word >> ENTRY_BITS) & mask
        while index[at] != 0:
            at = at + 1 & mask
        index[at] = word

    def _leave(self, word: i64) -> None:
        """Take a word out of the index, and move up what had to make way for it."""
        index = self.index
        mask: i64 = len(index) - 1
        gap = home(word >> ENTRY_BITS) & mask
        while index[gap] != word:
            gap = gap + 1 & mask
        at = gap + 1 & mask
        while index[at] != 0:
            # How far it is from its home, and from the gap: it moves if the gap is not nearer.
            if (at - home(index[at] >> ENTRY_BITS) & mask) >= (at - gap & mask):
                index[gap] = index[at]
                gap = at
            at = at + 1 & mask
        index[gap] = 0

    def _grow(self) -> None:
        """Make room for as many entries again."""
        entries = zeros(2 * len(self.entries))
        i: i64 = 0
        while i < len(self.entries):
            entries[i] = self.entries[i]
            i += 1
        self.entries = entries
        old = self.index
        self.index = zeros(2 * len(old))
        i = 0
        while i < len(old):
            if old[i] != 0:
                self._enter(old[i])
            i += 1

    def _widen(self) -> None:
        """A ring of twice the size, beginning with the one closed first."""
        ring = zeros(2 * len(self.ring))
        i: i64 = 0
        while i < self.closed:
            at = self._place(i)
            ring[2 * i] = self.ring[at]
            ring[2 * i + 1] = self.ring[at + 1]
            i += 1
        self.ring = ring
        self.first = 0


def home(client_id: i64) -> i64:
    """Where the search for a client id begins, before it is cut to the size of the index."""
    return client_id ^ client_id >> 16
