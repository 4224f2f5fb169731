"""T1 and T2 of the order form: it says what is wrong, and sends an order once."""

from __future__ import annotations

import pytest
from playwright.sync_api import Route

from tests.browser.tab import Tab

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


@pytest.mark.parametrize("failure", ["no answer", "504", "503", "double click"])
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
            if failure == "504":
                body = '{"code":"TIMEOUT","message":"The outcome is unknown"}'
                route.fulfill(status=504, body=body, content_type="application/json")
            else:
                route.abort()

    page.route("**/api/v1/order", fail)
    page.fill("#price", FAR)
    page.fill("#amount", "1")
    if failure == "double click":
        page.dblclick("#submit")
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
