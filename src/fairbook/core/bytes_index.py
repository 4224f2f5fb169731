"""An index from byte strings to numbers that never stops to grow: no insertion takes long.

A dictionary of a million entries takes tens of milliseconds when it grows. Here each of 256
dictionaries grows alone.
"""

from typing import Final, final

from mypy_extensions import i64

ABSENT: Final = -1
_SHARDS: Final = 256


@final
class BytesIndex:
    """Numbers (>= 0, or below ABSENT) by keys of at least one byte, whose first byte varies."""

    def __init__(self) -> None:
        self.shards: list[dict[bytes, int]] = [{} for _ in range(_SHARDS)]
        self.count: i64 = 0

    def get(self, key: bytes) -> i64:
        """The number of a key, or ABSENT."""
        return self.shards[key[0]].get(key, ABSENT)

    def put(self, key: bytes, number: i64) -> None:
        shard = self.shards[key[0]]
        if key not in shard:
            self.count += 1
        shard[key] = number

    def remove(self, key: bytes) -> None:
        """The key must be there."""
        del self.shards[key[0]][key]
        self.count -= 1


def key_of(number: i64) -> bytes:
    """A number of at least 0 as a key."""
    as_int: int = number
    return as_int.to_bytes(8, "little")
