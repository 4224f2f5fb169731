"""Look-up of keys and tokens in the state of the log: the Accounts port.

Design: the hash of what the client presents is looked up among the facts of the log. What was found
is remembered by its hash: the core's object is that credential for ever, and shows its end.

Invariant: a credential gives access exactly while the log has it live. No file is read.
"""

import time
from collections.abc import Callable
from typing import Final

from fairbook.core.admin_records import OF_ACCOUNT, PUBLIC_KEY, TOKEN
from fairbook.core.credential_table import Credential
from fairbook.ports.accounts import Access
from fairbook.ports.digests import public_key_digest, token_digest
from fairbook.ports.queries import Facts

TOKEN_CHARACTERS_MAX: Final = 64  # longer texts are not even hashed
REMEMBERED_MAX: Final = 65_536


class LoggedCredentials:
    """Call it in the thread of the engine's loop."""

    def __init__(self, facts: Facts, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._facts = facts
        self._now_ns = now_ns
        self._found: dict[bytes, tuple[Credential, Access]] = {}
        self._by_token: dict[str, tuple[Credential, Access]] = {}  # saves hashing it again

    def by_key(self, public_key: bytes) -> Access | None:
        return self._find(public_key_digest(public_key), PUBLIC_KEY)

    def by_token(self, token: str) -> Access | None:
        known = self._by_token.get(token)
        if known is not None and self._lives(known[0]):
            return known[1]
        if len(token) > TOKEN_CHARACTERS_MAX:
            return None
        digest = token_digest(token)
        access = self._find(digest, TOKEN)
        if access is not None:
            if len(self._by_token) >= REMEMBERED_MAX:
                self._by_token.clear()
            self._by_token[token] = self._found[digest]
        return access

    def is_live(self, access: Access) -> bool:
        found = self._found.get(access.digest)
        if found is None:
            credential = self._facts.credential(access.digest)
            return credential is not None and self._lives(credential)
        return self._lives(found[0])

    def _find(self, digest: bytes, credential_type: int) -> Access | None:
        found = self._found.get(digest)
        if found is None or not self._lives(found[0]):
            found = self._look_up(digest)
        if found is None or found[0].credential_type != credential_type:
            return None
        return found[1]

    def _look_up(self, digest: bytes) -> tuple[Credential, Access] | None:
        credential = self._facts.credential(digest)
        if credential is None or credential.owner_kind != OF_ACCOUNT or not self._lives(credential):
            return None
        if len(self._found) >= REMEMBERED_MAX:
            self._found.clear()
        access = Access(credential.owner, credential.permissions, credential.slot, digest)
        found = self._found[digest] = (credential, access)
        return found

    def _lives(self, credential: Credential) -> bool:
        """By the clock too: log time may stand still for up to a second."""
        if credential.expires_ns == 0:
            return credential.revoked_ns == 0
        return credential.is_live(max(self._now_ns(), self._facts.log_time_ns()))
