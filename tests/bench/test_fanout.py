"""`./dev bench fanout`: it runs to its end, and its receivers count what they are sent."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.fanout_broadcast import Broadcast
from bench.fanout_readers import STEP_US, Readers, Taken, latency_ms

TIMEOUT_S = 120.0


def _can_run() -> bool:
    return hasattr(os, "sched_getaffinity") and len(os.sched_getaffinity(0)) >= 2


def test_a_percentile_is_over_all_slices() -> None:
    """Of 99 quick messages and two slow ones, the 99th percentile is a slow one's."""

    def taken(latencies: dict[int, int]) -> Taken:
        return Taken(1, 0, 0, 0, latencies, 0.0, [])

    slices = [taken({1: 50}), taken({1: 49, 1000: 2})]
    assert latency_ms(slices, 0.5) == STEP_US / 1e3
    assert latency_ms(slices, 0.99) == latency_ms(slices, 1.0) == 1000 * STEP_US / 1e3


@pytest.mark.skipif(not _can_run(), reason="needs Linux and two processors")
def test_every_reader_gets_every_message() -> None:
    """Also those that come in one read, or in parts; those without a time are not counted."""
    broadcast, readers = Broadcast(), Readers()
    try:
        readers.open(broadcast.port, 3, ())
        readers.begin(broadcast.port)
        texts = [b'{"n":%d,"T":%d,"x":"%b"}' % (n, 10**15 + n, b"x" * 40 * n) for n in range(100)]
        for text in [*texts, b'{"without":1}']:
            broadcast.send(text)
        taken = readers.end()
    finally:
        readers.stop()
        broadcast.stop()
    assert (taken.readers, taken.least, taken.most, taken.messages) == (3, 100, 100, 300)
    assert taken.texts == [(10**15 + n, text.decode()) for n, text in enumerate(texts)]
    assert latency_ms([taken], 0.0) < time.time_ns() / 1e6 - 10**12


@pytest.mark.skipif(not _can_run(), reason="needs Linux and two processors")
def test_a_quick_run_writes_its_tables(tmp_path: Path) -> None:
    """Who does not read becomes slow and is closed; the others are all told the same."""
    file = tmp_path / "figures.md"
    file.write_text("before\n<!-- figures of bench fanout -->\n<!-- end of figures -->\nafter\n")
    command = [sys.executable, "-m", "bench", "fanout", "--quick", "--write", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    text = file.read_text()
    assert text.startswith("before\n") and text.endswith("after\n")
    for name in ("all read", "1 more do not", "bare picows"):
        assert f"| {name} | " in text
    assert "1 of 1 were slow, and their depth\nconflated; sent more, 1 were closed." in text
