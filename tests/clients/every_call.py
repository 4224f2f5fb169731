"""Call every method of unmodified clients: bpx-py (Account, Public) and backpack-exchange-sdk.

Required arguments are known here by the names of the parameters. Whatever is refused must be
expected to be refused. Runs under the interpreters of the clients.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from typing import Any

Arguments = dict[str, Any]
SYMBOL = "SOL_USDC"
NOW_S = int(time.time())
NOT_OFFERED = "NOT_IMPLEMENTED"
ORDER = {"symbol": SYMBOL, "side": "Bid", "price": "20", "quantity": "0.5"}
COMMON: Arguments = {
    **ORDER, "limit": 10, "offset": 0, "interval": "1h", "address": "an address",
    "blockchain": "Solana", "blockchain_name": "Solana", "asset": "SOL", "borrow": "1",
    "start_time": NOW_S - 86400, "startTime": NOW_S - 86400,
    "rfq_id": "1", "rfqId": "1", "quoteId": "1", "strategyId": "1", "quantityIntervals": "2",
    "bid_price": "1", "ask_price": "2", "bidPrice": "1", "askPrice": "2",
    "twoFactorToken": "1", "withdrawalDelayHours": 1,
    "strategyType": "Scheduled", "duration": 60000, "interval_ms": 1000,
}  # fmt: skip
OF_AN_ASSET = {"symbol": "SOL"}
OF_LOANS = {"interval": "1d"}
CALLED_BY_ID = ("cancel_order", "get_open_order", "get_users_open_orders", "cancel_open_order")
OWN: dict[str, Arguments] = {
    "withdrawal": OF_AN_ASSET, "request_withdrawal": OF_AN_ASSET,
    "get_max_borrow_quantity": OF_AN_ASSET, "get_max_withdrawal_quantity": OF_AN_ASSET,
    "get_borrow_lend_market_history": OF_LOANS,
    "update_account": {"auto_lend": False, "autoLend": False},
}  # fmt: skip
"""Arguments of single methods."""
NO_DATA = {
    "execute_borrow_lend", "submit_quote", "submit_rfq", "accept_quote", "cancel_rfq",
    "refresh_rfq", "convert_dust", "get_strategy", "create_strategy", "cancel_strategy",
    "cancel_all_strategies", "get_estimated_liquidation_price", "get_withdrawal_delay",
    "create_withdrawal_delay", "update_withdrawal_delay",
}  # fmt: skip
"""Methods that a spot exchange refuses: 501."""


def call_every(
    clients: list[Any], order: Arguments, call: Callable[[Callable[..., Any], Arguments], Any]
) -> None:
    """order: arguments of the client's own `execute_order`. call: returns data, or a code."""
    place = next(client.execute_order for client in clients if hasattr(client, "execute_order"))
    wrong: list[str] = []
    called = 0
    for client in clients:
        for name, method in inspect.getmembers(client, inspect.ismethod):
            if name.startswith("_") or name.endswith("_url"):
                continue
            own = OWN.get(name, {})
            if name == "execute_order":
                own = order
            elif name in CALLED_BY_ID:
                order_id = place(**order)["id"]
                own = {"order_id": order_id, "orderId": order_id}
            elif name == "execute_batch_orders":
                own = {"orders": [{**ORDER, "orderType": "Limit"}] * 2}
            known = COMMON | own
            names = inspect.signature(method).parameters
            required = {
                each.name for each in names.values() if each.default is inspect.Parameter.empty
            }
            given = {each: known[each] for each in names if each in required or each in own}
            answer = call(method, given)
            called += 1
            expected = NOT_OFFERED if name in NO_DATA else None
            code = answer if isinstance(answer, str) and answer.isupper() else None
            if code != expected:
                wrong.append(f"{name}({given}): {answer!r}")
    assert not wrong, "\n".join(wrong)
    print(f"       {called} calls", flush=True)
    assert called > 40, called
