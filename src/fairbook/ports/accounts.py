"""Accounts beside the ledger: credentials, withdrawal requests and faucet grants.

Who may act, and what became of money, is in the log; what stands here comes from there, or must not
be in the log (names, addresses, secrets) and counts only as far as the log has its hash.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from fairbook.core import admin_records, records
from fairbook.core.admin_records import ALL_PERMISSIONS
from fairbook.core.admin_records import MAY_READ as READ
from fairbook.core.admin_records import MAY_TRADE as TRADE
from fairbook.core.admin_records import MAY_WITHDRAW as WITHDRAW
from fairbook.core.references import Reference
from fairbook.ports.digests import withdrawal_digest

__all__ = ("ALL_PERMISSIONS", "READ", "TRADE", "WITHDRAW")


class AccountRefused(Exception):
    """A change is refused, and nothing changed. The message can be shown to the client."""


class Access(NamedTuple):
    """What a live key or token gives access to.

    `credential`: its slot in the account, for the commands that it orders. `digest`: its hash.
    """

    account: int
    permissions: int
    credential: int = 0
    digest: bytes = b""


class Accounts(Protocol):
    """Looks up credentials. In memory only: it is on the path of every order."""

    def by_key(self, public_key: bytes) -> Access | None:
        """The access of a live public key (32 bytes)."""

    def by_token(self, token: str) -> Access | None:
        """The access of a live bearer token. `token` is any text from outside."""

    def is_live(self, access: Access) -> bool:
        """Whether the key or token behind it is neither revoked nor expired."""


class Withdrawal(NamedTuple):
    """A withdrawal request. What became of its money is in the log, under `reference`."""

    withdrawal_id: int
    reference: bytes  # 16 random bytes: that of its HOLD
    account: int
    client_id: str | None
    asset: int
    atoms: int
    address: str
    blockchain: str
    memo: str
    nonce: bytes
    is_captured: int  # 1: its CAPTURE was answered; a note for the store's index, decides nothing
    created_ns: int  # by the clock of the process that stored it, not log time

    def detail(self) -> bytes:
        """The hash of what the money is for, which its HOLD carries."""
        return withdrawal_digest(
            withdrawal_id=self.withdrawal_id, asset=self.asset, network=self.blockchain,
            address=self.address, memo=self.memo, nonce=self.nonce,
        )  # fmt: skip

    def is_backed_by(self, fact: Reference) -> bool:
        """Whether the log has a HOLD of exactly this withdrawal."""
        return not self.differences(fact)

    def differences(self, fact: Reference) -> list[str]:
        """In what the log says something else under this reference, in words."""
        if fact.kind() != records.HOLD:
            return ["its reference is that of another command"]
        found = [
            f"its {name} is {has}, in the log {logged}"
            for name, has, logged in (
                ("account", self.account, fact.account),
                ("asset", self.asset, fact.asset),
                ("amount", self.atoms, fact.atoms),
            )
            if has != logged
        ]
        if self.detail() != fact.detail:
            found.append("its address, network, memo, asset or id is not what was held for")
        if self.is_captured and fact.state == admin_records.HELD:
            found.append("it is marked as captured, in the log it is held")
        return found


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
        to a withdrawal with other terms, or the account has too many.
        """

    def remove_withdrawal(self, withdrawal_id: int) -> None:
        """Delete a withdrawal whose money was not held and never will be."""

    def mark_captured(self, withdrawal_id: int) -> None:
        """Its money has left: a start need not look at it."""

    def withdrawals_of(self, account: int, references: Sequence[bytes]) -> Sequence[Withdrawal]:
        """The withdrawals with one of these references (at most 1000)."""

    def find_withdrawal(
        self, account: int, *, withdrawal_id: int | None = None, client_id: str | None = None
    ) -> Withdrawal | None:
        """The withdrawal with this id, or client id, or both."""

    def add_grant(self, *, account: int, asset: int, atoms: int, atoms_max: int) -> int:
        """Count a faucet grant unless the total would exceed `atoms_max`.

        Returns the atoms that may still be granted; negative: the excess, and nothing was counted.
        """

    def grant_left(self, *, account: int, asset: int, atoms_max: int) -> int:
        """The atoms that the faucet may still grant."""

    def remove_grant(self, *, account: int, asset: int, atoms: int) -> None:
        """Undo `add_grant` for a credit that did not happen and never will."""
