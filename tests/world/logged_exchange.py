"""The real core and a log in a directory, without a process: a frame is appended, then applied."""

from __future__ import annotations

from pathlib import Path

from fairbook.core import records
from fairbook.core.exchange import Exchange
from fairbook.core.records import Outcome
from fairbook.log.file_log import FileLog
from tests.world.markets import BTC, SOL, USDC, open_accounts, two_markets

ANN, BEN = 2, 3  # accounts
ATOMS = {SOL: 1000 * 10**9, USDC: 100_000 * 10**6, BTC: 1000 * 10**8}
FRAME_NS = 1_000_000_000
START_NS = 1_800_000_000 * 10**9


class LoggedExchange:
    """`two_markets` with two funded accounts, of the users 7 and 8. A frame each second."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.core = Exchange()
        self.position = 0
        self._log = FileLog(directory)
        self.frame(*two_markets(), *open_accounts({7: ANN, 8: BEN}, ATOMS))

    def frame(self, *commands: bytes) -> list[Outcome]:
        """Append and apply one frame; the outcome of each command."""
        self.position += 1
        time_ns = START_NS + self.position * FRAME_NS
        frame = b"".join(commands)
        self._log.append(frame, time_ns)
        events = self.core.apply(frame, time_ns)
        return [records.read_outcome(part) for part in records.split(events)]

    def do(self, command: bytes) -> Outcome:
        """A frame of one command."""
        (outcome,) = self.frame(command)
        return outcome

    def close(self) -> None:
        self._log.close()
