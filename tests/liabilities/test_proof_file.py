"""A proof of a state: what the file has is what the ledger has, and users find what is wrong."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from fairbook.core import state
from fairbook.liabilities.leaf_check import check_leaves
from fairbook.liabilities.proof_file import ProofFile, ProofFileInvalid, build, differs
from fairbook.liabilities.proof_store import ProofStore
from fairbook.liabilities.signed_totals import sign_totals
from fairbook.liabilities.sum_tree import ProofWrong
from fairbook.ports.liabilities import Leaf, SignedTotals
from tests.liabilities.owing import ASSETS, DIGEST, SECRET, leaves_of, many, owing, write_proof

SEED = bytes(range(32))
BALANCES = {(1, 1): 5, (2, 1): 700, (2, 4): 30, (3, 1): 11, (5, 2): 1, (6, 1): 1, (7, 1): 2}


def totals_of(file: ProofFile) -> SignedTotals:
    foot = file.foot
    return sign_totals(
        position=foot.position, time_ns=foot.time_ns, state_digest=foot.state_digest,
        assets=file.assets, seed=SEED,
    )  # fmt: skip


def test_every_account_finds_its_balances(tmp_path: Path) -> None:
    file = write_proof(owing(BALANCES, accounts=9), tmp_path / "f")
    totals = totals_of(file)
    sums = {each.name: (each.total, each.leaves) for each in totals.assets}
    assert sums == {"SOL": (719, 5), "BTC": (1, 1), "ETH": (0, 0), "USDC": (30, 1)}
    for account in range(12):
        leaves = leaves_of(file, account)
        check_leaves(totals, leaves)
        found = {(leaf.account, ASSETS.index(leaf.asset) + 1): leaf.atoms for leaf in leaves}
        assert found == {place: n for place, n in BALANCES.items() if place[0] == account}


def test_a_proof_of_many_accounts(tmp_path: Path) -> None:
    exchange = many(3_000)
    file = write_proof(exchange, tmp_path / "f")
    totals = totals_of(file)
    for asset in totals.assets:
        assert asset.total == exchange.tables.ledger.supply(ASSETS.index(asset.name) + 1)
    for account in range(3_000):
        leaves = leaves_of(file, account)
        check_leaves(totals, leaves)
        cells = [cell for cell in exchange.tables.ledger.rows[account] if cell is not None]
        owned = [cell.available + cell.locked for cell in cells if cell.available > 0]
        assert sorted(leaf.atoms for leaf in leaves) == sorted(owned)


CHANGES: dict[str, Callable[[Leaf], Leaf]] = {
    "amount": lambda leaf: leaf._replace(atoms=leaf.atoms + 1),
    "salt": lambda leaf: leaf._replace(salt=bytes(32)),
    "account": lambda leaf: leaf._replace(account=leaf.account + 1),
    "sum of a step": lambda leaf: leaf._replace(
        path=[leaf.path[0]._replace(sum=leaf.path[0].sum + 1), *leaf.path[1:]]
    ),
    "negative sum": lambda leaf: leaf._replace(
        path=[leaf.path[0]._replace(sum=-leaf.path[0].sum), *leaf.path[1:]]
    ),
    "sides": lambda leaf: leaf._replace(
        path=[step._replace(is_left=not step.is_left) for step in leaf.path]
    ),
    "place": lambda leaf: leaf._replace(place=leaf.place ^ 1),
    "asset": lambda leaf: leaf._replace(asset="ETH"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_user_finds_a_changed_leaf(tmp_path: Path, what: str) -> None:
    file = write_proof(owing(BALANCES), tmp_path / "f")
    (leaf,) = leaves_of(file, 3)
    with pytest.raises(ProofWrong, match=r"SOL|ETH"):
        check_leaves(totals_of(file), [CHANGES[what](leaf)])


def test_a_balance_that_is_shown_twice_or_of_two_accounts_is_found(tmp_path: Path) -> None:
    file = write_proof(owing(BALANCES), tmp_path / "f")
    totals = totals_of(file)
    with pytest.raises(ProofWrong, match="two leaves"):
        check_leaves(totals, leaves_of(file, 3) * 2)
    with pytest.raises(ProofWrong, match="not of one account"):
        check_leaves(totals, leaves_of(file, 3) + leaves_of(file, 5))


def test_a_lower_signed_total_is_found_by_every_user(tmp_path: Path) -> None:
    file = write_proof(owing(BALANCES), tmp_path / "f")
    assets = [each._replace(total=each.total - 1) if each.total else each for each in file.assets]
    totals = totals_of(file)._replace(assets=tuple(assets))
    for account in (1, 2, 3, 5, 6, 7):
        with pytest.raises(ProofWrong, match="adds up to"):
            check_leaves(totals, leaves_of(file, account))


def test_an_account_that_is_left_out_has_no_leaf(tmp_path: Path) -> None:
    """Its user knows what it owned; the total is too low by that."""
    without = {place: atoms for place, atoms in BALANCES.items() if place != (2, 1)}
    whole = write_proof(owing(BALANCES), tmp_path / "f")
    file = write_proof(owing(without), tmp_path / "g")
    assert [leaf.asset for leaf in leaves_of(file, 2)] == ["USDC"]
    assert file.assets[0].total == whole.assets[0].total - 700


def test_a_negative_balance_is_not_proved() -> None:
    exchange = owing({(2, 1): 700, (3, 1): -200, (4, 1): 200})
    with pytest.raises(ProofWrong, match="account 3 has a negative balance of SOL"):
        list(build(exchange, position=1, state_digest=DIGEST, secret=SECRET))


def test_money_that_the_ledger_has_not_given_out_is_not_proved() -> None:
    exchange = owing(BALANCES)
    exchange.tables.ledger.cell(3, 1).available += 1
    with pytest.raises(ProofWrong, match="own 720 atoms of SOL, not 719"):
        list(build(exchange, position=1, state_digest=DIGEST, secret=SECRET))


def test_a_state_that_was_loaded_gives_the_same_proof() -> None:
    exchange = owing(BALANCES)
    loaded = state.load(state.dump(exchange))
    both = [
        list(build(each, position=1, state_digest=DIGEST, secret=SECRET))
        for each in (exchange, loaded)
    ]
    assert both[0] == both[1]


def test_another_secret_gives_other_hashes_and_another_order() -> None:
    """So a hash does not show whose balance it is, and two proofs cannot be compared."""
    exchange = many(200)
    first, second = (
        next(build(exchange, position=1, state_digest=DIGEST, secret=secret))
        for secret in (SECRET, bytes(32))
    )
    hashes = [{each[at : at + 32] for at in range(0, len(each), 40)} for each in (first, second)]
    assert hashes[0].isdisjoint(hashes[1])


def test_a_changed_file_is_found_by_a_user_or_cannot_be_read(tmp_path: Path) -> None:
    """One byte anywhere before the assets: a user whose path has it sees it."""
    exchange = owing(BALANCES)
    file = write_proof(exchange, tmp_path / "f")
    totals, content = totals_of(file), file.path.read_bytes()
    before = {account: leaves_of(file, account) for account in range(8)}
    chance = random.Random(3)
    for _ in range(300):
        at = chance.randrange(len(content) - 500)
        changed = content[:at] + bytes([content[at] ^ (1 + chance.randrange(255))])
        file.path.write_bytes(changed + content[at + 1 :])
        assert differs(file.path, [content])
        for account, leaves in before.items():
            try:
                found = leaves_of(file, account)
            except ProofFileInvalid:
                continue  # The answer is an error.
            if not all(leaf in leaves for leaf in found):
                with pytest.raises(ProofWrong):
                    check_leaves(totals, found)


@pytest.mark.parametrize("cut", [0, 1, 100, 200])
def test_a_file_that_is_not_whole_is_refused(tmp_path: Path, cut: int) -> None:
    file = write_proof(owing(BALANCES), tmp_path / "f")
    content = file.path.read_bytes()
    file.path.write_bytes(content[:-cut] if cut else b"")
    with pytest.raises(ProofFileInvalid):
        ProofFile(file.path)
    file.path.write_bytes(content[300:])
    with pytest.raises(ProofFileInvalid, match="not whole"):
        ProofFile(file.path)


def test_a_crash_leaves_no_half_of_a_published_proof(tmp_path: Path) -> None:
    """Files of every step of the publishing; the newest whole proof counts."""
    proofs = ProofStore(tmp_path, lambda: SEED)
    folder = proofs.directory
    for position in (10, 20, 30):
        write_proof(owing(BALANCES), folder / "made.1.tree", position)
        proofs.publish(folder / "made.1.tree", position=position, state_digest=DIGEST)
    write_proof(owing(BALANCES), folder / "made.1.tree", 5)
    with pytest.raises(ProofFileInvalid, match="another state"):
        proofs.publish(folder / "made.1.tree", position=6, state_digest=DIGEST)
    proofs.remove_leftovers()
    numbers = sorted({int(path.stem) for path in folder.iterdir()})
    assert numbers == [20, 30], "two are kept"
    write_proof(owing(BALANCES), folder / "made.2.tree", 40)
    (folder / "made.3.tree.99.new").write_bytes(b"half")
    write_proof(owing(BALANCES), folder / f"{40:020d}.tree", 40)
    found = ProofStore(tmp_path, lambda: SEED).newest(position_max=100)
    assert found is not None and found.totals.position == 30
    (folder / f"{30:020d}.tree").unlink()
    found = proofs.newest(position_max=100)
    assert found is not None and found.totals.position == 20
    assert proofs.newest(position_max=19) is None, "of a log that is longer"
    assert ProofStore(tmp_path, lambda: bytes(32)).newest(position_max=100) is None, "another key"
    proofs.remove_leftovers()
    assert {path.suffix for path in folder.iterdir()} <= {".tree", ".note"}
    assert not list(folder.glob("made*"))
