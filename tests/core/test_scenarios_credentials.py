"""Who may act: credentials of accounts, operators, and what they may order."""

from __future__ import annotations

import pytest

from fairbook.core import admin_records as admin
from fairbook.core import parts, records
from tests.core import wire
from tests.core.play import Play, play
from tests.core.play_powers import named_hash
from tests.core.wire import Kind, Reject

WHY = named_hash("why")


def outcome_of(story: Play, unit: bytes) -> wire.Outcome:
    outcome = story.send(unit)[-1]
    assert isinstance(outcome, wire.Outcome)
    return outcome


def added(story: Play, name: str, **terms: int) -> wire.Outcome:
    """ADD_CREDENTIAL of ann's, with other terms."""
    unit = admin.add_credential(
        detail=named_hash(name),
        **{"owner": story.account("ann"), "credential_type": admin.TOKEN, **terms},
    )
    return outcome_of(story, unit)


def test_a_credential_acts_as_long_as_it_lives() -> None:
    """To the nanosecond; a revoked one not in the same frame any more."""
    play("""
        deposit   ann  9 BTC
        key       ann  k trade,withdraw for 60
        sell      ann  1 BTC @ 100 with k as a  -> rests
        amend     ann  a 0.5 BTC @ 100 with k   -> amended, rests
        hold      ann  1 BTC with k
        wait      59.999999999
        cancel    ann  a with k                 -> cancelled
        wait      0.000000001
        sell      ann  1 BTC @ 100 with k       -> rejected BAD_CREDENTIAL
        hold      ann  1 BTC with k             -> rejected BAD_CREDENTIAL
        key       ann  k2 trade
        sell      ann  1 BTC @ 100 with k2      -> rests
        revoke    ann  k2
        sell      ann  1 BTC @ 100 with k2      -> rejected BAD_CREDENTIAL
        sell      ann  1 BTC @ 100              -> rests
    """)


def test_what_a_credential_permits() -> None:
    """READ trades nothing, TRADE withdraws nothing."""
    play("""
        deposit   ann  9 BTC
        key       ann  reader read
        key       ann  trader read,trade
        key       ann  saver  withdraw
        sell      ann  1 BTC @ 100 with reader  -> rejected NOT_PERMITTED
        sell      ann  1 BTC @ 100 with saver   -> rejected NOT_PERMITTED
        sell      ann  1 BTC @ 100 with trader as a -> rests
        cancel    ann  a with reader            -> rejected NOT_PERMITTED
        amend     ann  a 1 BTC @ 101 with saver -> rejected NOT_PERMITTED
        hold      ann  1 BTC with trader        -> rejected NOT_PERMITTED
        hold      ann  1 BTC with saver
        cancel    ann  a with trader            -> cancelled
    """)


def test_a_slot_is_of_its_account_only() -> None:
    """Another account's slot of that number, and numbers that were never used."""
    story = play("""
        deposit   ann  9 BTC
        deposit   bob  9 BTC
        key       ann  k trade
    """)
    for account, slot, reject in (("ann", 1, 0), ("bob", 1, 4), ("ann", 2, 4), ("ann", 65_535, 4)):
        unit = records.place(
            account=story.account(account), market=1, side=1, quantity=1, price=9, credential=slot
        )
        assert outcome_of(story, unit).reason == reject
    story.finish()


def test_a_young_credential_may_not_withdraw() -> None:
    """WITHDRAWAL_DELAY_S of log time, to the nanosecond; the exchange itself has no age."""
    play("""
        set       exchange withdrawal-delay 10
        deposit   ann  9 BTC
        key       ann  k withdraw
        hold      ann  1 BTC with k             -> rejected TOO_YOUNG
        hold      ann  1 BTC
        wait      9.999999999
        hold      ann  1 BTC with k             -> rejected TOO_YOUNG
        wait      0.000000001
        hold      ann  1 BTC with k
        set       exchange withdrawal-delay 11
        hold      ann  1 BTC with k             -> rejected TOO_YOUNG
    """)


def test_slots_are_given_out_again_the_longest_ended_first() -> None:
    """Expired or revoked, at its first end; the lowest of equals; none has ended: TABLE_FULL."""
    story = Play()
    story.perform("set exchange owner-credentials-max 4")
    now = story.time_ns
    for at, name in enumerate(("a", "b", "c", "d"), 1):
        expiry = {"b": now + 50, "c": now + 40}.get(name, 0)
        assert added(story, name, expires_ns=expiry).order_id == at
    assert added(story, "e").reason == Reject.TABLE_FULL
    story.time_ns += 60
    story.send(admin.revoke_credential(detail=named_hash("c"), owner=story.account("ann")))
    story.send(admin.revoke_credential(detail=named_hash("a"), owner=story.account("ann")))
    # c ended at 40 although it was revoked later, b at 50, a at 60.
    assert [added(story, name).order_id for name in ("e", "f", "g")] == [3, 2, 1]
    assert added(story, "h").reason == Reject.TABLE_FULL
    assert added(story, "a").reason == Reject.DUPLICATE_CREDENTIAL  # revoked, for ever
    assert added(story, "c").reason == Reject.DUPLICATE_CREDENTIAL
    story.send(admin.revoke_credential(detail=named_hash("d"), owner=story.account("ann")))
    assert added(story, "b").order_id == 4  # expired, and forgotten with its slot
    story.finish()


def test_the_lowest_of_the_slots_that_ended_together() -> None:
    story = Play()
    story.perform("set exchange owner-credentials-max 3")
    for name in ("a", "b", "c"):
        added(story, name)
    for name in ("c", "b"):
        story.send(admin.revoke_credential(detail=named_hash(name), owner=story.account("ann")))
    assert [added(story, name).order_id for name in ("d", "e")] == [2, 3]
    story.finish()


def test_the_same_credential_again_is_the_first_result() -> None:
    """With the same terms while it lives; everything else with a known hash is a duplicate."""
    story = Play()
    first = added(story, "k", permissions=7)
    again = added(story, "k", permissions=7)
    assert (again.repeated, again.order_id, again.status) == (1, first.order_id, wire.DONE)
    bob = story.account("bob")
    for change in (
        {"permissions": 3}, {"owner": bob}, {"expires_ns": 2**62},
        {"credential_type": admin.PUBLIC_KEY},
    ):  # fmt: skip
        terms = {"permissions": 7, **change}
        assert added(story, "k", **terms).reason == Reject.DUPLICATE_CREDENTIAL
    story.finish()


@pytest.mark.parametrize(("kind", "type_"), [("password", 3), ("second-factor", 4)])
def test_a_new_password_revokes_the_one_before(kind: str, type_: int) -> None:
    """Also in a full table, whose slot it takes; not one of the other type or of another owner."""
    story = Play()
    story.perform(f"""
        set       exchange owner-credentials-max 2
        {kind}    ann  one  read,trade
        {kind}    bob  his  read,trade
        token     ann  tok  read,trade
    """)
    events = story.send(
        admin.add_credential(
            detail=named_hash("two"), credential_type=type_, owner=story.account("ann")
        )
    )
    changes = [event for event in events if isinstance(event, wire.CredentialChanged)]
    assert [(change.revoked, change.slot) for change in changes] == [(1, 1), (0, 1)]
    found = story.core.credential(named_hash("one"))
    assert found is None
    his = story.core.credential(named_hash("his"))
    assert his is not None and his.is_live(story.time_ns)
    assert added(story, "one", credential_type=type_).reason == Reject.DUPLICATE_CREDENTIAL
    story.finish()


@pytest.mark.parametrize(
    ("terms", "reject"),
    [
        ({"credential_type": 0}, "MALFORMED"),
        ({"credential_type": 5}, "MALFORMED"),
        ({"credential_type": 6}, "MALFORMED"),
        ({"permissions": 8}, "MALFORMED"),
        ({"permissions": 2**31}, "MALFORMED"),
        ({"owner_kind": 3}, "MALFORMED"),
        ({"owner_kind": 2}, "MALFORMED"),  # a token of the gateways
        ({"owner_kind": 2, "credential_type": 5}, "UNKNOWN_ACCOUNT"),  # their id is 0
        ({"owner_kind": 1}, "UNKNOWN_ACCOUNT"),  # no such operator
        ({"owner": 0}, "UNKNOWN_ACCOUNT"),
        ({"owner": 1}, "UNKNOWN_ACCOUNT"),
        ({"owner": 99}, "UNKNOWN_ACCOUNT"),
        ({"credential": 9}, "BAD_CREDENTIAL"),
        ({"expires_ns": 10**9}, "BAD_VALUE"),  # now
        ({"expires_ns": 1}, "BAD_VALUE"),
        ({"expires_ns": -1}, "BAD_VALUE"),
        ({"expires_ns": 10**9 + 1}, ""),
        ({"owner_kind": 2, "owner": 0, "credential_type": 5}, ""),
    ],
)
def test_credentials_that_may_be_added(terms: dict[str, int], reject: str) -> None:
    story = Play()
    outcome = added(story, "k", **terms)
    assert (Reject(outcome.reason).name if outcome.reason else "") == reject
    story.finish()


def test_the_table_of_all_hashes_is_bounded() -> None:
    """Revoked ones count for ever; a slot that would be free does not help."""
    story = Play()
    story.perform("set exchange credentials-max 3")
    for name in ("a", "b"):
        added(story, name)
    story.send(admin.revoke_credential(detail=named_hash("a"), owner=story.account("ann")))
    assert added(story, "c").reason == 0
    assert added(story, "d").reason == Reject.TABLE_FULL
    assert added(story, "c").repeated == 1
    story.finish()


ROLE_OF: dict[int, tuple[Kind, ...]] = {
    admin.ACCOUNTS_ROLE: (Kind.OPEN_ACCOUNT, Kind.SET_ACCOUNT, Kind.CANCEL_ALL),
    admin.MARKETS_ROLE: (
        Kind.LIST_ASSET, Kind.LIST_MARKET, Kind.SET_ASSET, Kind.SET_MARKET, Kind.SET_EXCHANGE,
        Kind.PAUSE, Kind.RESUME,
    ),
    admin.MONEY_ROLE: (
        Kind.CREDIT, Kind.DEBIT, Kind.RELEASE, Kind.CAPTURE, Kind.CONFIRM_CREDIT,
        Kind.REFUSE_CREDIT,
    ),
    admin.OPERATORS_ROLE: (Kind.RULES, Kind.SET_OPERATOR),
}  # fmt: skip


@pytest.mark.parametrize("role", ROLE_OF)
def test_each_role_permits_its_commands_only(role: int) -> None:
    """All the others are NOT_PERMITTED, which comes before what else may be wrong with them."""
    story = Play()
    story.send(admin.set_operator(operator=1, roles=15 - role))
    story.send(admin.set_operator(operator=2, roles=role))
    ann = story.account("ann")
    units = {
        Kind.OPEN_ACCOUNT: admin.open_account(5),
        Kind.SET_ACCOUNT: admin.set_account(account=ann, parameter=1, value=0),
        Kind.CANCEL_ALL: records.cancel_all(account=ann),
        Kind.LIST_ASSET: admin.list_asset(asset=9, decimals=0, name="X"),
        Kind.LIST_MARKET: admin.list_market(
            market=9, base=1, quote=2, lot_atoms=1, tick_atoms=1, name="X"
        ),
        Kind.SET_ASSET: admin.set_asset(asset=1, parameter=1, value=2**62),
        Kind.SET_MARKET: admin.set_market(market=1, parameter=1, value=0),
        Kind.SET_EXCHANGE: admin.set_exchange(parameter=admin.WITHDRAWAL_DELAY_S, value=0),
        Kind.PAUSE: admin.pause(1, 1),
        Kind.RESUME: admin.resume(1),
        Kind.CREDIT: admin.credit(account=ann, asset=1, atoms=1, reference=b"r" * 16),
        Kind.DEBIT: admin.debit(account=ann, asset=1, atoms=1, reference=b"s" * 16),
        Kind.RELEASE: admin.release(b"t" * 16),
        Kind.CAPTURE: admin.capture(b"t" * 16),
        Kind.CONFIRM_CREDIT: admin.confirm_credit(b"t" * 16),
        Kind.REFUSE_CREDIT: admin.refuse_credit(b"t" * 16),
        Kind.RULES: admin.rules(),
        Kind.SET_OPERATOR: admin.set_operator(operator=1, roles=15 - role),
    }
    for kind, unit in units.items():
        for operator, may in ((2, kind in ROLE_OF[role]), (1, kind not in ROLE_OF[role])):
            reason = outcome_of(
                story, parts.with_operator(unit, operator=operator, reason_hash=WHY)
            ).reason
            assert (reason != Reject.NOT_PERMITTED) == may, (kind, operator)
    note = parts.with_operator(admin.note("n")[0], operator=2, reason_hash=WHY)
    assert outcome_of(story, note).reason == 0
    story.finish()


def test_an_operator_acts_with_a_live_credential_or_none() -> None:
    """Without roles, unknown, or with a slot that has ended: BAD_CREDENTIAL."""
    story = Play()
    story.send(admin.set_operator(operator=1, roles=15))
    token = {"credential_type": admin.TOKEN, "owner": 1, "owner_kind": admin.OF_OPERATOR}
    for name in ("one", "two"):
        story.send(admin.add_credential(detail=named_hash(name), **token))
    revoke = admin.revoke_credential(
        detail=named_hash("one"), owner=1, owner_kind=admin.OF_OPERATOR
    )
    story.send(revoke)
    note = admin.note("n")[0]
    for operator, slot, reject in (
        (1, 0, 0), (1, 1, 4), (1, 2, 0), (1, 3, 4), (2, 0, 4), (0, 0, 4), (2**32 - 1, 0, 4),
    ):  # fmt: skip
        unit = parts.with_operator(note, operator=operator, reason_hash=WHY, credential=slot)
        assert outcome_of(story, unit).reason == reject
    story.send(admin.set_operator(operator=1, roles=0))
    unit = parts.with_operator(note, operator=1, reason_hash=WHY)
    assert outcome_of(story, unit).reason == Reject.BAD_CREDENTIAL
    story.finish()


def test_what_an_operator_ordered_is_in_the_events() -> None:
    """ACTED right before the outcome, with reference and reason; not where nothing was done."""
    story = Play()
    story.send(admin.set_operator(operator=1, roles=15))

    def acted(unit: bytes) -> bool:
        events = story.send(
            parts.with_operator(unit, operator=1, reason_hash=WHY, reference=-(2**63))
        )
        found = [event for event in events if isinstance(event, wire.Acted)]
        if found:
            assert found == [events[-2]] == [wire.Acted(0, 1, -(2**63), WHY)]
        return bool(found)

    assert acted(admin.pause(1, 5))
    assert not acted(admin.pause(1, 6))
    assert acted(admin.resume(1))
    assert not acted(admin.resume(1))
    assert acted(admin.open_account(5)) and acted(admin.open_account(5))
    assert not acted(admin.open_account(0))
    credit = admin.credit(account=2, asset=1, atoms=5, reference=b"r" * 16)
    assert acted(credit) and not acted(credit)
    story.finish()


def test_two_pauses_each_lifted_by_its_own_command() -> None:
    """PAUSE again keeps the first reason; the end repeats it."""
    story = play("""
        deposit   ann  9 BTC
        pause     audit reason 3
        pause     operator reason 4
        pause     audit reason 5             -> repeated
        resume    operator
        sell      ann  1 BTC @ 100           -> rejected TRADING_PAUSED
        resume    operator                   -> repeated
    """)
    assert (story.core.pause(admin.BY_AUDIT).reason, story.core.paused) == (3, True)
    assert story.core.pause(admin.BY_OPERATOR).reason == 0
    assert story.send(admin.resume(0))[0] == wire.PauseChanged(0, 0, 3, bytes(32))
    story.perform("sell ann 1 BTC @ 100 -> rests")
    for unit in (admin.pause(2, 1), admin.pause(0, 0), admin.resume(2), admin.resume(255)):
        assert outcome_of(story, unit).reason == Reject.MALFORMED
    story.finish()


def test_notes_are_events_and_nothing_else() -> None:
    """Any text in pieces of 40 bytes; also before the rules; 0 and 41 bytes are malformed."""
    story = Play()
    text = "Trading was paused because €… " * 4
    pieces = [story.send(unit)[0] for unit in admin.note(text)]
    assert all(isinstance(piece, wire.Noted) for piece in pieces)
    notes = [piece for piece in pieces if isinstance(piece, wire.Noted)]
    assert b"".join(note.text[: note.length] for note in notes).decode() == text
    assert [note.continued for note in notes] == [1] * (len(notes) - 1) + [0]
    good = admin.note("n")[0]
    for length in (0, 41, 255):
        outcome = outcome_of(story, good[:1] + bytes([length]) + good[2:])
        assert (outcome.reason, outcome.account, outcome.client_id) == (Reject.MALFORMED, 0, 0)
    story.finish()


def test_used_signatures_count_once_for_130_seconds() -> None:
    """In all accounts and markets; not used up by what fails before it is looked at."""
    play("""
        deposit   ann  9 BTC
        deposit   bob  9 BTC
        key       ann  old trade for 1
        wait      1
        sell      ann  1 BTC @ 100 signed 1 with old -> rejected BAD_CREDENTIAL
        sell      ann  1 BTC @ 100 signed 1          -> rests
        sell      ann  1 BTC @ 100 signed 1          -> rejected REPEATED_SIGNATURE
        sell      bob  1 BTC @ 101 signed 1          -> rejected REPEATED_SIGNATURE
        sell      ann  99 BTC @ 100 signed 2         -> rejected INSUFFICIENT_FUNDS
        sell      ann  1 BTC @ 100 signed 2          -> rejected REPEATED_SIGNATURE
        sell      ann  1 BTC @ 100 id 5 signed 3     -> rests
        sell      ann  1 BTC @ 100 id 5 signed 4     -> repeated, rests
        sell      ann  1 BTC @ 100 id 6 signed 4     -> rests
        wait      129.999999999
        sell      ann  1 BTC @ 100 signed 1          -> rejected REPEATED_SIGNATURE
        wait      0.000000001
        sell      ann  1 BTC @ 100 signed 1          -> rests
    """)
