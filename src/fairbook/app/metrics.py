"""The metrics of a running exchange, for Prometheus and for `fairbook status`.

Everything is read when it is asked for: parts count anyway, and nothing is added to the path of an
order but what engine/measurements.py says. The table in docs/operate/monitoring.md is held equal.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from fairbook.core import records
from fairbook.engine.measurements import BOUNDS_S, KINDS, STATUSES, Histogram, Measurements

LATE_PERIOD_S: Final = 0.1
LATE_KEPT: Final = 100  # periods over which the greatest delay is shown

KIND_NAMES: Final = {
    records.PLACE: "place",
    records.CANCEL: "cancel",
    records.AMEND: "amend",
    records.CANCEL_ALL: "cancel_all",
    records.TICK: "tick",
}
OTHER: Final = "other"
STATUS_NAMES: Final = (
    "rejected", "new", "partially_filled", "filled", "cancelled", "expired", "done", "pending",
)  # fmt: skip

Status = Mapping[str, Any]


class LoopDelay:
    """How late the event loop runs a timer."""

    def __init__(self) -> None:
        self._late_s = [0.0] * LATE_KEPT
        self._at = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def max_s(self) -> float:
        """The greatest delay of the last LATE_KEPT periods."""
        return max(self._late_s)

    def start(self) -> None:
        self._task = asyncio.ensure_future(self._run())

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            due_s = time.monotonic() + LATE_PERIOD_S
            await asyncio.sleep(LATE_PERIOD_S)
            self._late_s[self._at % LATE_KEPT] = max(time.monotonic() - due_s, 0.0)
            self._at += 1


def outcome_counts(measurements: Measurements) -> dict[tuple[str, str], int]:
    """Executed commands by (kind, status), without those that never came."""
    found: dict[tuple[str, str], int] = {}
    for kind in range(KINDS):
        for status in range(STATUSES):
            count = measurements.outcomes[kind * STATUSES + status]
            if count:
                key = (KIND_NAMES.get(kind, OTHER), STATUS_NAMES[status])
                found[key] = found.get(key, 0) + count
    return found


def work_status(measurements: Measurements, delay: LoopDelay) -> dict[str, Any]:
    """The engine's measurements for `fairbook status`."""
    return {
        "frames": measurements.frames,
        "refused": measurements.refused,
        "commands": {" ".join(key): n for key, n in outcome_counts(measurements).items()},
        "bounds_s": BOUNDS_S,
        "sync": measurements.sync.counts.copy(),
        "answered": measurements.answered.counts.copy(),
        "loop_delay_s": round(delay.max_s, 6),
    }


class MetricsCollector:
    """Turns a status into metrics. `status`: as `fairbook status --json` has it."""

    def __init__(
        self, measurements: Measurements, status: Callable[[], Status], delay: LoopDelay
    ) -> None:
        self._measurements = measurements
        self._status = status
        self._delay = delay
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """The exposition, in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Called by the registry."""
        status = self._status()
        yield from self._of_engine(status["engine"])
        yield from _of_followers(status)
        yield from _of_servers(status)
        disk = status["disk"]
        yield _gauge(
            "disk_free_bytes", "free on the disk of the data directory", disk["free_bytes"]
        )
        yield _gauge("disk_low_bytes", "trading is paused below this", disk["low_bytes"])
        yield _gauge(
            "loop_delay_seconds", "greatest delay of the event loop in 10 s", self._delay.max_s
        )

    def _of_engine(self, engine: Status) -> Iterator[Metric]:
        measured = self._measurements
        commands = CounterMetricFamily(
            "fairbook_commands", "executed commands", labels=("kind", "status")
        )
        for labels, count in sorted(outcome_counts(measured).items()):
            commands.add_metric(labels, count)
        yield commands
        yield _counter("frames", "frames appended to the log", measured.frames)
        yield _counter("refused", "commands refused: the queue was full", measured.refused)
        yield _histogram("sync_seconds", "writing and syncing a frame", measured.sync)
        yield _histogram(
            "acknowledgement_seconds",
            "from the oldest command of a frame in the queue to the frame's answers",
            measured.answered,
        )
        yield _gauge("position", "position of the log", engine["position"])
        yield _gauge("sequence", "commands in the log", engine["sequence"])
        yield _gauge("queued", "records of unanswered commands", engine["pending"])
        yield _gauge("paused", "1: only cancels are taken", int(engine["paused"]))
        jump_s = engine["clock_jump_ns"] / 1e9
        yield _gauge("clock_jump_seconds", "log time waits for a confirmed clock", jump_s)


def _of_followers(status: Status) -> Iterator[Metric]:
    lag = GaugeMetricFamily("fairbook_lag_frames", "frames behind the engine", labels=("process",))
    for name in ("replica", "recorder"):
        follower = status.get(name)
        if follower is not None and follower.get("lag_frames") is not None:
            lag.add_metric((name,), follower["lag_frames"])
    yield lag
    age_s = status["replica"].get("round_age_s")
    if age_s is not None:
        yield _gauge("agreement_age_seconds", "since engine and replica agreed on all", age_s)
    unbalanced = status["replica"].get("unbalanced_assets")
    if unbalanced is not None:
        yield _gauge("unbalanced_assets", "assets whose balances do not add up", unbalanced)
    verdict = status["audit"]["verdict"]
    yield _gauge("difference_open", "1: engine and replica differ", int(verdict is not None))
    count = status["accounts"]["count"]
    yield _gauge("accounts_contradictions", "rows of accounts.db that the log does not back", count)


def _of_servers(status: Status) -> Iterator[Metric]:
    connections = GaugeMetricFamily("fairbook_connections", "open connections", labels=("server",))
    streams = status["streams"]
    connections.add_metric(("http",), status["http"]["connections"])
    connections.add_metric(("streams",), streams["connections"])
    yield connections
    yield _gauge("subscriptions", "subscribed streams of all clients", streams["subscriptions"])
    yield _gauge("slow_clients", "clients that get merged messages", streams["slow"])
    yield _counter("slow_closed", "clients closed because they did not read", streams["slowClosed"])
    yield _gauge("stream_buffered_bytes", "unsent to stream clients", streams["bufferedBytes"])
    passwords = status["passwords"]
    hooks = status["hooks"]
    yield _gauge("hooks_queued", "events that wait for a hook", hooks["queued"])
    yield _counter("hooks_delivered", "events that a hook has taken", hooks["delivered"])
    yield _counter("hooks_dropped", "events that no hook has taken", hooks["dropped"])
    yield _gauge("passwords_queued", "passwords that wait to be hashed", passwords["queued"])


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"fairbook_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"fairbook_{name}", text, value=value)


def _histogram(name: str, text: str, measured: Histogram) -> Metric:
    buckets: list[tuple[str, float]] = []
    total = 0
    for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), measured.counts, strict=True):
        total += count
        buckets.append((bound, total))
    return HistogramMetricFamily(
        f"fairbook_{name}", text, buckets=buckets, sum_value=measured.sum_s
    )
