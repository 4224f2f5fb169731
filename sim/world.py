"""A whole exchange on simulated machines, its faults, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from nacl.signing import SigningKey

from fairbook.core import admin_records
from sim.client import Client
from sim.engine import Engine
from sim.gateway import Gateway
from sim.postgres_log import PostgresLog
from sim.scheduler import MS, Machine, Network, S, Simulation

LOG_ID: Final = 77
GATEWAYS: Final = 3
ENGINES: Final = 3
CLIENTS: Final = 6
ACCOUNTS: Final = 4
FIRST_ACCOUNT: Final = 2
FUNDS: Final = 10**12
SOL, USDC = 1, 2


@dataclass(frozen=True)
class Scenario:
    """How long, and which faults: shares, and mean times between two of a kind (0: none)."""

    seconds: int = 30
    loss: float = 0.0
    repeats: float = 0.0
    delay_max_ns: int = 3 * MS
    wait_cancelled: float = 0.0
    primary_lost_ns: int = 0
    gateway_ends_ns: int = 0
    engine_ends_ns: int = 0
    cut_ns: int = 0
    pause_max_ns: int = 60 * MS  # of a client, between two orders

    @property
    def has_no_faults(self) -> bool:
        mean_times = self.primary_lost_ns + self.gateway_ends_ns + self.engine_ends_ns + self.cut_ns
        return not (self.loss or self.wait_cancelled or mean_times)


SCENARIOS: Final = {
    "calm": Scenario(),
    "quiet": Scenario(pause_max_ns=20 * S),
    "net": Scenario(loss=0.1, repeats=0.1, delay_max_ns=50 * MS, cut_ns=4 * S),
    "failover": Scenario(wait_cancelled=0.1, primary_lost_ns=8 * S),
    "crash": Scenario(gateway_ends_ns=5 * S, engine_ends_ns=4 * S),
    "all": Scenario(
        loss=0.05, repeats=0.05, delay_max_ns=20 * MS, wait_cancelled=0.05,
        primary_lost_ns=10 * S, gateway_ends_ns=8 * S, engine_ends_ns=6 * S, cut_ns=8 * S,
    ),
}  # fmt: skip


class World:
    """The machines of one run."""

    def __init__(self, seed: int, scenario: Scenario) -> None:
        self.simulation = simulation = Simulation(seed)
        self.scenario = scenario
        self.network = network = Network(simulation)
        keys = [SigningKey(bytes([number + 1]) * 32) for number in range(GATEWAYS)]
        self.log = PostgresLog(simulation, network, first=[opening(keys)])
        self.engines = [
            Engine(simulation, f"engine {number}", self.log, network) for number in range(ENGINES)
        ]
        self.gateways = [
            Gateway(
                simulation, f"gateway {number}", self.log, self.engines, network, key=key,
                log_id=LOG_ID,
            )
            for number, key in enumerate(keys)
        ]  # fmt: skip
        self.clients = [
            Client(simulation, number, FIRST_ACCOUNT + number % ACCOUNTS, self.gateways,
                   pause_max_ns=scenario.pause_max_ns)
            for number in range(1, CLIENTS + 1)
        ]  # fmt: skip

    def run(self) -> None:
        """With faults, then without, until everything is answered. Raises AssertionError if that
        does not happen in bounded time.
        """
        simulation, scenario = self.simulation, self.scenario
        start_ns = simulation.now_ns
        self._begin_faults()
        simulation.run(start_ns + scenario.seconds * S)
        self._end_faults()
        for client in self.clients:
            client.is_stopping = True
        for _ in range(QUIET_S):
            simulation.run(simulation.now_ns + S)
            if all(client.is_done for client in self.clients):
                break
        waiting = [client.name for client in self.clients if not client.is_done]
        assert not waiting, f"{QUIET_S} s after the last fault these have no answer: {waiting}"
        simulation.run(simulation.now_ns + AFTER_S * S)

    def _begin_faults(self) -> None:
        scenario, network = self.scenario, self.network
        network.loss, network.repeats = scenario.loss, scenario.repeats
        network.delay_max_ns = scenario.delay_max_ns
        self.log.wait_cancelled = scenario.wait_cancelled
        self._has_faults = True
        self._again_and_again(scenario.primary_lost_ns, self.log.end_primary)
        self._again_and_again(scenario.gateway_ends_ns, lambda: self._crash(self.gateways))
        self._again_and_again(scenario.engine_ends_ns, lambda: self._crash(self.engines))
        self._again_and_again(scenario.cut_ns, self._cut)

    def _end_faults(self) -> None:
        self._has_faults = False
        self.network.loss = self.network.repeats = 0.0
        self.network.delay_max_ns = Network(self.simulation).delay_max_ns
        self.network.cut.clear()
        self.log.wait_cancelled = 0.0

    def _again_and_again(self, mean_ns: int, fault: object) -> None:
        if not mean_ns:
            return
        chance = self.simulation.chance

        def strike() -> None:
            if self._has_faults:
                fault()  # type: ignore[operator]
                self.simulation.after(chance.randrange(2 * mean_ns), strike)

        self.simulation.after(chance.randrange(2 * mean_ns), strike)

    def _crash(self, machines: list[Gateway] | list[Engine]) -> None:
        chance = self.simulation.chance
        machine: Machine = chance.choice(machines)
        if machine.is_up:
            self.simulation.count(f"{machine.name.split()[0]} ended")
            machine.end()
            self.simulation.after(chance.randrange(10 * MS, 8 * S), machine.start)

    def _cut(self) -> None:
        """Two machines do not reach each other for some seconds."""
        chance = self.simulation.chance
        names = [each.name for each in (*self.engines, *self.gateways, *self.log.servers)]
        pair = frozenset(chance.sample(names, 2))
        self.simulation.count("network cut")
        self.network.cut.add(pair)
        self.simulation.after(
            chance.randrange(100 * MS, 6 * S), lambda: self.network.cut.discard(pair)
        )


QUIET_S: Final = 60
AFTER_S: Final = 15  # for the sessions of dead gateways to be ended


def opening(keys: list[SigningKey]) -> bytes:
    """The first frame: a signed log, a market, accounts with money, keys of gateways."""
    commands = [
        admin_records.rules(log_id=LOG_ID, salt=5, flags=admin_records.SIGNED_LOG),
        admin_records.list_asset(asset=SOL, decimals=6, name="SOL"),
        admin_records.list_asset(asset=USDC, decimals=6, name="USDC"),
        admin_records.list_market(
            market=1, base=SOL, quote=USDC, lot_atoms=10, tick_atoms=10, name="SOL_USDC"
        ),
        admin_records.set_market(
            market=1, parameter=admin_records.STATE, value=admin_records.OPEN
        ),
        *(admin_records.open_account(user) for user in range(1, ACCOUNTS + 1)),
        *(
            admin_records.credit(
                account=FIRST_ACCOUNT + number, asset=asset, atoms=FUNDS,
                reference=bytes([number + 1, asset]) * 8,
            )
            for number in range(ACCOUNTS)
            for asset in (SOL, USDC)
        ),
        *(
            admin_records.add_credential(
                detail=bytes(key.verify_key), credential_type=admin_records.GATEWAY_KEY,
                owner_kind=admin_records.OF_GATEWAYS,
            )
            for key in keys
        ),
    ]  # fmt: skip
    return b"".join(commands)
