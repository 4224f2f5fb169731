"""Orders: request fields to commands, and the core's outcomes and records to the order object.

Only what a command cannot express is refused here; ranges, funds, states and ids are checked by the
core. The order object is concatenated by hand, because every order needs one.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from fairbook.api import field_names, requests
from fairbook.api.errors import CLOSE_REASONS, BadRequest, beyond_limit, rejected
from fairbook.api.numbers import MarketScales
from fairbook.api.requests import ClientId, Fields, choice, is_absent, symbol_field
from fairbook.api.times import utc_text
from fairbook.core import records
from fairbook.core.records import (
    HAS_TEXT,
    OrderRecord,
    Outcome,
    Placed,
    order_records,
    read_outcome,
    read_placed,
)
from fairbook.core.units import MAX_ATOMS, MILLION
from fairbook.ports.history import FillRow, OrderRow

ROWS_AT_ONCE: Final = 100  # of an answer, that are built at once: 0.3 to 1 ms

ScalesOf = Callable[[str], MarketScales]  # by exact symbol; raises INVALID_MARKET
TextOf = Callable[[OrderRecord], str | None]  # Queries.text_of

# By the core's numbers.
SIDE_TEXT: Final = ("Bid", "Ask")
TIME_IN_FORCE_TEXT: Final = ("GTC", "IOC", "FOK")
_SELF_TRADE_TEXT: Final = ("RejectTaker", "RejectMaker", "RejectBoth")
STATUS_TEXT: Final = ("Rejected", "New", "PartiallyFilled", "Filled", "Cancelled", "Expired")

SIDES: Final = {text: side for side, text in enumerate(SIDE_TEXT)}
_TIMES_IN_FORCE: Final = {text: tif for tif, text in enumerate(TIME_IN_FORCE_TEXT)}
_SELF_TRADE: Final = {text: n << records.STP_SHIFT for n, text in enumerate(_SELF_TRADE_TEXT)}
_KINDS: Final = {"Limit": 0, "Market": records.MARKET_ORDER}
_CANCEL_ALL_KINDS: Final = {"RestingLimitOrder": 0, "ConditionalOrder": 1}
_REST: Final = (
    '"reduceOnly":null,"relatedOrderId":null,"strategyId":null,"triggerBy":null,"triggerPrice":null,'
    '"triggerQuantity":null,"triggeredAt":null,"stopLossTriggerPrice":null,"stopLossLimitPrice":null,'
    '"stopLossTriggerBy":null,"takeProfitTriggerPrice":null,"takeProfitLimitPrice":null,'
    '"takeProfitTriggerBy":null}'
)


class OrderRows(NamedTuple):
    """A result that is too long to be built at once."""

    orders: list[OrderRecord]
    text_of: Callable[[OrderRecord], str]


class OrderCommand:
    """A valid request to change orders: the command to log, and the answer to its outcome."""

    __slots__ = ("command", "scales")

    def __init__(self, command: bytes, scales: MarketScales) -> None:
        """command: with its parts."""
        self.command = command
        self.scales = scales

    def result(self, events: bytes) -> str | OrderRows:
        """The JSON of the answer, or what is in it if that is long. events: of this command alone.
        Raises ApiError for a reject.
        """
        raise NotImplementedError


class PlaceCommand(OrderCommand):
    """PLACE. The answer repeats the fields of the request."""

    __slots__ = ("client_id",)

    def __init__(
        self, command: bytes, scales: MarketScales, client_id: ClientId | None = None
    ) -> None:
        self.command = command
        self.scales = scales
        self.client_id = client_id

    def result(self, events: bytes) -> str:
        placed = read_placed(self.command)
        outcome = read_outcome(events)
        if outcome.status == records.REJECTED:
            by_quote = placed.flags & records.BY_QUOTE != 0
            check_limits(
                self.scales, outcome.reason, placed.price, placed.quantity, by_quote=by_quote
            )
            raise rejected(outcome.reason, client_id=self.client_id)
        return _order_text(
            self.scales, placed, outcome, client_id=self.client_id,
            created=outcome.created_ns // MILLION,
        )  # fmt: skip


class ChangeCommand(OrderCommand):
    """A command whose answer is made of the records of the orders that it changes."""

    __slots__ = ("_text_of",)

    def __init__(self, command: bytes, scales: MarketScales, text_of: TextOf) -> None:
        super().__init__(command, scales)
        self._text_of = text_of

    def records(self, events: bytes) -> list[OrderRecord]:
        """The order records among its events, with the texts, which events leave out."""
        found = order_records(events)
        for order in found:
            if order.flags & HAS_TEXT:
                order.text = self._text_of(order)
        return found


class CancelCommand(ChangeCommand):
    """CANCEL."""

    __slots__ = ()

    def result(self, events: bytes) -> str:
        _accepted(events)
        return record_text(self.records(events)[0], self.scales)


class AmendCommand(ChangeCommand):
    """AMEND. A new price or quantity of 0: it stays."""

    __slots__ = ("_price", "_quantity")

    def __init__(
        self, command: bytes, scales: MarketScales, text_of: TextOf, *, price: int = 0,
        quantity: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(command, scales, text_of)
        self._price = price
        self._quantity = quantity

    def result(self, events: bytes) -> str:
        outcome = read_outcome(events)
        if outcome.status == records.REJECTED:
            check_limits(
                self.scales, outcome.reason, self._price or None, self._quantity or None,
                by_quote=False,
            )  # fmt: skip
            raise rejected(outcome.reason)
        own = [order for order in self.records(events) if order.order_id == outcome.order_id]
        return record_text(own[-1], self.scales, outcome)


class CancelAllCommand(ChangeCommand):
    """CANCEL_ALL in one market."""

    __slots__ = ()

    def result(self, events: bytes) -> str | OrderRows:
        _accepted(events)
        closed = self.records(events)
        if len(closed) > ROWS_AT_ONCE:
            return OrderRows(closed, lambda order: record_text(order, self.scales))
        return f"[{','.join(record_text(order, self.scales) for order in closed)}]"


def _accepted(events: bytes) -> Outcome:
    outcome = read_outcome(events)
    if outcome.status == records.REJECTED:
        raise rejected(outcome.reason)
    return outcome


def check_limits(
    scales: MarketScales,
    reason: int,
    price: int | None,
    quantity: int | None,
    *,
    by_quote: bool,
) -> None:
    """Of an order that the core refused as BAD_PRICE or BAD_QUANTITY: raise the error that names
    the limit, unless the reason is another. price, quantity None: not given.
    """
    market = scales.market
    if reason == records.BAD_PRICE:
        value, scale, least, most = price, scales.price, market.price_min, market.price_max
    elif reason != records.BAD_QUANTITY:
        return
    elif by_quote:
        value, scale, least, most = quantity, scales.quote, 1, MAX_ATOMS
    else:
        value, scale = quantity, scales.quantity
        least, most = market.quantity_min, market.quantity_max
    if value is not None and not least <= value <= most:
        is_small = value < least
        raise beyond_limit(reason, scale.text(least if is_small else most), is_small=is_small)


def place_command(
    fields: Fields, *, account: int, credential: int, scales_of: ScalesOf, session: int = 0
) -> PlaceCommand:
    """credential: the slot of the one that orders it. session: the order is cancelled when this
    session ends; 0: with no session. Raises BadRequest, INVALID_MARKET, or NOT_IMPLEMENTED for
    terms that are not offered.
    """
    scales = scales_of(symbol_field(fields))
    side = choice(fields, "side", SIDES)
    is_market = choice(fields, "orderType", _KINDS)
    if is_market:
        tif = records.IOC  # whatever is sent
    else:
        tif = choice(fields, "timeInForce", _TIMES_IN_FORCE, records.GTC)
    flags = is_market | choice(fields, "selfTradePrevention", _SELF_TRADE, 0)
    field_names.refuse_restrictions(fields)
    client_id = requests.client_id_field(fields)
    has_number, number, text = naming(client_id)
    flags |= has_number
    post_only = requests.flag(fields, "postOnly")
    price = 0
    if is_market:
        if post_only:
            raise BadRequest("postOnly is for limit orders")
        by_quote, quantity = _market_amount(fields, scales)
        flags |= by_quote
    else:
        if post_only:
            if tif != records.GTC:
                raise BadRequest("postOnly goes with timeInForce GTC only")
            flags |= records.POST_ONLY
        if not is_absent(fields, "quoteQuantity"):
            raise BadRequest("quoteQuantity is for market orders")
        price = scales.price.units(fields.get("price"))
        quantity = scales.quantity.units(fields.get("quantity"))
    command = records.place(
        account=account, market=scales.id, side=side, tif=tif, flags=flags,
        client_id=number, text=text, session=session, price=price, quantity=quantity,
        credential=credential,
    )  # fmt: skip
    return PlaceCommand(command, scales, client_id)


def _market_amount(fields: Fields, scales: MarketScales) -> tuple[int, int]:
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
        return 0, scales.quantity.units(fields["quantity"])
    return records.BY_QUOTE, scales.quote.units(fields["quoteQuantity"])


def naming(client_id: ClientId | None) -> tuple[int, int, str | None]:
    """A client id as the builders of commands take it: flags, number and text."""
    if isinstance(client_id, int):
        return records.HAS_CLIENT_ID, client_id, None
    return 0, 0, client_id


def named_order(fields: Fields) -> tuple[int, ClientId | None]:
    """(order id, None) or (0, client id). Raises BadRequest unless exactly one is given."""
    order_id = requests.order_id_field(fields)
    client_id = requests.client_id_field(fields)
    if (order_id is None) == (client_id is None):
        raise BadRequest("Must specify either clientId or orderId")
    return order_id or 0, client_id


def cancel_command(
    fields: Fields, *, account: int, credential: int, scales_of: ScalesOf, text_of: TextOf
) -> CancelCommand:
    """The command of a request to cancel one order. Raises BadRequest or INVALID_MARKET."""
    scales = scales_of(symbol_field(fields))
    order_id, client_id = named_order(fields)
    flags, number, text = naming(client_id)
    command = records.cancel(
        account=account, market=scales.id, order_id=order_id, flags=flags, client_id=number,
        text=text, credential=credential,
    )  # fmt: skip
    return CancelCommand(command, scales, text_of)


def amend_command(
    fields: Fields, *, account: int, credential: int, scales_of: ScalesOf, text_of: TextOf
) -> AmendCommand:
    """The command of a request to amend an order. A term that is absent stays as it is."""
    scales = scales_of(symbol_field(fields))
    field_names.refuse_restrictions(fields)
    field_names.refuse_kept_terms(fields)
    order_id, client_id = named_order(fields)
    price = _new_term(fields, "price", scales, records.BAD_PRICE)
    quantity = _new_term(fields, "quantity", scales, records.BAD_QUANTITY)
    if not price and not quantity:
        raise BadRequest("Must specify a new price or quantity")
    flags, number, text = naming(client_id)
    command = records.amend(
        account=account, market=scales.id, order_id=order_id, price=price, quantity=quantity,
        flags=flags, client_id=number, text=text, credential=credential,
    )  # fmt: skip
    return AmendCommand(command, scales, text_of, price=price, quantity=quantity)


def cancel_all_command(
    fields: Fields, *, account: int, credential: int, scales_of: ScalesOf, text_of: TextOf
) -> CancelAllCommand | bytes:
    """The command; or the answer, if only conditional orders are meant, which do not exist."""
    scales = scales_of(symbol_field(fields))
    field_names.refuse_selection(fields)
    if choice(fields, "orderType", _CANCEL_ALL_KINDS, 0):
        return b"[]"
    command = records.cancel_all(account=account, market=scales.id, credential=credential)
    return CancelAllCommand(command, scales, text_of)


def _new_term(fields: Fields, name: str, scales: MarketScales, reject: int) -> int:
    if is_absent(fields, name):
        return 0
    scale = scales.price if name == "price" else scales.quantity
    units = scale.units(fields[name])
    if not units:  # In the command 0 means "keep".
        check_limits(scales, reject, 0, 0, by_quote=False)
        raise rejected(reject)
    return units


def record_text(order: OrderRecord, scales: MarketScales, outcome: Outcome | None = None) -> str:
    """outcome: of an AMEND, which is newer than the record."""
    return _order_text(
        scales, order, order if outcome is None else outcome, client_id=client_id_of(order),
        created=order.created_ns // MILLION,
    )  # fmt: skip


def history_text(order: OrderRow | OrderRecord, scales: MarketScales) -> str:
    """The order object of the history: with the reason of expiry, and the time as text."""
    expiry = CLOSE_REASONS[order.reason]
    rest = f'"expiryReason":"{expiry}",' if expiry else '"expiryReason":null,'
    if not order.flags & records.MARKET_ORDER:
        rest += '"quoteQuantity":null,'
    return _order_text(
        scales, order, order, client_id=client_id_of(order),
        created=f'"{utc_text(order.created_ns, decimals=3)}"',
        rest=f'{rest}"systemOrderType":null,{_REST}',
    )  # fmt: skip


def _order_text(
    scales: MarketScales, order: Placed | OrderRow | OrderRecord,
    state: Outcome | OrderRow | OrderRecord, *, client_id: ClientId | None, created: int | str,
    rest: str = _REST,
) -> str:  # fmt: skip
    """created: as JSON: milliseconds, or a text with its quotes."""
    flags, quantity = order.flags, scales.quantity.text
    client = "null" if client_id is None else client_id_text(client_id)
    executed = quantity(state.filled)
    if not flags & records.MARKET_ORDER:
        kind = "Limit"
        post_only = "true" if flags & records.POST_ONLY else "false"
        amounts = (
            f'"price":"{scales.price.text(order.price)}","quantity":"{quantity(order.quantity)}",'
            f'"postOnly":{post_only}'
        )
    else:
        kind = "Market"
        if flags & records.BY_QUOTE:
            by_quote = scales.quote.text(order.quantity)
            amounts = f'"quantity":"{executed}","quoteQuantity":"{by_quote}"'
        else:
            amounts = f'"quantity":"{quantity(order.quantity)}","quoteQuantity":null'
    return (
        f'{{"orderType":"{kind}","id":"{state.order_id}","clientId":{client},'
        f'"symbol":"{scales.symbol}","side":"{SIDE_TEXT[order.side]}",{amounts},'
        f'"executedQuantity":"{executed}",'
        f'"executedQuoteQuantity":"{scales.quote.text(state.quote) if state.quote else "0"}",'
        f'"timeInForce":"{TIME_IN_FORCE_TEXT[order.tif]}",'
        f'"selfTradePrevention":"{self_trade_text(flags)}",'
        f'"status":"{STATUS_TEXT[state.status]}","createdAt":{created},{rest}'
    )


def fill_text(fill: FillRow, scales: MarketScales) -> str:
    fee_scale, fee_symbol = scales.received(fill.side)
    client = "null" if fill.client_id is None else f'"{fill.client_id}"'
    return (
        f'{{"tradeId":{fill.trade_id},"orderId":"{fill.order_id}","clientId":{client},'
        f'"symbol":"{scales.symbol}","side":"{SIDE_TEXT[fill.side]}",'
        f'"price":"{scales.price.text(fill.price)}","quantity":"{scales.quantity.text(fill.lots)}",'
        f'"fee":"{fee_scale.text(fill.fee)}","feeSymbol":"{fee_symbol}",'
        f'"isMaker":{"true" if fill.is_maker else "false"},"systemOrderType":null,'
        f'"timestamp":"{utc_text(fill.time_ns, decimals=3)}"}}'
    )


def client_id_of(order: OrderRow | OrderRecord) -> ClientId | None:
    """order: of an event, only with its text."""
    if order.flags & HAS_TEXT:
        return order.text
    return order.client_id if order.flags & records.HAS_CLIENT_ID else None


def client_id_text(client_id: ClientId) -> str:
    """As JSON: a number or a string. The characters of a client id need no escapes."""
    return f'"{client_id}"' if isinstance(client_id, str) else str(client_id)


def self_trade_text(flags: int) -> str:
    return _SELF_TRADE_TEXT[flags >> records.STP_SHIFT & records.STP_MASK]
