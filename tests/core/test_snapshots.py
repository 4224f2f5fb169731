"""A restored state behaves exactly like the saved one (invariant 33)."""

from __future__ import annotations

import pytest

from fairbook.core import invariants, state
from fairbook.core.exchange import Exchange
from tests.core import wire
from tests.core.stream import START_NS, SplitMix64, Stream, opening
from tests.core.stream_signed import SignedStream, signed_opening

KINDS = [(Stream, opening()), (SignedStream, signed_opening())]


def recorded(
    seed: int, frames_count: int, kind: type[Stream] = Stream, first: bytes | None = None
) -> list[tuple[bytes, int]]:
    """Frames of a stream, with their times."""
    exchange = Exchange()
    stream = kind(SplitMix64(seed).pick)
    frames = [(opening() if first is None else first, START_NS)]
    stream.saw(wire.split_events(exchange.apply(*frames[0])))
    for _ in range(frames_count):
        frame, time_ns = stream.frame(), stream.step()
        frames.append((frame, time_ns))
        stream.saw(wire.split_events(exchange.apply(frame, time_ns)))
    return frames


@pytest.mark.parametrize(("kind", "first"), KINDS)
def test_restored_at_any_frame_the_next_commands_give_equal_events(
    kind: type[Stream], first: bytes
) -> None:
    """At each k, equal bytes of events, and an equal state at the end."""
    frames = recorded(5, 400, kind, first)
    whole = Exchange()
    events, images = [], []
    for frame, time_ns in frames:
        events.append(whole.apply(frame, time_ns))
        images.append(state.dump(whole))
    end = state.digest(whole)
    for k in range(0, len(frames), 7):
        restored = state.load(images[k])
        assert state.dump(restored) == images[k]
        invariants.check(restored)
        following = [restored.apply(*frame) for frame in frames[k + 1 :]]
        assert following == events[k + 1 :], f"restored after frame {k}"
        assert state.digest(restored) == end


@pytest.mark.parametrize(
    "seed", [11, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (12, 13))]
)
@pytest.mark.parametrize(("kind", "first"), KINDS)
def test_a_restored_state_goes_on_for_ten_thousand_commands(
    seed: int, kind: type[Stream], first: bytes
) -> None:
    """Long enough for client ids to expire, slots to be reused and levels to come and go."""
    frames = recorded(seed, 6000, kind, first)
    whole = Exchange()
    half = len(frames) // 8
    for frame in frames[:half]:
        whole.apply(*frame)
    restored = state.load(state.dump(whole))
    for frame in frames[half:]:
        assert restored.apply(*frame) == whole.apply(*frame)
    assert whole.sequence > 10_000
    assert state.digest(restored) == state.digest(whole)


def test_two_states_that_differ_have_different_digests() -> None:
    """Each frame of a stream changes at least the sequence, unless it is passed over."""
    exchange = Exchange()
    digests, sequences = set(), set()
    for frame in recorded(seed=3, frames_count=200):
        exchange.apply(*frame)
        digests.add(state.digest(exchange))
        sequences.add(exchange.sequence)
    assert len(digests) >= len(sequences) > 150
