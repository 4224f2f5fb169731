"""Request bodies and queries: read strictly, and kept as written for the signature.

JSON numbers are read as their literal text, so a field is a str, bool, None, dict or list, never an
int or float. Unknown fields are kept, because they are part of the signed text; names that are
refused: field_names.py.

Invariants:
- duplicate keys, NaN, Infinity, lone surrogates, a byte order mark and anything but UTF-8 are
  refused;
- a value that was read can be encoded again.
"""

import re
from collections.abc import Iterable
from json import JSONDecodeError, JSONDecoder
from typing import Any, Final, NoReturn
from urllib.parse import parse_qsl

from fairbook.api.errors import BadRequest, invalid_market, invalid_range, rejected
from fairbook.api.numbers import whole_number
from fairbook.core.records import UNKNOWN_ORDER

BODY_BYTES_MAX: Final = 16 * 1024
QUERY_FIELDS_MAX: Final = 64
BATCH_ORDERS_MAX: Final = 50
CLIENT_ID_MAX: Final = 0xFFFFFFFF
CLIENT_ID_NAMES: Final = ("clientId", "clientOrderId")
_is_client_text: Final = re.compile(r"[A-Za-z0-9._:/-]{1,36}").fullmatch
CLIENT_ID_RULE: Final = "a number below 2^32, or 1 to 36 letters, digits and ._:/-"
ORDER_ID_MAX: Final = (1 << 63) - 1

Fields = dict[str, Any]
ClientId = int | str  # no text is the decimal of a number
Pairs = list[tuple[str, str | None]]


class JsonNumber(str):
    """The literal text of a JSON number."""

    __slots__ = ()


def _object(pairs: list[tuple[str, Any]]) -> Fields:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise BadRequest("A field is given twice")
    return fields


def _no_constant(name: str) -> NoReturn:
    raise BadRequest(f"Not a JSON value: {name}")


_decode: Final = JSONDecoder(
    object_pairs_hook=_object,
    parse_int=JsonNumber,
    parse_float=JsonNumber,
    parse_constant=_no_constant,
).raw_decode
_SPACE: Final = " \t\n\r"


def read_json(body: bytes) -> Any:
    """Decode a body. Raises BadRequest unless it is one unambiguous JSON value in UTF-8."""
    try:
        text = body.decode().strip(_SPACE)
        value, end = _decode(text)
        if end != len(text):
            raise BadRequest("Body is not valid JSON")
        if b"\\u" in body:
            _check_encodable(value)
    except (JSONDecodeError, UnicodeError, RecursionError):
        raise BadRequest("Body is not valid JSON") from None
    return value


def _check_encodable(value: Any) -> None:
    """Raise UnicodeError for a lone surrogate, which could not be encoded again."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            value.encode()
        elif isinstance(value, dict):
            waiting.extend(value)
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def read_object(body: bytes) -> Fields:
    value = read_json(body)
    if type(value) is not dict:
        raise BadRequest("Body must be a JSON object")
    return value


def read_array(body: bytes) -> list[Fields]:
    """The orders of a batch."""
    value = read_json(body)
    if type(value) is not list or not all(type(item) is dict for item in value):
        raise BadRequest("Body must be a JSON array of objects")
    if not 1 <= len(value) <= BATCH_ORDERS_MAX:
        raise BadRequest(f"A batch has 1 to {BATCH_ORDERS_MAX} orders")
    return value


def read_query(query: bytes) -> list[tuple[str, str]]:
    """The pairs of a query, in their order. Raises BadRequest if malformed, or too many."""
    if not query:
        return []
    try:
        return parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=QUERY_FIELDS_MAX,
        )
    except ValueError:  # includes UnicodeError
        raise BadRequest("Malformed query") from None


def query_fields(pairs: list[tuple[str, str]]) -> Fields:
    """The fields of a query; `marketType` may repeat and becomes a list."""
    fields: Fields = {}
    for name, value in pairs:
        if name == "marketType":
            fields.setdefault(name, []).append(value)
        elif name in fields:
            raise BadRequest("A field is given twice")
        else:
            fields[name] = value
    return fields


def only_in_query(pairs: list[tuple[str, str]], fields: Fields) -> list[tuple[str, str]]:
    """The pairs of a query that the body does not have too. Raises BadRequest for a field that has
    another value in the body.
    """
    rest = []
    for name, value in pairs:
        if name not in fields:
            rest.append((name, value))
        elif signed_text(fields[name]) != as_signed(value):
            raise BadRequest(f"A field has two values: {name[:64]}")
    return rest


def as_signed(value: str) -> str:
    """A value of a query as it is signed: Python's booleans in lower case."""
    return value.lower() if value in ("True", "False") else value


def signed_pairs(fields: Fields) -> Pairs:
    """The top-level fields as signed, sorted by key; None for a JSON null."""
    return [
        (name, value if type(value) is str else signed_text(value))
        for name, value in sorted(fields.items())
    ]


def signed_text(value: Any) -> str | None:
    """A value of a body as it is signed; None for null."""
    if value is None:
        return None
    if type(value) is bool:
        return "true" if value else "false"
    return str(value)


def text_field(fields: Fields, name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise BadRequest(f"Missing or malformed field: {name}")
    return str(value)


def symbol_field(fields: Fields) -> str:
    """`symbol`, not looked up. Raises BadRequest if it is missing, else INVALID_MARKET."""
    value = fields.get("symbol")
    if isinstance(value, str):
        return value
    if value is None:
        raise BadRequest("Missing or malformed field: symbol")
    raise invalid_market()


def is_absent(fields: Fields, name: str) -> bool:
    """Whether a field is missing, null or an empty string, which mean the same."""
    value = fields.get(name)
    return value is None or value == ""


def choice(fields: Fields, name: str, choices: dict[str, int], default: int | None = None) -> int:
    """An enumeration value. Raises BadRequest if it is unknown, or missing without a default."""
    value = fields.get(name)
    if value is None and default is not None:
        return default
    if isinstance(value, str):
        found = choices.get(value)
        if found is not None:
            return found
    raise invalid_choice(name, choices)


def invalid_choice(name: str, known: Iterable[str]) -> BadRequest:
    return BadRequest(f"Invalid {name}, must be one of {', '.join(known)}")


def flag(fields: Fields, name: str) -> bool:
    """A field that is true, false or absent. Raises BadRequest."""
    value = fields.get(name)
    if value is not None and type(value) is not bool:
        raise BadRequest(f"Invalid {name}, must be true or false")
    return value is True


def number_field(
    fields: Fields, name: str, default: int, *,
    minimum: int = 0, maximum: int = 10**18 - 1, unit: str = "",
) -> int:  # fmt: skip
    """A whole number of a query, at most 18 digits. Raises INVALID_RANGE. unit: for its message."""
    if is_absent(fields, name):
        return default
    number = whole_number(fields[name], digits_max=18)
    if number is None or not minimum <= number <= maximum:
        raise invalid_range(f"{name}, in {unit}" if unit else name)
    return number


def client_id_field(fields: Fields) -> ClientId | None:
    """`clientId` or `clientOrderId`; None without either. Raises BadRequest for an invalid one, and
    for two that differ.
    """
    found = _client_id("clientId", fields.get("clientId"))
    value = fields.get("clientOrderId")
    if value is None:
        return found
    other = _client_id("clientOrderId", value)
    if found is not None and other is not None and found != other:
        raise BadRequest("clientId and clientOrderId differ")
    return other if found is None else found


def _client_id(name: str, value: Any) -> ClientId | None:
    """A 32-bit number, as a JSON number or as its decimal text without leading zeros; or another
    text of the characters of client ids. None: it is absent.
    """
    if value is None or value == "":
        return None
    number = whole_number(value, digits_max=10)
    if number is not None and number <= CLIENT_ID_MAX and value == str(number):
        return number
    if type(value) is str and _is_client_text(value):
        return value
    raise BadRequest(f"Invalid {name}, must be {CLIENT_ID_RULE}")


def order_id_field(fields: Fields) -> int | None:
    """`orderId`; None if it is absent. Raises UNKNOWN_ORDER for one that no order can have."""
    if is_absent(fields, "orderId"):
        return None
    text = fields["orderId"]
    number = whole_number(text, digits_max=19)
    if number is not None and number <= ORDER_ID_MAX:
        return number
    if isinstance(text, str) and text.isdigit() and text.isascii():
        raise rejected(UNKNOWN_ORDER)
    raise BadRequest("Invalid orderId")
