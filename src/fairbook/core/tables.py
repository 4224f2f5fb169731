"""The tables of the exchange: everything that commands look up, and the limits of it."""

from __future__ import annotations

from typing import Final, final

from mypy_extensions import i64

from fairbook.core import COMPILED
from fairbook.core.book import Book
from fairbook.core.bytes_index import BytesIndex, key_of
from fairbook.core.credential_table import Credential, CredentialTable
from fairbook.core.daily_withdrawals import DailyWithdrawalTable
from fairbook.core.gateways import Gateways
from fairbook.core.ledger import FEE, FIRST_USER, Ledger
from fairbook.core.markets import Asset, Market
from fairbook.core.records import COMMAND_BYTES
from fairbook.core.references import References
from fairbook.core.signatures import UsedSignatures
from fairbook.core.trading_account import Account, prefetch_client_ids

OPERATORS_MAX: Final = 1000


@final
class Operator:
    """A person who runs the venue. `roles` 0: may do nothing any more."""

    def __init__(self) -> None:
        self.roles: i64 = 0
        self.credentials: list[Credential] = []


@final
class Pause:
    """Whether trading is paused for one cause. `reason` 0: it is not."""

    def __init__(self) -> None:
        self.reason: i64 = 0
        self.detail: bytes = b""  # 32 bytes, hash of what is known about it, or empty


@final
class Tables:
    """The tables. Index 0 of assets, markets, books and operators is a placeholder."""

    def __init__(self) -> None:
        self.rules: i64 = 0
        self.flags: i64 = 0  # of the first RULES
        self.log_id: i64 = 0
        self.salt: i64 = 0
        self.orders_max: i64 = 10_000
        self.accounts_max: i64 = 1_000_000
        self.credentials_max: i64 = 2_000_000
        self.owner_credentials_max: i64 = 128
        self.references_max: i64 = 1_000_000
        self.withdrawal_delay_s: i64 = 0
        self.audit_pause = Pause()
        self.operator_pause = Pause()
        self.paused = False  # by any of the two
        self.is_first_frame = False  # whether the present frame is; not state
        self.assets: list[Asset] = [Asset(0, "", 0)]
        self.markets: list[Market] = []
        self.books: list[Book] = []
        self.accounts: list[Account] = [Account(0), Account(0)]
        self.account_of_user = BytesIndex()
        self.ledger = Ledger()
        self.operators: list[Operator] = [Operator()]
        self.credentials = CredentialTable()
        self.references = References()
        self.daily_withdrawals = DailyWithdrawalTable()
        self.signatures = UsedSignatures()
        self.gateways = Gateways()
        self.prefetched: i64 = 0  # not state: kept so that no compiler drops the prefetch
        self.add_market(_no_market(self.assets[0]))

    def is_user(self, account: i64) -> bool:
        """Whether the account was opened by OPEN_ACCOUNT."""
        return FIRST_USER <= account < len(self.accounts)

    def add_account(self, account: Account) -> None:
        """Append an account with an empty row in the ledger."""
        self.account_of_user.put(key_of(account.user_id), len(self.accounts))
        self.accounts.append(account)
        self.ledger.rows.append(account.cells)

    def add_market(self, market: Market) -> None:
        """Append a market with an empty book."""
        ledger = self.ledger
        book = Book(market, ledger.cell(FEE, market.base), ledger.cell(FEE, market.quote))
        self.markets.append(market)
        self.books.append(book)

    def set_paused(self) -> None:
        """After one of the pauses has changed."""
        self.paused = self.audit_pause.reason != 0 or self.operator_pause.reason != 0

    def begin_frame(self, frame: bytes, sequence: i64, time_ns: i64) -> None:
        """Before the commands of a frame: forget used signatures, and the expired client ids of one
        account.

        The accounts take turns. An account that places orders evicts its own.
        """
        table = self.accounts[sequence % len(self.accounts)].client_ids
        if table is not None:
            table.expire(time_ns)
        if len(self.signatures.hashes) > 0:
            self.signatures.forget(time_ns)
        self.is_first_frame = sequence == 0
        if COMPILED and len(frame) > COMMAND_BYTES:
            self.prefetched = prefetch_client_ids(frame, self.accounts)


def _no_market(asset: Asset) -> Market:
    return Market(0, "", base=asset, quote=asset, lot_atoms=1, tick_atoms=1, created_ns=0)
