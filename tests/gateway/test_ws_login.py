"""LOGIN of WebSocket connections: the checks of the API contract, in its order."""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import pytest
from nacl.signing import SigningKey

from fairbook.api.errors import ApiError, BadRequest
from fairbook.gateway.authentication import Authenticator
from fairbook.gateway.rate_limits import TokenBuckets
from fairbook.gateway.ws_login import LoginAuthenticator
from tests.world.memory_accounts import ALICE, ALICE_KEY, ALICE_TOKEN, MemoryAccounts

HERE = "192.0.2.1"
GUESSES_MAX = 5
NOW_MS = 1_614_550_000_000
# Signed with the seed of 32 zero bytes.
VECTOR = [
    "O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik=",
    "fdz4MsPYqzitb0nPEoFi2A6bKKhu04Eu0/1ZLnCiGo68bPr2pN0qv+Sxi7HOr8739h8BHX0F8lSAicuNHhE5AQ==",
    "1614550000000",
    "5000",
]
STRANGER = SigningKey(sha256(b"stranger").digest())
UNAUTHORIZED = (401, "UNAUTHORIZED", "Unauthorized")
EXPIRED = (400, "INVALID_CLIENT_REQUEST", "Request has expired")
INVALID = (401, "INVALID_SIGNATURE", "Invalid signature")


def login_authenticator(now_ms: int = NOW_MS) -> tuple[LoginAuthenticator, MemoryAccounts]:
    accounts = MemoryAccounts()
    guesses = TokenBuckets(per_minute=60, burst=GUESSES_MAX)
    authenticator = Authenticator(accounts, now_ms=lambda: now_ms)
    return LoginAuthenticator(accounts, authenticator, guesses), accounts


def signed(instruction: str, at: str, window: str, key: SigningKey = ALICE_KEY) -> list[str]:
    text = f"instruction={instruction}&timestamp={at}&window={window}"
    signature = key.sign(text.encode()).signature
    return [b64encode(bytes(key.verify_key)).decode(), b64encode(signature).decode(), at, window]


def refused(parts: Sequence[Any], instruction: str = "subscribe") -> tuple[int, str, str]:
    with pytest.raises(ApiError) as caught:
        login_authenticator()[0].by_signature(parts, instruction, address=HERE)
    return caught.value.status, caught.value.code, caught.value.message


def test_the_signature_of_the_contract_opens_its_account() -> None:
    """A login once: who repeats it could place orders."""
    logins, _ = login_authenticator()
    for _ in range(2):
        assert logins.by_signature(VECTOR, "subscribe", address=HERE).account == ALICE
    parts = signed("login", str(NOW_MS + 1), "60000")
    assert logins.by_signature(parts, "login", address=HERE).account == ALICE
    with pytest.raises(BadRequest, match="already seen"):
        logins.by_signature(parts, "login", address=HERE)
    with pytest.raises(BadRequest, match="expired"):  # as an earlier process may have taken it
        logins.by_signature(signed("login", str(NOW_MS), "60000"), "login", address=HERE)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([], UNAUTHORIZED),
        (VECTOR[:3], UNAUTHORIZED),
        ([*VECTOR, "5000"], UNAUTHORIZED),
        ([None, *VECTOR[1:]], UNAUTHORIZED),
        ([*VECTOR[:3], True], UNAUTHORIZED),
        ([*VECTOR[:3], ["5000"]], UNAUTHORIZED),
        (["", *VECTOR[1:]], UNAUTHORIZED),
        (["é" * 44, *VECTOR[1:]], UNAUTHORIZED),
        (signed("subscribe", str(NOW_MS), "5000", STRANGER), UNAUTHORIZED),
        # The time is checked before the key, the key before the signature.
        (signed("subscribe", str(NOW_MS - 5001), "5000", STRANGER), EXPIRED),
        (signed("subscribe", str(NOW_MS - 5001), "5000"), EXPIRED),
        (signed("subscribe", str(NOW_MS + 5001), "5000"), EXPIRED),
        (signed("subscribe", str(NOW_MS), "60001"), EXPIRED),
        (signed("subscribe", str(NOW_MS), "-1"), EXPIRED),
        (signed("subscribe", f"{NOW_MS}.0", "5000"), EXPIRED),
        (signed("subscribe", str(NOW_MS * 1000), "5000"), EXPIRED),
        (signed("subscribe", "", "5000"), EXPIRED),
        (signed("subscribe", "\uff11\uff16", "5000"), EXPIRED),
        (signed("login", str(NOW_MS), "5000"), INVALID),
        ([*VECTOR[:2], "1614550000001", "5000"], INVALID),
        ([VECTOR[0], "", *VECTOR[2:]], INVALID),
        ([VECTOR[0], "é", *VECTOR[2:]], INVALID),
        ([VECTOR[0], VECTOR[1][:-4], *VECTOR[2:]], INVALID),
    ],
)
def test_malformed_logins_are_refused(parts: list[Any], expected: tuple[int, str, str]) -> None:
    assert refused(parts) == expected


def test_a_signature_is_for_one_instruction() -> None:
    """A signature to subscribe does not log in."""
    assert refused(VECTOR, "login") == INVALID


@pytest.mark.parametrize("token", ["", "x", "alice-token ", "é", "\0"])
def test_a_wrong_token_is_refused(token: str) -> None:
    logins, _ = login_authenticator()
    assert logins.by_token(ALICE_TOKEN, address=HERE).account == ALICE
    with pytest.raises(ApiError) as caught:
        logins.by_token(token, address=HERE)
    assert (caught.value.status, caught.value.code) == UNAUTHORIZED[:2]


def test_wrong_guesses_are_limited_per_address() -> None:
    """Valid tokens are served all the same, and keys that have not failed so often from there."""
    logins, _ = login_authenticator()
    wrong = signed("login", str(NOW_MS), "5000")
    for _ in range(GUESSES_MAX):
        with pytest.raises(ApiError) as caught:
            logins.by_token("x", address=HERE)
        assert caught.value.status == 401
    with pytest.raises(ApiError) as caught:
        logins.by_token("x", address=HERE)
    assert caught.value.status == 429
    assert logins.by_token(ALICE_TOKEN, address=HERE).account == ALICE
    for _ in range(GUESSES_MAX):
        with pytest.raises(ApiError) as caught:
            logins.by_signature(wrong, "subscribe", address=HERE)
        assert caught.value.status == 401
    for parts in (wrong, VECTOR):
        with pytest.raises(ApiError) as caught:
            logins.by_signature(parts, "subscribe", address=HERE)
        assert caught.value.status == 429  # Nothing is verified.
    assert logins.by_signature(VECTOR, "subscribe", address="192.0.2.2").account == ALICE


def test_revoked_keys_and_tokens_are_not_live() -> None:
    """Each for itself: other keys and tokens of the account stay valid."""
    logins, accounts = login_authenticator()
    by_token, by_key = (
        logins.by_token(ALICE_TOKEN, address=HERE),
        logins.by_signature(VECTOR, "subscribe", address=HERE),
    )
    assert logins.is_live(by_token) and logins.is_live(by_key)
    del accounts.tokens[ALICE_TOKEN]
    assert not logins.is_live(by_token) and logins.is_live(by_key)
    accounts.keys.clear()
    assert not logins.is_live(by_key)
