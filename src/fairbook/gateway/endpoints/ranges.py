"""Which part of a long list a request asks for: limit, offset, times.

Always true: whatever is refused here is INVALID_RANGE; no number in a query makes a reply larger
than ROWS_MAX, or a search longer than OFFSET_MAX rows before it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from fairbook.api.errors import ApiError, BadRequest
from fairbook.api.requests import Fields, choice, is_absent
from fairbook.core.units import NS_PER_SECOND

ROWS_MAX: Final = 1000
ROWS: Final = 100  # unless a limit is given
OFFSET_MAX: Final = 100_000
TIME_NS_MAX: Final = (1 << 63) - 1
SECONDS_MAX: Final = TIME_NS_MAX // NS_PER_SECOND  # where log time ends, in the year 2262

_MS: Final = 1_000_000
_DIGITS_MAX: Final = 18
_DIRECTIONS: Final = {"Desc": 0, "Asc": 1}


class Part(NamedTuple):
    """So many rows, after so many."""

    limit: int
    offset: int


class Times(NamedTuple):
    """Log times, both within."""

    from_ns: int
    to_ns: int


def part(fields: Fields) -> Part:
    """`limit` (1 to ROWS_MAX) and `offset`. Raises INVALID_RANGE."""
    limit = _number(fields, "limit", ROWS)
    if not 1 <= limit <= ROWS_MAX:
        raise _invalid("limit")
    offset = _number(fields, "offset", 0)
    if offset > OFFSET_MAX:
        raise _invalid("offset")
    return Part(limit, offset)


def times(fields: Fields) -> Times:
    """`from` and `to`, or `endTime` as some clients say, in milliseconds. Raises INVALID_RANGE."""
    from_ns = min(_number(fields, "from", 0) * _MS, TIME_NS_MAX)
    end = "endTime" if is_absent(fields, "to") else "to"
    to_ns = min(_number(fields, end, TIME_NS_MAX // _MS) * _MS + _MS - 1, TIME_NS_MAX)
    if from_ns > to_ns:
        raise _invalid("from")
    return Times(from_ns, to_ns)


def seconds(fields: Fields, name: str, default: int | None = None) -> int:
    """A time in seconds. Raises INVALID_RANGE, also beyond log time; BadRequest if it is missing
    and there is no default.
    """
    if default is None and is_absent(fields, name):
        raise BadRequest(f"Missing or malformed field: {name}")
    second = _number(fields, name, default or 0)
    if second > SECONDS_MAX:
        raise _invalid(name)
    return second


def is_rising(fields: Fields) -> bool:
    """`sortDirection`: Desc unless it is Asc. Raises BadRequest."""
    return choice(fields, "sortDirection", _DIRECTIONS, 0) == 1


def row_id(fields: Fields, name: str) -> int | None:
    """The id of a row; None if it is absent. Raises INVALID_RANGE."""
    return None if is_absent(fields, name) else _number(fields, name, 0)


def _number(fields: Fields, name: str, default: int) -> int:
    """A whole number in plain digits."""
    if is_absent(fields, name):
        return default
    text = fields[name]
    if not (text.isascii() and text.isdigit()) or len(text) > _DIGITS_MAX:
        raise _invalid(name)
    return int(text)


def _invalid(name: str) -> ApiError:
    return ApiError(400, "INVALID_RANGE", f"Invalid {name}")
