"""The core agrees with the naive exchange: equal events, balances, orders and depth at every
command.

FAIRBOOK_COMMANDS and FAIRBOOK_SEED set length and seed of the longest run.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.core.lockstep import Lockstep
from tests.core.stream import START_NS, SplitMix64, Stream, opening

COMMANDS = int(os.environ.get("FAIRBOOK_COMMANDS", "100000"))
SEED = int(os.environ.get("FAIRBOOK_SEED", "1"))
COMPARED_EVERY = 50  # frames of a long run

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
    short_stream(data)


@pytest.mark.slow
@settings(FEW, max_examples=400)
@given(st.data())
def test_many_short_streams_agree(data: st.DataObject) -> None:
    short_stream(data)


def test_a_long_stream_agrees() -> None:
    """20,000 commands of one seed; the report of a difference names seed and command."""
    long_stream(20_000)


@pytest.mark.slow
def test_a_longer_stream_agrees() -> None:
    long_stream(COMMANDS)


def short_stream(data: st.DataObject) -> None:
    stream = Stream(lambda count: data.draw(st.integers(0, count - 1)))
    both = Lockstep()
    stream.saw(both.apply(opening(), START_NS))
    for _ in range(data.draw(st.integers(1, 25))):
        stream.saw(both.apply(stream.frame(), stream.step()))
        both.compare()
        both.check()


def long_stream(commands: int) -> None:
    stream = Stream(SplitMix64(SEED).pick)
    both = Lockstep()
    stream.saw(both.apply(opening(), START_NS))
    frames = 0
    try:
        while both.core.sequence < commands:
            stream.saw(both.apply(stream.frame(), stream.step()))
            frames += 1
            if frames % COMPARED_EVERY == 0:
                both.compare()
                both.check()
    except AssertionError as error:
        raise AssertionError(f"seed {SEED}, near command {both.core.sequence}: {error}") from error
