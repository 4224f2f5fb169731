"""Setup of a small exchange, and random commands that keep it busy."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from fairbook.core import admin_records, records
from fairbook.engine.runner import Runner
from fairbook.log.command_log import Entry
from fairbook.log.memory_log import MemoryLog
from tests.world.markets import open_accounts, open_market

MARKET = 1
USERS = (2, 3, 4, 5)
START_NS = 1_700_000_000_000_000_000


def setup() -> list[bytes]:
    """Two assets, one open market with a taker fee, four funded accounts."""
    accounts = dict(enumerate(USERS, 1))
    return [
        admin_records.rules(),
        admin_records.list_asset(asset=1, decimals=6, name="SOL"),
        admin_records.list_asset(asset=2, decimals=6, name="USDC"),
        *open_market(
            MARKET, "SOL_USDC", base=1, quote=2, lot_atoms=1000, tick_atoms=10, taker_fee_ppm=1000
        ),
        *open_accounts(accounts, {1: 10**9, 2: 10**9}),
    ]


def buy(account: int = 2, *, price: int = 90, quantity: int = 1, client_id: int = 0) -> bytes:
    """A limit order that rests, unless an order sells at 90."""
    return records.place(
        account=account,
        market=MARKET,
        side=records.BID,
        price=price,
        quantity=quantity,
        client_id=client_id,
        flags=records.HAS_CLIENT_ID if client_id else 0,
    )


def busy_traders(seed: int) -> Iterator[bytes]:
    """Orders that often cross, cancels by client id, cancels of all, and nonsense, for ever."""
    chance = random.Random(seed)
    number = 0
    while True:
        account = chance.choice(USERS)
        kind = chance.random()
        if kind < 0.6:
            number += 1
            yield records.place(
                account=account,
                market=MARKET,
                side=chance.choice((records.BID, records.ASK)),
                price=100 + chance.randrange(-10, 11),
                quantity=chance.randrange(1, 50),
                tif=chance.choice((records.GTC, records.GTC, records.GTC, records.IOC)),
                flags=records.HAS_CLIENT_ID,
                client_id=number,
                session=chance.randrange(3),
            )
        elif kind < 0.9:
            yield records.cancel(
                account=account,
                flags=records.HAS_CLIENT_ID,
                client_id=chance.randrange(max(1, number - 40), number + 2),
            )
        elif kind < 0.93:
            yield records.cancel_all(account=account, market=MARKET)
        elif kind < 0.96:
            yield records.end_session(account=account, session=1 + chance.randrange(2))
        else:
            unknown = bytes([chance.randrange(records.NOTE + 1, records.TEXT_PART), 0, 0])
            yield unknown + chance.randbytes(records.COMMAND_BYTES - len(unknown))


def logged(frames: list[bytes]) -> MemoryLog:
    """A log that holds these frames, a millisecond apart."""
    log = MemoryLog()
    for number, frame in enumerate(frames):
        log.append(frame, START_NS + number * 1_000_000)
    return log


def frames(seed: int, count: int, *, commands_max: int = 8) -> list[bytes]:
    """The setup as one frame, and then `count` frames of busy traders."""
    chance = random.Random(seed)
    traders = busy_traders(seed)
    made = [b"".join(setup())]
    for _ in range(count):
        made.append(b"".join(next(traders) for _ in range(chance.randrange(1, commands_max + 1))))
    return made


def run_all(runner: Runner, entries: list[Entry]) -> list[bytes]:
    """Apply them; the events of each."""
    made: list[bytes] = []
    for entry in entries:
        events = runner.apply(entry)
        assert events is not None
        made.append(events)
    return made


def contents(directory: Path) -> dict[str, bytes]:
    """Every file in it, by name."""
    return {path.name: path.read_bytes() for path in directory.iterdir()}
