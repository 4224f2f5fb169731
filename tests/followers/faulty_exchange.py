"""An exchange whose engine and replica a test can watch, corrupt and kill."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fairbook.net import control_socket as control
from tests.crash.load import Trader
from tests.world.exchange_process import ExchangeProcess
from tests.world.rest_client import OutcomeUnknown
from tests.world.waiting import WAIT_S, wait_until

ORDER = {
    "symbol": "SOL_USDC",
    "side": "Bid",
    "orderType": "Limit",
    "price": "100",
    "quantity": "1",
}


class FaultyExchange(ExchangeProcess):
    """`fairbook up --allow-faults`, with its control socket."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        super().__init__(folder, "--allow-faults", environment=environment)

    def status(self) -> dict[str, Any]:
        return control.ask(self.folder, "status")

    def until(self, holds: Callable[[dict[str, Any]], bool], within_s: float = WAIT_S) -> Any:
        """Wait for a status for which `holds` is true."""

        def found() -> dict[str, Any] | None:
            return status if holds(status := self.status()) else None

        return wait_until(found, lambda: (self.status(), self.stderr()[-3000:]), within_s=within_s)

    def until_agreed(self) -> dict[str, Any]:
        """Wait until the replica follows and a round that began after this call has agreed."""
        rounds = self.status()["replica"]["rounds_agreed"]

        def agreed(status: dict[str, Any]) -> bool:
            replica = status["replica"]
            return bool(replica["state"] == "following" and replica["rounds_agreed"] >= rounds + 1)

        status: dict[str, Any] = self.until(agreed)
        return status

    def harm(self, process: str, *, account: int, asset: int, field: str, atoms: int) -> None:
        """Change a balance in the memory of "engine" or "replica"."""
        place = {"account": account, "asset": asset, "field": field, "atoms": atoms}
        control.ask(self.folder, "edit", process=process, **place)

    def verdict(self, within_s: float) -> dict[str, Any]:
        """Wait until a difference is judged."""
        status = self.until(
            lambda status: (status["audit"]["verdict"] or {}).get("status") == "judged", within_s
        )
        found: dict[str, Any] = status["audit"]["verdict"]
        return found

    def resume(self, verdict: dict[str, Any]) -> None:
        control.ask(self.folder, "resume", acknowledged=str(verdict["position"]))

    def signal_replica(self, number: signal.Signals) -> int:
        """Send a signal to the replica; returns its process id."""
        status = self.until(lambda status: status["replica"]["pid"] is not None)
        pid: int = status["replica"]["pid"]
        os.kill(pid, number)
        return pid

    def place(self) -> int:
        """Send an order. Returns the HTTP status."""
        rest = self.rest()
        try:
            return rest.call("POST", "/api/v1/order", ORDER).status
        finally:
            rest.close()


class BackgroundLoad:
    """Traders of both demo accounts, from `with` to its end."""

    def __init__(self, venue: ExchangeProcess, *, number: int, seed: str, traders: int = 2) -> None:
        """number: of this load; traders of another one have other client ids."""
        self.traders = [
            StoppableTrader(
                port=venue.http_port,
                account=name,
                token=venue.demo(name)["token"],
                number=number * 10 + each,
                seed=f"{seed}/{each}",
            )
            for each, name in zip(range(traders), ("demo1", "demo2") * traders, strict=False)
        ]

    def __enter__(self) -> BackgroundLoad:
        for trader in self.traders:
            trader.start()
        return self

    def __exit__(self, *exception: object) -> None:
        for trader in self.traders:
            trader.is_stopped = True
        for trader in self.traders:
            trader.join()

    @property
    def sent(self) -> int:
        return sum(len(trader.journal.placements) for trader in self.traders)


class StoppableTrader(Trader):
    """A trader that stops when `is_stopped` is set."""

    is_stopped = False

    def _act(self) -> None:
        if self.is_stopped:
            raise OutcomeUnknown("told to stop")
        super()._act()
