"""Messages of streams, as the JSON text of the public contract, section 5.

The texts are concatenated by hand, because each change of a book becomes several of them. Symbols,
asset names and stream names are plain ASCII, so nothing needs escaping. Values are in the core's
units; `sent_us` is the clock when the text is made, `time_us` the log time of the event.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from fairbook.api.errors import CLOSE_REASONS
from fairbook.api.market_data import STATE_TEXT
from fairbook.api.numbers import MarketScales, Scale
from fairbook.api.orders import (
    SIDE_TEXT,
    STATUS_TEXT,
    TIME_IN_FORCE_TEXT,
    client_id_text,
    self_trade_text,
)
from fairbook.api.times import utc_second
from fairbook.candles.bars import Bar
from fairbook.candles.ticker import Totals
from fairbook.core import records
from fairbook.core.markets import Market
from fairbook.core.records import Fill, OrderRecord, Placed
from fairbook.ports.queries import BookDepth

# What has happened to an order.
ORDER_ACCEPTED: Final = "orderAccepted"
ORDER_MODIFIED: Final = "orderModified"
ORDER_FILL: Final = "orderFill"
ORDER_CLOSED: Final = {records.CANCELLED: "orderCancelled", records.EXPIRED: "orderExpired"}

_BOOL_TEXT: Final = ("false", "true")


def message(name: str, content: str) -> bytes:
    """The whole message: `content`, a JSON object, on the stream `name`."""
    return f'{{"stream":"{name}","data":{content}}}'.encode()


def depth(
    scales: MarketScales, *, bids: Mapping[int, int], asks: Mapping[int, int], first_id: int,
    last_id: int, time_us: int, sent_us: int,
) -> str:  # fmt: skip
    """Levels that changed, as price -> lots; 0 lots: the level is gone."""
    return (
        f'{{"e":"depth","E":{sent_us},"s":"{scales.symbol}","a":[{_levels(scales, asks)}],'
        f'"b":[{_levels(scales, bids)}],"U":{first_id},"u":{last_id},"T":{time_us}}}'
    )


def _levels(scales: MarketScales, levels: Mapping[int, int]) -> str:
    if not levels:
        return ""
    price, quantity = scales.price.text, scales.quantity.text
    return ",".join([f'["{price(at)}","{quantity(lots)}"]' for at, lots in levels.items()])


def book_ticker(scales: MarketScales, book: BookDepth, *, sent_us: int) -> str:
    """The best price of each side; 0 if it is empty."""
    bid_price, bid_lots = book.bids[0] if book.bids else (0, 0)
    ask_price, ask_lots = book.asks[0] if book.asks else (0, 0)
    return (
        f'{{"e":"bookTicker","E":{sent_us},"s":"{scales.symbol}",'
        f'"a":"{scales.price.text(ask_price)}","A":"{scales.quantity.text(ask_lots)}",'
        f'"b":"{scales.price.text(bid_price)}","B":"{scales.quantity.text(bid_lots)}",'
        f'"u":{book.update_id},"T":{book.time_ns // 1000}}}'
    )


def trade(scales: MarketScales, fill: Fill, *, time_us: int, sent_us: int) -> str:
    if fill.side == records.BID:
        buyer, seller, buyer_is_maker = fill.taker_order_id, fill.maker_order_id, "false"
    else:
        buyer, seller, buyer_is_maker = fill.maker_order_id, fill.taker_order_id, "true"
    return (
        f'{{"e":"trade","E":{sent_us},"s":"{scales.symbol}","p":"{scales.price.text(fill.price)}",'
        f'"q":"{scales.quantity.text(fill.lots)}","b":"{buyer}","a":"{seller}",'
        f'"t":{fill.trade_id},"T":{time_us},"m":{buyer_is_maker}}}'
    )


def ticker(scales: MarketScales, totals: Totals, *, sent_us: int) -> str:
    price = scales.price.text
    return (
        f'{{"e":"ticker","E":{sent_us},"s":"{scales.symbol}","o":"{price(totals.first)}",'
        f'"c":"{price(totals.last)}","h":"{price(totals.high)}","l":"{price(totals.low)}",'
        f'"v":"{scales.quantity.text(totals.lots)}","V":"{scales.quote.text(totals.quote)}",'
        f'"n":{totals.trades}}}'
    )


def kline(scales: MarketScales, bar: Bar, *, end_s: int, is_final: bool, sent_us: int) -> str:
    """One bar, up to and without `end_s`."""
    price = scales.price.text
    return (
        f'{{"e":"kline","E":{sent_us},"s":"{scales.symbol}","t":"{utc_second(bar.start_s)}",'
        f'"T":"{utc_second(end_s)}","o":"{price(bar.open)}","c":"{price(bar.close)}",'
        f'"h":"{price(bar.high)}","l":"{price(bar.low)}","v":"{scales.quantity.text(bar.lots)}",'
        f'"n":{bar.trades},"X":{_BOOL_TEXT[is_final]}}}'
    )


class StreamedOrder:
    """An open order, as updates about it need it: its terms, and what changes with its fills."""

    __slots__ = ("_terms_texts", "filled", "quote", "terms", "text")

    def __init__(self, terms: Placed | OrderRecord, text: str | None = None) -> None:
        """terms: ACCEPTED, or a record of the order as it is now. text: its client id as a text."""
        self.terms = terms
        self.text = text
        self.filled: int = terms.filled if isinstance(terms, OrderRecord) else 0
        self.quote: int = terms.quote if isinstance(terms, OrderRecord) else 0
        self._terms_texts: tuple[str, str, str] | None = None

    def terms_texts(self, scales: MarketScales) -> tuple[str, str, str]:
        """Constant parts of its messages: before status, after filled quantities, after time."""
        texts = self._terms_texts
        if texts is None:
            terms, flags = self.terms, self.terms.flags
            client = ""
            if self.text is not None:
                client = f'"c":{client_id_text(self.text)},'
            elif flags & records.HAS_CLIENT_ID:
                client = f'"c":{terms.client_id},'
            texts = (
                f'"s":"{scales.symbol}",{client}"S":"{SIDE_TEXT[terms.side]}",{self._kind(scales)}',
                f'"V":"{self_trade_text(flags)}","T":',
                f',"O":"USER","r":false,"y":{_BOOL_TEXT[bool(flags & records.POST_ONLY)]}',
            )
            if not flags & records.BY_QUOTE:  # whose `q` changes with every fill
                self._terms_texts = texts
        return texts

    def _kind(self, scales: MarketScales) -> str:
        terms, quantity = self.terms, scales.quantity.text
        if not terms.flags & records.MARKET_ORDER:
            quote = terms.price * terms.quantity * scales.market.tick_atoms
            return (
                f'"o":"LIMIT","f":"{TIME_IN_FORCE_TEXT[terms.tif]}",'
                f'"q":"{quantity(terms.quantity)}","Q":"{scales.quote.text(quote)}",'
                f'"p":"{scales.price.text(terms.price)}"'
            )
        if terms.flags & records.BY_QUOTE:
            return (
                f'"o":"MARKET","f":"IOC","q":"{quantity(self.filled)}",'
                f'"Q":"{scales.quote.text(terms.quantity)}"'
            )
        return f'"o":"MARKET","f":"IOC","q":"{quantity(terms.quantity)}"'


def order_update(
    order: StreamedOrder, scales: MarketScales, *, event: str, status: int, time_us: int,
    sent_us: int, reason: int = 0, fill: Fill | None = None, is_maker: bool = False,
) -> str:  # fmt: skip
    """event: one of those above. reason: of a closed order. fill: included in `order` already."""
    before, filled, behind = order.terms_texts(scales)
    trade_text = "" if fill is None else _fill_text(order, scales, fill, is_maker=is_maker)
    expiry = CLOSE_REASONS[reason]
    reason_text = f',"R":"{expiry}"' if expiry else ""
    return (
        f'{{"e":"{event}","E":{sent_us},{before},"X":"{STATUS_TEXT[status]}",'
        f'"i":"{order.terms.order_id}",{trade_text}"z":"{scales.quantity.text(order.filled)}",'
        f'"Z":"{scales.quote.text(order.quote)}",{filled}{time_us}{behind}{reason_text}}}'
    )


def _fill_text(order: StreamedOrder, scales: MarketScales, fill: Fill, *, is_maker: bool) -> str:
    fee_scale, fee_symbol = scales.received(order.terms.side)
    fee = fill.maker_fee if is_maker else fill.taker_fee
    return (
        f'"t":{fill.trade_id},"l":"{scales.quantity.text(fill.lots)}",'
        f'"L":"{scales.price.text(fill.price)}","m":{_BOOL_TEXT[is_maker]},'
        f'"n":"{fee_scale.text(fee)}","N":"{fee_symbol}",'
    )


def venue(
    markets: Iterable[Market], *, is_paused: bool, announcements: Sequence[str], sent_us: int
) -> str:
    """The state of the exchange: its markets', and what operators have announced, newest first."""
    content = {
        "e": "venue",
        "E": sent_us,
        "paused": is_paused,
        "markets": {market.name: STATE_TEXT[market.state] for market in markets},
        "announcements": announcements,
    }
    return msgspec.json.encode(content).decode()


def checkpoint(note: str, key: str, *, sent_us: int) -> str:
    """A signed checkpoint, and the key by which it is checked."""
    content = {"e": "checkpoint", "E": sent_us, "note": note, "key": key}
    return msgspec.json.encode(content).decode()


def balance(
    symbol: str, scale: Scale, *, available: int, locked: int, time_us: int, sent_us: int
) -> str:
    return (
        f'{{"e":"balanceUpdate","E":{sent_us},"a":"{symbol}","A":"{scale.text(available)}",'
        f'"L":"{scale.text(locked)}","S":"0","T":{time_us}}}'
    )
