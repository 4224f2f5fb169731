"""Who a lasting connection speaks for: the contract's checks, in the contract's order."""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import pytest
from nacl.signing import SigningKey

from fairbook.api.errors import ApiError
from fairbook.gateway.auth import Authenticator
from fairbook.gateway.login import LoginAuthenticator
from fairbook.gateway.rate_limits import TokenBuckets
from tests.world.memory_accounts import ALICE, ALICE_KEY, ALICE_TOKEN, MemoryAccounts

HERE = "192.0.2.1"
GUESSES = 5
NOW_MS = 1_614_550_000_000
# The public contract, section 1: signed with the seed of 32 zero bytes.
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


def authority(now_ms: int = NOW_MS) -> tuple[LoginAuthenticator, MemoryAccounts]:
    accounts = MemoryAccounts()
    guesses: TokenBuckets[str] = TokenBuckets(per_minute=60, burst=GUESSES)
    authenticator = Authenticator(accounts, now_ms=lambda: now_ms)
    return LoginAuthenticator(accounts, authenticator, guesses), accounts


def signed(instruction: str, at: str, window: str, key: SigningKey = ALICE_KEY) -> list[str]:
    text = f"instruction={instruction}&timestamp={at}&window={window}"
    signature = key.sign(text.encode()).signature
    return [b64encode(bytes(key.verify_key)).decode(), b64encode(signature).decode(), at, window]


def refused(parts: Sequence[Any], instruction: str = "subscribe") -> tuple[int, str, str]:
    with pytest.raises(ApiError) as caught:
        authority()[0].by_signature(parts, instruction, address=HERE)
    return caught.value.status, caught.value.code, caught.value.message


def test_the_signature_of_the_contract_opens_its_account() -> None:
    """Again and again: nothing is done by it, so it may be seen twice."""
    judge, _ = authority()
    for _ in range(2):
        assert judge.by_signature(VECTOR, "subscribe", address=HERE).account == ALICE
    assert (
        judge.by_signature(signed("login", str(NOW_MS), "60000"), "login", address=HERE).account
        == ALICE
    )


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
        # The time is looked at before the key, the key before the signature.
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
def test_whatever_else_is_sent_is_refused(parts: list[Any], expected: tuple[int, str, str]) -> None:
    assert refused(parts) == expected


def test_a_signature_is_for_one_instruction() -> None:
    """One that subscribes opens no orders."""
    assert refused(VECTOR, "login") == INVALID


@pytest.mark.parametrize("token", ["", "x", "alice-token ", "é", "\0"])
def test_a_wrong_token_opens_nothing(token: str) -> None:
    judge, _ = authority()
    assert judge.by_token(ALICE_TOKEN, address=HERE).account == ALICE
    with pytest.raises(ApiError) as caught:
        judge.by_token(token, address=HERE)
    assert (caught.value.status, caught.value.code) == UNAUTHORIZED[:2]


def test_guessing_is_paid_for_by_the_address() -> None:
    """What is right costs nothing; who has guessed too often is not even looked at."""
    judge, _ = authority()
    wrong = signed("login", str(NOW_MS), "5000")
    for _ in range(3 * GUESSES):
        judge.by_token(ALICE_TOKEN, address=HERE)
    for guess in range(GUESSES):
        with pytest.raises(ApiError) as caught:
            if guess % 2:
                judge.by_token("x", address=HERE)
            else:
                judge.by_signature(wrong, "subscribe", address=HERE)
        assert caught.value.status == 401
    with pytest.raises(ApiError) as caught:
        judge.by_token(ALICE_TOKEN, address=HERE)
    assert caught.value.status == 429
    with pytest.raises(ApiError) as caught:
        judge.by_signature(VECTOR, "subscribe", address=HERE)
    assert caught.value.status == 429
    assert judge.by_token(ALICE_TOKEN, address="192.0.2.2").account == ALICE


def test_what_opened_an_access_may_go() -> None:
    """Each by itself: the account's other keys and tokens stay."""
    judge, accounts = authority()
    by_token, by_key = (
        judge.by_token(ALICE_TOKEN, address=HERE),
        judge.by_signature(VECTOR, "subscribe", address=HERE),
    )
    assert judge.is_live(by_token) and judge.is_live(by_key)
    del accounts.tokens[ALICE_TOKEN]
    assert not judge.is_live(by_token) and judge.is_live(by_key)
    accounts.keys.clear()
    assert not judge.is_live(by_key)
