"""Log lines on stderr, as text or as JSON.

Modules log through `logging.getLogger(__name__)`; `extra` holds the fields that programs read.
Nothing on the order path logs.
"""

import json
import logging
import sys
import time
from typing import Any, Final

_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


def configure_logs(json_logs: bool | None) -> None:
    """json_logs: JSON or text; None: text on a terminal, else JSON."""
    is_json = not sys.stderr.isatty() if json_logs is None else json_logs
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if is_json else TextFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("fairbook").setLevel(logging.INFO)


class TextFormatter(logging.Formatter):
    """TIME LEVEL MESSAGE field=value ..."""

    converter = staticmethod(time.gmtime)
    default_msec_format = "%s.%03dZ"
    default_time_format = "%Y-%m-%dT%H:%M:%S"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {name}={value!r}" for name, value in _fields(record).items())
        return super().formatMessage(record) + fields


class JsonFormatter(TextFormatter):
    """One object per line: event, level, timestamp, the fields, and exception if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "timestamp": self.formatTime(record),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """What `extra` gave."""
    return {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
