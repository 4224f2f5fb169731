"""POST /api/v1/faucet: credits demo money, up to a cap per account and asset.

Invariant: an account never gets more than the cap; a credit with unknown outcome counts as given.
"""

import asyncio
import secrets
from collections.abc import Mapping
from functools import partial

import msgspec

from fairbook.api.account import faucet_object
from fairbook.api.errors import ApiError
from fairbook.api.listings import Listings
from fairbook.core import admin_records
from fairbook.gateway.endpoints.money_requests import amount_fields, move_money
from fairbook.gateway.request import Endpoint, Endpoints, Request, not_offered
from fairbook.gateway.submitter import Submitter
from fairbook.ports.accounts import TRADE, Transfers


def faucet_endpoints(
    submitter: Submitter,
    listings: Listings,
    transfers: Transfers | None,
    caps_atoms: Mapping[str, int] | None,
) -> Endpoints:
    """The endpoint; 501 without a store or caps. caps_atoms: by asset, of one account."""

    async def give(request: Request) -> bytes:
        assert transfers is not None and caps_atoms is not None
        asset, atoms = amount_fields(request.fields, listings)
        _, scale = listings.asset_scale(asset.id)
        grant = {"account": request.account, "asset": asset.id, "atoms": atoms}
        left = await asyncio.to_thread(
            partial(transfers.add_grant, **grant, atoms_max=caps_atoms.get(asset.name, 0))
        )
        if left < 0:
            rest = scale.text(max(left + atoms, 0))
            raise ApiError(400, "INVALID_QUANTITY", f"Faucet limit: {rest} {asset.name} remaining")
        command = admin_records.credit(**grant, reference=secrets.token_bytes(16))
        await move_money(submitter, command, undo=partial(transfers.remove_grant, **grant))
        shape = faucet_object(asset.name, quantity=scale.text(atoms), left=scale.text(left))
        return msgspec.json.encode(shape)

    is_offered = transfers is not None and caps_atoms is not None
    handler = give if is_offered else not_offered("faucet")
    return {(b"POST", b"/api/v1/faucet"): Endpoint(handler, "faucet", TRADE, "body", writes=True)}
