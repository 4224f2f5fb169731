"""Settings: the only place where arguments and the environment become configuration.

How it works: what the command line says wins over `FAIRBOOK_*` in the environment, that over the
default. An empty variable counts as not set. There is no configuration file: market parameters are
commands in the log.

Always true: a setting that is out of range is refused before anything starts.

Not here: FAIRBOOK_CORE, which must be known before the core is imported (core/__init__.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DEFAULT_DATA_DIR = "fairbook-data"
COUNT_MAX = 1_000_000_000


class BadSetting(Exception):
    """A setting cannot be used. The message names it as the person gave it."""


@dataclass(frozen=True, slots=True)
class UpSettings:
    """What `fairbook up` needs to know."""

    data_dir: Path = Path(DEFAULT_DATA_DIR)
    """FAIRBOOK_DATA: everything that is kept. Made if missing."""
    host: str = "127.0.0.1"
    """FAIRBOOK_HOST: the address to listen on."""
    http_port: int = 8000
    """FAIRBOOK_HTTP_PORT, 0..65535; 0: a free one, named in `demo.json`."""
    ws_port: int = 8001
    """FAIRBOOK_WS_PORT, 0..65535: of the streams."""
    with_maker: bool = True
    """`--no-maker`: the book is left to itself. What the first start placed stays, unless a maker
    has been here: it replaces that, and takes its own along. A first start without a maker has no
    generated day before it either."""
    with_recorder: bool = True
    """`--no-recorder`: nothing is recorded; what needs history is 501, and on streams silent."""
    account_per_minute: int = 6_000_000
    """FAIRBOOK_ACCOUNT_PER_MINUTE: requests of one account; 0: no limit. For a demo, hardly one."""
    account_burst: int = 100_000
    """FAIRBOOK_ACCOUNT_BURST: how many of them may come at once."""
    address_per_minute: int = 6_000_000
    """FAIRBOOK_ADDRESS_PER_MINUTE: public requests from one address; 0: no limit."""
    address_burst: int = 100_000
    """FAIRBOOK_ADDRESS_BURST."""
    ws_per_address: int = 1024
    """FAIRBOOK_WS_PER_ADDRESS, from 1: connections of one address to the streams."""
    ws_connections: int = 4096
    """FAIRBOOK_WS_CONNECTIONS, from 1: and of all."""
    ws_origins: tuple[str, ...] = ()
    """FAIRBOOK_WS_ORIGINS, parted by commas: whose pages may connect, besides this host's."""
    deadline_s: float = 2.0
    """FAIRBOOK_DEADLINE_S, 0..60: after which a request is told that its outcome is unknown."""
    drain_max_s: float = 5.0
    """FAIRBOOK_DRAIN_MAX_S, 0..60: how long a shutdown waits for requests under way."""
    with_replica: bool = True
    """`--no-replica`: nobody compares, and snapshots are written only at a stop."""
    snapshot_commands: int = 25_000
    """FAIRBOOK_SNAPSHOT_COMMANDS, from 1: the replica writes a snapshot after that many,"""
    snapshot_s: float = 60.0
    """FAIRBOOK_SNAPSHOT_S, 0..3600: or after so long, if there was a hundredth of them."""
    allow_faults: bool = False
    """`--allow-faults`: memory may be edited at the control door. For tests of the audit."""
    json_logs: bool | None = None
    """FAIRBOOK_LOGS=text|json; not set: text on a terminal, else JSON lines."""


def up_settings(arguments: Mapping[str, str | None], environ: Mapping[str, str]) -> UpSettings:
    """Settings from what was given. `arguments`: long options by name, None: not given.

    Raises BadSetting.
    """
    given = _Given(arguments, environ)
    defaults = UpSettings()
    settings = UpSettings(
        data_dir=Path(given.text("data", "FAIRBOOK_DATA", str(defaults.data_dir))),
        host=given.text("host", "FAIRBOOK_HOST", defaults.host),
        http_port=given.port("http-port", "FAIRBOOK_HTTP_PORT", defaults.http_port),
        ws_port=given.port("ws-port", "FAIRBOOK_WS_PORT", defaults.ws_port),
        with_maker=arguments.get("no-maker") is None,
        with_recorder=arguments.get("no-recorder") is None,
        account_per_minute=given.count("FAIRBOOK_ACCOUNT_PER_MINUTE", defaults.account_per_minute),
        account_burst=given.count("FAIRBOOK_ACCOUNT_BURST", defaults.account_burst, least=1),
        address_per_minute=given.count("FAIRBOOK_ADDRESS_PER_MINUTE", defaults.address_per_minute),
        address_burst=given.count("FAIRBOOK_ADDRESS_BURST", defaults.address_burst, least=1),
        ws_per_address=given.count("FAIRBOOK_WS_PER_ADDRESS", defaults.ws_per_address, least=1),
        ws_connections=given.count("FAIRBOOK_WS_CONNECTIONS", defaults.ws_connections, least=1),
        ws_origins=given.words("FAIRBOOK_WS_ORIGINS"),
        deadline_s=given.seconds("FAIRBOOK_DEADLINE_S", defaults.deadline_s, most=60),
        drain_max_s=given.seconds("FAIRBOOK_DRAIN_MAX_S", defaults.drain_max_s, most=60),
        with_replica=arguments.get("no-replica") is None,
        snapshot_commands=given.count(
            "FAIRBOOK_SNAPSHOT_COMMANDS", defaults.snapshot_commands, least=1
        ),
        snapshot_s=given.seconds("FAIRBOOK_SNAPSHOT_S", defaults.snapshot_s, most=3600),
        allow_faults=arguments.get("allow-faults") is not None,
        json_logs=given.json_logs("FAIRBOOK_LOGS"),
    )
    if settings.http_port == settings.ws_port != 0:
        raise BadSetting(f"HTTP and streams need two ports, not {settings.http_port} for both")
    return settings


class _Given:
    """What a person said, on the command line or in the environment."""

    def __init__(self, arguments: Mapping[str, str | None], environ: Mapping[str, str]) -> None:
        self._arguments = arguments
        self._environ = environ

    def text(self, option: str, variable: str, default: str) -> str:
        """As it was given."""
        return self._find(option, variable)[1] or default

    def port(self, option: str, variable: str, default: int) -> int:
        """A TCP port, or 0."""
        source, text = self._find(option, variable)
        if not text:
            return default
        port = _digits(text)
        if not 0 <= port <= 65_535:
            raise BadSetting(f"{source} is a port, 0 to 65535, not {text!r}")
        return port

    def count(self, variable: str, default: int, *, least: int = 0) -> int:
        """A whole number from `least` to a thousand million."""
        text = self._environ.get(variable, "")
        if not text:
            return default
        count = _digits(text)
        if not least <= count <= COUNT_MAX:
            raise BadSetting(f"{variable} is a number, {least} to {COUNT_MAX}, not {text!r}")
        return count

    def seconds(self, variable: str, default: float, *, most: int) -> float:
        """A duration from 0 to `most` seconds."""
        text = self._environ.get(variable, "")
        if not text:
            return default
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1
        if not 0 <= seconds <= most:
            raise BadSetting(f"{variable} is a number of seconds, 0 to {most}, not {text!r}")
        return seconds

    def words(self, variable: str) -> tuple[str, ...]:
        """Parted by commas."""
        return tuple(word.strip() for word in self._environ.get(variable, "").split(",") if word)

    def json_logs(self, variable: str) -> bool | None:
        """How log lines look; None: as suits the terminal."""
        text = self._environ.get(variable, "")
        if text not in ("", "text", "json"):
            raise BadSetting(f"{variable} is text or json, not {text!r}")
        return text == "json" if text else None

    def _find(self, option: str, variable: str) -> tuple[str, str]:
        argument = self._arguments.get(option)
        if argument is not None:
            return f"--{option}", argument
        return variable, self._environ.get(variable, "")


def _digits(text: str) -> int:
    """The number that up to 10 plain digits say, else -1."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else -1
