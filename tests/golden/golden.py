"""The golden log: a recorded stream of commands that every release must replay to the same bytes.

`rules-1.xz` has the frames of rules version 1 with their times, compressed; `rules-1.json` has
digests of all events and of the state, at the end and at marks between, so that a difference can be
located. A golden log is written once per rules version and never again: other digests are another
behaviour, which needs a new rules version.

    python -m tests.golden.golden replay        the digests, as JSON
    python -m tests.golden.golden write         a log for a new version of the rules
"""

from __future__ import annotations

import json
import lzma
import sys
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from struct import Struct
from typing import Any

from fairbook.core import COMPILED, records, state
from fairbook.core.exchange import Exchange
from tests.core import wire
from tests.core.stream import START_NS, SplitMix64, Stream, opening

HERE = Path(__file__).parent
LOG, DIGESTS = HERE / "rules-1.xz", HERE / "rules-1.json"
SEED = 20_260_101
COMMANDS = 200_000
MARK_EVERY = 20_000  # commands
_HEAD = Struct("<qq")  # time, bytes of the frame; the frame is padded to 16
# Records are 48 bytes with fields of 8: tell the compressor.
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 0, "lp": 4, "pb": 4}]


def read_frames() -> Iterator[tuple[bytes, int]]:
    """(frame, time) of the golden log, in order."""
    raw = lzma.decompress(LOG.read_bytes())
    at = 0
    while at < len(raw):
        time_ns, size = _HEAD.unpack_from(raw, at)
        at += _HEAD.size
        yield raw[at : at + size], time_ns
        at += -(-size // 16) * 16


def replay(frames: Iterator[tuple[bytes, int]]) -> dict[str, Any]:
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
        if exchange.sequence >= (len(marks) + 1) * MARK_EVERY:
            marks.append(mark())
    return {"marks": marks, "end": mark()}


def make_frames() -> Iterator[tuple[bytes, int]]:
    """The frames of a Stream with a fixed seed."""
    exchange = Exchange()
    stream = Stream(SplitMix64(SEED).pick)
    before_the_rules = records.tick() + records.open_account(1) + records.tick()[:5]
    exchange.apply(before_the_rules, START_NS)
    yield before_the_rules, START_NS
    frame, time_ns = opening(), START_NS
    while True:
        yield frame, time_ns
        stream.saw(wire.split_events(exchange.apply(frame, time_ns)))
        if exchange.sequence >= COMMANDS:
            return
        frame, time_ns = stream.frame(), stream.step()


def write() -> None:
    """Write the log and its digests. Refuses to overwrite an existing one."""
    if LOG.exists():
        raise SystemExit(f"{LOG.name} exists: a golden log is never written again")
    frames = list(make_frames())
    raw = b"".join(
        _HEAD.pack(time_ns, len(frame)) + frame + bytes(-len(frame) % 16)
        for frame, time_ns in frames
    )
    LOG.write_bytes(lzma.compress(raw, format=lzma.FORMAT_XZ, filters=_FILTERS))
    DIGESTS.write_text(json.dumps(replay(iter(frames)), indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["write"]:
        write()
    else:
        print(json.dumps({"compiled": COMPILED, **replay(read_frames())}))
