"""The contract table as docs/reference/http-api.md: `python -m fairbook.api.contract.page`."""

from collections.abc import Iterable, Iterator
from typing import Any, Final, get_args

import msgspec

from fairbook.api.contract.streams_table import STREAMS
from fairbook.api.contract.table import ACCOUNT, AUTH, MARKET_DATA, ORDERS, Route

PERMISSIONS: Final = {0: "", 1: "read", 2: "trade", 4: "withdraw"}
PARTS: Final = (
    ("Market data", MARKET_DATA),
    ("Orders", ORDERS),
    ("Account", ACCOUNT),
    ("Sign-up, sessions and keys", AUTH),
)
HEAD: Final = """# Routes

Generated from the contract table (`src/fairbook/api/contract/table.py`), as are `GET /openapi.json`
(OpenAPI 3.1, with all shapes) and `GET /streams.json`. Tests hold it equal to the routes, and
decode every answer by it. Rules that no table can say: [HTTP interface and order
entry](api-notes.md).

Every route may also answer 400 `INVALID_CLIENT_REQUEST`, 429, 503 (nothing was done) and 504 (the
outcome is unknown); a private one 401 and 403. A field in brackets is optional.
"""


def page() -> str:
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield HEAD
    for title, routes in PARTS:
        yield from (f"## {title}", "")
        yield "| route | permission, instruction | fields | answer | errors |"
        yield "|---|---|---|---|---|"
        yield from map(_row, routes)
        yield ""
    yield from ("## Streams", "", "| name | what | message |", "|---|---|---|")
    for stream in STREAMS:
        yield f"| `{stream.name}` | {stream.summary} | {_fields(stream.message)} |"
    yield ""


def _row(route: Route) -> str:
    permission = PERMISSIONS[route.permission]
    who = f"{permission}, `{route.instruction}`" if permission else "public"
    request = "" if route.request is None else _fields(route.request)
    errors = ", ".join(f"`{code}`" for code in route.errors)
    answer = "text" if route.reply is None else _answer(route.reply)
    status = "" if route.status == 200 else f"{route.status}, "
    return (
        f"| `{route.method} {route.path}`: {route.summary} | {who} | {request} | {status}{answer} |"
        f" {errors} |"
    )


def _fields(shape: Any) -> str:
    names: Iterable[msgspec.structs.FieldInfo] = msgspec.structs.fields(shape)
    return ", ".join(
        f"`{each.encode_name.rstrip('_')}`" if each.required
        else f"[`{each.encode_name.rstrip('_')}`]"
        for each in names
    )  # fmt: skip


def _answer(shape: Any) -> str:
    inner = get_args(shape)
    if not inner:
        return f"`{shape.__name__}`"
    kind = "array" if shape.__origin__ is list else "object by name"
    names = [getattr(each, "__name__", "text") for each in get_args(inner[-1]) or (inner[-1],)]
    return f"{kind} of {' or '.join(f'`{name}`' for name in names)}"


if __name__ == "__main__":
    print(page(), end="")
