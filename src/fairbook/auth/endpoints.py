"""The endpoints of /auth/v1: sign-up, login, sessions and API keys."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import msgspec
from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from fairbook.api.errors import (
    ApiError,
    BadRequest,
    busy,
    maintenance,
    not_found,
    outcome_unknown,
    unauthorized,
)
from fairbook.api.numbers import whole_number
from fairbook.api.requests import Fields, read_object
from fairbook.auth.names_and_passwords import check_email, check_password
from fairbook.auth.password_process import PasswordsBusy
from fairbook.auth.user_accounts import UNINVITED, UserAccounts
from fairbook.core.admin_records import PUBLIC_KEY, TOKEN
from fairbook.core.credential_table import Credential
from fairbook.core.units import NS_PER_SECOND
from fairbook.gateway.rate_limits import TokenBuckets
from fairbook.gateway.request import Endpoint, Endpoints, JsonOrReply, Reads, Reply, Request
from fairbook.net.addresses import address_key
from fairbook.ports.accounts import READ, TRADE, WITHDRAW, AccountRefused
from fairbook.ports.commands import Busy, Stopped
from fairbook.ports.digests import DIGEST_BYTES, folded
from fairbook.ports.events import Emit, ignore_event

DEADLINE_S: Final = 15.0  # of a login with a full queue before it
SIGN_UPS_PER_HOUR: Final = 5  # of an address
SIGN_UP_NS: Final = NS_PER_SECOND  # between two of all
LOGINS_BURST: Final = 20  # wrong passwords of an address at once, then
LOGINS_NS: Final = 3 * NS_PER_SECOND  # between two
USER_LOGINS_BURST: Final = 5  # of an address, for one user
USER_LOGINS_NS: Final = 30 * NS_PER_SECOND
SESSIONS_BURST: Final = 30  # sessions that a user may begin at once, then
SESSIONS_NS: Final = 60 * NS_PER_SECOND  # between two: the log remembers each for ever
MS: Final = 1_000_000
CODE_CHARACTERS_MAX: Final = 100
EXPIRES_MS_MAX: Final = (1 << 63) // MS - 1  # nanoseconds of the log have 63 bits
PERMISSIONS: Final = {"read": READ, "trade": TRADE, "withdraw": WITHDRAW}

encode = msgspec.json.encode

AsyncHandler = Callable[[Request], Awaitable[JsonOrReply]]


class AuthEndpoints:
    """The endpoints. `mode`: open, invitation or closed."""

    def __init__(
        self,
        users: UserAccounts,
        *,
        mode: str,
        sign_ups_per_hour: int = SIGN_UPS_PER_HOUR,
        emit: Emit = ignore_event,
    ) -> None:
        """sign_ups_per_hour: of an address; 0: no limit, also of all together. emit: hooks."""
        self._emit = emit
        self._users = users
        self._mode = mode
        hour_ns = 3600 * NS_PER_SECOND
        interval_ns = hour_ns // sign_ups_per_hour if sign_ups_per_hour else 0
        self._sign_ups = TokenBuckets(interval_ns=interval_ns, burst=max(sign_ups_per_hour, 1))
        self._all_sign_ups = TokenBuckets(
            interval_ns=SIGN_UP_NS if sign_ups_per_hour else 0, burst=5
        )
        self._failed = TokenBuckets(interval_ns=LOGINS_NS, burst=LOGINS_BURST)
        self._sessions = TokenBuckets(interval_ns=SESSIONS_NS, burst=SESSIONS_BURST)
        self._failed_of_user = TokenBuckets(interval_ns=USER_LOGINS_NS, burst=USER_LOGINS_BURST)

    def endpoints(self) -> Endpoints:
        base = b"/auth/v1/"
        public: dict[bytes, AsyncHandler] = {
            b"signup": self.sign_up,
            b"login": self.log_in,
            b"reset": self.reset,
        }
        found: Endpoints = {
            (b"POST", base + name): Endpoint(_guarded(handler), reads="body", writes=True)
            for name, handler in public.items()
        }
        private: dict[tuple[bytes, bytes], tuple[AsyncHandler, str, int]] = {
            (b"POST", b"logout"): (self.log_out, "sessionEnd", READ),
            (b"GET", b"sessions"): (self.sessions, "sessionQueryAll", READ),
            (b"POST", b"password"): (self.password, "passwordUpdate", WITHDRAW),
            (b"GET", b"keys"): (self.keys, "keyQueryAll", READ),
            (b"POST", b"keys"): (self.add_key, "keyAdd", READ),
        }
        for (method, name), (handler, instruction, permission) in private.items():
            reads: Reads = "query" if method == b"GET" else "body"
            if handler == self.log_out:
                reads = "body or query"  # It needs no field, so also no body.
            found[method, base + name] = Endpoint(
                _guarded(handler), instruction, permission, reads, writes=method != b"GET"
            )
        return found

    def endpoints_under(self) -> Endpoints:
        """Followed by an id."""
        of = partial(Endpoint, reads="body or query", writes=True)
        return {
            (b"DELETE", b"/auth/v1/sessions/"): of(
                _guarded(partial(self._end, TOKEN)), "sessionEnd", TRADE
            ),
            (b"DELETE", b"/auth/v1/keys/"): of(
                _guarded(partial(self._end, PUBLIC_KEY)), "keyEnd", TRADE
            ),
        }

    async def sign_up(self, request: Request) -> Reply:
        fields = _read(request, {"email", "password", "invitation"})
        if self._mode == "closed":
            raise ApiError(403, "FORBIDDEN", "Sign-up is closed")
        code = fields.get("invitation")
        if self._mode == "invitation" and not (
            isinstance(code, str) and len(code) <= CODE_CHARACTERS_MAX
        ):
            raise ApiError(403, "FORBIDDEN", UNINVITED)
        email = check_email(fields.get("email"))
        password = check_password(fields.get("password"), email)
        address = address_key(request.address)
        self._sign_ups.check(address)
        self._all_sign_ups.take("all")
        self._sign_ups.take(address)
        invitation = str(code) if self._mode == "invitation" else None
        account = await self._users.sign_up(email, password, invitation)
        self._emit("signed-up", {"accountId": str(account), "email": email})
        return Reply(encode({"accountId": str(account)}), 201)

    async def log_in(self, request: Request) -> bytes:
        fields = _read(request, {"email", "password"})
        email, password = fields.get("email"), fields.get("password")
        if not isinstance(email, str) or not isinstance(password, str):
            raise BadRequest("Missing or malformed field: email or password")
        if len(email) > 254 or len(password) > 128:
            raise unauthorized()
        address = address_key(request.address)
        user = (address, folded(email))
        self._sessions.check(folded(email))
        self._failed.check(address)
        self._failed_of_user.take(user)  # Before the hash, or many guesses at once cost as one.
        self._failed.take(address)
        is_wrong = False
        try:
            session = await self._users.log_in(email, password)
        except ApiError as error:
            is_wrong = error.status == 401
            raise
        finally:
            if not is_wrong:
                self._failed.give_back(address)
                self._failed_of_user.give_back(user)
        self._sessions.drain(folded(email), 1)
        return encode({"token": session.token, "expiresAt": session.expires_ns // MS})

    async def reset(self, request: Request) -> bytes:
        fields = _read(request, {"email", "code", "newPassword"})
        email, code = check_email(fields.get("email")), fields.get("code")
        password = check_password(fields.get("newPassword"), email)
        if not isinstance(code, str) or len(code) > CODE_CHARACTERS_MAX:
            raise BadRequest("Missing or malformed field: code")
        address = address_key(request.address)
        self._failed.check(address)
        self._failed.drain(address, 1)
        await self._users.reset_password(email, str(code), password)
        return b"{}"

    async def log_out(self, request: Request) -> bytes:
        acting = self._acting_session(request)
        await self._users.end(request.account, acting.digest, TOKEN, request.credential)
        return b"{}"

    async def sessions(self, request: Request) -> bytes:
        acting = self._users.acting(request.account, request.credential)
        return encode(
            [
                {
                    "id": fact.digest.hex(),
                    "createdAt": fact.added_ns // MS,
                    "expiresAt": fact.expires_ns // MS,
                    "current": fact.digest == acting.digest,
                }
                for fact in self._users.sessions(request.account)
            ]
        )

    async def password(self, request: Request) -> bytes:
        acting = self._acting_session(request)
        fields = _only(request.fields, {"oldPassword", "newPassword"})
        old = fields.get("oldPassword")
        if not isinstance(old, str) or len(old) > 128:
            raise BadRequest("Missing or malformed field: oldPassword")
        new = check_password(fields.get("newPassword"), await self._users.email(request.account))
        key = (address_key(request.address), request.account)
        self._failed_of_user.take(key)
        is_wrong = False
        try:
            await self._users.change_password(request.account, old, new, acting.digest)
        except ApiError as error:
            is_wrong = error.status == 401
            if is_wrong:
                raise ApiError(403, "FORBIDDEN", "Wrong password") from None
            raise
        finally:
            if not is_wrong:
                self._failed_of_user.give_back(key)
        return b"{}"

    async def keys(self, request: Request) -> bytes:
        return encode(
            [
                _key_object(each.fact, each.label, content)
                for each, content in await self._users.keys(request.account)
            ]
        )

    async def add_key(self, request: Request) -> Reply:
        acting = self._acting_session(request)
        names = {"publicKey", "label", "permissions", "proof", "expiresAt"}
        fields = _only(request.fields, names)
        public_key = _base64(fields, "publicKey", 32)
        permissions = _permissions(fields.get("permissions"))
        if permissions & ~acting.permissions:
            raise ApiError(403, "FORBIDDEN", "A key cannot have more permissions than its session")
        label = fields.get("label") or ""
        if not isinstance(label, str) or not label.isprintable():
            raise BadRequest("Missing or malformed field: label")
        _check_proof(public_key, _base64(fields, "proof", 64))
        expires_ns = _expires_ms(fields.get("expiresAt")) * MS
        stored = await self._users.add_key(
            request.account, public_key, label=str(label), permissions=permissions,
            expires_ns=expires_ns, acting=request.credential,
        )  # fmt: skip
        fact = next(f for f in self._users.live(request.account, PUBLIC_KEY)
                    if f.digest == stored.digest)  # fmt: skip
        return Reply(encode(_key_object(fact, stored.label, public_key)), 201)

    async def _end(self, credential_type: int, request: Request) -> bytes:
        self._acting_session(request)
        try:
            digest = bytes.fromhex(request.path.rpartition(b"/")[2].decode())
        except ValueError:
            digest = b""
        if len(digest) != DIGEST_BYTES or not await self._users.end(
            request.account, digest, credential_type, request.credential
        ):
            raise not_found()
        return b"{}"

    def _acting_session(self, request: Request) -> Credential:
        """Raises 403 for an API key: it cannot make or end keys."""
        acting = self._users.acting(request.account, request.credential)
        if acting.credential_type != TOKEN:
            raise ApiError(403, "FORBIDDEN", "This needs a login, not an API key")
        return acting


def _guarded(handler: AsyncHandler) -> AsyncHandler:
    """What the parts below raise becomes an answer."""

    async def guarded(request: Request) -> JsonOrReply:
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await handler(request)
        except AccountRefused as refused:
            raise BadRequest(str(refused)) from None
        except (Busy, PasswordsBusy):
            raise busy() from None
        except Stopped:
            raise maintenance() from None
        except TimeoutError:
            raise outcome_unknown() from None

    return guarded


def _read(request: Request, known: set[str]) -> Fields:
    """The body of a request without credentials."""
    content_type = request.headers.get(b"content-type", b"application/json").lower()
    if not content_type.startswith(b"application/json"):
        raise ApiError(415, "INVALID_CLIENT_REQUEST", "Content-Type must be application/json")
    return _only(read_object(request.body), known)


def _only(fields: Fields, known: set[str]) -> Fields:
    for name in fields:
        if name not in known:
            raise BadRequest(f"Unknown field: {name[:64]}")
    return fields


def _base64(fields: Fields, name: str, length: int) -> bytes:
    value = fields.get(name)
    try:
        decoded = base64.b64decode(value if isinstance(value, str) else "", validate=True)
    except ValueError:
        decoded = b""
    if len(decoded) != length:
        raise BadRequest(f"{name} must be {length} bytes in base64")
    return decoded


def _permissions(value: Any) -> int:
    bits = 0
    words = ["read"] if value is None else value
    if not isinstance(words, list) or not words:
        raise BadRequest("permissions must be a list of read, trade and withdraw")
    for word in words:
        if not isinstance(word, str) or word not in PERMISSIONS:
            raise BadRequest("permissions must be a list of read, trade and withdraw")
        bits |= PERMISSIONS[word]
    return bits


def _expires_ms(value: Any) -> int:
    if value is None:
        return 0
    milliseconds = whole_number(value, digits_max=13)
    if milliseconds is not None and milliseconds <= EXPIRES_MS_MAX:
        return milliseconds
    raise BadRequest("expiresAt must be a time in milliseconds")


def _check_proof(public_key: bytes, signature: bytes) -> None:
    text = f"instruction=registerKey&publicKey={base64.b64encode(public_key).decode()}"
    try:
        crypto_sign_open(signature + text.encode(), public_key)
    except (BadSignatureError, ValueError):
        raise BadRequest("proof is not a signature of the new key") from None


def _key_object(fact: Credential, label: str, content: bytes) -> dict[str, Any]:
    return {
        "id": fact.digest.hex(),
        "publicKey": base64.b64encode(content).decode() or None,
        "label": label,
        "permissions": [name for name, bit in PERMISSIONS.items() if fact.permissions & bit],
        "createdAt": fact.added_ns // MS,
        "expiresAt": fact.expires_ns // MS or None,
    }
