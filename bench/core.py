"""`./dev bench core`: the core against a bare one, in one run.

How it works: both cores get the same flow (flows.py), each in a process of its own (core_run.py),
and take turns, a slice of the flow at a time. A ratio is taken over each round of all slices, and
the median of the rounds is reported. The bare core is a single file `core_mypyc.py`, given with
`--against`; it is compiled with mypyc into a temporary folder. Without it only our own figures are
reported.

Always true: nothing is durable here, there is no JSON and no network: records in, records out.

Not here: the whole path of an order.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.core_run import Ready, Slice, Task
from bench.flows import MIXES, Flow, generate
from bench.table import machine, parser_of, publish

COMPILED, INTERPRETED = "compiled", "interpreted"
OURS, BARE = "fairbook", "bare"
# No client ids; each order a new one; the same, and each account remembers as many as it may.
NO_IDS, NEW_IDS, FULL_IDS = "no", "new", "full table"
REMEMBERED: Final = 256  # closed orders of each account; docs/reference/protocol.md
BATCHES: Final = (256, 1)
TARGETS: Final = {  # docs/internals/performance.md; stated for w1 in batches of 256
    (COMPILED, "w1", 256, NO_IDS): 0.8,
    (COMPILED, "w1", 256, NEW_IDS): 0.5,
    (COMPILED, "w1", 256, FULL_IDS): 0.5,
    (INTERPRETED, "w1", 256, NO_IDS): 0.3,
    (INTERPRETED, "w1", 256, NEW_IDS): 0.3,
}
BYTES_TARGET: Final = 280
PARTS: Final = (
    "setup",
    "setup_remembered",
    "steps",
    "steps_with_ids",
    "bare_setup",
    "bare_steps",
)
INTERPRETED_SHARE: Final = 8  # an interpreted run gets one eighth of the commands


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table."""

    core: str
    mix: str
    batch: int
    ids: str


@dataclass(frozen=True, slots=True)
class Row:
    """A measured case. Rates in commands/s, medians; `ratio` is ours to the bare core's."""

    case: Case
    rate: float
    bare_rate: float | None
    ratio: float | None
    lowest: float | None
    highest: float | None


class Worker:
    """A process that holds one core. Starting it waits for nothing; `ready` does."""

    def __init__(self, task: Task, core: str) -> None:
        environment = dict(os.environ, PYTHONHASHSEED="0", FAIRBOOK_CORE="")
        if core == INTERPRETED:
            environment["FAIRBOOK_CORE"] = "interpreted"
        self.core = core
        self.dialect = task.dialect
        self.seconds = 0.0
        self.commands = 0
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.core_run", json.dumps(task._asdict())],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ready(self) -> Ready:
        """Wait until its setup is played. Raises SystemExit if it has the wrong kind of core."""
        ready = Ready(*self._read())
        if ready.compiled != (self.core == COMPILED):
            kind = COMPILED if ready.compiled else INTERPRETED
            raise SystemExit(f"the {self.dialect} core is {kind}, not {self.core}")
        return ready

    def turn(self) -> None:
        """Let it run its next slice, and wait for it."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        slice_ = Slice(*self._read())
        self.seconds += slice_.seconds
        self.commands += slice_.commands

    @property
    def rate(self) -> float:
        """Commands per CPU second so far."""
        return self.commands / self.seconds

    def end(self) -> None:
        """Nothing more is wanted of it."""
        self.process.kill()
        self.process.communicate()

    def _read(self) -> list[Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the run of the {self.core} {self.dialect} core failed")
        read: list[Any] = json.loads(line)
        return read


class Bench:
    """Holds the flows on disk and starts the runs."""

    def __init__(self, folder: Path, *, against: Path | None, count: int, seed: int) -> None:
        self.folder = folder
        self.flows: dict[tuple[str, str], Flow] = {}
        self.bare: dict[str, Path] = {}
        shares = ((COMPILED, count, REMEMBERED), (INTERPRETED, count // INTERPRETED_SHARE, 0))
        for core, commands, remembered in shares:
            for name, mix in MIXES.items():
                flow = generate(mix, seed=seed, count=commands, remembered=remembered)
                self.flows[core, name] = flow
                for part in PARTS:
                    self._path(core, name, part).write_bytes(getattr(flow, part))
        if against is not None:
            self.bare = {COMPILED: compile_bare(against, folder), INTERPRETED: against.parent}

    def _path(self, core: str, mix: str, part: str) -> Path:
        return self.folder / f"{core}-{mix}-{part}"

    def start(self, case: Case, dialect: str, *, orders: int = 0) -> Worker:
        """A core in a process; `orders`: only the memory of so many resting ones is measured."""
        is_bare = dialect == BARE
        setup = "setup_remembered" if case.ids == FULL_IDS else "setup"
        steps = "steps" if case.ids == NO_IDS else "steps_with_ids"
        task = Task(
            dialect=dialect,
            setup=str(self._path(case.core, case.mix, "bare_setup" if is_bare else setup)),
            steps=str(self._path(case.core, case.mix, "bare_steps" if is_bare else steps)),
            batch=case.batch,
            bare_folder=str(self.bare[case.core]) if is_bare else "",
            orders=orders,
        )
        return Worker(task, case.core)

    def measure(self, case: Case, rounds: int) -> Row:
        """Let ours and the bare core take turns, for so many rounds."""
        rates: list[float] = []
        bare_rates: list[float] = []
        for _ in range(rounds):
            ours = self.start(case, OURS)
            workers = [ours, self.start(case, BARE)] if self.bare else [ours]
            try:
                slices = [worker.ready().slices for worker in workers]
                for _ in range(max(slices)):
                    for worker in workers:
                        worker.turn()
            finally:
                for worker in workers:
                    worker.end()
            rates.append(ours.rate)
            bare_rates += [worker.rate for worker in workers[1:]]
        ratios = [mine / bare for mine, bare in zip(rates, bare_rates, strict=False)]
        return Row(
            case=case,
            rate=statistics.median(rates),
            bare_rate=statistics.median(bare_rates) if bare_rates else None,
            ratio=statistics.median(ratios) if ratios else None,
            lowest=min(ratios, default=None),
            highest=max(ratios, default=None),
        )

    def bytes_per_order(self, dialect: str, orders: int) -> float:
        """Resident memory per resting order of the compiled core."""
        case = Case(core=COMPILED, mix="w1", batch=256, ids=NO_IDS)
        worker = self.start(case, dialect, orders=orders)
        resident = worker.ready().resident_bytes
        worker.end()
        return resident / orders


def compile_bare(source: Path, folder: Path) -> Path:
    """Compile the bare core into a folder of its own; return that folder."""
    build = folder / "bare"
    build.mkdir()
    shutil.copy(source, build / "core_mypyc.py")
    command = [sys.executable, "-m", "mypyc", "core_mypyc.py"]
    done = subprocess.run(command, cwd=build, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"mypyc could not compile {source}:\n{done.stdout}{done.stderr}")
    return build


def cases(*, interpreted: bool) -> Iterator[Case]:
    """Every row of the table, the ones with a target first."""
    for core in (COMPILED, INTERPRETED) if interpreted else (COMPILED,):
        for mix in MIXES:
            for batch in BATCHES:
                for ids in (NO_IDS, NEW_IDS, FULL_IDS):
                    # To fill the table would take an interpreted core longer than the rest.
                    if ids != FULL_IDS or core == COMPILED:
                        yield Case(core=core, mix=mix, batch=batch, ids=ids)


def line(row: Row) -> str:
    """One row as Markdown."""
    case = row.case
    target = TARGETS.get((case.core, case.mix, case.batch, case.ids))
    wish = f">= {target}" if target else "-"
    head = f"| {case.core} | {case.mix} | {case.batch} | {case.ids} | {row.rate / 1e6:.2f} M"
    if row.ratio is None or row.bare_rate is None:
        return f"{head} | - | - | - | {wish} |"
    span = f"{row.lowest:.2f}-{row.highest:.2f}"
    return f"{head} | {row.bare_rate / 1e6:.2f} M | {row.ratio:.2f} | {span} | {wish} |"


def report(bench: Bench, arguments: argparse.Namespace) -> Iterator[str]:
    """The lines of docs/internals/performance.md's section on the core, as they are measured."""
    yield f"Machine: {machine()}. Seed {arguments.seed}, {arguments.count:,} commands a run"
    yield f"(interpreted: an eighth of that), {arguments.rounds} rounds, CPU time, nothing durable."
    for (core, name), flow in bench.flows.items():
        if core == COMPILED:
            yield f"Mix {name}: {flow.fills / flow.count:.2f} fills a command."
    yield ""
    yield "| core | mix | batch | client ids | commands/s | bare core | ratio | range | target |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for case in cases(interpreted=not arguments.compiled_only):
        yield line(bench.measure(case, arguments.rounds))
    yield ""
    for dialect, name in ((OURS, "our core"), (BARE, "bare core")):
        if dialect == OURS or bench.bare:
            size = bench.bytes_per_order(dialect, arguments.orders)
            wish = f" (target <= {BYTES_TARGET})" if dialect == OURS else ""
            yield f"Bytes per resting order, {name}: {size:.0f}{wish}, {arguments.orders:,} orders."


def main() -> None:
    """Parse the command line, measure, print."""
    parser = parser_of("core", __doc__)
    parser.add_argument("--against", type=Path, help="a bare core's core_mypyc.py, to compare with")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=200_000, help="commands a run")
    parser.add_argument("--orders", type=int, default=200_000, help="resting ones, for memory")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--compiled-only", action="store_true")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.count, arguments.orders = 1, 4_000, 1_000
        arguments.compiled_only = True
    against = arguments.against.resolve() if arguments.against else None
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), against=against, count=arguments.count, seed=arguments.seed)
        publish("core", report(bench, arguments), arguments.write)


if __name__ == "__main__":
    main()
