"""The cost of the inputs of a run, for the summary."""

from __future__ import annotations

Costs = dict[str, tuple[int, float]]
"""By input: how often it was sent, and ms of the exchange's processor time each."""

COSTS: Costs = {}
WS_COSTS: Costs = {}


def lines() -> list[str]:
    told = [_line("bad input", COSTS), _line("bad input by WebSocket", WS_COSTS)]
    return [line for line in told if line]


def _line(what: str, costs: Costs) -> str:
    if not costs:
        return ""
    rows = len({name.removeprefix("ws ").split()[0] for name in costs})
    sent = sum(times for times, _ in costs.values())
    dearest = sorted(costs, key=lambda name: -costs[name][1])[:3]
    told = ", ".join(f"{costs[name][1]:.2f} ms {name}" for name in dearest)
    return f"{what}: {rows} rows, {len(costs)} inputs, sent {sent} times; dearest: {told}"
