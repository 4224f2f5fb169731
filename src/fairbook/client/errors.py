"""How a call of the exchange may end, other than well.

Always true: `Refused` means that nothing was changed; `OutcomeUnknown` means that it may have been,
and that asking by client id tells; `Disconnected` means that nothing was sent.
"""

from __future__ import annotations


class ClientError(Exception):
    """Any of the below."""


class RequestRefused(ClientError):
    """The exchange said no, in the words of its contract."""

    def __init__(self, status: int, code: str, message: str, *, retry_after_s: float = 0.0) -> None:
        """retry_after_s: when to ask again, if the exchange said so; else 0."""
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s


class OutcomeUnknown(ClientError):
    """It was sent, and no answer came that says what became of it."""


class Disconnected(ClientError):
    """The connection has ended, or cannot be made."""


class BadAnswer(ClientError):
    """What came back is not of the contract: another server, or a bug in one of us."""


def error_of(status: int, code: str, message: str, *, retry_after_s: float = 0.0) -> ClientError:
    """What to raise for an error answer."""
    if status == 504:
        return OutcomeUnknown(message)
    return RequestRefused(status, code, message, retry_after_s=retry_after_s)
