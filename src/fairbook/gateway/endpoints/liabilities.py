"""The newest proof of liabilities, and the leaves of an account in it.

Invariant: one request at a time reads files, in a thread; the loop builds nothing.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from fairbook.api.errors import ApiError
from fairbook.api.liabilities import NONE_MADE, leaf_object, totals_object
from fairbook.gateway.long_answers import LongAnswers
from fairbook.gateway.request import Endpoint, Endpoints, Request, not_offered
from fairbook.ports.accounts import READ
from fairbook.ports.liabilities import LeafRow, Liabilities, LiabilitiesProof

ROWS_PER_LEAF: Final = 20  # a leaf with its path costs about as much as so many rows
PATH: Final = b"/api/v1/proof/liabilities"
ACCOUNT_PATH: Final = b"/api/v1/proof/liabilities/account"
INSTRUCTION: Final = "liabilitiesQuery"

_NONE_MADE: Final = msgspec.json.encode(NONE_MADE)


def liabilities_endpoints(liabilities: Liabilities | None, long_answers: LongAnswers) -> Endpoints:
    """501 without `liabilities`."""
    if liabilities is None:
        refuse = not_offered("proof of liabilities")
        return {
            (b"GET", PATH): Endpoint(refuse),
            (b"GET", ACCOUNT_PATH): Endpoint(refuse, INSTRUCTION, READ),
        }
    made = LiabilitiesEndpoints(liabilities, long_answers)
    return {
        (b"GET", PATH): Endpoint(made.totals),
        (b"GET", ACCOUNT_PATH): Endpoint(made.account, INSTRUCTION, READ),
    }


class LiabilitiesEndpoints:
    """The handlers."""

    def __init__(self, liabilities: Liabilities, long_answers: LongAnswers) -> None:
        self._liabilities = liabilities
        self._long_answers = long_answers
        self._reading = asyncio.Lock()
        self._shown: LiabilitiesProof | None = None
        self._answer = b""  # of the proof that is shown

    async def totals(self, _request: Request) -> bytes:
        proof = self._liabilities.newest
        if proof is None:
            return _NONE_MADE
        if proof is not self._shown:
            async with self._reading:
                if proof is not self._shown:
                    self._answer = await asyncio.to_thread(_totals_json, proof)
                    self._shown = proof
        return self._answer

    async def account(self, request: Request) -> bytes:
        async with self._reading:
            proof = self._liabilities.newest
            if proof is None:
                raise ApiError(404, "RESOURCE_NOT_FOUND", "No proof of liabilities has been made")
            rows = await asyncio.to_thread(proof.rows, request.account)
            self._long_answers.charge(request, ROWS_PER_LEAF * len(rows))
            return await asyncio.to_thread(_account_json, proof, request.account, rows)


def _totals_json(proof: LiabilitiesProof) -> bytes:
    return msgspec.json.encode(totals_object(proof.totals, proof.key))


def _account_json(proof: LiabilitiesProof, account: int, rows: Sequence[LeafRow]) -> bytes:
    """Leaf by leaf, so that the loop gets its turns."""
    assets = proof.totals.assets
    leaves = [
        msgspec.json.encode(leaf_object(leaf, assets[row.asset].decimals))
        for row, leaf in zip(rows, proof.leaves(rows), strict=True)
    ]
    head = b'{"position":"%d","accountId":"%d","leaves":[' % (proof.totals.position, account)
    return head + b",".join(leaves) + b"]}"
