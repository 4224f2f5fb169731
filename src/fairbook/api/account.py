"""Accounts as JSON objects: balances, settings, deposits and withdrawals."""

from __future__ import annotations

from typing import Any, Final

from fairbook.api.numbers import Scale
from fairbook.api.times import utc_text

_BASIS_POINTS: Final = Scale("Fee", step=1, decimals=2)  # of ppm
_NO_CHAIN_OR_BANK: Final = dict.fromkeys(
    (
        "toAddress", "fromAddress", "transactionHash", "fiatAmount", "fiatCurrency",
        "institutionBic", "platformMemo",
    )
)  # fmt: skip


def balance_object(scale: Scale, *, available: int, locked: int) -> dict[str, str]:
    """The balance of one asset, given in atoms."""
    return {"available": scale.text(available), "locked": scale.text(locked), "staked": "0"}


def account_object(*, open_orders: int, maker_fee_ppm: int, taker_fee_ppm: int) -> dict[str, Any]:
    """The settings of an account. Fees are shown in basis points."""
    return {
        "autoBorrowSettlements": False,
        "autoLend": False,
        "autoRealizePnl": False,
        "autoRepayBorrows": False,
        "borrowLimit": "0",
        "futuresMakerFee": "0",
        "futuresTakerFee": "0",
        "leverageLimit": "1",
        "limitOrders": open_orders,
        "liquidating": False,
        "positionLimit": "0",
        "spotMakerFee": _BASIS_POINTS.text(maker_fee_ppm),
        "spotTakerFee": _BASIS_POINTS.text(taker_fee_ppm),
        "triggerOrders": 0,
    }


def order_limit_object(symbol: str, *, side: str, quantity: str, price: str | None) -> Any:
    """The largest order that the balance allows."""
    return {"symbol": symbol, "side": side, "maxOrderQuantity": quantity, "price": price}


def withdrawal_limit_object(symbol: str, quantity: str) -> dict[str, str]:
    """The largest withdrawal."""
    return {"symbol": symbol, "maxWithdrawalQuantity": quantity}


def borrow_limit_object(symbol: str) -> dict[str, str]:
    """The largest loan: there are none."""
    return {"symbol": symbol, "maxBorrowQuantity": "0"}


def faucet_object(symbol: str, *, quantity: str, left: str) -> dict[str, str]:
    """What the faucet has credited, and may still credit."""
    return {"symbol": symbol, "quantity": quantity, "left": left}


def deposit_object(symbol: str, *, deposit_id: int, quantity: str, time_ns: int) -> dict[str, Any]:
    """A credit."""
    return {
        "id": deposit_id,
        "symbol": symbol,
        "quantity": quantity,
        "status": "confirmed",
        "source": "administrator",
        "createdAt": utc_text(time_ns, decimals=3),
        **_NO_CHAIN_OR_BANK,
    }


def withdrawal_object(
    symbol: str, *, withdrawal_id: int, quantity: str, blockchain: str, address: str,
    client_id: str | None, time_ns: int, is_internal: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """A debit. is_internal: made by an operator, not requested by the account."""
    return {
        "id": withdrawal_id,
        "symbol": symbol,
        "quantity": quantity,
        "fee": "0",
        "status": "confirmed",
        "blockchain": blockchain,
        "toAddress": address,
        "transactionHash": None,
        "clientId": client_id,
        "identifier": None,
        "createdAt": utc_text(time_ns, decimals=3),
        "isInternal": is_internal,
        "subaccountId": None,
        "triggerAt": None,
    }
