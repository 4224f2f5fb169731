"""docs/reference/state-format.md describes the image of the state: it is read here by the page."""

from __future__ import annotations

import struct
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fairbook.core import state, state_records
from fairbook.core.exchange import Exchange
from fairbook.engine import snapshots
from fairbook.engine.runner import Runner
from tests.conftest import ROOT
from tests.core import wire
from tests.core.stream import START_NS, SplitMix64, Stream, opening
from tests.core.stream_signed import SignedStream, signed_opening

PAGE = (ROOT / "docs" / "reference" / "state-format.md").read_text(encoding="utf-8")
Row = dict[str, int]


def documented() -> dict[str, list[str]]:
    """The fields of each part of the image, by its name."""
    table = PAGE.split("## Image")[1].split("## Snapshot files")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    return {name: fields.split() for name, _, fields in rows[1:]}


FIELDS = documented()


class Image:
    """Reads an image as the page says."""

    def __init__(self, data: bytes) -> None:
        self.words = struct.unpack(f"<{len(data) // 8}q", data)
        self.at = 0
        self.parts: dict[str, list[Row]] = {name: [] for name in FIELDS}
        self.texts: dict[int, bytes] = {}
        self._read()
        assert self.at == len(self.words)

    def word(self) -> int:
        self.at += 1
        return int(self.words[self.at - 1])

    def record(self, part: str) -> Row:
        row = {field: self.word() for field in FIELDS[part]}
        self.parts[part].append(row)
        return row

    def records(self, part: str, count: int | None = None) -> None:
        for _ in range(self.word() if count is None else count):
            self.record(part)

    def _read(self) -> None:
        self.records("head", 1)
        self.records("tables", 1)
        self.records("pauses", 2)
        self.records("assets", self.word() - 1)
        for _ in range(markets := self.word() - 1):
            self.record("markets")
            self.records("fees of groups")
        self.records("accounts")
        for account in range(len(self.parts["accounts"])):
            while self.words[self.at] != 0:
                self.record("balances")["account"] = account
            self.word()
        self.records("operators", self.word() - 1)
        for part in (
            "credentials", "revoked credentials", "references", "daily withdrawals",
            "used signatures", "gateways", "ended gateways", "begins of gateways",
        ):  # fmt: skip
            self.records(part)
        self.records("local gateway", 1)
        for _ in range(markets):
            self.word()
            self.records("slots")
        for _ in range(self.word()):
            self._order()
        while self.at < len(self.words):
            self.record("closed client ids")

    def _order(self) -> None:
        order = self.record("orders")
        if length := self.word():
            words = list(self.record("text of an order").values())
            self.texts[order["id"]] = struct.pack("<5q", *words)[:length]
        if self.word():
            self.record("client id of an order")


def played(stream: Stream, first: bytes, frames: int) -> Exchange:
    exchange = Exchange()
    stream.saw(wire.split_events(exchange.apply(first, START_NS)))
    for _ in range(frames):
        frame, time_ns = stream.frame(), stream.step()
        stream.saw(wire.split_events(exchange.apply(frame, time_ns)))
    return exchange


def test_an_image_is_what_the_page_says() -> None:
    """Everything in it is found, and nothing is left over."""
    seen: Counter[str] = Counter()
    for exchange in (
        Exchange(),
        played(Stream(SplitMix64(1).pick), opening(), 3_000),
        played(SignedStream(SplitMix64(7).pick), signed_opening(), 1_500),
    ):
        image = Image(state.dump(exchange))
        seen.update({part: len(rows) for part, rows in image.parts.items()})
        (head,) = image.parts["head"]
        assert head == {
            "format": 2, "sequence": exchange.sequence, "time_ns": exchange.time_ns,
        }  # fmt: skip
        totals: Counter[int] = Counter()
        for balance in image.parts["balances"]:
            totals[balance["asset"]] += balance["available"] + balance["locked"]
        assert not any(totals.values())
        orders = [
            (order["id"], order["remaining"], image.texts.get(order["id"], b""))
            for order in image.parts["orders"]
        ]
        assert sorted(orders) == sorted(
            (order.id, order.remaining, order.text())
            for book in exchange.tables.books
            for order in book.slots.orders
            if order is not None
        )
        references = image.parts["references"]
        assert [row["atoms"] for row in references] == [
            row.atoms for row in exchange.tables.references.rows
        ]
    assert {part for part in FIELDS if seen[part] == 0} <= {"ended gateways"}


@pytest.mark.parametrize(
    ("part", "fields"),
    [
        ("tables", state_records.TABLE_FIELDS),
        ("pauses", state_records.PAUSE_FIELDS),
        ("assets", state_records.ASSET_FIELDS),
        ("markets", state_records.MARKET_FIELDS),
        ("fees of groups", state_records.GROUP_FEES_FIELDS),
        ("accounts", state_records.ACCOUNT_FIELDS),
        ("credentials", state_records.CREDENTIAL_FIELDS),
        ("references", state_records.REFERENCE_FIELDS),
        ("daily withdrawals", state_records.DAILY_FIELDS),
        ("gateways", state_records.INSTANCE_FIELDS),
        ("orders", state_records.ORDER_FIELDS),
        ("client id of an order", state_records.CLIENT_ID_FIELDS),
        ("closed client ids", state_records.CLOSED_CLIENT_ID_FIELDS),
    ],
)
def test_fields_have_the_names_that_the_core_gives_them(part: str, fields: str) -> None:
    assert FIELDS[part] == fields.split()


def test_a_snapshot_file_is_what_the_page_says(tmp_path: Path) -> None:
    assert f"format {state.FORMAT} of the image, format {snapshots.FORMAT} of snapshot files" in (
        PAGE.replace("\n", " ")
    )
    exchange = played(Stream(SplitMix64(2).pick), opening(), 50)
    runner = Runner(exchange, position=51, chain=bytes(range(32)), event_hash=bytes([9] * 32))
    content = snapshots.Snapshots(tmp_path).write(runner.snapshot()).read_bytes()
    table = PAGE.split("## Snapshot files")[1].split("## Slices")[0]
    cells = [line.strip("| ").split(" | ") for line in table.splitlines() if line[:3] == "| 0"
             or line[:3].strip("| ").isdigit()]  # fmt: skip
    found: dict[str, Any] = {}
    for offset, *size, field in cells:
        at = int(offset)
        found[field] = content[at : at + int(size[0])] if size and size[0] else content[at:]
    assert found["`FAIRSNAP`"] == b"FAIRSNAP"
    assert int.from_bytes(found["format, 4"], "little") == snapshots.FORMAT
    assert int.from_bytes(found["position"], "little") == 51
    assert found["chain of the log at this position"] == bytes(range(32))
    assert found["digest of the state"] == state.digest(exchange)
    assert content[168:] == state.dump(exchange)
    assert int.from_bytes(found["length of the image"], "little") == len(content) - 168
