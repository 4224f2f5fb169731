"""`./dev sim SEED`: run the exchange on simulated machines, and check what came of it."""

import argparse
import sys
import time
from typing import Final

from sim.checks import check
from sim.mutants import MUTANTS, mutated
from sim.scheduler import START_NS, S
from sim.world import SCENARIOS, World

FAILED: Final = 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev sim", description=__doc__.partition(": ")[2])
    parser.add_argument("seed", type=int)
    parser.add_argument("--seeds", type=int, default=1, help="so many, from SEED on")
    parser.add_argument("--scenario", choices=SCENARIOS, default="all")
    parser.add_argument("--mutant", choices=MUTANTS, help="with this fault in the code")
    options = parser.parse_args()
    began_s = time.perf_counter()
    totals: dict[str, int] = {}
    virtual_ns = 0
    for seed in range(options.seed, options.seed + options.seeds):
        with mutated(options.mutant):
            problem, world = run(seed, options.scenario)
        for name, count in world.simulation.counts.items():
            totals[name] = totals.get(name, 0) + count
        totals["steps"] = totals.get("steps", 0) + world.simulation.steps
        totals["orders answered"] = totals.get("orders answered", 0) + sum(
            len(client.told) for client in world.clients
        )
        virtual_ns += world.simulation.now_ns - START_NS
        if problem:
            extra = f" --mutant '{options.mutant}'" if options.mutant else ""
            step = f"step {world.simulation.steps}"
            print(f"seed {seed}, scenario {options.scenario}, {step}: {problem}")
            print(f"again: ./dev sim {seed} --scenario {options.scenario}{extra}")
            return FAILED
    took_s = time.perf_counter() - began_s
    counted = ", ".join(f"{count:,} {name}" for name, count in sorted(totals.items()))
    print(f"{options.seeds} seeds, {virtual_ns / S / 3600:.2f} virtual hours in {took_s:.1f} s")
    print(counted)
    if options.seeds == 1:
        print(f"digest {world.simulation.digest}")
    return 0


def run(seed: int, scenario: str) -> tuple[str | None, World]:
    """What went wrong, if anything did."""
    world = World(seed, SCENARIOS[scenario])
    try:
        world.run()
        check(world)
    except AssertionError as problem:
        return str(problem), world
    return None, world


if __name__ == "__main__":
    sys.exit(main())
