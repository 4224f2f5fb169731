"""Credentials of a client: a bearer token, or a key that signs each request."""

import time
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from nacl.bindings import crypto_sign, crypto_sign_seed_keypair

WINDOW_MS: Final = 5000
Pairs = Mapping[str, Any]


class Credentials(Protocol):
    """Authenticates requests and logins."""

    def headers(self, instruction: str, parameters: Sequence[Pairs]) -> dict[str, str]:
        """The headers of a request. parameters: one mapping, or one for each order of a batch."""

    def login(self) -> dict[str, Any]:
        """The fields that a LOGIN frame has besides id and method."""


class BearerToken:
    """Sends the same token with each request."""

    def __init__(self, token: str) -> None:
        self._token = token

    def headers(self, instruction: str, parameters: Sequence[Pairs]) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"}

    def login(self) -> dict[str, Any]:
        return {"params": {"token": self._token}}


class SigningKey:
    """An ED25519 key: public key and seed in base64, as the exchange issues them."""

    def __init__(self, api_key: str, api_secret: str) -> None:
        """Raises ValueError if the secret is not the seed of that key."""
        public_key, self._secret = crypto_sign_seed_keypair(b64decode(api_secret, validate=True))
        if public_key != b64decode(api_key, validate=True):
            raise ValueError("the secret is not of this key")
        self._api_key = api_key

    def headers(self, instruction: str, parameters: Sequence[Pairs]) -> dict[str, str]:
        timestamp_ms, signature = self._sign(signed_text(instruction, parameters))
        return {
            "X-API-Key": self._api_key,
            "X-Signature": signature,
            "X-Timestamp": str(timestamp_ms),
            "X-Window": str(WINDOW_MS),
        }

    def login(self) -> dict[str, Any]:
        timestamp_ms, signature = self._sign("instruction=login")
        return {"signature": [self._api_key, signature, str(timestamp_ms), str(WINDOW_MS)]}

    def _sign(self, text: str) -> tuple[int, str]:
        timestamp_ms = time.time_ns() // 1_000_000
        message = f"{text}&timestamp={timestamp_ms}&window={WINDOW_MS}".encode()
        return timestamp_ms, b64encode(crypto_sign(message, self._secret)[:64]).decode()


def signed_text(instruction: str, parameters: Sequence[Pairs]) -> str:
    """What a signature covers, up to the timestamp: each mapping's parameters by rising name."""
    parts = []
    for pairs in parameters or [{}]:
        parts.append(f"instruction={instruction}")
        parts += [f"{name}={_text(pairs[name])}" for name in sorted(pairs)]
    return "&".join(parts)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
