"""One running exchange for all tests of bad input; the summary counts the inputs and their cost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.badinput import summary
from tests.badinput.target import Target
from tests.world.socket_client import SocketClient


@pytest.fixture(scope="package")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    target = Target(tmp_path_factory.mktemp("venue"))
    try:
        target.open()
        yield target
    except BaseException:
        target.venue.kill()
        raise
    target.close()


@pytest.fixture
def wire(target: Target) -> Iterator[SocketClient]:
    wire = SocketClient(target.venue.http_port)
    yield wire
    wire.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in summary.lines():
        terminalreporter.write_line(line)
