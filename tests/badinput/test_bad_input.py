"""Send each bad input to a running exchange: check answer, connection, state and cost.

A row is sent several times; the log is read before and after. An input that is refused by the
gateway leaves no command in the log; an input that the engine rejects is logged each time, and
changes only sequence and time of the state.
"""

from __future__ import annotations

import pytest

from tests.badinput.rows import NO_ANSWER, Row
from tests.badinput.rows_auth import AUTH
from tests.badinput.rows_history import HISTORY
from tests.badinput.rows_http import HTTP
from tests.badinput.rows_numbers import NUMBERS, STRINGS
from tests.badinput.summary import COSTS
from tests.badinput.target import Target
from tests.world.socket_client import Answer, SocketClient

ROWS = [*NUMBERS, *STRINGS, *HTTP, *AUTH, *HISTORY]


def named(row: Row) -> str:
    """The test id of a row."""
    return f"{row.id} {row.name}".encode("ascii", "backslashreplace").decode()[:60]


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_a_bad_input(row: Row, target: Target, wire: SocketClient) -> None:
    before = target.replayed.catch_up()
    commands = target.replayed.commands
    inputs = [target.made(row) for _ in range(row.times)]
    cpu_s = target.cpu_s()
    for data in inputs:
        confirm(row, wire.ask(data, ends=row.ends))
        if row.closes:
            assert wire.ends()
            wire.close()
            wire.open()
    cost_ms = (target.cpu_s() - cpu_s) * 1000 / row.times
    COSTS[named(row)] = (row.times, cost_ms)
    assert target.replayed.catch_up() == before, "the state changed"
    assert target.replayed.commands == commands + (row.times if row.logged else 0)
    assert cost_ms < row.cpu_ms


def confirm(row: Row, answer: Answer) -> None:
    """Check an answer against its row."""
    assert answer.status == row.status, answer
    if row.status == NO_ANSWER:
        return
    assert list(answer.body) == ["code", "message"]
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.body["code"] == row.code and row.message in answer.body["message"], answer


def test_every_id_of_the_list_has_a_row() -> None:
    """Every id of docs/internals/bad-input.md that a request can be has a row."""
    numbers = {"N": (*range(1, 11), 13, 14, 16, 18), "H": (*range(1, 9), 10, 11, 12, 14, 15, 16),
               "C": range(1, 7), "A": (1, 2, 3, 4, 5, 7, 9, 10, 11, 12, 13, 15, 17)}  # fmt: skip
    expected = {f"{kind}{number}" for kind, all_of in numbers.items() for number in all_of}
    assert {row.id for row in ROWS} == expected
    assert len({(row.id, row.name) for row in ROWS}) == len(ROWS) >= 500
    assert not [row for row in ROWS if row.status >= 500 and row.status != 501]


def test_unknown_credentials_get_the_same_answer(target: Target, wire: SocketClient) -> None:
    """Unknown, expired and revoked credentials get byte for byte the same answer."""
    told = set()
    for row in AUTH:
        if row.id in ("A1", "A11", "A12", "A17") and row.code == "UNAUTHORIZED":
            told.add(str(wire.ask(target.made(row)).body))
    assert len(told) == 1
