"""Contradictions: rows of the accounts store that the log does not back.

The log decides who may act and what became of money, so such a row opens nothing; but it shows that
the file was edited, or belongs to another log. Each is named in one sentence. A fact without a row
is no contradiction, nor is a row whose credential has ended.
"""

from collections.abc import Iterator
from typing import Final

from fairbook.accounts.credentials import StoredCredential, User, content_digest
from fairbook.accounts.sqlite_accounts import FIRST_ID, LAST_ID, TABLES, SqliteAccounts, StoredRow
from fairbook.core.admin_records import OF_ACCOUNT
from fairbook.core.credential_table import Credential
from fairbook.ports.accounts import Withdrawal
from fairbook.ports.digests import DIGEST_BYTES, folded
from fairbook.ports.queries import Facts

_ROWS_AT_ONCE: Final = 300
_TYPES: Final = ("credential", "public key", "token", "password", "second factor")
_PERMISSIONS: Final = ((1, "read"), (2, "trade"), (4, "withdraw"))


def contradictions(store: SqliteAccounts, facts: Facts) -> list[str]:
    """Of all rows, by table and id."""
    found = []
    for row in all_rows(store):
        user = store.user_of(row.account) if isinstance(row, StoredCredential) else None
        sentence = contradiction(row, user, facts)
        if sentence is not None:
            found.append(sentence)
    return found


def all_rows(store: SqliteAccounts) -> Iterator[StoredRow]:
    for table in TABLES:
        first = FIRST_ID
        while rows := store.rows(table, first, _ROWS_AT_ONCE):
            yield from rows
            if rows[-1][0] == LAST_ID:
                break
            first = rows[-1][0] + 1


def contradiction(row: StoredRow, user: User | None, facts: Facts) -> str | None:
    """What the log says against a row; None: nothing. `user`: of a credential, whom the store gives
    its account to.
    """
    if isinstance(row, User):
        name, faults = f"user {row.user_id}", _user_faults(row, facts)
    elif isinstance(row, StoredCredential):
        kind = _TYPES[row.type] if 0 < row.type < len(_TYPES) else _TYPES[0]
        label = f", {row.label!r}" if row.label else ""
        name = f"{kind} {row.credential_id} of account {row.account}{label}"
        faults = _credential_faults(row, user, facts)
    else:
        name = f"withdrawal {row.withdrawal_id} of account {row.account}"
        name += f" ({row.atoms} atoms of asset {row.asset} to {row.address!r})"
        faults = _withdrawal_faults(row, facts)
    return f"{name}: {'; '.join(faults)}" if faults else None


def credential_of(row: StoredCredential, facts: Facts) -> Credential | None:
    """The fact that it names by its hash."""
    return facts.credential(row.digest) if len(row.digest) == DIGEST_BYTES else None


def is_held(row: Withdrawal, facts: Facts) -> bool:
    """Whether the log has used its reference. Without a HOLD it is new, or a crash came between."""
    return facts.reference(row.reference) is not None


def _user_faults(row: User, facts: Facts) -> list[str]:
    logged = facts.account_of_user(row.user_id)
    faults = []
    if row.account not in (0, logged):
        has = f"has account {logged}" if logged else "has no account"
        faults.append(f"its account is {row.account}, in the log it {has}")
    if row.email_folded != (None if row.email is None else folded(row.email)):
        faults.append("its folded e-mail is not that of its e-mail")
    return faults


def _credential_faults(row: StoredCredential, user: User | None, facts: Facts) -> list[str]:
    fact = credential_of(row, facts)
    if fact is None or fact.owner_kind != OF_ACCOUNT or fact.credential_type != row.type:
        return ["the log does not have it"]
    faults = []
    if fact.owner != row.account:
        faults.append(f"in the log it is of account {fact.owner}")
    if fact.permissions != row.permissions:
        has, logged = _permission_text(row.permissions), _permission_text(fact.permissions)
        faults.append(f"it may {has}, in the log {logged}")
    if fact.expires_ns != row.expires_ns:
        faults.append(f"it expires at {row.expires_ns} ns, in the log at {fact.expires_ns}")
    user_id, email = (0, "") if user is None else (user.user_id, user.email or "")
    if content_digest(row, user_id=user_id, email=email) != row.digest:
        faults.append("its content is not the one in the log")
    return faults


def _withdrawal_faults(row: Withdrawal, facts: Facts) -> list[str]:
    fact = facts.reference(row.reference)
    if fact is None:
        return ["the log has no HOLD of it"]
    return row.differences(fact)


def _permission_text(permissions: int) -> str:
    names = [name for bit, name in _PERMISSIONS if permissions & bit]
    return " and ".join(names) or "do nothing"
