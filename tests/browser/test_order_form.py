"""T1 and T2 of the order form: it says what is wrong, and sends an order once."""

from __future__ import annotations

import pytest
from playwright.sync_api import Route

from tests.browser.tab import Tab
from tests.world.exchange_process import ExchangeProcess

pytestmark = pytest.mark.browser
FAR = "1"  # a price at which nothing trades


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("1e3", "exponent"),
        ("1,5", "comma"),
        (" 2 ", "spaces"),
        ("٣", "digits 0 to 9"),
        ("0.1.2", "no number"),
        ("1" * 40, "At most 18 digits"),
        ("0.001", "must be a multiple of 0.01"),
        ("-1", "without a sign"),
        ("0", "above zero"),
    ],
)
def test_what_cannot_be_sent_is_explained_and_stays_as_typed(
    tab: Tab, typed: str, says: str
) -> None:
    page = tab.sign_up().page
    page.fill("#price", FAR)
    page.fill("#amount", typed)
    assert says in page.inner_text("#amount-help")
    assert page.input_value("#amount") == typed
    assert page.is_disabled("#submit")


def test_the_nearest_valid_value_is_a_button_and_the_price_is_never_overwritten(tab: Tab) -> None:
    page = tab.sign_up().page
    page.fill("#price", "99.999")
    page.wait_for_timeout(1_500)
    assert page.input_value("#price") == "99.999", "though the book has changed"
    page.click("#price-help >> text=99.99")
    assert page.input_value("#price") == "99.99"
    page.fill("#amount", ".5")
    assert "Sent as 0.5" in page.inner_text("#amount-help")


@pytest.mark.parametrize("failure", ["no answer", "504", "502 of a proxy", "503", "double click"])
def test_an_order_is_sent_once(tab: Tab, failure: str) -> None:
    """The answer is lost after the exchange has executed it; 503: it was not executed."""
    tab.expects_failures = True
    page = tab.sign_up().page
    tries: list[int] = []

    def fail(route: Route) -> None:
        tries.append(1)
        if failure == "double click" or len(tries) > 1:
            route.fallback()
        elif failure == "503":
            body = '{"code":"TRADING_PAUSED","message":"The exchange is busy, nothing was done"}'
            route.fulfill(status=503, body=body, content_type="application/json")
        else:
            route.fetch()
            if failure.startswith("502"):
                route.fulfill(status=502, body="<h1>Bad gateway</h1>", content_type="text/html")
            elif failure == "504":
                body = '{"code":"TIMEOUT","message":"The outcome is unknown"}'
                route.fulfill(status=504, body=body, content_type="application/json")
            else:
                route.abort()

    page.route("**/api/v1/order", fail)
    page.fill("#price", FAR)
    page.fill("#amount", "1")
    if failure == "double click":
        page.dblclick("#submit", delay=150)  # as a person does
    else:
        page.click("#submit")
    expected = "Not done" if failure == "503" else "rests in the book"
    tab.until(lambda: expected in tab.status(), failure)
    page.wait_for_timeout(300)
    count = 0 if failure == "503" else 1
    assert len(tab.client().expect(200, "GET", "/api/v1/orders")) == count


def test_shares_of_the_funds_are_accepted_whole(tab: Tab) -> None:
    page = tab.sign_up().page
    page.click(".form >> text=Market")
    page.click(".percents >> text=25 %")
    page.click("#submit")
    tab.until(lambda: "traded" in tab.status() or "ended after" in tab.status(), "a market buy")
    page.click(".form .segments >> text=Sell")
    page.click(".percents >> text=100 %")
    page.click("#submit")
    tab.until(lambda: "Order" in tab.status(), "a market sell of all")
    left = tab.client().expect(200, "GET", "/api/v1/capital").get("SOL", {"available": "0"})
    ended = "ended after" in tab.status()
    assert ended or float(left["available"]) < 0.01, "less than a lot is left"


def test_what_was_an_amount_of_the_quote_is_no_quantity(tab: Tab) -> None:
    page = tab.sign_up().page
    page.click(".form >> text=Market")
    page.fill("#amount", "1000")
    page.locator(".bids tr").nth(2).click()
    assert page.input_value("#amount") == ""


def test_another_market_has_nothing_of_what_was_typed(tab: Tab) -> None:
    page = tab.sign_up().page
    page.fill("#price", "150")
    page.fill("#amount", "10")
    page.select_option("#market", "BTC_USDC")
    tab.until(lambda: page.input_value("#price") not in ("", "150"), "its best price")
    assert page.input_value("#amount") == ""


def test_an_order_of_unknown_outcome_is_not_sent_by_another_user(
    tab: Tab, venue: ExchangeProcess
) -> None:
    """Its repeats stop when the session is another one."""
    tab.expects_failures = True
    page = tab.sign_up().page
    page.route("**/api/v1/order", lambda route: route.abort())
    page.fill("#price", FAR)
    page.fill("#amount", "1")
    page.click("#submit")
    tab.until(lambda: "checking" in tab.status(), "an unknown outcome")
    page.click("a >> text=Portfolio")
    page.wait_for_selector("h1")
    page.click("nav >> text=Trade")
    tab.until(lambda: "checking" in tab.status(), "it is still known")
    page.click("text=Log out")
    page.unroute("**/api/v1/order")
    tab.sign_up()
    page.wait_for_timeout(2_000)
    assert tab.client().expect(200, "GET", "/api/v1/orders") == []
