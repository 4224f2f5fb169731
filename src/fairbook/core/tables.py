"""The tables of the exchange: assets, markets with their books, accounts, balances, and limits."""

from __future__ import annotations

from typing import final

from mypy_extensions import i64

from fairbook.core import COMPILED
from fairbook.core.book import Book
from fairbook.core.ledger import FIRST_USER, Ledger
from fairbook.core.markets import Asset, Market
from fairbook.core.records import COMMAND_BYTES
from fairbook.core.trading_account import Account, prefetch_client_ids


@final
class Tables:
    """The tables. Index 0 of assets, markets and books is a placeholder."""

    def __init__(self) -> None:
        self.rules: i64 = 0
        self.cancel_only: bool = False
        self.orders_max: i64 = 10_000
        self.accounts_max: i64 = 1_000_000
        self.assets: list[Asset] = [Asset(0, "", 0)]
        self.markets: list[Market] = [_no_market(self.assets[0])]
        self.books: list[Book] = [Book(self.markets[0])]
        self.accounts: list[Account] = [Account(0), Account(0)]
        self.account_of_user: dict[int, int] = {}
        self.ledger = Ledger()
        self.prefetched: i64 = 0  # not state: kept so that no compiler drops the prefetch

    def is_user(self, account: i64) -> bool:
        """Whether the account was opened by OPEN_ACCOUNT."""
        return FIRST_USER <= account < len(self.accounts)

    def add_account(self, account: Account) -> None:
        """Append an account with an empty row in the ledger."""
        self.account_of_user[account.user_id] = len(self.accounts)
        self.accounts.append(account)
        self.ledger.add_account()

    def add_asset(self, asset: Asset) -> None:
        """Append an asset with an empty column in the ledger."""
        self.assets.append(asset)
        self.ledger.add_asset()

    def add_market(self, market: Market) -> None:
        """Append a market with an empty book."""
        self.markets.append(market)
        self.books.append(Book(market))

    def begin_frame(self, frame: bytes, sequence: i64, time_ns: i64) -> None:
        """Before the commands of a frame: evict the expired client ids of one account.

        The accounts take turns. An account that places orders evicts its own.
        """
        table = self.accounts[sequence % len(self.accounts)].client_ids
        if table is not None:
            table.expire(time_ns)
        if COMPILED and len(frame) > COMMAND_BYTES:
            self.prefetched = prefetch_client_ids(frame, self.accounts)


def _no_market(asset: Asset) -> Market:
    return Market(0, "", base=asset, quote=asset, lot_atoms=1, tick_atoms=1, created_ns=0)
