"""Names of streams: exactly the documented ones."""

import pytest

from fairbook.api import stream_names
from fairbook.api.stream_names import StreamName, parse_stream_name


@pytest.mark.parametrize(
    ("name", "stream"),
    [
        ("depth.SOL_USDC", StreamName(stream_names.DEPTH, "SOL_USDC")),
        ("depth.200ms.SOL_USDC", StreamName(stream_names.DEPTH, "SOL_USDC", every_ms=200)),
        ("depth.600ms.SOL_USDC", StreamName(stream_names.DEPTH, "SOL_USDC", every_ms=600)),
        ("depth.1000ms.SOL_USDC", StreamName(stream_names.DEPTH, "SOL_USDC", every_ms=1000)),
        ("bookTicker.SOL_USDC", StreamName(stream_names.BOOK_TICKER, "SOL_USDC")),
        ("trade.SOL_USDC", StreamName(stream_names.TRADE, "SOL_USDC")),
        ("ticker.SOL_USDC", StreamName(stream_names.TICKER, "SOL_USDC")),
        ("kline.1m.SOL_USDC", StreamName(stream_names.KLINE, "SOL_USDC", interval="1m")),
        ("kline.1month.A", StreamName(stream_names.KLINE, "A", interval="1month")),
        ("trade.A_B_C_", StreamName(stream_names.TRADE, "A_B_C_")),
        (
            "depth.200ms",
            StreamName(stream_names.DEPTH, "200ms"),
        ),  # a symbol, though none is like it
        ("account.orderUpdate", StreamName(stream_names.ORDER_UPDATE, is_private=True)),
        (
            "account.orderUpdate.SOL_USDC",
            StreamName(stream_names.ORDER_UPDATE, "SOL_USDC", is_private=True),
        ),
        ("account.balanceUpdate", StreamName(stream_names.BALANCE_UPDATE, is_private=True)),
        ("account.rfqUpdate", StreamName(stream_names.SILENT, is_private=True)),
        ("account.rfqUpdate.SOL_USDC", StreamName(stream_names.SILENT, is_private=True)),
        ("account.positionUpdate", StreamName(stream_names.SILENT, is_private=True)),
        ("account.positionUpdate.SOL_USDC_PERP", StreamName(stream_names.SILENT, is_private=True)),
        ("markPrice.SOL_USDC_PERP", StreamName(stream_names.SILENT)),
        ("openInterest.SOL_USDC_PERP", StreamName(stream_names.SILENT)),
        ("liquidation", StreamName(stream_names.SILENT)),
        ("externalTicker.BTC.binance", StreamName(stream_names.SILENT)),
        ("stockPrice.AAPL", StreamName(stream_names.SILENT)),
        ("stockIndicativeQuote.AAPL", StreamName(stream_names.SILENT)),
    ],
)
def test_documented_names(name: str, stream: StreamName) -> None:
    """Every form of the public contract, section 5."""
    assert parse_stream_name(name) == stream


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "depth",
        "depth.",
        "depth..SOL_USDC",
        ".depth.SOL_USDC",
        "depth.SOL_USDC.",
        "depth.200ms.",
        "depth.100ms.SOL_USDC",
        "depth.SOL_USDC.200ms",
        "Depth.SOL_USDC",
        " depth.SOL_USDC",
        "depth@SOL_USDC",
        "depth_SOL_USDC",
        "trade.200ms.SOL_USDC",
        "kline.SOL_USDC",
        "kline..SOL_USDC",
        "kline.1m.",
        "kline.1m.SOL_USDC.x",
        "liquidation.SOL_USDC",
        "markPrice",
        "markPrice.",
        "account",
        "account.",
        "account.orderUpdate.",
        "account.orderUpdate.SOL_USDC.x",
        "account.balanceUpdate.SOL",
        "account.trades",
        "accounts.orderUpdate",
        "trade." + "A" * 60,
        "markPrice." + "A" * 10_000,
        'markPrice."',
        "markPrice.SOL\n",
        "markPrice.\uff21",
        "trade.SOL_USDC\0",
    ],
)
def test_other_names_are_unknown(name: str) -> None:
    """Names are not completed or trimmed."""
    assert parse_stream_name(name) is None
