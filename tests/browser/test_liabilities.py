"""The proof of liabilities on the page: checked in the browser, and what is wrong is shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Route

from fairbook.cli import main
from tests.browser.conftest import UNLIMITED
from tests.browser.tab import Tab, open_tab
from tests.browser.test_screens import problems
from tests.world.exchange_process import ExchangeProcess

pytestmark = pytest.mark.browser
OFTEN = {
    "FAIRBOOK_SNAPSHOT_COMMANDS": "20",
    "FAIRBOOK_SNAPSHOT_S": "1",
    "FAIRBOOK_LIABILITIES_S": "2",
}
ACCOUNT_PATH = "**/api/v1/proof/liabilities/account"


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExchangeProcess]:
    """With proofs all the time."""
    folder = tmp_path_factory.mktemp("browser") / "d"
    with ExchangeProcess(folder, maker=True, environment=UNLIMITED | OFTEN) as process:
        yield process


def until_proved(tab: Tab) -> None:
    """Wait for a proof that has the user's demo money."""
    client = tab.client()

    def is_in() -> bool:
        reply = client.call("GET", "/api/v1/proof/liabilities/account")
        return reply.status == 200 and bool(reply.body["leaves"])

    tab.until(is_in, "a proof with the account")


def test_my_leaves_are_checked_in_the_browser(
    tab: Tab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tab.sign_up()
    until_proved(tab)
    page = tab.open("/transparency").page
    page.wait_for_selector("#my-leaf.good")
    assert problems(tab) == [], "it is accessible"
    leaves = tab.client().expect(200, "GET", "/api/v1/proof/liabilities/account")["leaves"]
    shown = page.inner_text(f"[data-own={leaves[0]['symbol']}]").replace("\u202f", "")
    assert shown == leaves[0]["quantity"]
    with page.expect_download() as saving:
        page.click("text=Save the proof")
    saving.value.save_as(tmp_path / "saved.json")
    assert main(["verify-liabilities", str(tmp_path / "saved.json")]) == 0
    assert f"yours {shown}" in capsys.readouterr().out
    page.click("text=Log out")
    page.wait_for_selector("text=Log out", state="detached")
    page = tab.open("/transparency").page
    page.wait_for_selector("#my-leaf >> text=Log in to check")
    assert page.locator("[data-own]").count() == 0


@pytest.mark.parametrize("what", ["atoms", "path"])
def test_a_wrong_leaf_is_shown(browser: Browser, venue: ExchangeProcess, what: str) -> None:
    with open_tab(browser, venue) as tab:
        tab.sign_up()
        until_proved(tab)

        def change(route: Route) -> None:
            answer: Any = json.loads(route.fetch().text())
            leaf = answer["leaves"][0]
            if what == "atoms":
                leaf["atoms"] = str(int(leaf["atoms"]) - 1)
            else:
                leaf["path"][0]["atoms"] = str(int(leaf["path"][0]["atoms"]) + 1)
            route.fulfill(json=answer)

        tab.page.route(ACCOUNT_PATH, change)
        page = tab.open("/transparency").page
        page.wait_for_selector("#liabilities-problem")
        said = page.inner_text("#liabilities-problem")
        assert "The proof is wrong" in said and "not in the signed total" in said
        assert page.is_visible("text=Save the proof"), "it can be shown to others"
        assert page.locator("#my-leaf").count() == 0
