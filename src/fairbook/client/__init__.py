"""A typed client of the public API, for bots and tests (docs/guide/market-maker.md).

Always true: it knows the exchange by its public contract alone, and imports nothing of ours but
`api`.
"""

from fairbook.client.credentials import Credentials, Key, Token
from fairbook.client.errors import (
    BadAnswer,
    ClientError,
    Disconnected,
    OutcomeUnknown,
    RequestRefused,
)
from fairbook.client.grid import Grid
from fairbook.client.local_book import BookFeed, LocalBook
from fairbook.client.messages import NewOrder
from fairbook.client.reconnect import Backoff, Reconnecting
from fairbook.client.rest import Rest
from fairbook.client.socket import Socket

__all__ = [
    "Backoff",
    "BadAnswer",
    "BookFeed",
    "ClientError",
    "Reconnecting",
    "Credentials",
    "Disconnected",
    "Grid",
    "Key",
    "LocalBook",
    "NewOrder",
    "OutcomeUnknown",
    "RequestRefused",
    "Rest",
    "Socket",
    "Token",
]
