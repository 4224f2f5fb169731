"""`./dev bench pauses`: the longest time in which nothing is applied, with many resting orders.

How it works: an exchange with few resting orders and one with many (pauses_run.py) take turns.
Beside each runs a busy loop that does nothing but look at the clock. From each long pause is taken
off how long the exchange's thread was ready to run and did not, and how long the busy loop stood
still meanwhile: what both did not get, the host did not give. What is left is the exchange's own:
collections, other threads, memory.

Always true: both are reported, as measured and with the stalls off.

Not here: the path through the gateway.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from bench.pauses_run import Frame, Run, Task
from bench.table import machine, parser_of, publish
from fairbook import core

NAME: Final = "pauses"
TARGET_MS: Final = 20.0
FEW: Final = 1_000
HEADINGS: Final = (
    "resting orders",
    "what",
    "p50",
    "p99",
    "p99.9",
    "longest",
    "longest, stalls off",
    "target",
)


@dataclass(frozen=True, slots=True)
class Round:
    """One run, and when the busy loop beside it stood still: (from, to) in ns, ascending."""

    run: Run
    stalls: list[tuple[int, int]]

    def own_ns(self, frame: Frame, *, whole: bool) -> int:
        """What of the frame's pause, `whole`: from when it was durable, is not the host's."""
        began = frame.durable if whole else frame.began
        waited = frame.waited_ended - (frame.waited_durable if whole else frame.waited_began)
        pause = frame.ended - began
        stalled = sum(
            min(to, frame.ended) - max(since, began) for since, to in self._within(began, frame)
        )
        return max(0, pause - max(stalled, waited))

    def _within(self, began: int, frame: Frame) -> Iterator[tuple[int, int]]:
        at = max(0, bisect_left(self.stalls, (began, 0)) - 1)
        for since, to in self.stalls[at:]:
            if since >= frame.ended:
                return
            if to > began:
                yield since, to


def run_one(task: Task) -> Round:
    """One exchange with a busy loop beside it."""
    module = [sys.executable, "-m", "bench.pauses_run"]
    meter = subprocess.Popen([*module, "stalls"], stdout=subprocess.PIPE, text=True)
    try:
        done = subprocess.run(
            [*module, json.dumps(task._asdict())], stdout=subprocess.PIPE, text=True, check=False
        )
        meter.send_signal(signal.SIGTERM)
        told, _ = meter.communicate()
    finally:
        meter.kill()
    if done.returncode:
        raise SystemExit("the run of the exchange failed")
    given: list[Any] = json.loads(done.stdout)
    run = Run([Frame(*frame) for frame in given[0]], *given[1:])
    return Round(run, [(since, to) for since, to in json.loads(told.splitlines()[-1])])


def share(sorted_values: Sequence[int], part: float) -> float:
    """That part of the values is at most so many milliseconds."""
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * part))] / 1e6


def line(orders: int, what: str, measured: list[int], own: list[int], *, target: bool) -> str:
    """One row as Markdown."""
    measured.sort()
    cells = [f"{orders:,}", what]
    cells += [f"{share(measured, part):.2f} ms" for part in (0.5, 0.99, 0.999)]
    cells += [f"{measured[-1] / 1e6:.1f} ms", f"**{max(own) / 1e6:.1f} ms**"]
    cells.append(f"<= {TARGET_MS:.0f} ms" if target else "-")
    return "| " + " | ".join(cells) + " |"


def rows(orders: int, rounds: list[Round], *, target: bool) -> Iterator[str]:
    """What all rounds of one book say."""
    pairs = [(each, frame) for each in rounds for frame in each.run.frames]
    yield line(
        orders,
        "apply",
        [frame.ended - frame.began for _, frame in pairs],
        [each.own_ns(frame, whole=False) for each, frame in pairs],
        target=target,
    )
    yield line(
        orders,
        "durable to applied",
        [frame.ended - frame.durable for _, frame in pairs],
        [each.own_ns(frame, whole=True) for each, frame in pairs],
        target=target,
    )


def report(arguments: argparse.Namespace) -> Iterator[str]:
    """The section of docs/internals/performance.md, as it is measured."""
    form = "compiled" if core.COMPILED else "interpreted"
    yield f"Machine: {machine()}, core {form}. Frames of {arguments.batch} commands, one after the"
    yield f"other, each durable; {arguments.seconds:.0f} s a run, {arguments.rounds} rounds; old"
    yield "segments are compressed meanwhile."
    yield ""
    yield "| " + " | ".join(HEADINGS) + " |"
    yield "|" + "---|" * len(HEADINGS)
    books = (FEW, arguments.orders)
    found: dict[int, list[Round]] = {orders: [] for orders in books}
    for _ in range(arguments.rounds):
        for orders in books:
            with tempfile.TemporaryDirectory() as folder:
                task = Task(folder, orders, arguments.batch, arguments.seconds)
                found[orders].append(run_one(task))
    for orders in books:
        yield from rows(orders, found[orders], target=orders != FEW)
    yield ""
    yield from notes([each.run for each in found[arguments.orders]])


def notes(runs: list[Run]) -> Iterator[str]:
    """What else is worth knowing of the runs with many orders."""
    own = [ns for run in runs for ns in run.collections[:-1]]
    forced_ns = max(run.collections[-1] for run in runs)
    compressed = sum(run.compressed for run in runs)
    dump_s = median(run.dump_s for run in runs)
    yield f"With many orders: {sum(len(run.frames) for run in runs):,} frames, {compressed}"
    yield f"segments compressed, {len(own)} full collections by themselves, the longest"
    yield f"{max(own, default=0) / 1e6:.1f} ms; one by force at the end, {forced_ns / 1e6:.1f} ms."
    yield f"A snapshot in the same process takes {dump_s:.2f} s: therefore another one writes them,"
    yield "and this one only when it stops. Loading it takes"
    yield f"{median(run.load_s for run in runs):.2f} s."


def main() -> None:
    """Parse the command line, measure, print."""
    parser = parser_of(NAME, __doc__)
    parser.add_argument("--orders", type=int, default=1_000_000, help="resting ones")
    parser.add_argument("--batch", type=int, default=64, help="commands in a frame")
    parser.add_argument("--seconds", type=float, default=10.0, help="of trading, each run")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.orders, arguments.seconds, arguments.rounds = 5_000, 0.5, 1
    publish(NAME, report(arguments), arguments.write)


if __name__ == "__main__":
    main()
