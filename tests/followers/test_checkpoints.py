"""GET /api/v1/checkpoints of a real exchange; and an exchange without a replica."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fairbook.cli import main
from fairbook.engine.snapshots import Snapshots
from fairbook.net import control_socket as control
from tests.followers.faulty_exchange import FaultyExchange
from tests.world.exchange_process import ExchangeProcess
from tests.world.rest_client import RestClient
from tests.world.waiting import wait_until


def test_checkpoints_over_http(tmp_path: Path) -> None:
    """From a position on, newest first; the first is the current one, without a slice."""
    venue = FaultyExchange(tmp_path)
    with venue:
        rest = RestClient(venue.http_port)

        def compared() -> Any:
            found = rest.expect(200, "GET", "/api/v1/checkpoints")
            return found if any(len(each["engines"]) == 2 for each in found) else None

        found = wait_until(compared)
        assert found[0]["slice"] is None
        newest = int(found[0]["position"])
        assert rest.expect(200, "GET", f"/api/v1/checkpoints?from={newest + 10**6}") == []
        for each in rest.expect(200, "GET", f"/api/v1/checkpoints?from={newest}"):
            assert int(each["position"]) >= newest
        for wrong in ("-1", "x", "1e3", "9" * 19):
            rest.expect(400, "GET", f"/api/v1/checkpoints?from={wrong}")
        rest.close()


def test_an_exchange_without_a_replica(tmp_path: Path) -> None:
    """It trades, logs a warning, and writes its snapshot at the stop."""
    with ExchangeProcess(tmp_path, "--no-replica") as venue:
        status = control.ask(tmp_path, "status")
        assert status["replica"]["state"] == "not wanted" and status["replica"]["pid"] is None
        rest = RestClient(venue.http_port)
        rows = rest.expect(200, "GET", "/api/v1/checkpoints")
        rest.close()
        assert {engine for row in rows for engine in row["engines"]} == {status["engine"]["id"]}
        venue.stop()
        assert "unchecked" in venue.stderr()
    assert len(Snapshots(tmp_path).paths()) == 1
    assert main(["status", str(tmp_path)]) == 0
    assert main(["verify", str(tmp_path)]) == 0


def test_edits_need_to_be_allowed(tmp_path: Path) -> None:
    """Without --allow-faults there is no such command."""
    with ExchangeProcess(tmp_path):
        try:
            control.ask(
                tmp_path, "edit", process="engine", account=2, asset=1, field="available", atoms=1
            )
        except control.ControlRefused as refused:
            assert "no such command" in str(refused)
        else:
            raise AssertionError("it was done")
