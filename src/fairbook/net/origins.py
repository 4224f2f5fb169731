"""Which web pages may use the ports: pages of this machine, of the same host, and those listed."""

from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

ANY_ORIGIN: Final = "*"
_LOCAL_HOSTS: Final = ("localhost", "127.0.0.1", "::1")


def may_connect(origin: bytes, host: bytes | None, origins: Collection[str]) -> bool:
    """Whether the page that a browser names in Origin may use the port that it names in Host.

    origins: listed ones, such as "https://example.org", or ANY_ORIGIN.
    """
    if ANY_ORIGIN in origins:
        return True
    text = origin.decode("latin-1")
    of_page = _host_name(text)
    own = _host_name("//" + host.decode("latin-1")) if host is not None else None
    return text in origins or (of_page is not None and of_page in (own, *_LOCAL_HOSTS))


def _host_name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
