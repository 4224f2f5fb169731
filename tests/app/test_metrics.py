"""Metrics of a real process: each is documented, alerts and board use only what there is."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fairbook.app.metrics import outcome_counts
from fairbook.core import records
from fairbook.engine.measurements import BOUNDS_S, STATUSES, Histogram, Measurements
from tests.world.exchange_process import ExchangeProcess
from tests.world.rest_client import RestClient
from tests.world.waiting import wait_until

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "operate" / "monitoring.md"
DEPLOY = ROOT / "deploy"
NAMED = re.compile(r"fairbook_[a-z_]+")
ENDINGS = ("_bucket", "_total", "_count", "_sum")


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExchangeProcess]:
    with ExchangeProcess(tmp_path_factory.mktemp("metrics") / "d") as process:
        yield process


def port(venue: ExchangeProcess) -> int:
    return int(json.loads((venue.folder / "admin.json").read_bytes())["admin"].rpartition(":")[2])


def scrape(venue: ExchangeProcess) -> dict[str, dict[tuple[str, ...], float]]:
    """Samples by name, then by the values of their labels."""
    client = RestClient(port(venue))
    text = client.expect(200, "GET", "/metrics")
    client.close()
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def base(name: str) -> str:
    """The name of a metric without the endings of its samples."""
    for ending in ENDINGS:
        name = name.removesuffix(ending)
    return name


def test_orders_are_counted_by_result(venue: ExchangeProcess) -> None:
    before = scrape(venue)["fairbook_commands_total"]
    client = RestClient(venue.http_port, venue.demo("demo1")["token"])
    order = {"symbol": "SOL_USDC", "side": "Bid", "orderType": "Limit", "price": "100"}
    client.expect(200, "POST", "/api/v1/order", {**order, "quantity": "1"})
    client.expect(400, "POST", "/api/v1/order", {**order, "quantity": "1000000000"})
    client.close()
    after = scrape(venue)
    counts = after["fairbook_commands_total"]
    for key in (("place", "new"), ("place", "rejected")):
        assert counts[key] == before.get(key, 0) + 1
    assert after["fairbook_position"][()] > 0 and after["fairbook_paused"][()] == 0
    assert after["fairbook_acknowledgement_seconds_count"][()] == sum(counts.values())
    assert after["fairbook_sync_seconds_count"][()] == after["fairbook_frames_total"][()]


def test_every_metric_is_documented_and_nothing_else(venue: ExchangeProcess) -> None:
    late = {"fairbook_agreement_age_seconds", "fairbook_unbalanced_assets"}
    wait_until(lambda: late <= scrape(venue).keys(), venue.stderr)
    assert scrape(venue)["fairbook_unbalanced_assets"][()] == 0
    listed = set(re.findall(r"^\| `(fairbook_[a-z_]+)", PAGE.read_text(), re.MULTILINE))
    assert {base(name) for name in scrape(venue)} == {base(name) for name in listed}


@pytest.mark.parametrize("path", ["prometheus/alerts.yml", "grafana/fairbook.json"])
def test_rules_and_board_use_metrics_that_exist(venue: ExchangeProcess, path: str) -> None:
    used = {base(name) for name in NAMED.findall((DEPLOY / path).read_text())}
    assert len(used) > 5
    assert used <= {base(name) for name in scrape(venue)}


def test_health_and_readiness(venue: ExchangeProcess) -> None:
    token = json.loads((venue.folder / "admin.json").read_bytes())["token"]
    client = RestClient(port(venue), token)
    assert client.expect(200, "GET", "/healthz") == "ok"
    assert client.expect(200, "GET", "/readyz")["ready"] is True
    client.expect(200, "POST", "/admin/v1/pause", {"reason": "test"})
    assert client.expect(503, "GET", "/readyz")["ready"] is False
    assert scrape(venue)["fairbook_paused"][()] == 1
    client.expect(200, "POST", "/admin/v1/unpause", {"reason": "test"})
    assert client.expect(200, "GET", "/readyz")["ready"] is True
    client.close()


def test_top_prints_one_screen_where_there_is_no_terminal(venue: ExchangeProcess) -> None:
    command = [sys.executable, "-m", "fairbook", "top", str(venue.folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    for word in ("open", "Commands", "write and sync a frame", "replica", "MiB free on disk"):
        assert word in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_histogram_counts_each_value_once() -> None:
    histogram = Histogram()
    for seconds in (0.0, BOUNDS_S[0], BOUNDS_S[0] * 1.01, 100.0):
        histogram.add(seconds, 2)
    assert histogram.counts[0] == 4 and histogram.counts[1] == 2 and histogram.counts[-1] == 2
    assert sum(histogram.counts) == 8


def test_outcomes_have_names() -> None:
    measurements = Measurements()
    measurements.outcomes[records.PLACE * STATUSES + records.FILLED] = 3
    measurements.outcomes[records.CREDIT * STATUSES + records.DONE] = 1
    measurements.outcomes[records.DEBIT * STATUSES + records.DONE] = 1
    assert outcome_counts(measurements) == {("place", "filled"): 3, ("other", "done"): 2}
