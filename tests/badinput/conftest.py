"""One exchange for all tests here; at the end, how many bad inputs were tried, and their cost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.badinput import summary
from tests.badinput.target import RawHttpClient, Target


@pytest.fixture(scope="package")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One exchange for all."""
    target = Target(tmp_path_factory.mktemp("venue"))
    try:
        target.open()
        yield target
    except BaseException:
        target.venue.kill()
        raise
    target.close()


@pytest.fixture
def wire(target: Target) -> Iterator[RawHttpClient]:
    """A connection to it, closed whatever happens."""
    wire = RawHttpClient(target.venue.http_port)
    yield wire
    wire.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line."""
    for line in summary.lines():
        terminalreporter.write_line(line)
