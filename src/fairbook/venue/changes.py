"""The commands that make an exchange what a configuration says, each with its words.

Invariants:
- what the file does not name stays as it is;
- when the changes are done, there are none left: the same file twice changes nothing.
"""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from fairbook.api.numbers import Scale
from fairbook.core import admin_records
from fairbook.core.exchange import Exchange
from fairbook.core.markets import AS_MARKET, Asset, Market
from fairbook.venue.toml_file import Path, Problem
from fairbook.venue.venue import STATES, Venue, VenueAsset, VenueMarket

ASSET_LIMITS: Final = {
    "reserve_cap": admin_records.RESERVE_CAP,
    "credit_max": admin_records.CREDIT_MAX,
    "daily_withdrawal_max": admin_records.DAILY_WITHDRAWAL_MAX,
}
MARKET_PARAMETERS: Final = {
    "state": admin_records.STATE,
    "maker_fee_ppm": admin_records.MAKER_FEE_PPM,
    "taker_fee_ppm": admin_records.TAKER_FEE_PPM,
    "price_min": admin_records.PRICE_MIN,
    "price_max": admin_records.PRICE_MAX,
    "quantity_min": admin_records.QUANTITY_MIN,
    "quantity_max": admin_records.QUANTITY_MAX,
    "band_ppm": admin_records.BAND_PPM,
    "levels_max": admin_records.LEVELS_MAX,
    "walk_max": admin_records.WALK_MAX,
}
EXCHANGE_LIMITS: Final = {
    "orders_max": admin_records.ORDERS_MAX,
    "accounts_max": admin_records.ACCOUNTS_MAX,
    "credentials_max": admin_records.CREDENTIALS_MAX,
    "owner_credentials_max": admin_records.OWNER_CREDENTIALS_MAX,
    "references_max": admin_records.REFERENCES_MAX,
    "withdrawal_delay_s": admin_records.WITHDRAWAL_DELAY_S,
}
_STATE_NAMES: Final = {code: name for name, code in STATES.items()}


class ConfigChange(NamedTuple):
    """One command. `needs_two`: one operator alone may not do it, or it follows such a change."""

    text: str
    command: bytes
    path: Path
    needs_two: bool = False


def changes(venue: Venue, exchange: Exchange, *, is_first: bool = False) -> list[ConfigChange]:
    """From what the exchange has to what the file says, in order. `is_first`: of the first state,
    in which markets are PostOnly until their first orders are placed.

    Raises Problem if the file changes what can never change.
    """
    found = list(_limit_changes(venue, exchange))
    listed = {asset.name: asset for asset in exchange.assets[1:]}
    numbers: dict[str, int] = {name: asset.id for name, asset in listed.items()}
    for asset in venue.assets:
        number = numbers.setdefault(asset.name, len(numbers) + 1)
        for change in _asset_changes(asset, listed.get(asset.name), number):
            found.append(change._replace(needs_two=not is_first))
    known_markets = {market.name: market for market in exchange.markets[1:]}
    count = len(known_markets)
    for market in venue.markets:
        traded = known_markets.get(market.name)
        if traded is not None:
            _require_same_units(market, traded, exchange.assets[traded.base].decimals)
        must_wait = not is_first and not {market.base, market.quote} <= listed.keys()
        number = count + 1 if traded is None else traded.id
        if traded is None and not must_wait:
            count += 1
        for change in _market_changes(market, traded, number, numbers, is_first):
            found.append(change._replace(needs_two=must_wait))
    for account in venue.accounts:
        found += _fee_group_changes(exchange, account.name, account.user_id, account.fee_group)
    return found


def not_in_file(venue: Venue, exchange: Exchange) -> list[str]:
    """Assets and markets that the exchange has and the file does not."""
    assets = {asset.name for asset in venue.assets}
    markets = {market.name for market in venue.markets}
    return [asset.name for asset in exchange.assets[1:] if asset.name not in assets] + [
        market.name for market in exchange.markets[1:] if market.name not in markets
    ]


def _limit_changes(venue: Venue, exchange: Exchange) -> Iterator[ConfigChange]:
    for field, value in venue.limits.items():
        known: int = getattr(exchange.tables, field)
        if known != value:
            command = admin_records.set_exchange(parameter=EXCHANGE_LIMITS[field], value=value)
            yield ConfigChange(
                f"exchange: {field} {known} -> {value}", command, ("exchange", field), True
            )


def _asset_changes(asset: VenueAsset, listed: Asset | None, number: int) -> Iterator[ConfigChange]:
    if listed is None:
        command = admin_records.list_asset(asset=number, decimals=asset.decimals, name=asset.name)
        text = f"list asset {asset.name}, {asset.decimals} decimals"
        yield ConfigChange(text, command, asset.path)
    elif listed.decimals != asset.decimals:
        raise Problem(
            (*asset.path, "decimals"),
            f"{asset.name} has {listed.decimals} decimals, and decimals never change: list another"
            " asset",
        )
    for field, value in asset.limits.items():
        known: int | None = None if listed is None else getattr(listed, field)
        if known != value:
            name = "cap" if field == "reserve_cap" else field
            text = f"{asset.name}: {name} {_from_to(known, value, asset.scale.text)}"
            command = admin_records.set_asset(
                asset=number, parameter=ASSET_LIMITS[field], value=value
            )
            yield ConfigChange(text, command, (*asset.path, name))


def _market_changes(
    market: VenueMarket,
    traded: Market | None,
    number: int,
    assets: dict[str, int],
    is_first: bool,
) -> Iterator[ConfigChange]:
    if traded is None:
        command = admin_records.list_market(
            market=number, base=assets[market.base], quote=assets[market.quote],
            lot_atoms=market.lot_atoms, tick_atoms=market.tick_atoms, name=market.name,
        )  # fmt: skip
        tick, lot = market.price.text(1), market.quantity.text(1)
        yield ConfigChange(
            f"list market {market.name}, tick {tick}, lot {lot}", command, market.path
        )
    wanted = dict(market.parameters)
    if traded is None:
        wanted.setdefault("state", admin_records.OPEN)
    if is_first:
        is_ready = traded is not None and traded.state == wanted.get("state", admin_records.OPEN)
        wanted["state"] = traded.state if traded and is_ready else admin_records.ONLY_POST
    for field, value in _in_order(wanted, traded):
        known: int | None = None if traded is None else getattr(traded, field)
        if known != value:
            text = f"{market.name}: {field} {_from_to(known, value, _writer(market, field))}"
            command = admin_records.set_market(
                market=number, parameter=MARKET_PARAMETERS[field], value=value
            )
            yield ConfigChange(text, command, (*market.path, field))
    for group, field, value in market.group_fees:
        known = None if traded is None else _group_fee(traded, group, field)
        if known != value:
            text = f"{market.name}: {field} of fee group {group} {_from_to(known, value, str)}"
            command = admin_records.set_market(
                market=number, parameter=MARKET_PARAMETERS[field], value=value, fee_group=group
            )
            yield ConfigChange(text, command, (*market.path, "group_fees"))


def _require_same_units(market: VenueMarket, traded: Market, base_decimals: int) -> None:
    had_price = Scale("Price", step=traded.price_step, decimals=traded.price_decimals)
    had_quantity = Scale("Quantity", step=traded.lot_atoms, decimals=base_decimals)
    for field, known, value, text in (
        ("lot", traded.lot_atoms, market.lot_atoms, had_quantity.text(1)),
        ("tick", traded.tick_atoms, market.tick_atoms, had_price.text(1)),
    ):
        if known != value:
            raise Problem(
                (*market.path, field),
                f"the {field} of {market.name} is {text}, and tick and lot never change: list"
                " another market",
            )


def _in_order(wanted: dict[str, int], traded: Market | None) -> list[tuple[str, int]]:
    """Each bound in turn, so that a minimum never passes a maximum on the way; the state last."""
    found = [(field, wanted[field]) for field in MARKET_PARAMETERS if field in wanted]
    for least, most in (("price_min", "price_max"), ("quantity_min", "quantity_max")):
        has_both = traded is not None and least in wanted and most in wanted
        if has_both and wanted[least] > getattr(traded, most):
            fields = [field for field, _ in found]
            first, second = fields.index(least), fields.index(most)
            found[first], found[second] = found[second], found[first]
    return sorted(found, key=lambda each: each[0] == "state")


def _group_fee(market: Market, group: int, field: str) -> int | None:
    for fees in market.group_fees:
        if fees.group == group:
            value: int = getattr(fees, field)
            return None if value == AS_MARKET else value
    return None


def _fee_group_changes(
    exchange: Exchange, name: str, user_id: int, group: int | None
) -> Iterator[ConfigChange]:
    number = exchange.account_of_user(user_id)
    if group is None or not number:
        return
    known = exchange.tables.accounts[number].fee_group
    if known != group:
        command = admin_records.set_account(
            account=number, parameter=admin_records.FEE_GROUP, value=group
        )
        yield ConfigChange(f"account {name}: fee_group {known} -> {group}", command, ("accounts",))


def _writer(market: VenueMarket, field: str) -> Callable[[int], str]:
    if field == "state":
        return lambda state: _STATE_NAMES[state]
    if field.startswith("price"):
        return market.price.text
    return market.quantity.text if field.startswith("quantity") else str


def _from_to(known: int | None, value: int, write: Callable[[int], str]) -> str:
    return write(value) if known is None else f"{write(known)} -> {write(value)}"
