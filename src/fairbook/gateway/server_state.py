"""What the connections of one HTTP server share: limits, counts, the clock of their deadlines."""

import asyncio
import time
from asyncio import Transport
from collections.abc import Callable, Collection, Coroutine
from email.utils import formatdate
from typing import Any, NamedTuple, Protocol

from fairbook.api.errors import ApiError
from fairbook.gateway.compression import Compression
from fairbook.gateway.request import Endpoint, Request, Respond, ok_head
from fairbook.gateway.routes import Routes
from fairbook.net.connection_limits import ConnectionLimits
from fairbook.net.descriptors import ConnectionBudget
from fairbook.net.proxies import TrustedProxies
from fairbook.net.unsent_bytes import UnsentBytes

Upgrade = Callable[[Transport, bytes], None]
"""Takes over the transport of a WebSocket request: it gets the head and what came after it."""


class ServerLimits(NamedTuple):
    """Limits of connections."""

    connections_max: int = 4096
    connections_per_address_max: int = 1024
    request_s: float = 10.0  # from the first byte of a request, or the connection, to its last
    idle_s: float = 75.0  # between requests
    reply_s: float = 60.0  # for an answer to be ready, and then while nothing of it is read
    sweep_s: float = 1.0  # between checks of these times
    unsent_bytes_max: int = 128 * 1024 * 1024  # of answers that clients do not read, in all
    unsent_bytes_per_address_max: int = 64 * 1024 * 1024
    origins: Collection[str] = ()  # whose pages may read answers: see net/origins.py
    has_cors: bool = True  # False: no page of another address may read answers
    hosts: Collection[str] | None = None  # names of this exchange; None: any
    proxies: TrustedProxies = TrustedProxies()


class HttpGateway(Protocol):
    """What answers the requests of a server: Gateway, and AdminGateway on the operators' port."""

    routes: Routes

    def handle(
        self, endpoint: Endpoint, request: Request, respond: Respond
    ) -> Coroutine[Any, Any, None] | None:
        """Answer a request whose body is read, at once, or by the returned coroutine."""

    def charge(self, error: ApiError, address: str) -> ApiError:
        """The answer to a request that was refused before `handle`."""

    def stop(self) -> None:
        """Refuse all requests from now on."""


class OpenConnection(Protocol):
    """What the server does with a connection."""

    transport: Transport
    is_answering: bool

    def check_pace(self) -> None:
        """Abort it if its client is too slow."""


class ServerState:
    """The state of one server."""

    def __init__(
        self,
        gateway: HttpGateway,
        limits: ServerLimits,
        upgrade: Upgrade | None,
        budget: ConnectionBudget | None = None,
    ) -> None:
        self.gateway = gateway
        self.limits = limits
        self.upgrade = upgrade
        self.admitted = ConnectionLimits(
            connections_max=limits.connections_max,
            per_address_max=limits.connections_per_address_max,
            budget=budget,
        )
        self.unsent: UnsentBytes[OpenConnection] = UnsentBytes(
            lambda connection: connection.transport.abort(),
            in_all_max=limits.unsent_bytes_max,
            per_address_max=limits.unsent_bytes_per_address_max,
        )
        self.compression = Compression()
        self.requests = 0  # that were received
        self.connections: set[OpenConnection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.progress = asyncio.Event()  # set when a request is answered or a connection lost
        self.swept_s = 0.0  # the clock of the connections: seconds of sweeps so far
        self.date_line = b""  # the Date header
        self.ok_head = b""

    def sweep(self) -> None:
        """Advance the clock, and close what is too slow."""
        self.swept_s += self.limits.sweep_s
        self.date_line = b"date: %s\r\n" % formatdate(time.time(), usegmt=True).encode()
        self.ok_head = ok_head(self.date_line)
        for connection in list(self.connections):
            connection.check_pace()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine in a task of its own, which the server cancels when it has stopped."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
