"""`fairbook verify-liabilities`: check a proof of liabilities, and one's own balances in it.

Nothing of the exchange is trusted but its key: signature, leaves, paths and sums are computed here.
"""

import argparse
import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from fairbook.api.contract.reply_shapes import AccountProofReply, LeafReply
from fairbook.api.liabilities import amount_text, totals_object
from fairbook.api.numbers import amount_scale
from fairbook.checkpoints.signed_note import NoteInvalid, parse_key_text
from fairbook.cli.parser import CommandParser, UsageError
from fairbook.client.credentials import BearerToken, Credentials, SigningKey
from fairbook.client.errors import ClientError
from fairbook.client.messages import Balance
from fairbook.client.rest import RestClient
from fairbook.core.units import NS_PER_SECOND
from fairbook.liabilities.leaf_check import check_leaves
from fairbook.liabilities.signed_totals import parse_totals
from fairbook.liabilities.sum_tree import ProofWrong
from fairbook.ports.liabilities import Leaf, PathStep, SignedTotals

ERRORS: Final = (ClientError, NoteInvalid, ProofWrong, OSError)
TRIES: Final = 5  # a newer proof may be made between the two requests

Balances = dict[str, Balance]
"""By asset."""


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        "source", metavar="FILE|URL", help="address of an exchange, or what --save has written"
    )
    credentials = parser.add_mutually_exclusive_group()
    credentials.add_argument(
        "--token",
        metavar="T",
        help="bearer token of your account; other users of this machine may see it",
    )
    credentials.add_argument(
        "--key-file", type=Path, metavar="FILE", help="API key, as `fairbook keys new` prints it"
    )
    parser.add_argument(
        "--key", metavar="KEY", help="key that must have signed it; kept when nothing was in doubt"
    )
    parser.add_argument(
        "--account", type=int, metavar="N", help="number that your account must have"
    )
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep the proof in a file")


def run(arguments: argparse.Namespace) -> int:
    """Print totals and own balances; the first thing that is wrong is an error."""
    is_file = urlsplit(arguments.source).scheme not in ("http", "https")
    now: Balances | None = None
    if is_file:
        found = _of_file(Path(arguments.source))
    else:
        found, now = asyncio.run(_of_exchange(arguments.source, _credentials(arguments)))
    if arguments.save is not None:
        arguments.save.write_text(json.dumps(found, indent=1) + "\n")
    proof, account = found["proof"], found.get("account")
    totals = checked_totals(proof, arguments.key)
    leaves = [] if account is None else checked_leaves(account, totals)
    if account is not None and arguments.account not in (None, int(account["accountId"])):
        raise ProofWrong(f"the leaves are of account {account['accountId']}, not of yours")
    _print(totals, account, leaves)
    if now is not None:
        _hint(totals, leaves, now)
    if arguments.key is None:
        print(
            f"The key was taken from the exchange itself. Keep it, and check with it: --key"
            f" '{proof['key']}'",
            file=sys.stderr,
        )
    return 0


def _credentials(arguments: argparse.Namespace) -> Credentials | None:
    if arguments.token is not None:
        return BearerToken(arguments.token)
    if arguments.key_file is None:
        return None
    try:
        fields = json.loads(arguments.key_file.read_text())
        return SigningKey(fields["apiKey"], fields["apiSecret"])
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{arguments.key_file} has no API key: {error}") from error


async def _of_exchange(
    url: str, credentials: Credentials | None
) -> tuple[dict[str, Any], Balances | None]:
    """Both answers, of one proof; and the balances as of now."""
    client = RestClient(url, credentials)
    try:
        if credentials is None or (await client.liabilities()).get("note") is None:
            return {"proof": await client.liabilities(), "account": None}, None
        for _ in range(TRIES):
            found = {
                "proof": await client.liabilities(), "account": await client.own_liabilities()
            }  # fmt: skip
            if found["proof"].get("position") == found["account"].get("position"):
                break
        balances = await client.balances()
    finally:
        await client.close()
    return found, balances


def _of_file(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
        if isinstance(found["proof"], dict):
            return dict(found)
    except (ValueError, KeyError, TypeError):
        pass
    raise ProofWrong(f"{path} is not what `--save` writes: proof and account")


def checked_totals(proof: Any, key: str | None) -> SignedTotals:
    """What the answer of /api/v1/proof/liabilities says, which must be what its note says. key: as
    the option. Raises NoteInvalid, ProofWrong.
    """
    note, own_key = proof.get("note"), proof.get("key")
    if not isinstance(note, str) or not isinstance(own_key, str):
        raise ProofWrong("no proof of liabilities has been made there yet")
    totals = parse_totals(note, parse_key_text(own_key if key is None else key))
    if proof != totals_object(totals, own_key):
        raise ProofWrong("the answer says something else than its signed note")
    return totals


def checked_leaves(account: Any, totals: SignedTotals) -> list[Leaf]:
    """The leaves of the answer of /api/v1/proof/liabilities/account. Raises ProofWrong."""
    try:
        found = msgspec.convert(account, AccountProofReply)
    except msgspec.ValidationError as error:
        raise ProofWrong(f"the leaves are malformed: {error}") from None
    if found.position != str(totals.position):
        raise ProofWrong(
            f"the leaves are of position {found.position}, the note of {totals.position}"
        )
    decimals = {each.name: each.decimals for each in totals.assets}
    leaves = [_leaf(each) for each in found.leaves]
    for each, leaf in zip(found.leaves, leaves, strict=True):
        if each.account_id != found.account_id:
            raise ProofWrong(f"{leaf.asset}: the leaf is of another account")
        if each.quantity != amount_text(leaf.atoms, decimals.get(leaf.asset, 0)):
            raise ProofWrong(f"{leaf.asset}: {each.quantity} is not {leaf.atoms} atoms")
    check_leaves(totals, leaves)
    return leaves


def _leaf(found: LeafReply) -> Leaf:
    try:
        path = [
            PathStep(bytes.fromhex(step.hash), int(step.atoms), step.side == "left")
            for step in found.path
        ]
        salt = bytes.fromhex(found.salt)
    except ValueError as error:
        raise ProofWrong(f"{found.symbol}: a hash is malformed: {error}") from None
    return Leaf(
        found.symbol, int(found.account_id), int(found.atoms), salt, found.index, path
    )  # fmt: skip


def _print(totals: SignedTotals, account: dict[str, Any] | None, leaves: list[Leaf]) -> None:
    time = datetime.fromtimestamp(totals.time_ns // NS_PER_SECOND, UTC)
    print(f"proof of position {totals.position} ({time:%Y-%m-%d %H:%M:%S} UTC): signed")
    own = {leaf.asset: leaf.atoms for leaf in leaves}
    for each in totals.assets:
        total = f"{amount_text(each.total, each.decimals)} of {each.leaves} accounts"
        if each.name in own:
            mine = amount_text(own[each.name], each.decimals)
            print(f"{each.name:8}  yours {mine}, in a total of {total}")
        elif account is None or each.leaves:
            print(f"{each.name:8}  total {total}" + ("" if account is None else ", none yours"))
    if account is None:
        print("Your own balances were not checked: give --token or --key-file.")
        return
    print(f"account {account['accountId']} has leaves for: {', '.join(own) or 'no asset'}")
    print(
        "If it owned something else at that time, this signed note is proof against the exchange:"
        " keep it (--save)."
    )


def _hint(totals: SignedTotals, leaves: list[Leaf], now: Balances) -> None:
    """Where balances are other ones now. They move, so a difference proves nothing by itself."""
    own = {leaf.asset: leaf.atoms for leaf in leaves}
    for each in totals.assets:
        scale = amount_scale(each.decimals)
        balance = now.get(each.name)
        then = own.get(each.name, 0)
        is_now = 0
        if balance is not None:
            is_now = scale.units(balance.available) + scale.units(balance.locked)
        if is_now != then:
            print(
                f"hint: {each.name} is {scale.text(is_now)} now, and was {scale.text(then)} in the"
                " proof",
                file=sys.stderr,
            )
