"""The public gateway of an exchange, and the parts that it is made from."""

import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import NamedTuple

from fairbook.accounts.comparison import StoreComparison
from fairbook.accounts.credential_registry import CredentialRegistry
from fairbook.accounts.logged_credentials import LoggedCredentials
from fairbook.accounts.logged_notes import ReadFrame
from fairbook.accounts.sqlite_accounts import FILE_NAME as ACCOUNTS_NAME
from fairbook.accounts.sqlite_accounts import SqliteAccounts
from fairbook.accounts.unfinished_withdrawals import UnfinishedWithdrawals
from fairbook.app.settings import UpSettings
from fairbook.app.venue_file import approves_withdrawal
from fairbook.auth.endpoints import AuthEndpoints
from fairbook.auth.password_process import PasswordProcess
from fairbook.auth.user_accounts import UserAccounts
from fairbook.engine.engine import Engine
from fairbook.engine.queries import EngineView
from fairbook.followers.full_replay_link import FullReplayLink
from fairbook.followers.recorder_link import RecorderLink
from fairbook.followers.replica_monitor import ReplicaMonitor
from fairbook.gateway.authentication import Authenticator
from fairbook.gateway.gateway import Gateway, GatewayLimits
from fairbook.gateway.page_files import page_routes
from fairbook.gateway.routes import Routes
from fairbook.history.sqlite_history import SqliteHistory
from fairbook.ports.events import Emit
from fairbook.ports.liabilities import Liabilities
from fairbook.ports.queries import LogProofs, StateView
from fairbook.venue.venue import Venue


class AccountParts(NamedTuple):
    """The accounts store, and what stands between it and the log."""

    store: SqliteAccounts
    lookup: LoggedCredentials
    registry: CredentialRegistry
    comparison: StoreComparison
    withdrawals: UnfinishedWithdrawals


class Followers(NamedTuple):
    """The links to the processes that follow the engine, and the history that one records."""

    replica: ReplicaMonitor
    recorder: RecorderLink | None
    full_replay: FullReplayLink | None
    history: SqliteHistory | None


def account_parts(
    settings: UpSettings,
    stack: AsyncExitStack,
    engine: Engine,
    view: StateView,
    approves: Callable[[int, int], bool],
) -> AccountParts:
    store = SqliteAccounts(settings.data_dir / ACCOUNTS_NAME)
    stack.callback(store.close)
    return AccountParts(
        store,
        LoggedCredentials(view),
        CredentialRegistry(store, engine.commands, view),
        StoreComparison(store, view),
        UnfinishedWithdrawals(store.transfers, engine.commands, view, approves),
    )


def public_gateway(
    settings: UpSettings,
    venue: Venue,
    engine: Engine,
    accounts: AccountParts,
    authenticator: Authenticator,
    followers: Followers,
    auth: AuthEndpoints,
    liabilities: Liabilities,
    announcements: Callable[[], Sequence[str]],
    emit: Emit,
    proofs: LogProofs,
) -> Gateway:
    return Gateway(
        commands=engine.commands,
        queries=engine.queries,
        catalogue=engine.catalogue,
        accounts=accounts.lookup,
        limits=GatewayLimits(
            account_per_minute=settings.account_per_minute,
            account_burst=settings.account_burst,
            address_per_minute=settings.address_per_minute,
            address_burst=settings.address_burst,
            guesses_per_minute=settings.guesses_per_minute,
            guesses_burst=settings.guesses_burst,
            deadline_s=settings.deadline_s,
        ),
        authenticator=authenticator,
        checkpoints=followers.replica.link,
        proofs=proofs,
        liabilities=liabilities,
        history=followers.history,
        transfers=accounts.store.transfers,
        faucet_atoms=venue.faucet_atoms(),
        approves=partial(approves_withdrawal, venue, engine.runner.exchange),
        announcements=announcements,
        emit=emit,
        name=venue.name,
        sign_up=venue.sign_up,
        more=page_routes().extended(Routes(auth.endpoints(), auth.endpoints_under())),
    )


def auth_endpoints(
    settings: UpSettings,
    venue: Venue,
    engine: Engine,
    accounts: AccountParts,
    passwords: PasswordProcess,
    reader: ReadFrame,
    emit: Emit,
) -> AuthEndpoints:
    users = UserAccounts(
        accounts.store,
        accounts.registry,
        engine.commands,
        EngineView(engine.runner.exchange),
        passwords,
        reader,
        now_ns=time.time_ns,
    )
    return AuthEndpoints(
        users, mode=venue.sign_up, sign_ups_per_hour=settings.sign_ups_per_hour, emit=emit
    )
