"""The operators' page: the acts of `fairbook admin`, on a port of its own."""

from __future__ import annotations

import http.client
import json
import shlex
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from fairbook.admin.admin_gateway import PAGE
from fairbook.gateway.page_files import FOLDER
from tests.admin.test_operators_of_a_process import FIRST, SECOND, fairbook_admin, operator_client
from tests.browser.tab import Tab, open_tab
from tests.browser.test_screens import problems
from tests.world.exchange_process import ExchangeProcess
from tests.world.rest_client import RestClient

pytestmark = pytest.mark.browser
SCREENS = ("Overview", "Markets", "Accounts", "Decisions", "Operators", "Log")


def token_of(venue: ExchangeProcess, name: str = FIRST) -> str:
    found: str = json.loads((venue.folder / name).read_bytes())["token"]
    return found


def log_in(tab: Tab, name: str = FIRST) -> Page:
    page = tab.page
    page.goto(f"{tab.venue.admin_url}/")
    page.fill("#token", token_of(tab.venue, name))
    page.click("form button.primary")
    page.wait_for_selector("#trading")
    return page


def show(page: Page, screen: str) -> None:
    page.click(f".top nav button:text-is('{screen}')")
    page.wait_for_selector("h1")


def act(page: Page, reason: str, **fields: str) -> str:
    """Fill the open form of an act in and send it; the command that it shows."""
    for name, value in fields.items():
        place = page.locator(f"#act-{name}")
        if place.evaluate("each => each.tagName") == "SELECT":
            place.select_option(value)
        else:
            place.fill(value)
    page.fill("#act-reason", reason)
    command = page.inner_text("#act-command").strip()
    page.click("dialog button.primary")
    page.wait_for_selector("#act-result:not(:empty)")
    return command


def row(page: Page, text: str) -> Any:
    return page.locator("tbody tr", has_text=text).first


def test_an_operator_halts_a_market_and_the_command_shown_opens_it(
    tab: Tab, venue: ExchangeProcess
) -> None:
    trader = RestClient(venue.http_port, venue.demo("demo1")["token"])
    order = {
        "symbol": "ETH_USDC", "side": "Bid", "orderType": "Limit", "price": "1", "quantity": "1"
    }  # fmt: skip
    page = log_in(tab)
    show(page, "Markets")
    row(page, "ETH_USDC").locator("button:text-is('Halt')").click()
    command = act(page, "strange prices: look")
    assert trader.call("POST", "/api/v1/order", order)[0] == 400
    page.keyboard.press("Escape")
    row(page, "ETH_USDC").locator(".state-CancelOnly").wait_for()
    words = shlex.split(command)
    assert words[:4] == ["fairbook", "admin", "market-state", "DIR"]
    words[words.index("CancelOnly")] = "Open"
    status, _ = fairbook_admin(words[2], venue.folder, *words[4:])
    assert status == 0
    trader.expect(200, "POST", "/api/v1/order", order)
    trader.close()
    show(page, "Log")
    tab.until(lambda: page.locator("tbody tr").count() >= 2, "the acts")
    newest = page.locator("tbody tr").first.inner_text()
    assert "ETH_USDC" in newest and "strange prices: look" in newest and "operator1" in newest


def test_one_proposes_and_another_approves(browser: Browser, venue: ExchangeProcess) -> None:
    with open_tab(browser, venue) as first, open_tab(browser, venue) as second:
        page = log_in(first)
        show(page, "Markets")
        row(page, "1000000000").wait_for()
        page.locator("tbody tr", has=page.locator("td:text-is('SOL')")).locator("button").click()
        act(page, "smaller", parameter="creditMax", value="7")
        assert "another operator" in page.inner_text("#act-result")
        page.keyboard.press("Escape")
        first.expects_failures = True
        show(page, "Decisions")
        row(page, "asset-limit").locator("button:text-is('Approve')").click()
        page.fill("#act-reason", "myself")
        page.click("dialog button.primary")
        page.wait_for_selector("dialog .problem:not(:empty)")
        other = log_in(second, SECOND)
        show(other, "Decisions")
        row(other, "asset-limit").locator("button:text-is('Approve')").click()
        act(other, "agreed")
        client = operator_client(venue)
        assets = client.expect(200, "GET", "/admin/v1/assets")
        client.close()
        assert [each["creditMax"] for each in assets if each["symbol"] == "SOL"] == ["7"]


def test_an_account_is_found_credited_and_frozen(tab: Tab) -> None:
    page = log_in(tab)
    show(page, "Accounts")
    page.fill("input[type=search]", "demo2")
    tab.until(lambda: page.locator("tbody tr").count() == 1, "one account")
    page.click("button:text-is('Show')")
    page.click("button:text-is('Credit')")
    act(page, "a gift", symbol="SOL", quantity="1.5", reference="page 1")
    page.keyboard.press("Escape")
    tab.until(lambda: ".5" in row(page, "SOL").inner_text(), "the balance")
    page.click("button:text-is('Freeze')")
    act(page, "asked by the user")
    page.keyboard.press("Escape")
    page.wait_for_selector("text=frozen")
    page.click("button:text-is('End the freeze')")
    act(page, "solved")


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("size", [(1440, 900), (360, 740)], ids=["wide", "narrow"])
def test_each_screen_is_accessible_and_fits(
    browser: Browser, venue: ExchangeProcess, theme: Any, size: tuple[int, int]
) -> None:
    with open_tab(browser, venue, width=size[0], height=size[1], color_scheme=theme) as tab:
        page = log_in(tab)
        for screen in SCREENS[:-1]:
            show(page, screen)
            page.wait_for_timeout(400)
            assert problems(tab) == [], screen
            root = "document.documentElement"
            assert page.evaluate(f"{root}.scrollWidth - {root}.clientWidth") == 0, screen
        show(page, "Overview")
        page.click("button:text-is('Announce')")
        assert problems(tab) == []


def test_the_token_stays_in_the_tab(tab: Tab) -> None:
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.append(request.url))
    page = log_in(tab)
    token = token_of(tab.venue)
    stored = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
    assert token not in page.evaluate(stored) and token not in page.content()
    assert not any(token in url for url in asked)
    page.reload()
    page.wait_for_selector("#token")
    page.fill("#token", "wrong" * 8)
    tab.expects_failures = True
    page.click("form button.primary")
    page.wait_for_selector(".problem:not(:empty)")


def test_the_two_pages_share_no_port_and_no_code(venue: ExchangeProcess) -> None:
    public = b"".join(path.read_bytes() for path in FOLDER.rglob("*.js"))
    assert b"admin/v1" not in public
    assert b"admin/v1" in b"".join(path.read_bytes() for path in PAGE.rglob("*.js"))
    port = int(venue.admin_url.rpartition(":")[2])
    token = token_of(venue)
    for origin in (venue.url, "https://example.org", "null"):
        headers = {"Authorization": f"Bearer {token}", "Origin": origin}
        for method in ("GET", "OPTIONS"):
            status, answered = _ask(port, method, "/admin/v1/exchange", headers)
            assert status == (403 if method == "GET" else 405)
            assert not any(name.startswith("access-control") for name in answered)
    own = {"Authorization": f"Bearer {token}", "Origin": venue.admin_url}
    assert _ask(port, "GET", "/admin/v1/exchange", own)[0] == 200
    assert _ask(port, "GET", "/", {"Host": "rebound.example.org"})[0] == 400
    assert _ask(venue.http_port, "GET", "/admin/v1/exchange", {})[0] == 404


def _ask(port: int, method: str, path: str, headers: dict[str, str]) -> tuple[int, set[str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status, {name.lower() for name, _ in response.getheaders()}
