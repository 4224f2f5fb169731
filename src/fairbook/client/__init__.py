"""A typed client of the public API: for bots, the command line and tests (docs/maker.md).

Always true: it knows the exchange by its public contract alone, and imports nothing of ours but
`api`.
"""

from fairbook.client.book import BookFeed, LocalBook
from fairbook.client.connections import Backoff, Connections
from fairbook.client.credentials import Credentials, Key, Token
from fairbook.client.errors import (
    BadAnswer,
    ClientError,
    Disconnected,
    OutcomeUnknown,
    Refused,
)
from fairbook.client.grid import Grid
from fairbook.client.messages import NewOrder
from fairbook.client.rest import Rest
from fairbook.client.socket import Socket

__all__ = [
    "Backoff",
    "BadAnswer",
    "BookFeed",
    "ClientError",
    "Connections",
    "Credentials",
    "Disconnected",
    "Grid",
    "Key",
    "LocalBook",
    "NewOrder",
    "OutcomeUnknown",
    "Refused",
    "Rest",
    "Socket",
    "Token",
]
