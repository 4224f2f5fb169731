"""The endpoints of deposits and simulated withdrawals.

Credits and debits are commands of the log; lists of them come from the history. A withdrawal is
stored before its DEBIT, which carries its reference. A request that repeats a client id is answered
with the stored withdrawal, and debited now if no DEBIT has its reference.

Invariants:
- a withdrawal with a client id happens once, across crashes, as long as the store is kept;
- a stored withdrawal that was never debited is not shown, and moves nothing.
"""

import asyncio
from functools import partial
from hashlib import blake2b
from typing import Final
from weakref import WeakValueDictionary

import msgspec

from fairbook.api.account import deposit_object, withdrawal_object
from fairbook.api.errors import BadRequest
from fairbook.api.listings import Listings
from fairbook.api.market_data import asset_names
from fairbook.api.requests import Fields, is_absent, number_field, text_field
from fairbook.core import admin_records
from fairbook.gateway.endpoints.money_requests import amount_fields, move_money
from fairbook.gateway.endpoints.paging import page, span
from fairbook.gateway.read_barrier import AsyncHandler, ReadBarrier
from fairbook.gateway.request import Endpoint, Endpoints, Handler, Request, not_offered
from fairbook.gateway.submitter import Submitter
from fairbook.ports.accounts import READ, WITHDRAW, AccountRefused, Transfers, Withdrawal
from fairbook.ports.history import MONEY_IN, MONEY_OUT, Page, TransferRow

ADDRESS_CHARACTERS_MAX: Final = 256
CLIENT_ID_CHARACTERS_MAX: Final = 100

encode = msgspec.json.encode


class CapitalEndpoints:
    """Deposits and withdrawals. 501 without a history or a store of transfers."""

    def __init__(
        self,
        submitter: Submitter,
        listings: Listings,
        barrier: ReadBarrier,
        transfers: Transfers | None,
    ) -> None:
        self._submitter = submitter
        self._listings = listings
        self._barrier = barrier
        self._transfers = transfers
        self._locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    def endpoints(self) -> Endpoints:
        capital = b"/wapi/v1/capital/"
        deposits, address = self._guard(self.deposits), self._guard(self.deposit_address)
        withdrawals, withdraw = self._guard(self.withdrawals), self._guard(self.withdraw)
        return {
            (b"GET", capital + b"deposits"): Endpoint(deposits, "depositQueryAll", READ),
            (b"GET", capital + b"deposit/address"): Endpoint(address, "depositAddressQuery", READ),
            (b"GET", capital + b"withdrawals"): Endpoint(withdrawals, "withdrawalQueryAll", READ),
            (b"POST", capital + b"withdrawals"): Endpoint(
                withdraw, "withdraw", WITHDRAW, "body", writes=True, repeatable=True
            ),
        }

    def _guard(self, handler: AsyncHandler) -> Handler:
        return not_offered("history") if self._transfers is None else self._barrier.guard(handler)

    async def deposits(self, request: Request) -> bytes:
        wanted, within = page(request.fields), span(request.fields)
        history = await self._barrier.settled()
        rows = await history.transfers(request.account, wanted, movements=MONEY_IN, span=within)
        return await self._barrier.array(rows, self._deposit_text)

    async def deposit_address(self, request: Request) -> bytes:
        """Always the same one."""
        blockchain = text_field(request.fields, "blockchain")
        assets = self._listings.catalogue.assets()
        if all(asset_names(asset).blockchain != blockchain for asset in assets):
            raise BadRequest("Unknown blockchain")
        return encode({"address": deposit_address(request.account, blockchain)})

    async def withdrawals(self, request: Request) -> bytes:
        fields = request.fields
        wanted, within = page(fields), span(fields)
        withdrawal_id = None if is_absent(fields, "id") else number_field(fields, "id", 0)
        client_id = _client_id(fields)
        reference = None
        if withdrawal_id is not None or client_id is not None:
            named = await asyncio.to_thread(
                self._store.find_withdrawal, request.account,
                withdrawal_id=withdrawal_id, client_id=client_id,
            )  # fmt: skip
            if named is None:
                return b"[]"
            reference = named.reference.to_bytes(16, "little")
        history = await self._barrier.settled()
        rows = await history.transfers(
            request.account, wanted, movements=MONEY_OUT, span=within, reference=reference
        )
        references = [int.from_bytes(row.reference[:8], "little") for row in rows]
        stored = await asyncio.to_thread(self._store.withdrawals_of, request.account, references)
        by_reference = {withdrawal.reference: withdrawal for withdrawal in stored}

        def text_of(row: TransferRow) -> str:
            withdrawal = by_reference.get(
                int.from_bytes(row.reference[:8], "little")
            ) or self._unrequested(row)
            return self._withdrawal_json(withdrawal, row.time_ns).decode()

        return await self._barrier.array(rows, text_of)

    async def withdraw(self, request: Request) -> bytes:
        fields = request.fields
        asset, atoms = amount_fields(fields, self._listings)
        address = text_field(fields, "address")
        if len(address) > ADDRESS_CHARACTERS_MAX or not address.isprintable():
            raise BadRequest("Missing or malformed field: address")
        blockchain = text_field(fields, "blockchain")
        if blockchain != asset_names(asset).blockchain:
            raise BadRequest(f"{asset.name} is not withdrawn on this blockchain")
        client_id = _client_id(fields)
        # One at a time, so that a repeated request finds the debit of the first.
        async with self._locks.setdefault(request.account, asyncio.Lock()):
            try:
                withdrawal, is_repeated = await asyncio.to_thread(
                    self._store.add_withdrawal, account=request.account, client_id=client_id,
                    asset=asset.id, atoms=atoms, address=address, blockchain=blockchain,
                )  # fmt: skip
            except AccountRefused as refused:
                raise BadRequest(str(refused)) from None
            time_ns = await self._debited_ns(withdrawal) if is_repeated else None
            if time_ns is None:
                command = admin_records.debit(
                    account=withdrawal.account, asset=withdrawal.asset, atoms=withdrawal.atoms,
                    reference=withdrawal.reference.to_bytes(16, "little"),
                )  # fmt: skip
                undo = partial(self._store.remove_withdrawal, withdrawal.withdrawal_id)
                time_ns = (await move_money(self._submitter, command, undo=undo)).time_ns
        return self._withdrawal_json(withdrawal, time_ns)

    async def _debited_ns(self, withdrawal: Withdrawal) -> int | None:
        """The time of its DEBIT; None: there is none, and none is under way."""
        history = await self._barrier.settled()
        rows = await history.transfers(
            withdrawal.account,
            Page(1),
            movements=MONEY_OUT,
            reference=withdrawal.reference.to_bytes(16, "little"),
        )
        return rows[0].time_ns if rows else None

    @property
    def _store(self) -> Transfers:
        assert self._transfers is not None
        return self._transfers

    def _deposit_text(self, row: TransferRow) -> str:
        return encode(deposit_object(*self._listings.asset_scale(row.asset), row)).decode()

    def _withdrawal_json(self, withdrawal: Withdrawal, time_ns: int) -> bytes:
        symbol, scale = self._listings.asset_scale(withdrawal.asset)
        return encode(withdrawal_object(symbol, scale, withdrawal, time_ns=time_ns))

    def _unrequested(self, row: TransferRow) -> Withdrawal:
        """A debit by an operator, or from before the store was lost. Its id is negative."""
        blockchain = asset_names(self._listings.catalogue.asset(row.asset)).blockchain
        return Withdrawal(
            withdrawal_id=-row.transfer_id,
            reference=int.from_bytes(row.reference[:8], "little"),
            account=row.account,
            client_id=None, asset=row.asset, atoms=row.atoms, address="", blockchain=blockchain,
            created_ns=row.time_ns,
        )  # fmt: skip


def deposit_address(account: int, blockchain: str) -> str:
    """A simulated deposit address, which cannot be mistaken for a real one."""
    digest = blake2b(f"{blockchain} {account}".encode(), digest_size=16).hexdigest()
    return f"simulated-{blockchain.lower()}-{digest}"


def _client_id(fields: Fields) -> str | None:
    """The client id of a withdrawal: any short text, or a number as it is written."""
    if is_absent(fields, "clientId"):
        return None
    text = fields["clientId"]
    if not isinstance(text, str) or len(text) > CLIENT_ID_CHARACTERS_MAX:
        raise BadRequest("Invalid clientId")
    return str(text)
