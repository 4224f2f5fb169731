"""Telling others what happened: the hooks of an exchange."""

from collections.abc import Callable, Mapping
from typing import Any

Emit = Callable[[str, Mapping[str, Any]], None]
"""Name and fields of an event. Never waits, and may lose the event."""


def ignore_event(name: str, fields: Mapping[str, Any]) -> None:
    """An exchange without hooks."""
