"""How often one may ask: a bucket per account, and one per address for those who did not say who
they are.

How it works: a bucket is one number, the time at which it will be full again (GCRA): a request
moves it on by the time that one token takes to come back, and is refused if that is more than a
whole burst ahead. A bucket whose time has passed is full, the same as one that was never used, so
it may be forgotten.

Always true: a table has at most `keys_max` entries; what does not fit shares one bucket, so that
making up addresses wins nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

from fairbook.api.errors import ApiError
from fairbook.core.units import NS_PER_SECOND

_SWEEP_NS: Final = NS_PER_SECOND  # a full table looks for full buckets at most this often

Key = TypeVar("Key", bound=Hashable)


class TokenBuckets(Generic[Key]):
    """Token buckets by key."""

    def __init__(
        self,
        *,
        per_minute: int,
        burst: int,
        keys_max: int = 100_000,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """`per_minute` tokens come back in a minute, up to `burst`; 0: no limit."""
        self._interval_ns = 60 * NS_PER_SECOND // per_minute if per_minute else 0
        self._ahead_ns = self._interval_ns * burst
        self._burst = burst
        self._keys_max = keys_max
        self._now_ns = now_ns
        self._full_at: dict[Key | None, int] = {}
        self._swept_ns = -_SWEEP_NS

    def take(self, key: Key, tokens: int = 1) -> None:
        """Take tokens, or raise TOO_MANY_REQUESTS and take none. More than a burst counts as a
        burst.
        """
        interval_ns = self._interval_ns
        if not interval_ns:
            return
        now_ns = self._now_ns()
        slot: Key | None = key
        full_at = self._full_at.get(slot)
        if full_at is None and len(self._full_at) >= self._keys_max:
            slot = self._slot(key, now_ns)
            full_at = self._full_at.get(slot)
        if full_at is None or full_at < now_ns:
            full_at = now_ns
        full_at += interval_ns * (tokens if tokens < self._burst else self._burst)
        too_far_ns = full_at - now_ns - self._ahead_ns
        if too_far_ns > 0:
            raise too_many(too_far_ns)
        self._full_at[slot] = full_at

    def check(self, key: Key) -> None:
        """Raise TOO_MANY_REQUESTS if `take` would, and take nothing."""
        full_at = self._full_at.get(key)
        if full_at is not None:
            too_far_ns = full_at + self._interval_ns - self._now_ns() - self._ahead_ns
            if too_far_ns > 0:
                raise too_many(too_far_ns)

    def __len__(self) -> int:
        return len(self._full_at)

    def _slot(self, key: Key, now_ns: int) -> Key | None:
        """Where a new key goes when the table is full: its own place if one can be freed, else the
        shared one.
        """
        if now_ns - self._swept_ns >= _SWEEP_NS:
            self._swept_ns = now_ns
            self._full_at = {k: at for k, at in self._full_at.items() if at > now_ns}
        return key if len(self._full_at) < self._keys_max else None


def too_many(wait_ns: int) -> ApiError:
    """429 with the whole seconds after which it is worth trying again."""
    return ApiError(
        429, "TOO_MANY_REQUESTS", "Too many requests", retry_after_s=-(-wait_ns // NS_PER_SECOND)
    )
