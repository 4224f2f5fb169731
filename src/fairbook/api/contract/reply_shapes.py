"""The answers of the public contract, strictly: an answer has these fields and no others.

They describe what other modules write by hand; tests decode real answers with them. Decimals are
texts in plain notation, ids of orders are texts of digits. A field of type None is one of other
venues that has no meaning here.
"""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

Decimal = Annotated[str, Meta(pattern=r"^[0-9]+(\.[0-9]+)?$", description="plain decimal")]
SignedDecimal = Annotated[str, Meta(pattern=r"^-?[0-9]+(\.[0-9]+)?$")]
OrderId = Annotated[str, Meta(pattern=r"^[0-9]+$")]
Position = Annotated[str, Meta(pattern=r"^[0-9]+$", description="position of the log")]
Atoms = Annotated[str, Meta(pattern=r"^[0-9]{1,19}$", description="in the smallest unit")]
Hexadecimal = Annotated[str, Meta(pattern=r"^[0-9a-f]*$")]
UtcTime = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?$")]
Milliseconds = Annotated[int, Meta(ge=0)]
Microseconds = Annotated[int, Meta(ge=0)]
Side = Literal["Bid", "Ask"]
TimeInForce = Literal["GTC", "IOC", "FOK"]
OrderStatus = Literal["New", "PartiallyFilled", "Filled", "Cancelled", "Expired"]
SelfTrade = Literal["RejectTaker", "RejectMaker", "RejectBoth"]
Expiry = Literal[
    "ImmediateOrCancel", "FillOrKill", "SelfTradePrevention", "InsufficientLiquidity",
    "PriceOutOfBounds", "WalkLimit",
]  # fmt: skip
MarketState = Literal["Open", "PostOnly", "LimitOnly", "CancelOnly", "Closed"]
Permission = Literal["read", "trade", "withdraw"]
Level = Annotated[list[Decimal], Meta(min_length=2, max_length=2)]
"""Price and quantity."""


class ReplyShape(Struct, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """An object of the contract, with camelCase names."""


class ErrorReply(ReplyShape, kw_only=True):
    """Every answer that is not 2xx."""

    code: str
    message: str


class Empty(ReplyShape, kw_only=True):
    """{}"""


class PriceFilters(ReplyShape, kw_only=True):
    min_price: Decimal
    max_price: Decimal | None
    tick_size: Decimal
    max_multiplier: None
    min_multiplier: None
    max_impact_multiplier: None
    min_impact_multiplier: None


class QuantityFilters(ReplyShape, kw_only=True):
    min_quantity: Decimal
    max_quantity: Decimal | None
    step_size: Decimal


class MarketFilters(ReplyShape, kw_only=True):
    price: PriceFilters
    quantity: QuantityFilters


class MarketReply(ReplyShape, kw_only=True):
    """A market."""

    symbol: str
    base_symbol: str
    quote_symbol: str
    market_type: Literal["SPOT"]
    order_book_state: MarketState
    visible: bool
    created_at: UtcTime
    filters: MarketFilters
    imf_function: None
    mmf_function: None
    funding_interval: None
    funding_rate_upper_bound: None
    funding_rate_lower_bound: None
    open_interest_limit: None
    position_limit_weight: None


class TokenReply(ReplyShape, kw_only=True):
    """An asset on a blockchain."""

    display_name: str
    blockchain: str
    contract_address: None
    deposit_enabled: bool
    minimum_deposit: Decimal
    withdraw_enabled: bool
    minimum_withdrawal: Decimal
    maximum_withdrawal: Decimal | None
    withdrawal_fee: Decimal
    native_decimals: int


class AssetReply(ReplyShape, kw_only=True):
    symbol: str
    display_name: str
    coingecko_id: str | None
    tokens: list[TokenReply]


class DepthReply(ReplyShape, kw_only=True):
    """Both sides by rising price; the time in microseconds."""

    asks: list[Level]
    bids: list[Level]
    last_update_id: OrderId
    timestamp: Microseconds


class StatusReply(ReplyShape, kw_only=True):
    status: Literal["Ok", "Maintenance"]
    message: str | None


class TradeReply(ReplyShape, kw_only=True):
    id: int
    price: Decimal
    quantity: Decimal
    quote_quantity: Decimal
    timestamp: Milliseconds
    is_buyer_maker: bool


class KlineReply(ReplyShape, kw_only=True):
    start: UtcTime
    end: UtcTime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal
    trades: OrderId


class TickerReply(ReplyShape, kw_only=True):
    """Of the last 24 hours."""

    symbol: str
    first_price: Decimal
    last_price: Decimal
    price_change: SignedDecimal
    price_change_percent: SignedDecimal
    high: Decimal
    low: Decimal
    volume: Decimal
    quote_volume: Decimal
    trades: OrderId


class OrderReply(ReplyShape, kw_only=True):
    """An order. Limit orders have a price, market orders a quote quantity or null."""

    order_type: Literal["Limit", "Market"]
    id: OrderId
    client_id: int | str | None
    symbol: str
    side: Side
    price: Decimal | UnsetType = UNSET
    quantity: Decimal
    quote_quantity: Decimal | UnsetType | None = UNSET
    post_only: bool | UnsetType = UNSET
    executed_quantity: Decimal
    executed_quote_quantity: Decimal
    time_in_force: TimeInForce
    self_trade_prevention: SelfTrade
    status: OrderStatus
    created_at: Milliseconds
    reduce_only: None
    related_order_id: None
    strategy_id: None
    trigger_by: None
    trigger_price: None
    trigger_quantity: None
    triggered_at: None
    stop_loss_trigger_price: None
    stop_loss_limit_price: None
    stop_loss_trigger_by: None
    take_profit_trigger_price: None
    take_profit_limit_price: None
    take_profit_trigger_by: None


class PastOrderReply(OrderReply, kw_only=True):
    """An order of the history: open or closed."""

    created_at: UtcTime  # type: ignore[assignment]  # The history has texts.
    expiry_reason: Expiry | None
    system_order_type: None


class BatchOrderReply(OrderReply, kw_only=True, tag_field="operation", tag="Ok"):
    """One order of a batch that was taken: also `operation`, Ok."""


class BatchErrorReply(ErrorReply, kw_only=True, tag_field="operation", tag="Err"):
    """One order of a batch that was refused: also `operation`, Err."""


class DurableReply(ReplyShape, kw_only=True):
    """202: a command is durable, and its outcome can be asked for."""

    client_id: int | str
    position: Position


class FillReply(ReplyShape, kw_only=True):
    trade_id: int
    order_id: OrderId
    client_id: str | None
    symbol: str
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_symbol: str
    is_maker: bool
    system_order_type: None
    timestamp: UtcTime


class BalanceReply(ReplyShape, kw_only=True):
    available: Decimal
    locked: Decimal
    staked: Decimal


class AccountReply(ReplyShape, kw_only=True):
    """Fees are in basis points."""

    auto_borrow_settlements: bool
    auto_lend: bool
    auto_realize_pnl: bool
    auto_repay_borrows: bool
    borrow_limit: Decimal
    futures_maker_fee: Decimal
    futures_taker_fee: Decimal
    leverage_limit: Decimal
    limit_orders: int
    liquidating: bool
    position_limit: Decimal
    spot_maker_fee: Decimal
    spot_taker_fee: Decimal
    trigger_orders: int


class OrderLimitReply(ReplyShape, kw_only=True):
    symbol: str
    side: Side
    max_order_quantity: Decimal
    price: Decimal | None


class WithdrawalLimitReply(ReplyShape, kw_only=True):
    symbol: str
    max_withdrawal_quantity: Decimal


class BorrowLimitReply(ReplyShape, kw_only=True):
    symbol: str
    max_borrow_quantity: Decimal


class CollateralReply(ReplyShape, kw_only=True):
    assets_value: Decimal
    borrow_liability: Decimal
    collateral: list[Empty]
    imf: Decimal
    liabilities_value: Decimal
    margin_fraction: None
    mmf: Decimal
    net_equity: Decimal
    net_equity_available: Decimal
    net_equity_locked: Decimal
    net_exposure_futures: Decimal
    pnl_unrealized: Decimal
    unsettled_equity: Decimal


class ApyReply(ReplyShape, kw_only=True):
    borrow_lend: list[Empty]
    staking: list[Empty]


class DepositReply(ReplyShape, kw_only=True):
    id: int
    symbol: str
    quantity: Decimal
    status: Literal["confirmed"]
    source: Literal["administrator"]
    created_at: UtcTime
    transaction_hash: str
    to_address: None
    from_address: None
    fiat_amount: None
    fiat_currency: None
    institution_bic: None
    platform_memo: None


class WithdrawalReply(ReplyShape, kw_only=True):
    """A negative id: it was not requested here."""

    id: int
    symbol: str
    quantity: Decimal
    fee: Decimal
    status: Literal["pending", "confirmed", "cancelled"]
    blockchain: str
    to_address: str
    transaction_hash: str | None
    client_id: str | None
    identifier: None
    created_at: UtcTime
    is_internal: bool
    subaccount_id: None
    trigger_at: None


class DepositAddressReply(ReplyShape, kw_only=True):
    address: str


class FaucetReply(ReplyShape, kw_only=True):
    symbol: str
    quantity: Decimal
    left: Decimal


class VenueFees(ReplyShape, kw_only=True):
    """In basis points."""

    maker_fee: Decimal
    taker_fee: Decimal


class VenueReply(ReplyShape, kw_only=True):
    name: str
    version: str
    ws: str
    demo: bool
    test: bool
    sign_up: Literal["open", "invitation", "closed"]
    markets: dict[str, VenueFees]


class SliceReply(ReplyShape, kw_only=True):
    index: int
    count: int
    digest: Hexadecimal


class CheckpointReply(ReplyShape, kw_only=True):
    position: Position
    chain: Hexadecimal
    event_hash: Hexadecimal
    slice: SliceReply | None
    engines: list[str]
    note: str | None
    key: str | None


class SignedReply(ReplyShape, kw_only=True):
    key: str
    notes: list[str]


class ChainReply(ReplyShape, kw_only=True):
    first: Position = field(name="from")
    before: Hexadecimal
    entries: list[Annotated[list[Hexadecimal], Meta(min_length=2, max_length=2)]]
    """Time in ns (a decimal number), and BLAKE2b-256 of the frame."""


class WitnessReply(ReplyShape, kw_only=True):
    url: str
    position: Position
    seen: Milliseconds | None
    problem: str | None
    contradicts: bool


class ReplayedReply(ReplyShape, kw_only=True):
    position: Position
    resumed_at: Position
    confirmed: bool


class ProofStatusReply(ReplyShape, kw_only=True):
    witnesses: list[WitnessReply]
    replayed: ReplayedReply | None


class AssetTotalReply(ReplyShape, kw_only=True):
    """The tree of one asset: what all accounts own, in all."""

    symbol: str
    decimals: int
    total: Decimal
    atoms: Atoms
    leaves: int
    root: Hexadecimal


class LiabilitiesReply(ReplyShape, kw_only=True):
    """`note` has all of it, signed by `key`; null: none was made yet. The time is the log's."""

    position: Position
    timestamp: Milliseconds
    state_digest: Hexadecimal
    assets: list[AssetTotalReply]
    note: str | None
    key: str | None


class PathStepReply(ReplyShape, kw_only=True):
    """The node beside the path, and the side on which it stands."""

    hash: Hexadecimal
    atoms: Atoms
    side: Literal["left", "right"]


class LeafReply(ReplyShape, kw_only=True):
    """`index`: among the leaves of the asset, from 0; `path`: from the leaf up."""

    symbol: str
    account_id: OrderId
    quantity: Decimal
    atoms: Atoms
    salt: Hexadecimal
    index: int
    path: list[PathStepReply]


class AccountProofReply(ReplyShape, kw_only=True):
    """A leaf for each asset of which the account had a balance at this position."""

    position: Position
    account_id: OrderId
    leaves: list[LeafReply]


class SignUpReply(ReplyShape, kw_only=True):
    account_id: OrderId


class LoginReply(ReplyShape, kw_only=True):
    token: str
    expires_at: Milliseconds


class SessionReply(ReplyShape, kw_only=True):
    id: Hexadecimal
    created_at: Milliseconds
    expires_at: Milliseconds
    current: bool


class KeyReply(ReplyShape, kw_only=True):
    id: Hexadecimal
    public_key: str | None
    label: str
    permissions: list[Permission]
    created_at: Milliseconds
    expires_at: Milliseconds | None
