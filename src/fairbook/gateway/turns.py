"""What stands in for parts of uvicorn where a connection of ours (server.py) is of another mind."""

from __future__ import annotations

import asyncio
from asyncio import Transport
from collections.abc import Callable, Sized

from uvicorn.protocols.http.flow_control import FlowControl

from fairbook.gateway.request import Endpoint, Request


class Flow(FlowControl):
    """Reading stays paused while requests wait for the one before them, whoever asks for more."""

    def __init__(self, transport: Transport, pipeline: Sized) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        """Read on, unless there is enough to do."""
        if not self._pipeline:
            super().resume_reading()


class Turn:
    """A request to the order endpoints while it is read and answered. It stands in for uvicorn's
    cycle, so that whatever is pipelined behind it waits its turn, and has what is asked of one.
    """

    __slots__ = ("call", "disconnected", "endpoint", "keep_alive", "response_complete", "task")

    response_started = False
    waiting_for_100_continue = False

    def __init__(self, endpoint: Endpoint, call: Request) -> None:
        self.endpoint = endpoint
        self.call = call
        self.keep_alive = True
        self.disconnected = False
        self.response_complete = False
        self.task: asyncio.Task[None] | None = None

    @property
    def message_event(self) -> Turn:
        """Whom to wake when the client leaves: nobody, its body is whole or will never be."""
        return self

    def set(self) -> None:
        """See `message_event`."""


class Ending:
    """A transport as a reply under ASGI knows it: to close it, which is what uvicorn does after
    some replies, is to `end` the connection, so that the reply is not lost to a reset.
    """

    __slots__ = ("close", "is_closing", "write")

    def __init__(self, transport: Transport, end: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = end
