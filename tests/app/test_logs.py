"""Log lines: text for people, one JSON object a line for programs."""

import json
import logging
import sys
from typing import Any

import pytest

from fairbook.app.logs import JsonFormatter, TextFormatter


def record(**fields: Any) -> logging.LogRecord:
    made = logging.makeLogRecord(
        {"name": "fairbook", "levelname": "INFO", "msg": "wrote %d", "args": (3,), **fields}
    )
    made.created, made.msecs = 1_700_000_000.0, 25.0
    return made


def test_text_has_the_fields_behind_the_message() -> None:
    assert TextFormatter().format(record(position=7)) == (
        "2023-11-14T22:13:20.025Z INFO    wrote 3 position=7"
    )


def test_json_has_the_fields_as_keys() -> None:
    assert json.loads(JsonFormatter().format(record(position=7))) == {
        "event": "wrote 3",
        "level": "info",
        "timestamp": "2023-11-14T22:13:20.025Z",
        "position": 7,
    }


def test_json_has_the_traceback() -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        _ = 1 / (len(sys.argv) - len(sys.argv))
    error = raised.value
    line = JsonFormatter().format(record(exc_info=(type(error), error, error.__traceback__)))
    assert "ZeroDivisionError" in json.loads(line)["exception"]
