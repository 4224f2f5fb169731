"""Logins that come at the same time as others, or as a change of the password."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fairbook.api.errors import ApiError
from fairbook.auth.user_accounts import LoginSession
from tests.auth.test_unfinished_sign_ups import EMAIL, GOOD, OTHER, Users, play
from tests.auth.test_users_of_a_process import Venue
from tests.world.exchange_process import ExchangeProcess


def test_guesses_at_once_cost_as_much_as_one_after_the_other(tmp_path: Path) -> None:
    with ExchangeProcess(tmp_path / "d", "--no-replica", "--no-recorder") as process:
        venue = Venue(process)
        email, _ = venue.new_user()
        body = {"email": email, "password": "another password"}
        with ThreadPoolExecutor(60) as pool:
            waiting = [pool.submit(venue.call, "POST", "/auth/v1/login", body) for _ in range(60)]
            statuses = [each.result().status for each in waiting]
        assert set(statuses) == {401, 429} and statuses.count(401) <= 6  # One may have come back.


@pytest.mark.parametrize("pause_s", [0.0, 0.004, 0.015])
def test_no_session_of_an_old_password_is_left(pause_s: float) -> None:
    async def story(place: Users) -> None:
        account = await place.users.sign_up(EMAIL, GOOD)
        await place.users.log_in(EMAIL, GOOD)
        acting = place.users.sessions(account)[0].digest

        async def log_in(number: int) -> LoginSession | None:
            await asyncio.sleep(pause_s * number)
            try:
                return await place.users.log_in(EMAIL, GOOD)
            except ApiError as error:
                assert error.status == 401
                return None

        change = place.users.change_password(account, GOOD, OTHER, acting)
        await asyncio.gather(change, *(log_in(number) for number in range(18)))
        assert [fact.digest for fact in place.users.sessions(account)] == [acting]

    play(story)
