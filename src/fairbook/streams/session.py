"""The protocol of one connection, as a pure state machine.

How it works: a text goes in, and what has to be done comes out, as plain actions. What the session
keeps is who logged in, which streams are subscribed and by whose leave, and how much of the
allowance of control frames is used.

Always true:
- a frame that is refused changes nothing, but for the allowance it used; only an unknown name in a
  SUBSCRIBE does not keep the other names from being subscribed;
- a private stream is subscribed only by leave of a live credential that may read, and shows the
  account of that credential and no other;
- a stream is subscribed once, however often it was asked for.

Not here: frames and fragments (frames.py), who receives what (subscriptions.py), requests (hub.py).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final, NamedTuple, NoReturn

import msgspec

from fairbook.api.errors import ApiError, BadRequest
from fairbook.api.requests import Fields, read_object
from fairbook.core.units import NS_PER_SECOND
from fairbook.net.ws_frames import POLICY, Breach, check_text
from fairbook.ports.accounts import READ, Access
from fairbook.ports.connections import Authority
from fairbook.streams.ports import Channel, Stream

# Codes of an error frame. 4006 is the venue's, the others are ours.
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


class Reply(NamedTuple):
    """Send this text."""

    text: bytes


class Subscribe(NamedTuple):
    """Begin to receive a channel, which is not received yet."""

    channel: Channel


class Unsubscribe(NamedTuple):
    """Receive a channel no more."""

    channel: Channel


class Remind(NamedTuple):
    """Say again how a channel stands that is received, and was asked for once more."""

    channel: Channel


class Ask(NamedTuple):
    """Hand over a request; if nobody knows the method, call `Session.refuse_method`."""

    request_id: bytes
    method: str
    params: Any


Action = Reply | Subscribe | Unsubscribe | Remind | Ask


class _Subscription(NamedTuple):
    """A stream that was accepted."""

    channel: Channel | None
    """None: nothing is ever published there."""
    access: Access | None
    """What the signature in the frame opened; None if public, or by leave of the login."""


class _Frame(msgspec.Struct):
    id: msgspec.Raw = msgspec.Raw(NO_ID)


_read_id: Final = msgspec.json.Decoder(_Frame).decode


class _Refused(Exception):
    """The frame is answered by an error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Session:
    """One connection. All times are of one monotonic clock, in ns."""

    def __init__(
        self,
        find: Callable[[str], Stream | None],
        authority: Authority | None,
        limits: SessionLimits,
        address: str = "",
    ) -> None:
        """`find` as Source.find. Without an authority nobody can log in or see private streams.

        address: where the connection comes from.
        """
        self.access: Access | None = None
        """Who logged in."""
        self._find = find
        self._authority = authority
        self._limits = limits
        self._address = address
        self._interval_ns = NS_PER_SECOND // limits.control_frames_per_s
        self._ahead_ns = self._interval_ns * limits.control_frames_burst
        self._full_at_ns = 0  # when the whole allowance will be back
        self._subscribed: dict[str, _Subscription] = {}

    def receive(self, text: bytes, now_ns: int) -> list[Action]:
        """Take a message of the client. Raises Breach if the connection must be closed."""
        request_id = NO_ID
        is_counted = False
        try:
            fields = _fields(text)
            if "id" in fields:
                request_id = _id(text, fields)
            method = fields.get("method")
            if type(method) is not str:
                _refuse(BAD_FRAME, "A frame needs a method")
            if method not in ("SUBSCRIBE", "UNSUBSCRIBE", "LOGIN"):
                return [Ask(request_id, method, fields.get("params"))]
            is_counted = True
            self.count_control_frame(now_ns)
            if method == "SUBSCRIBE":
                return self._subscribe(fields, request_id)
            if method == "UNSUBSCRIBE":
                return self._unsubscribe(fields, request_id)
            self._login(fields)
            return _done(request_id)
        except _Refused as refused:
            if not is_counted:
                self.count_control_frame(now_ns)
            return [_error(request_id, refused.code, refused.message)]

    def refuse_method(self, request_id: bytes, now_ns: int) -> Reply:
        """The answer to an Ask that nobody takes. Raises Breach."""
        self.count_control_frame(now_ns)
        return _error(request_id, UNKNOWN_METHOD, "Unknown method")

    def count_control_frame(self, now_ns: int) -> None:
        """Use one of the allowance. Raises Breach if there is none left."""
        full_at_ns = max(self._full_at_ns, now_ns) + self._interval_ns
        if full_at_ns - now_ns > self._ahead_ns:
            raise Breach(POLICY, "too many frames")
        self._full_at_ns = full_at_ns

    def channels(self) -> list[Channel]:
        """What is received."""
        return [entry.channel for entry in self._subscribed.values() if entry.channel is not None]

    def has_live_credentials(self) -> bool:
        """Whether everything that is open by leave of a key or token still is."""
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
        access = None
        if any(stream.is_private for stream in found.values()):
            access = self._leave_to_read(fields)
            owner = (access or self._logged_in()).account
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
            self._subscribed[name] = _Subscription(channel, access if stream.is_private else None)
            if before is not None and before.channel == channel:
                if channel is not None:
                    actions.append(Remind(channel))
                continue
            if before is not None and before.channel is not None:
                actions.append(Unsubscribe(before.channel))  # It was another account's.
            if channel is not None:
                actions.append(Subscribe(channel))
        unknown = [name for name in names if name not in found]
        if unknown:
            message = f"Invalid stream: {', '.join(unknown)}"
            return [*actions, _error(request_id, INVALID_STREAM, message)]
        return actions + _done(request_id)

    def _unsubscribe(self, fields: Fields, request_id: bytes) -> list[Action]:
        """To leave needs nobody's leave, and to leave what is not subscribed is no error."""
        actions: list[Action] = []
        for name in _names(fields):
            entry = self._subscribed.pop(name, None)
            if entry is not None and entry.channel is not None:
                actions.append(Unsubscribe(entry.channel))
        return actions + _done(request_id)

    def _leave_to_read(self, fields: Fields) -> Access | None:
        """What the frame's signature opens; None if the login is enough and there is none."""
        if fields.get("signature") is None:
            access = self._logged_in()
            signed = None
        else:
            access = signed = self._by_signature(fields, "subscribe")
        if not access.permissions & READ:
            _refuse(INVALID_SIGNATURE, "Not permitted to read")
        return signed

    def _logged_in(self) -> Access:
        if self.access is None:
            _refuse(INVALID_SIGNATURE, "Private streams need a signature or LOGIN")
        return self.access

    def _login(self, fields: Fields) -> None:
        if fields.get("signature") is not None:
            access = self._by_signature(fields, "login")
        else:
            access = self._by_token(fields)
        if self.access is not None and self.access.account != access.account:
            _refuse(BAD_FRAME, "Already logged in as another account")
        if not access.permissions & READ and self._reads_by_login():
            _refuse(INVALID_SIGNATURE, "Not permitted to read what is subscribed")
        self.access = access

    def _reads_by_login(self) -> bool:
        """Whether a private stream is open by leave of the login."""
        return any(
            entry.access is None and entry.channel is not None and entry.channel.owner
            for entry in self._subscribed.values()
        )

    def _by_signature(self, fields: Fields, instruction: str) -> Access:
        parts = fields["signature"]
        if type(parts) is not list or len(parts) != 4 or self._authority is None:
            _refuse(INVALID_SIGNATURE, "Invalid signature")
        try:
            return self._authority.by_signature(parts, instruction, address=self._address)
        except ApiError as error:
            raise _of_credential(error) from None

    def _by_token(self, fields: Fields) -> Access:
        params = fields.get("params")
        token = params.get("token") if type(params) is dict else None
        if type(token) is not str:
            _refuse(BAD_FRAME, "LOGIN needs a token or a signature")
        if self._authority is None:
            _refuse(INVALID_SIGNATURE, "Unauthorized")
        try:
            return self._authority.by_token(token, address=self._address)
        except ApiError as error:
            raise _of_credential(error) from None


def _fields(text: bytes) -> Fields:
    try:
        return read_object(text)
    except BadRequest as error:
        check_text(text)
        _refuse(BAD_FRAME, error.message.replace("Body", "Frame"))


def _id(text: bytes, fields: Fields) -> bytes:
    """The client's id, in its own words."""
    if type(fields["id"]) in (dict, list):
        _refuse(BAD_FRAME, "An id is a number or a string")
    try:
        return bytes(_read_id(text).id)
    except (msgspec.DecodeError, RecursionError):
        _refuse(BAD_FRAME, "Frame is not valid JSON")


def _names(fields: Fields) -> Collection[str]:
    """The streams that a frame names, each once, in its order."""
    names = fields.get("params")
    if type(names) is not list or not all(type(name) is str for name in names):
        _refuse(BAD_FRAME, "params is a list of streams")
    return dict.fromkeys(names)


def _of_credential(error: ApiError) -> _Refused:
    """How this protocol says what HTTP says by status and code."""
    if "expired" in error.message:
        return _Refused(EXPIRED, error.message)
    return _Refused(TOO_MANY if error.status == 429 else INVALID_SIGNATURE, error.message)


def _refuse(code: int, message: str) -> NoReturn:
    raise _Refused(code, message)


def _done(request_id: bytes) -> list[Action]:
    """Success is answered only to who gave an id: to others the streams are the answer."""
    return [] if request_id == NO_ID else [Reply(b'{"id":%b,"result":null}' % request_id)]


def _error(request_id: bytes, code: int, message: str) -> Reply:
    text = msgspec.json.encode(message)
    return Reply(b'{"id":%b,"error":{"code":%d,"message":%b}}' % (request_id, code, text))
