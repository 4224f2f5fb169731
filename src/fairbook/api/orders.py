"""Orders: request fields to commands, and the core's outcomes and records to the order object.

Only what a command cannot express is refused here; ranges, funds, states and ids are checked by the
core. The order object is concatenated by hand, because every order needs one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from fairbook.api.errors import CLOSE_REASONS, BadRequest, not_implemented, rejected
from fairbook.api.numbers import Scale, Terms
from fairbook.api.requests import (
    Fields,
    choice,
    client_id_field,
    flag,
    is_absent,
    order_id_field,
    symbol_field,
)
from fairbook.api.times import utc_text
from fairbook.core import records
from fairbook.core.records import OrderRecord, Outcome, order_records, read_outcome
from fairbook.core.units import MILLION

TermsOf = Callable[[str], Terms]  # by exact symbol; raises INVALID_MARKET

SIDES: Final = {"Bid": records.BID, "Ask": records.ASK}
_KINDS: Final = {"Limit": 0, "Market": records.MARKET_ORDER}
_TIMES_IN_FORCE: Final = {"GTC": records.GTC, "IOC": records.IOC, "FOK": records.FOK}
_SELF_TRADE: Final = {
    "RejectTaker": records.REJECT_TAKER << records.STP_SHIFT,
    "RejectMaker": records.REJECT_MAKER << records.STP_SHIFT,
    "RejectBoth": records.REJECT_BOTH << records.STP_SHIFT,
}
_CANCEL_ALL_KINDS: Final = {"RestingLimitOrder": 0, "ConditionalOrder": 1}
_NOT_OFFERED: Final = frozenset(
    (
        "triggerPrice", "triggerQuantity",
        "stopLossTriggerPrice", "stopLossLimitPrice", "stopLossTriggerBy",
        "takeProfitTriggerPrice", "takeProfitLimitPrice", "takeProfitTriggerBy",
    )
)  # fmt: skip

SIDE_TEXT: Final = ("Bid", "Ask")
TIME_IN_FORCE_TEXT: Final = ("GTC", "IOC", "FOK")
_SELF_TRADE_TEXT: Final = ("RejectTaker", "RejectMaker", "RejectBoth")
STATUS_TEXT: Final = ("Rejected", "New", "PartiallyFilled", "Filled", "Cancelled", "Expired")
_REST: Final = (
    '"reduceOnly":null,"relatedOrderId":null,"strategyId":null,"triggerBy":null,"triggerPrice":null,'
    '"triggerQuantity":null,"triggeredAt":null,"stopLossTriggerPrice":null,"stopLossLimitPrice":null,'
    '"stopLossTriggerBy":null,"takeProfitTriggerPrice":null,"takeProfitLimitPrice":null,'
    '"takeProfitTriggerBy":null}'
)


class OrderFields(Protocol):
    """What a client has asked for. Fields as in records.OrderRecord."""

    @property
    def flags(self) -> int: ...
    @property
    def side(self) -> int: ...
    @property
    def tif(self) -> int: ...
    @property
    def client_id(self) -> int: ...
    @property
    def price(self) -> int: ...
    @property
    def quantity(self) -> int: ...


class HistoryOrder(OrderFields, Protocol):
    """An order of the history, open or closed."""

    @property
    def order_id(self) -> int: ...
    @property
    def filled(self) -> int: ...
    @property
    def quote(self) -> int: ...
    @property
    def status(self) -> int: ...
    @property
    def reason(self) -> int: ...
    @property
    def created_ns(self) -> int: ...


class OrderCommand:
    """A valid request to change orders: the command to log, and the answer to its outcome."""

    __slots__ = ("command", "terms")

    def __init__(self, command: bytes, terms: Terms) -> None:
        self.command = command
        self.terms = terms

    def result(self, events: bytes) -> str:
        """The JSON of the answer. Raises ApiError if the core rejected the command.

        events: of this command alone, with its OUTCOME last.
        """
        raise NotImplementedError


class PlaceCommand(OrderCommand):
    """PLACE. The answer repeats the fields of the request."""

    __slots__ = ("client_id", "flags", "price", "quantity", "side", "tif")

    def __init__(
        self, terms: Terms, *, account: int, side: int, tif: int, flags: int, client_id: int,
        price: int, quantity: int, session: int = 0,
    ) -> None:  # fmt: skip
        self.command = records.place(
            account=account, market=terms.id, side=side, tif=tif, flags=flags, client_id=client_id,
            session=session, price=price, quantity=quantity,
        )  # fmt: skip
        self.terms = terms
        self.side = side
        self.tif = tif
        self.flags = flags
        self.client_id = client_id
        self.price = price
        self.quantity = quantity

    def result(self, events: bytes) -> str:
        outcome = read_outcome(events)
        if outcome.status == records.REJECTED:
            raise rejected(outcome.reason, client_id=self.client_id)
        return _order_text(
            self.terms, self, order_id=outcome.order_id, filled=outcome.filled,
            quote=outcome.quote, status=outcome.status, created=outcome.created_ns // MILLION,
        )  # fmt: skip


class CancelCommand(OrderCommand):
    """CANCEL."""

    __slots__ = ()

    def result(self, events: bytes) -> str:
        _accepted(events)
        return record_text(order_records(events)[0], self.terms)


class AmendCommand(OrderCommand):
    """AMEND."""

    __slots__ = ()

    def result(self, events: bytes) -> str:
        outcome = _accepted(events)
        own = [order for order in order_records(events) if order.order_id == outcome.order_id]
        return record_text(own[-1], self.terms, outcome)


class CancelAllCommand(OrderCommand):
    """CANCEL_ALL in one market."""

    __slots__ = ()

    def result(self, events: bytes) -> str:
        _accepted(events)
        return f"[{','.join(record_text(order, self.terms) for order in order_records(events))}]"


def _accepted(events: bytes) -> Outcome:
    outcome = read_outcome(events)
    if outcome.status == records.REJECTED:
        raise rejected(outcome.reason)
    return outcome


def place_command(
    fields: Fields, *, account: int, terms_of: TermsOf, session: int = 0
) -> PlaceCommand:
    """The command of a request to place an order.

    session: the order is cancelled when this session ends; 0: with no session. Raises BadRequest,
    INVALID_MARKET, or NOT_IMPLEMENTED for conditional orders.
    """
    terms = terms_of(symbol_field(fields))
    side = choice(fields, "side", SIDES)
    is_market = choice(fields, "orderType", _KINDS)
    if is_market:
        tif = records.IOC  # whatever is sent
    else:
        tif = choice(fields, "timeInForce", _TIMES_IN_FORCE, records.GTC)
    flags = is_market | choice(fields, "selfTradePrevention", _SELF_TRADE, 0)
    if not _NOT_OFFERED.isdisjoint(fields) and not all(
        is_absent(fields, name) for name in _NOT_OFFERED
    ):
        raise not_implemented("conditional orders")
    client_id = client_id_field(fields)
    if client_id is None:
        client_id = 0
    else:
        flags |= records.HAS_CLIENT_ID
    post_only = flag(fields, "postOnly")
    price = 0
    if is_market:
        if post_only:
            raise BadRequest("postOnly is for limit orders")
        by_quote, quantity = _market_amount(fields, terms)
        flags |= by_quote
    else:
        if post_only:
            if tif != records.GTC:
                raise BadRequest("postOnly goes with timeInForce GTC only")
            flags |= records.POST_ONLY
        if not is_absent(fields, "quoteQuantity"):
            raise BadRequest("quoteQuantity is for market orders")
        price = terms.price.units(fields.get("price"))
        quantity = terms.quantity.units(fields.get("quantity"))
    return PlaceCommand(
        terms, account=account, side=side, tif=tif, flags=flags, client_id=client_id,
        price=price, quantity=quantity, session=session,
    )  # fmt: skip


def _market_amount(fields: Fields, terms: Terms) -> tuple[int, int]:
    """(BY_QUOTE or 0, lots or quote atoms) of a market order."""
    if not is_absent(fields, "price"):
        raise BadRequest("Market orders have no price")
    has_quantity = not is_absent(fields, "quantity")
    if has_quantity == (not is_absent(fields, "quoteQuantity")):
        raise BadRequest(
            "Market orders must specify only one of quantity and quoteQuantity"
            if has_quantity
            else "Market orders must specify a quantity or quoteQuantity"
        )
    if has_quantity:
        return 0, terms.quantity.units(fields["quantity"])
    return records.BY_QUOTE, terms.quote.units(fields["quoteQuantity"])


def named_order(fields: Fields) -> tuple[int, int | None]:
    """The order that a request is about: (order id, None) or (0, client id). Raises BadRequest
    unless exactly one is given.
    """
    order_id = order_id_field(fields)
    client_id = client_id_field(fields)
    if (order_id is None) == (client_id is None):
        raise BadRequest("Must specify either clientId or orderId")
    return order_id or 0, client_id


def cancel_command(fields: Fields, *, account: int, terms_of: TermsOf) -> CancelCommand:
    """The command of a request to cancel one order. Raises BadRequest or INVALID_MARKET."""
    terms = terms_of(symbol_field(fields))
    order_id, client_id = named_order(fields)
    if client_id is None:
        command = records.cancel(account=account, market=terms.id, order_id=order_id)
    else:
        command = records.cancel(
            account=account, market=terms.id, flags=records.HAS_CLIENT_ID, client_id=client_id
        )
    return CancelCommand(command, terms)


def amend_command(fields: Fields, *, account: int, terms_of: TermsOf) -> AmendCommand:
    """The command of a request to amend an order. A term that is absent stays as it is."""
    terms = terms_of(symbol_field(fields))
    order_id, client_id = named_order(fields)
    price = _new_term(fields, "price", terms.price, records.BAD_PRICE)
    quantity = _new_term(fields, "quantity", terms.quantity, records.BAD_QUANTITY)
    if not price and not quantity:
        raise BadRequest("Must specify a new price or quantity")
    command = records.amend(
        account=account, market=terms.id, order_id=order_id, price=price, quantity=quantity,
        flags=0 if client_id is None else records.HAS_CLIENT_ID, client_id=client_id or 0,
    )  # fmt: skip
    return AmendCommand(command, terms)


def cancel_all_command(
    fields: Fields, *, account: int, terms_of: TermsOf
) -> CancelAllCommand | None:
    """The command of a request to cancel all orders of a market. None: it asks for conditional
    orders only, which do not exist.
    """
    terms = terms_of(symbol_field(fields))
    if choice(fields, "orderType", _CANCEL_ALL_KINDS, 0):
        return None
    return CancelAllCommand(records.cancel_all(account=account, market=terms.id), terms)


def _new_term(fields: Fields, name: str, scale: Scale, reject: int) -> int:
    if is_absent(fields, name):
        return 0
    units = scale.units(fields[name])
    if not units:
        raise rejected(reject)  # in the command 0 means "keep"
    return units


def record_text(order: OrderRecord, terms: Terms, outcome: Outcome | None = None) -> str:
    """The order object of an open order, or of one as it was closed; after AMEND with its outcome,
    which is newer than the record.
    """
    state = order if outcome is None else outcome
    return _order_text(
        terms, order, order_id=order.order_id, filled=state.filled, quote=state.quote,
        status=state.status, created=order.created_ns // MILLION,
    )  # fmt: skip


def history_text(order: HistoryOrder, terms: Terms) -> str:
    """The order object of the history: with the reason of expiry, and the time as text."""
    expiry = CLOSE_REASONS[order.reason]
    rest = f'"expiryReason":"{expiry}",' if expiry else '"expiryReason":null,'
    if not order.flags & records.MARKET_ORDER:
        rest += '"quoteQuantity":null,'
    return _order_text(
        terms, order, order_id=order.order_id, filled=order.filled, quote=order.quote,
        status=order.status, created=f'"{utc_text(order.created_ns, decimals=3)}"',
        rest=f'{rest}"systemOrderType":null,{_REST}',
    )  # fmt: skip


def _order_text(
    terms: Terms, order: OrderFields, *, order_id: int, filled: int, quote: int, status: int,
    created: int | str, rest: str = _REST,
) -> str:  # fmt: skip
    """created: as JSON: milliseconds, or a text with its quotes."""
    flags, quantity = order.flags, terms.quantity.text
    client = order.client_id if flags & records.HAS_CLIENT_ID else "null"
    executed = quantity(filled)
    if not flags & records.MARKET_ORDER:
        kind = "Limit"
        post_only = "true" if flags & records.POST_ONLY else "false"
        amounts = (
            f'"price":"{terms.price.text(order.price)}","quantity":"{quantity(order.quantity)}",'
            f'"postOnly":{post_only}'
        )
    else:
        kind = "Market"
        if flags & records.BY_QUOTE:
            by_quote = terms.quote.text(order.quantity)
            amounts = f'"quantity":"{executed}","quoteQuantity":"{by_quote}"'
        else:
            amounts = f'"quantity":"{quantity(order.quantity)}","quoteQuantity":null'
    return (
        f'{{"orderType":"{kind}","id":"{order_id}","clientId":{client},"symbol":"{terms.symbol}",'
        f'"side":"{SIDE_TEXT[order.side]}",{amounts},"executedQuantity":"{executed}",'
        f'"executedQuoteQuantity":"{terms.quote.text(quote) if quote else "0"}",'
        f'"timeInForce":"{TIME_IN_FORCE_TEXT[order.tif]}",'
        f'"selfTradePrevention":"{self_trade_text(flags)}",'
        f'"status":"{STATUS_TEXT[status]}","createdAt":{created},{rest}'
    )


def fill_text(
    terms: Terms, *, trade_id: int, order_id: int, client_id: int | None, side: int, price: int,
    lots: int, fee: int, is_maker: bool, time_ns: int,
) -> str:  # fmt: skip
    """One side of a trade. fee: atoms of what it received."""
    if side == records.BID:
        received, symbol = terms.base, terms.base_symbol
    else:
        received, symbol = terms.quote, terms.quote_symbol
    client = "null" if client_id is None else f'"{client_id}"'
    return (
        f'{{"tradeId":{trade_id},"orderId":"{order_id}","clientId":{client},'
        f'"symbol":"{terms.symbol}","side":"{SIDE_TEXT[side]}",'
        f'"price":"{terms.price.text(price)}","quantity":"{terms.quantity.text(lots)}",'
        f'"fee":"{received.text(fee)}","feeSymbol":"{symbol}",'
        f'"isMaker":{"true" if is_maker else "false"},"systemOrderType":null,'
        f'"timestamp":"{utc_text(time_ns, decimals=3)}"}}'
    )


def self_trade_text(flags: int) -> str:
    """The self-trade prevention in the flags of an order."""
    return _SELF_TRADE_TEXT[flags >> records.STP_SHIFT & records.STP_MASK]
