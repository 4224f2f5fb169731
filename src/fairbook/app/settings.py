"""The settings of `fairbook up`: one table for the options, the environment and the documentation.

An option overrides its environment variable, which overrides the [server] table of the venue's
configuration file, which overrides the default. An empty variable counts as not set.

Invariant: a value that is out of range is refused before anything starts.
"""

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

from fairbook.net.proxies import TrustedProxies

COUNT_MAX: Final = 10**9

_PREFIX: Final = "FAIRBOOK_"
_CORE_VARIABLE: Final = "FAIRBOOK_CORE"  # Read by core/__init__.py, before any setting.

T = TypeVar("T")
N = TypeVar("N", int, float)


class SettingError(Exception):
    """A value cannot be used. The message names the option or variable that it was given by."""


class UnknownSetting(Exception):
    """A name is no setting; `known` are those that it may be."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(name)
        self.name = name
        self.known = known


class Values(NamedTuple):
    """The values that a setting takes; `parse` raises ValueError for any other text."""

    description: str
    parse: Callable[[str], Any]
    metavar: str = ""


class Setting(NamedTuple):
    """One field of UpSettings. Values None: a flag, which inverts the default."""

    name: str
    field: str
    option: str
    variable: str
    values: Values | None
    default: Any
    help: str


def _setting(
    default: T, values: Values | None, help_text: str, *, name: str = "", is_option: bool = False
) -> T:
    """name: of option and variable, if it is not that of the field."""
    metadata = {"values": values, "help": help_text, "name": name, "is_option": is_option}
    return field(default=default, metadata=metadata)


_option = partial(_setting, is_option=True)


def _whole(least: int, most: int, metavar: str = "") -> Values:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 10):
            raise ValueError
        return _within(int(text), least, most)

    shown = "10^9" if most == COUNT_MAX else str(most)
    return Values(f"a whole number, {least} to {shown}", parse, metavar)


def _seconds(most: float, least: float = 0) -> Values:
    return Values(f"seconds, {least} to {most}", lambda text: _within(float(text), least, most))


def _within(value: N, least: float, most: float) -> N:
    if not least <= value <= most:  # NaN is refused, too.
        raise ValueError
    return value


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _proxies(text: str) -> tuple[str, ...]:
    words = _words(text)
    TrustedProxies(words)
    return words


def _urls(text: str) -> tuple[str, ...]:
    words = _words(text)
    if not all(urlsplit(word).scheme in ("http", "https") for word in words):
        raise ValueError
    return words


_PATH: Final = Values("a path", Path, "DIR")
_FILE: Final = Values("a file", Path, "FILE")
_HOST: Final = Values("an IP address or host name", str, "HOST")
_PORT: Final = _whole(0, 65_535, "PORT")
_COUNT: Final = _whole(1, COUNT_MAX)
_COUNT_OR_ZERO: Final = _whole(0, COUNT_MAX)
_ORIGINS: Final = Values("origins, separated by commas", _words)
_NAMES: Final = Values("host names, separated by commas", _words)
_PROXIES: Final = Values("addresses or networks, separated by commas", _proxies)
_URLS: Final = Values("http or https URLs, separated by commas", _urls, "URL")
_YES_OR_NO: Final = Values("yes or no", {"yes": True, "no": False}.__getitem__)
_LOG_FORMAT: Final = Values("text or json", {"text": False, "json": True}.__getitem__)


@dataclass(frozen=True, slots=True)
class UpSettings:
    """What `fairbook up` needs to know."""

    data_dir: Path = _option(
        Path("fairbook-data"), _PATH, "data directory; created if missing", name="data"
    )
    config: Path | None = _option(
        None, _FILE, "configuration of the venue (default: the demo; see `fairbook init`)"
    )
    host: str = _option("127.0.0.1", _HOST, "address to listen on")
    http_port: int = _option(8000, _PORT, "HTTP port; 0: a free one, see demo.json")
    ws_port: int = _option(8001, _PORT, "WebSocket port; 0: a free one, see demo.json")
    admin_host: str = _setting("127.0.0.1", _HOST, "address on which operators are served")
    admin_port: int = _option(8002, _PORT, "port of operators; 0: a free one, see admin.json")
    with_maker: bool = _option(
        True, None, "run no market maker; generate no day of trades", name="no_maker"
    )
    with_recorder: bool = _option(
        True, None, "record no history: trades and candles answer 501", name="no_recorder"
    )
    with_replica: bool = _option(
        True, None, "run no second engine; write snapshots only at a stop", name="no_replica"
    )
    allow_faults: bool = _option(
        False, None, "for tests: let the control socket change balances in memory"
    )
    account_per_minute: int = _setting(
        6_000_000, _COUNT_OR_ZERO, "requests per account and minute; 0: no limit"
    )
    account_burst: int = _setting(100_000, _COUNT, "requests per account at once")
    address_per_minute: int = _setting(
        6_000_000, _COUNT_OR_ZERO, "unauthenticated requests per address and minute"
    )
    address_burst: int = _setting(100_000, _COUNT, "unauthenticated requests per address at once")
    guesses_per_minute: int = _setting(
        600, _COUNT_OR_ZERO, "wrong tokens and signatures per address and minute"
    )
    guesses_burst: int = _setting(100, _COUNT, "wrong tokens and signatures per address at once")
    sign_ups_per_hour: int = _setting(
        5, _COUNT_OR_ZERO, "sign-ups per address and hour; 0: no limit, also of all together"
    )
    ws_per_address: int = _setting(1024, _COUNT, "WebSocket connections per IP address")
    ws_connections: int = _setting(4096, _COUNT, "WebSocket connections in all")
    ws_origins: tuple[str, ...] = _setting(
        (), _ORIGINS, "web origins that may use both ports besides its own; `*`: any"
    )
    hosts: tuple[str, ...] = _setting(
        (), _NAMES, "names under which clients reach it, besides this machine's; `*`: any"
    )
    trusted_proxies: tuple[str, ...] = _setting(
        (), _PROXIES, "proxies whose X-Forwarded-For names the client's address"
    )
    disk_low_mib: int = _setting(
        0, _COUNT_OR_ZERO,
        "MiB that must be free on the disk of the data directory, or trading is paused; 0: the"
        " smaller of 1,024 and 5 % of the file system",
    )  # fmt: skip
    deadline_s: float = _setting(2.0, _seconds(60), "longest wait for an order's outcome, then 504")
    drain_max_s: float = _setting(5.0, _seconds(60), "longest wait for open requests at a stop")
    snapshot_commands: int = _setting(25_000, _COUNT, "commands between two snapshots")
    snapshot_s: float = _setting(
        60.0, _seconds(3600), "seconds between two snapshots in quiet markets"
    )
    full_replay_after_s: float = _setting(
        10.0, _seconds(86_400), "seconds after the start at which the full replay begins"
    )
    full_replay_days: int = _setting(
        7, _COUNT_OR_ZERO, "days after which it begins with the first entry; 0: no full replay"
    )
    identity_file: Path | None = _setting(
        None, _FILE, "secret key of the exchange; default: identity.key in the data directory"
    )
    checkpoints_file: Path | None = _setting(
        None, _FILE, "signed checkpoints; default: checkpoints.txt in the data directory"
    )
    checkpoint_s: float = _setting(
        60.0, _seconds(3600, 0.02), "seconds between two signed checkpoints"
    )
    witnesses: tuple[str, ...] = _option(
        (), _URLS, "witnesses (`fairbook watch --serve`) that must know this log before it opens",
        name="witness",
    )  # fmt: skip
    public_chain: bool = _setting(
        True, _YES_OR_NO, "show everyone times and hashes of the log's entries, for witnesses"
    )
    liabilities_s: float = _setting(
        3600.0, _seconds(86_400), "seconds between two proofs of liabilities; 0: none"
    )
    json_logs: bool | None = _setting(
        None,
        _LOG_FORMAT,
        "format of log lines; default: text on a terminal, else json",
        name="logs",
    )


def _settings() -> Iterator[Setting]:
    for each in fields(UpSettings):
        name: str = each.metadata["name"] or each.name
        values = each.metadata["values"]
        option = f"--{name.replace('_', '-')}" if each.metadata["is_option"] else ""
        variable = _PREFIX + name.upper() if values else ""
        yield Setting(
            name, each.name, option, variable, values, each.default, each.metadata["help"]
        )


SETTINGS: Final = tuple(_settings())


NOT_IN_FILE: Final = ("config", "data")


def read_server_table(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Field and value of each setting in [server] of a configuration. Raises UnknownSetting for a
    name that is none, SettingError.
    """
    known = {setting.name: setting for setting in SETTINGS if setting.values is not None}
    for name in NOT_IN_FILE:
        del known[name]
    for name, value in table.items():
        setting = known.get(name)
        if setting is None or setting.values is None:
            raise UnknownSetting(name, list(known))
        is_list = isinstance(value, list) and all(isinstance(word, str) for word in value)
        text = ",".join(value) if is_list else str(value)
        yield setting.field, _parsed(name, text, setting.values)


def read_settings(
    options: Mapping[str, object],
    environ: Mapping[str, str],
    server: Mapping[str, Any] | None = None,
) -> UpSettings:
    """options: the command line's, by field; None or False: not given. server: of the file, as
    `read_server_table` gives it. Raises SettingError.
    """
    found: dict[str, Any] = dict(server or {})
    for setting in SETTINGS:
        option = options.get(setting.field)
        if setting.values is None:
            found[setting.field] = setting.default ^ bool(option)
        elif option is not None:
            found[setting.field] = _parsed(setting.option, str(option), setting.values)
        elif text := environ.get(setting.variable):
            found[setting.field] = _parsed(setting.variable, text, setting.values)
    settings = UpSettings(**found)
    ports = [settings.http_port, settings.ws_port, settings.admin_port]
    for port in ports:
        if port and ports.count(port) > 1:
            raise SettingError(f"HTTP, WebSocket and operators need three ports, not {port} twice")
    return settings


def _parsed(source: str, text: str, values: Values) -> Any:
    try:
        return values.parse(text)
    except (ValueError, KeyError):
        raise SettingError(f"{source} must be {values.description}, not {text!r}") from None


def misspelt(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each variable that is no setting but resembles one, and the one that it resembles."""
    known = {setting.variable for setting in SETTINGS} | {_CORE_VARIABLE}
    endings = [variable.removeprefix(_PREFIX) for variable in known if variable]
    for variable in sorted(environ):
        if variable.startswith(_PREFIX) and variable not in known:
            ending = variable.removeprefix(_PREFIX)
            for near in difflib.get_close_matches(ending, endings, n=1, cutoff=0.7):
                yield variable, _PREFIX + near


def shown_default(setting: Setting) -> str:
    """As a text that sets it."""
    if isinstance(setting.default, bool):
        return "yes" if setting.default else "no"
    return "none" if setting.default == () else str(setting.default)


def documentation() -> str:
    """The table of settings in docs/operate/operations.md."""
    lines = ["| option, variable | value | default | meaning |", "|---|---|---|---|"]
    for setting in SETTINGS:
        names = " ".join(f"`{name}`" for name in (setting.option, setting.variable) if name)
        has_default = setting.values and setting.default not in (None, ())
        default = f" `{shown_default(setting)}`" if has_default else ""
        description = f" {setting.values.description}" if setting.values else ""
        lines.append(f"| {names} |{description} |{default} | {setting.help} |")
    core = (
        f"| `{_CORE_VARIABLE}` | compiled or interpreted | | form of the core; default: as found |"
    )
    return "\n".join([*lines, core]) + "\n"


if __name__ == "__main__":
    print(documentation(), end="")
