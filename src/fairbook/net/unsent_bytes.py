"""Limits of bytes that clients have asked for and do not read: in all, and per client address."""

from collections import Counter
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

Connection = TypeVar("Connection")


class _Held(NamedTuple):
    address: str
    size: int


class UnsentBytes(Generic[Connection]):
    """Counts what waits in connections whose transport has more than it can send.

    Beyond a limit the connection that has waited longest is aborted: of the address that exceeds
    its own limit, else of all. So `in_all` stays at most `in_all_max`.
    """

    def __init__(
        self, abort: Callable[[Connection], None], *, in_all_max: int, per_address_max: int
    ) -> None:
        self.in_all = 0
        self._abort = abort
        self._in_all_max = in_all_max
        self._per_address_max = per_address_max
        self._held: dict[Connection, _Held] = {}  # longest waiting first
        self._of_address: Counter[str] = Counter()

    def hold(self, connection: Connection, address: str, size: int) -> None:
        """`size` bytes of a connection wait from now on; it may be aborted at once."""
        self._held[connection] = _Held(address, size)
        self.in_all += size
        self._of_address[address] += size
        while self._of_address[address] > self._per_address_max:
            self._abort_first(address)
        while self.in_all > self._in_all_max:
            self._abort_first(None)

    def release(self, connection: Connection) -> None:
        """All is sent, or the connection is lost; also of one that nothing was held of."""
        held = self._held.pop(connection, None)
        if held is not None:
            self.in_all -= held.size
            self._of_address[held.address] -= held.size
            if not self._of_address[held.address]:
                del self._of_address[held.address]

    def _abort_first(self, address: str | None) -> None:
        first = next(
            connection
            for connection, held in self._held.items()
            if address is None or held.address == address
        )
        self.release(first)
        self._abort(first)
