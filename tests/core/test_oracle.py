"""The core agrees with the naive exchange: equal events, balances, orders and depth at every
command.

FAIRBOOK_COMMANDS and FAIRBOOK_SEED set length and seed of the longest run.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.core import wire
from tests.core.allowed import UNREACHED, allowed_rejects
from tests.core.lockstep import Lockstep
from tests.core.stream import START_NS, SplitMix64, Stream, before_the_rules, opening
from tests.core.stream_signed import SignedStream, signed_opening
from tests.core.wire import Kind, Reject

COMMANDS = int(os.environ.get("FAIRBOOK_COMMANDS", "100000"))
SEED = int(os.environ.get("FAIRBOOK_SEED", "1"))
COMPARED_EVERY = 50  # frames of a long run
OPENINGS: dict[type[Stream], Callable[[], bytes]] = {Stream: opening, SignedStream: signed_opening}

FEW = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate, Phase.shrink),
)


@FEW
@given(st.data())
def test_short_streams_agree_after_every_command(data: st.DataObject) -> None:
    """Core and oracle agree on any commands, and the invariants hold."""
    short_stream(data, Stream)


@settings(FEW, max_examples=20)
@given(st.data())
def test_short_signed_streams_agree(data: st.DataObject) -> None:
    """The same of a log whose frames are signed."""
    short_stream(data, SignedStream)


@pytest.mark.slow
@settings(FEW, max_examples=400)
@given(st.data())
def test_many_short_streams_agree(data: st.DataObject) -> None:
    short_stream(data, Stream)


@pytest.mark.slow
@pytest.mark.parametrize("kind", OPENINGS)
def test_a_longer_stream_agrees(kind: type[Stream]) -> None:
    long_stream(kind, COMMANDS, SEED)


def test_two_long_streams_agree_and_meet_every_reject_of_every_kind() -> None:
    """And every way in which an order ends, every status, and each kind executed."""
    met = long_stream(Stream, 40_000, SEED).met + long_stream(SignedStream, 10_000, SEED).met
    known = set(Kind)
    rejects = {
        (Kind(kind), Reject(code))
        for kind, status, code in met
        if status == wire.REJECTED and kind in known
    }
    expected = allowed_rejects()
    assert expected - UNREACHED - rejects == set()
    assert rejects - expected == set()
    assert {kind for kind, status, _ in met if status != wire.REJECTED} == known
    assert {status for _, status, _ in met} == set(range(8))
    assert {reason for kind, status, reason in met if kind == Kind.PLACE and status} == {
        0, wire.BY_FILL, *range(wire.IMMEDIATE_OR_CANCEL, wire.WALK_LIMIT + 1)
    }  # fmt: skip


def short_stream(data: st.DataObject, kind: type[Stream]) -> None:
    stream = kind(lambda count: data.draw(st.integers(0, count - 1)))
    both = Lockstep()
    stream.saw(both.apply(OPENINGS[kind](), START_NS))
    for _ in range(data.draw(st.integers(1, 25))):
        stream.saw(both.apply(stream.frame(), stream.step()))
        both.compare()
        both.check()


def long_stream(kind: type[Stream], commands: int, seed: int) -> Lockstep:
    stream = kind(SplitMix64(seed).pick)
    both = Lockstep()
    stream.saw(both.apply(before_the_rules() + OPENINGS[kind](), START_NS))
    frames = 0
    try:
        while both.core.sequence < commands:
            stream.saw(both.apply(stream.frame(), stream.step()))
            frames += 1
            if frames % COMPARED_EVERY == 0:
                both.compare()
                both.check()
    except AssertionError as error:
        raise AssertionError(f"seed {seed}, near command {both.core.sequence}: {error}") from error
    return both
