"""The answers of core and oracle to all queries."""

from __future__ import annotations

from fairbook.core.exchange import Exchange
from fairbook.core.records import OrderRecord
from tests.core import wire
from tests.core.oracle import Oracle
from tests.core.oracle_checks import status_of_open
from tests.core.oracle_records import (
    ACCOUNTS_MAX,
    CREDENTIALS_MAX,
    REFERENCES_MAX,
    Credential,
    Market,
    Order,
)
from tests.core.oracle_state import OF_ACCOUNT, OF_GATEWAYS, OF_OPERATOR

DEPTH_MAX = 2**20


def compare(core: Exchange, oracle: Oracle) -> None:
    """Raises AssertionError at the first difference."""
    assert core.sequence == oracle.sequence
    assert core.time_ns == oracle.time_ns
    assert core.paused == bool(oracle.pauses)
    for cause in (0, 1):
        pause, expected = core.pause(cause), oracle.pauses.get(cause, (0, bytes(32)))
        assert (pause.reason, pause.detail or bytes(32)) == expected
    assert core.is_test == oracle.is_test
    for account in range(len(oracle.accounts)):
        _compare_account(core, oracle, account)
    assert core.balances(len(oracle.accounts)) == []
    for market in oracle.markets:
        _compare_market(core, oracle, market)
    sessions = {(o.account, o.instance, o.session) for o in oracle.orders.values() if o.session}
    assert core.sessions() == sorted(sessions)
    _compare_credentials(core, oracle)
    _compare_money(core, oracle)
    gateways = [(each.number, each.key or bytes(32)) for each in core.gateways()]
    assert sorted(gateways) == [
        (number, oracle.gateways[number].key) for number in sorted(oracle.gateways)
    ]
    _compare_room(core, oracle)


def _compare_account(core: Exchange, oracle: Oracle, account: int) -> None:
    """Balances and open orders: each is found by its ids, in its own market and account only."""
    assert core.balances(account) == [
        (asset.id, oracle.available(account, asset.id), oracle.locked(account, asset.id))
        for asset in oracle.assets
    ], f"account {account}"
    user_id = oracle.accounts[account].user_id
    assert core.account_of_user(user_id) == (account if user_id else 0)
    orders = oracle.open_orders(account)
    assert [described(each) for each in core.open_orders(account)] == [
        described_in(order) for order in orders
    ]
    for order in orders:
        market, expected = order.market.id, described_in(order)
        for asked in (market, 0):
            found = core.order(account, asked, order.id)
            assert found is not None and described(found) == expected
        assert core.order(account, market + 1, order.id) is None
        assert core.order(account + 1, market, order.id) is None
        if order.client_key is not None:
            key = order.client_key
            client_id = key if isinstance(key, int) else key.decode()
            for asked in (market, 0):
                found = core.order_of_client(account, asked, client_id)
                assert found is not None and described(found) == expected
            assert core.order_of_client(account, market + 1, client_id) is None


def described(order: OrderRecord) -> tuple[wire.Record, str | None]:
    """An order that the core returned: its fields and its client id as a text."""
    fields = wire.Record._make(getattr(order, field) for field in wire.Record._fields)
    return fields, order.text


def described_in(order: Order) -> tuple[wire.Record, str | None]:
    """The same of an open order of the oracle."""
    text = order.client_key.decode() if isinstance(order.client_key, bytes) else None
    return order.record(status_of_open(order)), text


def _compare_market(core: Exchange, oracle: Oracle, market: Market) -> None:
    bids, asks = core.depth(market.id, DEPTH_MAX)
    assert list(bids) == oracle.levels(market, wire.BID)
    assert list(asks) == oracle.levels(market, wire.ASK)
    listed = core.markets[market.id]
    assert listed.update_id == market.update_id
    assert listed.last_trade_id == market.last_trade_id
    assert [
        listed.state, listed.maker_fee_ppm, listed.taker_fee_ppm, listed.price_min,
        listed.price_max, listed.quantity_min, listed.quantity_max, listed.band_ppm,
        listed.levels_max, listed.walk_max,
    ] == list(market.parameters.values())  # fmt: skip


def _compare_credentials(core: Exchange, oracle: Oracle) -> None:
    """Of every owner, by slot; each is found by its hash, and lost ones are not."""
    owners = [(OF_ACCOUNT, number) for number in range(2, len(oracle.accounts))]
    owners += [(OF_OPERATOR, number + 1) for number in range(len(oracle.operators))]
    for owner in [*owners, (OF_GATEWAYS, 0)]:
        slots = oracle.credentials.get(owner, {})
        expected = [_terms(slots[slot]) for slot in sorted(slots)]
        given = core.credentials(*owner)
        assert [
            (
                each.digest,
                each.owner_kind,
                each.owner,
                each.slot,
                each.credential_type,
                each.permissions,
                each.expires_ns,
                each.added_ns,
                each.is_live(core.time_ns),
            )
            for each in given
        ] == [(*terms, not slots[terms[3]].has_ended(core.time_ns)) for terms in expected]
    in_slots = oracle.in_slots()
    for digest in [*list(oracle.revoked)[-50:], *in_slots]:
        found = core.credential(digest)
        assert (found is not None) == (digest in in_slots)
        assert found is None or found.slot == in_slots[digest].slot
    for number, roles in enumerate(oracle.operators, 1):
        assert core.roles(number) == roles
    assert core.roles(len(oracle.operators) + 1) == core.roles(0) == 0


def _terms(each: Credential) -> tuple[bytes, int, int, int, int, int, int, int]:
    return (
        each.hash, each.owner_kind, each.owner, each.slot, each.type, each.permissions,
        each.expires_ns, each.added_ns,
    )  # fmt: skip


def _compare_money(core: Exchange, oracle: Oracle) -> None:
    """The youngest references; the others do not change any more, but for what is decided late."""
    assert core.reference(bytes(16)) is None
    for reference in list(oracle.references.values())[-50:]:
        found = core.reference(reference.reference)
        assert found is not None
        assert (
            found.state, found.account, found.asset, found.atoms, found.operator, found.sequence,
        ) == (
            reference.movement, reference.account, reference.asset, reference.atoms,
            reference.operator, reference.sequence,
        )  # fmt: skip


def _compare_room(core: Exchange, oracle: Oracle) -> None:
    by_market = [len(oracle.orders_in(market)) for market in oracle.markets]
    parameters = oracle.parameters
    assert [(used, most) for _, used, most in core.room()] == [
        (oracle.sequence, 2**43 - 2**40),
        (max(by_market, default=0), 2**20),
        (len(oracle.accounts), parameters[ACCOUNTS_MAX]),
        (oracle.known_hashes(), parameters[CREDENTIALS_MAX]),
        (len(oracle.references), parameters[REFERENCES_MAX]),
        (len(oracle.signatures), 2**20),
        (len(oracle.assets), 4096),
        (len(oracle.markets), 4096),
        (len(oracle.operators), 1000),
        (len(oracle.gateways), 256),
    ]
