"""The golden logs: recorded streams of commands that every release must replay to the same bytes.

`rules-1.xz` has the frames of a log of rules version 1 with their times, compressed,
`rules-1-signed.xz` those of a log whose frames are signed. The JSON file beside each has digests of
all events and of the state, at the end and at marks between, so that a difference can be located. A
golden log is written once per rules version and never again: other digests are another behaviour,
which needs a new rules version.

    python -m tests.golden.golden replay        the digests, as JSON
    python -m tests.golden.golden write         logs for a new version of the rules
"""

from __future__ import annotations

import json
import lzma
import sys
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path
from struct import Struct
from typing import Any, NamedTuple

from fairbook.core import COMPILED, state
from fairbook.core.admin_records import TEST_LOG
from fairbook.core.exchange import Exchange
from tests.core import wire
from tests.core.stream import START_NS, SplitMix64, Stream, before_the_rules, opening
from tests.core.stream_signed import SignedStream, signed_opening

HERE = Path(__file__).parent
SEED = 20_260_101
MARKS = 10
_HEAD = Struct("<qq")  # time, bytes of the frame; the frame is padded to 16
# Records are 48 bytes with fields of 8: tell the compressor.
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 0, "lp": 4, "pb": 4}]


class Golden(NamedTuple):
    """One of the logs, and how it was made."""

    name: str
    stream: type[Stream]
    opening: Callable[..., bytes]
    commands: int

    @property
    def log(self) -> Path:
        return HERE / f"{self.name}.xz"

    @property
    def digests(self) -> Path:
        return HERE / f"{self.name}.json"


LOGS = (
    Golden("rules-1", Stream, opening, 200_000),
    Golden("rules-1-signed", SignedStream, signed_opening, 16_000),
)


def read_frames(golden: Golden) -> Iterator[tuple[bytes, int]]:
    """(frame, time) of a golden log, in order."""
    raw = lzma.decompress(golden.log.read_bytes())
    at = 0
    while at < len(raw):
        time_ns, size = _HEAD.unpack_from(raw, at)
        at += _HEAD.size
        yield raw[at : at + size], time_ns
        at += -(-size // 16) * 16


def replay(golden: Golden, frames: Iterator[tuple[bytes, int]]) -> dict[str, Any]:
    """The digests of events and state at each mark and at the end."""
    exchange = Exchange()
    events = blake2b(digest_size=32)
    marks: list[dict[str, Any]] = []

    def mark() -> dict[str, Any]:
        return {
            "sequence": exchange.sequence,
            "events": events.hexdigest(),
            "state": state.digest(exchange).hex(),
        }

    for frame, time_ns in frames:
        events.update(exchange.apply(frame, time_ns))
        if exchange.sequence >= (len(marks) + 1) * golden.commands // MARKS:
            marks.append(mark())
    return {"marks": marks, "end": mark()}


def make_frames(golden: Golden) -> Iterator[tuple[bytes, int]]:
    """The frames of a stream with a fixed seed."""
    exchange = Exchange()
    stream = golden.stream(SplitMix64(SEED).pick)
    frame, time_ns = before_the_rules() + golden.opening(flags=TEST_LOG), START_NS
    while True:
        yield frame, time_ns
        stream.saw(wire.split_events(exchange.apply(frame, time_ns)))
        if exchange.sequence >= golden.commands:
            return
        frame, time_ns = stream.frame(), stream.step()


def write(golden: Golden) -> None:
    """Write a log and its digests. Refuses to overwrite an existing one."""
    if golden.log.exists():
        raise SystemExit(f"{golden.log.name} exists: a golden log is never written again")
    frames = list(make_frames(golden))
    raw = b"".join(
        _HEAD.pack(time_ns, len(frame)) + frame + bytes(-len(frame) % 16)
        for frame, time_ns in frames
    )
    golden.log.write_bytes(lzma.compress(raw, format=lzma.FORMAT_XZ, filters=_FILTERS))
    golden.digests.write_text(json.dumps(replay(golden, iter(frames)), indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["write"]:
        for each in LOGS:
            write(each)
    else:
        replayed = {each.name: replay(each, read_frames(each)) for each in LOGS}
        print(json.dumps({"compiled": COMPILED, **replayed}))
