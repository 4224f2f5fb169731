"""Add, revoke and read the credentials of accounts: the log first, then the store.

Design: a change is a command. When its outcome is durable, the store gets what must not be in the
log. A crash between the two leaves a fact without a row, which is no contradiction: a key then has
no label, and a password has to be set again.

Invariants:
- a secret is handed out only if the log has its hash, live, and of this user's account;
- before the slot of an ended credential can be given out again, its row is gone.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple
from weakref import WeakValueDictionary

from fairbook.accounts import credentials
from fairbook.accounts.credentials import StoredCredential, content_digest
from fairbook.accounts.sqlite_accounts import SqliteAccounts
from fairbook.api.errors import rejected
from fairbook.core import admin_records, records
from fairbook.core.admin_records import PASSWORD, PUBLIC_KEY, SECOND_FACTOR, TOKEN
from fairbook.core.credential_table import Credential
from fairbook.core.units import NS_PER_SECOND
from fairbook.ports.accounts import AccountRefused
from fairbook.ports.commands import Commands
from fairbook.ports.digests import (
    password_digest,
    public_key_digest,
    second_factor_digest,
    token_digest,
)
from fairbook.ports.queries import Facts

KEYS_MAX: Final = 50
TOKENS_MAX: Final = 50
REVOKED_PER_LIVE_MAX: Final = 20  # revoked keys stay in the log, so that none is registered again
_ENDS_SOON_NS: Final = 60 * NS_PER_SECOND  # until a command is executed, with room


class SecretLost(Exception):
    """The log has a live second factor of the user, the store has not. No login may skip it."""


class Listed(NamedTuple):
    """A live key or token: the fact, and the label if the store has one."""

    fact: Credential
    label: str


class CredentialRegistry:
    """Call it in the thread of the engine's loop."""

    def __init__(
        self,
        store: SqliteAccounts,
        commands: Commands,
        facts: Facts,
        *,
        keys_max: int = KEYS_MAX,
        tokens_max: int = TOKENS_MAX,
    ) -> None:
        """The limits are per account."""
        self._store = store
        self._commands = commands
        self._facts = facts
        self._live_max = {PUBLIC_KEY: keys_max, TOKEN: tokens_max}
        self._keys_max = keys_max
        self._locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    async def add_key(
        self,
        *,
        account: int,
        public_key: bytes,
        label: str,
        permissions: int,
        expires_ns: int = 0,
        acting: int = 0,
    ) -> StoredCredential:
        """The caller checks that the owner of the key has the secret half. `acting`: the slot of
        the credential that orders it. Raises AccountRefused, also for a key that was ever
        registered, and as `Commands.submit`.
        """
        credentials.check_public_key(public_key)
        credentials.check_permissions(permissions)
        if len(label) > credentials.LABEL_CHARACTERS_MAX:
            raise AccountRefused(
                f"A label has at most {credentials.LABEL_CHARACTERS_MAX} characters"
            )
        ever_max = self._keys_max * (1 + REVOKED_PER_LIVE_MAX)
        if await asyncio.to_thread(self._store.keys_added, account) >= ever_max:
            raise AccountRefused("Too many API keys")
        return await self._add(
            account, PUBLIC_KEY, public_key_digest(public_key), content=public_key, label=label,
            permissions=permissions, expires_ns=expires_ns, acting=acting,
        )  # fmt: skip

    async def add_token(
        self, *, account: int, permissions: int, expires_ns: int = 0, acting: int = 0
    ) -> tuple[str, StoredCredential]:
        """Add a bearer token. Its text is returned only here. `expires_ns` 0: never. Raises as
        `add_key`.
        """
        credentials.check_permissions(permissions)
        text = credentials.new_token()
        stored = await self._add(
            account, TOKEN, token_digest(text), permissions=permissions, expires_ns=expires_ns,
            acting=acting,
        )  # fmt: skip
        return text, stored

    async def revoke(self, *, account: int, digest: bytes, acting: int = 0) -> bool:
        """End a key or token, by its hash. False if the account has no such live one."""
        fact = self._facts.credential(digest)
        if fact is None or fact.revoked_ns != 0 or fact.credential_type not in self._live_max:
            return False
        command = admin_records.revoke_credential(detail=digest, owner=account, credential=acting)
        async with self._lock(account):
            outcome, _ = await self._submit(command)
            if outcome.status == records.REJECTED:
                if outcome.reason == records.UNKNOWN_CREDENTIAL:
                    return False
                raise AccountRefused(rejected(outcome.reason).message)
            await asyncio.to_thread(self._store.remove_credentials, [digest])
        return True

    async def listed(self, account: int) -> list[Listed]:
        """The live keys and tokens of the account, by slot."""
        stored = await asyncio.to_thread(self._store.credentials, account)
        labels = {row.digest: row.label for row in stored}
        return [
            Listed(fact, labels.get(fact.digest, ""))
            for fact in self._live(account)
            if fact.credential_type in self._live_max
        ]

    async def set_password(self, user_id: int, text: str) -> None:
        """`text`: the complete argon2id text. The one before is revoked. Raises AccountRefused."""
        if not 1 <= len(text) <= credentials.PASSWORD_TEXT_MAX:
            raise AccountRefused("Not the text of a password's hash")
        email = await self._email(user_id)
        digest = password_digest(user_id=user_id, email=email, text=text)
        await self._add(self._account(user_id), PASSWORD, digest, content=text.encode())

    async def password(self, user_id: int) -> str | None:
        """The argon2id text to check a password with; None: none that the log has."""
        content = await self._secret(user_id, PASSWORD)
        return None if content is None else content.decode()

    async def set_second_factor(self, user_id: int, record: bytes) -> None:
        """`record`: the secret as it is to be stored. The one before is revoked. Raises
        AccountRefused.
        """
        if not 1 <= len(record) <= credentials.SECOND_FACTOR_BYTES_MAX:
            raise AccountRefused("Not the record of a second factor")
        digest = second_factor_digest(user_id=user_id, record=record)
        await self._add(self._account(user_id), SECOND_FACTOR, digest, content=record)

    async def second_factor(self, user_id: int) -> bytes | None:
        """The secret record; None: the user has no second factor. Raises SecretLost."""
        content = await self._secret(user_id, SECOND_FACTOR)
        account = self._facts.account_of_user(user_id)
        has_fact = any(fact.credential_type == SECOND_FACTOR for fact in self._live(account))
        if content is None and has_fact:
            raise SecretLost(f"the second factor of user {user_id} is not the one in the log")
        return content

    async def _add(
        self,
        account: int,
        credential_type: int,
        digest: bytes,
        *,
        content: bytes = b"",
        label: str = "",
        permissions: int = 0,
        expires_ns: int = 0,
        acting: int = 0,
    ) -> StoredCredential:
        async with self._lock(account):
            live_max = self._live_max.get(credential_type)
            alike = [f for f in self._live(account) if f.credential_type == credential_type]
            if live_max is not None and len(alike) >= live_max:
                what = "API keys" if credential_type == PUBLIC_KEY else "tokens"
                raise AccountRefused(f"Too many {what}")
            if ending := self._ending(account):
                await asyncio.to_thread(self._store.remove_credentials, ending)
            command = admin_records.add_credential(
                detail=digest, credential_type=credential_type, owner=account,
                permissions=permissions, expires_ns=expires_ns, credential=acting,
            )  # fmt: skip
            outcome, time_ns = await self._submit(command)
            if outcome.status == records.REJECTED:
                raise AccountRefused(_refusal(outcome.reason, credential_type))
            replaced = [fact.digest for fact in alike] if live_max is None else []
            return await asyncio.to_thread(
                self._store.put_credential, account=account, credential_type=credential_type,
                digest=digest, content=content, label=label, permissions=permissions,
                expires_ns=expires_ns, created_ns=time_ns, replaces=replaced,
            )  # fmt: skip

    async def _submit(self, command: bytes) -> tuple[records.Outcome, int]:
        answer = await self._commands.submit(command)
        return records.read_outcome(answer.events), answer.time_ns

    async def _secret(self, user_id: int, credential_type: int) -> bytes | None:
        """What the store has, if the log has its hash."""
        account = self._facts.account_of_user(user_id)
        stored = await asyncio.to_thread(self._store.credentials, account)
        email = await self._email(user_id)
        live = {
            fact.digest for fact in self._live(account) if fact.credential_type == credential_type
        }
        for row in stored:
            is_live = row.type == credential_type and row.digest in live
            if is_live and content_digest(row, user_id=user_id, email=email) == row.digest:
                return row.content
        return None

    async def _email(self, user_id: int) -> str:
        user = await asyncio.to_thread(self._store.user, user_id)
        return "" if user is None else user.email or ""

    def _account(self, user_id: int) -> int:
        account = self._facts.account_of_user(user_id)
        if account == 0:
            raise AccountRefused("Account not open")
        return account

    def _live(self, account: int) -> list[Credential]:
        time_ns = self._facts.log_time_ns()
        return [fact for fact in self._facts.credentials(account) if fact.is_live(time_ns)]

    def _ending(self, account: int) -> Sequence[bytes]:
        """Hashes of those that have ended, or may have when the next command is executed."""
        time_ns = self._facts.log_time_ns() + _ENDS_SOON_NS
        return [
            fact.digest for fact in self._facts.credentials(account) if not fact.is_live(time_ns)
        ]

    def _lock(self, account: int) -> asyncio.Lock:
        return self._locks.setdefault(account, asyncio.Lock())


def _refusal(reason: int, credential_type: int) -> str:
    if reason == records.DUPLICATE_CREDENTIAL and credential_type == PUBLIC_KEY:
        return "The public key is already registered"
    return rejected(reason).message
