"""One exchange for all tests here; at the end, how many bad inputs were tried, and their cost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.badinput import summary
from tests.badinput.world import Wire, World


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One exchange for all."""
    world = World(tmp_path_factory.mktemp("venue"))
    try:
        world.open()
        yield world
    except BaseException:
        world.venue.kill()
        raise
    world.close()


@pytest.fixture
def wire(world: World) -> Iterator[Wire]:
    """A connection to it, closed whatever happens."""
    wire = Wire(world.venue.http_port)
    yield wire
    wire.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line."""
    for line in summary.lines():
        terminalreporter.write_line(line)
