"""The bench of orders: its mix, its signatures, and a quick run. Its figures are not looked at."""

from __future__ import annotations

import base64
import itertools
from collections import Counter
from pathlib import Path

from nacl.bindings import crypto_sign_open, crypto_sign_seed_keypair

from bench.order_mix import BUY, CANCEL, PASSIVE, SELL, Mix, Trader
from tests.bench.quick import needs_two_processors, quick_run


def _traders() -> tuple[Trader, Trader]:
    def trader(number: int) -> Trader:
        seed = bytes([number]) * 32
        public_key, _ = crypto_sign_seed_keypair(seed)
        return Trader(
            {
                "apiKey": base64.b64encode(public_key).decode(),
                "apiSecret": base64.b64encode(seed).decode(),
                "token": f"token{number}",
            }
        )

    return trader(1), trader(2)


def test_the_mix_is_m1() -> None:
    """45 % passive, 45 % cancels, 10 % pairs; a cancel follows its order, a buyer a seller."""
    steps = Mix(_traders(), seed=1).m1(0, 20_000)
    kinds = Counter(step.kind for step in steps)
    assert abs(kinds[PASSIVE] / len(steps) - 0.45) < 0.01
    assert abs(kinds[CANCEL] / len(steps) - 0.45) < 0.01
    assert kinds[SELL] == kinds[BUY] == (len(steps) - 4) // 20
    live: set[int] = set()
    for before, step in itertools.pairwise(steps):
        assert (before.kind == SELL) == (step.kind == BUY)
    for step in steps:
        if step.kind == PASSIVE:
            live.add(step.client_id)
        elif step.kind == CANCEL:
            live.remove(step.client_id)


def test_a_signature_covers_the_request() -> None:
    trader = _traders()[0]
    request = trader.http("DELETE", "/api/v1/order", {"clientId": 7, "symbol": "SOL_USDC"}, 1234)
    head, _, body = request.partition(b"\r\n\r\n")
    headers = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
    assert body == b'{"clientId":7,"symbol":"SOL_USDC"}'
    signature = base64.b64decode(headers[b"X-Signature"])
    text = b"instruction=orderCancel&clientId=7&symbol=SOL_USDC&timestamp=1234&window=60000"
    public_key = base64.b64decode(headers[b"X-API-Key"])
    assert crypto_sign_open(signature + text, public_key) == text


@needs_two_processors
def test_a_quick_run_writes_its_tables(tmp_path: Path) -> None:
    text = quick_run(tmp_path, "orders")
    assert " 0 of them wrong." in text
    for connections in (8, 32):
        for kind in ("ping", "bearer", "signed"):
            assert f"| {connections} | 0 | {kind} | " in text


@needs_two_processors
def test_a_quick_run_of_followers_writes_its_table(tmp_path: Path) -> None:
    text = quick_run(tmp_path, "followers")
    assert " 0 of them wrong." in text
    for what in ("nothing", "replica and recorder", "and 4 subscribers", "and both traders"):
        assert f"\n| {what}" in text
