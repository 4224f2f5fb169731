"""Orders in the words of the public contract: fields to commands, outcomes and records to the order
object.

How it works: the fields of a request become one 48-byte command, or BadRequest; what came of it is
written as JSON straight from the core's records. The order object is written by hand, because it is
on the path of every order; tests hold it against the documented shape.

Always true: whatever the core can decide is left to it (ranges, funds, states, ids); here is only
what cannot be said in a command at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

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

TermsOf = Callable[[str], Terms]  # By exact symbol; raises INVALID_MARKET.

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
            self.terms, flags=self.flags, side=self.side, tif=self.tif, order_id=outcome.order_id,
            client_id=self.client_id, price=self.price, quantity=self.quantity,
            filled=outcome.filled, quote=outcome.quote, status=outcome.status,
            created=outcome.created_ns // 1_000_000,
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
        return _amended_text(own[-1], outcome, self.terms)


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
        tif = records.IOC  # Whatever is sent: there is nothing else that it could be.
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
    """(order id, None) or (0, client id): which order a request is about. Raises BadRequest unless
    it names it once.
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
        raise rejected(reject)  # 0 means "keep" in the command, which is not what was asked for.
    return units


def record_text(order: OrderRecord, terms: Terms) -> str:
    """The order object of a record: of an open order, or of one as it was closed."""
    return _order_text(
        terms, flags=order.flags, side=order.side, tif=order.tif, order_id=order.order_id,
        client_id=order.client_id, price=order.price, quantity=order.quantity,
        filled=order.filled, quote=order.quote, status=order.status,
        created=order.created_ns // 1_000_000,
    )  # fmt: skip


def _amended_text(order: OrderRecord, outcome: Outcome, terms: Terms) -> str:
    """The order object after AMEND: the new terms of the record, and what the outcome says became
    of it.
    """
    return _order_text(
        terms, flags=order.flags, side=order.side, tif=order.tif, order_id=order.order_id,
        client_id=order.client_id, price=order.price, quantity=order.quantity,
        filled=outcome.filled, quote=outcome.quote, status=outcome.status,
        created=order.created_ns // 1_000_000,
    )  # fmt: skip


def past_text(
    terms: Terms, *, flags: int, side: int, tif: int, order_id: int, client_id: int, price: int,
    quantity: int, filled: int, quote: int, status: int, reason: int, created: str,
) -> str:  # fmt: skip
    """The order object of the history: when as text, and why it expired.

    reason: close reason; 0 while it is open. created: UTC without a zone.
    """
    expiry = CLOSE_REASONS[reason]
    rest = f'"expiryReason":"{expiry}",' if expiry else '"expiryReason":null,'
    if not flags & records.MARKET_ORDER:
        rest += '"quoteQuantity":null,'
    return _order_text(
        terms, flags=flags, side=side, tif=tif, order_id=order_id, client_id=client_id,
        price=price, quantity=quantity, filled=filled, quote=quote, status=status,
        created=f'"{created}"', rest=f'{rest}"systemOrderType":null,{_REST}',
    )  # fmt: skip


def _order_text(
    terms: Terms, *, flags: int, side: int, tif: int, order_id: int, client_id: int, price: int,
    quantity: int, filled: int, quote: int, status: int, created: int | str, rest: str = _REST,
) -> str:  # fmt: skip
    """`created` as it stands in the JSON: milliseconds, or a text with its quotes."""
    client = client_id if flags & records.HAS_CLIENT_ID else "null"
    executed = terms.quantity.text(filled)
    if flags & records.MARKET_ORDER:
        if flags & records.BY_QUOTE:
            amounts = f'"quantity":"{executed}","quoteQuantity":"{terms.quote.text(quantity)}"'
        else:
            amounts = f'"quantity":"{terms.quantity.text(quantity)}","quoteQuantity":null'
        kind = "Market"
    else:
        post_only = "true" if flags & records.POST_ONLY else "false"
        amounts = (
            f'"price":"{terms.price.text(price)}","quantity":"{terms.quantity.text(quantity)}",'
            f'"postOnly":{post_only}'
        )
        kind = "Limit"
    return (
        f'{{"orderType":"{kind}","id":"{order_id}","clientId":{client},"symbol":"{terms.symbol}",'
        f'"side":"{SIDE_TEXT[side]}",{amounts},"executedQuantity":"{executed}",'
        f'"executedQuoteQuantity":"{terms.quote.text(quote) if quote else "0"}",'
        f'"timeInForce":"{TIME_IN_FORCE_TEXT[tif]}",'
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
