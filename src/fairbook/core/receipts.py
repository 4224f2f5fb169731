"""Client ids: what an accepted order was answered, for a client that asks again.

How it works: each account has one table of whole words, in three parts. An index with open
addressing finds the entry of a client id; a ring holds the closed ones in closing order, 256 at
most, for ten minutes of log time; entries hold payload and answer. An order then touches few lines
of memory that nobody else has touched lately, which is what it costs: one of the index to find
nothing, its entry, and one of the index for the entry that it displaces. One table and not three,
because whoever reads a table counts that in its head, which is one more such line. With objects in
a dictionary an order with a client id cost twice as much.

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

from fairbook.core.units import NS_PER_SECOND

CLOSED_MAX: Final = 256
KEPT_NS: Final = 600 * NS_PER_SECOND
ENTRIES_MIN: Final = 8
SCATTER: Final = 0x9E3779B1
GROWS_FAST_BELOW: Final = 512  # entries; by four times, that is, and then by two

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
        self.table: vec[i64] = zeros((2 + 2 + ENTRY_WORDS) * ENTRIES_MIN)
        self.index_words: i64 = 2 * ENTRIES_MIN  # first; 0: empty; a power of two, half full
        self.ring_words: i64 = 2 * ENTRIES_MIN  # then; pairs, one for each entry up to CLOSED_MAX
        self.entries_at: i64 = 4 * ENTRIES_MIN  # the rest
        self.closed: i64 = 0
        self.first: i64 = 0  # of the closed ones, its place in the ring
        self.free: i64 = NONE
        self.used: i64 = 1  # entries that were ever used, and entry 0
        self.count: i64 = 0

    def find(self, client_id: i64) -> i64:
        """The entry of a client id, or NONE."""
        table = self.table
        mask = self.index_words - 1
        at = home(client_id) & mask
        word = table[at]
        while word != 0 and word >> ENTRY_BITS != client_id:
            at = at + 1 & mask
            word = table[at]
        return word & ENTRY_MASK

    def glance(self, client_id: i64) -> i64:
        """Read the words that an order with this client id will begin with, and return a mixture.

        They are its home in the index, the entry that it may get, the closed one that makes way
        for it, and the home of that one.
        """
        table = self.table
        mask = self.index_words - 1
        entry = self.entries_at + self.free * ENTRY_WORDS
        oldest = table[self.index_words + self.first]
        return (
            table[home(client_id) & mask]
            ^ table[home(oldest >> ENTRY_BITS) & mask]
            ^ table[entry + PAYLOAD]
            ^ table[entry + CREATED_NS]
        )

    def add(self, client_id: i64, payload: i64, price: i64, quantity: i64, order_id: i64) -> i64:
        """Remember an accepted order. Its client id must not be remembered."""
        entry = self._take()
        table = self.table
        at = self.entries_at + entry * ENTRY_WORDS
        table[at + PAYLOAD] = payload
        table[at + PRICE] = price
        table[at + QUANTITY] = quantity
        table[at + ORDER_ID] = order_id
        self._enter(entry | client_id << ENTRY_BITS)
        self.count += 1
        return entry

    def stands_for(self, entry: i64, payload: i64, price: i64, quantity: i64) -> bool:
        """Whether an entry was made by this payload."""
        table = self.table
        at = self.entries_at + entry * ENTRY_WORDS
        return (
            table[at + PAYLOAD] == payload
            and table[at + PRICE] == price
            and table[at + QUANTITY] == quantity
        )

    def answer(
        self, entry: i64, status: i64, reason: i64, filled: i64, quote: i64, created_ns: i64
    ) -> None:
        """What the order of an entry was answered."""
        table = self.table
        at = self.entries_at + entry * ENTRY_WORDS
        table[at + ANSWER] = status | reason << 8
        table[at + FILLED] = filled
        table[at + QUOTE] = quote
        table[at + CREATED_NS] = created_ns

    def word(self, entry: i64, which: i64) -> i64:
        """A word of an entry, by the names above."""
        return self.table[self.entries_at + entry * ENTRY_WORDS + which]

    def set_word(self, entry: i64, which: i64, word: i64) -> None:
        """Write a word of an entry."""
        self.table[self.entries_at + entry * ENTRY_WORDS + which] = word

    def close(self, entry: i64, client_id: i64, time_ns: i64) -> None:
        """The order of an entry is closed: from here on it is kept for a while."""
        if self.closed == CLOSED_MAX:
            self._forget_first()
        table = self.table
        at = self._place(self.closed)
        table[at] = entry | client_id << ENTRY_BITS
        table[at + 1] = time_ns
        self.closed += 1

    def expire(self, time_ns: i64) -> None:
        """Forget what was closed ten minutes of log time ago, or earlier."""
        while self.closed > 0 and time_ns - self.closed_ns(0) >= KEPT_NS:
            self._forget_first()

    def closed_entry(self, which: i64) -> i64:
        """The entry of a closed order; 0 is the one closed first."""
        return self.table[self._place(which)] & ENTRY_MASK

    def closed_client_id(self, which: i64) -> i64:
        """Its client id."""
        return self.table[self._place(which)] >> ENTRY_BITS

    def closed_ns(self, which: i64) -> i64:
        """When it was closed."""
        return self.table[self._place(which) + 1]

    def put(self, entry: i64, out: BytesWriter) -> None:
        """Write the words of an entry."""
        i: i64 = 0
        while i < ENTRY_WORDS:
            write_i64_le(out, self.word(entry, i))
            i += 1

    def _place(self, which: i64) -> i64:
        return self.index_words + ((self.first + 2 * which) & self.ring_words - 1)

    def _forget_first(self) -> None:
        word = self.table[self._place(0)]
        self.first = (self.first + 2) & self.ring_words - 1
        self.closed -= 1
        self.count -= 1
        self._leave(word)
        entry = word & ENTRY_MASK
        self.set_word(entry, PAYLOAD, self.free)
        self.free = entry

    def _take(self) -> i64:
        entry = self.free
        if entry != NONE:
            self.free = self.word(entry, PAYLOAD)
            return entry
        if self.entries_at + self.used * ENTRY_WORDS == len(self.table):
            self._grow()
        entry = self.used
        self.used += 1
        return entry

    def _enter(self, word: i64) -> None:
        table = self.table
        mask = self.index_words - 1
        at = home(word >> ENTRY_BITS) & mask
        while table[at] != 0:
            at = at + 1 & mask
        table[at] = word

    def _leave(self, word: i64) -> None:
        """Take a word out of the index, and move up what had to make way for it."""
        table = self.table
        mask = self.index_words - 1
        gap = home(word >> ENTRY_BITS) & mask
        while table[gap] != word:
            gap = gap + 1 & mask
        at = gap + 1 & mask
        while table[at] != 0:
            # How far it is from its home, and from the gap: it moves if the gap is not nearer.
            if (at - home(table[at] >> ENTRY_BITS) & mask) >= (at - gap & mask):
                table[gap] = table[at]
                gap = at
            at = at + 1 & mask
        table[gap] = 0

    def _grow(self) -> None:
        """Move everything into a larger table; the ring then begins with the one closed first."""
        old, old_at, old_words = self.table, self.entries_at, self.index_words
        entries = 4 * self.used if self.used < GROWS_FAST_BELOW else 2 * self.used
        index_words = 2 * entries
        ring_words: i64 = 2 * (entries if entries < CLOSED_MAX else CLOSED_MAX)
        entries_at = index_words + ring_words
        table = zeros(entries_at + entries * ENTRY_WORDS)
        i: i64 = 0
        while i < self.closed:
            at = self._place(i)
            table[index_words + 2 * i] = old[at]
            table[index_words + 2 * i + 1] = old[at + 1]
            i += 1
        i = 0
        while i < self.used * ENTRY_WORDS:
            table[entries_at + i] = old[old_at + i]
            i += 1
        self.table = table
        self.index_words, self.ring_words, self.entries_at = index_words, ring_words, entries_at
        self.first = 0
        i = 0
        while i < old_words:
            if old[i] != 0:
                self._enter(old[i])
            i += 1


def home(client_id: i64) -> i64:
    """Where the search for a client id begins, before it is cut to the size of the index.

    Eight ids in a row stay side by side, in one line of memory; the next eight are elsewhere. If
    all that are counted up lay in a row, whoever leaves it would have to walk to its end.
    """
    return (client_id >> 3) * SCATTER >> 16 << 3 | client_id & 7
