"""The configuration file of a venue: read, checked as a whole, and applied to the exchange."""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from fairbook.accounts.sqlite_accounts import SqliteAccounts
from fairbook.admin.hooks import Hook
from fairbook.admin.operators import TOKEN_CHARACTERS_MAX
from fairbook.app.settings import SettingError, UnknownSetting, read_server_table
from fairbook.core import admin_records
from fairbook.core.exchange import Exchange
from fairbook.demo import demo_venue
from fairbook.demo.maker.plan import MarketPlan
from fairbook.ports.accounts import AccountRefused
from fairbook.ports.commands import Commands
from fairbook.ports.digests import public_key_digest
from fairbook.venue import first_state
from fairbook.venue.changes import changes
from fairbook.venue.toml_file import ConfigError, Problem, hint
from fairbook.venue.venue import Venue, venue_of

BYTES_MAX: Final = 16 * 1024 * 1024
SECRET_CHARACTERS_MIN: Final = 32

logger = logging.getLogger(__name__)


class VenueFile(NamedTuple):
    """A configuration that can be used. `server`: its settings, by field of UpSettings."""

    name: str
    text: str
    venue: Venue
    plans: tuple[MarketPlan, ...]
    server: Mapping[str, Any]

    @property
    def webhook_secret(self) -> Path | None:
        """The file of the webhook's secret, beside the configuration."""
        name = self.venue.webhook_secret_file
        return None if name is None else self._beside(name)

    def hooks(self) -> list[Hook]:
        """With their secrets, from files beside it. Raises SettingError, OSError."""
        return [
            Hook(
                hook.events,
                hook.command,
                hook.url,
                None if hook.secret_file is None else read_secret(self._beside(hook.secret_file)),
            )
            for hook in self.venue.hooks
        ]

    def _beside(self, name: str) -> Path:
        return Path(self.name).parent / name

    def error(self, problem: Problem) -> ConfigError:
        return problem.at_line(self.text, self.name)


def read_secret(path: Path) -> str:
    """The first line of a file. Raises SettingError, OSError."""
    secret = path.read_text(encoding="utf-8").partition("\n")[0].strip()
    if not SECRET_CHARACTERS_MIN <= len(secret) <= TOKEN_CHARACTERS_MAX:
        raise SettingError(
            f"{path} must have {SECRET_CHARACTERS_MIN} to {TOKEN_CHARACTERS_MAX} characters in its"
            " first line"
        )
    return secret


def load_venue(path: Path | None) -> VenueFile:
    """Read and check a file; None: the demo's. Raises ConfigError, OSError."""
    if path is None:
        return _checked(demo_venue.demo_text(), demo_venue.FILE_NAME)
    content = path.read_bytes()
    if len(content) > BYTES_MAX:
        raise ConfigError(f"{path}: more than {BYTES_MAX} bytes")
    try:
        return _checked(content.decode(), str(path))
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: it is not UTF-8") from None


def _checked(text: str, name: str) -> VenueFile:
    venue = venue_of(text, name)
    try:
        server = dict(_server(venue))
        plans = tuple(demo_venue.market_plans(venue))
        first_state.check(venue)
    except Problem as problem:
        raise problem.at_line(text, name) from None
    return VenueFile(name, text, venue, plans, server)


def _server(venue: Venue) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in venue.server.items():
        try:
            found.update(read_server_table({name: value}))
        except SettingError as error:
            raise Problem(("server", name), str(error)) from None
        except UnknownSetting as unknown:
            message = f"unknown setting {name}{hint(name, unknown.known)}"
            raise Problem(("server", name), message) from None
    return found


async def apply_first_state(
    file: VenueFile, commands: Commands, exchange: Exchange, store: SqliteAccounts
) -> dict[str, int]:
    """Complete the first state, and return the account of each name in the file. Must return before
    clients are let in. Later the file changes nothing: what differs is logged.

    Raises ConfigError if the exchange is another one; Stopped, Busy.
    """
    try:
        await first_state.complete(commands, exchange, file.venue)
        await asyncio.to_thread(_require_same_accounts, file.venue, exchange, store)
        found = changes(file.venue, exchange)
    except Problem as problem:
        raise file.error(problem) from None
    if found:
        logger.warning(
            "%s differs from the exchange, which stays as it is: see `fairbook apply --dry-run`",
            file.name,
            extra={"differences": len(found)},
        )
    await asyncio.to_thread(_store_accounts, file.venue, exchange, store)
    return {
        account.name: exchange.account_of_user(account.user_id) for account in file.venue.accounts
    }


def approves_withdrawal(venue: Venue, exchange: Exchange, asset: int, atoms: int) -> bool:
    """Whether a withdrawal leaves without an operator."""
    return venue.withdrawals == "automatic" and atoms <= exchange.assets[asset].credit_max


def _require_same_accounts(venue: Venue, exchange: Exchange, store: SqliteAccounts) -> None:
    for account in venue.accounts:
        if not exchange.account_of_user(account.user_id):
            raise Problem(
                account.path,
                f"account {account.name} is new: a file opens accounts in the first state only",
            )
        user = store.user(account.user_id)
        if user is not None and user.name != account.name:
            raise Problem(
                account.path,
                f"account {account.user_id} is {account.name} here, and {user.name} in the"
                " exchange: is this the file of another one?",
            )


def _store_accounts(venue: Venue, exchange: Exchange, store: SqliteAccounts) -> None:
    """Names of accounts, and labels of keys: what must not be in the log."""
    for account in venue.accounts:
        number = exchange.account_of_user(account.user_id)
        if store.user(account.user_id) is None:
            store.add_user(user_id=account.user_id, name=account.name)
        try:
            store.set_account(account.user_id, number)
        except AccountRefused as contradiction:
            logger.error("%s: %s; the log decides", account.name, contradiction)
        known = {row.digest for row in store.credentials(number)} if account.keys else set()
        for key in account.keys:
            fact = exchange.credential(public_key_digest(key.public_key))
            if fact is None or fact.owner != number or fact.revoked_ns or fact.digest in known:
                continue
            store.put_credential(
                account=number,
                credential_type=admin_records.PUBLIC_KEY,
                digest=fact.digest,
                content=key.public_key,
                label=key.label,
                permissions=fact.permissions,
                created_ns=fact.added_ns,
            )
