"""A clock that a test sets."""


class ManualClock:
    """Wall time in nanoseconds that passes only when told."""

    def __init__(self, now_ns: int = 0) -> None:
        self.now_ns = now_ns

    def ns(self) -> int:
        return self.now_ns

    def ms(self) -> int:
        return self.now_ns // 1_000_000

    def advance(self, seconds: float) -> None:
        self.now_ns += int(seconds * 1_000_000_000)
