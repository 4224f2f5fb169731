"""Signatures as every client makes them, tokens, permissions, and the replay rule."""

from base64 import b64decode, b64encode
from urllib.parse import quote

import pytest
from nacl.signing import SigningKey

from fairbook.api.errors import ApiError, BadRequest
from fairbook.api.requests import read_array, read_object, read_query, signed_pairs
from fairbook.gateway.authentication import (
    AHEAD,
    EXPIRED,
    Authenticator,
    JustStarted,
    SeenBefore,
    SignatureMemory,
    SignedRequest,
    candidate_texts,
    query_pairs,
)
from fairbook.ports.accounts import ALL_PERMISSIONS, Access
from tests.world.memory_accounts import ALICE, ALICE_KEY, MemoryAccounts

KEY = "O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik="
AT_MS = 1614550000000
ORDER = (
    '{"orderType":"Limit","side":"Bid","symbol":"SOL_USDC","price":"140.12","quantity":"1.5",'
    '"clientId":12345,"postOnly":true,"timeInForce":"GTC"}'
)
BATCH = (
    '[{"symbol":"SOL_USDC","side":"Bid","orderType":"Limit","price":"141","quantity":"12"},'
    '{"symbol":"SOL_USDC","side":"Bid","orderType":"Limit","price":"140","quantity":"11"}]'
)

# The vectors of the API contract: instruction, query, body, signature.
VECTORS = [
    ("balanceQuery", "", "",
     "zLzcVkg9842QV/I2FOxfOe8htlIhrrsnGySKhMq76HP5xb2BrpTg5Rp4VanX+aR5ntQ/spRWZae/Mamrt0pGBQ=="),
    ("orderCancel", "", '{"symbol":"SOL_USDC","orderId":"28"}',
     "A1Juhf/XaLZVXsAb2fA5WkqQArGB7vHH0CFxDa29trBRO5DncQPRduFK64na/16XqSUR2mzB6EmZfC4izRxsCA=="),
    ("orderExecute", "", ORDER,
     "sDP5SOIpVFf22wSUjISRn+jXciNCapjBbtZQqovjnDbLPp5vDyMIyWzc+mqKmBRVRgWeOj7Ay6LTfHGLF4CGCA=="),
    ("orderExecute", "", BATCH,
     "iTbjzJwjYu8M+7MaBY4zYTwPTfb9CCm++Ki4xP5HfGCgh8xdwJ42xbnWJqhE21Fw92lEXJ/kR+6wX8xR+mfpDw=="),
    ("subscribe", "", "",
     "fdz4MsPYqzitb0nPEoFi2A6bKKhu04Eu0/1ZLnCiGo68bPr2pN0qv+Sxi7HOr8739h8BHX0F8lSAicuNHhE5AQ=="),
]  # fmt: skip


def authenticator(now_ms: int = AT_MS) -> Authenticator:
    return Authenticator(MemoryAccounts(), now_ms=lambda: now_ms)


def check(
    instruction: str,
    query: str,
    body: str,
    signature: str,
    *,
    key: str = KEY,
    timestamp: str = str(AT_MS),
    window: str | None = "5000",
    now_ms: int = AT_MS,
) -> Access:
    """Check a signed request as the gateway does."""
    headers = {
        b"x-api-key": key.encode(),
        b"x-signature": signature.encode(),
        b"x-timestamp": timestamp.encode(),
    }
    if window is not None:
        headers[b"x-window"] = window.encode()
    asked = authenticator(now_ms)
    signed = asked.check_headers(headers)
    pairs = query_pairs(read_query(query.encode()))
    groups = [pairs]
    if body:
        bodies = read_array(body.encode()) if body.startswith("[") else [read_object(body.encode())]
        groups = [pairs + signed_pairs(fields) for fields in bodies]
    return asked.verify(signed, instruction, groups)


def sign(text: str, key: SigningKey = ALICE_KEY) -> str:
    return b64encode(key.sign(text.encode()).signature).decode()


@pytest.mark.parametrize(("instruction", "query", "body", "signature"), VECTORS)
def test_the_vectors_verify(instruction: str, query: str, body: str, signature: str) -> None:
    assert check(instruction, query, body, signature).permissions == ALL_PERMISSIONS
    assert check(instruction, query, body, signature, window=None).permissions == ALL_PERMISSIONS


@pytest.mark.parametrize(("instruction", "query", "body", "signature"), VECTORS)
def test_any_changed_byte_fails(instruction: str, query: str, body: str, signature: str) -> None:
    """One bit in any byte of the signature; any value of the text."""
    raw = b64decode(signature)
    for i in range(64):
        changed = bytearray(raw)
        changed[i] ^= 1
        with pytest.raises(ApiError) as refused:
            check(instruction, query, body, b64encode(changed).decode())
        assert (refused.value.status, refused.value.code) == (401, "INVALID_SIGNATURE")
    others = [
        (instruction + "x", query, body),
        (instruction, "a=1", body),
        (instruction, query, body.replace('"140', '"141') if "140" in body else '{"a":"1"}'),
        (instruction, query, '{"extra":1}' if not body else body.replace('"symbol"', '"symbo1"')),
    ]
    for changed_instruction, changed_query, changed_body in others:
        with pytest.raises(ApiError, match=r"^Invalid signature$"):
            check(changed_instruction, changed_query, changed_body, signature)
    with pytest.raises(ApiError, match=r"^Invalid signature$"):
        check(instruction, query, body, signature, timestamp=str(AT_MS + 1))
    with pytest.raises(ApiError, match=r"^Invalid signature$"):
        check(instruction, query, body, signature, window="5001")


@pytest.mark.parametrize("signature", ["", "abc", "!!!!", b64encode(bytes(63)).decode(), "é" * 64])
def test_a_malformed_signature_is_invalid(signature: str) -> None:
    with pytest.raises(ApiError, match=r"^Invalid signature$"):
        check("balanceQuery", "", "", signature)


def test_percent_encoded_as_ccxt_signs() -> None:
    """Every reserved character, space as %20; only where it differs from the plain text."""
    address = "a:b/c+d e~f_g.h-i"
    body = f'{{"address":"{address}","symbol":"SOL"}}'
    for value in (address, quote(address, safe="")):
        text = f"instruction=withdraw&address={value}&symbol=SOL&timestamp={AT_MS}&window=5000"
        check("withdraw", "", body, sign(text))
    half = quote(address)  # leaves "/" as it is: no client signs that
    text = f"instruction=withdraw&address={half}&symbol=SOL&timestamp={AT_MS}&window=5000"
    with pytest.raises(ApiError, match=r"^Invalid signature$"):
        check("withdraw", "", body, sign(text))


@pytest.mark.parametrize("pair", ["clientId=None&", "", "clientId=&", "clientId=null&"])
def test_null_fields_as_each_client_signs_them(pair: str) -> None:
    body = '{"symbol":"SOL_USDC","clientId":null}'
    text = f"instruction=x&{pair}symbol=SOL_USDC&timestamp={AT_MS}&window=5000"
    check("x", "", body, sign(text))


def test_python_booleans_in_a_query_are_signed_in_lower_case() -> None:
    text = f"instruction=x&reduceOnly=true&symbol=A&timestamp={AT_MS}&window=5000"
    check("x", "symbol=A&reduceOnly=True", "", sign(text))
    raw = f"instruction=x&reduceOnly=True&symbol=A&timestamp={AT_MS}&window=5000"
    with pytest.raises(ApiError, match=r"^Invalid signature$"):
        check("x", "symbol=A&reduceOnly=True", "", sign(raw))


def test_booleans_and_numbers_of_a_body() -> None:
    """`true` and `false`; a number exactly as it was written."""
    body = '{"postOnly":false,"price":1.10,"quantity":1e2,"reduceOnly":true}'
    text = (
        "instruction=x&postOnly=false&price=1.10&quantity=1e2&reduceOnly=true"
        f"&timestamp={AT_MS}&window=5000"
    )
    check("x", "", body, sign(text))


def test_a_query_comes_before_the_body() -> None:
    text = f"instruction=x&b=1&z=2&a=3&timestamp={AT_MS}&window=5000"
    check("x", "z=2&b=1", '{"a":3}', sign(text))


def test_no_request_has_more_than_eight_candidates() -> None:
    groups = [signed_pairs({"a": None, "b": "x/y", "c": None})] * 3
    texts = list(candidate_texts(groups, "orderExecute", "1", "2"))
    assert len(texts) == len(set(texts)) == 8
    assert len(list(candidate_texts([[("a", "plain")]], "x", "1", "2"))) == 1


@pytest.mark.parametrize(
    ("timestamp", "window", "now_ms"),
    [
        (str(AT_MS), "5000", AT_MS + 5001),
        (str(AT_MS), "5000", AT_MS - 5001),
        (str(AT_MS), "60001", AT_MS),
        (str(AT_MS), "999999999999", AT_MS),
        (str(AT_MS), "-1", AT_MS),
        (str(AT_MS), "5e3", AT_MS),
        (str(AT_MS), "", AT_MS),
        ("-1", "5000", AT_MS),
        (f"{AT_MS}.0", "5000", AT_MS),
        (f"{AT_MS}000", "5000", AT_MS),
        (str(AT_MS // 1000), "5000", AT_MS),
        ("x", "5000", AT_MS),
        ("9" * 5000, "5000", AT_MS),
    ],
)
def test_a_request_outside_its_window_has_expired(timestamp: str, window: str, now_ms: int) -> None:
    """The time is checked before the key: the answer is the same for an unknown key."""
    for key in (KEY, "unknown"):
        with pytest.raises(BadRequest, match=r"^Request has expired$"):
            check("x", "", "", "x", key=key, timestamp=timestamp, window=window, now_ms=now_ms)


def test_the_edges_of_the_window_are_inside() -> None:
    for now_ms in (AT_MS - 60_000, AT_MS + 60_000):
        text = f"instruction=x&timestamp={AT_MS}&window=60000"
        check("x", "", "", sign(text), window="60000", now_ms=now_ms)


@pytest.mark.parametrize(
    "key", ["", "x", "=", "é", b64encode(bytes(31)).decode(), b64encode(bytes(32)).decode()]
)
def test_unknown_and_malformed_keys_get_the_same_answer(key: str) -> None:
    with pytest.raises(ApiError) as refused:
        check("x", "", "", "x", key=key)
    assert (refused.value.status, refused.value.message) == (401, "Unauthorized")


@pytest.mark.parametrize("missing", [b"x-api-key", b"x-signature", b"x-timestamp"])
def test_missing_headers(missing: bytes) -> None:
    headers = {b"x-api-key": KEY.encode(), b"x-signature": b"x", b"x-timestamp": b"bad"}
    del headers[missing]
    with pytest.raises(ApiError, match=r"^Unauthorized$"):
        authenticator().check_headers(headers)


@pytest.mark.parametrize(
    "value", [b"", b"Bearer", b"Bearer ", b"Basic alice-token", b"Bearer \xff"]
)
def test_bad_tokens(value: bytes) -> None:
    with pytest.raises(ApiError, match=r"^Unauthorized$"):
        authenticator().by_token(value)
    assert authenticator().by_token(b"bearer alice-token").account == 2


def test_a_signature_is_used_once_while_it_is_valid() -> None:
    used = SignatureMemory(entries_max=100)
    used.add(ALICE, b"a", expires_ms=6000, now_ms=1000)
    used.add(ALICE, b"b", expires_ms=6000, now_ms=1000)
    with pytest.raises(SeenBefore, match=r"^Request already seen$"):
        used.add(ALICE, b"a", expires_ms=6000, now_ms=5999)
    assert len(used) == 2


def test_only_expired_signatures_are_forgotten() -> None:
    used = SignatureMemory(entries_max=48)
    for name in (b"a", b"b", b"c"):
        used.add(ALICE, name, expires_ms=6000, now_ms=1000)
    with pytest.raises(ApiError) as refused:
        used.add(ALICE, b"d", expires_ms=7000, now_ms=2000)
    assert (refused.value.status, refused.value.retry_after_s) == (429, 1)
    with pytest.raises(BadRequest, match="already seen"):
        used.add(ALICE, b"a", expires_ms=6000, now_ms=6000)
    used.add(ALICE, b"d", expires_ms=12000, now_ms=9000)
    assert len(used) == 1


def test_no_account_fills_the_memory_for_the_others() -> None:
    """After a hundred accounts have taken all they can, the next one finds places."""

    def fill(account: int) -> int:
        for number in range(100_000):
            try:
                used.add(account, number.to_bytes(4, "big"), expires_ms=6000, now_ms=1000)
            except ApiError:
                return number
        raise AssertionError("one account has filled it")

    used = SignatureMemory(entries_max=100_000)
    assert fill(1) == 5883
    for account in range(2, 101):
        assert fill(account) > 13
    assert fill(101) >= 13


@pytest.mark.parametrize("window", [1000, 60_000])
def test_nothing_is_accepted_again_after_a_restart(window: int) -> None:
    """A table does not outlive its process: whatever the first one took at any time, the second
    refuses for as long as its window is open, even if it begins in the same millisecond.
    """
    clock = [AT_MS - 10_000]

    def begun() -> Authenticator:
        return Authenticator(MemoryAccounts(), now_ms=lambda: clock[0])

    def take(asked: Authenticator, at_ms: int) -> bool:
        try:
            wait_s = asked.use_once(signed_at(asked, at_ms, window))
            assert wait_s == (max(at_ms + 1 - clock[0], 0) / 1000 if at_ms > clock[0] else 0)
        except BadRequest as error:
            assert error.message in (EXPIRED, AHEAD)
            return False
        return True

    first = begun()
    clock[0] = AT_MS
    offered = range(AT_MS - window, AT_MS + window + 1, 250)
    taken = [at_ms for at_ms in offered if take(first, at_ms)]
    assert taken == [at_ms for at_ms in offered if AT_MS - 10_000 < at_ms <= AT_MS + 1000]
    clock[0] = AT_MS + 1000  # The last one was logged only then.
    second = begun()
    for clock[0] in sorted((AT_MS + 1000, AT_MS + 1001, AT_MS + 2000, AT_MS + window - 1)):
        for at_ms in taken:
            if abs(at_ms - clock[0]) <= window:
                assert not take(second, at_ms)
    assert take(second, clock[0] + 1000)


def test_after_an_empty_log_no_request_was_seen() -> None:
    """A new exchange accepts a signed order in its first second."""
    asked = Authenticator(MemoryAccounts(), now_ms=lambda: AT_MS, taken_until_ms=1)
    assert asked.use_once(signed_at(asked, AT_MS)) == 0


@pytest.mark.parametrize(
    ("ahead_ms", "with_id", "login"),
    [(-1, True, True), (0, True, True), (250, True, True), (251, True, False), (1000, True, False),
     (1001, False, False)],
)  # fmt: skip
def test_how_far_ahead_a_request_may_be(ahead_ms: int, with_id: bool, login: bool) -> None:
    for is_taken, use in (
        (with_id, Authenticator.use_with_client_id), (login, Authenticator.use_for_login),
    ):  # fmt: skip
        asked = Authenticator(MemoryAccounts(), now_ms=lambda: AT_MS, taken_until_ms=1)
        asked._started_ms = 1
        signed = signed_at(asked, AT_MS + ahead_ms)
        if is_taken:
            use(asked, signed)
            with pytest.raises(SeenBefore, match="already seen"):
                use(asked, signed)
        else:
            with pytest.raises(BadRequest, match="later time"):
                use(asked, signed)


def test_what_an_earlier_process_may_have_taken_counts_as_seen() -> None:
    """Up to the log's last time; logins until the start, because they are not in the log. Orders
    with client ids, which do not wait for their time, a second longer: new ones may be sent again.
    """
    for use, last_ms, refusal in (
        (Authenticator.use_once, AT_MS - 500, SeenBefore),
        (Authenticator.use_with_client_id, AT_MS + 500, JustStarted),
        (Authenticator.use_for_login, AT_MS, SeenBefore),
    ):
        clock = [AT_MS]
        asked = authenticator_of(clock, taken_until_ms=AT_MS - 500)
        clock[0] += 1000
        with pytest.raises(refusal):
            use(asked, signed_at(asked, last_ms))
        use(asked, signed_at(asked, last_ms + 1))
    with pytest.raises(JustStarted):
        asked.use_with_client_id(signed_at(asked, AT_MS - 499))
    with pytest.raises(SeenBefore, match="expired"):
        asked.use_with_client_id(signed_at(asked, AT_MS - 500))


def signed_at(asked: Authenticator, at_ms: int, window: int = 5000) -> SignedRequest:
    """A request whose signature is not verified here, another one for each time."""
    return asked.check_headers(
        {
            b"x-api-key": KEY.encode(),
            b"x-signature": b64encode(at_ms.to_bytes(64, "big")),
            b"x-timestamp": str(at_ms).encode(),
            b"x-window": str(window).encode(),
        }
    )


def authenticator_of(clock: list[int], *, taken_until_ms: int) -> Authenticator:
    """clock: the time in ms."""
    return Authenticator(MemoryAccounts(), now_ms=lambda: clock[0], taken_until_ms=taken_until_ms)


def test_a_clock_that_was_ahead_is_named_until_it_is_reached_or_confirmed() -> None:
    clock = [AT_MS]
    asked = authenticator_of(clock, taken_until_ms=AT_MS + 60_000)
    assert asked.refuses_until_ms == AT_MS + 60_000
    with pytest.raises(SeenBefore, match="clock was ahead"):
        asked.use_once(signed_at(asked, AT_MS))
    asked.confirm_clock()
    assert asked.refuses_until_ms == 0
    with pytest.raises(SeenBefore, match="expired"):
        asked.use_once(signed_at(asked, AT_MS))
    asked.use_once(signed_at(asked, AT_MS + 1))
    waiting = authenticator_of(clock, taken_until_ms=AT_MS + 60_000)
    clock[0] += 60_000
    assert waiting.refuses_until_ms == 0
    waiting.use_once(signed_at(waiting, clock[0] + 1))


def test_a_clock_that_is_put_back_makes_no_signature_valid_again() -> None:
    """Its memory was forgotten by the clock. What was signed since the latest time is taken."""
    clock = [AT_MS]
    asked = authenticator_of(clock, taken_until_ms=1)
    clock[0] += 1
    asked.use_once(signed_at(asked, clock[0]))
    clock[0] += 3_600_000
    asked.use_once(signed_at(asked, clock[0]))
    assert len(asked._used) == 1
    clock[0] = AT_MS + 1
    for use in (Authenticator.use_once, Authenticator.use_with_client_id):
        with pytest.raises(SeenBefore, match="clock was ahead"):
            use(asked, signed_at(asked, AT_MS + 1))
    assert asked.refuses_until_ms == AT_MS + 3_600_001
    clock[0] += 500
    asked.confirm_clock()
    asked.use_once(signed_at(asked, clock[0] + 1))
    clock[0] -= 400  # A small step back: the memory still has what it had.
    asked.use_once(signed_at(asked, clock[0] + 402))
    assert asked.refuses_until_ms == 0


@pytest.mark.parametrize(("behind_ms", "last_ms"), [(60_000, -60_000), (60_001, 0)])
def test_a_clock_that_ran_ahead_of_the_log_before_a_restart_makes_none_valid_again(
    behind_ms: int, last_ms: int
) -> None:
    """A jump is in no entry of the log. So if the log is older than any window, all that was signed
    before the start counts as taken.
    """
    asked = authenticator_of([AT_MS], taken_until_ms=AT_MS - behind_ms)
    with pytest.raises(SeenBefore, match="expired"):
        asked.use_once(signed_at(asked, AT_MS + last_ms, window=60_000))
    asked.use_once(signed_at(asked, AT_MS + last_ms + 1, window=60_000))
