"""tests/vectors/liabilities.json: proofs, right and wrong, for the page in web/ as well.

`python -m tests.liabilities.test_vectors` writes the file.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from fairbook.api.liabilities import leaf_object, totals_object
from fairbook.checkpoints.signed_note import NoteInvalid, key_text, public_key
from fairbook.cli.verify_liabilities import checked_leaves, checked_totals
from fairbook.liabilities.signed_totals import sign_totals
from fairbook.liabilities.sum_tree import SUM_MAX, ProofWrong
from tests.liabilities.owing import leaves_of, owing, write_proof

PATH = Path(__file__).parents[1] / "vectors" / "liabilities.json"
SEED = bytes(range(32))
SIZES = (1, 2, 3, 4, 5, 8, 13)
ACCOUNT = 2

Answers = dict[str, Any]


def answers(accounts: int) -> Answers:
    """Both answers of an exchange with so many accounts that own SOL; one of them has USDC, too."""
    balances = {(ACCOUNT + number, 1): 10**9 * (number + 1) for number in range(accounts)}
    with tempfile.TemporaryDirectory() as folder:
        file = write_proof(owing({**balances, (ACCOUNT, 4): 7}), Path(folder) / "f")
        foot = file.foot
        totals = sign_totals(
            position=foot.position, time_ns=foot.time_ns, state_digest=foot.state_digest,
            assets=file.assets, seed=SEED,
        )  # fmt: skip
        leaves = [leaf_object(leaf, 9) for leaf in leaves_of(file, ACCOUNT)]
    account = {"position": str(foot.position), "accountId": str(ACCOUNT), "leaves": leaves}
    return {"proof": totals_object(totals, key_text(public_key(SEED))), "account": account}


def change_note(found: Answers) -> None:
    """A lower total, not signed."""
    asset = found["proof"]["assets"][0]
    lower = str(int(asset["atoms"]) - 1)
    found["proof"]["note"] = found["proof"]["note"].replace(f" {asset['atoms']} ", f" {lower} ")


def set_of_leaf(name: str, value: Any) -> Callable[[Answers], None]:
    def change(found: Answers) -> None:
        leaf = found["account"]["leaves"][0]
        leaf[name] = value(leaf[name])

    return change


def set_of_step(name: str, value: Any, at: int = 0) -> Callable[[Answers], None]:
    def change(found: Answers) -> None:
        step = found["account"]["leaves"][0]["path"][at]
        step[name] = value(step[name])

    return change


def other_digit(text: str) -> str:
    return text[:-1] + ("1" if text[-1] == "0" else "0")


WRONG: dict[str, Callable[[Answers], None]] = {
    "the balance is another": set_of_leaf("atoms", lambda text: str(int(text) + 1)),
    "the balance is negative": set_of_leaf("atoms", lambda text: f"-{text}"),
    "the balance is too large": set_of_leaf("atoms", lambda _: str(SUM_MAX + 1)),
    "the salt is another": set_of_leaf("salt", other_digit),
    "the salt is short": set_of_leaf("salt", lambda text: text[2:]),
    "the account is another": set_of_leaf("accountId", lambda _: "3"),
    "the place is another": set_of_leaf("index", lambda index: index ^ 1),
    "the place is outside": set_of_leaf("index", lambda _: 5),
    "the asset is another": set_of_leaf("symbol", lambda _: "BTC"),
    "the asset is unknown": set_of_leaf("symbol", lambda _: "XYZ"),
    "a step is missing": set_of_leaf("path", lambda path: path[:-1]),
    "a step is repeated": set_of_leaf("path", lambda path: [*path, path[-1]]),
    "steps are swapped": set_of_leaf("path", lambda path: path[::-1]),
    "a sum is another": set_of_step("atoms", lambda text: str(int(text) - 1)),
    "a sum is negative": set_of_step("atoms", lambda text: f"-{text}"),
    "a sum is too large": set_of_step("atoms", lambda _: str(SUM_MAX)),
    "a hash is another": set_of_step("hash", other_digit, -1),
    "a hash is short": set_of_step("hash", lambda text: text[2:]),
    "a side is another": set_of_step("side", lambda side: "left" if side == "right" else "right"),
    "a leaf is repeated": lambda found: found["account"]["leaves"].append(
        found["account"]["leaves"][0]
    ),
    "the position is another": lambda found: found["account"].update(position="4013"),
    "the total is another": change_note,
    "the key is another": lambda found: found["proof"].update(key=key_text(public_key(bytes(32)))),
}


def vectors() -> list[Answers]:
    found = [{"name": f"{size} leaves", "problem": False, **answers(size)} for size in SIZES]
    for name, change in WRONG.items():
        made = deepcopy(answers(5))
        change(made)
        found.append({"name": name, "problem": True, **made})
    return found


def test_the_vectors_are_those_of_the_code() -> None:
    assert json.loads(PATH.read_text()) == vectors()


@pytest.mark.parametrize("vector", vectors(), ids=lambda vector: vector["name"])
def test_what_is_wrong_is_found(vector: Answers) -> None:
    try:
        checked_leaves(vector["account"], checked_totals(vector["proof"], None))
        is_wrong = False
    except (ProofWrong, NoteInvalid):
        is_wrong = True
    assert is_wrong == vector["problem"]


if __name__ == "__main__":
    PATH.write_text("[\n" + ",\n".join(map(json.dumps, vectors())) + "\n]\n")
