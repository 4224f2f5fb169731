"""`./dev bench core`: the core against a bare one, in one run.

Design: both cores get the same flow (core_flow.py), each in a process of its own (core_worker.py),
and take turns on one processor, a slice of the flow at a time, so that what disturbs the machine
disturbs both. A ratio is taken over all slices of a round. The bare core is a single file
`core_mypyc.py`, given with `--against`; it is compiled with mypyc into a temporary folder. Nothing
is durable here, and there is no JSON and no network.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from bench.core_flow import BARE, MIXES, STEP_NS, generate, resting
from bench.core_worker import COMPILED, INTERPRETED, Task
from bench.history import USERS
from bench.processes import Helper
from bench.runs import SEED, Option, Run, rounds, spread, table
from fairbook.core import records

OPTIONS: Final = {
    "against": Option(None, None, "a bare core's core_mypyc.py, to compare with"),
    "rounds": rounds(5),
    "count": Option(200_000, 4_000, "commands a run"),
    "orders": Option(200_000, 1_000, "resting ones, for memory"),
    "seed": SEED,
    "compiled_only": Option(False, True, "do not measure the interpreted core"),
}
# No client ids; each order a new one; the same, and each account remembers as many as it may.
NO_IDS, NEW_IDS, FULL_IDS = "no", "new", "full table"
REMEMBERED: Final = 256  # closed orders of each account; docs/reference/protocol.md
BATCHES: Final = (256, 1)
TARGETS: Final = {  # docs/internals/performance.md; stated for w1 in batches of 256
    (COMPILED, "w1", 256, NO_IDS): ">= 0.8",
    (COMPILED, "w1", 256, NEW_IDS): ">= 0.5",
    (COMPILED, "w1", 256, FULL_IDS): ">= 0.5",
    (INTERPRETED, "w1", 256, NO_IDS): ">= 0.3",
    (INTERPRETED, "w1", 256, NEW_IDS): ">= 0.3",
}
BYTES_TARGET: Final = 280
INTERPRETED_SHARE: Final = 8  # an interpreted run gets one eighth of the commands
SLICES: Final = 40
SETUP_BATCH: Final = 256
HEADINGS: Final = (
    "core", "mix", "batch", "client ids", "commands/s", "bare core", "ratio", "range", "target",
)  # fmt: skip


class Case(NamedTuple):
    """One row of the table."""

    core: str
    mix: str
    batch: int
    ids: str


class Dialect(NamedTuple):
    """A core to measure: Fairbook's own of a checkout (None: this one), or a bare one's folder."""

    checkout: Path | None = None
    bare_folder: str = ""


class Flows:
    """The flows, in files for the processes."""

    def __init__(self, run: Run, *, interpreted: bool, remembered: int) -> None:
        self._folder = run.folder
        self.fills: dict[str, float] = {}
        """Per command, by mix."""
        count = run.options.count
        shares = [(COMPILED, count, remembered), (INTERPRETED, count // INTERPRETED_SHARE, 0)]
        for core, commands, orders in shares[: 1 + interpreted]:
            for name in MIXES:
                flow = generate(name, seed=run.options.seed, count=commands, remembered=orders)
                self.fills.setdefault(name, flow.fills / commands)
                for part, data in flow.parts.items():
                    (self._folder / f"{core}-{name}-{part}").write_bytes(data)

    def start(self, case: Case, dialect: Dialect, *, orders: int = 0) -> Helper:
        """A process whose setup is done. orders: instead of the mix, so many orders that rest."""
        setup = "setup_remembered" if case.ids == FULL_IDS else "setup"
        steps = "steps" if case.ids == NO_IDS else "steps_with_ids"
        if dialect.bare_folder:
            setup, steps = "bare_setup", "bare_steps"
        place = f"{self._folder}/{case.core}-{case.mix}-"
        if orders:
            steps = "resting"
            commands = resting(orders, bare=bool(dialect.bare_folder))
            Path(place + steps).write_bytes(commands)
        slices = 1 if orders else SLICES
        task = Task(
            setup=place + setup,
            steps=place + steps,
            batch=case.batch,
            slices=slices,
            command_bytes=BARE.size if dialect.bare_folder else records.COMMAND_BYTES,
            step_ns=STEP_NS,
            users=USERS,
            bare_folder=dialect.bare_folder,
        )
        helper = Helper(
            "bench.core_worker",
            task,
            processor=max(os.sched_getaffinity(0)) if sys.platform == "linux" else None,
            checkout=dialect.checkout,
            environment={
                "PYTHONHASHSEED": "0",
                "FAIRBOOK_CORE": case.core if case.core == INTERPRETED else "",
            },
        )
        form = helper.answer()
        if form != case.core:
            helper.kill()
            raise SystemExit(f"the core of {dialect} is {form}, not {case.core}")
        return helper

    def round(self, case: Case, dialects: Sequence[Dialect]) -> list[float]:
        """Commands per CPU second of each, which take turns."""
        with ExitStack() as leaving:
            helpers = [
                leaving.enter_context(closing(self.start(case, dialect))) for dialect in dialects
            ]
            turns = [[helper.ask(None) for helper in helpers] for _ in range(SLICES)]
        return [
            sum(commands for _, commands, _ in slices) / sum(seconds for seconds, _, _ in slices)
            for slices in zip(*turns, strict=True)
        ]

    def bytes_per_order(self, dialect: Dialect, orders: int) -> float:
        """Resident memory per resting order of the compiled core."""
        case = Case(core=COMPILED, mix="w1", batch=256, ids=NO_IDS)
        with closing(self.start(case, dialect, orders=orders)) as helper:
            _, _, resident = helper.ask(None)
            return float(resident) / orders


def sections(run: Run) -> dict[str, Iterator[str]]:
    return {"core": report(run)}


def report(run: Run) -> Iterator[str]:
    options = run.options
    interpreted = not options.compiled_only
    flows = Flows(run, interpreted=interpreted, remembered=1 if options.quick else REMEMBERED)
    bare: dict[str, Dialect] = {}
    if options.against is not None:
        source = options.against.resolve()
        bare[COMPILED] = Dialect(bare_folder=str(compile_bare(source, run.folder)))
        bare[INTERPRETED] = Dialect(bare_folder=str(source.parent))
    yield f"Seed {options.seed}, {options.count:,} commands a run (interpreted: an eighth of that),"
    yield f"{options.rounds} rounds, CPU time, nothing durable. Fills a command: "
    yield ", ".join(f"{fills:.2f} (mix {name})" for name, fills in flows.fills.items()) + "."
    yield ""

    def row(case: Case) -> list[str]:
        dialects = [Dialect(), bare[case.core]] if bare else [Dialect()]
        measured = [flows.round(case, dialects) for _ in range(options.rounds)]
        cells = [f"{median(rates) / 1e6:.2f} M" for rates in zip(*measured, strict=True)]
        cells += spread([own / other for own, other in measured]) if bare else ["-"] * 3
        return [*map(str, case), *cells, TARGETS.get(case, "-")]

    yield from table(HEADINGS, map(row, cases(interpreted=interpreted)))
    for name, dialect in (("our core", Dialect()), ("bare core", bare.get(COMPILED))):
        if dialect is not None:
            size = flows.bytes_per_order(dialect, options.orders)
            target = f" (target <= {BYTES_TARGET})" if name == "our core" else ""
            yield f"Bytes per resting order, {name}: {size:.0f}{target}, {options.orders:,} orders."


def cases(*, interpreted: bool) -> Iterator[Case]:
    """Every row of the table."""
    for core in (COMPILED, INTERPRETED) if interpreted else (COMPILED,):
        for mix in MIXES:
            for batch in BATCHES:
                for ids in (NO_IDS, NEW_IDS, FULL_IDS):
                    # To fill the table would take an interpreted core longer than the rest.
                    if ids != FULL_IDS or core == COMPILED:
                        yield Case(core, mix, batch, ids)


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
