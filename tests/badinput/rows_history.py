"""Bad history queries (N18, C), withdrawals and faucet requests (N, C, A9) in otherwise valid
requests.
"""

from __future__ import annotations

import json
from urllib.parse import quote

from tests.badinput.rows import BAD_REQUEST, Bytes, Row, request, signed
from tests.badinput.rows_numbers import LONG, NO_DECIMALS

RANGE = (400, "INVALID_RANGE")
NO_MARKET = (400, "INVALID_MARKET", "Unknown market")
NO_ASSET = (400, "INVALID_ASSET", "Unknown asset")
BAD_QUANTITY = (400, BAD_REQUEST, "Invalid quantity")
FORBIDDEN = (403, "FORBIDDEN", "Permission denied")
WITHDRAWALS, FAUCET = "/wapi/v1/capital/withdrawals", "/api/v1/faucet"
NO_TEXTS: tuple[object, ...] = (..., None, ["x"], {"a": "x"}, True)
WITHDRAWAL = {"symbol": "SOL", "quantity": "0.5", "address": "there", "blockchain": "Solana"}

# Paths of lists, and the accounts that request them.
LISTS = {
    "/api/v1/trades?symbol=SOL_USDC": "",
    "/api/v1/trades/history?symbol=SOL_USDC": "",
    "/wapi/v1/history/orders?symbol=SOL_USDC": "rich",
    "/wapi/v1/history/fills?symbol=SOL_USDC": "rich",
    "/wapi/v1/capital/deposits?a=1": "rich",
    "/wapi/v1/capital/withdrawals?a=1": "rich",
}
TIMED = ("/wapi/v1/history/fills", "/wapi/v1/capital/deposits", "/wapi/v1/capital/withdrawals")
KLINES = "/api/v1/klines?"


def _ranges() -> list[Row]:
    rows = []
    for path, who in LISTS.items():
        for text in (
            "0",
            "-1",
            "+1",
            "x",
            "1.5",
            "1e3",
            "1001",
            "9" * 30,
            "%D9%A1",
            "true",
            "1%00",
        ):
            send = request("GET", f"{path}&limit={text}", who=who)
            rows.append(Row("N18", f"{path} limit {text}", send, *RANGE, "Invalid limit"))
        for text in ("-1", "x", "1.5", "100001", "9" * 18, "9" * 4000, "1_0", "%20"):
            send = request("GET", f"{path}&offset={text}", who=who)
            rows.append(Row("N18", f"{path} offset {text}", send, *RANGE, "Invalid offset"))
        send = request("GET", f"{path}&limit=1&limit=2", who=who)
        rows.append(Row("N18", f"{path} limit twice", send, 400, BAD_REQUEST, "given twice"))
    for path in TIMED:
        for name in ("from", "to"):
            for text in ("-1", "x", "1.5", "9" * 19, "2025-01-01"):
                send = request("GET", f"{path}?{name}={text}")
                rows.append(Row("N18", f"{path} {name} {text}", send, *RANGE, f"Invalid {name}"))
        send = request("GET", f"{path}?from=2&to=1")
        rows.append(Row("N18", f"{path} backwards", send, *RANGE, "Invalid from"))
    send = request("GET", f"{TIMED[1]}?endTime=x")
    rows.append(Row("N18", "endTime x", send, *RANGE, "Invalid endTime"))
    return rows


def _candles() -> list[Row]:
    rows = []
    good = {"symbol": "SOL_USDC", "interval": "1m", "startTime": "1700000000"}
    for name, text, status, code, message in (
        ("startTime", "-1", *RANGE, "Invalid startTime"),
        ("startTime", "1700000000000", *RANGE, "Invalid startTime"),
        ("startTime", "9" * 400, *RANGE, "Invalid startTime"),
        ("startTime", "1e9", *RANGE, "Invalid startTime"),
        ("startTime", "", 400, BAD_REQUEST, "startTime"),
        ("endTime", "9" * 18, *RANGE, "Invalid endTime"),
        ("endTime", "now", *RANGE, "Invalid endTime"),
        ("interval", "1M", 400, BAD_REQUEST, "Invalid interval"),
        ("interval", "2m", 400, BAD_REQUEST, "Invalid interval"),
        ("interval", "1m' OR 1=1", 400, BAD_REQUEST, "Invalid interval"),
        ("interval", "", 400, BAD_REQUEST, "interval"),
        ("priceType", "Mark", 501, "NOT_IMPLEMENTED", "klines of other prices"),
        ("symbol", "sol_usdc", *NO_MARKET),
        ("symbol", "SOL_USDC;DROP TABLE trades", *NO_MARKET),
    ):
        fields = "&".join(f"{k}={quote(v)}" for k, v in {**good, name: text}.items())
        row_id = {"symbol": "C4", "interval": "C2", "priceType": "C2"}.get(name, "N18")
        send = request("GET", KLINES + fields, who="")
        rows.append(Row(row_id, f"klines {name} {text[:24]!r}", send, status, code, message))
    return rows


def _names() -> list[Row]:
    rows = []
    for path, who in LISTS.items():
        if "symbol" not in path:
            continue
        for text in ("sol_usdc", "SOL_USDC%00", "%EF%BC%B3OL_USDC", "'%20OR%201=1%20--"):
            where = path.replace("SOL_USDC", text)
            rows.append(Row("C4", where, request("GET", where, who=who), *NO_MARKET))
    for text in ("sol_usdc", "SOL-USDC"):
        where = f"/api/v1/ticker?symbol={text}"
        rows.append(Row("C4", where, request("GET", where, who=""), *NO_MARKET))
    for where in ("/api/v1/ticker?symbol=SOL_USDC&interval=1h", "/api/v1/tickers?interval=x"):
        told = (400, BAD_REQUEST, "Invalid interval")
        rows.append(Row("C2", where, request("GET", where, who=""), *told))
    where = "/api/v1/tickers?interval=1w"
    rows.append(
        Row("C2", where, request("GET", where, who=""), 501, "NOT_IMPLEMENTED", "of a week")
    )
    for path in ("orders", "fills"):
        for text in ("asc", "Asc,Desc", "1", ""):
            where = f"/wapi/v1/history/{path}?sortDirection={text}"
            told = (400, BAD_REQUEST, "sortDirection")
            rows.append(Row("C2", where, request("GET", where), *told))
        for text in ("abc", "-1", "1.5", "1;DROP"):
            where = f"/wapi/v1/history/{path}?orderId={text}"
            rows.append(
                Row("C6", where, request("GET", where), 400, BAD_REQUEST, "Invalid orderId")
            )
    where = "/wapi/v1/history/orders?clientId=x%20y"
    rows.append(Row("N8", where, request("GET", where), 400, BAD_REQUEST, "Invalid clientId"))
    for text in ("", "solana", "Solana%00", "Tron", "' OR 1=1".replace(" ", "%20")):
        where = f"/wapi/v1/capital/deposit/address?blockchain={text}"
        rows.append(Row("C2", where, request("GET", where), 400, BAD_REQUEST, "blockchain"))
    where = f"{WITHDRAWALS}?id=x"
    rows.append(Row("C6", where, request("GET", where), *RANGE, "Invalid id"))
    return rows


def withdrawal(path: str = WITHDRAWALS, *, who: str = "rich", **changes: object) -> Bytes:
    """A withdrawal or faucet request; `...` leaves a field out."""
    fields = {name: value for name, value in {**WITHDRAWAL, **changes}.items() if value is not ...}
    return request("POST", path, json.dumps(fields), who=who)


def _money() -> list[Row]:
    rows = []
    for path in (WITHDRAWALS, FAUCET):
        for row_id, texts in NO_DECIMALS.items():
            for text in texts:
                body = json.dumps(WITHDRAWAL).replace('"0.5"', text)
                send = request("POST", path, body)
                rows.append(Row(row_id, f"{path} {text}", send, *BAD_QUANTITY))
        for name, text in LONG.items():
            rows.append(
                Row("N7", f"{path} {name}", withdrawal(path, quantity=text), *BAD_QUANTITY,
                    times=50, cpu_ms=1.0)
            )  # fmt: skip
        long = (400, BAD_REQUEST, "Quantity decimal too long")
        rows.append(
            Row("N9", f"{path} below an atom", withdrawal(path, quantity="0.0000000001"), *long)
        )
        out = (400, "INVALID_QUANTITY", "Quantity is out of range")
        for text in ("0", "0.000", "9" * 18):
            rows.append(Row("N13", f"{path} {text}", withdrawal(path, quantity=text), *out))
        for name in ("sol", "SOL_USDC", "SOL\0", "' OR 1=1", "A" * 5000):
            rows.append(
                Row("C1", f"{path} {name[:20]!r}", withdrawal(path, symbol=name), *NO_ASSET)
            )
        rows.append(Row("C1", f"{path} 1", withdrawal(path, symbol=1), *NO_ASSET))
        for value in NO_TEXTS:
            told = (400, BAD_REQUEST, "symbol")
            rows.append(Row("C1", f"{path} {value!r}", withdrawal(path, symbol=value), *told))
        rows.append(Row("A9", f"{path} reader", withdrawal(path, who="reader"), *FORBIDDEN))
    more = (400, "INVALID_QUANTITY", "Faucet limit: ")
    rows.append(
        Row("N13", "more than the faucet's cap", withdrawal(FAUCET, quantity="9" * 9), *more)
    )
    rows.append(Row("A9", "withdrawal by a trader", withdrawal(who="trader"), *FORBIDDEN))
    fields = {name: str(value) for name, value in WITHDRAWAL.items()}
    send = signed("POST", WITHDRAWALS, "withdraw", fields, key="trader")
    rows.append(Row("A9", "withdrawal signed by a trader", send, *FORBIDDEN))
    send = signed("POST", WITHDRAWALS, "orderExecute", fields)
    rows.append(
        Row("A4", "withdrawal as an order", send, 401, "INVALID_SIGNATURE", "Invalid signature")
    )
    rows.append(
        Row("N13", "withdrawal beyond the balance", withdrawal(quantity="900000"), 400,
            "INSUFFICIENT_FUNDS", "Insufficient funds", logged=True, times=5)
    )  # fmt: skip
    frozen = withdrawal(who="frozen", symbol="USDC")
    told = (403, "FORBIDDEN", "Account is frozen")
    rows.append(Row("C3", "withdrawal of a frozen account", frozen, *told, logged=True, times=5))
    return rows


def _places() -> list[Row]:
    """Invalid addresses and chains of withdrawals."""
    rows = []
    for value in (*NO_TEXTS, "", "x" * 257, "x\ny", "x\0", "\u202ex", "\x1b[2J"):
        told = (400, BAD_REQUEST, "Missing or malformed field: address")
        rows.append(Row("C2", f"address {str(value)[:24]!r}", withdrawal(address=value), *told))
    for value in (*NO_TEXTS, "", "solana", "Ethereum", 1):
        told = (400, BAD_REQUEST, "blockchain")
        rows.append(Row("C2", f"blockchain {value!r}", withdrawal(blockchain=value), *told))
    for value in ("x" * 101, *NO_TEXTS[2:]):
        told = (400, BAD_REQUEST, "Invalid clientId")
        rows.append(Row("C2", f"client id {str(value)[:24]!r}", withdrawal(clientId=value), *told))
    return rows


HISTORY = [*_ranges(), *_candles(), *_names(), *_money(), *_places()]
