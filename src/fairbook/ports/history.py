"""Recorded history: its rows in the core's units, and the port for reading them.

Prices are in ticks, quantities in lots, amounts in atoms, times in ns of log time.
"""

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple, Protocol

from fairbook.candles.bars import Bar
from fairbook.candles.ticker import Totals
from fairbook.core.admin_records import CAPTURED, CONFIRMED, CREDITED, DEBITED

TIME_NS_MAX: Final = (1 << 63) - 1  # where log time ends, in the year 2262


class HistoryBehind(Exception):
    """History is not recorded as far as requested, or cannot be read. Trading is not affected."""


class Page(NamedTuple):
    """`limit` rows after the first `offset`, newest or oldest first."""

    limit: int
    offset: int = 0
    oldest_first: bool = False


class Span(NamedTuple):
    """A range of log time; both ends are inside."""

    from_ns: int = 0
    to_ns: int = TIME_NS_MAX


ALWAYS: Final = Span()

# The movements with which money came into an account, and went from it.
MONEY_IN: Final = (CREDITED, CONFIRMED)
MONEY_OUT: Final = (DEBITED, CAPTURED)


class TradeRow(NamedTuple):
    """One trade of one market."""

    trade_id: int
    market: int
    price: int
    lots: int
    quote: int
    time_ns: int
    taker_side: int  # records.BID or ASK; with ASK the buyer was the maker
    taker_account: int
    maker_account: int
    taker_order_id: int
    maker_order_id: int
    taker_fee: int  # in atoms of the asset that the taker received
    maker_fee: int
    is_generated: bool  # part of the demo's generated first day, not of real trading


class OrderRow(NamedTuple):
    """One order as it is now, open or closed. Fields as in records.OrderRecord."""

    order_id: int
    account: int
    client_id: int  # valid only with HAS_CLIENT_ID in `flags`
    market: int
    side: int
    tif: int
    flags: int
    price: int
    quantity: int
    filled: int
    quote: int
    fee: int
    status: int
    reason: int  # close reason; 0 while the order is open
    created_ns: int
    closed_ns: int  # 0 while the order is open
    is_generated: bool
    client_text: str | None  # the client id of an order with HAS_TEXT in `flags`

    @property
    def text(self) -> str | None:
        """As OrderRecord has it."""
        return self.client_text


class FillRow(NamedTuple):
    """One side of one trade, for the account whose order it was."""

    trade_id: int
    market: int
    order_id: int
    client_id: int | str | None
    side: int
    price: int
    lots: int
    fee: int  # in atoms of the asset received
    is_maker: bool
    time_ns: int


class TransferRow(NamedTuple):
    """Money came, went, or is held: one MOVED event."""

    transfer_id: int  # counts from 1 over all transfers
    account: int
    asset: int
    movement: int  # admin_records.CREDITED to CAPTURED
    atoms: int
    fee_atoms: int  # kept by the exchange, of what was captured
    operator: int  # who ordered it; 0: none
    reference: bytes  # 16; of its command, and of what came of that later
    time_ns: int


class History(Protocol):
    """Reads what the recorder has stored. Every method may raise HistoryBehind."""

    async def reached(self, position: int) -> None:
        """Wait until everything up to `position` is recorded, for a limited time."""

    async def trades(self, market: int, page: Page) -> Sequence[TradeRow]:
        """By trade id."""

    async def klines(
        self, market: int, interval: str, *, start_s: int, end_s: int, bars_max: int
    ) -> Sequence[Bar]:
        """The earliest `bars_max` bars that start in [start_s, end_s], by rising start, without
        gaps from the first trade on, the running bar included.

        interval: one of candles.INTERVALS.
        """

    async def ticker(self, market: int) -> Totals | None:
        """Of the last 24 hours of log time; None before the first trade."""

    async def orders(
        self,
        account: int,
        page: Page,
        *,
        market: int = 0,
        order_id: int = 0,
        client_id: int | str | None = None,
    ) -> Sequence[OrderRow]:
        """By order id. Market and order id 0: any."""

    async def fills(
        self, account: int, page: Page, *, span: Span = ALWAYS, market: int = 0, order_id: int = 0
    ) -> Sequence[FillRow]:
        """By time. Both sides of a trade if both orders were the account's. 0: any."""

    async def transfers(
        self,
        account: int,
        page: Page,
        *,
        movements: Collection[int],
        span: Span = ALWAYS,
        reference: bytes | None = None,
    ) -> Sequence[TransferRow]:
        """Those of some movements, such as MONEY_IN, by time; None: any reference."""


class TradeBars(Protocol):
    """Reads recorded trades as bars, for streams that start. Raises HistoryBehind if `trade_id_max`
    is not recorded yet.
    """

    async def seconds(self, market: int, *, since_s: int, trade_id_max: int) -> Sequence[Bar]:
        """One-second bars of the trades from `since_s` up to `trade_id_max`, by rising start.

        The last bar contains that trade even if it is older than `since_s`: its close is the
        market's last price. Empty for trade 0.
        """

    async def bars(self, market: int, *, since_s: int, trade_id_max: int) -> Sequence[Bar]:
        """The same trades in the fewest bars: of any stored length up to a day."""
