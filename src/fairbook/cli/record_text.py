"""Records as text, for `fairbook inspect`: names instead of codes, whole numbers as in the log.

A command and its outcome are one line, each other event of the command one line below it.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from fairbook.core import admin_records, records
from fairbook.core.exchange import Exchange
from fairbook.core.units import NS_PER_SECOND
from fairbook.log.command_log import Entry


def _named(names: str) -> dict[int, str]:
    """The names of constants of `records`, by their value."""
    return {getattr(records, name): name for name in names.split()}


COMMANDS: Final = _named(
    "RULES TICK PLACE CANCEL AMEND CANCEL_ALL END_SESSION OPEN_ACCOUNT CREDIT DEBIT"
    " LIST_ASSET LIST_MARKET SET_ASSET SET_MARKET SET_ACCOUNT SET_EXCHANGE"
)
COMMAND_FIELDS: Final = {
    records.CANCEL: "{market} {account} {order}",
    records.AMEND: "{market} {account} {order} to {new_quantity} @ {new_price}",
    records.CANCEL_ALL: "{account} {markets}",
    records.END_SESSION: "{account} session {session}",
    records.OPEN_ACCOUNT: "user {user}",
    records.CREDIT: "{account} {quantity} atoms of {asset}",
    records.DEBIT: "{account} {quantity} atoms of {asset}",
    records.LIST_ASSET: "{asset}",
    records.LIST_MARKET: "{market}",
    records.SET_ASSET: "{asset}",
    records.SET_MARKET: "{market}",
    records.SET_ACCOUNT: "{account}",
}
REJECTS: Final = _named(
    "MALFORMED NO_RULES UNKNOWN_ACCOUNT UNKNOWN_MARKET UNKNOWN_ASSET DUPLICATE_CLIENT_ID"
    " UNKNOWN_ORDER ALREADY_LISTED BAD_VALUE ACCOUNT_FROZEN TRADING_PAUSED MARKET_CLOSED"
    " BAD_PRICE BAD_QUANTITY TOO_MANY_ORDERS BOOK_FULL TABLE_FULL OVER_CAP INSUFFICIENT_FUNDS"
    " WOULD_CROSS"
)
STATUSES: Final = _named("REJECTED NEW PARTIALLY_FILLED FILLED CANCELLED EXPIRED DONE")
REASONS: Final = {
    records.BY_FILL: "FILLED",
    records.BY_REQUEST: "REQUESTED",
    records.BY_CANCEL_ALL: "CANCEL_ALL",
    records.BY_SESSION_END: "SESSION_ENDED",
} | _named("IMMEDIATE_OR_CANCEL FILL_OR_KILL SELF_TRADE INSUFFICIENT_LIQUIDITY PRICE_OUT_OF_BOUNDS")
PARAMETERS: Final = {
    records.SET_ASSET: _named("RESERVE_CAP"),
    records.SET_MARKET: _named(
        "STATE MAKER_FEE_PPM TAKER_FEE_PPM PRICE_MIN PRICE_MAX QUANTITY_MIN QUANTITY_MAX BAND_PPM"
        " LEVELS_MAX"
    ),
    records.SET_ACCOUNT: _named("FROZEN"),
    records.SET_EXCHANGE: _named("STATE ORDERS_MAX ACCOUNTS_MAX"),
}
"""By the command that sets them."""
STATES: Final = {
    records.SET_MARKET: ("Open", "PostOnly", "LimitOnly", "CancelOnly", "Closed"),
    records.SET_EXCHANGE: ("Open", "CancelOnly"),
}
"""Values of the parameter STATE, by the command that sets it."""

SIDES: Final = {records.BID: "Bid", records.ASK: "Ask"}
TIFS: Final = _named("GTC IOC FOK")
FLAGS: Final = {
    records.POST_ONLY: "POST_ONLY",
    records.MARKET_ORDER: "MARKET",
    records.BY_QUOTE: "BY_QUOTE",
}
SELF_TRADES: Final = {records.REJECT_MAKER: "RejectMaker", records.REJECT_BOTH: "RejectBoth"}


def frame_lines(entry: Entry, events: Sequence[bytes], exchange: Exchange) -> Iterator[str]:
    """The lines of one frame. events: those of each command, as `records.split` gives them.

    exchange: after the frame; the names of markets and assets are read from it.
    """
    at = datetime.fromtimestamp(entry.time_ns // NS_PER_SECOND, UTC)
    yield f"[{entry.position}] {at:%Y-%m-%dT%H:%M:%S}.{entry.time_ns % NS_PER_SECOND:09d}Z"
    size = records.COMMAND_BYTES
    for number, of_command in enumerate(events):
        command = entry.frame[number * size : (number + 1) * size]
        outcome = records.read_outcome(of_command)
        yield f"  #{outcome.sequence} {_command(command, exchange)} -> {_outcome(outcome)}"
        offset = 0
        while records.kind_at(of_command, offset) != records.OUTCOME:
            yield f"      {_event(of_command, offset, exchange)}"
            offset = records.next_at(of_command, offset)


def _command(command: bytes, exchange: Exchange) -> str:
    if len(command) < records.COMMAND_BYTES:
        return f"({command.hex()})"
    kind = command[0]
    fields = records.read_placed(command)
    name = COMMANDS.get(kind, f"(kind {kind})")
    if kind == records.PLACE:
        return " ".join([name, *_terms(fields, exchange)])
    by_client_id = fields.flags & records.HAS_CLIENT_ID
    text = COMMAND_FIELDS.get(kind, "").format(
        account=f"account {fields.account}",
        market=_market(fields.market, exchange),
        markets=_market(fields.market, exchange) if fields.market else "all markets",
        asset=_asset(fields.market, exchange),
        order=f"client id {fields.client_id}" if by_client_id else f"order {fields.order_id}",
        user=fields.order_id,
        session=fields.session,
        quantity=fields.quantity,
        new_quantity=fields.quantity or "(kept)",
        new_price=fields.price or "(kept)",
    )
    return f"{name} {text}".rstrip()


def _terms(order: records.Placed, exchange: Exchange) -> list[str]:
    words = [
        _market(order.market, exchange),
        SIDES.get(order.side, f"(side {order.side})"),
        f"{order.quantity}" if order.price == 0 else f"{order.quantity} @ {order.price}",
        TIFS.get(order.tif, f"(tif {order.tif})"),
        f"account {order.account}",
    ]
    if order.flags & records.HAS_CLIENT_ID:
        words.append(f"client id {order.client_id}")
    if order.session:
        words.append(f"session {order.session}")
    words += [name for flag, name in FLAGS.items() if order.flags & flag]
    prevention = order.flags >> records.STP_SHIFT & records.STP_MASK
    if prevention != records.REJECT_TAKER:
        words.append(SELF_TRADES.get(prevention, f"(self-trade prevention {prevention})"))
    return words


def _outcome(outcome: records.Outcome) -> str:
    words = [STATUSES.get(outcome.status, f"(status {outcome.status})")]
    names = REJECTS if outcome.status == records.REJECTED else REASONS
    if outcome.reason:
        words.append(names.get(outcome.reason, f"(reason {outcome.reason})"))
    if outcome.repeated:
        words.append("repeated")
    if outcome.command == records.OPEN_ACCOUNT:
        words.append(f"account {outcome.account}")
    if outcome.order_id:
        words.append(f"order {outcome.order_id}")
    if outcome.filled and outcome.command in (records.CANCEL_ALL, records.END_SESSION):
        words.append(f"{outcome.filled} orders cancelled")
    elif outcome.filled:
        words.append(f"filled {outcome.filled} for {outcome.quote} atoms")
    return " ".join(words)


def _event(events: bytes, at: int, exchange: Exchange) -> str:
    kind = records.kind_at(events, at)
    if kind == records.ACCEPTED:
        order = records.read_accepted(events, at)
        return f"accepted order {order.order_id}"
    if kind == records.FILL:
        fill = records.Fill(events, at)
        return (
            f"trade {fill.trade_id} of {_market(fill.market, exchange)}:"
            f" {fill.lots} @ {fill.price},"
            f" taker {fill.taker_account} order {fill.taker_order_id} fee {fill.taker_fee},"
            f" maker {fill.maker_account} order {fill.maker_order_id} fee {fill.maker_fee}"
        )
    if kind == records.LEVEL:
        level = records.LevelChange(events, at)
        side, market = SIDES[level.side], _market(level.market, exchange)
        return f"level {market} {side} {level.price}: {level.lots} (update {level.update_id})"
    if kind in (records.CLOSED, records.AMENDED, records.ORDER):
        record = records.OrderRecord(events, at)
        word = "closed" if kind == records.CLOSED else "amended"
        reason = f" {REASONS[record.reason]}" if record.reason else ""
        return (
            f"{word} order {record.order_id} of account {record.account}:"
            f" {STATUSES[record.status]}{reason},"
            f" {record.filled} of {record.quantity} @ {record.price}, fee {record.fee}"
        )
    return _change(admin_records.Change(events, at), exchange)


def _change(change: admin_records.Change, exchange: Exchange) -> str:
    words = change.words
    if change.kind == records.MOVED:
        return f"money moved: {words}"
    if change.kind == records.ACCOUNT:
        return f"account {words[0]} of user {words[1]}"
    if change.kind == records.ASSET:
        return f"asset {change.subject}: {_asset(change.subject, exchange)}, {words[0]} decimals"
    if change.kind == records.MARKET:
        market = _market(change.subject, exchange)
        return f"market {change.subject}: {market}, lot_atoms {words[1]}, tick_atoms {words[2]}"
    if change.kind == records.PARAMETER:
        if change.variant == records.RULES:
            return f"rules of version {words[2]}"
        name = PARAMETERS.get(change.variant, {}).get(words[1], f"parameter {words[1]}")
        if name == "STATE":
            return f"{name} = {STATES[change.variant][words[2]]}"
        return f"{name} = {words[2]}"
    return f"(event {change.kind})"


def _market(number: int, exchange: Exchange) -> str:
    known = 0 < number < len(exchange.markets)
    return exchange.markets[number].name if known else f"(market {number})"


def _asset(number: int, exchange: Exchange) -> str:
    known = 0 < number < len(exchange.assets)
    return exchange.assets[number].name if known else f"(asset {number})"
