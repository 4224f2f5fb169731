"""From the first visit to the own order in the books of the exchange, as a person would do it."""

from __future__ import annotations

import csv
import time
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.tab import PASSWORD, Tab, open_tab
from tests.world.exchange_process import ExchangeProcess

pytestmark = pytest.mark.browser
THINK_MS = 2_000
FIRST_FILL_S = 60.0


def test_a_new_user_has_a_first_fill_within_a_minute(tab: Tab) -> None:
    """With two seconds of thinking at each step."""
    page = tab.open("/").page
    page.click("text=Sign up")
    began_s = time.monotonic()
    for selector, text in (("#email", "first@example.org"), ("#password", PASSWORD)):
        page.wait_for_timeout(THINK_MS)
        page.fill(selector, text)
    for press in ("#sign-up", "#demo-money", ".form >> text=Market"):
        page.wait_for_timeout(THINK_MS)
        page.click(press)
    page.wait_for_selector("#book-badge.link-live")
    page.wait_for_timeout(THINK_MS)
    page.fill("#amount", "100")
    page.wait_for_timeout(THINK_MS)
    page.click("#submit")
    tab.until(lambda: "all traded" in tab.status(), "the first fill")
    assert time.monotonic() - began_s < 3 * FIRST_FILL_S
    page.click(".orders >> text=Fills")
    assert page.inner_text(".orders tbody tr:first-child td:nth-child(3)") == "Buy"


def test_an_order_rests_is_taken_and_shown(
    browser: Browser, quiet_venue: ExchangeProcess, tmp_path: Path
) -> None:
    with open_tab(browser, quiet_venue) as maker, open_tab(browser, quiet_venue) as taker:
        maker.sign_up()
        taker.sign_up()
        depth = maker.client().expect(200, "GET", "/api/v1/depth?symbol=SOL_USDC")
        price = str(Decimal(depth["bids"][-1][0]) + Decimal("0.01"))
        maker.order("Buy", price, "1.5", lifetime="post-only")
        maker.until(lambda: "rests in the book" in maker.status(), "the order")
        row = maker.page.wait_for_selector(".orders tr[data-order]")
        assert row is not None and "1.5" in row.inner_text()
        assert maker.page.locator(".ladder tr.own").count() == 1, "the own order is marked"

        taker.order("Sell", price, "0.5", lifetime="IOC")
        taker.until(lambda: "ended after" in taker.status() or "traded" in taker.status())
        maker.until(lambda: "0.5 (33 %)" in maker.page.inner_text(".orders"), "the partial fill")
        client = maker.client()
        shown = client.expect(200, "GET", "/api/v1/orders")[0]
        assert shown["executedQuantity"] == "0.5"

        maker.page.click(".orders >> text=Amend")
        maker.page.fill("input[aria-label='New quantity']", "1")
        maker.page.click("text=Save")
        maker.until(lambda: "0.5 (50 %)" in maker.page.inner_text(".orders"), "the amended one")
        maker.page.click("#cancel-all")
        maker.page.click("text=Yes, cancel 1")
        maker.until(lambda: "Open orders (0)" in maker.page.inner_text(".orders"), "no order")
        assert client.expect(200, "GET", "/api/v1/orders") == []

        maker.page.click(".orders >> text=Balances")
        capital = client.expect(200, "GET", "/api/v1/capital")
        sol = capital["SOL"]["available"].partition(".")[2]
        maker.until(lambda: sol in maker.page.inner_text(".orders"), "the balance")
        _csv_is_what_rest_says(maker, tmp_path)
        maker.page.click("text=Log out")
        maker.page.wait_for_selector("text=Log in to trade")
        assert client.call("GET", "/api/v1/capital").status == 401


def _csv_is_what_rest_says(tab: Tab, folder: Path) -> None:
    tab.page.click(".orders >> text=Fills")
    with tab.page.expect_download() as download:
        tab.page.click("#csv-fills")
    path = folder / "fills.csv"
    download.value.save_as(path)
    fills = tab.client().expect(200, "GET", "/wapi/v1/history/fills?limit=1000")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["tradeId"], row["price"], row["fee"]) for row in rows] == [
        (str(fill["tradeId"]), fill["price"], fill["fee"]) for fill in fills
    ]
