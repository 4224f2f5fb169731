"""GET /api/v1/venue: what a page or client must know of this exchange before it begins."""

from importlib.metadata import version

import msgspec

from fairbook.api.account import basis_points
from fairbook.api.listings import Listings
from fairbook.gateway.request import Endpoint, Endpoints, Request

WEBSOCKET_PATH = "/ws"  # on the port that answers this


def venue_endpoints(listings: Listings, name: str, *, is_demo: bool, sign_up: str) -> Endpoints:
    """is_demo: there is a faucet. sign_up: open, invitation or closed."""
    fixed = {
        "name": name, "version": version("fairbook"), "ws": WEBSOCKET_PATH, "demo": is_demo,
        "test": False, "signUp": sign_up,
    }  # fmt: skip

    async def venue(_request: Request) -> bytes:
        fees = {
            market.name: {
                "makerFee": basis_points(market.maker_fee_ppm),
                "takerFee": basis_points(market.taker_fee_ppm),
            }
            for market in listings.catalogue.markets()
        }
        return msgspec.json.encode({**fixed, "markets": fees})

    return {(b"GET", b"/api/v1/venue"): Endpoint(venue)}
