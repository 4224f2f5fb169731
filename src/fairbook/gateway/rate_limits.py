"""Rate limits: a token bucket per account, or per IP address for unauthenticated requests.

Invariant: a table has at most `keys_max` buckets of their own. Further keys share one bucket, so
that inventing addresses gains nothing.
"""

import time
from collections.abc import Callable, Hashable
from typing import Final, NamedTuple

from fairbook.api.errors import ApiError
from fairbook.core.units import NS_PER_SECOND
from fairbook.net.token_bucket import TokenBucket

REFUSED_PAUSE_S: Final = 0.05  # after a 429, before the next request of the same connection
_SWEEP_NS: Final = NS_PER_SECOND  # a full table is searched for full buckets at most this often


class TokenBuckets:
    """Token buckets by key."""

    def __init__(
        self,
        *,
        per_minute: int = 0,
        interval_ns: int = 0,
        burst: int,
        keys_max: int = 100_000,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """`per_minute` tokens come back in a minute, or one each `interval_ns`, up to `burst`; both
        0: no limit.
        """
        self._interval_ns = 60 * NS_PER_SECOND // per_minute if per_minute else interval_ns
        self._burst = burst
        self._keys_max = keys_max
        self._now_ns = now_ns
        self._buckets: dict[Hashable, TokenBucket] = {}
        self._shared = TokenBucket(interval_ns=self._interval_ns, burst=burst)
        self._swept_ns = -_SWEEP_NS

    def take(self, key: Hashable, tokens: int = 1) -> None:
        """Take tokens as TokenBucket does, or raise TOO_MANY_REQUESTS and take none."""
        if not self._interval_ns:
            return
        now_ns = self._now_ns()
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._new_bucket(key, now_ns)
        wait_ns = bucket.take(now_ns, tokens)
        if wait_ns:
            raise too_many(wait_ns)

    def take_part(self, key: Hashable, tokens: int) -> None:
        """Take tokens, but at most half a burst; or raise TOO_MANY_REQUESTS and take none."""
        self.take(key, min(tokens, max(self._burst // 2, 1)))

    def drain(self, key: Hashable, tokens: int) -> None:
        """As TokenBucket does."""
        if self._interval_ns:
            now_ns = self._now_ns()
            bucket = self._buckets.get(key) or self._new_bucket(key, now_ns)
            bucket.drain(now_ns, tokens)

    def give_back(self, key: Hashable, tokens: int = 1) -> None:
        """Undo a `take` of as many tokens."""
        self._buckets.get(key, self._shared).give_back(tokens)

    def check(self, key: Hashable, tokens: int = 1) -> None:
        """Raise TOO_MANY_REQUESTS if `take` would, and take nothing."""
        bucket = self._buckets.get(key)
        if bucket is None and len(self._buckets) >= self._keys_max:
            bucket = self._shared
        wait_ns = 0 if bucket is None else bucket.wait_ns(self._now_ns(), tokens)
        if wait_ns:
            raise too_many(wait_ns)

    def __len__(self) -> int:
        return len(self._buckets)

    def _new_bucket(self, key: Hashable, now_ns: int) -> TokenBucket:
        """Its own, or the shared one. A full bucket is like a new one, so it can be removed."""
        if len(self._buckets) >= self._keys_max:
            if now_ns - self._swept_ns >= _SWEEP_NS:
                self._swept_ns = now_ns
                self._buckets = {k: b for k, b in self._buckets.items() if b.full_at_ns > now_ns}
            if len(self._buckets) >= self._keys_max:
                return self._shared
        bucket = TokenBucket(interval_ns=self._interval_ns, burst=self._burst)
        self._buckets[key] = bucket
        return bucket


class RateLimits(NamedTuple):
    """The buckets of one gateway."""

    account: TokenBuckets  # by account id
    address: TokenBuckets  # of public requests, and of those refused before authentication
    guesses: TokenBuckets  # wrong tokens and signatures, by address: see guesses.py


def too_many(wait_ns: int) -> ApiError:
    """429 with the whole seconds after which to try again."""
    return ApiError(
        429, "TOO_MANY_REQUESTS", "Too many requests", retry_after_s=-(-wait_ns // NS_PER_SECOND)
    )
