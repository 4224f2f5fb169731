"""Every path that ccxt's unmodified class `backpack` knows is answered: none is 404 or 405, which
ccxt takes for an outage.
"""

from __future__ import annotations

import re
from typing import Any

import ccxt  # type: ignore[import-not-found,unused-ignore]

from tests.clients.ccxt_client import MARKET, Venue, clean, client, far_below
from tests.clients.scenario import run

Answer = tuple[str, Any]
OTHERWISE: dict[str, dict[str, Any]] = {
    "api/v1/account/limits/borrow": {"symbol": "SOL"},
    "api/v1/account/limits/withdrawal": {"symbol": "SOL"},
    "api/v1/account/limits/order": {"symbol": MARKET, "side": "Bid"},
    "api/v1/klines": {"symbol": MARKET, "interval": "1h", "startTime": 1},
    "wapi/v1/capital/deposit/address": {"blockchain": "Solana"},
}
UNSIGNED = ("wapi/v1/history/position", "api/v1/strategies")
"""ccxt knows no instruction for them, so what it signs is refused as it should be."""


def ask(ex: Any, access: str, method: str, path: str, order_id: str) -> Answer:
    """("ok", data), or the name of ccxt's error and its text."""
    given = OTHERWISE.get(path, {"symbol": MARKET})
    if method == "get" and path.endswith("v1/order"):
        given = {**given, "orderId": order_id}
    try:
        words = "".join(word[0].upper() + word[1:] for word in re.split("[/-]", path))
        return "ok", getattr(ex, f"{access}{method.capitalize()}{words}")(given)
    except ccxt.BaseError as error:
        return type(error).__name__, str(error)


def test_every_path(venue: Venue) -> None:
    ex = client(venue)
    order_id = ex.create_order("SOL/USDC", "limit", "buy", 1, far_below(venue))["id"]
    asked: dict[str, Answer] = {}
    known = ex.describe()["api"]
    for access, by_method in ((each, known[each]) for each in ("public", "private")):
        for method, paths in by_method.items():
            for path in paths:
                asked[f"{method} {path}"] = ask(ex, access, method, path, order_id)
    missing = [line for line, (_, text) in asked.items() if "Not Found" in str(text)]
    missing += [line for line, (_, text) in asked.items() if "Not Allowed" in str(text)]
    assert not missing, missing
    reads = {line: answer for line, answer in asked.items() if line.startswith("get ")}
    refused = {line: answer for line, answer in reads.items() if answer[0] != "ok"}
    for line, (error, text) in refused.items():
        wanted = "AuthenticationError" if line.endswith(UNSIGNED) else "OperationFailed"
        assert error == wanted, (line, error, text)
    print(f"       {len(asked)} paths, of {len(reads)} reads {len(refused)} refused", flush=True)
    assert len(asked) > 50 and len(refused) <= 4, refused


run({"paths": [test_every_path]}, clean=clean)
