"""A browser tab on the page of an exchange, as tests use it."""

from __future__ import annotations

import itertools
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Route

from tests.world.exchange_process import ExchangeProcess
from tests.world.rest_client import RestClient

T = TypeVar("T")
PASSWORD = "a good long password"
WAIT_S = 60.0
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM_OPTIONS = ("--no-sandbox", "--disable-gpu")

_numbers = itertools.count(1)


def chromium_path() -> str:
    """Chromium of this machine. In CI it must be there."""
    found = next((path for name in CHROMIUM_NAMES if (path := shutil.which(name))), None)
    if found is None and not os.environ.get("CI"):
        pytest.skip("no Chromium is installed (Debian: apt install chromium)")
    assert found is not None, "no Chromium is installed"
    return found


class Tab:
    """`page` is playwright's. `console`: what was written that no test expects."""

    def __init__(self, context: BrowserContext, venue: ExchangeProcess) -> None:
        self.context = context
        self.venue = venue
        self.page: Page = context.new_page()
        self.console: list[str] = []
        self.foreign: list[str] = []
        self.own = (venue.url, venue.admin_url, "blob:", "data:")
        self.expects_failures = False  # Failed requests are written to the console.
        self.email = ""
        self.clients: list[RestClient] = []
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.console.append(str(error)))
        context.route("**/*", self._only_own)

    def _said(self, message: ConsoleMessage) -> None:
        is_failure = "Failed to load resource" in message.text or "WebSocket" in message.text
        is_late = is_failure and "504" in message.text  # the history, on a busy machine
        if not ((is_failure and self.expects_failures) or is_late):
            self.console.append(f"{message.type}: {message.text}")

    def _only_own(self, route: Route) -> None:
        if route.request.url.startswith(self.own):
            route.fallback()
        else:
            self.foreign.append(route.request.url)
            route.abort()

    def open(self, path: str = "/") -> Tab:
        self.page.goto(f"{self.venue.url}{path}")
        self.page.wait_for_selector(".top")
        return self

    def trade(self, symbol: str = "SOL_USDC") -> Tab:
        """The Trade screen, when its book is live."""
        self.open(f"/trade/{symbol}")
        self.page.wait_for_selector("#book-badge.link-live", state="attached")
        return self

    def sign_up(self) -> Tab:
        """A new user with demo funds, on the Trade screen, by what a person would press."""
        self.email = f"user{next(_numbers)}@example.org"
        self.open("/sign-up")
        self.page.fill("#email", self.email)
        self.page.fill("#password", PASSWORD)
        self.page.click("#sign-up")
        self.page.click("#demo-money")
        self.page.wait_for_selector("#submit")
        self.page.wait_for_selector("#book-badge.link-live", state="attached")
        return self

    @property
    def token(self) -> str:
        found: str = self.page.evaluate("JSON.parse(sessionStorage['fairbook.session']).token")
        return found

    def client(self) -> RestClient:
        """Of the user, without the page."""
        client = RestClient(self.venue.http_port, self.token)
        self.clients.append(client)
        return client

    def order(self, side: str, price: str, quantity: str, *, lifetime: str | None = None) -> None:
        """Fill the form in, and press the button."""
        page = self.page
        page.click(f".form .segments >> text={side}")
        page.click(".form >> text=Limit")
        page.fill("#price", price)
        page.fill("#amount", quantity)
        if lifetime is not None:
            page.select_option("#lifetime", lifetime)
        page.click("#submit")

    def status(self) -> str:
        return self.page.inner_text("#order-status")

    def until(self, condition: Callable[[], T], what: object = "") -> T:
        """The first true value of a condition; the browser goes on meanwhile."""
        deadline = time.monotonic() + WAIT_S
        while True:
            found = condition()
            if found:
                return found
            assert time.monotonic() < deadline, f"{what}: {self.page.inner_text('body')[:2000]}"
            self.page.wait_for_timeout(30)

    def book(self) -> Any:
        return self.page.evaluate("window.__book()")


@contextmanager
def open_tab(
    browser: Browser, venue: ExchangeProcess, *, width: int = 1440, height: int = 900,
    **more: Any,
) -> Iterator[Tab]:  # fmt: skip
    context = browser.new_context(viewport={"width": width, "height": height}, **more)
    context.set_default_timeout(WAIT_S * 1_000)
    tab = Tab(context, venue)
    try:
        yield tab
        assert not tab.console, tab.console
        assert not tab.foreign, tab.foreign
    finally:
        for client in tab.clients:
            client.close()
        context.close()
