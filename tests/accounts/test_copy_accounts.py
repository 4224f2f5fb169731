"""A copy of the accounts belongs to the end of the copied log, while the original goes on."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from fairbook.accounts.contradictions import contradictions
from fairbook.accounts.copy_accounts import copy_accounts
from fairbook.accounts.sqlite_accounts import SqliteAccounts
from fairbook.core import admin_records
from fairbook.core.exchange import Exchange
from fairbook.engine.queries import EngineView
from fairbook.ports.accounts import READ
from tests.accounts.accounts_place import ALICE_USER, AccountsPlace, public_key
from tests.world.direct_exchange import MS, START_NS
from tests.world.memory_accounts import ALICE


def replayed(place: AccountsPlace, frames: int) -> EngineView:
    """The log up to a frame, as a backup copies it."""
    exchange = Exchange()
    for number, frame in enumerate(place.exchange.applied[:frames], start=1):
        exchange.apply(frame, START_NS + number * MS)
    return EngineView(exchange)


def test_what_came_after_the_copied_log_is_left_out(place: AccountsPlace, tmp_path: Path) -> None:
    """Keys, passwords, holds and accounts; a capture becomes a hold, which a start captures."""
    registry = place.registry

    def add_key(number: int) -> None:
        place.do(
            registry.add_key(
                account=ALICE, public_key=public_key(number), label=f"{number}", permissions=READ
            )
        )

    add_key(1)
    place.do(registry.set_second_factor(ALICE_USER, b"old"))
    held = place.withdrawal(capture=False)
    end = place.exchange.position
    add_key(2)
    place.do(registry.set_second_factor(ALICE_USER, b"new"))
    place.exchange.do(admin_records.capture(held.reference))
    place.store.transfers.mark_captured(held.withdrawal_id)
    place.withdrawal()
    place.withdrawal(hold=False)
    later = place.store.add_user(name="carol")
    place.exchange.do(admin_records.open_account(later.user_id))
    place.store.set_account(later.user_id, place.exchange.account_of_user(later.user_id))

    facts = replayed(place, end)
    copy_accounts(place.path, tmp_path / "copy.db", facts)
    with closing(SqliteAccounts(tmp_path / "copy.db")) as copy:
        assert contradictions(copy, facts) == []
        assert [row.label for row in copy.credentials(ALICE)] == ["1"]
        (open_row,) = copy.transfers.open_withdrawals()
        assert open_row == held
        carol = copy.user(later.user_id)
        assert carol is not None and carol.account == 0
        assert copy.add_user(name="next").user_id == later.user_id + 1
    copy_accounts(place.path, tmp_path / "whole.db", place.exchange)
    with closing(SqliteAccounts(tmp_path / "whole.db")) as copy:
        assert copy.count() == place.store.count() - 1  # without the row that has no HOLD


def test_contradictions_are_copied(place: AccountsPlace, tmp_path: Path) -> None:
    """A backup does not hide what was edited."""
    place.do(
        place.registry.add_key(
            account=ALICE, public_key=public_key(1), label="bot", permissions=READ
        )
    )
    place.edit("UPDATE credential SET permissions = 7, digest = zeroblob(32)")
    place.exchange.do(admin_records.tick())
    assert len(place.contradictions()) == 1
    copy_accounts(place.path, tmp_path / "copy.db", place.exchange)
    with closing(SqliteAccounts(tmp_path / "copy.db")) as copy:
        assert contradictions(copy, place.exchange) == place.contradictions()
