"""Serving proofs of liabilities: each account gets its own leaves, and no answer holds the loop."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import pytest

from fairbook.cli.verify_liabilities import checked_leaves, checked_totals
from fairbook.liabilities.proof_store import ProofStore, PublishedProof
from fairbook.ports.liabilities import Liabilities
from tests.gateway.test_loop_turns import TURN_MS_MAX, measured_turns
from tests.liabilities.owing import DIGEST, many, write_proof
from tests.world.http_client import HttpClient
from tests.world.memory_accounts import ALICE, ALICE_TOKEN, BOB, BOB_TOKEN, READER_TOKEN
from tests.world.running_exchange import Extras, RunningExchange, play

ACCOUNTS = 100_000
PATH = "/api/v1/proof/liabilities"
ACCOUNT_PATH = f"{PATH}/account"


class Served:
    """Liabilities that a test sets."""

    newest: PublishedProof | None = None


def extras(newest: PublishedProof | None) -> Extras:
    served = Served()
    served.newest = newest
    return Extras(liabilities=cast(Liabilities, served))


def proof_of(tmp_path: Path, accounts: int) -> PublishedProof:
    proofs = ProofStore(tmp_path, lambda: bytes(range(32)))
    write_proof(many(accounts), proofs.directory / "made.1.tree")
    made = proofs.directory / "made.1.tree"
    return proofs.publish(made, position=4012, state_digest=DIGEST)


def test_each_account_gets_its_own_leaves(tmp_path: Path) -> None:
    async def story(_: RunningExchange, client: HttpClient) -> None:
        proof = (await client.ask("GET", PATH)).json()
        totals = checked_totals(proof, None)
        assert [each["symbol"] for each in proof["assets"]] == ["SOL", "BTC", "ETH", "USDC"]
        for account, token in ((ALICE, ALICE_TOKEN), (ALICE, READER_TOKEN), (BOB, BOB_TOKEN)):
            answer = (await client.ask("GET", ACCOUNT_PATH, token=token)).json()
            leaves = checked_leaves(answer, totals)
            assert answer["accountId"] == str(account) and leaves
            assert {leaf.account for leaf in leaves} == {account}
        assert (await client.ask("GET", ACCOUNT_PATH)).status == 401

    play(story, extras=extras(proof_of(tmp_path, 200)))


def test_an_account_without_a_balance_has_no_leaf(tmp_path: Path) -> None:
    """Also one that was opened after the proof."""

    async def story(_: RunningExchange, client: HttpClient) -> None:
        answer = (await client.ask("GET", ACCOUNT_PATH, token=BOB_TOKEN)).json()
        assert answer == {"position": "4012", "accountId": str(BOB), "leaves": []}

    play(story, extras=extras(proof_of(tmp_path, 2)))


def test_before_the_first_proof() -> None:
    async def story(_: RunningExchange, client: HttpClient) -> None:
        reply = await client.ask("GET", PATH)
        assert (reply.status, reply.json()["note"]) == (200, None)
        refused = await client.ask("GET", ACCOUNT_PATH, token=ALICE_TOKEN)
        assert (refused.status, refused.json()["code"]) == (404, "RESOURCE_NOT_FOUND")

    play(story, extras=extras(None))


@pytest.mark.filterwarnings("ignore")
def test_a_damaged_file_is_no_answer(tmp_path: Path) -> None:
    async def story(_: RunningExchange, client: HttpClient) -> None:
        assert (await client.ask("GET", ACCOUNT_PATH, token=ALICE_TOKEN)).status == 200
        proof.file.path.write_bytes(b"")
        assert (await client.ask("GET", ACCOUNT_PATH, token=ALICE_TOKEN)).status == 500
        assert (await client.ask("GET", PATH)).status == 200

    proof = proof_of(tmp_path, 50)
    play(story, extras=extras(proof))


def test_no_answer_of_a_large_proof_holds_the_loop(tmp_path: Path) -> None:
    async def story(_: RunningExchange, client: HttpClient) -> None:
        for path in (PATH, ACCOUNT_PATH) * 5:
            with measured_turns() as turns:
                reply = await client.ask("GET", path, token=ALICE_TOKEN)
            assert reply.status == 200
            assert turns.longest_ms < TURN_MS_MAX, (path, turns.longest_ms, turns.of)

    play(
        story, extras=extras(proof_of(tmp_path, ACCOUNTS)), within_s=60,
        loop_factory=asyncio.new_event_loop,
    )  # fmt: skip
