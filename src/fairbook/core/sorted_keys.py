"""The keys of one side of a book, sorted, in blocks: no insertion or removal moves many.

Removing one of 100,000 keys from one list moves up to 800 kB; a command that cancels 16,384 orders
at prices of their own would take half a second. A block has at most BLOCK_MAX keys.

Invariants: the blocks in order are all keys in order; no block is empty but the only one; an entry
of `firsts` lies between two blocks, but its own key may be gone.
"""

from bisect import bisect_left, bisect_right, insort
from typing import Final, final

from mypy_extensions import i64

BLOCK_MAX: Final = 1024


@final
class SortedKeys:
    """Numbers that occur once each. The last one is the best price."""

    def __init__(self) -> None:
        self.last: list[int] = []  # the last block: the best keys
        self.blocks: list[list[int]] = [self.last]
        self.firsts: list[int] = []  # the least key that goes into each block but the first

    def add(self, key: int) -> None:
        """Enter a key that is not there."""
        at = bisect_right(self.firsts, key)
        block = self.blocks[at]
        insort(block, key)
        if len(block) > BLOCK_MAX:
            half = block[BLOCK_MAX // 2 :]
            del block[BLOCK_MAX // 2 :]
            self.blocks.insert(at + 1, half)
            self.firsts.insert(at, half[0])
            self.last = self.blocks[-1]

    def remove(self, key: int) -> None:
        """The key must be there."""
        last = self.last
        if last[-1] == key:
            last.pop()
            if len(last) == 0:
                self._drop(len(self.blocks) - 1)
            return
        at = bisect_right(self.firsts, key)
        block = self.blocks[at]
        del block[bisect_left(block, key)]
        if len(block) == 0:
            self._drop(at)

    def _drop(self, at: i64) -> None:
        """Take out an empty block, unless it is the only one."""
        if len(self.blocks) == 1:
            return
        del self.blocks[at]
        del self.firsts[at - 1 if at > 0 else 0]
        self.last = self.blocks[-1]

    def best(self, count: i64) -> list[int]:
        """At most so many, the best one first."""
        found: list[int] = []
        at: i64 = len(self.blocks) - 1
        while at >= 0 and len(found) < count:
            block = self.blocks[at]
            wanted = count - len(found)
            found.extend(reversed(block[-wanted:] if wanted < len(block) else block))
            at -= 1
        return found
