"""Rejects: which code, and that a rejected command changes nothing."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from fairbook.core import admin_records as admin
from fairbook.core import parts, records, state
from tests.core import wire
from tests.core.commands import COMMAND_BYTES
from tests.core.lockstep import Lockstep
from tests.core.play import Play, play
from tests.core.wire import Reject


def reject_of(story: Play, command: bytes) -> str:
    """The name of the reject, or nothing. A rejected command changes only the sequence."""
    before = state.dump(story.core)
    sequence = story.core.sequence
    outcome = story.send(command)[-1]
    assert isinstance(outcome, wire.Outcome)
    if outcome.status != wire.REJECTED:
        return ""
    after = state.dump(story.core)
    assert len(after) == len(before)
    changed = {at // 8 for at in range(len(after)) if after[at] != before[at]}
    words = [(word(before, at), word(after, at)) for at in changed]
    assert words == [(sequence, story.core.sequence)]
    return Reject(outcome.reason).name


def word(image: bytes, at: int) -> int:
    """The integer of 64 bits with this number."""
    return int.from_bytes(image[8 * at : 8 * at + 8], "little")


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
        pause     operator
        sell      ann  1 BTC @ 100           -> rejected TRADING_PAUSED
        amend     ann  a 0.5 BTC @ 100       -> rejected TRADING_PAUSED
        cancel    ann  a                     -> cancelled
        cancel-all ann                       -> cancelled 1
        withdraw  ann  1 BTC
        deposit   ann  1 BTC
    """)
    paused = [story.core.paused]
    story.perform("resume operator\n sell ann 1 BTC @ 100 -> rests")
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
        buy       bob  0.001 BTC @ 1 id 9
        key       bob  old trade for 1
        key       bob  reader read
        wait      1
        set       BTC_USDT state closed
        pause     operator
        freeze    bob
        buy       bob  0.001 BTC @ 1 signed 1 -> rejected ACCOUNT_FROZEN
    """)
    bob = story.account("bob")
    old, reader = story.slots[bob, "old"], story.slots[bob, "reader"]
    terms: dict[str, Any] = {"account": 99, "market": 9, "side": 0, "price": 9999, "quantity": 9999}
    flags = records.HAS_CLIENT_ID | records.POST_ONLY
    codes: list[str] = []
    signature = 1

    def tries(line: str = "", **change: int) -> None:
        story.perform(line)
        terms.update(change)
        unit = records.place(**terms)
        if signature:
            unit = parts.with_signature(unit, bytes(15) + bytes([signature]))
        codes.append(reject_of(story, unit))

    tries(flags=flags | 128, client_id=9)
    tries(flags=flags)
    tries(account=bob, credential=old)
    tries(credential=reader)
    tries(credential=0)
    tries(market=1)
    tries(client_id=10)
    signature = 0
    tries("unfreeze bob")
    tries("resume operator")
    tries("set BTC_USDT state open")
    tries(price=2100)
    tries(quantity=1000)
    tries("set exchange orders-max 10")
    tries("set BTC_USDT levels-max 10")
    tries("deposit bob 1000 USDT")
    tries(price=1999)
    assert codes == [
        "MALFORMED", "UNKNOWN_ACCOUNT", "BAD_CREDENTIAL", "NOT_PERMITTED", "UNKNOWN_MARKET",
        "DUPLICATE_CLIENT_ID", "REPEATED_SIGNATURE", "TRADING_PAUSED", "MARKET_CLOSED",
        "BAD_PRICE", "BAD_QUANTITY", "TOO_MANY_ORDERS", "BOOK_FULL", "INSUFFICIENT_FUNDS",
        "WOULD_CROSS", "",
    ]  # fmt: skip
    story.finish()


def test_only_ticks_before_the_rules() -> None:
    """NO_RULES, and MALFORMED before it."""
    both = Lockstep()
    frame = b"".join(
        [
            admin.tick(),
            admin.open_account(5),
            admin.open_account(0),
            admin.rules(0),
            admin.list_asset(asset=1, decimals=0, name="A"),
            admin.rules(),
            admin.open_account(5),
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
        {"tif": 3}, {"tif": 127}, {"flags": 64}, {"flags": 128}, {"flags": 3 << 4},
        {"flags": records.BY_QUOTE}, {"flags": market_order}, {"flags": market_order, "tif": 2},
        {"flags": market_order, "tif": 1, "price": 1}, {"flags": market_order | 2, "tif": 1},
        {"flags": 2, "tif": 1}, {"flags": 2, "tif": 2},
    ]  # fmt: skip
    for shape in shapes:
        price = shape.get("price", 0 if shape.get("flags", 0) & market_order else 1)
        raw = damaged(good, 32, price, 8)
        raw = damaged(raw, 1, shape.get("side", 0) + 2 * shape.get("tif", 0))
        raw = damaged(raw, 3, shape.get("flags", 0))
        assert reject_of(story, raw) == "MALFORMED", shape
    for kind in (0, 30, 39, 63, 68, 71, 74, 255):
        assert reject_of(story, damaged(good, 0, kind)) == "MALFORMED"
    for kind in range(1, 30):
        for announced in (1, 2, 4, 8, 16, 128, 255):  # without the parts
            assert reject_of(story, damaged(damaged(good, 0, kind), 2, announced)) == "MALFORMED"
    for price, quantity in ((-1, 5), (5, -1), (0, 0), (-(2**63), 1)):
        amend = records.amend(account=2, order_id=1, price=price, quantity=quantity)
        assert reject_of(story, amend) == "MALFORMED"
    for kind, known in ((13, 3), (14, 10), (15, 3), (16, 6)):
        for parameter in (0, known + 1, 2**32 - 1):
            set_command = struct.pack("<B19xI24x", kind, parameter)
            assert reject_of(story, set_command) == "MALFORMED"
    for length in range(1, COMMAND_BYTES):
        assert reject_of(story, good[:length]) == "MALFORMED"
    assert reject_of(story, good) == ""
    story.finish()


def test_a_truncated_command_does_not_hide_the_ones_before_it() -> None:
    """One outcome for each complete command, and one for the rest of the frame."""
    both = Lockstep()
    events = both.apply(admin.rules() + admin.tick() + b"\x03", 1)
    reasons = [event.reason for event in events if isinstance(event, wire.Outcome)]
    assert reasons == [0, 0, Reject.MALFORMED]
    assert both.core.sequence == 3
    assert both.core.apply(b"", 1) == b""


def test_fields_that_a_kind_does_not_use_are_ignored() -> None:
    """A TICK full of ones is a TICK; a CANCEL does not look at its side."""
    story = Play()
    story.perform("deposit ann 1 BTC\n sell ann 1 BTC @ 100 as a")
    noise = struct.Struct("<BBBBHHIIIIqqq")
    tick = noise.pack(wire.Kind.TICK, 255, 0, 255, 65535, 65535, 2**32 - 1, 5, 5, 5, -1, -1, -1)
    assert reject_of(story, tick) == ""
    cancel = noise.pack(
        wire.Kind.CANCEL, 255, 0, 254, 1, 0, story.account("ann"), 5, 5, 5,
        story.labels["a"][0], -1, -1,
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
            records.cancel(account=account, market=1, order_id=1),
            records.amend(account=account, market=1, order_id=1, price=1),
            records.cancel_all(account=account),
            records.end_session(account=account, session=1),
            admin.set_account(account=account, parameter=admin.FROZEN, value=1),
        ):
            assert reject_of(story, command) == "UNKNOWN_ACCOUNT"


def test_opening_an_account_again_answers_with_the_same_one() -> None:
    """Idempotent, also at ACCOUNTS_MAX."""
    story = Play()
    first = story.send(admin.open_account(77))
    assert first[:1] == [wire.AccountOpened(2, 77)]
    story.send(admin.set_exchange(parameter=admin.ACCOUNTS_MAX, value=3))
    again = story.send(admin.open_account(77))
    assert [type(event) for event in again] == [wire.Outcome]
    assert isinstance(again[0], wire.Outcome) and again[0].account == 2
    assert reject_of(story, admin.open_account(78)) == "TABLE_FULL"
    assert reject_of(story, admin.open_account(2**63 - 1)) == "TABLE_FULL"
    story.send(admin.set_exchange(parameter=admin.ACCOUNTS_MAX, value=4))
    assert reject_of(story, admin.open_account(2**63 - 1)) == ""
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
    assert reject_of(story, admin.list_market(**terms)) == reject  # type: ignore[arg-type]
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
    assert reject_of(story, admin.list_asset(asset=asset, decimals=decimals, name=name)) == reject
    story.finish()


def test_the_tables_of_assets_and_markets_end_at_4096() -> None:
    """The 4,097th is TABLE_FULL, if it is valid otherwise."""
    both = Lockstep()
    frames = [admin.rules()]
    frames += [admin.list_asset(asset=i, decimals=0, name=f"A{i}") for i in range(1, 4099)]
    frames += [
        admin.list_market(market=i, base=1, quote=2, lot_atoms=1, tick_atoms=1, name=f"M{i}")
        for i in range(1, 4099)
    ]
    events = both.apply(b"".join(frames), 1)
    reasons = [event.reason for event in events if isinstance(event, wire.Outcome)]
    table = [0] * 4096 + [Reject.TABLE_FULL, Reject.BAD_VALUE]
    assert reasons == [0, *table, *table]
    both.check()


@pytest.mark.parametrize(
    ("command", "reject"),
    [
        (admin.set_market(market=3, parameter=1, value=0), "UNKNOWN_MARKET"),
        (admin.set_market(market=1, parameter=1, value=5), "BAD_VALUE"),
        (admin.set_market(market=1, parameter=2, value=-1), "BAD_VALUE"),
        (admin.set_market(market=1, parameter=3, value=1_000_000), "BAD_VALUE"),
        (admin.set_market(market=1, parameter=3, value=999_999), ""),
        (admin.set_market(market=1, parameter=4, value=0), "BAD_VALUE"),
        (admin.set_market(market=1, parameter=4, value=2**40), ""),
        (admin.set_market(market=1, parameter=5, value=2**40 + 1), "BAD_VALUE"),
        (admin.set_market(market=1, parameter=7, value=2**63 - 1), "BAD_VALUE"),
        (admin.set_market(market=1, parameter=8, value=1_000_001), "BAD_VALUE"),
        (admin.set_market(market=1, parameter=9, value=2**20), ""),
        (admin.set_market(market=1, parameter=9, value=2**20 + 1), "BAD_VALUE"),
        (admin.set_asset(asset=4, parameter=1, value=0), "UNKNOWN_ASSET"),
        (admin.set_asset(asset=0, parameter=1, value=0), "UNKNOWN_ASSET"),
        (admin.set_asset(asset=1, parameter=1, value=2**62), ""),
        (admin.set_asset(asset=1, parameter=1, value=2**62 + 1), "BAD_VALUE"),
        (admin.set_asset(asset=1, parameter=1, value=-1), "BAD_VALUE"),
        (admin.set_market(market=1, parameter=9, value=0), "BAD_VALUE"),
        (admin.set_market(market=1, parameter=9, value=1), ""),
        (admin.set_market(market=1, parameter=10, value=1), ""),
        (admin.set_market(market=1, parameter=10, value=0), "BAD_VALUE"),
        (admin.set_market(market=1, parameter=10, value=4_000), ""),
        (admin.set_market(market=1, parameter=10, value=4_001), "BAD_VALUE"),
        (admin.set_market(market=1, parameter=2, value=-1, fee_group=1), ""),
        (admin.set_market(market=1, parameter=3, value=-2, fee_group=1), "BAD_VALUE"),
        (admin.set_market(market=1, parameter=3, value=999_999, fee_group=255), ""),
        (admin.set_market(market=1, parameter=3, value=1_000_000, fee_group=255), "BAD_VALUE"),
        (admin.set_market(market=1, parameter=3, value=0, fee_group=256), "BAD_VALUE"),
        (admin.set_market(market=1, parameter=3, value=0, fee_group=2**32 - 1), "BAD_VALUE"),
        (admin.set_market(market=1, parameter=4, value=1, fee_group=256), ""),
        (admin.set_asset(asset=1, parameter=2, value=2**62 + 1), "BAD_VALUE"),
        (admin.set_asset(asset=1, parameter=3, value=-1), "BAD_VALUE"),
        (admin.set_asset(asset=1, parameter=3, value=0), ""),
        (admin.set_account(account=2, parameter=1, value=0), "UNKNOWN_ACCOUNT"),
        (admin.set_exchange(parameter=1, value=0), "BAD_VALUE"),
        (admin.set_exchange(parameter=1, value=16_384), ""),
        (admin.set_exchange(parameter=1, value=16_385), "BAD_VALUE"),
        (admin.set_exchange(parameter=2, value=1), "BAD_VALUE"),
        (admin.set_exchange(parameter=2, value=2**31 - 1), ""),
        (admin.set_exchange(parameter=2, value=2**31), "BAD_VALUE"),
        (admin.set_exchange(parameter=3, value=0), "BAD_VALUE"),
        (admin.set_exchange(parameter=3, value=2**31 - 1), ""),
        (admin.set_exchange(parameter=4, value=0), "BAD_VALUE"),
        (admin.set_exchange(parameter=4, value=65_535), ""),
        (admin.set_exchange(parameter=4, value=65_536), "BAD_VALUE"),
        (admin.set_exchange(parameter=5, value=0), "BAD_VALUE"),
        (admin.set_exchange(parameter=5, value=2**31), "BAD_VALUE"),
        (admin.set_exchange(parameter=6, value=-1), "BAD_VALUE"),
        (admin.set_exchange(parameter=6, value=10**9), ""),
        (admin.set_exchange(parameter=6, value=10**9 + 1), "BAD_VALUE"),
        (admin.rules(0), "BAD_VALUE"),
        (admin.rules(-(2**63)), "BAD_VALUE"),
        (admin.rules(1), ""),
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
            command = admin.set_market(market=1, parameter=parameter, value=value)
            assert reject_of(story, command) == reject
    story.finish()
