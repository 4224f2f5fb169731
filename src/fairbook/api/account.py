"""Accounts as JSON objects: balances, settings, deposits and withdrawals."""

from hashlib import blake2b
from typing import Any, Final

from fairbook.api.numbers import Scale
from fairbook.api.times import utc_text
from fairbook.ports.accounts import Withdrawal
from fairbook.ports.history import TransferRow

_BASIS_POINTS: Final = Scale("Fee", step=1, decimals=2)  # of ppm
_NO_CHAIN_OR_BANK: Final = dict.fromkeys(
    (
        "toAddress", "fromAddress", "fiatAmount", "fiatCurrency", "institutionBic", "platformMemo",
    )
)  # fmt: skip


def balance_object(scale: Scale, *, available: int, locked: int) -> dict[str, str]:
    return {"available": scale.text(available), "locked": scale.text(locked), "staked": "0"}


def basis_points(fee_ppm: int) -> str:
    return _BASIS_POINTS.text(fee_ppm)


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
    return {"symbol": symbol, "side": side, "maxOrderQuantity": quantity, "price": price}


def withdrawal_limit_object(symbol: str, quantity: str) -> dict[str, str]:
    return {"symbol": symbol, "maxWithdrawalQuantity": quantity}


def borrow_limit_object(symbol: str) -> dict[str, str]:
    """The largest loan: there are none."""
    return {"symbol": symbol, "maxBorrowQuantity": "0"}


def faucet_object(symbol: str, *, quantity: str, left: str) -> dict[str, str]:
    """left: what it may still credit."""
    return {"symbol": symbol, "quantity": quantity, "left": left}


def deposit_object(symbol: str, scale: Scale, credit: TransferRow) -> dict[str, Any]:
    return {
        "id": credit.transfer_id,
        "symbol": symbol,
        "quantity": scale.text(credit.atoms),
        "status": "confirmed",
        "source": "administrator",
        "createdAt": utc_text(credit.time_ns, decimals=3),
        "transactionHash": simulated_hash(credit.reference),
        **_NO_CHAIN_OR_BANK,
    }


def simulated_hash(reference: bytes) -> str:
    """A made-up hash of a transaction. Clients need one, and tell deposits apart by it."""
    return f"simulated-{blake2b(reference, digest_size=32).hexdigest()}"


def withdrawal_object(
    symbol: str, scale: Scale, withdrawal: Withdrawal, *, status: str, time_ns: int
) -> dict[str, Any]:
    """A withdrawal whose money was held at `time_ns`. A negative id: not requested here."""
    return {
        "id": withdrawal.withdrawal_id,
        "symbol": symbol,
        "quantity": scale.text(withdrawal.atoms),
        "fee": "0",
        "status": status,
        "blockchain": withdrawal.blockchain,
        "toAddress": withdrawal.address,
        "transactionHash": (
            simulated_hash(withdrawal.reference) if status == "confirmed" else None
        ),
        "clientId": withdrawal.client_id,
        "identifier": None,
        "createdAt": utc_text(time_ns, decimals=3),
        "isInternal": withdrawal.withdrawal_id < 0,
        "subaccountId": None,
        "triggerAt": None,
    }
