"""Keys that the page makes, in the programs that it shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser.tab import Tab
from tests.clients.programs import run_program

pytestmark = pytest.mark.browser
SNIPPETS = {"ccxt (Python)": "ccxt-4.5.90", "bpx-py (Python)": "bpx-py-2.0.11"}
ORDER = """
try:
    print(exchange.create_order("SOL/USDC", "limit", "buy", 1, 1)["id"])
except ccxt.OperationRejected as error:
    print("denied", error)
"""


def make_key(tab: Tab, label: str, *, may_trade: bool) -> dict[str, str]:
    """Make a key on the page. Returns its programs by title."""
    page = tab.open("/keys").page
    page.fill("#key-label", label)
    if may_trade:
        page.check("text=place and cancel orders")
    page.click("#make-key")
    page.wait_for_selector("#api-secret")
    shown = "all => all.map(each => [each.dataset.snippet, each.textContent])"
    programs = dict(page.eval_on_selector_all("pre[data-snippet]", shown))
    page.click("#key-kept")
    return programs


@pytest.mark.parametrize("may_trade", [True, False])
def test_the_programs_run_as_they_are_copied(
    tab: Tab, tmp_path: Path, client_python: Callable[[str], Path], may_trade: bool
) -> None:
    programs = make_key(tab.sign_up(), "bot", may_trade=may_trade)
    for title, client in SNIPPETS.items():
        path = tmp_path / "program.py"
        path.write_text(programs[title] + (ORDER if client.startswith("ccxt") else ""))
        command = [str(client_python(client)), str(path)]
        printed = run_program(command, folder=tmp_path, seconds_max=60, title=title)
        assert "USDC" in printed
        assert ("denied" in printed) == (client.startswith("ccxt") and not may_trade)
    orders = tab.client().expect(200, "GET", "/api/v1/orders")
    assert len(orders) == int(may_trade)
