"""The endpoints of money that comes and goes: deposits, simulated withdrawals, the demo's faucet.

How it works: credits and debits are commands of the log, and lists of them come from the history. A
withdrawal is first written down, with where it is to go; its DEBIT carries the reference of what
was written. Whoever repeats a client id is answered with what was written then, and if no DEBIT
with its reference was logged, that is done now.

Always true:
- a withdrawal with a client id happens once, whoever is killed when, as long as the store is kept;
- what is written down and was never debited is shown to nobody, and moves nothing;
- the faucet gives an account no more than its cap, ever; what it lost sight of counts as given.

Not here: whether there is enough (the engine's decision), real chains: nothing here leaves the
exchange.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from hashlib import blake2b
from typing import Any, Final, NamedTuple
from weakref import WeakValueDictionary

import msgspec

from fairbook.api.errors import ApiError, BadRequest, not_implemented, rejected
from fairbook.api.requests import Fields, is_absent, text_field
from fairbook.core import records
from fairbook.core.markets import Asset
from fairbook.core.records import read_outcome
from fairbook.core.units import MAX_ATOMS
from fairbook.gateway.endpoints.ranges import page, row_id, span
from fairbook.gateway.listings import Listings, naive_utc
from fairbook.gateway.read_barrier import ReadBarrier, recorded, unrecorded
from fairbook.gateway.request import OF_BODY, Endpoint, Endpoints, Request, refusing
from fairbook.gateway.submitter import Submitter
from fairbook.ports.accounts import READ, TRADE, WITHDRAW, AccountRefused, Transfers, Withdrawal
from fairbook.ports.commands import Answer
from fairbook.ports.history import Page, TransferRow

CREDITED: Final = 0
DEBITED: Final = 1
ADDRESS_CHARACTERS_MAX: Final = 256
CLIENT_ID_CHARACTERS_MAX: Final = 100

encode = msgspec.json.encode


class Amount(NamedTuple):
    """So much of an asset, 1 to MAX_ATOMS."""

    asset: Asset
    atoms: int


def capital_endpoints(
    answers: Submitter, listings: Listings, past: ReadBarrier | None, transfers: Transfers | None
) -> Endpoints:
    """Everything under /wapi/v1/capital; 501 without a history or a store."""
    endpoints = Capital(answers, listings, past, transfers).endpoints()
    return unrecorded(endpoints) if past is None or transfers is None else recorded(past, endpoints)


def faucet_endpoints(
    answers: Submitter,
    listings: Listings,
    transfers: Transfers | None,
    caps_atoms: Mapping[str, int] | None,
) -> Endpoints:
    """POST /api/v1/faucet; 501 without a store or caps. `caps_atoms` is by asset, per account."""
    faucet = Faucet(answers, listings, transfers, caps_atoms)
    endpoint = Endpoint(faucet.give, "faucet", TRADE, OF_BODY, writes=True)
    if transfers is None or caps_atoms is None:
        endpoint = endpoint._replace(handler=refusing(lambda: not_implemented("faucet")))
    return {("POST", b"/api/v1/faucet"): endpoint}


class Capital:
    """The handlers. Without a history and a store they must not be called."""

    def __init__(
        self,
        answers: Submitter,
        listings: Listings,
        past: ReadBarrier | None,
        transfers: Transfers | None,
    ) -> None:
        self._answers = answers
        self._listings = listings
        self._past = past
        self._transfers = transfers
        self._turns: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    def endpoints(self) -> Endpoints:
        """Four GETs, and POST to withdraw."""
        capital = b"/wapi/v1/capital/"
        return {
            ("GET", capital + b"deposits"): Endpoint(self.deposits, "depositQueryAll", READ),
            ("GET", capital + b"deposit/address"): Endpoint(
                self.deposit_address, "depositAddressQuery", READ
            ),
            ("GET", capital + b"withdrawals"): Endpoint(
                self.withdrawals, "withdrawalQueryAll", READ
            ),
            ("POST", capital + b"withdrawals"): Endpoint(
                self.withdraw, "withdraw", WITHDRAW, OF_BODY, writes=True, repeatable=True
            ),
        }

    async def deposits(self, call: Request) -> bytes:
        """GET /wapi/v1/capital/deposits: newest first."""
        wanted, within = page(call.fields), span(call.fields)
        history = await self._known.settled()
        rows = await history.transfers(call.account, wanted, side=CREDITED, span=within)
        return await self._known.array(rows, lambda row: encode(self._deposit_object(row)).decode())

    async def deposit_address(self, call: Request) -> bytes:
        """GET /wapi/v1/capital/deposit/address?blockchain=: always the same one."""
        blockchain = text_field(call.fields, "blockchain")
        if blockchain not in self._listings.blockchains():
            raise BadRequest("Unknown blockchain")
        return encode({"address": deposit_address(call.account, blockchain)})

    async def withdrawals(self, call: Request) -> bytes:
        """GET /wapi/v1/capital/withdrawals: newest first."""
        fields = call.fields
        wanted, within = page(fields), span(fields)
        reference = None
        withdrawal_id = row_id(fields, "id")
        client_id = _client_id(fields)
        if withdrawal_id is not None or client_id is not None:
            named = await asyncio.to_thread(
                self._kept.find_withdrawal,
                call.account,
                withdrawal_id=withdrawal_id,
                client_id=client_id,
            )
            if named is None:
                return b"[]"
            reference = named.reference
        history = await self._known.settled()
        rows = await history.transfers(
            call.account, wanted, side=DEBITED, span=within, reference=reference
        )
        references = [row.reference for row in rows]
        written = await asyncio.to_thread(self._kept.withdrawals_of, call.account, references)
        by_reference = {withdrawal.reference: withdrawal for withdrawal in written}

        def text_of(row: TransferRow) -> str:
            withdrawal = by_reference.get(row.reference)
            if withdrawal is None:
                return encode(self._debit_object(row)).decode()
            return encode(self._withdrawal_object(withdrawal, row.time_ns)).decode()

        return await self._known.array(rows, text_of)

    async def withdraw(self, call: Request) -> bytes:
        """POST /wapi/v1/capital/withdrawals."""
        fields = call.fields
        asset, atoms = _amount(fields, self._listings)
        address = text_field(fields, "address")
        if len(address) > ADDRESS_CHARACTERS_MAX or not address.isprintable():
            raise BadRequest("Missing or malformed field: address")
        blockchain = text_field(fields, "blockchain")
        if blockchain != self._listings.blockchain(asset):
            raise BadRequest(f"{asset.name} does not go by this blockchain")
        client_id = _client_id(fields)
        # One after the other, so that a repeated one finds what became of the first.
        async with self._turns.setdefault(call.account, asyncio.Lock()):
            try:
                withdrawal, is_repeated = await asyncio.to_thread(
                    self._kept.add_withdrawal, account=call.account, client_id=client_id,
                    asset=asset.id, atoms=atoms, address=address, blockchain=blockchain,
                )  # fmt: skip
            except AccountRefused as refused:
                raise BadRequest(str(refused)) from None
            time_ns = await self._debited_ns(withdrawal) if is_repeated else None
            if time_ns is None:
                time_ns = (await self._debit(withdrawal)).time_ns
        return encode(self._withdrawal_object(withdrawal, time_ns))

    async def _debited_ns(self, withdrawal: Withdrawal) -> int | None:
        """When the money of a withdrawal left; None: it has not, and nothing is under way."""
        history = await self._known.settled()
        rows = await history.transfers(
            withdrawal.account, Page(1), side=DEBITED, reference=withdrawal.reference
        )
        return rows[0].time_ns if rows else None

    async def _debit(self, withdrawal: Withdrawal) -> Answer:
        command = records.debit(
            account=withdrawal.account, asset=withdrawal.asset, atoms=withdrawal.atoms,
            reference=withdrawal.reference,
        )  # fmt: skip
        remove_withdrawal = partial(self._kept.remove_withdrawal, withdrawal.withdrawal_id)
        return await _moved(self._answers, command, undo=remove_withdrawal)

    @property
    def _known(self) -> ReadBarrier:
        assert self._past is not None
        return self._past

    @property
    def _kept(self) -> Transfers:
        assert self._transfers is not None
        return self._transfers

    def _deposit_object(self, row: TransferRow) -> dict[str, Any]:
        name, scale = self._listings.amounts(row.asset)
        return {
            "id": row.transfer_id,
            "symbol": name,
            "quantity": scale.text(row.atoms),
            "status": "confirmed",
            "source": "administrator",
            "createdAt": naive_utc(row.time_ns, decimals=3),
            "toAddress": None,
            "fromAddress": None,
            "transactionHash": None,
            "fiatAmount": None,
            "fiatCurrency": None,
            "institutionBic": None,
            "platformMemo": None,
        }

    def _withdrawal_object(self, withdrawal: Withdrawal, time_ns: int) -> dict[str, Any]:
        name, scale = self._listings.amounts(withdrawal.asset)
        return {
            "id": withdrawal.withdrawal_id,
            "symbol": name,
            "quantity": scale.text(withdrawal.atoms),
            "fee": "0",
            "status": "confirmed",
            "blockchain": withdrawal.blockchain,
            "toAddress": withdrawal.address,
            "transactionHash": None,
            "clientId": withdrawal.client_id,
            "identifier": None,
            "createdAt": naive_utc(time_ns, decimals=3),
            "isInternal": False,
            "subaccountId": None,
            "triggerAt": None,
        }

    def _debit_object(self, row: TransferRow) -> dict[str, Any]:
        """What the house took, or of which nothing is written any more. Its id is below 0, where no
        withdrawal's is.
        """
        asset = self._listings.asset(self._listings.amounts(row.asset)[0])
        gone = Withdrawal(
            -row.transfer_id, row.reference, row.account, client_id=None, asset=row.asset,
            atoms=row.atoms, address="", blockchain=self._listings.blockchain(asset), created_ns=0,
        )  # fmt: skip
        return self._withdrawal_object(gone, row.time_ns) | {"isInternal": True}


class Faucet:
    """Money for nothing, up to a cap."""

    def __init__(
        self,
        answers: Submitter,
        listings: Listings,
        transfers: Transfers | None,
        caps_atoms: Mapping[str, int] | None,
    ) -> None:
        self._answers = answers
        self._listings = listings
        self._transfers = transfers
        self._caps_atoms = caps_atoms

    async def give(self, call: Request) -> bytes:
        """POST /api/v1/faucet {symbol, quantity}."""
        assert self._transfers is not None and self._caps_atoms is not None
        asset, atoms = _amount(call.fields, self._listings)
        _, scale = self._listings.amounts(asset.id)
        cap_atoms = self._caps_atoms.get(asset.name, 0)
        left = await asyncio.to_thread(
            self._transfers.add_grant, account=call.account, asset=asset.id, atoms=atoms,
            atoms_max=cap_atoms,
        )  # fmt: skip
        if left < 0:
            rest = scale.text(max(left + atoms, 0))
            raise ApiError(400, "INVALID_QUANTITY", f"The faucet gives you {rest} more of this")
        remove_grant = partial(
            self._transfers.remove_grant, account=call.account, asset=asset.id, atoms=atoms
        )
        command = records.credit(account=call.account, asset=asset.id, atoms=atoms)
        await _moved(self._answers, command, undo=remove_grant)
        return encode(
            {"symbol": asset.name, "quantity": scale.text(atoms), "left": scale.text(left)}
        )


def deposit_address(account: int, blockchain: str) -> str:
    """Where money for an account would go if there were any. Nobody can take it for a real one."""
    digest = blake2b(f"{blockchain} {account}".encode(), digest_size=16).hexdigest()
    return f"simulated-{blockchain.lower()}-{digest}"


async def _moved(answers: Submitter, command: bytes, *, undo: Callable[[], None]) -> Answer:
    """The answer to a CREDIT or DEBIT. What is known not to have happened is undone, in a worker
    thread; what is not known (504) stands.
    """
    try:
        future = answers.submit(command)
    except ApiError:
        await asyncio.to_thread(undo)
        raise
    answer = await answers.outcome(future)
    outcome = read_outcome(answer.events)
    if outcome.status == records.REJECTED:
        await asyncio.to_thread(undo)
        raise rejected(outcome.reason)
    return answer


def _amount(fields: Fields, listings: Listings) -> Amount:
    """`symbol` and `quantity`. Raises BadRequest, INVALID_ASSET, INVALID_QUANTITY."""
    asset = listings.asset(text_field(fields, "symbol"))
    atoms = listings.amounts(asset.id)[1].units(fields.get("quantity"))
    if not 1 <= atoms <= MAX_ATOMS:
        raise rejected(records.BAD_QUANTITY)
    return Amount(asset, atoms)


def _client_id(fields: Fields) -> str | None:
    """The client id of a withdrawal: any short text, or a number as it is written."""
    if is_absent(fields, "clientId"):
        return None
    text = fields["clientId"]
    if type(text) is not str or len(text) > CLIENT_ID_CHARACTERS_MAX:
        raise BadRequest("Invalid clientId")
    return text
