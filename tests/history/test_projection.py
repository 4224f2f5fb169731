"""Rows follow exactly from the events, in whatever batches they are recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fairbook.core import records
from fairbook.history.projection import HistoryProjection
from fairbook.history.sqlite_store import FILE_NAME, SqliteStore
from fairbook.history.store import StoreInvalid, StoreTaken, StoreUnavailable
from fairbook.log.command_log import GENESIS_CHAIN
from tests.history.recorded_history import RecordedHistory, generated, require_equal


@pytest.mark.parametrize("seed", range(4))
def test_rows_follow_from_the_events(tmp_path: Path, seed: int) -> None:
    """Including orders that are open, amended, partially filled, cancelled by other commands."""
    past = RecordedHistory(tmp_path, seed)
    past.play(600)
    past.store.close()
    require_equal(tmp_path, past.naive)
    assert len(past.naive.trades) > 50 and len(past.naive.transfers) > 20
    assert {order.closed_ns > 0 for order in past.naive.orders.values()} == {True, False}


def test_the_size_of_batches_makes_no_difference(tmp_path: Path) -> None:
    """Everything in one transaction: the same rows."""
    past = RecordedHistory(tmp_path, 7)
    past.go_on(600)
    past.commit()
    past.store.close()
    require_equal(tmp_path, past.naive)


def test_a_new_recorder_continues_from_the_store(tmp_path: Path) -> None:
    """It needs only the store and the exchange; uncommitted frames are applied again."""
    past = RecordedHistory(tmp_path, 8)
    past.play(100)
    for _ in range(5):
        past.store.close()
        past.store = SqliteStore(tmp_path / FILE_NAME)
        assert past.store.position == past.naive.position
        past.recorder = HistoryProjection(past.store, past.exchange)
        past.play(50)
    past.store.close()
    require_equal(tmp_path, past.naive)


def test_texts_of_client_ids_outlive_their_transactions(tmp_path: Path) -> None:
    """CLOSED comes without the text: an order keeps it if it is accepted in one transaction and
    closed in another, by another recorder, or both in one.
    """
    past = RecordedHistory(tmp_path, 15)
    terms: dict[str, Any] = {"market": 1, "account": 2, "side": records.BID, "quantity": 1}
    past.frame(records.place(text="one", price=10, **terms))
    past.commit()
    past.frame(records.place(text="two", price=10, **terms))
    past.frame(records.cancel(account=2, text="two"))
    past.frame(records.place(text="three", price=10, **terms))
    past.frame(records.amend(account=2, text="one", price=11))
    past.commit()
    past.store.close()
    past.store = SqliteStore(tmp_path / FILE_NAME)
    past.recorder = HistoryProjection(past.store, past.exchange)
    past.frame(records.cancel(account=2, text="one"))
    past.frame(records.place(price=10, **terms))
    past.commit()
    past.store.close()
    rows = [past.naive.orders[order_id] for order_id in sorted(past.naive.orders)]
    assert [(row.client_text, row.closed_ns > 0) for row in rows] == [
        ("one", True), ("two", True), ("three", False), (None, False),
    ]  # fmt: skip
    require_equal(tmp_path, past.naive)


def test_generated_orders_and_trades_are_marked(tmp_path: Path) -> None:
    """An order by its session, a trade by its taker."""
    past = RecordedHistory(tmp_path, 9)
    terms: dict[str, Any] = {"market": 1, "price": 100, "quantity": 2}
    past.frame(generated(account=2, side=records.ASK, **terms))
    past.frame(generated(account=3, side=records.BID, **terms))
    past.frame(generated(account=2, side=records.ASK, **terms))
    past.frame(records.place(account=3, side=records.BID, session=1, **terms))
    past.frame(generated(account=2, side=records.ASK, market=1, price=105, quantity=1))
    past.frame(records.amend(account=2, market=1, order_id=max(past.naive.orders), price=106))
    past.frame(records.place(account=3, side=records.BID, market=1, price=104, quantity=1))
    older = sorted(past.naive.orders)[-2]
    past.frame(records.amend(account=2, market=1, order_id=older, price=104))
    past.commit()
    past.store.close()
    assert [trade.is_generated for trade in past.naive.trades] == [True, False, True]
    assert sum(order.is_generated for order in past.naive.orders.values()) == 4
    require_equal(tmp_path, past.naive)


def test_a_failed_commit_can_be_retried(tmp_path: Path) -> None:
    """The store is locked: nothing is lost, nothing is written twice."""
    past = RecordedHistory(tmp_path, 10)
    past.play(50)
    past.store.close()
    past.store = SqliteStore(tmp_path / FILE_NAME, busy_s=0.01)
    past.recorder = HistoryProjection(past.store, past.exchange)
    other_store = SqliteStore(tmp_path / FILE_NAME)
    other_store._database.execute("BEGIN IMMEDIATE")
    past.go_on(30)
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match="locked"):
            past.commit()
    other_store._database.execute("ROLLBACK")
    other_store.close()
    past.go_on(30)
    past.commit()
    past.store.close()
    require_equal(tmp_path, past.naive)


def test_no_space_left(tmp_path: Path) -> None:
    """A transaction that does not fit leaves nothing behind, and succeeds once there is space."""
    past = RecordedHistory(tmp_path, 14)
    past.play(50)
    database = past.store._database
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages}")
    past.go_on(400)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="full"):
            past.commit()
    database.execute("PRAGMA max_page_count = 100000")
    past.commit()
    past.store.close()
    require_equal(tmp_path, past.naive)


def test_a_second_recorder_of_one_store_is_refused(tmp_path: Path) -> None:
    """Before it has changed anything."""
    past = RecordedHistory(tmp_path, 11)
    past.play(20)
    other = SqliteStore(tmp_path / FILE_NAME)
    past.play(20)
    late = HistoryProjection(other, past.exchange)
    with pytest.raises(StoreTaken, match="another recorder"):
        late.commit(position=past.naive.position + 1, time_ns=0, chain=GENESIS_CHAIN)
    other.close()
    past.store.close()
    require_equal(tmp_path, past.naive)


def test_a_removed_or_replaced_file_is_not_written(tmp_path: Path) -> None:
    file = tmp_path / FILE_NAME
    past = RecordedHistory(tmp_path, 11)
    past.play(20)
    file.rename(tmp_path / "moved")
    past.go_on(20)
    with pytest.raises(StoreTaken, match="removed or replaced"):
        past.commit()
    file.write_bytes((tmp_path / "moved").read_bytes())
    with pytest.raises(StoreTaken, match="removed or replaced"):
        past.commit()
    (tmp_path / "moved").replace(file)
    past.commit()
    past.store.close()
    require_equal(tmp_path, past.naive)


def test_a_trade_is_never_recorded_twice(tmp_path: Path) -> None:
    """A batch with recorded frames is refused as a whole."""
    past = RecordedHistory(tmp_path, 12)
    past.play(100)
    assert past.naive.trades
    again = RecordedHistory(tmp_path, 12)  # The same from the beginning, into the same store.
    again.store.position = past.naive.position
    again.go_on(100)
    with pytest.raises(StoreInvalid, match="UNIQUE"):
        again.commit()
    again.store.close()
    past.store.close()
    require_equal(tmp_path, past.naive)


def test_files_that_are_no_store_are_refused(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(b"not a database, but long enough to have a header" * 10)
    with pytest.raises(StoreInvalid, match="not a database"):
        SqliteStore(path)
    path.unlink()
    store = SqliteStore(path)
    store._database.execute("PRAGMA user_version = 1")
    store.close()
    with pytest.raises(StoreInvalid, match="it has schema version 1, not 2"):
        SqliteStore(path)
    with pytest.raises(StoreUnavailable):
        SqliteStore(tmp_path / "no such folder" / FILE_NAME)
