"""The public contract as one table: every route with its request and its answers.

`/openapi.json` and the page docs/reference/http-api.md are generated from it, and tests hold it
equal to the routes of a real gateway and to its real answers. Add a row where a route is added.
"""

from typing import Any, Final, NamedTuple

from fairbook.api.contract import reply_shapes as r
from fairbook.api.contract import request_shapes as q
from fairbook.ports.accounts import READ, TRADE, WITHDRAW

MONEY: Final = ("INSUFFICIENT_FUNDS", "INVALID_QUANTITY", "INVALID_ASSET")
ORDER: Final = (
    "INVALID_ORDER", "INVALID_PRICE", "INVALID_QUANTITY", "INVALID_MARKET", "INSUFFICIENT_FUNDS",
    "ORDER_LIMIT", "NOT_IMPLEMENTED",
)  # fmt: skip


class Route(NamedTuple):
    """One row. `path` ends with `{name}` if its last part is one. `reply` None: text, or no body.

    `request`: the fields of the body, or of the query for GET. `errors`: codes beside those that
    every route of its kind may answer. `status`: of success.
    """

    method: str
    path: str
    summary: str
    reply: Any
    request: Any = None
    instruction: str = ""
    permission: int = 0
    errors: tuple[str, ...] = ()
    status: int = 200
    is_array: bool = False  # the body is an array of `request`
    accepted: Any = None  # the reply with status 202: done, and not readable yet


def _get(path: str, summary: str, reply: Any, request: Any = None, **more: Any) -> Route:
    return Route("GET", path, summary, reply, request, **more)


MARKET_DATA: Final = (
    _get("/api/v1/ping", "Answers pong", None),
    _get("/api/v1/time", "The clock, in milliseconds", None),
    _get("/api/v1/status", "Whether orders are taken", r.StatusReply),
    _get("/api/v1/venue", "What a client must know of this exchange", r.VenueReply),
    _get("/api/v1/markets", "All markets", list[r.MarketReply], q.MarketTypeQuery),
    _get("/api/v1/market", "One market", r.MarketReply, q.SymbolQuery,
         errors=("INVALID_MARKET",)),
    _get("/api/v1/markets/{symbol}", "One market", r.MarketReply, errors=("INVALID_MARKET",)),
    _get("/api/v1/assets", "All assets", list[r.AssetReply]),
    _get("/api/v1/depth", "The order book", r.DepthReply, q.DepthQuery,
         errors=("INVALID_MARKET", "INVALID_RANGE")),
    _get("/api/v1/trades", "The newest trades, newest first", list[r.TradeReply], q.TradesQuery,
         errors=("INVALID_MARKET", "INVALID_RANGE", "NOT_IMPLEMENTED")),
    _get("/api/v1/trades/history", "Older trades", list[r.TradeReply], q.TradesQuery,
         errors=("INVALID_MARKET", "INVALID_RANGE", "NOT_IMPLEMENTED")),
    _get("/api/v1/klines", "Candles", list[r.KlineReply], q.KlinesQuery,
         errors=("INVALID_MARKET", "INVALID_RANGE", "NOT_IMPLEMENTED")),
    _get("/api/v1/ticker", "The last 24 hours of a market", r.TickerReply, q.TickerQuery,
         errors=("INVALID_MARKET", "NOT_IMPLEMENTED")),
    _get("/api/v1/tickers", "The last 24 hours of all markets", list[r.TickerReply],
         q.TickersQuery, errors=("NOT_IMPLEMENTED",)),
    _get("/api/v1/checkpoints", "Digests of log and state", list[r.CheckpointReply],
         q.CheckpointsQuery, errors=("INVALID_RANGE", "NOT_IMPLEMENTED")),
    _get("/api/v1/checkpoints/signed", "Signed checkpoints, oldest first", r.SignedReply,
         q.SignedQuery, errors=("INVALID_RANGE", "NOT_IMPLEMENTED")),
    _get("/api/v1/chain", "Times and hashes of the log's entries, for a witness", r.ChainReply,
         q.ChainQuery,
         errors=("INVALID_RANGE", "NOT_IMPLEMENTED", "FORBIDDEN")),
    _get("/api/v1/proof/status", "What has checked the history", r.ProofStatusReply,
         errors=("NOT_IMPLEMENTED",)),
    _get("/api/v1/proof/liabilities", "The newest proof of liabilities, signed",
         r.LiabilitiesReply, errors=("NOT_IMPLEMENTED",)),
    _get("/openapi.json", "This contract as OpenAPI", dict[str, Any]),
    _get("/streams.json", "The streams and their messages", dict[str, Any]),
)  # fmt: skip
ORDERS: Final = (
    Route("POST", "/api/v1/order", "Place an order", r.OrderReply, q.PlaceBody, "orderExecute",
          TRADE, ORDER, accepted=r.DurableReply),
    Route("DELETE", "/api/v1/order", "Cancel an order", r.OrderReply, q.OrderName, "orderCancel",
          TRADE, ("INVALID_ORDER", "INVALID_MARKET")),
    Route("PATCH", "/api/v1/order", "Amend an order", r.OrderReply, q.AmendBody, "orderAmend",
          TRADE, ORDER),
    _get("/api/v1/order", "One open order", r.OrderReply, q.OrderName, instruction="orderQuery",
         permission=READ, errors=("RESOURCE_NOT_FOUND", "INVALID_MARKET")),
    _get("/api/v1/orders", "Open orders", list[r.OrderReply], q.OpenOrdersQuery,
         instruction="orderQueryAll", permission=READ,
         errors=("INVALID_MARKET", "INVALID_RANGE")),
    Route("POST", "/api/v1/orders", "Place up to 50 orders, each on its own",
          list[r.BatchOrderReply | r.BatchErrorReply], q.PlaceBody, "orderExecute", TRADE,
          is_array=True),
    Route("DELETE", "/api/v1/orders", "Cancel all orders of a market", list[r.OrderReply],
          q.CancelAllBody, "orderCancelAll", TRADE, ("INVALID_MARKET",)),
    _get("/wapi/v1/history/orders", "Orders, open and closed, newest first",
         list[r.PastOrderReply], q.PastOrdersQuery, instruction="orderHistoryQueryAll",
         permission=READ, errors=("INVALID_MARKET", "INVALID_RANGE", "NOT_IMPLEMENTED")),
    _get("/wapi/v1/history/fills", "Fills, newest first", list[r.FillReply], q.FillsQuery,
         instruction="fillHistoryQueryAll", permission=READ,
         errors=("INVALID_MARKET", "INVALID_RANGE", "INVALID_ORDER", "NOT_IMPLEMENTED")),
)  # fmt: skip
ACCOUNT: Final = (
    _get("/api/v1/capital", "Balances by asset", dict[str, r.BalanceReply],
         instruction="balanceQuery", permission=READ),
    _get("/api/v1/capital/collateral", "None on a spot exchange", r.CollateralReply,
         instruction="collateralQuery", permission=READ),
    _get("/api/v1/account", "Fees and settings", r.AccountReply, instruction="accountQuery",
         permission=READ),
    Route("PATCH", "/api/v1/account", "Changes nothing", r.Empty, None, "accountUpdate", TRADE),
    _get("/api/v1/account/limits/order", "The largest order", r.OrderLimitReply,
         q.OrderLimitQuery, instruction="maxOrderQuantity", permission=READ,
         errors=("INVALID_MARKET", "INVALID_PRICE")),
    _get("/api/v1/account/limits/withdrawal", "The largest withdrawal", r.WithdrawalLimitReply,
         q.AssetQuery, instruction="maxWithdrawalQuantity", permission=READ,
         errors=("INVALID_ASSET",)),
    _get("/api/v1/account/limits/borrow", "There are no loans", r.BorrowLimitReply,
         q.AssetQuery, instruction="maxBorrowQuantity", permission=READ,
         errors=("INVALID_ASSET",)),
    _get("/api/v1/proof/liabilities/account", "The account's leaves in the proof of liabilities",
         r.AccountProofReply, instruction="liabilitiesQuery", permission=READ,
         errors=("RESOURCE_NOT_FOUND", "NOT_IMPLEMENTED")),
    _get("/wapi/v1/capital/deposits", "Deposits, newest first", list[r.DepositReply], q.SpanQuery,
         instruction="depositQueryAll", permission=READ,
         errors=("INVALID_RANGE", "NOT_IMPLEMENTED")),
    _get("/wapi/v1/capital/deposit/address", "A simulated address", r.DepositAddressReply,
         q.AddressQuery, instruction="depositAddressQuery", permission=READ,
         errors=("NOT_IMPLEMENTED",)),
    _get("/wapi/v1/capital/withdrawals", "Withdrawals, newest first", list[r.WithdrawalReply],
         q.WithdrawalsQuery, instruction="withdrawalQueryAll", permission=READ,
         errors=("INVALID_RANGE", "NOT_IMPLEMENTED")),
    Route("POST", "/wapi/v1/capital/withdrawals", "Ask for a withdrawal", r.WithdrawalReply,
          q.WithdrawBody, "withdraw", WITHDRAW, (*MONEY, "NOT_IMPLEMENTED")),
    Route("POST", "/api/v1/faucet", "Demo money", r.FaucetReply, q.AmountBody, "faucet", TRADE,
          (*MONEY, "NOT_IMPLEMENTED")),
    _get("/api/v1/faucet", "Demo money that is left, by asset", dict[str, r.Decimal],
         instruction="faucetQuery", permission=READ, errors=("NOT_IMPLEMENTED",)),
)  # fmt: skip
AUTH: Final = (
    Route("POST", "/auth/v1/signup", "Sign up", r.SignUpReply, q.SignUpBody, status=201,
          errors=("FORBIDDEN",)),
    Route("POST", "/auth/v1/login", "Begin a session", r.LoginReply, q.LoginBody,
          errors=("UNAUTHORIZED",)),
    Route("POST", "/auth/v1/reset", "Set a new password with a code of the operators", r.Empty,
          q.ResetBody, errors=("FORBIDDEN",)),
    Route("POST", "/auth/v1/logout", "End this session", r.Empty, None, "sessionEnd", READ),
    _get("/auth/v1/sessions", "Sessions", list[r.SessionReply], instruction="sessionQueryAll",
         permission=READ),
    Route("DELETE", "/auth/v1/sessions/{id}", "End a session", r.Empty, None, "sessionEnd", TRADE,
          ("RESOURCE_NOT_FOUND",)),
    Route("POST", "/auth/v1/password", "Change the password", r.Empty, q.PasswordBody,
          "passwordUpdate", WITHDRAW),
    _get("/auth/v1/keys", "API keys", list[r.KeyReply], instruction="keyQueryAll",
         permission=READ),
    Route("POST", "/auth/v1/keys", "Register an API key", r.KeyReply, q.AddKeyBody, "keyAdd",
          READ, status=201),
    Route("DELETE", "/auth/v1/keys/{id}", "End an API key", r.Empty, None, "keyEnd", TRADE,
          ("RESOURCE_NOT_FOUND",)),
)  # fmt: skip
ROUTES: Final = (*MARKET_DATA, *ORDERS, *ACCOUNT, *AUTH)
"""Without the routes that answer [] or 501 because a spot exchange has no such data."""
