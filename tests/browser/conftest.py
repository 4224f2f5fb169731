"""A real browser for the tests of the page, and a demo exchange that serves it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from fairbook.gateway.page_files import FOLDER
from tests.browser.tab import CHROMIUM_OPTIONS, Tab, chromium_path, open_tab
from tests.world.exchange_process import ExchangeProcess

UNLIMITED = {
    "FAIRBOOK_SIGN_UPS_PER_HOUR": "0",
    "FAIRBOOK_ADDRESS_PER_MINUTE": "0",
    "FAIRBOOK_ACCOUNT_PER_MINUTE": "0",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for each module: while it is open, no other event loop can run."""
    path = chromium_path()
    assert (FOLDER / "index.html").is_file(), "the page is not built: run ./dev up --help"
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_OPTIONS))
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExchangeProcess]:
    """The demo with its market maker. Rate limits are those of a test, not of the open net."""
    folder = tmp_path_factory.mktemp("browser") / "d"
    with ExchangeProcess(folder, maker=True, environment=UNLIMITED) as process:
        yield process


@pytest.fixture
def quiet_venue(tmp_path: Path) -> Iterator[ExchangeProcess]:
    """The demo without its market maker: only what a test does happens."""
    with ExchangeProcess(tmp_path / "d", environment=UNLIMITED) as process:
        yield process


@pytest.fixture
def tab(browser: Browser, venue: ExchangeProcess) -> Iterator[Tab]:
    """A tab of a new browser profile. At its end its console must be empty."""
    with open_tab(browser, venue) as opened:
        yield opened
