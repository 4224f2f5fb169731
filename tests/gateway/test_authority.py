"""Who a lasting connection speaks for: the contract's checks, in the contract's order."""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import pytest
from nacl.signing import SigningKey

from fairbook.api.errors import ApiError
from fairbook.gateway.auth import Authenticator
from fairbook.gateway.authority import Authority
from tests.gateway.exchange import ALICE
from tests.gateway.house import ALICE_KEY, ALICE_TOKEN, DictAccounts

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


def authority(now_ms: int = NOW_MS) -> tuple[Authority, DictAccounts]:
    accounts = DictAccounts()
    return Authority(accounts, Authenticator(accounts, now_ms=lambda: now_ms)), accounts


def signed(instruction: str, at: str, window: str, key: SigningKey = ALICE_KEY) -> list[str]:
    text = f"instruction={instruction}&timestamp={at}&window={window}"
    signature = key.sign(text.encode()).signature
    return [b64encode(bytes(key.verify_key)).decode(), b64encode(signature).decode(), at, window]


def refused(parts: Sequence[Any], instruction: str = "subscribe") -> tuple[int, str, str]:
    with pytest.raises(ApiError) as caught:
        authority()[0].by_signature(parts, instruction)
    return caught.value.status, caught.value.code, caught.value.message


def test_the_signature_of_the_contract_opens_its_account() -> None:
    """Again and again: nothing is done by it, so it may be seen twice."""
    judge, _ = authority()
    for _ in range(2):
        assert judge.by_signature(VECTOR, "subscribe").account == ALICE
    assert judge.by_signature(signed("login", str(NOW_MS), "60000"), "login").account == ALICE


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
    assert judge.by_token(ALICE_TOKEN).account == ALICE
    with pytest.raises(ApiError) as caught:
        judge.by_token(token)
    assert (caught.value.status, caught.value.code) == UNAUTHORIZED[:2]


def test_what_opened_an_access_may_go() -> None:
    """Each by itself: the account's other keys and tokens stay."""
    judge, accounts = authority()
    by_token, by_key = judge.by_token(ALICE_TOKEN), judge.by_signature(VECTOR, "subscribe")
    assert judge.is_live(by_token) and judge.is_live(by_key)
    del accounts.tokens[ALICE_TOKEN]
    assert not judge.is_live(by_token) and judge.is_live(by_key)
    accounts.keys.clear()
    assert not judge.is_live(by_key)
