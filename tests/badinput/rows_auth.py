"""Bad credentials, and valid ones where they are not allowed (A)."""

from __future__ import annotations

from base64 import b64encode

from fairbook.gateway.authentication import AHEAD
from tests.badinput.rows import (
    BAD_REQUEST,
    Bytes,
    Known,
    Row,
    order,
    order_json,
    request,
    signed,
)

UNKNOWN_CREDENTIALS = (401, "UNAUTHORIZED", "Unauthorized")
NO_SIGNATURE = (401, "INVALID_SIGNATURE", "Invalid signature")
EXPIRED = (400, BAD_REQUEST, "Request has expired")
FORBIDDEN = (403, "FORBIDDEN", "Permission denied")
NOT_FOUND = (400, "INVALID_ORDER", "Order Not Found (RESOURCE_NOT_FOUND)")
FIELDS = {
    "symbol": "SOL_USDC", "side": "Bid", "orderType": "Limit", "price": "100", "quantity": "0.1",
}  # fmt: skip


def signed_order(
    *, key: str = "rich", at_ms: int = 0, window: str = "5000", **headers: str
) -> Bytes:
    """A signed order; headers replace the right ones, "" leaves one out."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return signed(
        "POST", "/api/v1/order", "orderExecute", FIELDS, key=key, at_ms=at_ms, window=window,
        headers=named,
    )  # fmt: skip


def other_body() -> Bytes:
    """An order with the signature of another order."""
    whole = signed_order()

    def made(known: Known) -> bytes:
        return whole(known).replace(b'"0.1"', b'"9.1"')

    return made


def bearer(text: str) -> Bytes:
    """An order with this as its Authorization."""
    return request("POST", "/api/v1/order", order_json(), who="", headers={"Authorization": text})


def _cancel(order_name: str, by: str) -> Bytes:
    def made(known: Known) -> bytes:
        number = known.order_ids.get(order_name, 999_999_999)
        if by == "DELETE":
            body = f'{{"symbol":"SOL_USDC","orderId":"{number}"}}'
            return request("DELETE", "/api/v1/order", body)(known)
        if by == "PATCH":
            body = f'{{"symbol":"SOL_USDC","orderId":"{number}","price":"1"}}'
            return request("PATCH", "/api/v1/order", body)(known)
        return request("GET", f"/api/v1/order?symbol=SOL_USDC&orderId={number}")(known)

    return made


JWT_NONE = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiIyIn0."
JWT_KID = "eyJhbGciOiJIUzI1NiIsImtpZCI6Ii4uLy4uL2Rldi9udWxsIn0.eyJzdWIiOiIyIn0.AAAA"
KEY_FORMS = {
    "empty": " ", "no base64": "!!!", "31 bytes": b64encode(bytes(31)).decode(), "33 bytes":
    b64encode(bytes(33)).decode(), "zeros": b64encode(bytes(32)).decode(), "10 KB": "A" * 8000,
    "text": "admin", "beyond ASCII": "\xe9" * 44,
}  # fmt: skip

AUTH = [
    Row("A1", "no credentials", order(who=""), *UNKNOWN_CREDENTIALS),
    *(
        Row("A1", f"without {name}", send, *UNKNOWN_CREDENTIALS)
        for name, send in (
            ("key", signed_order(X_API_Key="")),
            ("signature", signed_order(X_Signature="")),
            ("timestamp", signed_order(X_Timestamp="")),
        )
    ),
    *(
        Row("A1", f"key {name}", signed_order(X_API_Key=text), *UNKNOWN_CREDENTIALS)
        for name, text in KEY_FORMS.items()
    ),
    Row("A1", "unknown key", signed_order(key="unknown"), *UNKNOWN_CREDENTIALS),
    *(
        Row("A1", f"signature {name}", signed_order(X_Signature=text), *NO_SIGNATURE)
        for name, text in {
            "63 bytes": b64encode(bytes(63)).decode(), "65 bytes": b64encode(bytes(65)).decode(),
            "zeros": b64encode(bytes(64)).decode(), "no base64": "!!!!", "empty": " ",
            "8 KB": "A" * 8000, "hexadecimal": "0" * 128,
        }.items()
    ),
    Row("A2", "of another order", other_body(), *NO_SIGNATURE),
    Row("A2", "of another instruction",
        signed("POST", "/api/v1/order", "orderCancel", FIELDS), *NO_SIGNATURE),
    Row("A2", "of another window", signed_order(X_Window="5001"), *NO_SIGNATURE),
    Row("A2", "of another key", signed_order(
        key="other", X_API_Key=b64encode(bytes(32)).decode()), *UNKNOWN_CREDENTIALS),
    Row("A2", "of the reader's key on a cancel of all",
        signed("DELETE", "/api/v1/orders", "orderExecute", {"symbol": "SOL_USDC"}, key="reader"),
        *NO_SIGNATURE),
    Row("A3", "5.1 s old", signed_order(at_ms=-5_100), *EXPIRED),
    Row("A3", "6 s ahead", signed_order(at_ms=6_000), *EXPIRED),
    Row("A3", "window 60,001", signed_order(window="60001"), *EXPIRED),
    *(
        Row("A3", f"window {window[:20]!r}", signed_order(window=window), *EXPIRED)
        for window in ("-1", "5e3", "5000.0", "0x10", "9" * 500, "\xb2", "x")
    ),
    *(
        Row("A3", f"timestamp {text[:20]!r}", signed_order(X_Timestamp=text), *EXPIRED)
        for text in ("-1", "0", "x", "1e12", "1614550000000.0", "9" * 15, "9" * 5000, "\xb2", "NaN")
    ),
    Row("A3", "microseconds", signed_order(X_Timestamp="1795316350287000"), *EXPIRED),
    Row("A3", "seconds", signed_order(X_Timestamp="1795316350"), *EXPIRED),
    Row("A4", "2 s ahead in a window of 10, taken once", signed_order(at_ms=2_500, window="10000"),
        400, BAD_REQUEST, AHEAD),
    Row("A5", "6 s old, as after its window", signed_order(at_ms=-6_000), *EXPIRED),
    Row("A7", "another value in the query",
        signed("GET", "/api/v1/orders", "orderQueryAll", {"symbol": "SOL_USDC"},
               query="symbol=ETH_USDC"), *NO_SIGNATURE),
    Row("A7", "one more field in the query",
        signed("GET", "/api/v1/orders", "orderQueryAll", {"symbol": "SOL_USDC"},
               query="symbol=SOL_USDC&x=1"), *NO_SIGNATURE),
    *(
        Row("A9", f"reader {method} {path}", request(method, path, body, who="reader"), *FORBIDDEN)
        for method, path, body in (
            ("POST", "/api/v1/order", order_json()),
            ("POST", "/api/v1/orders", f"[{order_json()}]"),
            ("DELETE", "/api/v1/orders", '{"symbol":"SOL_USDC"}'), ("PATCH", "/api/v1/order", "{}"),
            ("POST", "/wapi/v1/capital/withdrawals", "{}"), ("PATCH", "/api/v1/account", "{}"),
        )
    ),
    Row("A9", "reader's key", signed_order(key="reader"), *FORBIDDEN),
    Row("A9", "trader withdraws",
        request("POST", "/wapi/v1/capital/withdrawals", "{}", who="trader"), *FORBIDDEN),
    Row("A9", "trader reads", request("GET", "/api/v1/capital", who="trader"), *FORBIDDEN),
    Row("A10", "frozen account", order(who="frozen"), 403, "FORBIDDEN", "Account is frozen",
        logged=True),
    *(
        Row("A11", f"{who} token", order(who=who), *UNKNOWN_CREDENTIALS)
        for who in ("expired", "revoked", "unknown")
    ),
    Row("A11", "revoked key", signed_order(key="revoked"), *UNKNOWN_CREDENTIALS),
    *(
        Row("A12", f"Authorization {text[:24]!r}", bearer(text), *UNKNOWN_CREDENTIALS)
        for text in (
            "Bearer", "Bearer x", "Basic eDp5", "Bearer ' OR 1=1 --", "Bearer \xff", "bearer",
            "Bearer " + "A" * 8000, "Digest username=x", "Token x", "Bearer null",
        )
    ),
    *(
        Row("A13", f"{by} of a {name} order", _cancel(name, by), *NOT_FOUND, logged=True)
        for by in ("DELETE", "PATCH") for name in ("foreign", "missing")
    ),
    *(
        Row("A13", f"GET of a {name} order", _cancel(name, "GET"), 404, "RESOURCE_NOT_FOUND",
            "Not Found")
        for name in ("foreign", "missing")
    ),
    *(
        Row("A15", f"{method} {path}", request(method, path, body), 404, "RESOURCE_NOT_FOUND",
            "Not Found")
        for method, path, body in (
            ("GET", "/admin/v1/accounts", ""), ("POST", "/admin/v1/credit", "{}"),
            ("DELETE", "/admin/v1/markets/SOL_USDC", ""), ("GET", "/api/v1/../../admin/v1/x", ""),
        )
    ),
    Row("A17", "alg none", bearer(f"Bearer {JWT_NONE}"), *UNKNOWN_CREDENTIALS),
    Row("A17", "made-up kid", bearer(f"Bearer {JWT_KID}"), *UNKNOWN_CREDENTIALS),
]  # fmt: skip
