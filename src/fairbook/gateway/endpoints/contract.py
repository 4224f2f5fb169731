"""/openapi.json and /streams.json: the contract, generated from its tables at the first request, in
a thread: it takes some milliseconds.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

import msgspec

from fairbook.api.contract.openapi import openapi
from fairbook.api.contract.streams_table import streams
from fairbook.gateway.request import Endpoint, Endpoints, Request


def contract_endpoints() -> Endpoints:
    return {
        (b"GET", b"/openapi.json"): Endpoint(_document(openapi)),
        (b"GET", b"/streams.json"): Endpoint(_document(streams)),
    }


def _document(make: Callable[[], dict[str, Any]]) -> Callable[[Request], Awaitable[bytes]]:
    return lambda _request: asyncio.to_thread(_encoded, make)


@cache
def _encoded(make: Callable[[], dict[str, Any]]) -> bytes:
    return msgspec.json.encode(make())
