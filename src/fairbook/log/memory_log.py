"""The command log in memory, for tests and simulations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from fairbook.log.command_log import GENESIS, Entry, LogFailed, entry_after, require_entry


class MemoryLog:
    """`before_durable` and `after_durable` stand for a disk: they may block, or raise to fail."""

    def __init__(
        self,
        entries: Iterable[Entry] = (),
        *,
        before_durable: Callable[[Entry], None] | None = None,
        after_durable: Callable[[Entry], None] | None = None,
    ) -> None:
        self.entries = list(entries)
        self.before_durable = before_durable
        """Called with the next entry; if it raises, the entry is lost."""
        self.after_durable = after_durable
        """Called with the stored entry; if it raises, the entry stays in the log."""
        self._refusal: str | None = None

    @property
    def last(self) -> Entry:
        return self.entries[-1].without_frame() if self.entries else GENESIS

    def append(self, frame: bytes, time_ns: int) -> Entry:
        if self._refusal is not None:
            raise LogFailed(self._refusal)
        entry = entry_after(self.last, frame, time_ns)
        try:
            if self.before_durable is not None:
                self.before_durable(entry)
            self.entries.append(entry)
            if self.after_durable is not None:
                self.after_durable(entry)
        except Exception as error:
            self._refusal = f"an earlier append failed: {error!r}"
            raise LogFailed(f"the append of position {entry.position} failed: {error!r}") from error
        return entry

    def read(self, first: int) -> Iterator[Entry]:
        if first < 1:
            raise ValueError(f"positions count from 1, not {first}")
        return iter(self.entries[first - 1 :])

    def require(self, position: int, chain: bytes) -> None:
        found: bytes | None = None
        if position == 0:
            found = GENESIS.chain
        elif position <= len(self.entries):
            found = self.entries[position - 1].chain
        require_entry(self.last, position, chain, found)

    def close(self) -> None:
        if self._refusal is None:
            self._refusal = "the log is closed"

    def reopened(self) -> MemoryLog:
        """The log as it is found after the end of this process."""
        self.close()
        return MemoryLog(self.entries)
