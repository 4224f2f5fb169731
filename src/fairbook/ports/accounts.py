"""Accounts beside the ledger: credentials, withdrawal requests and faucet grants."""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

# Permissions.
READ: Final = 1
TRADE: Final = 2
WITHDRAW: Final = 4
ALL_PERMISSIONS: Final = READ | TRADE | WITHDRAW


class AccountRefused(Exception):
    """The store refuses a change, and nothing changed. The message can be shown to the client."""


class Access(NamedTuple):
    """The account and permissions of a live key or token. Exactly one of the two ids is not 0."""

    account: int
    permissions: int
    key_id: int = 0
    token_id: int = 0


class Accounts(Protocol):
    """Looks up credentials. In memory only: it is on the path of every order."""

    def by_key(self, public_key: bytes) -> Access | None:
        """The access of a live public key (32 bytes)."""

    def by_token(self, token: str) -> Access | None:
        """The access of a live bearer token. `token` is any text from outside."""

    def is_live(self, access: Access) -> bool:
        """Whether the key or token behind it is neither revoked nor expired."""


class Withdrawal(NamedTuple):
    """A withdrawal request. `reference` is that of its DEBIT."""

    withdrawal_id: int
    reference: int
    account: int
    client_id: str | None
    asset: int
    atoms: int
    address: str
    blockchain: str
    created_ns: int  # by the clock of the process that stored it, not log time


class Transfers(Protocol):
    """Stores withdrawal requests and faucet grants. Methods block: call them in worker threads."""

    def add_withdrawal(
        self,
        *,
        account: int,
        client_id: str | None,
        asset: int,
        atoms: int,
        address: str,
        blockchain: str,
    ) -> tuple[Withdrawal, bool]:
        """Store a withdrawal, or find the one stored under the same client id.

        Returns it, and whether it was there before. Raises AccountRefused if the client id belongs
        to a withdrawal with other terms, the account is unknown, or it has too many.
        """

    def remove_withdrawal(self, withdrawal_id: int) -> None:
        """Delete a withdrawal whose money did not move and never will."""

    def withdrawals_of(self, account: int, references: Sequence[int]) -> Sequence[Withdrawal]:
        """The withdrawals with one of these references (at most 1000)."""

    def find_withdrawal(
        self, account: int, *, withdrawal_id: int | None = None, client_id: str | None = None
    ) -> Withdrawal | None:
        """The withdrawal with this id, or client id, or both."""

    def add_grant(self, *, account: int, asset: int, atoms: int, atoms_max: int) -> int:
        """Count a faucet grant unless the total would exceed `atoms_max`.

        Returns the atoms that may still be granted; negative: the excess, and nothing was counted.
        Raises AccountRefused for an unknown account.
        """

    def remove_grant(self, *, account: int, asset: int, atoms: int) -> None:
        """Undo `add_grant` for a credit that did not happen and never will."""
