"""The hashes of the log, written down once more from docs/reference/credentials.md."""

from hashlib import sha256

from fairbook.ports import digests


def field(data: bytes) -> bytes:
    return len(data).to_bytes(4, "little") + data


def number(value: int) -> bytes:
    return field(value.to_bytes(8, "little"))


def test_every_hash_is_what_its_page_says() -> None:
    key = bytes(range(32))
    assert digests.public_key_digest(key) == sha256(b"fairbook public key" + key).digest()
    assert digests.token_digest("abc") == sha256(b"fairbook tokenabc").digest()
    assert (
        digests.password_digest(user_id=7, email="Änn@X.de", text="$argon2id$x")
        == sha256(
            b"fairbook password" + number(7) + field("änn@x.de".encode()) + field(b"$argon2id$x")
        ).digest()
    )
    assert (
        digests.second_factor_digest(user_id=7, record=b"\0secret")
        == sha256(b"fairbook second factor" + number(7) + field(b"\0secret")).digest()
    )
    assert (
        digests.withdrawal_digest(
            withdrawal_id=3, asset=1, network="Solana", address="there", memo="", nonce=b"n" * 16
        )
        == sha256(
            b"fairbook withdrawal" + number(3) + number(1) + field(b"Solana") + field(b"there")
            + field(b"") + field(b"n" * 16)
        ).digest()
    )  # fmt: skip


def test_no_two_lists_of_fields_have_one_hash() -> None:
    """Bytes cannot move from one field to the next."""

    def withdrawal(network: str, address: str, memo: str) -> bytes:
        return digests.withdrawal_digest(
            withdrawal_id=1, asset=1, network=network, address=address, memo=memo, nonce=b""
        )

    found = {withdrawal("ab", "c", ""), withdrawal("a", "bc", ""), withdrawal("a", "b", "c")}
    assert len(found) == 3


def test_case_and_form_of_an_address_do_not_matter() -> None:
    assert digests.folded("STRASSE@x.de") == digests.folded("straße@X.DE")
    assert digests.folded("e\u0301@x.de") == digests.folded("\u00e9@x.de")
