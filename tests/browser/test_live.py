"""Streams and answers under load: what the page shows is what REST says."""

from __future__ import annotations

import csv
import random
import signal
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.browser.tab import CHROMIUM_OPTIONS, Tab, chromium_path, open_tab
from tests.browser.test_book import is_exact, many_changes
from tests.followers.faulty_exchange import FaultyExchange
from tests.world.exchange_process import ExchangeProcess
from tests.world.rest_client import RestClient

pytestmark = pytest.mark.browser
STOPPED_MS = 5_000
ACTIONS, SEED = 300, 12
FILLS = 50
ROWS = 3_000
BATCH = 50
PRICE = "100"
RED_MS = 3 * 5_000  # three times what is promised

ACT = """async ([token, acts]) => {
  const headers = {Authorization: `Bearer ${token}`, 'Content-Type': 'application/json'};
  const send = ([method, body]) =>
    fetch('/api/v1/order', {method, headers, body: JSON.stringify(body)});
  await Promise.all(acts.map(send));
}"""
ROWS_SHOWN = """() => [...document.querySelectorAll('.orders tr[data-order]')].map(row =>
  [row.dataset.order, row.cells[3].textContent, row.cells[4].textContent]).sort()"""


def order(side: str, quantity: str, **more: Any) -> dict[str, Any]:
    return {
        "symbol": "SOL_USDC", "side": side, "orderType": "Limit", "price": PRICE,
        "quantity": quantity, **more,
    }  # fmt: skip


def test_a_server_that_stops_for_five_seconds_is_shown_as_stale(
    tab: Tab, venue: ExchangeProcess
) -> None:
    tab.expects_failures = True
    tab.trade()
    with many_changes(venue):
        is_exact(tab)
        venue.signal(signal.SIGSTOP)
        try:
            tab.page.wait_for_selector("#book-badge.link-stale")
            tab.page.wait_for_timeout(STOPPED_MS)
        finally:
            venue.signal(signal.SIGCONT)
        tab.page.wait_for_selector("#book-badge.link-live")
        is_exact(tab)


def test_many_fills_are_one_message(tab: Tab, venue: ExchangeProcess) -> None:
    tab.sign_up()
    depth = tab.client().expect(200, "GET", "/api/v1/depth?symbol=SOL_USDC")
    best = f"{float(depth['bids'][-1][0]) + 0.01:.2f}"
    taker = RestClient(venue.http_port, venue.demo("demo2")["token"])
    resting = tab.client().expect(
        200, "POST", "/api/v1/order", order("Bid", "5", price=best, postOnly=True)
    )
    for _ in range(FILLS):
        body = order("Ask", "0.1", price=best, timeInForce="IOC")
        taker.expect(200, "POST", "/api/v1/order", body)
    taker.close()
    assert resting["status"] == "New"
    tab.until(lambda: "in all" in tab.page.inner_text(".toasts"), "the summary")
    assert tab.page.locator(".toast").count() <= 3
    toast, button = (_box(tab, name) for name in (".toast", "#submit"))
    assert any(
        one[place] + one[length] <= other[place]
        for place, length in (("x", "width"), ("y", "height"))
        for one, other in ((toast, button), (button, toast))
    ), "it does not cover the button"


def test_two_tabs_of_one_account_show_its_orders(tab: Tab, venue: ExchangeProcess) -> None:
    """After random orders, amends and cancels by both, of which some come too late."""
    tab.expects_failures = True
    tab.sign_up()
    other = tab.context.new_page()
    other.goto(f"{venue.url}/trade/SOL_USDC")
    other.wait_for_selector("text=Log out")
    other.wait_for_selector("#book-badge.link-live")
    chance, client = random.Random(SEED), tab.client()
    for _ in range(ACTIONS // 10):
        known = client.expect(200, "GET", "/api/v1/orders")
        for page in (tab.page, other):
            page.evaluate(ACT, [tab.token, [_random_act(chance, known) for _ in range(5)]])
    expected = sorted(
        [each["id"], each["price"], each["quantity"]]
        for each in client.expect(200, "GET", "/api/v1/orders")
    )
    assert expected
    for page in (tab.page, other):
        tab.until(lambda shown=page: shown.evaluate(ROWS_SHOWN) == expected, expected)  # type: ignore[misc]


def _box(tab: Tab, selector: str) -> dict[str, float]:
    found = tab.page.locator(selector).last.bounding_box()
    assert found is not None
    return dict(found)  # type: ignore[arg-type]


def _random_act(chance: random.Random, known: list[dict[str, Any]]) -> list[Any]:
    kind = chance.choice(("place", "place", "cancel", "amend"))
    if kind == "place" or not known:
        price = f"{20 + chance.randrange(900) / 100:.2f}"
        return ["POST", order("Bid", str(1 + chance.randrange(5)), price=price)]
    named = {"symbol": "SOL_USDC", "orderId": chance.choice(known)["id"]}
    if kind == "cancel":
        return ["DELETE", named]
    return ["PATCH", {**named, "quantity": str(1 + chance.randrange(9))}]


def test_the_csv_has_the_whole_history(
    quiet_venue: ExchangeProcess, browser: Browser, tmp_path: Path
) -> None:
    with open_tab(browser, quiet_venue) as tab:
        client = tab.sign_up().client()
        taker = RestClient(quiet_venue.http_port, quiet_venue.demo("demo2")["token"])
        taker.expect(200, "POST", "/api/v1/order", order("Ask", str(ROWS)))
        for _ in range(ROWS // BATCH):
            batch = [order("Bid", "0.01", timeInForce="IOC") for _ in range(BATCH)]
            client.expect(200, "POST", "/api/v1/orders", batch)
        taker.close()
        tab.page.click(".orders >> text=Fills")
        with tab.page.expect_download() as download:
            tab.page.click("#csv-fills")
        path = tmp_path / "fills.csv"
        download.value.save_as(path)
        with path.open(newline="") as file:
            rows = {row["tradeId"]: row for row in csv.DictReader(file)}
        fills: list[dict[str, Any]] = []
        while len(fills) % 1_000 == 0:
            query = f"limit=1000&offset={len(fills)}"
            found = client.expect(200, "GET", f"/wapi/v1/history/fills?{query}")
            fills += found
            if not found:
                break
        assert len(rows) == len(fills) == ROWS
        for fill in fills:
            row = rows[str(fill["tradeId"])]
            for name in ("symbol", "side", "price", "quantity", "fee", "feeSymbol", "orderId"):
                assert row[name] == fill[name]


def test_candles_are_those_of_rest_in_every_zone(browser: Browser, venue: ExchangeProcess) -> None:
    """Each start once and in order, over the end of summer time, too."""
    with open_tab(browser, venue, timezone_id="America/New_York") as tab:
        tab.trade()
        tab.until(lambda: len(tab.page.evaluate("__candles()")) > 100, "candles")
        for length in ("1m", "5m", "1h"):
            tab.page.click(f".chart >> text='{length}'")
            tab.page.wait_for_timeout(500)
            bars = tab.page.evaluate("__candles()")
            starts = [bar["time"] for bar in bars]
            assert starts == sorted(set(starts))
            query = f"symbol=SOL_USDC&interval={length}&startTime={starts[0]}&endTime={starts[-2]}"
            asked = tab.page.evaluate(f"fetch('/api/v1/klines?{query}').then(r => r.json())")
            closes = {bar["time"]: bar["close"] for bar in bars}
            shown = [float(each["close"]) for each in asked]
            assert shown == [closes[start] for start in sorted(closes)][: len(shown)]
            assert len(shown) >= len(starts) - 2
        tab.page.wait_for_selector("text=America/New_York")


def test_transparency_turns_red_after_a_difference(browser: Browser, tmp_path: Path) -> None:
    venue = FaultyExchange(tmp_path / "d")
    with venue, open_tab(browser, venue) as tab:
        venue.until_agreed()
        page = tab.open("/transparency").page
        tab.until(lambda: "engines agree" in page.inner_text("#verdict"), "agreement")
        venue.harm("engine", account=venue.account("demo1"), asset=1, field="available", atoms=1)
        page.wait_for_selector("#verdict.bad", timeout=RED_MS)
        page.wait_for_selector(".banner.warning")


def test_the_page_off_localhost_says_why_it_makes_no_keys(browser: Browser, tmp_path: Path) -> None:
    environment = {"FAIRBOOK_HOSTS": "fairbook.test", "FAIRBOOK_SIGN_UPS_PER_HOUR": "0"}
    with ExchangeProcess(tmp_path / "d", environment=environment) as venue:
        named = browser.browser_type.launch(
            executable_path=chromium_path(),
            args=[*CHROMIUM_OPTIONS, "--host-resolver-rules=MAP fairbook.test 127.0.0.1"],
        )
        try:
            page = named.new_page()
            page.goto(f"http://fairbook.test:{venue.http_port}/sign-up")
            page.fill("#email", "far@example.org")
            page.fill("#password", "a good long password")
            page.click("#sign-up")
            page.wait_for_selector("#demo-money")
            page.click("a >> text=API keys")
            page.wait_for_selector("text=This browser refuses to make keys here")
            assert "ssh -L" in page.inner_text("main")
        finally:
            named.close()
