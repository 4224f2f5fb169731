"""Sign-up, login, sessions and keys, as a client of a real process sees them."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from fairbook.accounts.sqlite_accounts import SqliteAccounts
from fairbook.cli.keys import new_invitation, new_key
from tests.venue.config_texts import SMALL
from tests.world.exchange_process import ExchangeProcess
from tests.world.rest_client import Reply, RestClient
from tests.world.socket_client import SocketClient

PASSWORD = "a long password"
ENDED_S = 3.0  # three times what is promised


class Venue:
    """One process, and its users."""

    def __init__(self, process: ExchangeProcess) -> None:
        self.process = process
        self.count = 0

    def call(
        self, method: str, path: str, body: Any = None, token: str = "", **headers: str
    ) -> Reply:
        client = RestClient(self.process.http_port, token)
        client.headers |= {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            return client.call(method, path, body)
        finally:
            client.close()

    def new_user(self) -> tuple[str, str]:
        """Sign up; the e-mail address and the account."""
        self.count += 1
        email = f"user{self.count}@example.org"
        reply = self.call("POST", "/auth/v1/signup", {"email": email, "password": PASSWORD})
        assert reply.status == 201, reply.body
        return email, reply.body["accountId"]

    def log_in(self, email: str, password: str = PASSWORD) -> str:
        reply = self.call("POST", "/auth/v1/login", {"email": email, "password": password})
        assert reply.status == 200, reply.body
        return str(reply.body["token"])

    def new_session(self) -> str:
        return self.log_in(self.new_user()[0])

    def add_key(self, token: str, **more: Any) -> tuple[dict[str, str], Reply]:
        key = new_key()
        body = {"publicKey": key["apiKey"], "proof": key["proof"], **more}
        return key, self.call("POST", "/auth/v1/keys", body, token)

    def signed(self, key: dict[str, str], method: str, path: str, instruction: str) -> Reply:
        """A request without fields, signed by an API key."""
        now = str(int(time.time() * 1000))
        text = f"instruction={instruction}&timestamp={now}&window=5000"
        secret = SigningKey(base64.b64decode(key["apiSecret"]))
        signature = base64.b64encode(secret.sign(text.encode()).signature).decode()
        return self.call(
            method, path, {} if method == "POST" else None,
            **{"X-API-Key": key["apiKey"], "X-Signature": signature, "X-Timestamp": now},
        )  # fmt: skip


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    folder = tmp_path_factory.mktemp("users") / "d"
    options = ("--no-replica", "--no-recorder")
    process = ExchangeProcess(folder, *options, environment={"FAIRBOOK_SIGN_UPS_PER_HOUR": "0"})
    with process:
        yield Venue(process)


def test_from_sign_up_to_an_order(venue: Venue) -> None:
    email, account = venue.new_user()
    token = venue.log_in(email.upper())
    key, reply = venue.add_key(token, label="bot", permissions=["read", "trade"])
    assert reply.status == 201 and reply.body["permissions"] == ["read", "trade"]
    listed = venue.call("GET", "/auth/v1/keys", token=token).body
    assert [(each["publicKey"], each["label"]) for each in listed] == [(key["apiKey"], "bot")]
    assert venue.call("POST", "/api/v1/faucet", {"symbol": "USDC", "quantity": "100"}, token)
    capital = venue.signed(key, "GET", "/api/v1/capital", "balanceQuery")
    assert capital.body["USDC"]["available"] == "100"
    assert int(account) > 5


@pytest.mark.parametrize(
    ("email", "password", "message"),
    [
        ("no address", PASSWORD, "email must be an address"),
        ("a@b", PASSWORD, "email must be an address"),
        ("\u0430nn@example.org", PASSWORD, "email must be an address"),  # Cyrillic
        ("a..b@example.org", PASSWORD, "email must be an address"),
        ("a@-example.org", PASSWORD, "email must be an address"),
        ("x" * 300 + "@example.org", PASSWORD, "Missing or malformed field: email"),
        (7, PASSWORD, "email must be an address"),
        ("p@example.org", "too short", "A password has 10 to 128 characters"),
        ("p@example.org", "x" * 129, "A password has 10 to 128 characters"),
        ("p@example.org", "P@example.ORG", "The password must not be the e-mail address"),
        ("p@example.org", "aaaaaaaaaabb", "The password has too few different characters"),
        ("p@example.org", None, "Missing or malformed field: password"),
    ],
)
def test_a_sign_up_that_is_refused(venue: Venue, email: Any, password: Any, message: str) -> None:
    reply = venue.call("POST", "/auth/v1/signup", {"email": email, "password": password})
    assert reply.status == 400 and reply.body["message"].startswith(message), reply.body


def test_an_address_is_taken_once_in_any_case(venue: Venue) -> None:
    email, _ = venue.new_user()
    reply = venue.call("POST", "/auth/v1/signup", {"email": email.title(), "password": PASSWORD})
    assert (reply.status, reply.body["message"]) == (400, "That e-mail address is taken")


def test_unknown_users_and_wrong_passwords_get_one_answer(venue: Venue) -> None:
    email, _ = venue.new_user()
    wrong = {"email": email, "password": "another password"}
    unknown = {"email": "none@example.org", "password": "another password"}
    first, second = (venue.call("POST", "/auth/v1/login", body) for body in (wrong, unknown))
    assert (first.status, first.body) == (second.status, second.body)
    assert (first.status, first.body["code"]) == (401, "UNAUTHORIZED")


def test_wrong_passwords_are_slowed_down_and_lock_out_no_other_user(venue: Venue) -> None:
    email, _ = venue.new_user()
    other, _ = venue.new_user()
    wrong = {"email": email, "password": "another password"}
    statuses = [venue.call("POST", "/auth/v1/login", wrong).status for _ in range(8)]
    assert statuses == [401] * 5 + [429] * 3
    right = {"email": email, "password": PASSWORD}
    assert venue.call("POST", "/auth/v1/login", right).status == 429, "no guess goes on"
    venue.log_in(other)


def test_an_account_has_twenty_sessions(venue: Venue) -> None:
    """The next login ends the oldest."""
    email, _ = venue.new_user()
    tokens = [venue.log_in(email) for _ in range(21)]
    statuses = [venue.call("GET", "/auth/v1/sessions", token=token).status for token in tokens]
    assert statuses == [401] + [200] * 20
    listed = venue.call("GET", "/auth/v1/sessions", token=tokens[-1]).body
    assert len(listed) == 20 and [each["current"] for each in listed].count(True) == 1
    statuses = [
        venue.call("POST", "/auth/v1/login", {"email": email, "password": PASSWORD}).status
        for _ in range(10)
    ]
    assert statuses == [200] * 9 + [429], "thirty at once"
    mine = next(each for each in listed if each["current"])
    assert 86_300_000 < mine["expiresAt"] - mine["createdAt"] < 86_500_000


def test_sessions_are_ended_by_log_out_by_id_and_by_a_new_password(venue: Venue) -> None:
    email, _ = venue.new_user()
    first, second, third = (venue.log_in(email) for _ in range(3))
    assert venue.call("POST", "/auth/v1/logout", token=first).status == 200
    assert venue.call("GET", "/auth/v1/sessions", token=first).status == 401
    listed = venue.call("GET", "/auth/v1/sessions", token=second).body
    other = next(each["id"] for each in listed if not each["current"])
    assert venue.call("DELETE", f"/auth/v1/sessions/{other}", token=second).status == 200
    assert venue.call("DELETE", f"/auth/v1/sessions/{other}", token=second).status == 404
    assert venue.call("GET", "/auth/v1/sessions", token=third).status == 401
    third = venue.log_in(email)
    change = {"oldPassword": PASSWORD, "newPassword": "a longer password"}
    wrong = {**change, "oldPassword": "wrong password"}
    assert venue.call("POST", "/auth/v1/password", wrong, second).status == 403
    assert venue.call("POST", "/auth/v1/password", change, second).status == 200
    assert venue.call("GET", "/auth/v1/sessions", token=third).status == 401
    assert venue.call("GET", "/auth/v1/sessions", token=second).status == 200
    old = {"email": email, "password": PASSWORD}
    assert venue.call("POST", "/auth/v1/login", old).status == 401
    venue.log_in(email, "a longer password")


def test_what_a_key_needs(venue: Venue) -> None:
    token, other = venue.new_session(), venue.new_session()
    key, stranger = new_key(), new_key()
    body = {"publicKey": key["apiKey"], "proof": key["proof"]}
    for wrong in (
        {**body, "proof": stranger["proof"]},
        {**body, "proof": "x"},
        {"publicKey": key["apiKey"]},
        {**body, "publicKey": base64.b64encode(bytes(32)).decode()},
        {**body, "permissions": []},
        {**body, "permissions": ["own"]},
        {**body, "permissions": "trade"},
        {**body, "label": "x" * 101},
        {**body, "label": "a\nb"},
        {**body, "expiresAt": 1},
        {**body, "expiresAt": "soon"},
        {**body, "expiresAt": 9_999_999_999_999},
        {**body, "secret": "x"},
    ):
        assert venue.call("POST", "/auth/v1/keys", wrong, token).status == 400, wrong
    soon = int(time.time() * 1000) + 3_600_000
    reply = venue.call("POST", "/auth/v1/keys", {**body, "expiresAt": soon}, token)
    assert (reply.status, reply.body["permissions"], reply.body["expiresAt"]) == (
        201,
        ["read"],
        soon,
    )
    again = venue.call("POST", "/auth/v1/keys", body, other)
    assert again.body["message"] == "The public key is already registered"
    path = f"/auth/v1/keys/{reply.body['id']}"
    assert venue.call("DELETE", path, token=other).status == 404, "another account's"
    assert venue.call("DELETE", path, token=token).status == 200
    assert venue.signed(key, "GET", "/api/v1/capital", "balanceQuery").status == 401


def test_an_api_key_manages_no_keys_or_sessions(venue: Venue) -> None:
    key, reply = venue.add_key(venue.new_session(), permissions=["read", "trade", "withdraw"])
    assert reply.status == 201
    assert venue.signed(key, "GET", "/auth/v1/keys", "keyQueryAll").status == 200
    assert venue.signed(key, "POST", "/auth/v1/keys", "keyAdd").status == 403
    assert venue.signed(key, "POST", "/auth/v1/logout", "sessionEnd").status == 403
    assert venue.signed(key, "POST", "/auth/v1/password", "passwordUpdate").status == 403
    path = f"/auth/v1/keys/{reply.body['id']}"
    assert venue.signed(key, "DELETE", path, "keyEnd").status == 403


ROUTES = [
    ("POST", "/auth/v1/logout"), ("GET", "/auth/v1/sessions"), ("POST", "/auth/v1/password"),
    ("GET", "/auth/v1/keys"), ("POST", "/auth/v1/keys"), ("DELETE", "/auth/v1/keys/00"),
    ("DELETE", "/auth/v1/sessions/00"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_private_route_needs_a_live_credential(venue: Venue, method: str, path: str) -> None:
    token = venue.new_session()
    assert venue.call("POST", "/auth/v1/logout", token=token).status == 200
    for given in ("", "wrong", token):
        reply = venue.call(method, path, {} if method == "POST" else None, given)
        assert (reply.status, reply.body["code"]) == (401, "UNAUTHORIZED")


def test_a_session_that_ends_closes_its_streams(venue: Venue) -> None:
    email, _ = venue.new_user()
    token, other = venue.log_in(email), venue.log_in(email)
    socket = SocketClient(venue.process.ws_port, wait_s=ENDED_S).upgrade(token)
    listed = venue.call("GET", "/auth/v1/sessions", token=other).body
    ended = next(each["id"] for each in listed if not each["current"])
    assert venue.call("DELETE", f"/auth/v1/sessions/{ended}", token=other).status == 200
    assert socket.closed() == (1008, "key or token has ended")
    socket.close()


def test_many_logins_at_once_are_bounded_and_orders_go_on(venue: Venue) -> None:
    email, _ = venue.new_user()
    body = {"email": email, "password": PASSWORD}
    order = {"symbol": "SOL_USDC", "side": "Bid", "orderType": "Limit", "price": "1"}
    trader = RestClient(venue.process.http_port, venue.process.demo("demo1")["token"])
    with ThreadPoolExecutor(100) as pool:
        waiting = [pool.submit(venue.call, "POST", "/auth/v1/login", body) for _ in range(200)]
        placed = 0
        while not all(each.done() for each in waiting):
            trader.expect(200, "POST", "/api/v1/order", {**order, "quantity": "1"})
            placed += 1
            time.sleep(0.005)
        statuses = {each.result().status for each in waiting}
    trader.close()
    assert statuses <= {200, 429, 503} and 200 in statuses
    assert placed > 10


def test_the_first_sign_ups_of_an_address_are_taken(tmp_path: Path) -> None:
    """Five an hour; a restart may forget that, the users it does not."""
    with ExchangeProcess(tmp_path / "d", "--no-replica", "--no-recorder") as process:
        venue = Venue(process)
        for _ in range(5):
            venue.new_user()
        reply = venue.call(
            "POST", "/auth/v1/signup", {"email": "b@example.org", "password": PASSWORD}
        )
        assert reply.status == 429 and int(reply.headers["retry-after"]) > 60
        token = venue.log_in("user3@example.org")
        process.kill()
        process.start()
        assert venue.call("GET", "/auth/v1/sessions", token=token).status == 200
        assert json.loads(process.demo_path.read_bytes())["accounts"]


def test_a_closed_venue_takes_no_sign_ups(tmp_path: Path) -> None:
    path = tmp_path / "venue.toml"
    path.write_text(
        'name = "x"\n[[assets]]\nname = "A"\ndecimals = 1\ncredit_max = "0"\n'
        '[[assets]]\nname = "B"\ndecimals = 1\ncredit_max = "0"\n'
        '[[markets]]\nsymbol = "A_B"\ntick = "0.1"\nlot = "1"\n'
        '[[operators]]\nname = "a"\n[[operators]]\nname = "b"\n'
    )
    options = ("--config", str(path), "--no-replica", "--no-recorder")
    with ExchangeProcess(tmp_path / "d", *options) as process:
        body = {"email": "b@example.org", "password": PASSWORD}
        reply = Venue(process).call("POST", "/auth/v1/signup", body)
        assert (reply.status, reply.body["code"]) == (403, "FORBIDDEN")


def test_a_venue_by_invitation(tmp_path: Path) -> None:
    """A code of an operator counts once, and a planted row for one that was never given not."""
    path, folder = tmp_path / "venue.toml", tmp_path / "d"
    path.write_text(SMALL.replace('name = "Small"', 'name = "S"\nsign_up = "invitation"'))
    options = ("--config", str(path), "--no-replica", "--no-recorder")
    with ExchangeProcess(folder, *options) as process:
        venue = Venue(process)
        made, planted = new_invitation(), new_invitation()
        token = json.loads((folder / "admin-2.json").read_bytes())["token"]
        url = json.loads((folder / "admin.json").read_bytes())["admin"]
        operator = RestClient(int(url.rpartition(":")[2]), token)
        body = {"codeHash": made["codeHash"], "reason": "for Bob"}
        operator.expect(200, "POST", "/admin/v1/invite", body)
        operator.close()
        with closing(SqliteAccounts(folder / "accounts.db")) as store:
            known = store.operators.invitation(bytes.fromhex(made["codeHash"]))
            assert known is not None
            digest = bytes.fromhex(planted["codeHash"])
            store.operators.add_invitation(known._replace(digest=digest))
        statuses = []
        for number, code in enumerate(
            (None, "x", planted["code"], made["code"], made["code"], 7, "x" * 200)
        ):
            asked: dict[str, Any] = {"email": f"user{number}@example.org", "password": PASSWORD}
            asked |= {} if code is None else {"invitation": code}
            statuses.append(venue.call("POST", "/auth/v1/signup", asked).status)
        assert statuses == [403, 403, 403, 201, 403, 403, 403]
        venue.log_in("user3@example.org")


def test_a_lost_password_is_set_anew_with_a_code_of_two_operators(tmp_path: Path) -> None:
    """Once, for its account alone; one operator is not enough, nor is a planted row."""
    folder = tmp_path / "d"
    options = ("--no-replica", "--no-recorder")
    unlimited = {"FAIRBOOK_SIGN_UPS_PER_HOUR": "0"}
    with ExchangeProcess(folder, *options, environment=unlimited) as process:
        venue = Venue(process)
        (email, account), (other, _) = venue.new_user(), venue.new_user()
        session = venue.log_in(email)
        url = json.loads((folder / "admin.json").read_bytes())["admin"]
        ann, ben = (
            RestClient(
                int(url.rpartition(":")[2]), json.loads((folder / name).read_bytes())["token"]
            )
            for name in ("admin.json", "admin-2.json")
        )
        made, planted = new_invitation(), new_invitation()
        body = {"accountId": account, "codeHash": made["codeHash"], "reason": "asked"}
        proposed = ann.expect(200, "POST", "/admin/v1/reset-password", body)
        reset = {"email": email, "code": made["code"], "newPassword": "quite another one"}
        assert venue.call("POST", "/auth/v1/reset", reset).status == 403, "one is not enough"
        approve = {"proposal": proposed["proposal"], "reason": "checked"}
        ann.expect(403, "POST", "/admin/v1/approve", approve)
        ben.expect(200, "POST", "/admin/v1/approve", approve)
        with closing(SqliteAccounts(folder / "accounts.db")) as store:
            known = store.operators.reset(bytes.fromhex(made["codeHash"]))
            assert known is not None
            digest = bytes.fromhex(planted["codeHash"])
            store.operators.add_reset(known._replace(digest=digest))
        for wrong in (
            {**reset, "code": planted["code"]}, {**reset, "email": other}, {**reset, "code": "x"},
        ):  # fmt: skip
            assert venue.call("POST", "/auth/v1/reset", wrong).status == 403
        assert venue.call("GET", "/auth/v1/sessions", token=session).status == 200
        assert venue.call("POST", "/auth/v1/reset", reset).status == 200
        assert venue.call("POST", "/auth/v1/reset", reset).status == 403, "once"
        assert venue.call("GET", "/auth/v1/sessions", token=session).status == 401
        old = {"email": email, "password": PASSWORD}
        assert venue.call("POST", "/auth/v1/login", old).status == 401
        venue.log_in(email, "quite another one")
        venue.log_in(other)
        ann.close()
        ben.close()
