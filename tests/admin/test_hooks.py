"""Hooks: programs and URLs that are told of events."""

from __future__ import annotations

import asyncio
import hmac
import json
import sys
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path

import pytest

from fairbook.admin import hooks as hooks_module
from fairbook.admin.acts import ACTS
from fairbook.admin.hooks import QUEUED_MAX, TRIES, Hook, Hooks
from fairbook.venue.toml_file import ConfigError
from fairbook.venue.venue import EVENTS, venue_of
from tests.admin.operators_world import OperatorsWorld, with_operators
from tests.venue.config_texts import SMALL
from tests.world.memory_accounts import BOB
from tests.world.waiting import until

SECRET = "a secret of the receiver, long enough too"


def writer_of(path: Path, *, code: int = 0) -> tuple[str, ...]:
    """A program that appends what it is told to a file."""
    program = f"import sys; open({str(path)!r}, 'a').write(sys.stdin.read()); sys.exit({code})"
    return (sys.executable, "-c", program)


def play(hooks: Hooks, condition: Callable[[], bool], *events: str) -> None:
    async def main() -> None:
        for at, name in enumerate(events):
            hooks.emit(name, {"number": at})
        await until(condition)
        await hooks.stop()

    asyncio.run(main())


def test_a_program_gets_each_event_that_it_wants_and_its_secret(tmp_path: Path) -> None:
    path = tmp_path / "told"
    hook = Hook(frozenset({"pause", "freeze"}), writer_of(path), secret=SECRET)
    hooks = Hooks([hook])
    play(hooks, lambda: hooks.delivered == 2, "pause", "credit", "freeze")
    told = [json.loads(line) for line in path.read_text().splitlines()]
    assert [each["event"]["event"] for each in told] == ["pause", "freeze"]
    assert {each["secret"] for each in told} == {SECRET}
    assert SECRET not in " ".join(hook.command)


@pytest.mark.parametrize("command", [writer_of, None])
def test_a_program_that_fails_is_tried_again_and_then_dropped(
    tmp_path: Path, command: Callable[..., tuple[str, ...]] | None
) -> None:
    path = tmp_path / "told"
    failing = ("/no/such/program",) if command is None else command(path, code=3)
    hooks = Hooks([Hook(frozenset({"all"}), failing)], pause_s=0.0)
    play(hooks, lambda: hooks.dropped == 1, "pause")
    if command is not None:
        assert len(path.read_text().splitlines()) == TRIES


def test_a_program_that_does_not_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks_module, "DEADLINE_S", 0.2)
    hooks = Hooks([Hook(frozenset({"all"}), ("sleep", "600"))], pause_s=0.0)
    play(hooks, lambda: hooks.dropped == 1, "pause")


def test_a_full_queue_drops_and_counts() -> None:
    hooks = Hooks([Hook(frozenset({"all"}), ("sleep", "600"))])

    async def main() -> None:
        for number in range(QUEUED_MAX + 5):
            hooks.emit("pause", {"number": number})
        assert hooks.status() == {"queued": QUEUED_MAX, "delivered": 0, "dropped": 5}
        await hooks.stop()

    asyncio.run(main())


def serve(answer: bytes, story: Callable[[int, list[bytes]], Awaitable[None]]) -> None:
    """A receiver that answers each request like this."""

    async def main() -> None:
        got: list[bytes] = []

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            got.append(head + await reader.readexactly(length))
            writer.write(answer)
            writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        async with server:
            await story(server.sockets[0].getsockname()[1], got)

    asyncio.run(main())


def test_a_url_gets_a_signed_request() -> None:
    async def story(port: int, got: list[bytes]) -> None:
        url = f"http://127.0.0.1:{port}/told?a=1"
        hooks = Hooks([Hook(frozenset({"all"}), url=url, secret=SECRET)])
        hooks.emit("freeze", {"operator": 1})
        await until(lambda: hooks.delivered)
        head, _, body = got[0].partition(b"\r\n\r\n")
        assert head.startswith(b"POST /told?a=1 HTTP/1.1\r\n")
        assert json.loads(body)["event"] == "freeze"
        lines = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
        signed = lines[b"X-Webhook-Timestamp"] + b"." + body
        expected = hmac.new(SECRET.encode(), signed, sha256).hexdigest()
        assert lines[b"X-Webhook-Signature"].decode() == expected

    serve(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", story)


def test_a_redirect_is_not_followed() -> None:
    async def story(port: int, got: list[bytes]) -> None:
        hook = Hook(frozenset({"all"}), url=f"http://127.0.0.1:{port}/")
        hooks = Hooks([hook], pause_s=0.0)
        hooks.emit("freeze", {})
        await until(lambda: hooks.dropped)
        assert len(got) == TRIES and all(each.startswith(b"POST / ") for each in got)

    moved = b"HTTP/1.1 307 Moved\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n"
    serve(moved, story)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('events = ["paus"]\ncommand = ["x"]', "did you mean pause?"),
        ('events = []\ncommand = ["x"]', "at least one of"),
        ('events = ["pause"]', "either a command or a url"),
        ('events = ["pause"]\ncommand = ["x"]\nurl = "http://h/"', "either a command or a url"),
        ('events = ["pause"]\nurl = "ftp://h/"', "https://HOST/PATH"),
        ('events = ["pause"]\nurl = "https://user@h/"', "https://HOST/PATH"),
    ],
)
def test_a_wrong_hook_is_refused_with_its_line(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        venue_of(f"{SMALL}\n[[hooks]]\n{text}\n", "venue.toml")
    assert says in str(refused.value) and "venue.toml:" in str(refused.value)


@with_operators()
async def test_acts_and_proposals_are_told(world: OperatorsWorld) -> None:
    await world.done("freeze", {"accountId": str(BOB)})
    await world.done("asset-limit", {"symbol": "SOL", "parameter": "creditMax", "value": "1"})
    assert [name for name, _ in world.told] == ["freeze", "proposed"]
    assert world.told[0][1]["fields"] == {"accountId": str(BOB)}


def test_each_event_is_an_act_or_one_of_six_others() -> None:
    assert set(EVENTS) - set(ACTS) == {
        "all", "checkpoint", "liabilities", "proposed", "signed-up", "withdrawal-requested"
    }  # fmt: skip
