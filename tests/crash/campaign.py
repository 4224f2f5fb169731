"""kill -9 of the exchange at random times under load, repeatedly, on one data directory.

`python -m tests.crash.campaign [--rounds 50] [--seed 1]` runs it by hand.

Design: in each round traders trade; the process is killed, sometimes again during its start, and
started. Every request without an answer is repeated, and some with one; then the answers are
compared with an independent replay of the log. Every `STOP_EVERY` rounds it is stopped instead, and
its snapshot is compared with the replay.

A seed gives the same orders and the same delays. Where a kill falls in the work of the exchange
differs between runs; this is why there are many rounds.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path

from fairbook.engine.snapshots import Snapshots
from tests.crash.audit import Audit, told_balances, told_orders
from tests.crash.load import BATCH_MAX, Journal, Placement, Trader
from tests.world.exchange_process import ExchangeProcess
from tests.world.rest_client import OutcomeUnknown, Reply, RestClient

ACCOUNTS = ("demo1", "demo2")
TRADERS_PER_ACCOUNT = 2
SHORTEST_S, LONGEST_S = 0.05, 1.2  # of trading before the kill
START_S = 0.6  # within this much of a start falls a kill during it
START_KILLS_MAX = 3
STOP_EVERY = 5
ASKED_AGAIN = 20  # newest answered placements of each trader; far fewer than are remembered


class Campaign:
    """One exchange and its crashes."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.seed = seed
        self.chance = random.Random(f"campaign {seed}")
        self.venue = ExchangeProcess(folder)
        self.audit = Audit(folder)
        self.accounts: dict[str, int] = {}
        self.round = 0
        self.traders = 0
        self.counted = {"orders": 0, "unknown": 0, "kills": 0, "stops": 0}

    def run(self, rounds: int) -> None:
        """Set up, with kills during the very first start; then `rounds` rounds."""
        try:
            self._kill_while_starting(START_KILLS_MAX)
            self.venue.start()
            self.accounts = {name: self.venue.account(name) for name in ACCOUNTS}
            for self.round in range(1, rounds + 1):
                try:
                    self._run_round()
                except AssertionError as error:
                    error.add_note(f"seed {self.seed}, round {self.round}")
                    raise
            self._stop_and_compare()
            self._compare_with_genesis()
        finally:
            self.venue.kill()

    def _run_round(self) -> None:
        traders = [self._trader(name) for name in ACCOUNTS for _ in range(TRADERS_PER_ACCOUNT)]
        for trader in traders:
            trader.start()
        time.sleep(self.chance.uniform(SHORTEST_S, LONGEST_S))
        if self.round % STOP_EVERY == 0:
            self._stop_and_compare()
        else:
            self.venue.kill()
            self.counted["kills"] += 1
        for trader in traders:
            trader.join()
        if self.chance.random() < 0.4:
            self._kill_while_starting(self.chance.randint(1, START_KILLS_MAX))
        self.venue.start()
        for trader in traders:
            self._ask_again(trader.journal, trader.account)
        self._compare_answers([(each.journal, each.account) for each in traders])

    def _trader(self, account: str) -> Trader:
        self.traders += 1
        return Trader(
            port=self.venue.http_port,
            account=account,
            token=self.venue.demo(account)["token"],
            number=self.traders,
            seed=f"{self.seed}/{self.traders}",
        )

    def _kill_while_starting(self, times: int) -> None:
        for _ in range(times):
            self.venue.spawn()
            time.sleep(self.chance.uniform(0, START_S))
            self.venue.kill()
            self.counted["kills"] += 1

    def _ask_again(self, journal: Journal, account: str) -> None:
        """Repeat requests without an answer until there is one, and requests with one to get the
        same.
        """
        rest = self.venue.rest(account)
        unknown = [each for each in journal.placements if is_unknown(each)]
        answered = [each for each in journal.placements if not is_unknown(each)]
        assert len(unknown) <= BATCH_MAX, unknown
        self.counted["orders"] += len(journal.placements)
        self.counted["unknown"] += len(unknown)
        for placement in unknown:
            placement.reply = repeat(rest, placement)
            assert repeat(rest, placement).body.get("id") == placement.reply.body.get("id")
        for placement in answered[-ASKED_AGAIN:]:
            before = placement.reply
            assert before is not None
            if before.status == 200:  # Rejects are not remembered.
                again = repeat(rest, placement)
                assert again.status == 200, (placement, again)
                for name in ("id", "status", "executedQuantity", "createdAt"):
                    assert again.body[name] == before.body[name], (name, placement, again)
        rest.close()

    def _compare_answers(self, journals: list[tuple[Journal, str]]) -> None:
        """Compare the answers now and before with the log."""
        told: dict[str, tuple[object, object]] = {}
        for name in ACCOUNTS:
            rest = self.venue.rest(name)
            open_now = told_orders(rest.expect(200, "GET", "/api/v1/orders"))
            told[name] = (open_now, told_balances(rest.expect(200, "GET", "/api/v1/capital")))
            rest.close()
        self.audit.catch_up().check()
        for name, account in self.accounts.items():
            orders, balances = told[name]
            assert orders == self.audit.open_orders(account), f"open orders of {name}"
            assert balances == self.audit.balances(account), f"balances of {name}"
        for journal, name in journals:
            self.audit.confirm(journal, self.accounts[name])

    def _stop_and_compare(self) -> None:
        """The snapshot of a graceful stop equals the replay at its position."""
        self.venue.stop()
        self.counted["stops"] += 1
        snapshots = Snapshots(self.venue.folder)
        newest = snapshots.read(snapshots.paths()[0])
        self.audit.catch_up(until=newest.position)
        assert self.audit.position == newest.position, "the snapshot is of another log"
        assert self.audit.chain == newest.chain
        assert self.audit.digest() == newest.digest, "the running state is not a replay's"

    def _compare_with_genesis(self) -> None:
        """Replay the whole log once more in one pass."""
        whole = Audit(self.venue.folder).catch_up()
        whole.check()
        self.audit.catch_up()
        assert (whole.position, whole.chain) == (self.audit.position, self.audit.chain)
        assert whole.digest() == self.audit.digest()


def is_unknown(placement: Placement) -> bool:
    """Whether the trader does not know the outcome."""
    return placement.reply is None or placement.reply.status == 504


def repeat(rest: RestClient, placement: Placement) -> Reply:
    """Send an order again, also after 504."""
    for _ in range(10):
        try:
            reply = rest.call("POST", "/api/v1/order", placement.body)
        except OutcomeUnknown as error:
            raise AssertionError(f"the exchange went away: {error}") from error
        if reply.status != 504:
            return reply
    raise AssertionError(f"no outcome for {placement}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(Path(folder), arguments.seed)
        campaign.run(arguments.rounds)
    print(f"{arguments.rounds} rounds, {campaign.counted}, {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
