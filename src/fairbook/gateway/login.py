"""Who a connection that lasts speaks for: the rules of HTTP's headers, for what stands in messages.

Always true: the checks come in the contract's order (section 1), and every refusal is an ApiError;
wrong guesses are paid for by the address they come from, from the allowance that it has over HTTP.

Not here: the signed text and its candidates (auth.py); what a connection may then do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fairbook.api.errors import ApiError, unauthorized
from fairbook.gateway.auth import Authenticator
from fairbook.gateway.rate_limits import TokenBuckets
from fairbook.net.addresses import address_key
from fairbook.ports.accounts import Access, Accounts


class LoginAuthenticator:
    """Tokens and signatures to accounts. All look-ups are in memory."""

    def __init__(
        self, accounts: Accounts, authenticator: Authenticator, guesses: TokenBuckets[str]
    ) -> None:
        self._accounts = accounts
        self._authenticator = authenticator
        self._guesses = guesses

    def by_token(self, token: str, *, address: str) -> Access:
        """What a bearer token opens. Raises UNAUTHORIZED, or TOO_MANY_REQUESTS."""
        self._guesses.check(address_key(address))
        access = self._accounts.by_token(token)
        if access is None:
            self._guesses.take(address_key(address))
            raise unauthorized()
        return access

    def by_signature(self, parts: Sequence[Any], instruction: str, *, address: str) -> Access:
        """What [key, signature, timestamp ms, window ms] over the text of `instruction` without
        parameters opens.

        parts: strings, also for literal numbers. Raises UNAUTHORIZED if they are no such four or
        the key is not known, INVALID_CLIENT_REQUEST if the time is wrong, INVALID_SIGNATURE; or
        TOO_MANY_REQUESTS.
        """
        self._guesses.check(address_key(address))
        try:
            return self._verify(parts, instruction)
        except ApiError as error:
            if error.status == 401:
                self._guesses.take(address_key(address))
            raise

    def _verify(self, parts: Sequence[Any], instruction: str) -> Access:
        if len(parts) != 4 or not all(type(part) is str for part in parts):
            raise unauthorized()
        key, signature, timestamp, window = (part.encode() for part in parts)
        headers = {
            b"x-api-key": key,
            b"x-signature": signature,
            b"x-timestamp": timestamp,
            b"x-window": window,
        }
        return self._authenticator.finish(self._authenticator.begin(headers), instruction, [[]])

    def is_live(self, access: Access) -> bool:
        """Whether what gave this access still does: neither revoked nor expired."""
        return self._accounts.is_live(access)
