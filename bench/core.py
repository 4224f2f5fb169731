"""`./dev bench core`: the core against a bare one, in one run.

Design: core_flow.py writes the flow into files; each core plays it in a process of its own, of
core_worker.py, a slice at a time.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import product
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from bench import core_flow
from bench.core_worker import COMPILED, INTERPRETED, SLICES
from bench.history import USERS
from bench.processes import Helper, processors
from bench.runs import ROUNDS, Option, Run, spread, table
from fairbook.core import records

OPTIONS: Final = {
    "against": Option(None, None, "a bare core's core_mypyc.py, to compare with"),
    "rounds": Option(5, 1, ROUNDS),
    "count": Option(200_000, 4_000, "commands a run"),
    "orders": Option(200_000, 1_000, "resting ones, for memory"),
}
# No client ids; each order a new one; the same, and each account remembers as many as it may.
NO_IDS, NEW_IDS, FULL_IDS = "no", "new", "full table"
REMEMBERED: Final = 256  # closed orders of each account; docs/reference/protocol.md
BATCHES: Final = (256, 1)
INTERPRETED_SHARE: Final = 8  # an interpreted run gets one eighth of the commands


class Case(NamedTuple):
    """One row of the table."""

    core: str
    mix: str
    batch: int
    ids: str


class Subject(NamedTuple):
    """A core to measure: Fairbook's own of a checkout (None: this one), or a bare one's folder."""

    checkout: Path | None = None
    bare_folder: str = ""


class Flows:
    """The flows, in files for the processes."""

    def __init__(self, run: Run, *, interpreted: bool, remembered: int) -> None:
        self._folder = run.folder
        self.fills: dict[str, float] = {}  # per command, by mix
        count = run.options.count
        shares = [(COMPILED, count, remembered), (INTERPRETED, count // INTERPRETED_SHARE, 0)]
        for core, commands, orders in shares[: 1 + interpreted]:
            for mix in core_flow.MIXES:
                place = f"{run.folder}/{core}-{mix}"
                fills = core_flow.write(place, mix, count=commands, remembered=orders)
                self.fills.setdefault(mix, fills)

    def start(self, case: Case, subject: Subject, *, orders: int = 0) -> Helper:
        """A process whose setup is done. orders: instead of the mix, so many orders that rest."""
        bare = bool(subject.bare_folder)
        setup = core_flow.WITH_IDS if case.ids == FULL_IDS else core_flow.PLAIN
        steps = core_flow.PLAIN if case.ids == NO_IDS else core_flow.WITH_IDS
        place = f"{self._folder}/{case.core}-{case.mix}-"
        commands = f"{place}{core_flow.BARE if bare else steps}-steps"
        if orders:
            commands = f"{place}resting"
            Path(commands).write_bytes(core_flow.resting(orders, bare=bare))
        size = core_flow.BARE_COMMAND.size if bare else records.COMMAND_BYTES
        before = f"{place}{core_flow.BARE if bare else setup}-setup"
        task = before, commands, case.batch, size, USERS, subject.bare_folder
        core = case.core if case.core == INTERPRETED else ""
        helper = Helper(
            "bench.core_worker",
            task,
            processor=processors()[1],
            checkout=subject.checkout,
            env=os.environ | {"PYTHONHASHSEED": "0", "FAIRBOOK_CORE": core},
        )
        form = helper.answer()
        if form != case.core:
            helper.kill()
            raise SystemExit(f"the core of {subject} is {form}, not {case.core}")
        return helper

    def round(self, case: Case, subjects: Sequence[Subject]) -> list[float]:
        """Commands per CPU second of each, which take turns."""
        with ExitStack() as leaving:
            helpers = [
                leaving.enter_context(closing(self.start(case, subject))) for subject in subjects
            ]
            turns = [[helper.ask(None) for helper in helpers] for _ in range(SLICES)]
        return [
            sum(commands for _, commands, _ in slices) / sum(seconds for seconds, _, _ in slices)
            for slices in zip(*turns, strict=True)
        ]


def report(run: Run) -> Iterator[str]:
    options = run.options
    flows = Flows(run, interpreted=True, remembered=1 if options.quick else REMEMBERED)
    subjects = {core: [Subject()] for core in (COMPILED, INTERPRETED)}
    if options.against is not None:
        source = options.against.resolve()
        subjects[COMPILED].append(Subject(bare_folder=str(compile_bare(source, run.folder))))
        subjects[INTERPRETED].append(Subject(bare_folder=str(source.parent)))
    fills = ", ".join(f"{each:.2f} (mix {mix})" for mix, each in flows.fills.items())
    yield f"Fills a command: {fills}."
    yield ""

    def row(case: Case) -> list[str]:
        measured = [flows.round(case, subjects[case.core]) for _ in range(options.rounds)]
        cells = [f"{median(rates) / 1e6:.2f} M" for rates in zip(*measured, strict=True)]
        if len(cells) == 1:
            return [*map(str, case), *cells, "-", "-", "-"]
        return [*map(str, case), *cells, *spread([own / other for own, other in measured])]

    headings = "core | mix | batch | client ids | commands/s | bare core | ratio | range"
    yield from table(headings, map(row, cases()))
    for name, subject in zip(("our core", "bare core"), subjects[COMPILED], strict=False):
        case = Case(COMPILED, "w1", 256, NO_IDS)
        with closing(flows.start(case, subject, orders=options.orders)) as helper:
            resident = [helper.ask(None)[2] for _ in range(SLICES)][-1]
        size = resident / options.orders
        yield f"Bytes per resting order, {name}: {size:.0f}, {options.orders:,} orders."


def cases() -> Iterator[Case]:
    """Every row of the table."""
    ids = (NO_IDS, NEW_IDS, FULL_IDS)
    for each in product((COMPILED, INTERPRETED), core_flow.MIXES, BATCHES, ids):
        case = Case(*each)
        # To fill the table would take an interpreted core longer than the rest.
        if case.ids != FULL_IDS or case.core == COMPILED:
            yield case


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
