"""The history that benchmarks play is a market at work, and not a list of refusals."""

from __future__ import annotations

from bench.history import History, frames
from fairbook.core import invariants, records, state
from fairbook.core.exchange import Exchange

ORDERS = 3_000
COMMANDS = 20_000


def test_every_command_is_accepted_and_the_book_keeps_its_size() -> None:
    """Twice the same, in frames of any size, also beside another market."""
    digests = []
    for frame_commands in (1, 64):
        exchange = Exchange()
        history = History()
        listing = history.listing()
        trade = history.trade()
        fills = 0
        for commands, count in (
            (iter(listing), len(listing)),
            (history.fill(ORDERS), ORDERS),
            (trade, COMMANDS),
        ):
            for frame in frames(commands, count=count, frame_commands=frame_commands):
                events = exchange.apply(frame, 1)
                for part in records.split(events):
                    outcome = records.read_outcome(part)
                    assert outcome.status != records.REJECTED, outcome
                    fills += outcome.status == records.FILLED
        bids, asks = exchange.depth(1, 10_000)
        assert sum(lots for _, lots in bids) + sum(lots for _, lots in asks) == ORDERS
        assert fills == COMMANDS // 20
        invariants.check(exchange)
        digests.append(state.digest(exchange))
    assert digests[0] == digests[1]
