"""Messages of streams, as the JSON text of the public contract, section 5.

The texts are concatenated by hand, because each change of a book becomes several of them. Symbols,
asset names and stream names are plain ASCII, so nothing needs escaping. Values are in the core's
units; `sent_us` is the clock when the text is made, `time_us` the log time of the event.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fairbook.api.errors import CLOSE_REASONS
from fairbook.api.numbers import Scale, Terms
from fairbook.api.orders import SIDE_TEXT, STATUS_TEXT, TIME_IN_FORCE_TEXT, self_trade_text
from fairbook.api.times import utc_second
from fairbook.core import records
from fairbook.core.records import OrderRecord, Placed

_BOOL_TEXT: Final = ("false", "true")


def message(name: str, content: str) -> bytes:
    """The whole message: `content`, a JSON object, on the stream `name`."""
    return f'{{"stream":"{name}","data":{content}}}'.encode()


def depth(
    terms: Terms, *, bids: Mapping[int, int], asks: Mapping[int, int], first_id: int,
    last_id: int, time_us: int, sent_us: int,
) -> str:  # fmt: skip
    """Levels that changed, as price -> lots; 0 lots: the level is gone."""
    return (
        f'{{"e":"depth","E":{sent_us},"s":"{terms.symbol}","a":[{_levels(terms, asks)}],'
        f'"b":[{_levels(terms, bids)}],"U":{first_id},"u":{last_id},"T":{time_us}}}'
    )


def _levels(terms: Terms, levels: Mapping[int, int]) -> str:
    if not levels:
        return ""
    price, quantity = terms.price.text, terms.quantity.text
    return ",".join([f'["{price(at)}","{quantity(lots)}"]' for at, lots in levels.items()])


def book_ticker(
    terms: Terms, *, bid: tuple[int, int] | None, ask: tuple[int, int] | None, update_id: int,
    time_us: int, sent_us: int,
) -> str:  # fmt: skip
    """The best (price, lots) of each side; None if it is empty."""
    ask_price, ask_lots = ask if ask is not None else (0, 0)
    bid_price, bid_lots = bid if bid is not None else (0, 0)
    return (
        f'{{"e":"bookTicker","E":{sent_us},"s":"{terms.symbol}",'
        f'"a":"{terms.price.text(ask_price)}","A":"{terms.quantity.text(ask_lots)}",'
        f'"b":"{terms.price.text(bid_price)}","B":"{terms.quantity.text(bid_lots)}",'
        f'"u":{update_id},"T":{time_us}}}'
    )


def trade(
    terms: Terms, *, trade_id: int, price: int, lots: int, taker_side: int, taker_order_id: int,
    maker_order_id: int, time_us: int, sent_us: int,
) -> str:  # fmt: skip
    """One trade."""
    if taker_side == records.BID:
        buyer, seller, buyer_is_maker = taker_order_id, maker_order_id, "false"
    else:
        buyer, seller, buyer_is_maker = maker_order_id, taker_order_id, "true"
    return (
        f'{{"e":"trade","E":{sent_us},"s":"{terms.symbol}","p":"{terms.price.text(price)}",'
        f'"q":"{terms.quantity.text(lots)}","b":"{buyer}","a":"{seller}","t":{trade_id},'
        f'"T":{time_us},"m":{buyer_is_maker}}}'
    )


def ticker(
    terms: Terms, *, first: int, last: int, high: int, low: int, lots: int, quote: int,
    trades: int, sent_us: int,
) -> str:  # fmt: skip
    """The last 24 hours. Before the first trade everything is 0."""
    price = terms.price.text
    return (
        f'{{"e":"ticker","E":{sent_us},"s":"{terms.symbol}","o":"{price(first)}",'
        f'"c":"{price(last)}","h":"{price(high)}","l":"{price(low)}",'
        f'"v":"{terms.quantity.text(lots)}","V":"{terms.quote.text(quote)}","n":{trades}}}'
    )


def kline(
    terms: Terms, *, start_s: int, end_s: int, first: int, last: int, high: int, low: int,
    lots: int, trades: int, is_final: bool, sent_us: int,
) -> str:  # fmt: skip
    """One bar, from `start_s` up to and without `end_s`."""
    price = terms.price.text
    return (
        f'{{"e":"kline","E":{sent_us},"s":"{terms.symbol}","t":"{utc_second(start_s)}",'
        f'"T":"{utc_second(end_s)}","o":"{price(first)}","c":"{price(last)}",'
        f'"h":"{price(high)}","l":"{price(low)}","v":"{terms.quantity.text(lots)}",'
        f'"n":{trades},"X":{_BOOL_TEXT[is_final]}}}'
    )


class StreamedOrder:
    """An open order, as updates about it need it. Fields as in OrderRecord; only `filled` and
    `quote` may change.
    """

    __slots__ = (
        "_terms_texts", "client_id", "filled", "flags", "market", "order_id", "price", "quantity",
        "quote", "side", "tif",
    )  # fmt: skip

    def __init__(self, order: Placed | OrderRecord) -> None:
        """order: ACCEPTED, or a record of it as it is now."""
        self.order_id: int = order.order_id
        self.client_id: int = order.client_id
        self.market: int = order.market
        self.side: int = order.side
        self.tif: int = order.tif
        self.flags: int = order.flags
        self.price: int = order.price
        self.quantity: int = order.quantity
        self.filled: int = 0
        self.quote: int = 0
        if isinstance(order, OrderRecord):
            self.filled = order.filled
            self.quote = order.quote
        self._terms_texts: tuple[str, str, str] | None = None

    def terms_texts(self, terms: Terms) -> tuple[str, str, str]:
        """The constant parts of its messages: before the status, after the filled quantities, and
        after the time.
        """
        texts = self._terms_texts
        if texts is None:
            flags = self.flags
            client = f'"c":{self.client_id},' if flags & records.HAS_CLIENT_ID else ""
            texts = (
                f'"s":"{terms.symbol}",{client}"S":"{SIDE_TEXT[self.side]}",{self._kind(terms)}',
                f'"V":"{self_trade_text(flags)}","T":',
                f',"O":"USER","r":false,"y":{_BOOL_TEXT[bool(flags & records.POST_ONLY)]}',
            )
            if not flags & records.BY_QUOTE:  # whose `q` changes with every fill
                self._terms_texts = texts
        return texts

    def _kind(self, terms: Terms) -> str:
        quantity = terms.quantity.text
        if not self.flags & records.MARKET_ORDER:
            quote = self.price * self.quantity * terms.market.tick_atoms
            return (
                f'"o":"LIMIT","f":"{TIME_IN_FORCE_TEXT[self.tif]}",'
                f'"q":"{quantity(self.quantity)}","Q":"{terms.quote.text(quote)}",'
                f'"p":"{terms.price.text(self.price)}"'
            )
        if self.flags & records.BY_QUOTE:
            return (
                f'"o":"MARKET","f":"IOC","q":"{quantity(self.filled)}",'
                f'"Q":"{terms.quote.text(self.quantity)}"'
            )
        return f'"o":"MARKET","f":"IOC","q":"{quantity(self.quantity)}"'


def order_accepted(order: StreamedOrder, terms: Terms, *, time_us: int, sent_us: int) -> str:
    """The order was accepted."""
    return _order(
        "orderAccepted", order, terms, status=records.NEW, time_us=time_us, sent_us=sent_us
    )


def order_modified(
    order: StreamedOrder, terms: Terms, *, status: int, time_us: int, sent_us: int
) -> str:
    """The order was amended: `order` has the new terms."""
    return _order("orderModified", order, terms, status=status, time_us=time_us, sent_us=sent_us)


def order_fill(
    order: StreamedOrder, terms: Terms, *, status: int, trade_id: int, price: int, lots: int,
    fee: int, is_maker: bool, time_us: int, sent_us: int,
) -> str:  # fmt: skip
    """The order took part in a trade, which `order` includes. fee: atoms of what it received."""
    if order.side == records.BID:
        fee_text, fee_symbol = terms.base.text(fee), terms.base_symbol
    else:
        fee_text, fee_symbol = terms.quote.text(fee), terms.quote_symbol
    fill = (
        f'"t":{trade_id},"l":"{terms.quantity.text(lots)}","L":"{terms.price.text(price)}",'
        f'"m":{_BOOL_TEXT[is_maker]},"n":"{fee_text}","N":"{fee_symbol}",'
    )
    return _order(
        "orderFill", order, terms, status=status, time_us=time_us, sent_us=sent_us, fill=fill
    )


def order_closed(
    order: StreamedOrder, terms: Terms, *, status: int, reason: int, time_us: int, sent_us: int
) -> str:
    """The order is CANCELLED, or EXPIRED for a reason. A filled one ends with its fill."""
    if status == records.CANCELLED:
        return _order(
            "orderCancelled", order, terms, status=status, time_us=time_us, sent_us=sent_us
        )
    return _order(
        "orderExpired", order, terms, status=status, time_us=time_us, sent_us=sent_us,
        reason=f',"R":"{CLOSE_REASONS[reason]}"',
    )  # fmt: skip


def _order(
    event: str, order: StreamedOrder, terms: Terms, *, status: int, time_us: int, sent_us: int,
    fill: str = "", reason: str = "",
) -> str:  # fmt: skip
    before, filled, behind = order.terms_texts(terms)
    return (
        f'{{"e":"{event}","E":{sent_us},{before},"X":"{STATUS_TEXT[status]}",'
        f'"i":"{order.order_id}",{fill}"z":"{terms.quantity.text(order.filled)}",'
        f'"Z":"{terms.quote.text(order.quote)}",{filled}{time_us}{behind}{reason}}}'
    )


def balance(
    symbol: str, scale: Scale, *, available: int, locked: int, time_us: int, sent_us: int
) -> str:
    """The balance of one asset, in atoms."""
    return (
        f'{{"e":"balanceUpdate","E":{sent_us},"a":"{symbol}","A":"{scale.text(available)}",'
        f'"L":"{scale.text(locked)}","S":"0","T":{time_us}}}'
    )
