"""`./dev bench fanout`: a quick run, and what its receivers count."""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack
from pathlib import Path

from bench.broadcast import Broadcast
from bench.readers import STEP_US, Readers, Taken, latency_ms
from bench.runs import Run
from tests.bench.quick import needs_two_processors, quick_run


def test_a_percentile_is_over_all_slices() -> None:
    """Of 99 quick messages and two slow ones, the 99th percentile is a slow one's."""

    def taken(latencies: dict[int, int]) -> Taken:
        return Taken(1, 0, 0, 0, latencies, 0.0, [])

    slices = [taken({1: 50}), taken({1: 49, 1000: 2})]
    assert latency_ms(slices, 0.5) == STEP_US / 1e3
    assert latency_ms(slices, 0.99) == latency_ms(slices, 1.0) == 1000 * STEP_US / 1e3


@needs_two_processors
def test_every_reader_gets_every_message(tmp_path: Path) -> None:
    """Also those that come in one read, or in parts; those without a time are not counted."""
    with ExitStack() as leaving:
        run = Run(argparse.Namespace(quick=True), tmp_path, leaving)
        broadcast, readers = Broadcast(run), Readers(run)
        readers.open(broadcast.port, 3, ())
        readers.begin(broadcast.port)
        texts = [b'{"n":%d,"T":%d,"x":"%b"}' % (n, 10**15 + n, b"x" * 40 * n) for n in range(100)]
        for text in [*texts, b'{"without":1}']:
            broadcast.send(text)
        taken = readers.end()
    assert (taken.readers, taken.least, taken.most, taken.messages) == (3, 100, 100, 300)
    assert taken.texts == [(10**15 + n, text.decode()) for n, text in enumerate(texts)]
    assert latency_ms([taken], 0.0) < time.time_ns() / 1e6 - 10**12


@needs_two_processors
def test_a_quick_run_writes_its_tables(tmp_path: Path) -> None:
    """Clients that do not read become slow and are closed; the others all receive the same."""
    text = quick_run(tmp_path, "fanout", "fanout")
    for name in ("all read", "1 more do not", "bare picows"):
        assert f"| {name} | " in text
    assert "1 of 1 were slow, and their depth\nconflated; sent more, 1 were closed." in text
