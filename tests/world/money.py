"""Money for tests: credits and debits, each under a reference of its own."""

from itertools import count

from fairbook.core import admin_records

_numbers = count(1)


def new_reference() -> bytes:
    """16 bytes that no other call in this process returns."""
    return b"test" + next(_numbers).to_bytes(12, "little")


def credit(*, account: int, asset: int, atoms: int) -> bytes:
    return admin_records.credit(
        account=account, asset=asset, atoms=atoms, reference=new_reference()
    )


def debit(*, account: int, asset: int, atoms: int) -> bytes:
    return admin_records.debit(account=account, asset=asset, atoms=atoms, reference=new_reference())
