"""The accounts port in memory: Alice with two keys and two tokens, Bob with a token."""

from hashlib import sha256

from nacl.signing import SigningKey

from fairbook.ports.accounts import ALL_PERMISSIONS, READ, Access

ALICE, BOB = 2, 3
ALICE_TOKEN, BOB_TOKEN, READER_TOKEN = "alice-token", "bob-token", "reader-token"
ALICE_SEED = bytes(32)
ALICE_KEY = SigningKey(ALICE_SEED)
READER_KEY = SigningKey(sha256(b"reader").digest())


class MemoryAccounts:
    """The accounts port, in two dicts that a test may change.

    Their commands name no credential, as those of the exchange itself: the core does not know
    these keys and tokens.
    """

    def __init__(self) -> None:
        self.keys = {
            bytes(ALICE_KEY.verify_key): Access(ALICE, ALL_PERMISSIONS, digest=b"key 1"),
            bytes(READER_KEY.verify_key): Access(ALICE, READ, digest=b"key 2"),
        }
        self.tokens = {
            ALICE_TOKEN: Access(ALICE, ALL_PERMISSIONS, digest=b"token 1"),
            BOB_TOKEN: Access(BOB, ALL_PERMISSIONS, digest=b"token 2"),
            READER_TOKEN: Access(ALICE, READ, digest=b"token 3"),
        }

    def by_key(self, public_key: bytes) -> Access | None:
        return self.keys.get(public_key)

    def by_token(self, token: str) -> Access | None:
        return self.tokens.get(token)

    def is_live(self, access: Access) -> bool:
        return access in (*self.keys.values(), *self.tokens.values())
