"""Authenticate requests: ED25519 signatures over the signed text of the API, or a bearer token.

Design: clients differ in details of the signed text, so a short list of candidates is tried, the
plain one first. Signatures are verified in the event loop's thread; one takes about 50 us.

Invariants: the checks come in the order of the API contract; a refused request has changed nothing;
at most eight candidates are verified for a request.
"""

import time
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache, partial
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
AHEAD_MS_MAX: Final = 1000  # of our clock, for a request that changes something
LOGIN_AHEAD_MS_MAX: Final = 250
EXPIRED: Final = "Request has expired"
AHEAD: Final = "Request is of a later time than the exchange's clock shows"
SEEN: Final = "Request already seen"
JUST_STARTED: Final = "The exchange has just started: sign the order again in a second"
CLOCK_WAS_AHEAD: Final = (
    "The exchange's clock was ahead: until it shows that time again, signed requests that change"
    " something are refused; use a token, or ask the operator"
)

BYTES_PER_TOKEN: Final = 4096  # of a text that was verified in vain
KEPT_S: Final = 2  # beyond their time, for a clock that is put back a little
_SHARE: Final = 16  # an account may have the free places divided by this
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
        signatures_max: int = 1_000_000,
    ) -> None:
        """taken_until_ms: until when an earlier process may have taken requests, as far as these
        are in the log: its last time, 1 or less if it is empty; default: now. The clock may have
        jumped ahead of the log: if that is longer ago than any window, they may be of any time.
        """
        self._accounts = accounts
        self._now_ms = now_ms
        self._started_ms = now_ms()
        self._latest_ms = self._started_ms  # that was seen
        if taken_until_ms is None or 1 < taken_until_ms < self._started_ms - WINDOW_MS_MAX:
            taken_until_ms = self._started_ms
        self._taken_until_ms = taken_until_ms
        self._used = SignatureMemory(entries_max=signatures_max)

    @property
    def refuses_until_ms(self) -> int:
        """Until when signed requests that change something are refused, because the log is ahead of
        the clock; 0: they are not.
        """
        is_ahead = self._taken_until_ms > self._now_ms() + AHEAD_MS_MAX
        return self._taken_until_ms if is_ahead else 0

    def confirm_clock(self) -> None:
        """Accept requests from now on although the log is ahead of the clock. Signatures that were
        made and used while the clock was ahead could be used again when that time has come.
        """
        self._taken_until_ms = min(self._taken_until_ms, self._now_ms())

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
        """Verify the signature over `groups`, one per order of a batch. Raises InvalidSignature."""
        tokens = 0
        for text in candidate_texts(groups, instruction, signed.timestamp, signed.window):
            if _verifies(signed, text):
                return signed.access
            tokens += 1 + len(text) // BYTES_PER_TOKEN
        raise InvalidSignature(signed.public_key, tokens)

    def use_once(self, signed: SignedRequest) -> float:
        """Use up the signature of a verified request that changes something. Raises SeenBefore;
        BadRequest for a time that is ahead; ApiError if the memory is full.

        Returns the seconds until the request's own time, which it must wait. So no request is in
        the log before its own time, and a later process knows from the log's last time which
        requests may have been taken before it.
        """
        now_ms = self._watch_clock()
        self._remember(signed, self._taken_until_ms, now_ms, AHEAD_MS_MAX)
        timestamp_ms = int(signed.timestamp)
        return (timestamp_ms - now_ms + 1) / 1000 if timestamp_ms > now_ms else 0.0

    def use_with_client_id(self, signed: SignedRequest) -> None:
        """The same for orders that all have a client id. They do not wait: those that may be in the
        log before their own time may have been taken too. A new order is not told from these in the
        first second, so it is asked for again.
        """
        now_ms = self._watch_clock()
        if 0 < int(signed.timestamp) - self._taken_until_ms <= AHEAD_MS_MAX:
            raise JustStarted()
        self._remember(signed, self._taken_until_ms, now_ms, AHEAD_MS_MAX)

    def use_for_login(self, signed: SignedRequest) -> None:
        """The same for a login, which is not logged: an earlier process may have taken it until
        this one began. How far it may be ahead is less than the time that a start takes.
        """
        now_ms = self._watch_clock()
        since_ms = max(self._taken_until_ms, self._started_ms)
        self._remember(signed, since_ms, now_ms, LOGIN_AHEAD_MS_MAX)

    def _watch_clock(self) -> int:
        """Our time. If the clock was put back, everything until the latest time that it showed may
        have been taken: the memory forgets by the clock.
        """
        now_ms = self._now_ms()
        if now_ms >= self._latest_ms - AHEAD_MS_MAX:
            self._latest_ms = max(self._latest_ms, now_ms)
        else:
            self._taken_until_ms = max(self._taken_until_ms, self._latest_ms)
            self._latest_ms = now_ms
        return now_ms

    def _remember(
        self, signed: SignedRequest, since_ms: int, now_ms: int, ahead_ms_max: int
    ) -> None:
        timestamp_ms = int(signed.timestamp)
        if timestamp_ms > now_ms + ahead_ms_max:
            raise BadRequest(AHEAD)
        if timestamp_ms <= since_ms:
            raise SeenBefore(CLOCK_WAS_AHEAD if self.refuses_until_ms else EXPIRED)
        self._used.add(
            signed.access.account, signed.signature, expires_ms=signed.expires_ms, now_ms=now_ms
        )


class InvalidSignature(ApiError):
    """tokens: what verifying it cost: one for each text that was tried, and one for each
    BYTES_PER_TOKEN bytes of it. public_key: whose signature it was said to be.
    """

    def __init__(self, public_key: bytes, tokens: int) -> None:
        super().__init__(401, "INVALID_SIGNATURE", "Invalid signature")
        self.public_key = public_key
        self.tokens = tokens


class SeenBefore(BadRequest):
    """The signature was used, or may have been used by an earlier process."""


class JustStarted(ApiError):
    """An earlier process may have taken it, or not: a new order may be signed and sent again."""

    def __init__(self) -> None:
        super().__init__(503, "TRADING_PAUSED", JUST_STARTED, retry_after_s=1)


def seen_error(message: str) -> ApiError:
    """A new error with the message of a SeenBefore or JustStarted."""
    return JustStarted() if message == JUST_STARTED else SeenBefore(message)


class SignatureMemory:
    """Remembers the signatures that were used and have not expired, by account.

    A signature covers its timestamp and window, so the same signature always expires in the same
    second: they are kept by second, and whole seconds are dropped KEPT_S after they have passed.

    An account may have a 16th of the places that are free: one alone can take 58,000 of a million,
    and after a hundred that took what they can a new one still finds 140 places.
    """

    def __init__(self, *, entries_max: int) -> None:
        self._by_second: dict[int, dict[int, set[bytes]]] = {}
        self._count_of: Counter[int] = Counter()
        self._count = 0
        self._entries_max = entries_max

    def add(self, account: int, signature: bytes, *, expires_ms: int, now_ms: int) -> None:
        """Remember a signature. Raises SeenBefore; TOO_MANY_REQUESTS without a place."""
        second = expires_ms // 1000
        of_second = self._by_second.get(second)
        if of_second is None:
            self._forget(now_ms // 1000 - KEPT_S)
            of_second = self._by_second[second] = {}
        seen = of_second.get(account)
        if seen is None:
            seen = of_second[account] = set()
        elif signature in seen:
            raise SeenBefore(SEEN)
        if self._count_of[account] * _SHARE >= self._entries_max - self._count:
            raise ApiError(
                429, "TOO_MANY_REQUESTS", "Too many signed requests: wait, or use a token",
                retry_after_s=1,
            )  # fmt: skip
        seen.add(signature)
        self._count += 1
        self._count_of[account] += 1

    def __len__(self) -> int:
        return self._count

    def _forget(self, now_s: int) -> None:
        for second in [second for second in self._by_second if second < now_s]:
            for account, signatures in self._by_second.pop(second).items():
                self._count -= len(signatures)
                self._count_of[account] -= len(signatures)
                if not self._count_of[account]:
                    del self._count_of[account]


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
    encode = cache(partial(quote, safe=""))  # fields of the query are in each group
    encoded: list[Pairs] = [
        [(encode(name), None if value is None else encode(value)) for name, value in group]
        for group in groups
    ]
    seen = [first]
    for null in ("None", None, "", "null") if has_null else ("",):
        for each in (groups, encoded) if is_plain else (encoded,):
            parts = []
            for group in each:
                parts.append(f"instruction={instruction}")
                for name, value in group:
                    text = null if value is None else value
                    if text is not None:
                        parts.append(f"{name}={text}")
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


_key_of: Final = lru_cache(maxsize=_KEYS_REMEMBERED)(_from_base64)
