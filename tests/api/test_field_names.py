"""Names of fields: misspelled ones are found, and nothing that clients send is one of them."""

import pytest

from fairbook.api import field_names
from fairbook.api.errors import BadRequest

# What ccxt, bpx-py, hummingbot and the Rust client send, in any request.
SENT = [
    "address", "asset", "autoBorrow", "autoBorrowRepay", "autoBorrowSettlements", "autoLend",
    "autoLendRedeem", "autoRepayBorrows", "blockchain", "brokerId", "clientId", "clientOrderId",
    "endTime", "fillType", "from", "interval", "leverageLimit", "limit", "marketType", "offset",
    "orderId", "orderType", "positionId", "postOnly", "price", "quantity", "quoteQuantity",
    "reduceOnly", "selfTradePrevention", "side", "sortDirection", "source", "sources", "startTime",
    "state", "stopLossLimitPrice", "subaccountId", "symbol", "takeProfitLimitPrice", "timeInForce",
    "to", "triggerBy", "triggerPrice", "triggerQuantity", "triggeredBy", "twoFactorToken", "type",
]  # fmt: skip
# Those of them that are ignored, or refused by their beginning.
NOT_READ = {
    "asset", "autoBorrow", "autoBorrowRepay", "autoBorrowSettlements", "autoLend",
    "autoLendRedeem", "autoRepayBorrows", "brokerId", "leverageLimit", "positionId", "source",
    "sources", "state", "stopLossLimitPrice", "subaccountId", "takeProfitLimitPrice", "triggerBy",
    "triggeredBy", "type",
}  # fmt: skip


def test_what_clients_send_is_not_misspelled() -> None:
    field_names.check_spelling(SENT)


@pytest.mark.parametrize("name", [name for name in SENT if name not in NOT_READ])
def test_a_known_name_is_found_in_any_case_and_with_underscores(name: str) -> None:
    snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
    for other in {name.upper(), name.lower(), name.capitalize(), f"_{name}_", snake} - {name}:
        assert field_names.is_known(other)
        with pytest.raises(BadRequest, match=f"Unknown field {other}, the name is {name}"):
            field_names.check_spelling(["symbol", other])


def test_names_of_conditional_orders_are_known_by_their_beginning() -> None:
    for name in ("stopLoss", "stop_loss_price", "TAKEPROFITPRICE"):
        assert field_names.is_known(name)
        field_names.check_spelling([name])
    assert not field_names.is_known("strategyId")
