"""Shared by the client scripts: run steps one by one, and require an error.

Standard library only: it runs under the interpreters of the clients, where Fairbook is not
installed. Started as `python -m SCRIPT NAME VENUE.json`; the file has addresses and credentials.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from decimal import Decimal
from typing import Any

Step = Callable[[dict[str, Any]], None]


def run(scenarios: dict[str, list[Step]], *, clean: Step) -> None:
    """Run the steps of one scenario in order. A failed step is printed, and the rest still run.

    clean: cancels what a failed step left open.
    """
    name, path = sys.argv[1:3]
    with open(path, encoding="utf-8") as file:
        venue = json.load(file)
    failed = 0
    for step in scenarios[name]:
        try:
            step(venue)
        except Exception:  # noqa: BLE001  Whatever went wrong is to be shown.
            failed += 1
            print(f"FAILED {step.__name__}\n{traceback.format_exc()}", flush=True)
            clean(venue)
        else:
            print(f"ok     {step.__name__}", flush=True)
    sys.exit(1 if failed else 0)


def refused(kind: type[BaseException], words: str, act: Callable[[], object]) -> None:
    """`act` must raise exactly `kind`, with `words` in its message."""
    try:
        result = act()
    except BaseException as error:
        if type(error) is not kind or words not in str(error):
            raise AssertionError(f"expected {kind.__name__} with {words!r}") from error
        return
    raise AssertionError(f"expected {kind.__name__} with {words!r}, got {result!r}")


def exact(number: Any) -> Decimal:
    """A number from a client, for comparison without floats."""
    return Decimal(str(number))
