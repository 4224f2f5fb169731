"""Authenticate requests: ED25519 signatures over the signed text of the API, or a bearer token.

Design: clients differ in details of the signed text, so a short list of candidates is tried, the
plain one first. Signatures are verified in the event loop's thread; one takes about 50 us.

Invariants: the checks come in the order of the API contract; a refused request has changed nothing;
at most eight candidates are verified for a request.
"""

import time
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Final, NamedTuple
from urllib.parse import quote

from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from fairbook.api.errors import ApiError, BadRequest, unauthorized
from fairbook.api.numbers import whole_number
from fairbook.api.requests import Pairs, as_signed
from fairbook.ports.accounts import Access, Accounts

WINDOW_MS: Final = 5000
WINDOW_MS_MAX: Final = 60_000
AHEAD_MS_MAX: Final = 1000  # of our clock, for a request without a client id, which waits
EXPIRED: Final = "Request has expired"

_MILLISECONDS_DIGITS: Final = 15
_WINDOW_DIGITS: Final = 5
_KEY_TEXT_BYTES: Final = 44
_KEYS_REMEMBERED: Final = 4096

Headers = dict[bytes, bytes]


class SignedRequest(NamedTuple):
    """A request with a known key and a valid time, whose signature is not verified yet."""

    access: Access
    public_key: bytes
    signature: bytes  # 64 bytes, or fewer: then it never verifies
    timestamp: str  # as the client wrote it
    window: str
    expires_ms: int


class Authenticator:
    """Finds the account and permissions of a request."""

    def __init__(
        self,
        accounts: Accounts,
        *,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        taken_until_ms: int | None = None,
        replays_max: int = 200_000,
    ) -> None:
        """taken_until_ms: until when an earlier process may have taken requests; default: now."""
        self._accounts = accounts
        self._now_ms = now_ms
        if taken_until_ms is None:
            taken_until_ms = now_ms()
        self._replay_guard = ReplayGuard(entries_max=replays_max, since_ms=taken_until_ms)

    def by_token(self, authorization: bytes) -> Access:
        if authorization[:7].lower() != b"bearer ":
            raise unauthorized()
        access = self._accounts.by_token(authorization[7:].decode("latin-1"))
        if access is None:
            raise unauthorized()
        return access

    def check_headers(self, headers: Headers) -> SignedRequest:
        """Check presence, time and key, in this order. Raises UNAUTHORIZED or BadRequest."""
        key, signature, timestamp = map(headers.get, (b"x-api-key", b"x-signature", b"x-timestamp"))
        if key is None or signature is None or timestamp is None:
            raise unauthorized()
        window = headers.get(b"x-window", b"5000")
        at_ms = whole_number(timestamp.decode("latin-1"), digits_max=_MILLISECONDS_DIGITS)
        window_ms = whole_number(window.decode("latin-1"), digits_max=_WINDOW_DIGITS)
        if at_ms is None or window_ms is None or window_ms > WINDOW_MS_MAX:
            raise BadRequest(EXPIRED)
        if abs(self._now_ms() - at_ms) > window_ms:
            raise BadRequest(EXPIRED)
        public_key = _key_of(key) if len(key) == _KEY_TEXT_BYTES else b""
        access = self._accounts.by_key(public_key) if len(public_key) == 32 else None
        if access is None:
            raise unauthorized()
        return SignedRequest(
            access, public_key, _from_base64(signature),
            timestamp.decode(), window.decode(), at_ms + window_ms,
        )  # fmt: skip

    def verify(self, signed: SignedRequest, instruction: str, groups: Sequence[Pairs]) -> Access:
        """Verify the signature over `groups`, one per order of a batch; or INVALID_SIGNATURE."""
        for text in candidate_texts(groups, instruction, signed.timestamp, signed.window):
            if _verifies(signed, text):
                return signed.access
        raise ApiError(401, "INVALID_SIGNATURE", "Invalid signature")

    def refuse_repeated(self, signed: SignedRequest) -> float:
        """Apply the replay rule to a verified request that changes state without a client id.

        Returns the seconds until the request's own time, which it must wait. So no request is in
        the log before its own time, and a later process knows from the log's last time which
        requests may have been taken before it.
        """
        timestamp_ms, now_ms = int(signed.timestamp), self._now_ms()
        self._replay_guard.add(
            signed.signature, timestamp_ms=timestamp_ms, expires_ms=signed.expires_ms, now_ms=now_ms
        )
        return (timestamp_ms - now_ms + 1) / 1000 if timestamp_ms > now_ms else 0.0


class ReplayGuard:
    """Remembers the signatures that were used and have not expired.

    A signature covers its timestamp and window, so the same signature always expires in the same
    second: they are kept by second, and whole seconds are dropped once they have passed. A full
    table refuses new signatures (503). Requests up to `since_ms`, which an earlier process may have
    taken, are refused as expired.
    """

    def __init__(self, *, entries_max: int, since_ms: int) -> None:
        self._by_second: dict[int, set[bytes]] = {}
        self._entries = 0
        self._entries_max = entries_max
        self._since_ms = since_ms

    def add(self, signature: bytes, *, timestamp_ms: int, expires_ms: int, now_ms: int) -> None:
        """Remember a signature. Raises BadRequest if it is repeated or mistimed; TRADING_PAUSED."""
        if not self._since_ms < timestamp_ms <= now_ms + AHEAD_MS_MAX:
            raise BadRequest(EXPIRED)
        second = expires_ms // 1000
        seen = self._by_second.get(second)
        if seen is None:
            self._forget(now_ms // 1000)
            seen = self._by_second[second] = set()
        elif signature in seen:
            raise BadRequest("Request already seen")
        if self._entries >= self._entries_max:
            raise ApiError(
                503, "TRADING_PAUSED", "Too many signed requests, use a clientId", retry_after_s=1
            )
        seen.add(signature)
        self._entries += 1

    def __len__(self) -> int:
        return self._entries

    def _forget(self, now_s: int) -> None:
        for second in [second for second in self._by_second if second < now_s]:
            self._entries -= len(self._by_second.pop(second))


def candidate_texts(
    groups: Sequence[Pairs], instruction: str, timestamp: str, window: str
) -> Iterator[str]:
    """The texts that may have been signed, most likely first, none twice.

    A value that contains the separator "&" counts only percent-encoded. Unencoded, one text would
    fit other fields too, and a signed clientId could be hidden in the value of the field before it.
    """
    end = f"timestamp={timestamp}&window={window}"
    start = f"instruction={instruction}&"
    # Nearly always the right one, so it is built in the cheapest way. A null is "None" in it.
    parts = []
    for group in groups:
        parts.append(start)
        parts += [f"{name}={value}&" for name, value in group]
    first = "".join(parts) + end
    is_plain = first.count("&") == len(parts) + 1
    if is_plain:
        yield first
    has_null = any(value is None for group in groups for _, value in group)
    seen = [first]
    for null in ("None", None, "", "null") if has_null else ("",):
        for encode in (str, _percent_encoded) if is_plain else (_percent_encoded,):
            parts = []
            for group in groups:
                parts.append(f"instruction={instruction}")
                for name, value in group:
                    text = null if value is None else value
                    if text is not None:
                        parts.append(f"{encode(name)}={encode(text)}")
            parts.append(end)
            text = "&".join(parts)
            if text not in seen:
                seen.append(text)
                yield text


def query_pairs(pairs: Sequence[tuple[str, str]]) -> Pairs:
    """The pairs of a query as they are signed: sorted."""
    return sorted((name, as_signed(value)) for name, value in pairs)


def _verifies(signed: SignedRequest, text: str) -> bool:
    if len(signed.signature) != 64:
        return False
    try:
        crypto_sign_open(signed.signature + text.encode(), signed.public_key)
    except BadSignatureError:
        return False
    return True


def _from_base64(text: bytes) -> bytes:
    try:
        return a2b_base64(text, strict_mode=True)
    except Base64Error:
        return b""


_percent_encoded: Final = partial(quote, safe="")
_key_of: Final = lru_cache(maxsize=_KEYS_REMEMBERED)(_from_base64)
