"""Users, their sessions and keys: what /auth/v1 does, without HTTP.

Design: each step is a command of the log or a row of the store; the log decides. A sign-up is: the
row of the user, OPEN_ACCOUNT, the account in the row, ADD_CREDENTIAL of the password, its text.
After a crash on the way the same request completes it: no one has ever acted for the account, and
it owns nothing. A session is a token that expires: one logged fact; using it logs nothing.

Invariants:
- a user id that the log has opened is never given to another user, also if the store lost its row;
- no session that was begun with a password outlives it, but the one that has changed it;
- a failed login takes the same time and gives the same answer whether the user exists or not.
"""

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple
from weakref import WeakValueDictionary

from fairbook.accounts.credential_registry import CredentialRegistry, Listed
from fairbook.accounts.credentials import StoredCredential, User
from fairbook.accounts.logged_notes import ReadFrame, invitation_note, noted_at, reset_note
from fairbook.accounts.sqlite_accounts import SqliteAccounts
from fairbook.accounts.sqlite_operators import Invitation
from fairbook.api.errors import ApiError, BadRequest, not_implemented, rejected, unauthorized
from fairbook.auth.password_process import PasswordProcess
from fairbook.core import admin_records, records
from fairbook.core.admin_records import ALL_PERMISSIONS, PASSWORD, PUBLIC_KEY, TOKEN
from fairbook.core.credential_table import Credential
from fairbook.core.units import NS_PER_SECOND
from fairbook.ports.accounts import AccountRefused
from fairbook.ports.commands import Commands
from fairbook.ports.digests import folded, invitation_digest
from fairbook.ports.queries import StateView

SESSION_S: Final = 24 * 3600
SESSIONS_MAX: Final = 20  # of an account; the next one ends the oldest
UNINVITED: Final = "An invitation is needed, and counts once"
RESET_NS: Final = 24 * 3600 * NS_PER_SECOND  # a code for a new password is good
NO_RESET: Final = "The code is not one for this user, was used, or is older than a day"
TAKEN: Final = "That e-mail address is taken"


class LoginSession(NamedTuple):
    """A session that was begun. `token` is given out only here."""

    token: str
    expires_ns: int


class UserAccounts:
    """Call it in the thread of the engine's loop. Methods raise ApiError, AccountRefused, and as
    `Commands.submit` and PasswordProcess do.
    """

    def __init__(
        self,
        store: SqliteAccounts,
        registry: CredentialRegistry,
        commands: Commands,
        facts: StateView,
        passwords: PasswordProcess,
        read_frame: ReadFrame,
        *,
        now_ns: Callable[[], int],
    ) -> None:
        self._store = store
        self._registry = registry
        self._commands = commands
        self._facts = facts
        self._passwords = passwords
        self._read_frame = read_frame
        self._now_ns = now_ns
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def sign_up(self, email: str, password: str, invitation: str | None = None) -> int:
        """The account of a new user. invitation: a code that is used up, if one is needed."""
        text = await self._passwords.hash(password)
        async with self._lock(email):
            user = await asyncio.to_thread(self._store.user_named, email)
            if user is not None and await self._is_used(user):
                raise BadRequest(TAKEN)
            if user is None:
                user = await self._new_user(email, invitation)
            account = await self._open_account(user.user_id)
            await asyncio.to_thread(self._store.set_account, user.user_id, account)
            await self._registry.set_password(user.user_id, text)
        return account

    async def _is_used(self, user: User) -> bool:
        """Whether anything but a password, which the store may have lost in a crash, was ever added
        to the account, or it owns something.
        """
        account = self._facts.account_of_user(user.user_id)
        if account == 0:
            return False
        facts = self._facts.credentials(account)
        has_password = await self._registry.password(user.user_id) is not None
        has_others = any(fact.credential_type != PASSWORD for fact in facts)
        owns = any(available or locked for _, available, locked in self._facts.balances(account))
        return has_password or has_others or owns

    async def _new_user(self, email: str, invitation: str | None) -> User:
        user_id = await asyncio.to_thread(self._store.next_user_id)
        while self._facts.account_of_user(user_id):
            user_id += 1  # The store has lost its row.
        if invitation is not None:
            user_id = await asyncio.to_thread(self._invited, invitation, user_id)
            if self._facts.account_of_user(user_id):
                raise ApiError(403, "FORBIDDEN", UNINVITED)
        try:
            return await asyncio.to_thread(self._store.add_user, email=email, user_id=user_id)
        except AccountRefused:
            # Another sign-up has taken the id meanwhile.
            raise ApiError(503, "TRADING_PAUSED", "Try again", retry_after_s=1) from None

    def _invited(self, code: str, user_id: int) -> int:
        """Use a code up for a user; return the user's id, that of before if a crash has left a used
        code without its user. Raises 403.
        """
        operators, digest = self._store.operators, invitation_digest(code)
        found = operators.invitation(digest)
        if found is not None and self._is_noted(found):
            if not found.user_id and operators.use_invitation(digest, user_id):
                return user_id
            if found.user_id and self._store.user(found.user_id) is None:
                return found.user_id
        raise ApiError(403, "FORBIDDEN", UNINVITED)

    def _is_noted(self, found: Invitation) -> bool:
        note = invitation_note(found.digest)
        return noted_at(self._read_frame, found.position, note, found.operator) is not None

    async def _open_account(self, user_id: int) -> int:
        answer = await self._commands.submit(admin_records.open_account(user_id))
        outcome = records.read_outcome(answer.events)
        if outcome.status == records.REJECTED:
            raise rejected(outcome.reason)
        return outcome.account

    async def log_in(self, email: str, password: str) -> LoginSession:
        """Begin a session. Raises 401 for a wrong password and for an unknown user."""
        user = await asyncio.to_thread(self._store.user_named, email)
        text = await self._registry.password(0 if user is None else user.user_id)
        if not await self._passwords.is_right(password, text) or user is None:
            raise unauthorized()
        if await self._registry.second_factor(user.user_id) is not None:
            raise not_implemented("second factors")
        async with self._lock(email):
            if await self._registry.password(user.user_id) != text:
                raise unauthorized()  # It was changed meanwhile.
            return await self._begin_session(user.user_id)

    async def _begin_session(self, user_id: int) -> LoginSession:
        account = self._facts.account_of_user(user_id)
        sessions = sorted(self.sessions(account), key=lambda fact: (fact.added_ns, fact.slot))
        for oldest in sessions[: max(len(sessions) - SESSIONS_MAX + 1, 0)]:
            await self._registry.revoke(account=account, digest=oldest.digest)
        expires_ns = self._now_ns() + SESSION_S * NS_PER_SECOND
        token, _ = await self._registry.add_token(
            account=account, permissions=ALL_PERMISSIONS, expires_ns=expires_ns
        )
        return LoginSession(token, expires_ns)

    async def change_password(self, account: int, old: str, new: str, acting: bytes) -> None:
        """And end all other sessions. `acting`: hash of the session that asks. Raises 401 for a
        wrong password.
        """
        user = await asyncio.to_thread(self._store.user_of, account)
        text = None if user is None else await self._registry.password(user.user_id)
        if not await self._passwords.is_right(old, text) or user is None:
            raise unauthorized()
        new_text = await self._passwords.hash(new)
        async with self._lock(user.email or ""):
            if await self._registry.password(user.user_id) != text:
                raise unauthorized()  # It was changed meanwhile.
            await self._registry.set_password(user.user_id, new_text)
            await self._end_sessions(account, acting)

    async def reset_password(self, email: str, code: str, password: str) -> None:
        """Set a new password with the code that two operators have allowed, and end all sessions.
        Raises 403.
        """
        text = await self._passwords.hash(password)
        user = await asyncio.to_thread(self._store.user_named, email)
        account = 0 if user is None else self._facts.account_of_user(user.user_id)
        digest = invitation_digest(code)
        found = await asyncio.to_thread(self._store.operators.reset, digest)
        time_ns = None
        if found is not None and account and found.account == account:
            note = reset_note(account, digest)
            time_ns = await asyncio.to_thread(
                noted_at, self._read_frame, found.position, note, found.operator
            )
        is_young = time_ns is not None and self._facts.log_time_ns() - time_ns < RESET_NS
        if user is None or not is_young:
            raise ApiError(403, "FORBIDDEN", NO_RESET)
        async with self._lock(email):
            if not await asyncio.to_thread(self._store.operators.use_reset, digest):
                raise ApiError(403, "FORBIDDEN", NO_RESET)
            await self._registry.set_password(user.user_id, text)
            await self._end_sessions(account)

    async def _end_sessions(self, account: int, but: bytes = b"") -> None:
        for session in self.sessions(account):
            if session.digest != but:
                await self._registry.revoke(account=account, digest=session.digest)

    def _lock(self, email: str) -> asyncio.Lock:
        """Held while the password or the sessions of a user change."""
        return self._locks.setdefault(folded(email), asyncio.Lock())

    def sessions(self, account: int) -> list[Credential]:
        """The live tokens that expire."""
        return [fact for fact in self.live(account, TOKEN) if fact.expires_ns != 0]

    def live(self, account: int, credential_type: int) -> list[Credential]:
        now_ns = max(self._facts.log_time_ns(), self._now_ns())
        return [
            fact
            for fact in self._facts.credentials(account)
            if fact.credential_type == credential_type and fact.is_live(now_ns)
        ]

    def acting(self, account: int, slot: int) -> Credential:
        """The credential in a slot, which must hold one."""
        return self._facts.credentials(account)[slot - 1]

    async def email(self, account: int) -> str:
        user = await asyncio.to_thread(self._store.user_of, account)
        return "" if user is None else user.email or ""

    async def keys(self, account: int) -> list[tuple[Listed, bytes]]:
        """Live keys with their labels, and the 32 bytes of each; empty if the store lost them."""
        stored = await asyncio.to_thread(self._store.credentials, account)
        contents = {row.digest: row.content for row in stored}
        return [
            (each, contents.get(each.fact.digest, b""))
            for each in await self._registry.listed(account)
            if each.fact.credential_type == PUBLIC_KEY
        ]

    async def add_key(
        self,
        account: int,
        public_key: bytes,
        *,
        label: str,
        permissions: int,
        expires_ns: int,
        acting: int,
    ) -> StoredCredential:
        return await self._registry.add_key(
            account=account, public_key=public_key, label=label, permissions=permissions,
            expires_ns=expires_ns, acting=acting,
        )  # fmt: skip

    async def end(self, account: int, digest: bytes, credential_type: int, acting: int) -> bool:
        """End a key or session of the account. False if there is no such live one."""
        fact = self._facts.credential(digest)
        is_own = fact is not None and (fact.owner_kind, fact.owner) == (0, account)
        if not is_own or fact is None or fact.credential_type != credential_type:
            return False
        return await self._registry.revoke(account=account, digest=digest, acting=acting)
