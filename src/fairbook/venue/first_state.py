"""The first state of an exchange: what its configuration says, before anybody may trade.

Design: `complete` submits what is missing, in steps; each step follows from the state that the one
before has left. The last step adds the two operators, and an exchange that has two operators has
its first state: from then on a file moves no money, opens no account and adds no operator.

Invariants:
- killed at any point and started again, the result is the same: a balance has a reference that
  counts once, and clients are let in only when `complete` has returned;
- the commands under way are bounded: BATCH at a time.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Final

from fairbook.core import admin_records, records
from fairbook.core.exchange import Exchange
from fairbook.ports.commands import Commands
from fairbook.ports.digests import public_key_digest
from fairbook.venue.changes import ConfigChange, changes, not_in_file
from fairbook.venue.toml_file import Path, Problem
from fairbook.venue.venue import OPERATORS, STATES, FirstBook, Venue, VenueOperator

BATCH: Final = 512  # of the commands under way, which share frames
CHECKED_NS: Final = 1_700_000_000_000_000_000  # the log time at which a file is tried

_REFUSED: Final = {
    records.BAD_VALUE: "the value is out of range",
    records.TABLE_FULL: "there are too many of them",
    records.OVER_CAP: "it is more than the cap of the asset",
    records.BAD_QUANTITY: "the quantity is out of range",
    records.DUPLICATE_CREDENTIAL: "it is known already",
}


def has_first_state(exchange: Exchange) -> bool:
    return len(exchange.tables.operators) > OPERATORS


async def complete(commands: Commands, exchange: Exchange, venue: Venue) -> None:
    """Complete the first state; nothing if the exchange has it. Must return before clients are let
    in. Raises Problem if the log is that of another exchange; Stopped, Busy.
    """
    if has_first_state(exchange):
        await _submit(commands, list(_first_tokens(exchange, venue.operators)))
        return
    for step in steps(venue, exchange):
        await _submit(commands, step)


def check(venue: Venue) -> Exchange:
    """Try the whole first state on an exchange in memory, and return that. Raises Problem."""
    exchange = Exchange()
    _require_done(exchange.apply(admin_records.rules(), CHECKED_NS), [])
    for step in steps(venue, exchange):
        for batch in _batches(step):
            commands = b"".join(change.command for change in batch)
            _require_done(exchange.apply(commands, CHECKED_NS), batch)
    return exchange


def steps(
    venue: Venue, exchange: Exchange, *, is_complete: bool = True
) -> Iterator[list[ConfigChange]]:
    """The missing changes; each list is made when those before it are applied. `is_complete`:
    false for all but the orders of the first books and the operators.
    """
    for name in not_in_file(venue, exchange):
        raise Problem(
            (), f"the exchange has {name}, which is not in the file: is it another exchange's?"
        )
    opening = [
        ConfigChange(
            f"open account {account.name}",
            admin_records.open_account(account.user_id),
            account.path,
        )
        for account in venue.accounts
    ]
    yield [*_without_credit_limits(venue, exchange), *opening]
    funding = [
        *_without_credit_limits(venue, exchange),
        *_credits(venue, exchange),
        *_keys(venue, exchange),
        *(each for each in changes(venue, exchange, is_first=True) if _is_credit_limit(each)),
    ]
    if is_complete:
        yield funding + list(_first_orders(venue, exchange))
        yield list(_market_states(venue, exchange))
        yield list(_operators(venue, exchange))
        yield list(_first_tokens(exchange, venue.operators))
    else:
        yield funding + list(_market_states(venue, exchange))


def _without_credit_limits(venue: Venue, exchange: Exchange) -> list[ConfigChange]:
    """A first balance may be larger than what a credit may be later."""
    return [
        change for change in changes(venue, exchange, is_first=True) if not _is_credit_limit(change)
    ]


def _is_credit_limit(change: ConfigChange) -> bool:
    return change.path[-1:] == ("credit_max",)


def start_reference(account: int, asset: int) -> bytes:
    """Of the balance with which an account begins. It must never change: it counts once."""
    return blake2b(f"demo start {account} {asset}".encode(), digest_size=16).digest()


def _credits(venue: Venue, exchange: Exchange) -> Iterator[ConfigChange]:
    assets = {asset.name: asset.id for asset in exchange.assets[1:]}
    for account in venue.accounts:
        number = exchange.account_of_user(account.user_id)
        for name, atoms in account.balances.items():
            reference = start_reference(number, assets[name])
            if atoms and exchange.reference(reference) is None:
                command = admin_records.credit(
                    account=number, asset=assets[name], atoms=atoms, reference=reference
                )
                path = (*account.path, "balances", name)
                yield ConfigChange(f"credit {account.name} with {name}", command, path)


def _keys(venue: Venue, exchange: Exchange) -> Iterator[ConfigChange]:
    for account in venue.accounts:
        for at, key in enumerate(account.keys):
            digest = public_key_digest(key.public_key)
            if exchange.credential(digest) is None:
                command = admin_records.add_credential(
                    detail=digest,
                    credential_type=admin_records.PUBLIC_KEY,
                    owner=exchange.account_of_user(account.user_id),
                    permissions=key.permissions,
                )
                text = f"register a key of {account.name}"
                yield ConfigChange(text, command, (*account.path, "keys", at))


def _first_orders(venue: Venue, exchange: Exchange) -> Iterator[ConfigChange]:
    """Client ids, counted over all markets, show which orders are placed already."""
    client_id = 0
    for market in venue.markets:
        book = market.book
        for side, price in _quotes(book) if book else ():
            assert book is not None
            client_id += 1
            account = exchange.account_of_user(venue.user_ids[book.account])
            number = next(each.id for each in exchange.markets[1:] if each.name == market.name)
            if exchange.order_of_client(account, number, client_id) is not None:
                continue
            command = records.place(
                account=account,
                market=number,
                side=side,
                price=price,
                quantity=book.level_lots,
                flags=records.HAS_CLIENT_ID | records.POST_ONLY,
                client_id=client_id,
            )
            text = f"an order of {market.name} at {market.price.text(price)}"
            yield ConfigChange(text, command, (*market.path, "book"))


def _quotes(book: FirstBook) -> Iterator[tuple[int, int]]:
    for level in range(1, book.levels + 1):
        for side, sign in ((records.BID, -1), (records.ASK, 1)):
            yield side, book.middle_ticks + sign * level * book.step_ticks


def _market_states(venue: Venue, exchange: Exchange) -> Iterator[ConfigChange]:
    """The state of each market after its first orders."""
    states = {code: name for name, code in STATES.items()}
    known = {market.name: market for market in exchange.markets[1:]}
    for market in venue.markets:
        state = market.parameters.get("state", admin_records.OPEN)
        if known[market.name].state != state:
            command = admin_records.set_market(
                market=known[market.name].id, parameter=admin_records.STATE, value=state
            )
            yield ConfigChange(
                f"{market.name}: state {states[state]}", command, (*market.path, "state")
            )


def _operators(venue: Venue, exchange: Exchange) -> Iterator[ConfigChange]:
    for operator in venue.operators[len(exchange.tables.operators) - 1 :]:
        command = admin_records.set_operator(operator=operator.number, roles=operator.roles)
        yield ConfigChange(f"add operator {operator.name}", command, operator.path)


def _first_tokens(exchange: Exchange, operators: Iterable[VenueOperator]) -> Iterator[ConfigChange]:
    """The first credential of each operator: an operator who ever had one gets none from a file."""
    for operator in operators:
        known = exchange.tables.operators
        is_without = operator.number < len(known) and not known[operator.number].credentials
        if is_without and operator.token_hash is not None:
            command = admin_records.add_credential(
                detail=operator.token_hash,
                credential_type=admin_records.TOKEN,
                owner=operator.number,
                owner_kind=admin_records.OF_OPERATOR,
            )
            path: Path = (*operator.path, "token_hash")
            yield ConfigChange(f"give operator {operator.name} a token", command, path)


def _batches(step: Sequence[ConfigChange]) -> Iterator[Sequence[ConfigChange]]:
    for at in range(0, len(step), BATCH):
        yield step[at : at + BATCH]


async def _submit(commands: Commands, step: Sequence[ConfigChange]) -> None:
    for batch in _batches(step):
        answers = await asyncio.gather(*[commands.submit(change.command) for change in batch])
        _require_done(b"".join(answer.events for answer in answers), batch)


def _require_done(events: bytes, batch: Sequence[ConfigChange]) -> None:
    """Raise Problem for a command that was rejected. An order may be: after a crash orders of
    others may cross it.
    """
    for change, of_command in zip(batch, records.split(events), strict=False):
        outcome = records.read_outcome(of_command)
        if outcome.status == records.PENDING:
            raise Problem(change.path, f"{change.text}: it waits for an operator")
        if outcome.status == records.REJECTED and outcome.command != records.PLACE:
            why = _REFUSED.get(outcome.reason, f"the exchange rejects it with {outcome.reason}")
            raise Problem(change.path, f"{change.text}: {why}")
