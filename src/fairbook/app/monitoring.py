"""`/metrics`, `/healthz` and `/readyz` on the operators' port."""

from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any

import msgspec

from fairbook.api.errors import unauthorized
from fairbook.app.metrics import MetricsCollector
from fairbook.gateway.request import TEXT_TYPE, Endpoint, Endpoints, Reply, Request

METRICS_TYPE = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")


def monitoring_endpoints(
    metrics: MetricsCollector,
    is_operator: Callable[[Request], bool],
    engine: Callable[[], Mapping[str, Any]],
) -> Endpoints:
    """is_operator: by its token; not needed on this machine. engine: its status."""

    async def scrape(request: Request) -> Reply:
        if not (_is_local(request.address) or is_operator(request)):
            raise unauthorized()
        return Reply(metrics.text(), content_type=METRICS_TYPE)

    async def health(_request: Request) -> Reply:
        return Reply(b"ok", content_type=TEXT_TYPE)

    async def ready(_request: Request) -> Reply:
        """503 while only cancels are taken."""
        status = engine()
        answer = {"ready": not status["paused"], "position": str(status["position"])}
        return Reply(msgspec.json.encode(answer), 503 if status["paused"] else 200)

    return {
        (b"GET", b"/metrics"): Endpoint(scrape),
        (b"GET", b"/healthz"): Endpoint(health),
        (b"GET", b"/readyz"): Endpoint(ready),
    }


def _is_local(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
