"""The protocol of one connection, as a pure state machine: a message in, actions out.

Invariants:
- a frame that is refused changes nothing but the use of the rate limit; an unknown name in a
  SUBSCRIBE does not keep the other names from being subscribed;
- a private stream is subscribed only with a live credential that may read, and shows the account of
  that credential and no other;
- a stream is subscribed once, however often it was requested.
"""

from collections.abc import Callable, Collection
from typing import Any, Final, NamedTuple, NoReturn

import msgspec

from fairbook.api.errors import ApiError, BadRequest
from fairbook.api.requests import Fields, read_object
from fairbook.core.units import NS_PER_SECOND
from fairbook.net.token_bucket import TokenBucket
from fairbook.net.ws_frames import POLICY, ProtocolError, check_utf8
from fairbook.ports.accounts import READ, Access
from fairbook.ports.connections import Authority
from fairbook.streams.channel_source import Channel, StreamKind

# Codes of an error frame. 4006 is that of the venue whose API this is; the others are Fairbook's.
BAD_FRAME: Final = 4000
UNKNOWN_METHOD: Final = 4001
INVALID_SIGNATURE: Final = 4002
EXPIRED: Final = 4003
INVALID_STREAM: Final = 4006
TOO_MANY: Final = 4029

NO_ID: Final = b"null"


class SessionLimits(NamedTuple):
    """Limits of one connection."""

    streams_max: int = 200
    control_frames_per_s: int = 20
    control_frames_burst: int = 40  # may come at once


class SendReply(NamedTuple):
    """Send this payload to the client."""

    payload: bytes


class Subscribe(NamedTuple):
    """Begin to receive a channel."""

    channel: Channel


class Unsubscribe(NamedTuple):
    """Stop receiving a channel."""

    channel: Channel


class SendLatest(NamedTuple):
    """Send the present state of a channel again: it was subscribed once more."""

    channel: Channel


class CallMethod(NamedTuple):
    """Pass on a request; if the method is unknown, call `Session.refuse_method`."""

    request_id: bytes
    method: str
    params: Any


Action = SendReply | Subscribe | Unsubscribe | SendLatest | CallMethod


class _Subscription(NamedTuple):
    channel: Channel | None  # None: nothing is ever published there
    access: Access | None
    """Of the signature in the frame; None for public streams and those that the login permits."""


class _Frame(msgspec.Struct):
    id: msgspec.Raw = msgspec.Raw(NO_ID)


_read_id: Final = msgspec.json.Decoder(_Frame).decode


class _FrameError(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Session:
    """The protocol of one connection. All times are of one monotonic clock, in ns."""

    def __init__(
        self,
        find: Callable[[str], StreamKind | None],
        authority: Authority | None,
        limits: SessionLimits,
        address: str = "",
    ) -> None:
        """find: as Source.find. Without an authority neither logins nor private streams exist."""
        self.access: Access | None = None  # of the login
        self._find = find
        self._authority = authority
        self._limits = limits
        self._address = address
        self._control_frames = TokenBucket(
            interval_ns=NS_PER_SECOND // limits.control_frames_per_s,
            burst=limits.control_frames_burst,
        )
        self._subscribed: dict[str, _Subscription] = {}

    def receive(self, payload: bytes, now_ns: int) -> list[Action]:
        """Handle a message of the client. Raises ProtocolError if it must be disconnected."""
        request_id = NO_ID
        is_counted = False
        try:
            fields = _fields(payload)
            if "id" in fields:
                request_id = _id(payload, fields)
            method = fields.get("method")
            if not isinstance(method, str):
                _refuse(BAD_FRAME, "A frame needs a method")
            if method not in ("SUBSCRIBE", "UNSUBSCRIBE", "LOGIN"):
                return [CallMethod(request_id, method, fields.get("params"))]
            is_counted = True
            self.count_control_frame(now_ns)
            if method == "SUBSCRIBE":
                return self._subscribe(fields, request_id)
            if method == "UNSUBSCRIBE":
                return self._unsubscribe(fields, request_id)
            self._login(fields)
            return _done(request_id)
        except (ApiError, _FrameError) as error:
            if not is_counted:
                self.count_control_frame(now_ns)
            code = error.code if isinstance(error, _FrameError) else _credential_code(error)
            return [_error(request_id, code, error.message)]

    def refuse_method(self, request_id: bytes, now_ns: int) -> SendReply:
        """The answer to a CallMethod of an unknown method. Raises ProtocolError."""
        self.count_control_frame(now_ns)
        return _error(request_id, UNKNOWN_METHOD, "Unknown method")

    def count_control_frame(self, now_ns: int) -> None:
        """Charge the rate limit. Raises ProtocolError if it is exceeded."""
        if self._control_frames.take(now_ns):
            raise ProtocolError(POLICY, "too many frames")

    def channels(self) -> list[Channel]:
        return [entry.channel for entry in self._subscribed.values() if entry.channel is not None]

    def has_live_credentials(self) -> bool:
        """Whether every key and token that permits something here is still valid."""
        if self._authority is None:
            return True
        is_live = self._authority.is_live
        if self.access is not None and not is_live(self.access):
            return False
        return all(
            entry.access is None or is_live(entry.access) for entry in self._subscribed.values()
        )

    def _subscribe(self, fields: Fields, request_id: bytes) -> list[Action]:
        names = _names(fields)
        found = {name: stream for name in names if (stream := self._find(name)) is not None}
        owner = 0
        signed = None
        if any(stream.is_private for stream in found.values()):
            if fields.get("signature") is not None:
                signed = self._by_signature(fields, "subscribe")
            access = signed or self.access
            if access is None:
                _refuse(INVALID_SIGNATURE, "Private streams need a signature or LOGIN")
            if not access.permissions & READ:
                _refuse(INVALID_SIGNATURE, "Not permitted to read")
            owner = access.account
        new = sum(name not in self._subscribed for name in found)
        if new and len(self._subscribed) + new > self._limits.streams_max:
            _refuse(TOO_MANY, f"At most {self._limits.streams_max} subscriptions")

        # Every check is above, every change is below.
        actions: list[Action] = []
        for name, stream in found.items():
            channel = None
            if not stream.is_silent:
                channel = Channel(name, owner if stream.is_private else 0)
            before = self._subscribed.get(name)
            self._subscribed[name] = _Subscription(channel, signed if stream.is_private else None)
            if before is not None and before.channel == channel:
                if channel is not None:
                    actions.append(SendLatest(channel))
                continue
            if before is not None and before.channel is not None:
                actions.append(Unsubscribe(before.channel))  # of another account
            if channel is not None:
                actions.append(Subscribe(channel))
        unknown = [name for name in names if name not in found]
        if unknown:
            message = f"Invalid stream: {', '.join(unknown)}"
            return [*actions, _error(request_id, INVALID_STREAM, message)]
        return actions + _done(request_id)

    def _unsubscribe(self, fields: Fields, request_id: bytes) -> list[Action]:
        """Needs no permission. A name that is not subscribed is no error."""
        actions: list[Action] = []
        for name in _names(fields):
            entry = self._subscribed.pop(name, None)
            if entry is not None and entry.channel is not None:
                actions.append(Unsubscribe(entry.channel))
        return actions + _done(request_id)

    def _login(self, fields: Fields) -> None:
        if fields.get("signature") is not None:
            access = self._by_signature(fields, "login")
        else:
            access = self._by_token(fields)
        if self.access is not None and self.access.account != access.account:
            _refuse(BAD_FRAME, "Already logged in as another account")
        reads_by_login = any(
            entry.access is None and entry.channel is not None and entry.channel.owner
            for entry in self._subscribed.values()
        )
        if reads_by_login and not access.permissions & READ:
            _refuse(INVALID_SIGNATURE, "Not permitted to read what is subscribed")
        self.access = access

    def _by_signature(self, fields: Fields, instruction: str) -> Access:
        parts = fields["signature"]
        if type(parts) is not list or len(parts) != 4 or self._authority is None:
            _refuse(INVALID_SIGNATURE, "Invalid signature")
        return self._authority.by_signature(parts, instruction, address=self._address)

    def _by_token(self, fields: Fields) -> Access:
        params = fields.get("params")
        token = params.get("token") if type(params) is dict else None
        if not isinstance(token, str):
            _refuse(BAD_FRAME, "LOGIN needs a token or a signature")
        if self._authority is None:
            _refuse(INVALID_SIGNATURE, "Unauthorized")
        return self._authority.by_token(token, address=self._address)


def _fields(payload: bytes) -> Fields:
    try:
        return read_object(payload)
    except BadRequest as error:
        check_utf8(payload)
        _refuse(BAD_FRAME, error.message.replace("Body", "Frame"))


def _id(payload: bytes, fields: Fields) -> bytes:
    """The JSON of the client's id, as the client wrote it."""
    if type(fields["id"]) in (dict, list):
        _refuse(BAD_FRAME, "An id is a number or a string")
    try:
        return bytes(_read_id(payload).id)
    except (msgspec.DecodeError, RecursionError):
        _refuse(BAD_FRAME, "Frame is not valid JSON")


def _names(fields: Fields) -> Collection[str]:
    """The streams that a frame names, each once, in order."""
    names = fields.get("params")
    if type(names) is not list or not all(isinstance(name, str) for name in names):
        _refuse(BAD_FRAME, "params is a list of streams")
    return dict.fromkeys(names)


def _credential_code(error: ApiError) -> int:
    if error.status == 400:  # a wrong time, or used before
        return EXPIRED
    return TOO_MANY if error.status == 429 else INVALID_SIGNATURE


def _refuse(code: int, message: str) -> NoReturn:
    raise _FrameError(code, message)


def _done(request_id: bytes) -> list[Action]:
    """Success is answered only if the frame has an id; otherwise the streams are the answer."""
    return [] if request_id == NO_ID else [SendReply(b'{"id":%b,"result":null}' % request_id)]


def _error(request_id: bytes, code: int, message: str) -> SendReply:
    text = msgspec.json.encode(message)
    return SendReply(b'{"id":%b,"error":{"code":%d,"message":%b}}' % (request_id, code, text))
