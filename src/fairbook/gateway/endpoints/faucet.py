"""/api/v1/faucet credits demo money, up to a cap per account and asset, and says what is left.

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
from fairbook.ports.accounts import READ, TRADE, Transfers


def faucet_endpoints(
    submitter: Submitter,
    listings: Listings,
    transfers: Transfers | None,
    caps_atoms: Mapping[str, int] | None,
) -> Endpoints:
    """The endpoints; 501 without a store or caps. caps_atoms: by asset, of one account."""

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

    async def left(request: Request) -> bytes:
        assert transfers is not None and caps_atoms is not None
        found = {}
        for asset in listings.catalogue.assets():
            atoms = await asyncio.to_thread(
                transfers.grant_left, account=request.account, asset=asset.id,
                atoms_max=caps_atoms.get(asset.name, 0),
            )  # fmt: skip
            found[asset.name] = listings.asset_scale(asset.id)[1].text(atoms)
        return msgspec.json.encode(found)

    is_offered = transfers is not None and bool(caps_atoms)
    refuse, path = not_offered("faucet"), b"/api/v1/faucet"
    return {
        (b"POST", path): Endpoint(
            give if is_offered else refuse, "faucet", TRADE, "body", writes=True
        ),
        (b"GET", path): Endpoint(left if is_offered else refuse, "faucetQuery", READ),
    }
