"""Fan-out: percentiles over slices, what the readers count, and a quick run."""

from __future__ import annotations

import argparse
import json
import time
from contextlib import ExitStack
from pathlib import Path

from bench.processes import Helper, processors
from bench.readers import Readers
from bench.runs import Run, percentile, percentiles
from tests.bench.quick import needs_two_processors, quick_run


def test_a_percentile_is_over_all_slices() -> None:
    """Of 99 quick messages and two slow ones, the 99th percentile is a slow one's."""
    slices = [[0.001] * 50, [*[0.001] * 49, 1.0, 1.0]]
    latencies = [each for one in slices for each in one]
    assert percentile(latencies, 0.5) == 0.001
    assert percentiles(latencies) == ["1.00", "1000.00", "1000.00", "1000.00"]


@needs_two_processors
def test_every_reader_gets_every_message(tmp_path: Path) -> None:
    """Also those that come in one read, or in parts; those without a time are not counted."""
    texts = [f'{{"n":{n},"T":{10**15 + n},"x":"{"x" * 40 * n}"}}' for n in range(100)]
    replayed = [(10**15 + n, text) for n, text in enumerate([*texts, '{"without":1}'])]
    with ExitStack() as leaving:
        run = Run(argparse.Namespace(quick=True), tmp_path, leaving)
        broadcast = Helper("bench.fanout", processor=processors()[0])
        run.at_end(broadcast.close)
        port, readers = broadcast.answer(), Readers(run)
        readers.open(port, 3, ())
        readers.begin(port)
        begun_us = time.time_ns() // 1000
        broadcast.ask(replayed)
        taken = readers.end()
    assert taken.counts == [100, 100, 100]
    received = [json.loads(text) for _, text in taken.texts]
    assert [(each["n"], each["x"]) for each in received] == [(n, "x" * 40 * n) for n in range(100)]
    assert [each["T"] for each in received] == [time_us for time_us, _ in taken.texts]
    assert begun_us <= min(time_us for time_us, _ in taken.texts)
    assert len(taken.latencies_us) == 300
    assert max(taken.latencies_us) < time.time_ns() / 1000 - begun_us


@needs_two_processors
def test_a_quick_run_writes_its_tables(tmp_path: Path) -> None:
    """Clients that do not read become slow and are closed; the others all receive the same."""
    text = quick_run(tmp_path, "fanout")
    for name in ("all read", "1 more do not", "bare picows"):
        assert f"| {name} | " in text
    assert "1 of 1 were slow, and their depth\nconflated; sent more, 1 were closed." in text
