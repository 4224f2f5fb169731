"""What endpoints that move money share: reading an amount, and submitting a credit or debit."""

import asyncio
from collections.abc import Callable

from fairbook.api.errors import ApiError, rejected
from fairbook.api.listings import Listings
from fairbook.api.requests import Fields, text_field
from fairbook.core import records
from fairbook.core.markets import Asset
from fairbook.core.units import MAX_ATOMS
from fairbook.gateway.submitter import Submitter
from fairbook.ports.commands import Answer


def amount_fields(fields: Fields, listings: Listings) -> tuple[Asset, int]:
    """`symbol` and `quantity`: an asset, and 1 to MAX_ATOMS of it. Raises ApiError."""
    asset = listings.asset(text_field(fields, "symbol"))
    atoms = listings.asset_scale(asset.id)[1].units(fields.get("quantity"))
    if not 1 <= atoms <= MAX_ATOMS:
        raise rejected(records.BAD_QUANTITY)
    return asset, atoms


async def move_money(submitter: Submitter, command: bytes, *, undo: Callable[[], None]) -> Answer:
    """Submit a CREDIT or DEBIT. `undo` runs in a worker thread if it certainly did not happen; if
    the outcome is unknown (504) it does not.
    """
    try:
        future = submitter.submit(command)
    except ApiError:
        await asyncio.to_thread(undo)
        raise
    answer = await submitter.outcome(future)
    outcome = records.read_outcome(answer.events)
    if outcome.status == records.REJECTED:
        await asyncio.to_thread(undo)
        raise rejected(outcome.reason)
    return answer
