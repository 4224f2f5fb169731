"""kill -9 between any two steps of sign-up, login and key: nothing is lost, nothing is twice."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from fairbook.cli.keys import new_key
from tests.world.exchange_process import ExchangeProcess
from tests.world.rest_client import OutcomeUnknown, RestClient

ROUNDS = int(os.environ.get("FAIRBOOK_CRASH_ROUNDS", "50"))
SEED = int(os.environ.get("FAIRBOOK_SEED", "2"))
PASSWORD = "a long password"
UNLIMITED = {"FAIRBOOK_SIGN_UPS_PER_HOUR": "0"}


class Story:
    """Users who sign up, log in and register a key, one after the other."""

    def __init__(self) -> None:
        self.accounts: dict[str, str] = {}  # by e-mail address, of those that were answered
        self.keys: dict[str, str] = {}  # id by e-mail address
        self.count = 0

    def email(self) -> str:
        return f"user{self.count}@example.org"

    def step(self, client: RestClient) -> None:
        """One user, as far as it goes. Raises OutcomeUnknown. Repeating it completes it."""
        body: dict[str, Any] = {"email": self.email(), "password": PASSWORD}
        reply = client.call("POST", "/auth/v1/signup", body)
        if reply.status == 201:
            self.accounts[self.email()] = reply.body["accountId"]
        else:
            assert reply.body["message"] == "That e-mail address is taken", reply.body
        login = client.call("POST", "/auth/v1/login", body)
        assert login.status == 200, login.body
        client.headers["Authorization"] = f"Bearer {login.body['token']}"
        key = new_key()
        more = {"publicKey": key["apiKey"], "proof": key["proof"], "label": self.email()}
        reply = client.call("POST", "/auth/v1/keys", more)
        assert reply.status == 201, reply.body
        self.keys[self.email()] = reply.body["id"]
        del client.headers["Authorization"]
        self.count += 1


def play(folder: Path, *, rounds: int, seed: int) -> None:
    made = random.Random(seed)
    story = Story()
    with ExchangeProcess(folder, "--no-replica", environment=UNLIMITED) as venue:
        for _ in range(rounds):
            killer = threading.Timer(made.uniform(0.05, 0.4), venue.kill)
            killer.start()
            client = RestClient(venue.http_port)
            try:
                while True:
                    story.step(client)
            except OutcomeUnknown:
                pass
            killer.join()
            venue.start()
            client = RestClient(venue.http_port)
            story.step(client)  # The one that was cut off.
            client.close()
        check(story, venue)
        venue.stop()
    command = [sys.executable, "-m", "fairbook", "verify", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def check(story: Story, venue: ExchangeProcess) -> None:
    """Every user has one account, one password, and every key that was answered."""
    accounts = list(story.accounts.values())
    assert len(set(accounts)) == len(accounts)
    for email, key_id in story.keys.items():
        client = RestClient(venue.http_port)
        body = {"email": email, "password": PASSWORD}
        token = client.expect(200, "POST", "/auth/v1/login", body)["token"]
        client.headers["Authorization"] = f"Bearer {token}"
        keys = client.expect(200, "GET", "/auth/v1/keys")
        assert key_id in [key["id"] for key in keys]
        client.close()


@pytest.mark.parametrize("seed", [1])
def test_users_survive_kill_9(tmp_path: Path, seed: int) -> None:
    play(tmp_path / "d", rounds=4, seed=seed)


@pytest.mark.slow
def test_users_survive_many_kills(tmp_path: Path) -> None:
    play(tmp_path / "d", rounds=ROUNDS, seed=SEED)
