"""The HTTP server: listen, sweep, and stop when the requests under way are answered."""

import asyncio
from asyncio import AbstractEventLoop, AbstractServer
from collections.abc import Callable
from typing import Final

from fairbook.gateway.http_connection import HttpConnection
from fairbook.gateway.server_state import HttpGateway, ServerLimits, ServerState, Upgrade
from fairbook.net.descriptors import ConnectionBudget

_CLOSE_S: Final = 1.0  # for closed transports to end


class HttpServer:
    """Serves a gateway on one port. `start` once; `stop` is idempotent; in one event loop."""

    def __init__(
        self,
        gateway: HttpGateway,
        limits: ServerLimits | None = None,
        *,
        upgrade: Upgrade | None = None,
        budget: ConnectionBudget | None = None,
    ) -> None:
        """upgrade: without it no upgrade request is granted. budget: shared with other servers."""
        self.state = ServerState(gateway, limits or ServerLimits(), upgrade, budget)
        self._listener: AbstractServer | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port, which the system chooses if `port` is 0. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            lambda: HttpConnection(self.state),
            host,
            port,
            backlog=self.state.admitted.budget.backlog,
        )
        self._sweep(loop)
        bound: int = self._listener.sockets[0].getsockname()[1]
        return bound

    async def stop(self, drain_s: float) -> None:
        """Refuse new requests (503), let those under way end within `drain_s`, then close."""
        if self._listener is None:
            return
        self._listener.close()
        self._listener = None
        state = self.state
        state.gateway.stop()
        await self._until(lambda: not any(c.is_answering for c in state.connections), drain_s)
        for connection in list(state.connections):
            connection.transport.close()
        await self._until(lambda: not state.connections, _CLOSE_S)
        for connection in list(state.connections):
            connection.transport.abort()
        for task in list(state.tasks):
            task.cancel()
        if self._sweeper is not None:
            self._sweeper.cancel()

    async def _until(self, condition: Callable[[], bool], timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                while not condition():
                    self.state.progress.clear()
                    await self.state.progress.wait()
        except TimeoutError:
            pass

    def _sweep(self, loop: AbstractEventLoop) -> None:
        self.state.sweep()
        self._sweeper = loop.call_later(self.state.limits.sweep_s, self._sweep, loop)
