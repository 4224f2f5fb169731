"""Log in a WebSocket connection, by token or signature, with the rules of HTTP requests.

Invariants: the checks come in the order of the API contract, and every refusal is an ApiError.
Failed logins use up a rate limit of their address, the same one as failed HTTP authentication.
"""

from collections.abc import Sequence
from typing import Any

from fairbook.api.errors import ApiError, unauthorized
from fairbook.gateway.authentication import Authenticator
from fairbook.gateway.guesses import Guesses
from fairbook.gateway.rate_limits import TokenBuckets
from fairbook.net.addresses import address_key
from fairbook.ports.accounts import Access, Accounts


class LoginAuthenticator:
    """The Authority of WebSocket connections. All look-ups are in memory."""

    def __init__(
        self, accounts: Accounts, authenticator: Authenticator, guesses: TokenBuckets
    ) -> None:
        self._accounts = accounts
        self._authenticator = authenticator
        self._guesses = Guesses(guesses)

    def by_token(self, token: str, *, address: str) -> Access:
        """Raises UNAUTHORIZED or TOO_MANY_REQUESTS."""
        access = self._accounts.by_token(token)
        if access is None:
            raise self._guesses.charge(unauthorized(), address_key(address))
        return access

    def by_signature(self, parts: Sequence[Any], instruction: str, *, address: str) -> Access:
        """Raises UNAUTHORIZED if the parts are not four strings or the key is unknown,
        INVALID_CLIENT_REQUEST for a wrong time, or a login that was used before; INVALID_SIGNATURE
        or TOO_MANY_REQUESTS.
        """
        key = address_key(address)
        try:
            if len(parts) != 4 or not all(isinstance(part, str) for part in parts):
                raise unauthorized()
            names = (b"x-api-key", b"x-signature", b"x-timestamp", b"x-window")
            headers = dict(zip(names, (part.encode() for part in parts), strict=True))
            signed = self._authenticator.check_headers(headers)
            self._guesses.check(key, signed.public_key)
            access = self._authenticator.verify(signed, instruction, [[]])
        except ApiError as error:
            if error.status == 401:
                raise self._guesses.charge(error, key) from None
            raise
        if instruction == "login":
            self._authenticator.use_for_login(signed)
        return access

    def is_live(self, access: Access) -> bool:
        return self._accounts.is_live(access)
