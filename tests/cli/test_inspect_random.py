"""The life of every order, and of every client id, of random logs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fairbook.cli.executed_units import executed_units
from fairbook.cli.order_history import ClientId, OrderHistory
from fairbook.cli.order_text import client_id_of
from fairbook.cli.reason_text import CLOSE_SENTENCES
from fairbook.core import records
from fairbook.core.exchange import Exchange
from fairbook.log.command_log import Entry
from tests.core import wire
from tests.core.stream import START_NS, SplitMix64, Stream, opening
from tests.core.stream_signed import SignedStream, signed_opening

FRAMES = 1_200
HISTORIES_MAX = 300


def random_log(stream: Stream, first: bytes) -> Iterator[tuple[Entry, bytes]]:
    exchange = Exchange()
    frame, time_ns = first, START_NS
    for position in range(1, FRAMES + 1):
        events = exchange.apply(frame, time_ns)
        yield Entry(position, time_ns, bytes(32), frame), events
        stream.saw(wire.split_events(events))
        frame, time_ns = stream.frame(), stream.step()


def placed(log: list[tuple[Entry, bytes]]) -> tuple[list[int], list[tuple[int, ClientId]]]:
    """The ids of orders, and the client ids with their accounts, of PLACE commands."""
    orders: list[int] = []
    client_ids: dict[tuple[int, ClientId], None] = {}
    for entry, events in log:
        for executed in executed_units(entry.frame, events):
            command, outcome = executed.command(), executed.outcome
            if command is None or outcome is None or command.kind != records.PLACE:
                continue
            if outcome.order_id and not outcome.repeated:
                orders.append(outcome.order_id)
            client_id = client_id_of(executed.unit)
            if client_id is not None and str(client_id).isascii():
                client_ids[command.account, client_id] = None
    return orders, list(client_ids)


@pytest.mark.parametrize("is_signed", [False, True])
def test_every_order_has_a_life_that_ends_as_the_state_says(is_signed: bool) -> None:
    stream = SignedStream(SplitMix64(7).pick) if is_signed else Stream(SplitMix64(5).pick)
    log = list(random_log(stream, signed_opening() if is_signed else opening()))
    orders, client_ids = placed(log)
    orders, client_ids = orders[:HISTORIES_MAX], client_ids[:HISTORIES_MAX]
    histories = [OrderHistory(order_id=order_id) for order_id in orders]
    histories += [OrderHistory(account=account, client_id=name) for account, name in client_ids]
    exchange = Exchange()
    for entry, events in log:
        for history in histories:
            history.before(entry, exchange)
        exchange.apply(entry.frame, entry.time_ns)
        for history in histories:
            history.take(entry, events, exchange)
    texts = ["\n".join(history.lines(FRAMES, exchange)) for history in histories]
    for order_id, text in zip(orders, texts, strict=False):
        assert text.startswith(f"order {order_id} of account ")
        is_open = exchange.order(account_of(text), 0, order_id) is not None
        assert f"at position {FRAMES}: {'open' if is_open else 'closed'}, " in text
        assert is_open == (not any(each in text for each in CLOSE_SENTENCES.values()))
    assert all(texts)
    seen = "\n".join(texts)
    assert "(reason" not in seen
    assert "refused order of " in seen


def account_of(text: str) -> int:
    """In the first line of an order's life."""
    return int(text.split(maxsplit=5)[4].rstrip(","))
