"""T3 and T4: the page's book is the exchange's or blank, and its rows stand still."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import WebSocketRoute

from tests.browser.tab import Tab
from tests.world.exchange_process import ExchangeProcess
from tests.world.rest_client import RestClient

pytestmark = pytest.mark.browser
CUTS = 20

COMPARE = """async () => {
  const depth = await (await fetch('/api/v1/depth?symbol=SOL_USDC&limit=1000')).json();
  const book = window.__book();
  if (book === null || String(book.id) !== depth.lastUpdateId) return null;
  const units = (text) => BigInt(Math.round(Number(text) * 100));
  const side = (levels) => levels.map(([price, lots]) => `${units(price)}x${units(lots)}`);
  return JSON.stringify([side(depth.bids).reverse(), side(depth.asks)])
    === JSON.stringify([book.bids, book.asks]);
}"""
WATCH = """() => {
  window.__crossed = 0;
  const price = (selector) => Number(document.querySelector(selector)?.textContent || NaN);
  const look = () => {
    const ask = price('.asks tr:last-child .price'), bid = price('.bids tr:first-child .price');
    if (bid >= ask) window.__crossed += 1;
    requestAnimationFrame(look);
  };
  look();
}"""


@contextmanager
def many_changes(venue: ExchangeProcess, stop_after: int = 100_000) -> Iterator[None]:
    """Some 100 changes a second of the book, far from its best prices."""
    is_over = threading.Event()

    def change() -> None:
        client = RestClient(venue.http_port, venue.demo("demo1")["token"])
        order: dict[str, Any] = {"symbol": "SOL_USDC", "side": "Bid", "orderType": "Limit"}
        for number in range(stop_after):
            if is_over.wait(0.015):
                break
            price = f"{20 + number % 40}.{number % 100:02d}"
            placed = client.expect(
                200, "POST", "/api/v1/order", {**order, "price": price, "quantity": "0.5"}
            )
            body = {"symbol": "SOL_USDC", "orderId": placed["id"]}
            client.expect(200, "DELETE", "/api/v1/order", body)
        client.close()

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def is_exact(tab: Tab) -> None:
    tab.until(lambda: tab.page.evaluate(COMPARE) is True, "the book at the id of REST")


def test_the_book_is_right_after_each_cut_of_the_socket(tab: Tab, venue: ExchangeProcess) -> None:
    tab.expects_failures = True
    sockets: list[WebSocketRoute] = []

    def proxy(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        socket.connect_to_server()

    tab.page.route_web_socket("**/ws", proxy)
    tab.trade()
    tab.page.evaluate(WATCH)
    with many_changes(venue):
        is_exact(tab)
        for count in range(1, CUTS + 1):
            sockets[-1].close(code=4_000, reason="cut")
            tab.until(lambda known=count: len(sockets) > known, "another connection")  # type: ignore[misc]
            tab.page.wait_for_selector("#book-badge.link-live")
            is_exact(tab)
    assert tab.page.evaluate("window.__crossed") == 0


def test_a_frame_that_is_lost_empties_the_book_until_it_is_right(
    tab: Tab, venue: ExchangeProcess
) -> None:
    is_lossy = threading.Event()

    def proxy(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def forward(message: str | bytes) -> None:
            if is_lossy.is_set() and '"stream":"depth.' in str(message):
                is_lossy.clear()
            else:
                socket.send(message)

        server.on_message(forward)

    tab.page.route_web_socket("**/ws", proxy)
    tab.trade()
    tab.page.evaluate(WATCH)
    with many_changes(venue):
        is_exact(tab)
        is_lossy.set()
        tab.until(lambda: tab.book()["resyncs"] == 1, "the gap is seen")
        tab.page.wait_for_selector("#book-badge.link-live")
        is_exact(tab)
    assert tab.page.evaluate("window.__crossed") == 0


def test_rows_stand_still(tab: Tab, venue: ExchangeProcess) -> None:
    tab.trade()
    boxes = """() => [...document.querySelectorAll('.ladder tr')].map((row) => {
      const { x, y, width, height } = row.getBoundingClientRect();
      return [x, y, width, height].map(Math.round).join();
    })"""
    before = tab.page.evaluate(boxes)
    with many_changes(venue):
        for _ in range(20):
            tab.page.wait_for_timeout(100)
            assert tab.page.evaluate(boxes) == before


def test_a_click_on_a_row_fills_the_form(tab: Tab) -> None:
    page = tab.sign_up().page
    row = page.locator(".bids tr").nth(2)
    price = row.locator(".price").inner_text().strip()
    row.click()
    assert float(page.input_value("#price")) == pytest.approx(float(price), abs=1.0)
    assert page.get_attribute(".form .segments .sell", "aria-pressed") == "true"
    page.locator(".asks tr").last.click(modifiers=["Shift"])
    assert float(page.input_value("#amount")) > 0
