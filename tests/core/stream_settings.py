"""What is set up in a stream: accounts, listings and parameters."""

from __future__ import annotations

from fairbook.core import admin_records as admin
from tests.core.stream_choices import Choices
from tests.core.wire import Kind

SET_VALUES = {  # per parameter of a market: what it is set to; the first one heals
    admin.STATE: (0, 1, 2, 3, 4, 5),
    admin.MAKER_FEE_PPM: (0, 1_000, 200_000, 999_999, 1_000_000, -1),
    admin.TAKER_FEE_PPM: (0, 2_500, 333_333, 999_999, 1_000_000, -1),
    admin.PRICE_MIN: (1, 98, 0, 2**40 + 1),
    admin.PRICE_MAX: (2**40, 104, 2**40 + 1, 0),
    admin.QUANTITY_MIN: (1, 2, 0),
    admin.QUANTITY_MAX: (2**40, 7, 2**40 + 1),
    admin.BAND_PPM: (0, 10_000, 25_000, 1_000_000, 1_000_001),
    admin.LEVELS_MAX: (100_000, 2, 3, 0, 2**20 + 1),
    admin.WALK_MAX: (1_000, 1_000, 4_000, 1, 2, 3, 5, 0, 4_001),
    11: (0,),
}
STAYING = (admin.BAND_PPM, admin.MAKER_FEE_PPM, admin.TAKER_FEE_PPM, admin.WALK_MAX)
FEES = (admin.MAKER_FEE_PPM, admin.TAKER_FEE_PPM)
ASSET_VALUES = {
    admin.RESERVE_CAP: (2**62, 2**61, 0, 2**62 + 1, -1),
    admin.CREDIT_MAX: (4_000, 2_000, 0, 2**62, 2**62 + 1, -1),
    admin.DAILY_WITHDRAWAL_MAX: (2**62, 900, 0, 2**62 + 1, -1),
    4: (0,),
}
ACCOUNT_VALUES = {
    admin.FROZEN: (0, 1, 1, 1, 2, -1),
    admin.FEE_GROUP: (0, 1, 255, 256, -1),
    admin.DAILY_WITHDRAWAL_MAX: (-1, 600, 0, 2**62, 2**62 + 1, -2),
    0: (0,),
}
EXCHANGE_VALUES = {
    admin.ORDERS_MAX: (20, 1, 3, 0, 16_384, 16_385),
    admin.ACCOUNTS_MAX: (8, 7, 1, 2**31),
    admin.CREDENTIALS_MAX: (2_000_000, 1, 0, 2**31),
    admin.OWNER_CREDENTIALS_MAX: (4, 1, 2, 6, 0, 65_536),
    admin.REFERENCES_MAX: (1_000_000, 1, 0, 2**31),
    admin.WITHDRAWAL_DELAY_S: (1, 0, 5, 10**9, -1, 10**9 + 1),
    7: (0,),
}


class SettingChoices(Choices):
    """OPEN_ACCOUNT, listings and parameters."""

    def open_account(self) -> bytes:
        """Few users."""
        return admin.open_account(self.one_of((1002, 2000, 2001, 2002, 0, -1)))

    def listing(self, kind: Kind) -> bytes:
        """Mostly wrong in some way."""
        name = self.one_of(("AAA", "D", "A_LONG_NAME_1234", "low", "X Y", f"N{self.next_number()}"))
        if kind == Kind.LIST_ASSET:
            return admin.list_asset(
                asset=self.pick(8), decimals=self.one_of((0, 18, 19, -1)), name=name
            )
        return admin.list_market(
            market=self.pick(8),
            base=self.pick(5),
            quote=self.pick(5),
            lot_atoms=self.one_of((1, 10, 3, 10**18, 10**18 + 1, 0, -1)),
            tick_atoms=self.one_of((1, 10, 7, 10**18, 10**18 + 1, 0, -1)),
            name=name,
        )

    def set_market(self) -> bytes:
        """A parameter of a market, or a fee of a group."""
        market, parameter = self.market(), self.one_of(list(SET_VALUES))
        values = SET_VALUES[parameter]
        value = self.one_of(values)
        if parameter in FEES and self.pick(2):
            group = self.one_of((1, 255, 256, 2**32 - 1) if self.rarely(8) else (1, 255))
            return admin.set_market(
                market=market, parameter=parameter, value=value, fee_group=group
            )
        if parameter not in STAYING:
            self.repair(admin.set_market(market=market, parameter=parameter, value=values[0]))
        return admin.set_market(market=market, parameter=parameter, value=value)

    def set_asset(self) -> bytes:
        """A cap or a limit."""
        asset, parameter = self.pick(5), self.one_of(list(ASSET_VALUES))
        values = ASSET_VALUES[parameter]
        self.repair(admin.set_asset(asset=asset, parameter=parameter, value=values[0]))
        return admin.set_asset(asset=asset, parameter=parameter, value=self.one_of(values))

    def set_account(self) -> bytes:
        """Frozen, group of fees, or a limit."""
        account, parameter = self.account(), self.one_of(list(ACCOUNT_VALUES))
        asset = self.one_of((1, 2, 3, self.pick(5)))
        values = ACCOUNT_VALUES[parameter]
        if parameter != admin.FEE_GROUP:
            self.repair(
                admin.set_account(
                    account=account, parameter=parameter, value=values[0], asset=asset
                )
            )
        return admin.set_account(
            account=account, parameter=parameter, value=self.one_of(values), asset=asset
        )

    def set_exchange(self, known: dict[int, int]) -> bytes:
        """`known`: how much is in the tables that have a limit, by parameter."""
        parameter = self.one_of(list(EXCHANGE_VALUES))
        values = EXCHANGE_VALUES[parameter]
        self.repair(admin.set_exchange(parameter=parameter, value=values[0]))
        value = self.one_of(values)
        if parameter in known and self.pick(2):
            value = known[parameter] + self.one_of((0, 1, 2, -1))
        return admin.set_exchange(parameter=parameter, value=value)
