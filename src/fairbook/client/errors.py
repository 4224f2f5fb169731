"""Errors of calls to the exchange."""

from msgspec import Struct


class ClientError(Exception):
    """Base of all errors."""


class RequestRefused(ClientError):
    """The exchange refused the request, and changed nothing."""

    def __init__(self, status: int, code: str, message: str, *, retry_after_s: float = 0.0) -> None:
        """retry_after_s: when to try again, if the exchange said so; else 0."""
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s


class OutcomeUnknown(ClientError):
    """The request was sent, but no answer came: whether it was executed is known to the exchange
    alone. An order can be queried by its client id.
    """


class Disconnected(ClientError):
    """There is no connection: the request was not sent, or it was a query."""


class InvalidAnswer(ClientError):
    """The answer does not follow the public contract."""


class ErrorBody(Struct):
    """The error in an answer. code: a number if it is one of the WebSocket protocol."""

    code: str | int = ""
    message: str = ""

    def exception(self, status: int, *, retry_after_s: float = 0.0) -> ClientError:
        if status == 504:
            return OutcomeUnknown(self.message)
        return RequestRefused(status, str(self.code), self.message, retry_after_s=retry_after_s)
