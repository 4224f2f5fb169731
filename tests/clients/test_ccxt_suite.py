"""ccxt's own test suite, as it comes with ccxt, against a real process: sync, async and streams.

The suite is configured as its authors do it, by two files: keys.json with addresses and keys, and
skip-tests.json with what ccxt itself does not deliver for this class, and why.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from tests.world.exchange_process import ExchangeProcess
from tests.world.rest_client import RestClient

pytestmark = pytest.mark.clients

VERSION = "ccxt-4.5.90"
SKIPS = Path(__file__).parent / "ccxt_suite" / "skip-tests.json"
SECONDS_MAX = 180
REST = {
    "afterConstruct", "features", "fetchBalance", "fetchCurrencies", "fetchDeposits",
    "fetchMyTrades", "fetchOHLCV", "fetchOpenOrders", "fetchOrderBook", "fetchOrders",
    "fetchStatus", "fetchTicker", "fetchTickers", "fetchTrades", "fetchWithdrawals", "loadMarkets",
}  # fmt: skip
STREAMS = {
    "loadMarkets", "watchBalance", "watchBidsAsks", "watchOHLCV", "watchOHLCVForSymbols",
    "watchOrderBook", "watchOrderBookForSymbols", "watchOrders", "watchTicker", "watchTickers",
    "watchTrades", "watchTradesForSymbols",
}  # fmt: skip
MARKET = "BTC_USDC"  # where the suite looks
WITHDRAWAL = {"symbol": "BTC", "quantity": "0.5", "address": "x", "blockchain": "Bitcoin"}


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExchangeProcess]:
    with ExchangeProcess(tmp_path_factory.mktemp("suite"), maker=True) as process:
        yield process


def lay_out_suite(package: Path, folder: Path, venue: ExchangeProcess) -> Path:
    """Lay ccxt out as in its repository; return the program. The suite refuses to run in
    site-packages, and finds its settings three folders above itself.
    """
    ccxt = folder / "python" / "ccxt"
    ccxt.mkdir(parents=True)
    for each in package.iterdir():
        if each.name == "test":
            shutil.copytree(each, ccxt / "test")
        else:
            (ccxt / each.name).symlink_to(each)
    streams = {"public": venue.ws_url, "private": venue.ws_url}
    keys = {
        "apiKey": venue.demo("demo1")["apiKey"],
        "secret": venue.demo("demo1")["apiSecret"],
        "urls": {"api": {"public": venue.url, "private": venue.url, "ws": streams}},
        "has": {"swap": False},
    }
    (folder / "keys.json").write_text(json.dumps({"backpack": keys}), encoding="utf-8")
    shutil.copy(SKIPS, folder)
    return ccxt / "test" / "tests_init.py"


@contextmanager
def activity(venue: ExchangeProcess) -> Iterator[None]:
    """The account of the suite trades all the time: some of its tests wait for that."""
    done = Event()
    taker, maker = clients = [
        RestClient(venue.http_port, venue.demo(name)["token"]) for name in ("demo1", "demo2")
    ]
    taker.expect(200, "POST", "/wapi/v1/capital/withdrawals", WITHDRAWAL)

    def trade() -> None:
        order = {"symbol": MARKET, "orderType": "Limit", "quantity": "0.01"}
        while not done.wait(0.5):
            book = taker.expect(200, "GET", f"/api/v1/depth?symbol={MARKET}&limit=5")
            if not (book["asks"] and book["bids"]):
                continue  # The market maker has just started.
            bid = order | {"side": "Bid", "price": book["asks"][0][0]}
            ask = order | {"side": "Ask", "price": book["bids"][-1][0]}
            assert taker.expect(200, "POST", "/api/v1/order", bid)["id"]
            assert maker.expect(200, "POST", "/api/v1/order", ask)["id"]
            taker.expect(200, "DELETE", "/api/v1/orders", {"symbol": MARKET})

    trading = Thread(target=trade)
    trading.start()
    try:
        yield
    finally:
        done.set()
        trading.join()
        for client in clients:
            client.close()


@pytest.mark.parametrize(
    ("options", "methods"), [(["--sync"], REST), ([], REST), (["--ws"], STREAMS)],
    ids=["sync", "async", "ws"],
)  # fmt: skip
def test_the_suite_passes(
    tmp_path: Path, venue: ExchangeProcess, client_python: Callable[[str], Path],
    options: list[str], methods: set[str],
) -> None:  # fmt: skip
    """No test of the suite fails, and it has run all that it has for this class."""
    python = client_python(VERSION)
    (package,) = python.parents[1].glob("lib/python*/site-packages/ccxt")
    program = lay_out_suite(package, tmp_path, venue)
    with activity(venue):
        done = subprocess.run(
            [str(python), str(program), *options, "--private", "backpack"],
            env={**os.environ, "PYTHONPATH": str(program.parents[2])},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
    passed = set(re.findall(r"TESTING DONE +backpack (\w+)", done.stdout))
    assert "[TEST_FAILURE]" not in done.stdout and passed == methods, done.stdout[-8000:]
