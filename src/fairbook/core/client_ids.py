"""Client ids: the outcome of an order, kept for a client that sends the order again.

Design: each account has one table of 64-bit words, in three parts. An index with open addressing
finds the entry of a client id; its hash depends on the log's salt, so that no client can choose
ids that collide. A ring holds the closed ones in closing order, 256 at most, for ten
minutes of log time; entries hold payload and outcome. An order then loads few cache lines that are
not in a cache: one of the index to find nothing, its entry, and one of the index for the entry that
it evicts. One table instead of three, because the header of every table costs a cache line. With
objects in a dictionary an order with a client id took twice as long.

A client id that is a text has an entry and a place in the ring too, but a dictionary finds it.

Invariants: a client id stands for one payload while it is kept; an account keeps its open orders
and 256 closed ones at most. Entry 0 is never used and means "none".
"""

from __future__ import annotations

from typing import Final, final

from librt.strings import BytesWriter, write_i64_le
from librt.vecs import append, vec
from mypy_extensions import i64, mypyc_attr

from fairbook.core.book import Order
from fairbook.core.units import NS_PER_SECOND

CLOSED_MAX: Final = 256
KEPT_NS: Final = 600 * NS_PER_SECOND
ENTRIES_MIN: Final = 8
HASH_FACTOR: Final = 0x9E3779B1
MASK_32: Final = 0xFFFFFFFF
MASK_31: Final = 0x7FFFFFFF
FAST_GROWTH_ENTRIES: Final = 512  # a smaller table grows by four times, a larger one by two

NO_ENTRY: Final = 0

# The words of an entry. PAYLOAD is the first word of the command (kind, side, tif, flags, market);
# in a free entry, the next free one. OUTCOME is status and reason << 8.
ENTRY_WORDS: Final = 8
PAYLOAD: Final = 0
PRICE: Final = 1
QUANTITY: Final = 2
ORDER_ID: Final = 3
OUTCOME: Final = 4
FILLED: Final = 5
QUOTE: Final = 6
CREATED_NS: Final = 7

# A word of the index, and the first of two in the ring, is entry | client id << 24.
ENTRY_BITS: Final = 24
ENTRY_MASK: Final = (1 << ENTRY_BITS) - 1
TEXT_ID: Final = 1 << 32  # in place of the client id: it is a text


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
class ClientIdTable:
    """The client ids of one account."""

    def __init__(self, salt: i64) -> None:
        self.mask: i64 = salt & MASK_32  # xored with client ids before they are hashed
        self.factor: i64 = (salt >> 32 ^ HASH_FACTOR) & MASK_31 | 1
        self.shift: i64 = shift_of(2 * ENTRIES_MIN)
        self.texts: dict[bytes, int] = {}  # entries by text; never walked through
        self.text_of: list[bytes] = []  # by entry, as far as there are texts
        self.table: vec[i64] = zeros((2 + 2 + ENTRY_WORDS) * ENTRIES_MIN)
        self.index_words: i64 = 2 * ENTRIES_MIN  # first; 0: empty; a power of two, half full
        self.ring_words: i64 = 2 * ENTRIES_MIN  # then; pairs, one for each entry up to CLOSED_MAX
        self.entries_at: i64 = 4 * ENTRIES_MIN  # the rest
        self.closed: i64 = 0  # how many entries are of closed orders
        self.first: i64 = 0  # where in the ring the one closed first is
        self.free: i64 = NO_ENTRY  # the first of the linked list of free entries
        self.used: i64 = 1  # entries that were ever used, and entry 0
        self.count: i64 = 0

    def find(self, client_id: i64) -> i64:
        """The entry of a client id, or NO_ENTRY."""
        table = self.table
        mask = self.index_words - 1
        at = self.bucket(client_id) & mask
        word = table[at]
        while word != 0 and word >> ENTRY_BITS != client_id:
            at = at + 1 & mask
            word = table[at]
        return word & ENTRY_MASK

    def bucket(self, client_id: i64) -> i64:
        """Where the search for a client id begins.

        Eight consecutive ids share a cache line; where the next eight are depends on the salt. The
        first factor and the shift spread what a client chooses, so that no second factor turns a
        row of ids into a row of buckets.
        """
        mixed = ((client_id ^ self.mask) >> 3) * HASH_FACTOR & MASK_32
        mixed = (mixed ^ mixed >> 15) * self.factor & MASK_32
        return mixed >> self.shift << 3 | client_id & 7

    def find_text(self, text: bytes) -> i64:
        """The entry of a client id that is a text, or NO_ENTRY."""
        return self.texts.get(text, NO_ENTRY)

    def prefetch(self, client_id: i64) -> i64:
        """Load the words that an order with this client id uses first, and return a mix of them.

        They are its bucket in the index, the entry that it may get, the closed one that it may
        evict, and the bucket of that one.
        """
        table = self.table
        mask = self.index_words - 1
        entry = self.entries_at + self.free * ENTRY_WORDS
        oldest = table[self.index_words + self.first] & ~(TEXT_ID << ENTRY_BITS)
        return (
            table[self.bucket(client_id) & mask]
            ^ table[self.bucket(oldest >> ENTRY_BITS) & mask]
            ^ table[entry + PAYLOAD]
            ^ table[entry + CREATED_NS]
        )

    def add(
        self,
        client_id: i64,
        text: bytes,
        payload: i64,
        price: i64,
        quantity: i64,
        order_id: i64,
    ) -> i64:
        """Enter an accepted order, whose client id is not in the table. `text`: empty, or the
        client id; the number has no meaning then.
        """
        entry = self._allocate()
        table = self.table
        at = self.entries_at + entry * ENTRY_WORDS
        table[at + PAYLOAD] = payload
        table[at + PRICE] = price
        table[at + QUANTITY] = quantity
        table[at + ORDER_ID] = order_id
        if len(text) == 0:
            self._insert_in_index(entry | client_id << ENTRY_BITS)
        else:
            self.texts[text] = entry
            while len(self.text_of) <= entry:
                self.text_of.append(b"")
            self.text_of[entry] = text
        self.count += 1
        return entry

    def matches(self, entry: i64, payload: i64, price: i64, quantity: i64) -> bool:
        table = self.table
        at = self.entries_at + entry * ENTRY_WORDS
        return (
            table[at + PAYLOAD] == payload
            and table[at + PRICE] == price
            and table[at + QUANTITY] == quantity
        )

    def set_outcome(self, order: Order, status: i64, reason: i64) -> None:
        table = self.table
        at = self.entries_at + order.client_id_entry * ENTRY_WORDS
        table[at + OUTCOME] = status | reason << 8
        table[at + FILLED] = order.filled
        table[at + QUOTE] = order.quote
        table[at + CREATED_NS] = order.created_ns

    def word(self, entry: i64, which: i64) -> i64:
        """A word of an entry; `which` is PAYLOAD..CREATED_NS."""
        return self.table[self.entries_at + entry * ENTRY_WORDS + which]

    def set_word(self, entry: i64, which: i64, word: i64) -> None:
        self.table[self.entries_at + entry * ENTRY_WORDS + which] = word

    def close(self, entry: i64, client_id: i64, has_text: bool, time_ns: i64) -> None:
        """The order of an entry is closed: it is kept for KEPT_NS, among the last CLOSED_MAX."""
        if self.closed == CLOSED_MAX:
            self._evict_oldest()
        if has_text:
            client_id = TEXT_ID
        table = self.table
        at = self._ring_at(self.closed)
        table[at] = entry | client_id << ENTRY_BITS
        table[at + 1] = time_ns
        self.closed += 1

    def expire(self, time_ns: i64) -> None:
        """Evict what was closed KEPT_NS ago, or earlier."""
        while self.closed > 0 and time_ns - self.closed_ns(0) >= KEPT_NS:
            self._evict_oldest()

    def closed_entry(self, which: i64) -> i64:
        """The entry of a closed order; 0 is the one closed first."""
        return self.table[self._ring_at(which)] & ENTRY_MASK

    def closed_client_id(self, which: i64) -> i64:
        """The number, or TEXT_ID."""
        return self.table[self._ring_at(which)] >> ENTRY_BITS

    def closed_text(self, which: i64) -> bytes:
        """The text, or empty."""
        if self.closed_client_id(which) != TEXT_ID:
            return b""
        return self.text_of[self.closed_entry(which)]

    def closed_ns(self, which: i64) -> i64:
        return self.table[self._ring_at(which) + 1]

    def put(self, entry: i64, out: BytesWriter) -> None:
        """Write the words of an entry."""
        i: i64 = 0
        while i < ENTRY_WORDS:
            write_i64_le(out, self.word(entry, i))
            i += 1

    def _ring_at(self, which: i64) -> i64:
        return self.index_words + ((self.first + 2 * which) & self.ring_words - 1)

    def _evict_oldest(self) -> None:
        word = self.table[self._ring_at(0)]
        self.first = (self.first + 2) & self.ring_words - 1
        self.closed -= 1
        self.count -= 1
        entry = word & ENTRY_MASK
        if word >> ENTRY_BITS == TEXT_ID:
            del self.texts[self.text_of[entry]]
            self.text_of[entry] = b""
        else:
            self._remove_from_index(word)
        self.set_word(entry, PAYLOAD, self.free)
        self.free = entry

    def _allocate(self) -> i64:
        entry = self.free
        if entry != NO_ENTRY:
            self.free = self.word(entry, PAYLOAD)
            return entry
        if self.entries_at + self.used * ENTRY_WORDS == len(self.table):
            self._grow()
        entry = self.used
        self.used += 1
        return entry

    def _insert_in_index(self, word: i64) -> None:
        table = self.table
        mask = self.index_words - 1
        at = self.bucket(word >> ENTRY_BITS) & mask
        while table[at] != 0:
            at = at + 1 & mask
        table[at] = word

    def _remove_from_index(self, word: i64) -> None:
        """Delete a word, and move the words that were displaced by it into the gap."""
        table = self.table
        mask = self.index_words - 1
        gap = self.bucket(word >> ENTRY_BITS) & mask
        while table[gap] != word:
            gap = gap + 1 & mask
        at = gap + 1 & mask
        while table[at] != 0:
            # A word moves into the gap unless its first bucket lies behind the gap.
            if (at - self.bucket(table[at] >> ENTRY_BITS) & mask) >= (at - gap & mask):
                table[gap] = table[at]
                gap = at
            at = at + 1 & mask
        table[gap] = 0

    def _grow(self) -> None:
        """Move everything into a larger table, in which the ring begins with the oldest."""
        old, old_at, old_words = self.table, self.entries_at, self.index_words
        entries = 4 * self.used if self.used < FAST_GROWTH_ENTRIES else 2 * self.used
        index_words = 2 * entries
        ring_words: i64 = 2 * (entries if entries < CLOSED_MAX else CLOSED_MAX)
        entries_at = index_words + ring_words
        table = zeros(entries_at + entries * ENTRY_WORDS)
        i: i64 = 0
        while i < self.closed:
            at = self._ring_at(i)
            table[index_words + 2 * i] = old[at]
            table[index_words + 2 * i + 1] = old[at + 1]
            i += 1
        i = 0
        while i < self.used * ENTRY_WORDS:
            table[entries_at + i] = old[old_at + i]
            i += 1
        self.table = table
        self.index_words, self.ring_words, self.entries_at = index_words, ring_words, entries_at
        self.shift = shift_of(index_words)
        self.first = 0
        i = 0
        while i < old_words:
            if old[i] != 0:
                self._insert_in_index(old[i])
            i += 1


def shift_of(index_words: i64) -> i64:
    """How far a hash of 32 bits is shifted to the right, to count groups of eight buckets."""
    shift: i64 = 32
    while index_words > 8:
        index_words >>= 1
        shift -= 1
    return shift
