"""The fields of requests of the public contract.

Numbers may be sent as texts, and texts of digits as numbers; unknown fields that change nothing are
ignored.
"""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from fairbook.api.contract.reply_shapes import OrderId, Permission, SelfTrade, Side, TimeInForce

Number = Annotated[str, Meta(pattern=r"^[0-9]{1,18}(\.[0-9]{1,18})?$")] | float
WholeNumber = int | Annotated[str, Meta(pattern=r"^[0-9]+$")]
ClientId = (
    Annotated[int, Meta(ge=0, le=4_294_967_295)]
    | Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:/-]{1,36}$")]
)
Symbol = Annotated[str, Meta(examples=["SOL_USDC"])]
AssetSymbol = Annotated[str, Meta(examples=["SOL"])]
Optional = UnsetType


class RequestShape(Struct, rename="camel", kw_only=True):
    """The fields of a body, with camelCase names; for GET, of the query."""


class PlaceBody(RequestShape, kw_only=True):
    symbol: Symbol
    side: Side
    order_type: Literal["Limit", "Market"]
    price: Number | Optional = UNSET
    quantity: Number | Optional = UNSET
    quote_quantity: Number | Optional = UNSET
    time_in_force: TimeInForce | Optional = UNSET
    post_only: bool | Optional = UNSET
    client_id: ClientId | Optional = UNSET
    self_trade_prevention: SelfTrade | Optional = UNSET


class OrderName(RequestShape, kw_only=True):
    """One order, by id or client id."""

    symbol: Symbol
    order_id: OrderId | Optional = UNSET
    client_id: ClientId | Optional = UNSET


class AmendBody(OrderName, kw_only=True):
    price: Number | Optional = UNSET
    quantity: Number | Optional = UNSET


class CancelAllBody(RequestShape, kw_only=True):
    symbol: Symbol


class SymbolQuery(RequestShape, kw_only=True):
    symbol: Symbol


class AnySymbolQuery(RequestShape, kw_only=True):
    symbol: Symbol | Optional = UNSET
    market_type: str | Optional = UNSET


class MarketTypeQuery(RequestShape, kw_only=True):
    market_type: str | Optional = UNSET


class OpenOrdersQuery(AnySymbolQuery, kw_only=True):
    limit: WholeNumber | Optional = UNSET
    offset: WholeNumber | Optional = UNSET


class AssetQuery(RequestShape, kw_only=True):
    symbol: AssetSymbol


class DepthQuery(SymbolQuery, kw_only=True):
    limit: WholeNumber | Optional = UNSET


class TradesQuery(SymbolQuery, kw_only=True):
    limit: WholeNumber | Optional = UNSET
    offset: WholeNumber | Optional = UNSET


class KlinesQuery(SymbolQuery, kw_only=True):
    """Times in seconds."""

    interval: str
    start_time: WholeNumber
    end_time: WholeNumber | Optional = UNSET
    price_type: str | Optional = UNSET


class TickerQuery(SymbolQuery, kw_only=True):
    interval: Literal["1d"] | Optional = UNSET


class TickersQuery(MarketTypeQuery, kw_only=True):
    interval: Literal["1d"] | Optional = UNSET


class PageQuery(RequestShape, kw_only=True):
    """Times in milliseconds."""

    limit: WholeNumber | Optional = UNSET
    offset: WholeNumber | Optional = UNSET


class SpanQuery(PageQuery, kw_only=True):
    from_: WholeNumber | Optional = UNSET
    to: WholeNumber | Optional = UNSET


class PastOrdersQuery(PageQuery, kw_only=True):
    symbol: Symbol | Optional = UNSET
    order_id: OrderId | Optional = UNSET
    client_id: ClientId | Optional = UNSET
    market_type: str | Optional = UNSET
    sort_direction: Literal["Asc", "Desc"] | Optional = UNSET


class FillsQuery(SpanQuery, kw_only=True):
    symbol: Symbol | Optional = UNSET
    order_id: OrderId | Optional = UNSET
    fill_type: str | Optional = UNSET
    market_type: str | Optional = UNSET
    sort_direction: Literal["Asc", "Desc"] | Optional = UNSET


class WithdrawalsQuery(SpanQuery, kw_only=True):
    id: WholeNumber | Optional = UNSET
    client_id: str | Optional = UNSET


class OrderLimitQuery(SymbolQuery, kw_only=True):
    side: Side
    price: Number | Optional = UNSET


class AddressQuery(RequestShape, kw_only=True):
    blockchain: str


class WithdrawBody(RequestShape, kw_only=True):
    symbol: AssetSymbol
    quantity: Number
    address: Annotated[str, Meta(max_length=256)]
    blockchain: str
    client_id: Annotated[str, Meta(max_length=100)] | Optional = UNSET


class AmountBody(RequestShape, kw_only=True):
    symbol: AssetSymbol
    quantity: Number


class CheckpointsQuery(RequestShape, kw_only=True):
    from_: WholeNumber | Optional = UNSET


class SignedQuery(RequestShape, kw_only=True):
    from_: WholeNumber | Optional = UNSET
    limit: WholeNumber | Optional = UNSET


class ChainQuery(RequestShape, kw_only=True):
    from_: WholeNumber | Optional = UNSET
    to: WholeNumber | Optional = UNSET


class SignUpBody(RequestShape, kw_only=True):
    email: Annotated[str, Meta(max_length=254)]
    password: Annotated[str, Meta(min_length=10, max_length=128)]
    invitation: str | Optional = UNSET


class LoginBody(RequestShape, kw_only=True):
    email: str
    password: str


class ResetBody(RequestShape, kw_only=True):
    email: Annotated[str, Meta(max_length=254)]
    code: Annotated[str, Meta(max_length=100)]
    new_password: Annotated[str, Meta(min_length=10, max_length=128)]


class PasswordBody(RequestShape, kw_only=True):
    old_password: str
    new_password: Annotated[str, Meta(min_length=10, max_length=128)]


class AddKeyBody(RequestShape, kw_only=True):
    """`proof`: signature of the new key over `instruction=registerKey&publicKey=<publicKey>`."""

    public_key: str
    proof: str
    label: Annotated[str, Meta(max_length=100)] | Optional = UNSET
    permissions: list[Permission] | Optional = UNSET
    expires_at: WholeNumber | Optional = UNSET
