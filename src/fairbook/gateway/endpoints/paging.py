"""Query parameters that select a part of a list: page and time range.

Invariant: no number in a query makes a reply larger than ROWS_MAX, or skips more than OFFSET_MAX
rows; everything else is INVALID_RANGE.
"""

from typing import Final

from fairbook.api.errors import BadRequest, invalid_range
from fairbook.api.requests import Fields, choice, is_absent, number_field
from fairbook.core.units import NS_PER_SECOND
from fairbook.ports.history import TIME_NS_MAX, Page, Span

ROWS_MAX: Final = 1000
ROWS: Final = 100  # unless a limit is given
OFFSET_MAX: Final = 100_000
SECONDS_MAX: Final = TIME_NS_MAX // NS_PER_SECOND

_MS: Final = 1_000_000
_DIRECTIONS: Final = {"Desc": 0, "Asc": 1}


def page(fields: Fields) -> Page:
    """`limit` and `offset`; newest first. Raises INVALID_RANGE."""
    limit = number_field(fields, "limit", ROWS, minimum=1, maximum=ROWS_MAX)
    return Page(limit, number_field(fields, "offset", 0, maximum=OFFSET_MAX))


def sorted_page(fields: Fields) -> Page:
    """As `page`, with `sortDirection`: Desc unless it is Asc. Raises BadRequest for others."""
    unsorted = page(fields)
    return unsorted._replace(oldest_first=choice(fields, "sortDirection", _DIRECTIONS, 0) == 1)


def span(fields: Fields) -> Span:
    """`from` and `to`, or `endTime` as some clients say, in milliseconds. Raises INVALID_RANGE."""
    from_ns = min(number_field(fields, "from", 0) * _MS, TIME_NS_MAX)
    end = "endTime" if is_absent(fields, "to") else "to"
    to_ns = min(number_field(fields, end, TIME_NS_MAX // _MS) * _MS + _MS - 1, TIME_NS_MAX)
    if from_ns > to_ns:
        raise invalid_range("from")
    return Span(from_ns, to_ns)


def seconds(fields: Fields, name: str, default: int | None = None) -> int:
    """A time in seconds. Raises INVALID_RANGE; BadRequest if it is missing without a default."""
    if default is None and is_absent(fields, name):
        raise BadRequest(f"Missing or malformed field: {name}")
    return number_field(fields, name, default or 0, maximum=SECONDS_MAX, unit="seconds")
