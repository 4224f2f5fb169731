"""All screens: what they say is what the API says, and everybody can read them."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from fairbook.gateway.page_files import FOLDER
from tests.admin.test_operators_of_a_process import fairbook_admin
from tests.browser.tab import PASSWORD, Tab, open_tab
from tests.world.exchange_process import ExchangeProcess

pytestmark = pytest.mark.browser
AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
PUBLIC = ("/", "/markets", "/transparency", "/docs", "/sign-up", "/log-in", "/trade/NONE_USDC")
PRIVATE = ("/", "/portfolio", "/keys", "/account")
SIZES = ((1440, 900), (360, 740))
KIB = 1_000
TRADE_KB_MAX, ALL_KB_MAX = 90, 120


def problems(tab: Tab) -> list[str]:
    """What axe finds, serious or critical."""
    tab.page.evaluate(f"() => {{ {AXE.read_text()} }}")
    found: Any = tab.page.evaluate("axe.run()")
    return [
        f"{each['id']}: {[node['html'][:150] for node in each['nodes'][:3]]}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("size", SIZES, ids=["wide", "narrow"])
def test_every_screen_is_accessible_and_fits(
    browser: Browser, venue: ExchangeProcess, theme: Any, size: tuple[int, int]
) -> None:
    width, height = size
    with open_tab(browser, venue, width=width, height=height, color_scheme=theme) as tab:
        for path in PUBLIC:
            _look(tab, path)
        tab.sign_up()
        for path in PRIVATE:
            _look(tab, path)


def _look(tab: Tab, path: str) -> None:
    page = tab.open(path).page
    page.wait_for_timeout(600)
    assert problems(tab) == [], path
    root = "document.documentElement"
    assert page.evaluate(f"{root}.scrollWidth - {root}.clientWidth") == 0, path
    if path == "/" and tab.email:
        box = page.locator("#submit").bounding_box()
        size = page.viewport_size
        assert box is not None and size is not None
        assert box["y"] + box["height"] <= size["height"], "the button is in view"


def test_keys_are_made_here_used_by_a_bot_and_revoked(tab: Tab) -> None:
    sent: list[str] = []
    tab.page.on("request", lambda request: sent.append(f"{request.url} {request.post_data}"))
    page = tab.sign_up().open("/keys").page
    page.fill("#key-label", "bot")
    page.check("text=place and cancel orders")
    page.click("#make-key")
    secret = page.input_value("#api-secret")
    key = page.input_value("#api-key")
    assert len(secret) == len(key) == 44
    snippet = page.text_content("pre[data-snippet='ccxt (Python)']")
    assert snippet is not None and key in snippet and secret in snippet
    assert tab.venue.url in snippet
    listed = tab.client().expect(200, "GET", "/auth/v1/keys")
    assert [(row["publicKey"], row["permissions"]) for row in listed] == [(key, ["read", "trade"])]
    page.click("#key-kept")
    assert secret not in page.content()
    assert not any(secret in text for text in sent), "the secret was never sent"
    page.click("text=Revoke")
    page.wait_for_selector("text=No keys yet")


def test_no_secret_is_kept_where_it_does_not_belong(tab: Tab, venue: ExchangeProcess) -> None:
    page = tab.sign_up().page
    token = tab.token
    stored = page.evaluate("JSON.stringify(Object.assign({}, localStorage)) + document.cookie")
    assert token not in stored and PASSWORD not in stored
    assert token not in page.url
    for path in venue.folder.glob("*.db"):
        with sqlite3.connect(path) as database:
            content = "\n".join(database.iterdump())
        assert token not in content and PASSWORD not in content
    assert token not in venue.stderr() and PASSWORD not in venue.stderr()
    other = tab.context.new_page()
    other.goto(f"{venue.url}/")
    other.wait_for_selector("text=Log out")
    other.close()


def test_wrong_password_and_unknown_user_look_the_same(tab: Tab) -> None:
    tab.expects_failures = True
    said = []
    for email in ("nobody1@example.org", "demo-user@example.org"):
        page = tab.open("/log-in").page
        page.fill("#email", email)
        page.fill("#password", "some wrong password")
        page.click("#log-in")
        tab.until(lambda here=page: here.inner_text(".problem"))  # type: ignore[misc]
        said.append(page.inner_text(".problem"))
    assert said == ["The address or the password is wrong"] * 2


def test_the_api_screen_has_every_route(tab: Tab) -> None:
    page = tab.open("/docs").page
    page.wait_for_selector("details.route")
    shown = page.eval_on_selector_all("details.route", "all => all.map(each => each.dataset.route)")
    paths = json.loads(page.evaluate("fetch('/openapi.json').then(r => r.text())"))["paths"]
    assert set(shown) == {
        f"{method.upper()} {path}" for path, methods in paths.items() for method in methods
    }
    page.fill("input[type=search]", "The order book")
    page.click("details.route summary")
    page.click(".try button")
    tab.until(lambda: "lastUpdateId" in page.inner_text(".answer"), "the answer")


def test_transparency_shows_the_checkpoints(tab: Tab) -> None:
    page = tab.open("/transparency").page
    tab.until(lambda: "engines agree" in page.inner_text("#verdict"), "agreement")
    position, chain = page.inner_text("#position"), page.inner_text("#chain")
    rows = page.evaluate("fetch('/api/v1/checkpoints').then(r => r.json())")
    assert chain in {row["chain"] for row in rows if row["position"] == position}


def test_transparency_shows_who_has_checked_the_history(tab: Tab) -> None:
    """A browser that comes again compares what it saw; another history is shown in red."""
    page = tab.open("/transparency").page
    tab.until(lambda: "position" in page.inner_text("#signed"), "a signed checkpoint")
    assert page.inner_text("#seen") == "no earlier checkpoint to compare with"
    tab.open("/transparency")
    tab.until(lambda: "it is still the same" in page.inner_text("#seen"), "a comparison")
    assert page.locator("#contradiction").count() == 0
    note = page.evaluate("localStorage.getItem('fairbook.checkpoint')")
    changed = note.replace("\nchain ", "\nchain f", 1)
    page.evaluate("note => localStorage.setItem('fairbook.checkpoint', note)", changed)
    tab.open("/transparency")
    page.wait_for_selector("#contradiction")
    assert "has seen a signed checkpoint of position" in page.inner_text("#contradiction")
    tab.until(lambda: "first entry" in page.inner_text("#replayed"), "the full replay")


def test_a_halt_and_an_announcement_show_at_once(tab: Tab, venue: ExchangeProcess) -> None:
    page = tab.sign_up().page
    halt = ("market-state", venue.folder, "--symbol", "SOL_USDC", "--reason", "x", "--state")
    fairbook_admin(*halt, "CancelOnly")
    page.wait_for_selector(".badge.state-CancelOnly")
    assert "cancelling works" in page.inner_text(".form") and page.is_disabled("#submit")
    fairbook_admin(*halt, "Open")
    page.wait_for_selector(".badge.state-Open")
    fairbook_admin("announce", venue.folder, "--text", "Back at noon", "--reason", "x")
    page.wait_for_selector(".banner >> text=Back at noon")
    fairbook_admin("end-announcements", venue.folder, "--reason", "x")
    page.wait_for_selector(".banner >> text=Back at noon", state="detached")


def test_the_page_is_small() -> None:
    """Compressed kilobytes: those of the Trade screen, and all."""
    sizes = {path.name: path.stat().st_size for path in (FOLDER / "assets").glob("*.gz")}
    first = [name for name in sizes if name.startswith(("index-", "jsxRuntime-", "preload"))]
    assert sum(sizes[name] for name in first) <= TRADE_KB_MAX * KIB
    assert sum(sizes.values()) <= ALL_KB_MAX * KIB
