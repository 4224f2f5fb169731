"""What the rows of a run cost, for its summary."""

from __future__ import annotations

COSTS: dict[str, tuple[int, float]] = {}
"""By input: how often it was sent, and ms of the exchange's processor time each."""


def lines() -> list[str]:
    """What is told at the end; nothing if nothing was sent."""
    if not COSTS:
        return []
    rows = len({name.split()[0] for name in COSTS})
    sent = sum(times for times, _ in COSTS.values())
    dearest = sorted(COSTS, key=lambda name: -COSTS[name][1])[:3]
    told = ", ".join(f"{COSTS[name][1]:.2f} ms {name}" for name in dearest)
    return [f"bad input: {rows} rows, {len(COSTS)} inputs, sent {sent} times; dearest: {told}"]
