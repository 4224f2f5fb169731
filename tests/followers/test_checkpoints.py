"""GET /api/v1/checkpoints of a real exchange, against a replay of its log; and no replica."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fairbook.cli import main
from fairbook.core.exchange import Exchange
from fairbook.core.slices import slice_digest
from fairbook.engine.runner import Runner
from fairbook.engine.snapshots import Snapshots
from fairbook.log.file_log import FileLog
from fairbook.net import control_socket as control
from tests.followers.faulty_exchange import BackgroundLoad, FaultyExchange
from tests.world.exchange_process import ExchangeProcess
from tests.world.rest_client import RestClient


def test_checkpoints_are_what_the_log_gives(tmp_path: Path) -> None:
    """Chain, running hash and slices, of both engines, while orders come."""
    venue = FaultyExchange(tmp_path)
    with venue:
        rest = RestClient(venue.http_port)
        with BackgroundLoad(venue, number=1, seed="checkpoints"):
            venue.until(lambda status: status["replica"]["rounds_agreed"] >= 1)
        found = rest.expect(200, "GET", "/api/v1/checkpoints")
        newest = int(found[0]["position"])
        assert rest.expect(200, "GET", f"/api/v1/checkpoints?from={newest + 10**6}") == []
        for each in rest.expect(200, "GET", f"/api/v1/checkpoints?from={newest}"):
            assert int(each["position"]) >= newest
        for wrong in ("-1", "x", "1e3", "9" * 19):
            rest.expect(400, "GET", f"/api/v1/checkpoints?from={wrong}")
        rest.close()
        venue.stop()
    assert found[0]["slice"] is None
    by_position: dict[int, list[dict[str, Any]]] = {}
    for checkpoint in found:
        by_position.setdefault(int(checkpoint["position"]), []).append(checkpoint)
    assert len(by_position) > 10
    log = FileLog(tmp_path, read_only=True)
    runner = Runner(Exchange())
    compared = 0
    for entry in log.read(1):
        runner.apply(entry)
        for checkpoint in by_position.get(entry.position, []):
            assert checkpoint["chain"] == runner.chain.hex()
            assert checkpoint["eventHash"] == runner.event_hash.hex()
            part = checkpoint["slice"]
            if part is not None:
                digest = slice_digest(runner.exchange, part["index"], part["count"])
                assert part["digest"] == digest.hex()
                compared += len(checkpoint["engines"]) == 2
    log.close()
    assert compared > 60


def test_an_exchange_without_a_replica(tmp_path: Path) -> None:
    """It trades, says so, and writes its snapshot at the stop."""
    with ExchangeProcess(tmp_path, "--no-replica") as venue:
        status = control.ask(tmp_path, "status")
        assert status["replica"]["state"] == "not wanted" and status["replica"]["pid"] is None
        rest = RestClient(venue.http_port)
        (only,) = rest.expect(200, "GET", "/api/v1/checkpoints")
        assert only["engines"] == [status["engine"]["id"]]
        rest.close()
        venue.stop()
        assert "unchecked" in venue.stderr()
    assert len(Snapshots(tmp_path).paths()) == 1
    assert main(["status", str(tmp_path)]) == 0
    assert main(["verify", str(tmp_path)]) == 0


def test_edits_need_to_be_allowed(tmp_path: Path) -> None:
    """Without --allow-faults nobody changes a memory, not even the owner."""
    with ExchangeProcess(tmp_path):
        try:
            control.ask(
                tmp_path, "edit", process="engine", account=2, asset=1, field="available", atoms=1
            )
        except control.ControlRefused as refused:
            assert "no such command" in str(refused)
        else:
            raise AssertionError("it was done")
