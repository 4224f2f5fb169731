"""Who acts on the operators' port: an operator, by a live token of the log."""

import time
from collections.abc import Callable
from typing import NamedTuple

from fairbook.core.admin_records import OF_OPERATOR, TOKEN
from fairbook.core.exchange import Exchange
from fairbook.ports.digests import token_digest

TOKEN_CHARACTERS_MAX = 64  # longer texts are not even hashed


class OperatorAccess(NamedTuple):
    """An operator who has presented a live token. `credential`: its slot."""

    number: int
    credential: int
    roles: int


def operator_of(
    exchange: Exchange, token: str, now_ns: Callable[[], int] = time.time_ns
) -> OperatorAccess | None:
    """None for a token that is unknown, has ended, or is not an operator's; and for an operator who
    has no role left.
    """
    if len(token) > TOKEN_CHARACTERS_MAX:
        return None
    return operator_with(exchange, token_digest(token), now_ns)


def operator_with(
    exchange: Exchange, digest: bytes, now_ns: Callable[[], int] = time.time_ns
) -> OperatorAccess | None:
    """As `operator_of`, by the hash."""
    fact = exchange.credential(digest)
    if fact is None or fact.owner_kind != OF_OPERATOR or fact.credential_type != TOKEN:
        return None
    if not fact.is_live(max(now_ns(), exchange.time_ns)):
        return None
    roles = exchange.operator_roles(fact.owner)
    return OperatorAccess(fact.owner, fact.slot, roles) if roles else None
