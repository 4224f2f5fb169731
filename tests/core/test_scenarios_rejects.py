"""Rejects: which code, and that a rejected command changes nothing."""

from __future__ import annotations

import struct

import pytest

from fairbook.core import records, state
from tests.core import wire
from tests.core.lockstep import Lockstep
from tests.core.play import Play, play
from tests.core.wire import Reject


def reject_of(story: Play, command: bytes) -> str:
    """The name of the reject, or nothing. A rejected command changes only the sequence."""
    before = state.dump(story.core)
    outcome = story.send(command)[-1]
    assert isinstance(outcome, wire.Outcome)
    if outcome.status != wire.REJECTED:
        return ""
    after = state.dump(story.core)
    sequence_at = 16  # the third word
    assert after[:sequence_at] == before[:sequence_at]
    assert after[sequence_at + 8 :] == before[sequence_at + 8 :]
    return Reject(outcome.reason).name


@pytest.mark.parametrize(
    ("market_state", "limit", "post_only", "at_market", "amend", "amend_post_only"),
    [
        ("open", True, True, True, True, True),
        ("post-only", False, True, False, False, True),
        ("limit-only", True, True, False, True, True),
        ("cancel-only", False, False, False, False, False),
        ("closed", False, False, False, False, False),
    ],
)
def test_what_each_state_of_a_market_allows(
    market_state: str,
    limit: bool,
    post_only: bool,
    at_market: bool,
    amend: bool,
    amend_post_only: bool,
) -> None:
    """Cancelling always works."""
    story = Play()
    story.perform(f"""
        deposit   ann  9 BTC
        deposit   bob  1000 USDT
        sell      ann  1 BTC @ 100 as plain
        sell      ann  1 BTC @ 100 post-only as posted
        set       BTC_USDT state {market_state}
    """)

    def tried(line: str, allowed: bool, did: str) -> None:
        story.perform(f"{line} -> {did if allowed else 'rejected MARKET_CLOSED'}")

    tried("buy  bob 1 BTC @ 90", limit, "rests")
    tried("buy  bob 1 BTC @ 90 ioc", limit, "expires immediate-or-cancel")
    tried("buy  bob 1 BTC @ 90 fok", limit, "expires fill-or-kill")
    tried("buy  bob 1 BTC @ 90 post-only", post_only, "rests")
    tried("buy  bob 0.1 BTC at market", at_market, "fills 0.1 @ 100")
    tried("buy  bob for 10 USDT", at_market, "fills 0.1 @ 100")
    tried("amend ann plain 0.5 BTC @ 100", amend, "amended, rests")
    tried("amend ann posted 0.5 BTC @ 101", amend_post_only, "amended, rests")
    story.perform("""
        cancel    ann plain -> cancelled
        cancel-all ann      -> cancelled 1
    """)
    story.finish()


def test_a_paused_exchange_only_cancels() -> None:
    """In every market; credits and debits work."""
    story = play("""
        deposit   ann  3 BTC
        sell      ann  1 BTC @ 100 as a
        sell      ann  1 BTC @ 101
        set       exchange state paused
        sell      ann  1 BTC @ 100           -> rejected TRADING_PAUSED
        amend     ann  a 0.5 BTC @ 100       -> rejected TRADING_PAUSED
        cancel    ann  a                     -> cancelled
        cancel-all ann                       -> cancelled 1
        withdraw  ann  1 BTC
        deposit   ann  1 BTC
    """)
    paused = [story.core.paused]
    story.perform("set exchange state open\n sell ann 1 BTC @ 100 -> rests")
    paused.append(story.core.paused)
    assert paused == [True, False]
    story.finish()


def test_the_ranges_of_a_market() -> None:
    """The bounds themselves are allowed; market orders have no price; by quote has no lots."""
    play("""
        set       BTC_USDT price-min 1000
        set       BTC_USDT price-max 2000
        set       BTC_USDT quantity-min 100
        set       BTC_USDT quantity-max 2000
        deposit   ann  9 BTC
        deposit   bob  9000 USDT
        sell      ann  1 BTC @ 99.9          -> rejected BAD_PRICE
        sell      ann  1 BTC @ 200.1         -> rejected BAD_PRICE
        sell      ann  1 BTC @ 200           -> rests
        sell      ann  0.1 BTC @ 100 as a    -> rests
        sell      ann  0.099 BTC @ 100       -> rejected BAD_QUANTITY
        sell      ann  2.001 BTC @ 100       -> rejected BAD_QUANTITY
        sell      ann  2 BTC @ 100           -> rests
        amend     ann  a 0.099 BTC @ 100     -> rejected BAD_QUANTITY
        amend     ann  a 0.2 BTC @ 99.9      -> rejected BAD_PRICE
        buy       bob  0.099 BTC at market   -> rejected BAD_QUANTITY
        buy       bob  for 1 USDT            -> fills 0.01 @ 100
    """)


def test_the_lowest_code_is_the_answer() -> None:
    """One order that is invalid in every way, corrected step by step: the codes only rise."""
    story = Play()
    story.perform("""
        deposit   ann  1 BTC
        deposit   bob  1 USDT
        sell      ann  1 BTC @ 200
        set       exchange orders-max 1
        set       BTC_USDT levels-max 1
        set       BTC_USDT price-max 2500
        set       BTC_USDT quantity-max 5000
        set       BTC_USDT state closed
        set       exchange state paused
    """)
    bob = story.account("bob")
    story.perform("""
        set       exchange state open
        set       BTC_USDT state open
        buy       bob  0.001 BTC @ 1 id 9
        set       BTC_USDT state closed
        set       exchange state paused
        freeze    bob
    """)
    terms = {"account": 99, "market": 9, "side": 0, "price": 9999, "quantity": 9999}
    flags = records.HAS_CLIENT_ID | records.POST_ONLY
    codes: list[str] = []

    def tries(**change: int) -> None:
        terms.update(change)
        codes.append(reject_of(story, records.place(**terms)))

    tries(flags=flags | 128, client_id=9)
    tries(flags=flags)
    tries(account=bob)
    tries(market=1)
    tries(client_id=10)
    story.perform("unfreeze bob")
    tries()
    story.perform("set exchange state open")
    tries()
    story.perform("set BTC_USDT state open")
    tries()
    tries(price=2100)
    tries(quantity=1000)
    story.perform("set exchange orders-max 10")
    tries()
    story.perform("set BTC_USDT levels-max 10")
    tries()
    story.perform("deposit bob 1000 USDT")
    tries()
    tries(price=1999)
    assert codes == [
        "MALFORMED", "UNKNOWN_ACCOUNT", "UNKNOWN_MARKET", "DUPLICATE_CLIENT_ID", "ACCOUNT_FROZEN",
        "TRADING_PAUSED", "MARKET_CLOSED", "BAD_PRICE", "BAD_QUANTITY", "TOO_MANY_ORDERS",
        "BOOK_FULL", "INSUFFICIENT_FUNDS", "WOULD_CROSS", "",
    ]  # fmt: skip
    story.finish()


def test_only_ticks_before_the_rules() -> None:
    """NO_RULES, and MALFORMED before it."""
    both = Lockstep()
    frame = b"".join(
        [
            records.tick(),
            records.open_account(5),
            records.open_account(0),
            records.rules(2),
            records.list_asset(asset=1, decimals=0, name="A"),
            records.rules(),
            records.open_account(5),
        ]
    )
    outcomes = [event for event in both.apply(frame, 1) if isinstance(event, wire.Outcome)]
    expected = (0, Reject.NO_RULES, Reject.MALFORMED, Reject.BAD_VALUE, Reject.NO_RULES, 0, 0)
    assert tuple(outcome.reason for outcome in outcomes) == expected
    both.check()


def damaged(command: bytes, at: int, value: int, width: int = 1) -> bytes:
    """The command with one field overwritten."""
    return command[:at] + value.to_bytes(width, "little") + command[at + width :]


def test_malformed_commands() -> None:
    """Malformed commands are rejected in every state."""
    story = Play()
    story.perform("deposit ann 1 BTC\n deposit ann 100 USDT")
    good = records.place(
        account=story.account("ann"), market=1, side=records.BID, quantity=1, price=1
    )
    market_order = records.MARKET_ORDER
    shapes = [
        {"side": 2}, {"tif": 3}, {"flags": 64}, {"flags": 128}, {"flags": 3 << 4},
        {"flags": records.BY_QUOTE}, {"flags": market_order}, {"flags": market_order, "tif": 2},
        {"flags": market_order, "tif": 1, "price": 1}, {"flags": market_order | 2, "tif": 1},
        {"flags": 2, "tif": 1}, {"flags": 2, "tif": 2},
    ]  # fmt: skip
    for shape in shapes:
        price = shape.get("price", 0 if shape.get("flags", 0) & market_order else 1)
        raw = damaged(good, 32, price, 8)
        for field, at in (("side", 1), ("tif", 2), ("flags", 3)):
            raw = damaged(raw, at, shape.get(field, 0))
        assert reject_of(story, raw) == "MALFORMED", shape
    for kind in (0, 17, 255):
        assert reject_of(story, damaged(good, 0, kind)) == "MALFORMED"
    for kind in range(1, 17):
        assert reject_of(story, damaged(damaged(good, 0, kind), 7, 1)) == "MALFORMED"
    for price, quantity in ((-1, 5), (5, -1), (0, 0), (-(2**63), 1)):
        amend = records.amend(account=2, order_id=1, price=price, quantity=quantity)
        assert reject_of(story, amend) == "MALFORMED"
    for kind in range(13, 17):
        for parameter in (0, 10, 2**32 - 1):
            set_command = struct.pack("<B19xI24x", kind, parameter)
            assert reject_of(story, set_command) == "MALFORMED"
    for length in range(1, wire.COMMAND_BYTES):
        assert reject_of(story, good[:length]) == "MALFORMED"
    assert reject_of(story, good) == ""
    story.finish()


def test_a_truncated_command_does_not_hide_the_ones_before_it() -> None:
    """One outcome for each complete command, and one for the rest of the frame."""
    both = Lockstep()
    events = both.apply(records.rules() + records.tick() + b"\x03", 1)
    reasons = [event.reason for event in events if isinstance(event, wire.Outcome)]
    assert reasons == [0, 0, Reject.MALFORMED]
    assert both.core.sequence == 3
    assert both.core.apply(b"", 1) == b""


def test_fields_that_a_kind_does_not_use_are_ignored() -> None:
    """A TICK full of ones is a TICK; a CANCEL does not look at its side."""
    story = Play()
    story.perform("deposit ann 1 BTC\n sell ann 1 BTC @ 100 as a")
    noise = struct.Struct("<BBBBHHIIIIqqq")
    tick = noise.pack(wire.Kind.TICK, 255, 255, 255, 65535, 0, 2**32 - 1, 5, 5, 5, -1, -1, -1)
    assert reject_of(story, tick) == ""
    cancel = noise.pack(
        wire.Kind.CANCEL, 255, 255, 254, 0, 0, story.account("ann"), 5, 5, 5,
        story.labels["a"], -1, -1,
    )  # fmt: skip
    assert reject_of(story, cancel) == ""
    story.finish()


def test_house_accounts_cannot_trade() -> None:
    """Accounts 0 and 1 exist only for credits and debits."""
    story = Play()
    story.perform("deposit ann 1 BTC")
    for account in (0, 1, 3, 2**31, 2**32 - 1):
        for command in (
            records.place(account=account, market=1, side=0, quantity=1, price=1),
            records.cancel(account=account, order_id=1),
            records.amend(account=account, order_id=1, price=1),
            records.cancel_all(account=account),
            records.end_session(account=account, session=1),
            records.set_account(account=account, parameter=records.FROZEN, value=1),
        ):
            assert reject_of(story, command) == "UNKNOWN_ACCOUNT"


def test_opening_an_account_again_answers_with_the_same_one() -> None:
    """Idempotent, also at ACCOUNTS_MAX."""
    story = Play()
    first = story.send(records.open_account(77))
    assert first[:1] == [wire.AccountOpened(2, 77)]
    story.send(records.set_exchange(parameter=records.ACCOUNTS_MAX, value=3))
    again = story.send(records.open_account(77))
    assert [type(event) for event in again] == [wire.Outcome]
    assert isinstance(again[0], wire.Outcome) and again[0].account == 2
    assert reject_of(story, records.open_account(78)) == "TABLE_FULL"
    assert reject_of(story, records.open_account(2**63 - 1)) == "TABLE_FULL"
    story.send(records.set_exchange(parameter=records.ACCOUNTS_MAX, value=4))
    assert reject_of(story, records.open_account(2**63 - 1)) == ""
    story.finish()


@pytest.mark.parametrize(
    ("change", "reject"),
    [
        ({}, ""),
        ({"market": 1}, "ALREADY_LISTED"),
        ({"name": "BTC_USDT"}, "ALREADY_LISTED"),
        ({"market": 4}, "BAD_VALUE"),
        ({"market": 0}, "MALFORMED"),
        ({"base": 4}, "UNKNOWN_ASSET"),
        ({"quote": 0}, "UNKNOWN_ASSET"),
        ({"base": 3}, "BAD_VALUE"),
        ({"lot_atoms": 0}, "BAD_VALUE"),
        ({"lot_atoms": -1}, "BAD_VALUE"),
        ({"tick_atoms": 0}, "BAD_VALUE"),
        ({"tick_atoms": 10**18}, ""),
        ({"tick_atoms": 10**18 + 1}, "BAD_VALUE"),
        ({"lot_atoms": 10**18}, ""),
        ({"lot_atoms": 10**18 + 1}, "BAD_VALUE"),
        ({"lot_atoms": 3}, "BAD_VALUE"),  # a third is no decimal
        ({"lot_atoms": 3, "tick_atoms": 9}, ""),
        ({"lot_atoms": 2**20}, ""),  # a tick of 25 / 2^18: 18 decimals
        ({"lot_atoms": 2**21}, "BAD_VALUE"),
        ({"name": ""}, "MALFORMED"),
        ({"name": "btc"}, "MALFORMED"),
        ({"name": "A B"}, "MALFORMED"),
        ({"name": "A-B"}, "MALFORMED"),
        ({"name": "A\0B"}, "MALFORMED"),
        ({"name": "\0AB"}, "MALFORMED"),
        ({"name": "ABCDEFGHIJ_45678"}, ""),
        ({"name": "USDT"}, ""),
    ],
)
def test_listing_a_market(change: dict[str, int | str], reject: str) -> None:
    """O15: ids in order, unique names, known assets, and a tick size that is a decimal."""
    story = Play()
    terms = {"market": 3, "base": 1, "quote": 3, "lot_atoms": 10, "tick_atoms": 1, "name": "X"}
    terms.update(change)
    assert reject_of(story, records.list_market(**terms)) == reject  # type: ignore[arg-type]
    story.finish()


@pytest.mark.parametrize(
    ("asset", "decimals", "name", "reject"),
    [
        (4, 0, "X", ""),
        (4, 18, "BTC_USDT", ""),
        (4, 19, "X", "MALFORMED"),
        (4, -1, "X", "MALFORMED"),
        (0, 0, "X", "MALFORMED"),
        (3, 0, "X", "ALREADY_LISTED"),
        (4, 0, "BTC", "ALREADY_LISTED"),
        (9, 0, "BTC", "ALREADY_LISTED"),
        (5, 0, "X", "BAD_VALUE"),
        (65535, 0, "X", "BAD_VALUE"),
    ],
)
def test_listing_an_asset(asset: int, decimals: int, name: str, reject: str) -> None:
    """An asset may have the name of a market, but not of another asset."""
    story = Play()
    assert reject_of(story, records.list_asset(asset=asset, decimals=decimals, name=name)) == reject
    story.finish()


def test_the_tables_of_assets_and_markets_end_at_a_thousand() -> None:
    """The 1,001st is TABLE_FULL, if it is valid otherwise."""
    both = Lockstep()
    frames = [records.rules()]
    frames += [records.list_asset(asset=i, decimals=0, name=f"A{i}") for i in range(1, 1003)]
    frames += [
        records.list_market(market=i, base=1, quote=2, lot_atoms=1, tick_atoms=1, name=f"M{i}")
        for i in range(1, 1003)
    ]
    events = both.apply(b"".join(frames), 1)
    reasons = [event.reason for event in events if isinstance(event, wire.Outcome)]
    table = [0] * 1000 + [Reject.TABLE_FULL, Reject.BAD_VALUE]
    assert reasons == [0, *table, *table]
    both.check()


@pytest.mark.parametrize(
    ("command", "reject"),
    [
        (records.set_market(market=3, parameter=1, value=0), "UNKNOWN_MARKET"),
        (records.set_market(market=1, parameter=1, value=5), "BAD_VALUE"),
        (records.set_market(market=1, parameter=2, value=-1), "BAD_VALUE"),
        (records.set_market(market=1, parameter=3, value=1_000_000), "BAD_VALUE"),
        (records.set_market(market=1, parameter=3, value=999_999), ""),
        (records.set_market(market=1, parameter=4, value=0), "BAD_VALUE"),
        (records.set_market(market=1, parameter=4, value=2**40), ""),
        (records.set_market(market=1, parameter=5, value=2**40 + 1), "BAD_VALUE"),
        (records.set_market(market=1, parameter=7, value=2**63 - 1), "BAD_VALUE"),
        (records.set_market(market=1, parameter=8, value=1_000_001), "BAD_VALUE"),
        (records.set_market(market=1, parameter=9, value=2**20), ""),
        (records.set_market(market=1, parameter=9, value=2**20 + 1), "BAD_VALUE"),
        (records.set_asset(asset=4, parameter=1, value=0), "UNKNOWN_ASSET"),
        (records.set_asset(asset=0, parameter=1, value=0), "UNKNOWN_ASSET"),
        (records.set_asset(asset=1, parameter=1, value=2**62), ""),
        (records.set_asset(asset=1, parameter=1, value=2**62 + 1), "BAD_VALUE"),
        (records.set_asset(asset=1, parameter=1, value=-1), "BAD_VALUE"),
        (records.set_exchange(parameter=1, value=2), "BAD_VALUE"),
        (records.set_exchange(parameter=2, value=0), "BAD_VALUE"),
        (records.set_exchange(parameter=2, value=2**20), ""),
        (records.set_exchange(parameter=3, value=1), "BAD_VALUE"),
        (records.set_exchange(parameter=3, value=2**31 - 1), ""),
        (records.set_exchange(parameter=3, value=2**31), "BAD_VALUE"),
        (records.rules(0), "BAD_VALUE"),
        (records.rules(-(2**63)), "BAD_VALUE"),
        (records.rules(1), ""),
    ],
)
def test_the_range_of_each_parameter(command: bytes, reject: str) -> None:
    """A fee of 100 % and a negative fee are out of range."""
    story = Play()
    assert reject_of(story, command) == reject
    story.finish()


def test_a_lower_bound_may_not_pass_the_upper_one() -> None:
    """min <= max at all times."""
    story = Play()
    for low, high in ((4, 5), (6, 7)):
        for parameter, value, reject in (
            (high, 100, ""), (low, 101, "BAD_VALUE"), (low, 100, ""), (high, 99, "BAD_VALUE"),
        ):  # fmt: skip
            command = records.set_market(market=1, parameter=parameter, value=value)
            assert reject_of(story, command) == reject
    story.finish()
