"""The endpoints of deposits and simulated withdrawals.

Lists come from the history, but only what the engine has under the same reference is shown, in the
state that it has there. A withdrawal is stored; then its HOLD, which carries the hash of what it is
for, locks the money; then its CAPTURE takes the money out: at once if a rule approves it, else when
an operator does. A request that repeats a client id does the same with the stored withdrawal, and
the engine answers what has happened already.

Invariants:
- a withdrawal with a client id happens once, across crashes, as long as the store is kept;
- a stored withdrawal is shown or captured only if the log has a HOLD of exactly this one.
"""

import asyncio
from collections.abc import Callable
from hashlib import blake2b
from typing import Final
from weakref import WeakValueDictionary

import msgspec

from fairbook.api.account import deposit_object, withdrawal_object
from fairbook.api.errors import ApiError, BadRequest, rejected
from fairbook.api.listings import Listings
from fairbook.api.market_data import asset_names
from fairbook.api.requests import Fields, is_absent, number_field, text_field
from fairbook.core import admin_records, records
from fairbook.core.references import Reference
from fairbook.gateway.endpoints.money_requests import amount_fields
from fairbook.gateway.endpoints.paging import page, span
from fairbook.gateway.read_barrier import AsyncHandler, ReadBarrier
from fairbook.gateway.request import Endpoint, Endpoints, Handler, Request, not_offered
from fairbook.gateway.submitter import Submitter
from fairbook.ports.accounts import READ, WITHDRAW, AccountRefused, Transfers, Withdrawal
from fairbook.ports.events import Emit
from fairbook.ports.history import MONEY_IN, TransferRow

# A withdrawal is listed from when its money is held; what became of it says the engine.
_HELD_OR_OUT: Final = (admin_records.HELD, admin_records.DEBITED)
WITHDRAWAL_STATUS: Final = {
    admin_records.HELD: "pending",
    admin_records.CAPTURED: "confirmed",
    admin_records.RELEASED: "cancelled",
    admin_records.DEBITED: "confirmed",
}
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
        approves: Callable[[int, int], bool],
        emit: Emit,
    ) -> None:
        """approves: whether so many atoms of an asset leave without an operator."""
        self._approves = approves
        self._emit = emit
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
        view = await self._submitter.view_now()
        known: dict[bytes, TransferRow] = {}  # each once
        for row in rows:
            fact = view.reference(row.reference)
            if fact is not None and fact.state in MONEY_IN and _is_of(row, fact):
                known.setdefault(row.reference, row)
        return await self._barrier.long_answers.array(
            request, list(known.values()), self._deposit_text
        )

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
            reference = named.reference
        history = await self._barrier.settled()
        rows = await history.transfers(
            request.account, wanted, movements=_HELD_OR_OUT, span=within, reference=reference
        )
        stored = await asyncio.to_thread(
            self._store.withdrawals_of, request.account, [row.reference for row in rows]
        )
        by_reference = {withdrawal.reference: withdrawal for withdrawal in stored}
        view = await self._submitter.view_now()
        shown: dict[bytes, tuple[Withdrawal, Reference]] = {}
        for row in rows:
            fact = view.reference(row.reference)
            if fact is None or fact.state not in WITHDRAWAL_STATUS or not _is_of(row, fact):
                continue
            withdrawal = by_reference.get(row.reference)
            if withdrawal is None or fact.state == admin_records.DEBITED:
                withdrawal = self._unrequested(row)
            elif not withdrawal.is_backed_by(fact):
                continue
            shown.setdefault(row.reference, (withdrawal, fact))
        return await self._barrier.long_answers.array(
            request, list(shown.values()), lambda each: self._withdrawal_json(*each).decode()
        )

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
        # One at a time, so that a repeated request finds what the first has done.
        async with self._locks.setdefault(request.account, asyncio.Lock()):
            try:
                withdrawal, is_repeated = await asyncio.to_thread(
                    self._store.add_withdrawal, account=request.account, client_id=client_id,
                    asset=asset.id, atoms=atoms, address=address, blockchain=blockchain,
                )  # fmt: skip
            except AccountRefused as refused:
                raise BadRequest(str(refused)) from None
            fact = await self._hold(withdrawal, request.credential, is_repeated=is_repeated)
            if fact.state == admin_records.HELD and self._approves(asset.id, atoms):
                await self._capture(withdrawal)
            if fact.state == admin_records.CAPTURED and not withdrawal.is_captured:
                await asyncio.to_thread(self._store.mark_captured, withdrawal.withdrawal_id)
            if fact.state == admin_records.HELD and not is_repeated:
                self._emit("withdrawal-requested", self._event(withdrawal))
        return self._withdrawal_json(withdrawal, fact)

    def _event(self, withdrawal: Withdrawal) -> dict[str, str]:
        """What hooks are told of a withdrawal that waits for an operator."""
        name, scale = self._listings.asset_scale(withdrawal.asset)
        return {
            "referenceHash": withdrawal.reference.hex(),
            "accountId": str(withdrawal.account),
            "symbol": name,
            "quantity": scale.text(withdrawal.atoms),
            "blockchain": withdrawal.blockchain,
            "address": withdrawal.address,
        }

    async def _hold(
        self, withdrawal: Withdrawal, credential: int, *, is_repeated: bool
    ) -> Reference:
        """Lock its money, or find what became of it. Raises ApiError; then the stored row is
        removed if its money certainly was not held and will not be.
        """
        command = admin_records.hold(
            account=withdrawal.account, asset=withdrawal.asset, atoms=withdrawal.atoms,
            reference=withdrawal.reference, detail=withdrawal.detail(), credential=credential,
        )  # fmt: skip
        try:
            future = self._submitter.submit(command)
        except ApiError:
            if not is_repeated:  # Otherwise an earlier HOLD may be under way.
                await asyncio.to_thread(self._store.remove_withdrawal, withdrawal.withdrawal_id)
            raise
        outcome = records.read_outcome((await self._submitter.outcome(future)).events)
        fact = (await self._submitter.view_now()).reference(withdrawal.reference)
        if outcome.status == records.REJECTED:
            if fact is None:
                await asyncio.to_thread(self._store.remove_withdrawal, withdrawal.withdrawal_id)
            raise rejected(outcome.reason)
        assert fact is not None
        return fact

    async def _capture(self, withdrawal: Withdrawal) -> None:
        """Take the money out. If that is not possible now, it is pending, and approved later."""
        try:
            future = self._submitter.submit(admin_records.capture(withdrawal.reference))
        except ApiError:
            return
        await self._submitter.outcome(future)

    @property
    def _store(self) -> Transfers:
        assert self._transfers is not None
        return self._transfers

    def _deposit_text(self, row: TransferRow) -> str:
        return encode(deposit_object(*self._listings.asset_scale(row.asset), row)).decode()

    def _withdrawal_json(self, withdrawal: Withdrawal, fact: Reference) -> bytes:
        symbol, scale = self._listings.asset_scale(withdrawal.asset)
        status = WITHDRAWAL_STATUS[fact.state]
        return encode(
            withdrawal_object(symbol, scale, withdrawal, status=status, time_ns=fact.time_ns)
        )

    def _unrequested(self, row: TransferRow) -> Withdrawal:
        """A debit by an operator, or from before the store was lost. Its id is negative."""
        blockchain = asset_names(self._listings.catalogue.asset(row.asset)).blockchain
        return Withdrawal(
            withdrawal_id=-row.transfer_id, reference=row.reference, account=row.account,
            client_id=None, asset=row.asset, atoms=row.atoms, address="", blockchain=blockchain,
            memo="", nonce=b"", is_captured=0, created_ns=row.time_ns,
        )  # fmt: skip


def _is_of(row: TransferRow, fact: Reference) -> bool:
    """Whether the log has this transfer under its reference."""
    return (row.account, row.asset, row.atoms) == (fact.account, fact.asset, fact.atoms)


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
