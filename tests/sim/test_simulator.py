"""The exchange on simulated machines: seeds of each scenario, and every mutant is found."""

from __future__ import annotations

import os

import pytest

from sim.__main__ import run
from sim.mutants import MUTANTS, mutated
from sim.world import SCENARIOS

SEEDS = int(os.environ.get("FAIRBOOK_SIM_SEEDS", "4"))
FIRST = int(os.environ.get("FAIRBOOK_SEED", "1"))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_nothing_goes_wrong(scenario: str) -> None:
    for seed in range(FIRST, FIRST + SEEDS):
        problem, world = run(seed, scenario)
        assert problem is None, f"./dev sim {seed} --scenario {scenario}: {problem}"
        assert sum(len(client.told) for client in world.clients) > 10, "there were hardly orders"


@pytest.mark.parametrize("scenario", ["calm", "all"])
def test_two_runs_of_a_seed_are_equal(scenario: str) -> None:
    digests = set()
    for _ in range(2):
        _, world = run(7, scenario)
        reached = [engine.runner.event_hash for engine in world.engines]
        digests.add((world.simulation.digest, world.simulation.steps, *reached))
    assert len(digests) == 1


@pytest.mark.parametrize("scenario", ["net", "failover", "crash"])
def test_its_faults_are_met(scenario: str) -> None:
    met: set[str] = set()
    for seed in range(1, 5):
        met |= run(seed, scenario)[1].simulation.counts.keys()
    wanted = {
        "net": {"message lost", "network cut", "append repeated", "order repeated"},
        "failover": {"primary lost", "standby promoted", "wait cancelled", "append repeated"},
        "crash": {"engine ended", "gateway ended", "order repeated"},
    }
    assert wanted[scenario] <= met


@pytest.mark.parametrize("name", MUTANTS)
def test_a_fault_is_found(name: str) -> None:
    mutant = MUTANTS[name]
    for seed in range(1, mutant.seeds + 1):
        with mutated(name):
            problem, _ = run(seed, mutant.scenario)
        if problem is not None:
            return
    pytest.fail(f"not found in {mutant.seeds} seeds of {mutant.scenario}: {mutant.rule}")
