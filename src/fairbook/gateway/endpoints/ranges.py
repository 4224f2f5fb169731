"""Which part of a long list a request asks for: limit, offset, times.

Always true: whatever is refused here is INVALID_RANGE; no number in a query makes a reply larger
than ROWS_MAX, or a search longer than OFFSET_MAX rows before it.
"""

from __future__ import annotations

from typing import Final

from fairbook.api.errors import ApiError, BadRequest
from fairbook.api.requests import Fields, choice, is_absent
from fairbook.core.units import NS_PER_SECOND
from fairbook.ports.history import TIME_NS_MAX, Page, Span

ROWS_MAX: Final = 1000
ROWS: Final = 100  # unless a limit is given
OFFSET_MAX: Final = 100_000
SECONDS_MAX: Final = TIME_NS_MAX // NS_PER_SECOND  # where log time ends, in the year 2262

_MS: Final = 1_000_000
_DIGITS_MAX: Final = 18
_DIRECTIONS: Final = {"Desc": 0, "Asc": 1}


def page(fields: Fields) -> Page:
    """`limit` (1 to ROWS_MAX) and `offset`; newest first. Raises INVALID_RANGE."""
    limit = _number(fields, "limit", ROWS)
    if not 1 <= limit <= ROWS_MAX:
        raise _invalid("limit")
    offset = _number(fields, "offset", 0)
    if offset > OFFSET_MAX:
        raise _invalid("offset")
    return Page(limit, offset)


def sorted_page(fields: Fields) -> Page:
    """As `page`, and `sortDirection`: Desc unless it is Asc. Raises BadRequest also for that."""
    oldest_first = choice(fields, "sortDirection", _DIRECTIONS, 0) == 1
    return page(fields)._replace(oldest_first=oldest_first)


def span(fields: Fields) -> Span:
    """`from` and `to`, or `endTime` as some clients say, in milliseconds. Raises INVALID_RANGE."""
    from_ns = min(_number(fields, "from", 0) * _MS, TIME_NS_MAX)
    end = "endTime" if is_absent(fields, "to") else "to"
    to_ns = min(_number(fields, end, TIME_NS_MAX // _MS) * _MS + _MS - 1, TIME_NS_MAX)
    if from_ns > to_ns:
        raise _invalid("from")
    return Span(from_ns, to_ns)


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
