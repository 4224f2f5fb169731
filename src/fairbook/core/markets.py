"""Assets and markets: what can be traded, in which units, with which parameters.

Only listings and SET commands change them; other packages read them.

Invariants:
- an id, a name, decimals, lot and tick never change once listed;
- one tick times one lot is a whole number of quote atoms, and the tick size is a decimal of
  `price_decimals` places.
"""

from __future__ import annotations

from typing import Final, final

from mypy_extensions import i64

from fairbook.core.admin_records import CLOSED_STATE
from fairbook.core.units import MAX_ATOMS, MAX_UNITS, tick_size

ASSETS_MAX: Final = 4096
MARKETS_MAX: Final = 4096
FEE_GROUP_MAX: Final = 255
AS_MARKET: Final = -1  # a fee group without a rate of its own
FIRST_UPDATE_ID: Final = 12  # source: the public contract, "Replay on subscribe"


@final
class Asset:
    """An asset, counted in atoms of 10^-decimals."""

    def __init__(self, asset_id: i64, name: str, decimals: i64) -> None:
        self.id = asset_id
        self.name = name
        self.decimals = decimals
        self.reserve_cap: i64 = MAX_ATOMS
        self.credit_max: i64 = MAX_ATOMS  # a larger credit waits for an operator
        self.daily_withdrawal_max: i64 = MAX_ATOMS


@final
class GroupFees:
    """The rates of one fee group in one market; AS_MARKET: none of its own."""

    def __init__(self, group: i64) -> None:
        self.group = group
        self.maker_fee_ppm: i64 = AS_MARKET
        self.taker_fee_ppm: i64 = AS_MARKET


@final
class Market:
    """A pair of assets that can be traded.

    tick size = price_step / 10^price_decimals, or price_step 0 if 18 decimals are not enough;
    lot size = lot_atoms / 10^(decimals of base).
    """

    def __init__(
        self,
        market_id: i64,
        name: str,
        *,
        base: Asset,
        quote: Asset,
        lot_atoms: i64,
        tick_atoms: i64,
        created_ns: i64,
    ) -> None:
        self.id = market_id
        self.name = name
        self.base = base.id
        self.quote = quote.id
        self.lot_atoms = lot_atoms
        self.tick_atoms = tick_atoms
        self.price_step, self.price_decimals = tick_size(
            lot_atoms=lot_atoms,
            tick_atoms=tick_atoms,
            base_decimals=base.decimals,
            quote_decimals=quote.decimals,
        )
        self.lots_max = MAX_ATOMS // lot_atoms  # so that base atoms are at most MAX_ATOMS
        self.tick_lots_max = MAX_ATOMS // tick_atoms  # price * lots, so that the notional is
        self.created_ns = created_ns
        self.state: i64 = CLOSED_STATE
        self.maker_fee_ppm: i64 = 0
        self.taker_fee_ppm: i64 = 0
        self.price_min: i64 = 1
        self.price_max: i64 = MAX_UNITS
        self.quantity_min: i64 = 1
        self.quantity_max: i64 = MAX_UNITS
        self.band_ppm: i64 = 0
        self.levels_max: i64 = 100_000
        self.walk_max: i64 = 1000
        self.update_id: i64 = FIRST_UPDATE_ID
        self.last_trade_id: i64 = 0
        self.group_fees: list[GroupFees] = []  # by rising group

    def maker_fee_of(self, group: i64) -> i64:
        """The rate of a maker whose account is in this fee group, in ppm."""
        for fees in self.group_fees:
            if fees.group == group and fees.maker_fee_ppm != AS_MARKET:
                return fees.maker_fee_ppm
        return self.maker_fee_ppm

    def taker_fee_of(self, group: i64) -> i64:
        for fees in self.group_fees:
            if fees.group == group and fees.taker_fee_ppm != AS_MARKET:
                return fees.taker_fee_ppm
        return self.taker_fee_ppm

    def fees_of_group(self, group: i64) -> GroupFees:
        """The group's own rates, made if there are none."""
        at = 0
        while at < len(self.group_fees) and self.group_fees[at].group < group:
            at += 1
        if at == len(self.group_fees) or self.group_fees[at].group != group:
            self.group_fees.insert(at, GroupFees(group))
        return self.group_fees[at]
