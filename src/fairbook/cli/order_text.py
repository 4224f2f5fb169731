"""Orders in words: terms, fills, ends, and who acted. Amounts are decimals."""

from typing import Final

from fairbook.cli.amount_text import MarketAmounts
from fairbook.cli.command_text import market_text
from fairbook.cli.reason_text import CLOSE_SENTENCES
from fairbook.cli.record_names import CREDENTIAL_NAMES, SELF_TRADE_NAMES, name_of
from fairbook.core import admin_records, records
from fairbook.core.exchange import Exchange
from fairbook.core.parts import Parts
from fairbook.core.records import COMMAND_BYTES, Command, Fill, OrderRecord, Placed

TIF_WORDS: Final = {
    records.GTC: "good till cancelled (GTC)",
    records.IOC: "immediate or cancel (IOC)",
    records.FOK: "fill or kill (FOK)",
}
STATUS_WORDS: Final = {
    records.NEW: "open",
    records.PARTIALLY_FILLED: "open, partially filled",
    records.FILLED: "filled",
    records.CANCELLED: "cancelled",
    records.EXPIRED: "expired",
}


def side_word(side: int) -> str:
    return "buy" if side == records.BID else "sell"


def is_listed(market: int, exchange: Exchange) -> bool:
    return 0 < market < len(exchange.markets)


def account_words(account: int, exchange: Exchange) -> str:
    """Such as "account 3 (user 8)"."""
    accounts = exchange.tables.accounts
    user_id = accounts[account].user_id if account < len(accounts) else 0
    return f"account {account} (user {user_id})" if user_id else f"account {account}"


def client_id_of(unit: bytes) -> int | str | None:
    """That of an order command, with its parts: a number, a text, or none."""
    command = Command()
    command.read(unit, len(unit) - COMMAND_BYTES, 0)
    if command.parts & records.HAS_TEXT_PART:
        return parts_of(unit).text.decode("ascii", "replace") or None
    return command.client_id() if command.flags & records.HAS_CLIENT_ID else None


def with_client_id(text: str, client_id: int | str | None) -> str:
    """A text, and the client id if there is one."""
    return text if client_id is None else f"{text}, client id {client_id}"


def terms_text(placed: Placed, exchange: Exchange) -> str:
    """Such as "sell 1.5 SOL at 142 USDC in SOL_USDC, good till cancelled (GTC), post only"."""
    return ", ".join([_what(placed, exchange), *_conditions(placed)])


def _what(placed: Placed, exchange: Exchange) -> str:
    side, market = side_word(placed.side), market_text(placed.market, exchange)
    if not is_listed(placed.market, exchange):
        return f"{side} {placed.quantity} lots at {placed.price} ticks in {market}"
    amounts = MarketAmounts(exchange, placed.market)
    if placed.flags & records.BY_QUOTE:
        total = amounts.quote(placed.quantity)
        return f"{side} {amounts.base_name} for {total} in all, in {market}"
    quantity = amounts.quantity(placed.quantity)
    if placed.flags & records.MARKET_ORDER:
        return f"{side} {quantity} in {market}"
    return f"{side} {quantity} at {amounts.price(placed.price)} in {market}"


def _conditions(placed: Placed) -> list[str]:
    found: list[str] = []
    if placed.flags & records.MARKET_ORDER:
        found.append("market order")
    else:
        found.append(TIF_WORDS.get(placed.tif, f"time in force {placed.tif}"))
    if placed.flags & records.POST_ONLY:
        found.append("post only")
    prevention = self_trade_prevention(placed.flags)
    if prevention != records.REJECT_TAKER:
        found.append(f"self-trade prevention {name_of(SELF_TRADE_NAMES, prevention, 'kind')}")
    return found


def self_trade_prevention(flags: int) -> int:
    return flags >> records.STP_SHIFT & records.STP_MASK


def fill_text(fill: Fill, order_id: int, exchange: Exchange) -> str:
    """What one of its two orders has got."""
    amounts = MarketAmounts(exchange, fill.market)
    if order_id == fill.taker_order_id:
        role, side, fee = "taker", fill.side, fill.taker_fee
        other, other_account = fill.maker_order_id, fill.maker_account
    else:
        role, side, fee = "maker", 1 - fill.side, fill.maker_fee
        other, other_account = fill.taker_order_id, fill.taker_account
    paid = f"fee {amounts.received(side, fee)}" if fee else "no fee"
    return (
        f"filled {amounts.quantity(fill.lots)} at {amounts.price(fill.price)} as {role}, {paid}"
        f" (trade {fill.trade_id}, against order {other} of account {other_account})"
    )


def closed_text(order: OrderRecord) -> str:
    """Its status, and the sentence of its reason."""
    status = name_of(STATUS_WORDS, order.status, "status")
    return f"{status}: {CLOSE_SENTENCES.get(order.reason, f'reason {order.reason}')}"


def amended_text(order: OrderRecord, exchange: Exchange) -> str:
    """The new terms."""
    amounts = MarketAmounts(exchange, order.market)
    return f"now {amounts.quantity(order.quantity)} in all at {amounts.price(order.price)}"


def result_text(order: OrderRecord, exchange: Exchange) -> str:
    """How much of it was traded, and for what."""
    amounts = MarketAmounts(exchange, order.market)
    is_by_quote = order.flags & records.BY_QUOTE != 0
    if order.filled == 0:
        write = amounts.quote if is_by_quote else amounts.quantity
        return f"nothing of {write(order.quantity)} was filled"
    fee = f"fees {amounts.received(order.side, order.fee)}" if order.fee else "no fees"
    if is_by_quote:
        budget = f"{amounts.quote(order.quote)} of {amounts.quote(order.quantity)}"
        return f"{amounts.quantity(order.filled)} was filled for {budget}, {fee}"
    filled = amounts.quantity_of(order.filled, order.quantity)
    return f"{filled} was filled for {amounts.quote(order.quote)}, {fee}"


def actor_text(command: Command, parts: Parts, exchange: Exchange) -> str:
    """Who ordered a command: the account's client, an operator, or the exchange itself."""
    if command.parts & records.HAS_OPERATOR:
        return f"operator {parts.operator} (reference {parts.operator_reference})"
    slot = command.credential()
    if slot == 0:
        return "the exchange itself"
    credentials = exchange.credentials(admin_records.OF_ACCOUNT, command.account)
    if slot > len(credentials):
        return f"the client (credential {slot})"
    kind = name_of(CREDENTIAL_NAMES, credentials[slot - 1].credential_type, "type")
    return f"the client (credential {slot}, {kind})"


def parts_of(unit: bytes) -> Parts:
    """What stands before the command of a unit."""
    parts = Parts()
    parts.clear()
    for at in range(0, len(unit) - COMMAND_BYTES, COMMAND_BYTES):
        parts.read(unit, at)
    return parts
