"""The error table: complete, with codes that public clients know and texts they match on."""

import json
import re
from pathlib import Path

import pytest

from fairbook.api.errors import (
    CLOSE_REASONS,
    REJECTS,
    BadRequest,
    busy,
    maintenance,
    not_found,
    not_implemented,
    outcome_unknown,
    rejected,
    unauthorized,
)
from fairbook.core import records

PROTOCOL = Path(__file__).parent.parent.parent / "docs" / "reference" / "protocol.md"

# The public contract, section 2: which status goes with which code.
STATUS_OF = {
    "INVALID_CLIENT_REQUEST": {400, 405, 413, 415},
    "INVALID_ORDER": {400}, "INVALID_PRICE": {400}, "INVALID_QUANTITY": {400},
    "INSUFFICIENT_FUNDS": {400}, "INVALID_MARKET": {400}, "INVALID_ASSET": {400},
    "INVALID_RANGE": {400}, "ORDER_LIMIT": {400}, "UNAUTHORIZED": {401}, "INVALID_SIGNATURE": {401},
    "FORBIDDEN": {403}, "RESOURCE_NOT_FOUND": {404}, "TOO_MANY_REQUESTS": {429},
    "SERVER_ERROR": {500}, "NOT_IMPLEMENTED": {501}, "MAINTENANCE": {503}, "TRADING_PAUSED": {503},
    "TIMEOUT": {504},
}  # fmt: skip


def test_every_reject_of_the_protocol_has_its_row() -> None:
    table = PROTOCOL.read_text().partition("## Rejects")[2]
    documented = {
        int(code): name for code, name in re.findall(r"^\| (\d+) \| ([A-Z_]+) \|", table, re.M)
    }
    assert len(documented) == 33
    assert set(REJECTS) == set(documented)
    for code, name in documented.items():
        assert getattr(records, name) == code


@pytest.mark.parametrize("reason", REJECTS)
def test_rejects_use_codes_that_clients_know(reason: int) -> None:
    error = rejected(reason, client_id=7)
    assert error.status in STATUS_OF[error.code]
    assert json.loads(error.body()) == {"code": error.code, "message": error.message}
    assert "{" not in error.message and error.message


def test_texts_that_other_software_matches_on() -> None:
    def said(reason: int) -> tuple[int, str, str]:
        error = rejected(reason, client_id=42)
        return error.status, error.code, error.message

    assert said(records.WOULD_CROSS) == (
        400, "INVALID_ORDER", "Order would immediately match and take",
    )  # fmt: skip
    assert said(records.UNKNOWN_ORDER) == (
        400, "INVALID_ORDER", "Order Not Found (RESOURCE_NOT_FOUND)",
    )  # fmt: skip
    assert said(records.DUPLICATE_CLIENT_ID) == (
        400, "INVALID_ORDER", "Order with client ID already exists: 42",
    )  # fmt: skip
    assert said(records.INSUFFICIENT_FUNDS)[:2] == (400, "INSUFFICIENT_FUNDS")
    assert (not_found().status, not_found().message) == (404, "Not Found")
    assert outcome_unknown().message == "Outcome unknown, ask by clientId"


def test_errors_of_the_edge_use_known_codes() -> None:
    for error in (
        BadRequest("x"), unauthorized(), not_found(), not_implemented("x"), outcome_unknown(),
        busy(), maintenance(),
    ):  # fmt: skip
        assert error.status in STATUS_OF[error.code]


def test_every_close_reason_is_known() -> None:
    reasons = PROTOCOL.read_text().partition("Close reasons:")[2].partition("\n\n")[0]
    numbers = [int(number) for number in re.findall(r"(\d+)\s[A-Z_]+", reasons)]
    assert numbers == list(range(1, 12))
    assert set(CLOSE_REASONS) == {0, *numbers}
