"""Bad numbers (N) and bad strings (C) in otherwise valid requests."""

from __future__ import annotations

import json

from tests.badinput.rows import BAD_REQUEST, Row, order, request, written

BAD_PRICE = (400, BAD_REQUEST, "Invalid price")
BAD_QUANTITY = (400, BAD_REQUEST, "Invalid quantity")
PRICE_LONG = (400, BAD_REQUEST, "Price decimal too long")
QUANTITY_LONG = (400, BAD_REQUEST, "Quantity decimal too long")
PRICE_OUT = (400, "INVALID_PRICE", "Price is too ")
QUANTITY_OUT = (400, "INVALID_QUANTITY", "Quantity is too ")
NO_MARKET = (400, "INVALID_MARKET", "Unknown market")
NOT_FOUND = (400, "INVALID_ORDER", "Order Not Found (RESOURCE_NOT_FOUND)")

# Refused as a price and as a quantity, in JSON exactly so.
NO_DECIMALS: dict[str, tuple[str, ...]] = {
    "N1": ('"-1"', "-1", '"-0.01"', '"--1"'),
    "N2": ('"+1"', '"-0"', "-0", '"-0.0"'),
    "N3": ('"NaN"', '"Infinity"', '"-Infinity"', '"inf"', '"nan"'),
    "N4": ('"1e2"', '"1E2"', "1e2", "1E-2", '"1e400"', "1e400", "1e-400"),
    "N5": ("true", "false", '["1"]', '{"value":"1"}', "null", '""'),
    "N6": (
        '" 1"', '"1 "', '"1_000"', '"1,5"', '"1,000.5"', '"0x10"', '".5"', '"5."', '"."', '"1.2.3"',
        '"\\u0661"', '"\\uff11"', '"1\\u0000"', '"1\\n"', '"\\u00b2"', '"one"', '"1/2"', '"$1"',
    ),
    "N13": (f'"{2**63}"', f'"{2**64}"', f'"{2**128}"', str(2**63), str(2**64), str(2**128)),
}  # fmt: skip
LONG = {
    "5,000 digits": "7" * 5000,
    "5,000 zeros before": "0" * 5000 + "1",
    "41 characters": "1" * 41,
    "5,000 decimals": "1." + "0" * 4999 + "1",
    "5,000 zeros behind": "1." + "0" * 5000,
    "19 and 19 digits": "1" * 19 + "." + "0" * 19,
}


def _numbers() -> list[Row]:
    rows = []
    for row_id, texts in NO_DECIMALS.items():
        for text in texts:
            rows.append(Row(row_id, f"price {text}", written(price=text), *BAD_PRICE))
            rows.append(Row(row_id, f"quantity {text}", written(quantity=text), *BAD_QUANTITY))
    for name in ("NaN", "Infinity", "-Infinity"):
        told = (400, BAD_REQUEST, "Not a JSON value")
        rows.append(Row("N3", f"price {name}", written(price=name), *told))
        rows.append(Row("N3", f"quantity {name}", written(quantity=name), *told))
    for name, text in LONG.items():
        for quoted in (f'"{text}"', text.lstrip("0") or text):
            kind = "text" if quoted.startswith('"') else "number"
            for field, send, refusal in (
                ("price", written(price=quoted), BAD_PRICE),
                ("quantity", written(quantity=quoted), BAD_QUANTITY),
            ):
                if quoted == "1":
                    continue  # The zeros before it are no JSON number.
                rows.append(
                    Row("N7", f"{field} {name}, {kind}", send, *refusal, times=50, cpu_ms=1.0)
                )
    rows += [
        Row("N7", "clientId 5,000 digits", order(clientId="1" * 5000), 400, BAD_REQUEST,
            "Invalid clientId", times=50, cpu_ms=1.0),
        Row("N7", "price leading zeros as a number", written(price="00001"), 400, BAD_REQUEST,
            "Body is not valid JSON"),
    ]  # fmt: skip
    return rows


NUMBERS = [
    *_numbers(),
    Row("N2", "price 0", order(price="0"), *PRICE_OUT, logged=True),
    Row("N2", "quantity 0", order(quantity="0"), *QUANTITY_OUT, logged=True),
    Row("N2", "quantity 0.00", order(quantity="0.00"), *QUANTITY_OUT, logged=True),
    Row("N8", "clientId -1", order(clientId=-1), 400, BAD_REQUEST, "Invalid clientId"),
    Row("N8", "clientId 2^32", order(clientId=2**32), 400, BAD_REQUEST, "Invalid clientId"),
    Row("N8", "clientId 1.0", order(clientId=1.0), 400, BAD_REQUEST, "Invalid clientId"),
    Row("N8", "clientId true", order(clientId=True), 400, BAD_REQUEST, "Invalid clientId"),
    *(
        Row("N8", f"clientId text {text!r}"[:40], order(clientId=text), 400, BAD_REQUEST,
            "Invalid clientId")
        for text in ("x y", "x" * 37, "x+y", "x\n", "x%20y", "\u00e9", "x\0", "(x)")
    ),
    Row("N8", "clientOrderId 2^32", order(clientOrderId=2**32), 400, BAD_REQUEST,
        "Invalid clientOrderId"),
    Row("N8", "clientOrderId text", order(clientOrderId="x y"), 400, BAD_REQUEST,
        "Invalid clientOrderId"),
    Row("N8", "clientId digits that are not ASCII", order(clientId="\u0661"), 400, BAD_REQUEST,
        "Invalid clientId"),
    Row("N9", "price between ticks", order(price="100.001"), *PRICE_LONG),
    Row("N9", "price, last of 18 decimals", order(price="100.000000000000000001"), *PRICE_LONG),
    Row("N9", "price number", written(price="100.001"), *PRICE_LONG),
    Row("N9", "quantity between lots", order(quantity="0.101"), *QUANTITY_LONG),
    Row("N9", "quantity number", written(quantity="0.1000000001"), *QUANTITY_LONG),
    Row("N9", "less than a lot", order(quantity="0.009"), *QUANTITY_LONG),
    Row("N10", "nearly a lot", order(quantity="0.009999999999999999"), *QUANTITY_LONG),
    Row("N13", "price 10^18-1", order(price="9" * 18), *PRICE_OUT, logged=True),
    Row("N13", "quantity 10^18-1", order(price="1", quantity="9" * 18), *QUANTITY_OUT, logged=True),
    Row("N14", "quoteQuantity -1",
        order(orderType="Market", price=..., quantity=..., quoteQuantity="-1"), *BAD_QUANTITY),
    Row("N14", "quoteQuantity 1e3",
        order(orderType="Market", price=..., quantity=..., quoteQuantity="1e3"), *BAD_QUANTITY),
    Row("N14", "quoteQuantity below an atom",
        order(orderType="Market", price=..., quantity=..., quoteQuantity="0.0000001"),
        *QUANTITY_LONG),
    Row("N14", "quoteQuantity 0",
        order(orderType="Market", price=..., quantity=..., quoteQuantity="0"), *QUANTITY_OUT,
        logged=True),
    Row("N14", "quoteQuantity and quantity",
        order(orderType="Market", price=..., quoteQuantity="1"), 400, BAD_REQUEST, "only one of"),
    Row("N14", "neither", order(orderType="Market", price=..., quantity=...), 400, BAD_REQUEST,
        "Market orders must specify a quantity or quoteQuantity"),
    Row("N14", "market order with a price", order(orderType="Market"), 400, BAD_REQUEST,
        "Market orders have no price"),
    Row("N14", "limit order with a quoteQuantity", order(quoteQuantity="1"), 400, BAD_REQUEST,
        "quoteQuantity is for market orders"),
    *(
        Row("N18", f"depth limit {limit!r}",
            request("GET", f"/api/v1/depth?symbol=SOL_USDC&limit={limit}", who=""),
            400, "INVALID_RANGE", "Invalid limit")
        for limit in ("0", "-1", "x", "1.5", "1e3", "9" * 30, "%D9%A1", "true")
    ),
]  # fmt: skip

SYMBOLS = {
    "lower case": "sol_usdc", "dash": "SOL-USDC", "slash": "SOL/USDC", "NUL": "SOL_USDC\0",
    "space before": " SOL_USDC", "space behind": "SOL_USDC ", "newline": "SOL_USDC\n",
    "full width": "\uff33\uff2f\uff2c_USDC", "Kelvin": "\u212a_USDC", "__proto__": "__proto__",
    "constructor": "constructor", "10 KB": "A" * 10_240, "empty": "", "one half": "SOL",
    "underscores": "SOL__USDC", "only an underscore": "_", "wildcard": "*", "SQL": "' OR 1=1 --",
    "stream": "depth@SOL_USDC*", "path": "../../etc/passwd", "markup": "<script>", "perp":
    "SOL_USDC_PERP", "right to left": "\u202eCDSU_LOS", "asset id": "1", "emoji": "\U0001f600",
}  # fmt: skip


def _symbols() -> list[Row]:
    rows = [
        Row("C1", f"order, {name}", order(symbol=symbol), *NO_MARKET)
        for name, symbol in SYMBOLS.items()
    ]
    for name, value in (("number", 1), ("list", ["SOL_USDC"]), ("object", {}), ("true", True)):
        rows.append(Row("C1", f"order, {name}", order(symbol=value), *NO_MARKET))
    missing = (400, BAD_REQUEST, "Missing or malformed field: symbol")
    rows.append(Row("C1", "order without", order(symbol=...), *missing))
    rows.append(Row("C1", "order with null", order(symbol=None), *missing))
    for method, path in (
        ("DELETE", "/api/v1/order"),
        ("PATCH", "/api/v1/order"),
        ("DELETE", "/api/v1/orders"),
    ):
        body = '{"symbol":"sol_usdc","orderId":"1","price":"1"}'
        rows.append(Row("C1", f"{method} {path}", request(method, path, body), *NO_MARKET))
    for text in ("sol_usdc", "SOL_USDC%00", "%EF%BC%B3OL_USDC", "SOL_USDC%0A", "depth@SOL_USDC*"):
        row_id = "C5" if "@" in text else "C4"
        for path in ("depth", "market"):
            where = f"/api/v1/{path}?symbol={text}"
            rows.append(Row(row_id, where, request("GET", where, who=""), *NO_MARKET))
        where = f"/api/v1/orders?symbol={text}"
        rows.append(Row(row_id, where, request("GET", where), *NO_MARKET))
    where = "/api/v1/markets/sol_usdc"
    rows.append(Row("C4", where, request("GET", where, who=""), *NO_MARKET))
    return rows


RULES = {
    "side": "one of Bid, Ask",
    "orderType": "one of Limit, Market",
    "timeInForce": "one of GTC, IOC, FOK",
    "selfTradePrevention": "one of RejectTaker, RejectMaker, RejectBoth",
    "postOnly": "true or false",
}


def _enumerations() -> list[Row]:
    rows = []
    choices: dict[str, tuple[object, ...]] = {
        "side": ("bid", "BID", "Buy", "", None, 0, True, ["Bid"], "Bid\0", "B\u0130d"),
        "orderType": ("limit", "LIMIT", "StopLimit", "", None, 1, {}),
        "timeInForce": ("gtc", "GTD", "", 0, False, ["GTC"]),
        "selfTradePrevention": ("Allow", "rejecttaker", "", 0, [], "EXPIRE_TAKER"),
        "postOnly": ("true", "True", 1, 0, "", []),
    }
    for name, values in choices.items():
        for value in values:
            told = (400, BAD_REQUEST, f"Invalid {name}, must be {RULES[name]}")
            rows.append(Row("C2", f"{name} {value!r}", order({name: value}), *told))
    for tif in ("IOC", "FOK"):
        send = order(postOnly=True, timeInForce=tif)
        rows.append(Row("C2", f"post-only {tif}", send, 400, BAD_REQUEST, "GTC only"))
    for name in ("triggerPrice", "stopLossTriggerPrice", "takeProfitLimitPrice"):
        send = order({name: "1"})
        told = (501, "NOT_IMPLEMENTED", f"Not offered: {name} (conditional orders)")
        rows.append(Row("C2", name, send, *told))
    send = order(reduceOnly=True)
    rows.append(Row("C2", "reduceOnly", send, 501, "NOT_IMPLEMENTED", "Not offered: reduceOnly"))
    for name in ("stopPrice", "slippageTolerance", "expireTime", "displayQuantity"):
        told = (400, BAD_REQUEST, f"Not offered: {name}")
        rows.append(Row("C2", name, order({name: "1"}), *told))
    for sent, known in (
        ("post_only", "postOnly"), ("timeinforce", "timeInForce"), ("client_id", "clientId"),
        ("clientID", "clientId"), ("_" * 9000 + "price", "price"),
    ):  # fmt: skip
        told = (400, BAD_REQUEST, f"the name is {known}")
        rows.append(Row("C2", f"spelled {sent[-15:]}", order({sent: "1"}), *told))
    return rows


def _named(**fields: object) -> str:
    return json.dumps({"symbol": "SOL_USDC", **fields})


def _order_ids() -> list[Row]:
    """Invalid order ids."""
    rows = []
    bad = (400, BAD_REQUEST, "Invalid orderId")
    for value in ("abc", "-1", "1.5", 1.5, True, "0x1", " 1", "1\0", "\u0661", [1], "1;DROP"):
        send = request("DELETE", "/api/v1/order", _named(orderId=value))
        rows.append(Row("C6", f"cancel {value!r}", send, *bad))
    for value in (str(2**63), str(2**64), "9" * 5000):
        send = request("DELETE", "/api/v1/order", _named(orderId=value))
        rows.append(Row("C6", f"cancel {value[:24]}", send, *NOT_FOUND))
    for name, fields in {"neither id": {}, "both ids": {"orderId": "1", "clientId": 1}}.items():
        send = request("DELETE", "/api/v1/order", _named(**fields))
        told = (400, BAD_REQUEST, "Must specify either clientId or orderId")
        rows.append(Row("C6", f"cancel, {name}", send, *told))
    for name, value in (("orderId", "1"), ("clientId", 1), ("clientOrderId", "1"), ("side", "Bid")):
        send = request("DELETE", "/api/v1/orders", _named(**{name: value}))
        rows.append(Row("C6", f"cancel all with {name}", send, 400, BAD_REQUEST, f": {name}"))
    send = request("DELETE", "/api/v1/order", _named(clientId=1, clientOrderId="2"))
    rows.append(Row("C6", "cancel, two client ids", send, 400, BAD_REQUEST, "differ"))
    return rows


def _amendments() -> list[Row]:
    rows = []
    for name, value, refusal in (
        ("price", "0", PRICE_OUT),
        ("quantity", "0", QUANTITY_OUT),
        ("price", "-1", BAD_PRICE),
        ("quantity", "1e1", BAD_QUANTITY),
        ("price", "1.001", PRICE_LONG),
    ):
        send = request("PATCH", "/api/v1/order", _named(orderId="1", **{name: value}))
        rows.append(Row("N16", f"amend {name} {value}", send, *refusal))
    for name, term in (("postOnly", "true"), ("timeInForce", "IOC"), ("price_", "1")):
        send = request("PATCH", "/api/v1/order", _named(orderId="1", price="1", **{name: term}))
        rows.append(Row("N16", f"amend {name}", send, 400, BAD_REQUEST, name))
    send = request("PATCH", "/api/v1/order", _named(orderId="1"))
    rows.append(Row("N16", "amend nothing", send, 400, BAD_REQUEST, "a new price or quantity"))
    return rows


KINDS: dict[str, dict[str, object]] = {
    "limit": {},
    "post-only": {"postOnly": True},
    "market": {"orderType": "Market", "price": ...},
}
CLOSED = (400, "INVALID_ORDER", "Market does not take this order now")
STRINGS = [
    *_symbols(),
    *_enumerations(),
    *_order_ids(),
    *_amendments(),
    *(
        Row("C3", f"{symbol} {kind}", order(fields, symbol=symbol), *CLOSED, logged=True)
        for symbol in ("ETH_USDC", "BTC_USDC")
        for kind, fields in KINDS.items()
    ),
]
