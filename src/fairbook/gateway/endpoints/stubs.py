"""Fixed answers: empty lists where a spot exchange has no data, 501 for what it does not offer.

Invariant: no path that a public client knows is 404, because ccxt takes a 404 for an outage and
retries it.
"""

from typing import Final

from fairbook.gateway.request import Endpoint, Endpoints, Reads, always, not_offered
from fairbook.ports.accounts import READ, TRADE

_EMPTY: Final = always(b"[]")
_COLLATERAL: Final = always(
    b'{"assetsValue":"0","borrowLiability":"0","collateral":[],"imf":"0","liabilitiesValue":"0",'
    b'"marginFraction":null,"mmf":"0","netEquity":"0","netEquityAvailable":"0","netEquityLocked":"0",'
    b'"netExposureFutures":"0","pnlUnrealized":"0","unsettledEquity":"0"}'
)
_APY: Final = always(b'{"borrowLend":[],"staking":[]}')

_PUBLIC_EMPTY: Final = (
    "securities", "collateral", "borrowLend/markets", "borrowLend/markets/history",
    "markPrices", "openInterest", "fundingRates", "wallets", "prediction", "prediction/tags",
    "market-sessions", "market-holidays", "stockSessions", "stockHolidays", "stockIndicativeQuote",
    "vaults", "vaults/history",
)  # fmt: skip
_PRIVATE_EMPTY: Final = {
    "/api/v1/position": "positionQuery",
    "/api/v1/borrowLend/positions": "borrowLendPositionQuery",
    "/api/v1/rfqs": "rfqQuery",
    "/api/v1/strategies": "strategyQueryAll",
    "/wapi/v1/history/funding": "fundingHistoryQueryAll",
    "/wapi/v1/history/interest": "interestHistoryQueryAll",
    "/wapi/v1/history/borrowLend": "borrowHistoryQueryAll",
    "/wapi/v1/history/borrowLend/positions": "borrowPositionHistoryQueryAll",
    "/wapi/v1/history/dust": "dustHistoryQueryAll",
    "/wapi/v1/history/settlement": "settlementHistoryQueryAll",
    "/wapi/v1/history/pnl": "pnlHistoryQueryAll",
    "/wapi/v1/history/strategies": "strategyHistoryQueryAll",
    "/wapi/v1/history/rfq": "rfqHistoryQueryAll",
    "/wapi/v1/history/rfq/fill": "rfqFillHistoryQueryAll",
    "/wapi/v1/history/quote": "quoteHistoryQueryAll",
    "/wapi/v1/history/quote/fill": "quoteFillHistoryQueryAll",
    "/wapi/v1/history/position": "positionHistoryQueryAll",
    "/wapi/v1/history/vault/mint": "vaultMintHistoryQueryAll",
    "/wapi/v1/history/vault/redeem": "vaultRedeemHistoryQueryAll",
}
_NEVER: Final = {
    (b"POST", "/api/v1/borrowLend"): "borrowLendExecute",
    (b"POST", "/api/v1/rfq"): "rfqSubmit",
    (b"POST", "/api/v1/rfq/accept"): "quoteAccept",
    (b"POST", "/api/v1/rfq/cancel"): "rfqCancel",
    (b"POST", "/api/v1/rfq/refresh"): "rfqRefresh",
    (b"POST", "/api/v1/rfq/quote"): "quoteSubmit",
    (b"GET", "/api/v1/strategy"): "strategyQuery",
    (b"POST", "/api/v1/strategy"): "strategyCreate",
    (b"DELETE", "/api/v1/strategy"): "strategyCancel",
    (b"DELETE", "/api/v1/strategies"): "strategyCancelAll",
    (b"POST", "/api/v1/vault/mint"): "vaultMint",
    (b"POST", "/api/v1/vault/redeem"): "vaultRedeem",
    (b"POST", "/api/v1/account/convertDust"): "convertDust",
    (b"GET", "/api/v1/borrowLend/position/liquidationPrice"): "borrowLendPositionQuery",
    (b"GET", "/wapi/v1/capital/withdrawals/delay"): "withdrawalDelayQuery",
    (b"POST", "/wapi/v1/capital/withdrawals/delay"): "withdrawalDelayCreate",
    (b"PATCH", "/wapi/v1/capital/withdrawals/delay"): "withdrawalDelayUpdate",
}
_SIGN_UP: Final = (
    (b"POST", "/auth/v1/signup"),
    (b"POST", "/auth/v1/login"),
    (b"POST", "/auth/v1/logout"),
    (b"GET", "/auth/v1/sessions"),
    (b"GET", "/auth/v1/keys"),
    (b"POST", "/auth/v1/keys"),
)
_SIGN_UP_ONE: Final = ("/auth/v1/keys/", "/auth/v1/sessions/")  # followed by an id


def stub_endpoints() -> Endpoints:
    found: Endpoints = {(b"GET", b"/api/v1/capital/collateral"): Endpoint(
        _COLLATERAL, "collateralQuery", READ
    )}  # fmt: skip
    found[b"GET", b"/api/v1/borrowLend/apy"] = Endpoint(_APY)
    for name in _PUBLIC_EMPTY:
        found[b"GET", f"/api/v1/{name}".encode()] = Endpoint(_EMPTY)
    for path, instruction in _PRIVATE_EMPTY.items():
        found[b"GET", path.encode()] = Endpoint(_EMPTY, instruction, READ)
    found[b"GET", b"/api/v1/checkpoints"] = Endpoint(not_offered("checkpoints"))
    for (method, path), instruction in _NEVER.items():
        permission = READ if method == b"GET" else TRADE
        reads: Reads = "query" if method == b"GET" else "body or query"
        found[method, path.encode()] = Endpoint(not_offered(path), instruction, permission, reads)
    for method, path in _SIGN_UP:
        found[method, path.encode()] = Endpoint(not_offered(path))
    return found


def stub_endpoints_under() -> Endpoints:
    return {(b"DELETE", path.encode()): Endpoint(not_offered(path)) for path in _SIGN_UP_ONE}
