"""Times as text: UTC without a zone, as the contract has them."""

from datetime import datetime, timedelta
from typing import Final

from fairbook.core.units import NS_PER_SECOND

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001  UTC, like everything made from it


def utc_text(time_ns: int, *, decimals: int = 6) -> str:
    """Log time as "2025-01-21T06:34:54.691858", truncated to 1 to 9 decimals."""
    seconds, rest = divmod(time_ns, NS_PER_SECOND)
    whole = utc_second(seconds)
    return f"{whole}.{rest:09d}"[: len(whole) + 1 + decimals]


def utc_second(time_s: int, separator: str = "T") -> str:
    """A second as "2025-07-19T13:09:00"."""
    return (_EPOCH + timedelta(0, time_s)).isoformat(separator)
