"""A real exchange whose files an insider edits: customers, and what must be true afterwards."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from nacl.signing import SigningKey

from fairbook.accounts.credential_registry import CredentialRegistry
from fairbook.accounts.credentials import new_token
from fairbook.accounts.sqlite_accounts import FILE_NAME as ACCOUNTS_NAME
from fairbook.accounts.sqlite_accounts import SqliteAccounts
from fairbook.core import admin_records
from fairbook.core.exchange import Exchange
from fairbook.engine.queries import EngineView
from fairbook.history.sqlite_store import FILE_NAME as HISTORY_NAME
from fairbook.log.file_log import FileLog
from fairbook.net import control_socket
from fairbook.ports.accounts import READ
from fairbook.ports.digests import password_digest, public_key_digest, second_factor_digest
from tests.world.commands import run_fairbook
from tests.world.credentials import key_added, token_added
from tests.world.exchange_process import ExchangeProcess
from tests.world.http_client import signed
from tests.world.rest_client import Reply, RestClient
from tests.world.waiting import wait_until

ARGON = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNo"
SECRET = b"totp secret"
WITHDRAWALS = "/wapi/v1/capital/withdrawals"
DEPOSITS = "/wapi/v1/capital/deposits"
READER_KEY = SigningKey(b"reader".ljust(32, b"."))
INSIDER_KEY = SigningKey(b"insider".ljust(32, b"."))
ADDRESS, INSIDERS_ADDRESS = "the customer's", "the insider's"
FOUND_WITHIN_S = 15.0


class InsiderExchange:
    """demo1 has a key that may only read, a password, a second factor and a withdrawal."""

    def __init__(self, folder: Path) -> None:
        self.venue = ExchangeProcess(folder, "--no-replica")
        self.reader_token = new_token()
        self.account = 0

    def open(self) -> None:
        """Start; give the customer what has no door yet; start again, and withdraw; stop."""
        self.venue.start()
        self.account = self.venue.account("demo1")
        self.venue.stop()
        self._add_credentials()
        self.venue.start()
        body = withdrawal("1", ADDRESS, clientId="rent")
        with closing(self.venue.rest()) as rest:
            assert rest.expect(200, "POST", WITHDRAWALS, body)["status"] == "confirmed"
        self.venue.stop()

    def copy(self, folder: Path) -> InsiderExchange:
        """The same in another directory, running."""
        shutil.copytree(self.venue.folder, folder, dirs_exist_ok=True)
        copied = InsiderExchange(folder)
        copied.reader_token, copied.account = self.reader_token, self.account
        copied.venue.start()
        return copied

    def _add_credentials(self) -> None:
        """The facts, and what the registry would store of them."""
        account, user = self.account, 1
        digests = {
            admin_records.PASSWORD: password_digest(user_id=user, email="", text=ARGON),
            admin_records.SECOND_FACTOR: second_factor_digest(user_id=user, record=SECRET),
        }
        self.venue.append_to_log(
            key_added(account, READER_KEY, READ),
            token_added(account, self.reader_token, READ),
            *(
                admin_records.add_credential(detail=digest, credential_type=kind, owner=account)
                for kind, digest in digests.items()
            ),
        )
        public_key = bytes(READER_KEY.verify_key)
        with self.store() as store:
            store.put_credential(
                account=account, credential_type=admin_records.PUBLIC_KEY, label="reader",
                digest=public_key_digest(public_key), content=public_key, permissions=READ,
                created_ns=1,
            )  # fmt: skip
            for kind, content in (
                (admin_records.PASSWORD, ARGON.encode()),
                (admin_records.SECOND_FACTOR, SECRET),
            ):
                store.put_credential(
                    account=account, credential_type=kind, digest=digests[kind], content=content,
                    created_ns=1,
                )  # fmt: skip

    def store(self) -> closing[SqliteAccounts]:
        return closing(SqliteAccounts(self.venue.folder / ACCOUNTS_NAME))

    def edit(self, *statements: str, file: str = ACCOUNTS_NAME, **values: Any) -> None:
        """As with a shell on the machine, while the exchange runs or not."""
        with closing(sqlite3.connect(self.venue.folder / file, timeout=10)) as database, database:
            for statement in statements:
                assert database.execute(statement, values).rowcount, statement

    def select(self, query: str) -> list[int]:
        """The first column."""
        with closing(sqlite3.connect(self.venue.folder / ACCOUNTS_NAME)) as database:
            return [row[0] for row in database.execute(query)]

    def edit_history(self, *statements: str, **values: Any) -> None:
        self.edit(*statements, file=HISTORY_NAME, **values)

    def call(self, key: SigningKey, method: str, path: str, body: dict[str, Any]) -> Reply:
        """A request that is signed with a key."""
        instruction = {"POST": "withdraw", "GET": "balanceQuery"}[method]
        at_ms = time.time_ns() // 1_000_000
        text = "&".join(f"{name}={value}" for name, value in sorted(body.items()))
        headers = signed(instruction, text, at_ms=at_ms, key=key)
        rest = RestClient(self.venue.http_port)
        rest.headers |= headers
        try:
            return rest.call(method, path, body or None)
        finally:
            rest.close()

    def balances(self) -> dict[str, Any]:
        """By name of the demo's account: what it has in all, from the log alone."""
        view = self.view()
        return {
            name: [
                (asset, available + locked)
                for asset, available, locked in view.balances(self.venue.account(name))
            ]
            for name in ("demo2", "maker", "taker")
        }

    def view(self) -> EngineView:
        """The state by a replay of the log."""
        exchange = Exchange()
        with closing(FileLog(self.venue.folder, read_only=True)) as log:
            for entry in log.read(1):
                exchange.apply(entry.frame, entry.time_ns)
        return EngineView(exchange)

    def secrets(self, use: Callable[[CredentialRegistry], Any]) -> Any:
        """What a login would get of the store, with the facts of the log."""
        with self.store() as store:
            return use(CredentialRegistry(store, _NoCommands(), self.view()))

    def accounts_status(self) -> dict[str, Any]:
        """What the running exchange says about the accounts."""
        found: dict[str, Any] = control_socket.ask(self.venue.folder, "status")["accounts"]
        return found

    def check_named(self, sentences: Iterable[str], *, status_code: int = 1) -> None:
        """By the log of the process, by `status` and by `verify`."""
        for sentence in sentences:
            self._wait_until_named(sentence)
            logged = self.venue.new_stderr().replace("\\'", "'").replace('\\"', '"')
            assert sentence in logged, logged
        done = run_fairbook("status", self.venue.folder)
        assert done.returncode == status_code
        for sentence in sentences:
            assert sentence in done.stdout

    def _wait_until_named(self, sentence: str) -> None:
        wait_until(
            lambda: sentence in self._named_now(),
            lambda: f"{sentence} is not in {self.accounts_status()}",
            within_s=FOUND_WITHIN_S,
        )

    def _named_now(self) -> str:
        found = self.accounts_status()
        return "\n".join(found["contradictions"] + found["removed"])

    def check_status_stopped(self, *sentences: str) -> None:
        """The same of `status` while the exchange is stopped."""
        done = run_fairbook("status", self.venue.folder)
        assert done.returncode == (1 if sentences else 0), done.stdout
        for sentence in sentences:
            assert sentence in done.stdout

    def check_verified(self, *sentences: str, differs: str = "accounts.db contradicts") -> None:
        """`verify` names each, with exit code 1; without any, all is well."""
        done = run_fairbook("verify", self.venue.folder)
        assert done.returncode == (1 if sentences else 0), done.stderr
        for sentence in (*sentences, differs if sentences else ""):
            assert sentence in done.stderr, (sentence, done.stderr)


class _NoCommands:
    """The Commands port of a registry that only reads."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


def withdrawal(quantity: str, address: str, **more: Any) -> dict[str, Any]:
    return {
        "symbol": "SOL", "quantity": quantity, "address": address, "blockchain": "Solana", **more,
    }  # fmt: skip
