"""Fixed answers: empty lists where a spot exchange has no data, 501 for what it does not offer.

Invariant: no path that a public client knows is 404, because ccxt takes a 404 for an outage and
retries it.
"""

from typing import Final

from fairbook.gateway.request import Endpoint, Endpoints, always, not_offered
from fairbook.ports.accounts import READ

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
    "/api/v1/vault/redeems/pending": "vaultPendingRedeemsQuery",
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
    b"GET": (
        "/api/v1/strategy", "/api/v1/borrowLend/position/liquidationPrice", "/api/v1/vault/nav",
        "/wapi/v1/capital/withdrawals/delay", "/auth/v1/sessions", "/auth/v1/keys",
    ),
    b"POST": (
        "/api/v1/borrowLend", "/api/v1/rfq", "/api/v1/rfq/accept", "/api/v1/rfq/cancel",
        "/api/v1/rfq/refresh", "/api/v1/rfq/quote", "/api/v1/strategy", "/api/v1/vault/mint",
        "/api/v1/vault/redeem", "/api/v1/account/convertDust",
        "/wapi/v1/capital/withdrawals/delay", "/wapi/v1/user/2fa",
        "/auth/v1/signup", "/auth/v1/login", "/auth/v1/logout", "/auth/v1/keys",
    ),
    b"DELETE": ("/api/v1/strategy", "/api/v1/strategies", "/api/v1/vault/redeem"),
    b"PATCH": ("/wapi/v1/capital/withdrawals/delay",),
}  # fmt: skip
"""To anyone, signed or not: clients disagree about the instructions of some of these."""
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
    for name in ("checkpoints", "checkpoints/signed", "chain", "proof/status"):
        found[b"GET", f"/api/v1/{name}".encode()] = Endpoint(not_offered(name))
    for method, paths in _NEVER.items():
        for path in paths:
            found[method, path.encode()] = Endpoint(not_offered(path))
    return found


def stub_endpoints_under() -> Endpoints:
    return {(b"DELETE", path.encode()): Endpoint(not_offered(path)) for path in _SIGN_UP_ONE}
