"""The state of one account, for `fairbook inspect --account`."""

from collections.abc import Iterable, Iterator

from fairbook.cli.amount_text import MarketAmounts, amount_text, percent_text
from fairbook.cli.command_text import time_text
from fairbook.cli.exchange_text import trading_text
from fairbook.cli.order_text import account_words, side_word, with_client_id
from fairbook.cli.record_names import (
    CREDENTIAL_NAMES,
    PERMISSION_NAMES,
    bits_text,
    hash_text,
    name_of,
)
from fairbook.core import records
from fairbook.core.admin_records import HELD, OF_ACCOUNT, PENDING_CREDIT
from fairbook.core.credential_table import Credential
from fairbook.core.daily_withdrawals import AS_ASSET
from fairbook.core.exchange import Exchange
from fairbook.core.ledger import EXTERNAL, FEE
from fairbook.core.records import OrderRecord
from fairbook.core.references import Reference
from fairbook.core.units import MAX_ATOMS


def account_lines(exchange: Exchange, number: int) -> Iterator[str]:
    """number: of an account that exists."""
    account = exchange.tables.accounts[number]
    waiting = [
        row for row in exchange.tables.references.rows
        if row.account == number and row.state in (HELD, PENDING_CREDIT)
    ]  # fmt: skip
    yield f"{account_words(number, exchange)}{_house_words(number)}"
    yield f"trading   {trading_text(exchange)}"
    frozen = (
        "yes: it can cancel orders, but not place or amend any, nor withdraw"
        if account.frozen
        else "no"
    )
    yield f"frozen    {frozen}"
    yield f"fees      {_fee_text(exchange, account.fee_group)}"
    yield from _section("balances", _balance_lines(exchange, number, waiting))
    orders = exchange.open_orders(number)
    yield from _section(
        f"open orders ({len(orders)} of at most {exchange.tables.orders_max})",
        [_order_text(exchange, order) for order in orders],
    )
    yield from _section("waiting for a decision", _waiting_lines(exchange, waiting))
    yield from _section("credentials", [
        _credential_text(credential, exchange.time_ns)
        for credential in exchange.credentials(OF_ACCOUNT, number)
    ])  # fmt: skip


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    """A title, and the lines below it."""
    found = list(lines)
    yield title if found else f"{title}: none"
    yield from (f"  {line}" for line in found)


def _house_words(number: int) -> str:
    return {
        EXTERNAL: ", the other side of every deposit and withdrawal",
        FEE: ", which receives the fees",
    }.get(number, "")


def _fee_text(exchange: Exchange, group: int) -> str:
    if group == 0:
        return "those of each market (no fee group)"
    rates = [
        f"{market.name} maker {percent_text(market.maker_fee_of(group))},"
        f" taker {percent_text(market.taker_fee_of(group))}"
        for market in exchange.markets[1:]
    ]
    return f"fee group {group}: {'; '.join(rates)}"


def _balance_lines(exchange: Exchange, number: int, waiting: list[Reference]) -> Iterator[str]:
    """What orders and holds lock; the limit of withdrawals, if there is one."""
    for asset, available, locked in exchange.balances(number):
        row = exchange.tables.daily_withdrawals.find(number, asset)
        if available == 0 and locked == 0 and row is None:
            continue
        held = sum(each.atoms for each in waiting if each.state == HELD and each.asset == asset)
        text = (
            f"{amount_text(exchange, asset, available)} available,"
            f" {amount_text(exchange, asset, locked - held)} locked in orders,"
            f" {amount_text(exchange, asset, held)} held for withdrawals"
        )
        is_limited = exchange.assets[asset].daily_withdrawal_max < MAX_ATOMS or (
            row is not None and row.atoms_max != AS_ASSET
        )
        left = amount_text(exchange, asset, exchange.withdrawable_today(number, asset))
        yield text + (f"; at most {left} more may be withdrawn today" if is_limited else "")


def _order_text(exchange: Exchange, order: OrderRecord) -> str:
    amounts = MarketAmounts(exchange, order.market)
    has_number = order.flags & records.HAS_CLIENT_ID
    client_id = order.text or (order.client_id if has_number else None)
    left = amounts.quantity_of(order.quantity - order.filled, order.quantity)
    text = (
        f"{order.order_id}: {side_word(order.side)} {left} left at {amounts.price(order.price)}"
        f" in {amounts.name}, since {time_text(order.created_ns)}"
    )
    return with_client_id(text, client_id)


def _waiting_lines(exchange: Exchange, waiting: list[Reference]) -> Iterator[str]:
    """Holds and credits that wait for a decision."""
    for row in waiting:
        amount = amount_text(exchange, row.asset, row.atoms)
        what = "withdrawal of" if row.state == HELD else "deposit of"
        yield f"{what} {amount} since {time_text(row.time_ns)}, reference {row.reference.hex()}"


def _credential_text(credential: Credential, time_ns: int) -> str:
    """The log has no secrets, and of the hash the beginning is shown."""
    what = name_of(CREDENTIAL_NAMES, credential.credential_type, "type")
    text = (
        f"{credential.slot}: {what} {hash_text(credential.digest)}"
        f" with permissions {bits_text(PERMISSION_NAMES, credential.permissions)},"
        f" added {time_text(credential.added_ns)}"
    )
    if credential.revoked_ns:
        return f"{text}, revoked {time_text(credential.revoked_ns)}"
    if credential.expires_ns == 0:
        return text
    word = "expires" if credential.is_live(time_ns) else "expired"
    return f"{text}, {word} {time_text(credential.expires_ns)}"
