"""What must hold at the end of every run."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from fairbook.core import invariants, records
from fairbook.core.exchange import Exchange
from fairbook.engine.runner import Runner
from sim.world import World

BEHIND_MAX: Final = 5  # frames that gateways without orders have just written


class Reference:
    """The log as it is at the end, executed once more, and what became of each order in it."""

    def __init__(self, world: World) -> None:
        primary = world.log.primary
        assert primary is not None, "there is no primary"
        self.runner = Runner(Exchange())
        self.chains, self.event_hashes = [self.runner.chain], [self.runner.event_hash]
        self.accepted: dict[tuple[int, int], list[tuple[int, int, int]]] = defaultdict(list)
        """Status, reason and order id of each execution that was no repeat, by account and id."""
        self.rejected: dict[tuple[int, int], set[tuple[int, int]]] = defaultdict(set)
        for row in primary.rows[: world.log.durable(primary)]:
            events = self.runner.apply(row.entry)
            assert events is not None
            self.chains.append(self.runner.chain)
            self.event_hashes.append(self.runner.event_hash)
            for answer in records.split(events):
                self._take(records.read_outcome(answer))

    def _take(self, outcome: records.Outcome) -> None:
        if outcome.command != records.PLACE:
            return
        key = int(outcome.account), int(outcome.client_id)
        if outcome.status == records.REJECTED:
            self.rejected[key].add((int(outcome.status), int(outcome.reason)))
        elif not outcome.repeated:
            found = int(outcome.status), int(outcome.reason), int(outcome.order_id)
            self.accepted[key].append(found)


def check(world: World) -> None:
    """Raises AssertionError with one sentence."""
    reference = Reference(world)
    _check_engines(world, reference)
    _check_orders(world, reference)
    invariants.check(reference.runner.exchange)
    _check_sessions(world, reference)


def _check_sessions(world: World, reference: Reference) -> None:
    """Orders with a session are open only of gateways that live; none that lived was ended."""
    live = {gateway.machine.instance for gateway in world.gateways if gateway.is_up}
    for instance in reference.runner.exchange.gateways():
        assert instance.number in live or not instance.count, (
            f"{instance.count} orders of gateway {instance.number}, which is gone, are open"
        )
    if world.scenario.has_no_faults:
        over = world.simulation.counts.get("instance over", 0)
        assert not over, f"{over} gateways were ended although all of them lived"


def _check_engines(world: World, reference: Reference) -> None:
    for engine in world.engines:
        assert engine.halted is None, f"{engine.name} has halted: {engine.halted}"
        assert engine.is_up, f"{engine.name} is down"
        position, last = engine.runner.position, reference.runner.position
        assert last - BEHIND_MAX <= position <= last, f"{engine.name} is at {position} of {last}"
        assert engine.runner.chain == reference.chains[position], f"{engine.name} has another log"
        assert engine.runner.event_hash == reference.event_hashes[position], (
            f"{engine.name} has other events than the log gives"
        )


def _check_orders(world: World, reference: Reference) -> None:
    for key, executions in reference.accepted.items():
        assert len(executions) == 1, f"order {key} was executed {len(executions)} times"
    for client in world.clients:
        for told in client.told:
            key = told.account, told.client_id
            if told.status == records.REJECTED:
                assert (told.status, told.reason) in reference.rejected[key], (
                    f"order {key} was answered with code {told.reason}, which the log does not give"
                )
                continue
            found = reference.accepted.get(key)
            assert found, f"order {key} was acknowledged, and is not in the log"
            assert found[0][2] == told.order_id, f"order {key} was acknowledged under another id"
        for client_id in client.refused:
            assert not any(each[1] == client_id for each in reference.accepted), (
                f"order {client_id} was refused as not done, and was executed"
            )
