"""A clock that was ahead and is right again: refusals say so, and the operator may go on."""

import base64
import time
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from fairbook.app.process import _require_right_clock
from fairbook.cli import main
from fairbook.core import admin_records
from tests.world.exchange_process import ExchangeProcess
from tests.world.http_client import bid


def test_signed_orders_are_refused_with_the_reason_until_the_operator_confirms(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exchange = ExchangeProcess(tmp_path)
    with exchange:
        pass
    exchange.append_to_log(admin_records.tick(), ahead_s=3600)
    with exchange:
        key = exchange.demo("demo1")
        client = exchange.rest()

        def place_signed() -> tuple[int, str]:
            order = bid("90", "0.1")
            now = str(time.time_ns() // 1_000_000)
            text = "&".join(f"{name}={order[name]}" for name in sorted(order))
            text = f"instruction=orderExecute&{text}&timestamp={now}&window=5000"
            secret = SigningKey(base64.b64decode(key["apiSecret"]))
            client.headers = {
                "Content-Type": "application/json",
                "X-API-Key": key["apiKey"],
                "X-Timestamp": now,
                "X-Signature": base64.b64encode(secret.sign(text.encode()).signature).decode(),
            }
            reply = client.call("POST", "/api/v1/order", order)
            return reply.status, reply.body.get("message", "")

        status, message = place_signed()
        assert status == 400 and "clock was ahead" in message
        main(["status", str(tmp_path)])
        assert "signed requests are refused until" in capsys.readouterr().out
        assert main(["admin", "confirm-clock", str(tmp_path)]) == 0
        assert "accepted again" in capsys.readouterr().out
        time.sleep(0.05)
        assert place_signed() == (200, "")
        client.close()
    assert "the log is ahead of the clock" in exchange.stderr()


def test_a_clock_that_was_never_set_is_refused_by_name() -> None:
    _require_right_clock(time.time())
    with pytest.raises(OSError, match=r"shows .* 1970: set it"):
        _require_right_clock(20.0)
