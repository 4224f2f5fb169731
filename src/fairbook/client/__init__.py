"""A typed client of the public API, for bots and tests (docs/guide/market-maker.md)."""

from fairbook.client.credentials import BearerToken, Credentials, SigningKey
from fairbook.client.errors import (
    ClientError,
    Disconnected,
    InvalidAnswer,
    OutcomeUnknown,
    RequestRefused,
)
from fairbook.client.grid import Grid
from fairbook.client.local_book import BookFeed, LocalBook
from fairbook.client.messages import NewOrder
from fairbook.client.reconnect import Backoff, Reconnecting
from fairbook.client.rest import RestClient
from fairbook.client.websocket import WebSocketClient

__all__ = [
    "Backoff",
    "InvalidAnswer",
    "BookFeed",
    "ClientError",
    "Reconnecting",
    "Credentials",
    "Disconnected",
    "Grid",
    "SigningKey",
    "LocalBook",
    "NewOrder",
    "OutcomeUnknown",
    "RequestRefused",
    "RestClient",
    "WebSocketClient",
    "BearerToken",
]
