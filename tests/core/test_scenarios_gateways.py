"""Gateways: the local instance, frames with origins, and what the end of an instance leaves."""

from __future__ import annotations

import pytest
from nacl.signing import SigningKey

from fairbook.core import admin_records as admin
from fairbook.core import parts, records, state
from fairbook.core.admin_commands import RulesUnknown
from fairbook.core.exchange import Exchange
from tests.core import wire
from tests.core.lockstep import Lockstep
from tests.core.oracle import LaterRules
from tests.core.play import Play, play
from tests.core.stream import LOG_ID, START_NS
from tests.core.stream_signed import signed, signed_opening, signing_key
from tests.core.wire import Reject

SECOND = 10**9
ONE, TWO = signing_key(0), signing_key(1)
TICK = admin.tick()


def test_a_gateway_that_begins_anew_ends_the_sessions_of_the_one_before() -> None:
    """At the head of the next frame; orders without a session stay, others' too."""
    story = play("""
        deposit   ann  9 BTC
        sell      ann  1 BTC @ 99 session 1
        gateway
        sell      ann  1 BTC @ 100 session 1
        sell      ann  1 BTC @ 101 session 2
        sell      ann  1 BTC @ 102
        gateway
        asks      BTC_USDT 1 @ 99, 1 @ 100, 1 @ 101, 1 @ 102
        tick                                 -> ended 2 left 0
        asks      BTC_USDT 1 @ 99, 1 @ 102
        end-session ann 1                    -> cancelled 0
        sell      ann  1 BTC @ 103 session 1
        end-session ann 1                    -> cancelled 1
        gateway
        tick
        end-gateway
        sell      ann  1 BTC @ 104 session 1
        tick
        asks      BTC_USDT 1 @ 99, 1 @ 102, 1 @ 104
    """)
    assert story.core.gateways() == []


def test_a_session_belongs_to_its_instance() -> None:
    """END_SESSION finds the orders of this instance only, not those of one with the same number."""
    story = play("""
        deposit   ann  9 BTC
        sell      ann  1 BTC @ 100 session 1
        end-session ann 1                    -> cancelled 1
        sell      ann  1 BTC @ 100 session 1
        gateway
        sell      ann  1 BTC @ 101 session 1
    """)
    instance = story.core.gateways()[0].number
    ann = story.account("ann")
    assert story.core.sessions() == [(ann, 0, 1), (ann, instance, 1)]
    story.perform("end-session ann 1 -> cancelled 1\n asks BTC_USDT 1 @ 100")
    story.finish()


def test_the_orders_of_an_ended_gateway_are_cancelled_a_thousand_a_frame() -> None:
    """Oldest end first, lowest id first; what is placed and closed in between is found."""
    story = Play()
    story.perform("deposit ann 9 BTC\n deposit bob 9 BTC\n gateway")
    for name, count in (("ann", 700), ("bob", 700)):
        sell = records.place(
            account=story.account(name), market=1, side=1, quantity=1, price=1000, session=5
        )
        story.send_many([sell] * count)
    story.perform("""
        gateway
        sell      ann  0.001 BTC @ 101 session 5 -> ended 1000 left 400, rests
        gateway                              -> ended 400 left 0
        tick                                 -> ended 1 left 0
        tick
        asks      BTC_USDT
    """)
    story.finish()


def orders_left(story: Play) -> list[int]:
    """Numbers of open orders of all accounts."""
    return [len(story.core.open_orders(account)) for account in story.users.values()]


def test_more_than_a_thousand_orders_end_over_several_frames() -> None:
    """In a state that is written and read between the frames, too."""
    story = Play()
    story.perform("deposit ann 9 BTC\n deposit bob 9 BTC\n gateway")
    sells = {
        name: records.place(
            account=story.account(name), market=1, side=1, quantity=1, price=1000, session=5
        )
        for name in ("ann", "bob")
    }
    story.send_many([sells["ann"] + sells["bob"]] * 1_050)
    story.perform("gateway")
    assert orders_left(story) == [1_050, 1_050]
    story.perform("tick -> ended 1000 left 1100")
    assert orders_left(story) == [550, 550]
    restored = state.load(state.dump(story.core))
    events = wire.split_events(restored.apply(TICK, story.time_ns))
    assert events == story.send(TICK)
    ids = [event.order.order_id for event in events if isinstance(event, wire.Closed)]
    assert len(ids) == 1_000 and ids == sorted(ids)
    assert {e.order.reason for e in events if isinstance(e, wire.Closed)} == {wire.GATEWAY_ENDED}
    story.perform("tick -> ended 100 left 0\n tick")
    assert orders_left(story) == [0, 0]
    story.finish()


class Signed:
    """A log whose frames are signed, and two instances that may append."""

    def __init__(self) -> None:
        self.both = Lockstep()
        self.time_ns = START_NS
        self.both.apply(signed_opening(), self.time_ns)
        self.instances = [self.begin(ONE, 1), self.begin(TWO, 1)]

    def send(self, frame: bytes) -> list[wire.Event]:
        """Both get it; everything is compared."""
        events = self.both.apply(frame, self.time_ns)
        self.both.compare()
        self.both.check()
        return events

    def begin(self, key: SigningKey, number: int) -> int:
        """The number of a new instance."""
        frame = signed(key, 0, number, admin.begin_gateway(bytes(key.verify_key)))
        outcome = self.send(frame)[-1]
        assert isinstance(outcome, wire.Outcome) and outcome.order_id == outcome.sequence
        return outcome.order_id

    def passed(self, frame: bytes) -> int:
        """Why the frame was passed over, or 0. Then nothing changed but the time."""
        before, sequence = state.dump(self.both.core), self.both.core.sequence
        self.time_ns += 1
        events = self.send(frame)
        if not isinstance(events[0], wire.Passed):
            return 0
        after = state.dump(self.both.core)
        changed = {at // 8 for at in range(len(after)) if after[at] != before[at]}
        assert len(events) == 1 and len(after) == len(before) and len(changed) == 1
        assert self.both.core.sequence == sequence
        return events[0].reason


def test_frames_are_executed_in_the_order_of_their_numbers() -> None:
    """Of each instance; the same number again, one left out, and old ones are passed over."""
    log = Signed()
    one, two = log.instances
    assert log.passed(signed(ONE, one, 1, TICK)) == 0
    for number in (0, 1, 3, -1, 2**63 - 1, -(2**63)):
        assert log.passed(signed(ONE, one, number, TICK)) == wire.OUT_OF_NUMBER
    assert log.passed(signed(TWO, two, 1, TICK)) == 0
    assert log.passed(signed(ONE, one, 2, TICK)) == 0
    assert log.passed(signed(ONE, one, 3, TICK + b"\1")) == 0


def test_a_signature_is_of_one_log_one_place_and_all_bytes() -> None:
    log = Signed()
    one, two = log.instances
    good = signed(ONE, one, 1, TICK * 2)
    assert log.passed(signed(TWO, one, 1, TICK)) == wire.BAD_SIGNATURE
    assert log.passed(signed(ONE, two, 1, TICK)) == wire.BAD_SIGNATURE
    for at in (24, 47, 56, 95, 96, 100, len(good) - 1):
        changed = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
        assert log.passed(changed) == wire.BAD_SIGNATURE
    for changed in (good[:-1], good[:-48], good + TICK, good + b"\0"):
        assert log.passed(changed) == wire.BAD_SIGNATURE
    message = parts.signed_bytes(LOG_ID + 1, one, 1, TICK)
    elsewhere = parts.with_origin(
        TICK, instance=one, number=1, signature=ONE.sign(message).signature
    )
    assert log.passed(elsewhere) == wire.BAD_SIGNATURE
    assert log.passed(good) == 0


@pytest.mark.parametrize("cut", [0, 1, 47, 48, 95])
def test_frames_without_a_whole_origin_are_unsigned(cut: int) -> None:
    log = Signed()
    good = signed(ONE, log.instances[0], 1, TICK)
    for frame in (TICK, TICK + good, good[48:], good[48:96] + good[:48] + TICK, good[:cut]):
        if frame:
            assert log.passed(frame) == wire.UNSIGNED
    assert log.passed(good) == 0


def test_what_a_begin_frame_may_be() -> None:
    """A live key of the gateways, a number above its last, and nothing else in the frame."""
    log = Signed()
    key = bytes(ONE.verify_key)
    begin = admin.begin_gateway(key)
    for commands in (
        begin + TICK, TICK + begin, begin[48:], begin[:48], b"", begin[:-1], begin + b"\0",
        begin[48:] + begin[:48], admin.begin_gateway(), begin[:50] + b"\0" + begin[51:],
    ):  # fmt: skip
        assert log.passed(signed(ONE, 0, 2, commands)) == wire.BAD_BEGIN
    unknown = signing_key(99)
    theirs = admin.begin_gateway(bytes(unknown.verify_key))
    assert log.passed(signed(unknown, 0, 2, theirs)) == wire.NOT_BEGUN
    for number in (1, 0, -1):
        assert log.passed(signed(ONE, 0, number, begin)) == wire.OUT_OF_NUMBER
    assert log.passed(signed(TWO, 0, 2, begin)) == wire.BAD_SIGNATURE
    assert log.passed(signed(ONE, 0, 10, begin)) == 0
    assert log.passed(signed(ONE, 0, 10, begin)) == wire.OUT_OF_NUMBER
    one = log.instances[0]
    inside = log.send(signed(ONE, one, 1, begin + admin.begin_gateway()))
    reasons = [event.reason for event in inside if isinstance(event, wire.Outcome)]
    assert reasons == [Reject.MALFORMED] * 2


def test_a_key_that_is_revoked_or_has_expired_appends_no_more() -> None:
    """Whatever instance it began; another instance may end that one at once."""
    log = Signed()
    one, two = log.instances
    revoke = admin.revoke_credential(detail=bytes(TWO.verify_key), owner_kind=admin.OF_GATEWAYS)
    assert log.passed(signed(TWO, two, 1, TICK)) == 0
    assert log.passed(signed(ONE, one, 1, revoke)) == 0
    assert log.passed(signed(TWO, two, 2, TICK)) == wire.NOT_BEGUN
    begin = admin.begin_gateway(bytes(TWO.verify_key))
    assert log.passed(signed(TWO, 0, 9, begin)) == wire.NOT_BEGUN
    ended = log.send(signed(ONE, one, 2, admin.end_gateway(two, last_number=1)))
    assert isinstance(ended[-1], wire.Outcome) and ended[-1].status == wire.DONE


def test_an_instance_is_ended_when_it_was_silent_for_five_seconds() -> None:
    """And with the number that was seen last, so that no frame of it is overlooked."""
    log = Signed()
    one, two = log.instances
    log.send(signed(TWO, two, 1, TICK))
    number = 0

    def end(instance: int, last_number: int) -> int:
        nonlocal number
        number += 1
        unit = admin.end_gateway(instance, last_number=last_number)
        outcome = log.send(signed(ONE, one, number, unit))[-1]
        assert isinstance(outcome, wire.Outcome)
        return outcome.reason

    log.time_ns += 5 * SECOND - 1
    assert end(two, 1) == Reject.GATEWAY_ALIVE
    log.time_ns += 1
    assert end(two, 2) == Reject.BAD_VALUE
    assert end(two, 0) == Reject.GATEWAY_ALIVE
    assert end(999, 0) == Reject.UNKNOWN_GATEWAY
    assert end(two, 1) == 0
    assert end(two, 1) == Reject.UNKNOWN_GATEWAY
    assert log.passed(signed(TWO, two, 2, TICK)) == wire.NOT_BEGUN
    assert end(one, number) == Reject.GATEWAY_ALIVE  # its own frame has a number of its own
    assert end(one, number + 1) == 0
    assert log.passed(signed(ONE, one, number + 1, TICK)) == wire.NOT_BEGUN


def test_the_end_of_one_instance_cancels_its_own_sessions_only() -> None:
    log = Signed()
    one, two = log.instances
    sell = records.place(account=2, market=1, side=1, quantity=1, price=100, session=7)
    log.send(signed(ONE, one, 1, sell))
    log.send(signed(TWO, two, 1, sell))
    assert [session[1] for session in log.both.core.sessions()] == [one, two]
    end = log.send(signed(TWO, two, 2, records.end_session(account=2, session=7) + sell))
    assert isinstance(end[-1], wire.Outcome)
    log.send(signed(TWO, two, 3, admin.end_gateway(two, last_number=3) + sell))
    events = log.send(signed(ONE, one, 2, TICK))
    assert wire.Ended(two, 1, 0) in events
    # The order after END_GATEWAY belongs to no instance.
    assert [session[1] for session in log.both.core.sessions()] == [0, one]


def test_origins_mean_nothing_in_a_log_that_is_not_signed() -> None:
    """The frame is passed over; an ORIGIN elsewhere is malformed."""
    story = Play()
    frame = signed(ONE, 5, 6, TICK)
    assert story.send(frame) == [wire.Passed(wire.NOT_BEGUN, 5, 6)]
    outcomes = [e for e in story.send(TICK + frame) if isinstance(e, wire.Outcome)]
    assert [each.reason for each in outcomes] == [0, Reject.MALFORMED, Reject.MALFORMED, 0]
    outcomes = [e for e in story.send(frame[:48] + TICK) if isinstance(e, wire.Outcome)]
    assert [each.reason for each in outcomes] == [Reject.MALFORMED, 0]
    story.finish()


def test_the_kind_of_a_log_is_set_by_its_first_frame_only() -> None:
    """TEST, SIGNED, log id and salt: anywhere else BAD_VALUE."""
    both = Lockstep()
    tries = [{"flags": 1}, {"flags": 2}, {"log_id": 1}, {"salt": 1}, {"flags": 4}]
    frame = admin.rules(flags=4) + admin.rules(flags=1) + admin.rules(flags=1) + admin.rules()
    outcomes = [e.reason for e in both.apply(frame, 1) if isinstance(e, wire.Outcome)]
    assert outcomes == [Reject.BAD_VALUE, 0, Reject.BAD_VALUE, 0]
    assert both.core.is_test
    for terms in tries:
        outcome = both.apply(admin.rules(**terms), 1)[-1]
        assert isinstance(outcome, wire.Outcome) and outcome.reason == Reject.BAD_VALUE
    late = Lockstep()
    late.apply(TICK, 1)
    for terms in tries:
        outcome = late.apply(admin.rules(**terms), 1)[-1]
        assert isinstance(outcome, wire.Outcome) and outcome.reason == Reject.BAD_VALUE
    late.apply(admin.rules(), 1)
    assert not late.core.is_test
    late.compare()


@pytest.mark.parametrize("version", [2, 3, 2**62])
@pytest.mark.parametrize("announced", [0, 1, 8, 255])
def test_rules_of_a_later_version_stop_the_engine(version: int, announced: int) -> None:
    """Wherever they stand in a frame that is executed, and whatever parts they have."""
    unit = admin.rules(version)
    unit = unit[:2] + bytes([announced]) + unit[3:]
    for frame in (unit, TICK + unit, unit + TICK, admin.rules() + unit):
        with pytest.raises(RulesUnknown):
            Exchange().apply(frame, 1)
        with pytest.raises(LaterRules):
            list(Lockstep().oracle.apply(frame, 1))
    log = Signed()
    assert log.passed(unit) == wire.UNSIGNED
    with pytest.raises(RulesUnknown):
        log.both.core.apply(signed(ONE, log.instances[0], 1, unit), log.time_ns)
