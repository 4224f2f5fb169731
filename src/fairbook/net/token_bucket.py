"""A token bucket.

Design: the generic cell rate algorithm (GCRA). The state is one number, the time at which the
bucket will be full again. Taking a token moves it on by the time that one token takes to come back;
it may lie at most a whole burst ahead of now, or two with what is owed.
"""


class TokenBucket:
    """One bucket. Times are nanoseconds of one monotonic clock."""

    __slots__ = ("_burst_ns", "_interval_ns", "full_at_ns")

    def __init__(self, *, interval_ns: int, burst: int) -> None:
        """interval_ns: the time in which one token comes back, up to `burst` tokens."""
        self._interval_ns = interval_ns
        self._burst_ns = interval_ns * burst
        self.full_at_ns = 0  # if this time has passed, the bucket is full, like a new one

    def take(self, now_ns: int, tokens: int = 1) -> int:
        """Take tokens, at most a burst, and return 0; or take none and return the ns to wait."""
        full_at_ns = self._full_at_ns_after(now_ns, tokens)
        wait_ns = full_at_ns - now_ns - self._burst_ns
        if wait_ns > 0:
            return wait_ns
        self.full_at_ns = full_at_ns
        return 0

    def drain(self, now_ns: int, tokens: int) -> None:
        """Take tokens, at most a burst, if one is left. What is not there is owed."""
        if not self.wait_ns(now_ns):
            self.full_at_ns = self._full_at_ns_after(now_ns, tokens)

    def give_back(self, tokens: int) -> None:
        """Undo a `take` of as many tokens."""
        self.full_at_ns -= min(self._interval_ns * tokens, self._burst_ns)

    def wait_ns(self, now_ns: int, tokens: int = 1) -> int:
        """How long to wait for tokens, at most a burst; 0: they can be taken now."""
        return max(0, self._full_at_ns_after(now_ns, tokens) - now_ns - self._burst_ns)

    def _full_at_ns_after(self, now_ns: int, tokens: int) -> int:
        taken_ns = self._interval_ns * tokens
        return max(self.full_at_ns, now_ns) + min(taken_ns, self._burst_ns)
