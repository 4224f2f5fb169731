"""Proofs of liabilities of a real process: users check them, and edited files are found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fairbook.checkpoints.signed_note import key_text, public_key
from fairbook.cli.keys import new_key
from fairbook.liabilities.proof_file import ProofFile
from fairbook.liabilities.signed_totals import parse_totals, sign_totals
from fairbook.liabilities.sum_tree import padded, word
from tests.followers.faulty_exchange import FaultyExchange
from tests.world.commands import fairbook
from tests.world.waiting import wait_until

OFTEN = {
    "FAIRBOOK_SNAPSHOT_COMMANDS": "20",
    "FAIRBOOK_SNAPSHOT_S": "1",
    "FAIRBOOK_LIABILITIES_S": "1",
}
PATH = "/api/v1/proof/liabilities"


def prove(venue: FaultyExchange) -> int:
    """Trade until there is another proof; its position."""
    before = venue.status()["liabilities"]["position"] or 0

    def is_made() -> int:
        venue.place()
        position: int = venue.status()["liabilities"]["position"] or 0
        return position if position > before else 0

    return wait_until(is_made, lambda: venue.stderr()[-3000:], interval_s=0.05)


@pytest.fixture(scope="module")
def proved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyExchange]:
    """An exchange that runs, with a proof."""
    venue = FaultyExchange(tmp_path_factory.mktemp("proved") / "d", OFTEN)
    with venue:
        prove(venue)
        yield venue


@pytest.fixture
def stopped(proved: FaultyExchange, tmp_path: Path) -> Path:
    """A copy of its data directory."""
    to = tmp_path / "d"
    ignored = shutil.ignore_patterns("control", "LOCK", "*.new")
    shutil.copytree(proved.folder, to, ignore=ignored)
    (to / "history.db").unlink()
    return to


def note_of(directory: Path) -> Path:
    return max((directory / "liabilities").glob("*.note"))


def test_a_user_checks_its_own_balances(proved: FaultyExchange, tmp_path: Path) -> None:
    """Over the network, from a file, and with an API key; the sums are those of the ledger."""
    token, kept = proved.demo("demo1")["token"], tmp_path / "kept.json"
    status, said = fairbook("verify-liabilities", proved.url, "--token", token, "--save", kept)
    assert status == 0, said
    assert "SOL       yours 100000, in a total of 400000 of 4 accounts" in said
    assert "has leaves for: SOL, BTC, ETH, USDC" in said and "taken from the exchange" in said
    key = proved.status()["checkpoint"]["key"]
    account = proved.account("demo1")
    checked = ("verify-liabilities", kept, "--key", key, "--account")
    status, said = fairbook(*checked, account)
    assert status == 0 and "taken from the exchange" not in said, said
    status, said = fairbook(*checked, account + 1)
    assert status == 1 and "not of yours" in said
    demo = proved.demo("demo1")
    (tmp_path / "key.json").write_text(json.dumps(demo))
    status, said = fairbook("verify-liabilities", proved.url, "--key-file", tmp_path / "key.json")
    assert status == 0 and "yours 100000" in said, said
    status, said = fairbook("verify-liabilities", proved.url)
    assert status == 0 and "were not checked" in said, said


def test_another_key_has_not_signed_it(proved: FaultyExchange) -> None:
    other = key_text(public_key(bytes(32)))
    status, said = fairbook("verify-liabilities", proved.url, "--key", other)
    assert status == 1 and "not signed by this key" in said


@pytest.mark.parametrize(
    ("place", "expected"),
    [("atoms", "is not"), ("salt", "signed root"), ("sum", "adds up to"), ("note", "not signed")],
)
def test_a_changed_answer_is_found(
    proved: FaultyExchange, tmp_path: Path, place: str, expected: str
) -> None:
    kept = tmp_path / "kept.json"
    token = proved.demo("demo1")["token"]
    assert fairbook("verify-liabilities", proved.url, "--token", token, "--save", kept)[0] == 0
    found: Any = json.loads(kept.read_text())
    leaf = found["account"]["leaves"][0]
    if place == "atoms":
        leaf["atoms"] = "1"
    elif place == "salt":
        leaf["salt"] = "00" * 32
    elif place == "sum":
        leaf["path"][0]["atoms"] = "1"
    else:
        found["proof"]["note"] = found["proof"]["note"].replace(" 400000000000000 ", " 4 ")
    kept.write_text(json.dumps(found))
    status, said = fairbook("verify-liabilities", kept)
    assert status == 1 and expected in said, said
    assert len(said.splitlines()) == 1


def test_what_is_no_proof_is_refused_in_one_line(tmp_path: Path) -> None:
    for content in ("", "[]", '{"proof": 1}', '{"proof": {}}', '{"proof": {"note": "x"}}'):
        (tmp_path / "f").write_text(content)
        status, said = fairbook("verify-liabilities", tmp_path / "f")
        assert status == 1 and len(said.splitlines()) == 1, said
    (tmp_path / "key").write_text(json.dumps(new_key() | {"apiSecret": "x"}))
    arguments = ("http://127.0.0.1:1", "--key-file", tmp_path / "key")
    status, said = fairbook("verify-liabilities", *arguments)
    assert status == 2 and "has no API key" in said


def test_verify_compares_the_proof_with_the_log(proved: FaultyExchange, stopped: Path) -> None:
    """Also while the exchange runs."""
    for directory in (stopped, proved.folder):
        status, said = fairbook("verify", directory)
        assert status == 0 and "every total and root is of this log" in said, said


@pytest.mark.parametrize("what", ["total", "leaf", "secret", "left out", "state"])
def test_verify_finds_a_proof_that_the_log_contradicts(stopped: Path, what: str) -> None:
    """All of them are signed with the right key: by a person who has the data directory."""
    note_path = note_of(stopped)
    totals = parse_totals(note_path.read_text())
    seed, tree_path = bytes(32), note_path.with_suffix(".tree")
    content = bytearray(tree_path.read_bytes())
    assets = list(totals.assets)
    state_digest, expected = totals.state_digest, f"{tree_path.name} is not what the log gives"
    if what in ("total", "left out"):
        lower = assets[0].total - 1 if what == "total" else assets[0].total - 10**14
        at = content.rfind(padded("SOL")) + 24
        content[at : at + 8] = word(lower)
        assets[0] = assets[0]._replace(total=lower)
        expected = f"its total of SOL is {lower}, that of the log"
    elif what == "leaf":
        content[40 * 3] ^= 1
    elif what == "secret":
        at = content.find(ProofFile(tree_path).foot.secret)
        content[at] ^= 1
        expected = "the root of SOL does not follow from the log"
    else:
        state_digest = bytes(32)
        at = content.find(totals.state_digest)
        content[at : at + 32] = state_digest
        expected = "the log gives"
    tree_path.write_bytes(content)
    signed = sign_totals(
        position=totals.position, time_ns=totals.time_ns, state_digest=state_digest,
        assets=assets, seed=seed,
    )  # fmt: skip
    note_path.write_text(signed.note)
    status, said = fairbook("verify", stopped)
    assert status == 1 and expected in said, said


def test_a_user_finds_an_edited_file_of_a_running_exchange(tmp_path: Path) -> None:
    """A leaf in the file is lowered: the answer to its user does not lead to the root."""
    quiet = {**OFTEN, "FAIRBOOK_LIABILITIES_S": "3600"}
    venue = FaultyExchange(tmp_path / "d", quiet)
    with venue:
        prove(venue)
        tree_path = note_of(venue.folder).with_suffix(".tree")
        file, account = ProofFile(tree_path), venue.account("demo1")
        row = file.rows(account)[0]
        content = bytearray(tree_path.read_bytes())
        at = content.find(b"".join(map(word, row))) + 24
        content[at : at + 8] = word(row.atoms - 10)
        tree_path.write_bytes(content)
        token = venue.demo("demo1")["token"]
        status, said = fairbook("verify-liabilities", venue.url, "--token", token)
        assert status == 1 and "adds up to" in said, said


def test_kill_leaves_no_half_of_a_proof(tmp_path: Path) -> None:
    """kill -9 at moments around the making; each start serves a whole proof or none."""
    venue = FaultyExchange(tmp_path / "d", {**OFTEN, "FAIRBOOK_LIABILITIES_S": "0.05"})
    for number in range(3):
        with venue:
            made = venue.status()["liabilities"]["made"]
            while venue.status()["liabilities"]["made"] < made + 1 + number % 2:
                venue.place()
            token = venue.demo("demo1")["token"]
        for note_path in (venue.folder / "liabilities").glob("*.note"):
            ProofFile(note_path.with_suffix(".tree"))
        status, said = fairbook("verify", venue.folder)
        assert status == 0, said
    with venue:
        prove(venue)
        status, said = fairbook("verify-liabilities", venue.url, "--token", token)
        assert status == 0, said
        names = {path.suffix for path in (venue.folder / "liabilities").iterdir()}
        assert names <= {".note", ".tree", ".new"}
