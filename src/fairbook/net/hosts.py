"""The Host header: a request is answered only under a name of this exchange.

Without this a page could reach a port on its reader's machine under a name of its own, whose
address it changes (DNS rebinding), and would count as a page of the same host. Addresses in digits
are always accepted: no page can point them elsewhere.
"""

import re
import socket
from collections.abc import Collection, Sequence
from ipaddress import ip_address
from typing import Final

NO_HOST: Final = "Exactly one Host header is required"
UNKNOWN_HOST: Final = "Unknown host, see FAIRBOOK_HOSTS"
_parts: Final = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::[0-9]{1,5})?")


def own_names(listening: str, more: Collection[str]) -> frozenset[str]:
    """The names of this machine, `listening`, and `more` that are configured; in lower case."""
    name = socket.gethostname()
    names = {"localhost", name, name.partition(".")[0] + ".local", listening, *more}
    return frozenset(each.lower().rstrip(".") for each in names if each)


def refusal(values: Sequence[bytes], names: Collection[str] | None) -> str | None:
    """Why a request with these Host headers is refused. names: known ones; None: all are."""
    if len(values) != 1:
        return NO_HOST
    if names is None:
        return None
    found = _parts.fullmatch(values[0].decode("latin-1"))
    if found is None:
        return UNKNOWN_HOST
    name = found[1].lower().rstrip(".")
    return (
        None if name in names or name.endswith(".localhost") or _is_address(name) else UNKNOWN_HOST
    )


def _is_address(name: str) -> bool:
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
