"""The page without a mouse."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.browser.tab import PASSWORD, Tab
from tests.world.exchange_process import ExchangeProcess

pytestmark = pytest.mark.browser
FOCUSED = "() => document.activeElement.matches(%r)"
IS_VISIBLE = """() => {
    const style = getComputedStyle(document.activeElement);
    return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0;
}"""
STEPS_MAX = 80


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until an element has the focus, which is visible at each step."""
    for _ in range(STEPS_MAX):
        if page.evaluate(FOCUSED % selector):
            return
        page.keyboard.press("Tab")
        if not page.evaluate("document.activeElement === document.body"):
            where = page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
            assert page.evaluate(IS_VISIBLE), where
    raise AssertionError(f"{selector} was never reached")


def test_sign_up_order_and_cancel_by_keyboard(tab: Tab) -> None:
    page = tab.open("/sign-up").page
    tab_to(page, "#email")
    page.keyboard.type("keys@example.org")
    tab_to(page, "#password")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("#demo-money")
    tab_to(page, "#demo-money")
    page.keyboard.press("Enter")
    page.wait_for_selector("#book-badge.link-live", state="attached")
    page.wait_for_selector("#submit")
    page.keyboard.press("b")
    assert page.evaluate(FOCUSED % "#amount")
    page.keyboard.type("1")
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.wait_for_selector("main input[type=search]:focus")
    page.keyboard.type("BTC")
    assert page.locator("tbody tr").count() == 1
    page.go_back()
    page.wait_for_selector("#submit")
    page.keyboard.press("s")
    page.keyboard.press("b")
    assert page.input_value("#amount").endswith("b"), "in a field keys are text"
    page.keyboard.press("Control+a")
    page.keyboard.type("2")
    page.keyboard.press("Shift+Tab")
    tab_to(page, "#price")
    page.keyboard.press("Control+a")
    page.keyboard.type("999999")
    page.keyboard.press("ArrowDown")
    assert page.input_value("#price") == "999998.99"
    page.keyboard.press("Control+Enter")
    tab.until(lambda: "rests" in tab.status(), "the order")
    tab_to(page, ".orders td button[aria-label^=Cancel]")
    page.keyboard.press("Enter")
    tab.until(
        lambda: page.locator(".orders td button[aria-label^=Cancel]").count() == 0, "the cancel"
    )


def test_no_key_sends_an_order_unless_it_is_switched_on(tab: Tab) -> None:
    page = tab.sign_up().page
    page.fill("#price", "1")
    page.fill("#amount", "1")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+Enter")
    page.keyboard.press("Enter")
    page.wait_for_timeout(500)
    assert tab.client().expect(200, "GET", "/api/v1/orders") == []
    page.click(".settings summary")
    page.select_option(".settings select >> nth=3", "on")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+Enter")
    tab.until(lambda: "rests" in tab.status(), "the order")


def test_the_keys_are_listed(tab: Tab) -> None:
    page = tab.open("/markets").page
    page.keyboard.press("?")
    page.wait_for_selector("#shortcuts[open]")
    assert "Ctrl+Enter" in page.inner_text("#shortcuts")
    page.keyboard.press("Escape")
    page.wait_for_selector("#shortcuts", state="hidden")


def test_the_depth_chart_says_what_the_book_has(tab: Tab, venue: ExchangeProcess) -> None:
    page = tab.trade().page
    page.click("text=Depth")
    page.focus(".depth")
    page.keyboard.press("ArrowRight")
    assert "USDC" in page.inner_text(".depth-words")
    page.click(".chart button:text-is('Table')")
    same = """() => {
        const rows = [...document.querySelectorAll('#depth-table tbody tr')].slice(0, 5);
        const cells = rows.map(row => [...row.cells].map(cell => cell.textContent));
        return [cells, window.__book()];
    }"""
    cells, book = page.evaluate(same)
    for side, sum_at in (("bids", 0), ("asks", 3)):
        lots = 0
        for row, level in zip(cells, book[side], strict=False):  # "TICKSxLOTS", best first
            lots += int(level.partition("x")[2])
            assert round(float(row[sum_at]) * 100) == lots  # A lot of SOL_USDC is 0.01.
