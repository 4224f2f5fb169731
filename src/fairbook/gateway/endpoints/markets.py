"""The endpoints of the exchange and its markets: status, listings, depth. All are public.

They show the engine's current state, without waiting for commands under way.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from fairbook.api.enumerations import wants_spot
from fairbook.api.listings import Listings
from fairbook.api.market_data import asset_object, depth_object, market_object
from fairbook.api.requests import number_field, symbol_field
from fairbook.api.status import status_object
from fairbook.core.markets import Asset, Market
from fairbook.gateway.long_answers import LongAnswers
from fairbook.gateway.request import TEXT_TYPE, Endpoint, Endpoints, Reply, Request, always
from fairbook.gateway.submitter import Submitter

_DEPTH_LEVELS: Final = (5, 10, 20, 50, 100, 500, 1000)
_PONG: Final = always(Reply(b"pong", content_type=TEXT_TYPE))

encode = msgspec.json.encode


class MarketEndpoints:
    """Ping, time, status, markets, assets, depth."""

    def __init__(
        self,
        submitter: Submitter,
        listings: Listings,
        long_answers: LongAnswers,
        announcements: Callable[[], Sequence[str]],
    ) -> None:
        self._announcements = announcements
        self._submitter = submitter
        self._long_answers = long_answers
        self._listings = listings

    def endpoints(self) -> Endpoints:
        return {
            (b"GET", b"/api/v1/ping"): Endpoint(_PONG),
            (b"GET", b"/api/v1/time"): Endpoint(self.time),
            (b"GET", b"/api/v1/status"): Endpoint(self.status),
            (b"GET", b"/api/v1/markets"): Endpoint(self.markets),
            (b"GET", b"/api/v1/market"): Endpoint(self.market),
            (b"GET", b"/api/v1/assets"): Endpoint(self.assets),
            (b"GET", b"/api/v1/depth"): Endpoint(self.depth),
        }

    def endpoints_under(self) -> Endpoints:
        return {(b"GET", b"/api/v1/markets/"): Endpoint(self.market_of_path)}

    async def time(self, _request: Request) -> Reply:
        return Reply(b"%d" % (time.time_ns() // 1_000_000), content_type=TEXT_TYPE)

    async def status(self, _request: Request) -> bytes:
        view = await self._submitter.view_now()
        newest = next(iter(self._announcements()), None)
        return encode(status_object(is_paused=view.paused(), announcement=newest))

    async def markets(self, request: Request) -> bytes:
        if not wants_spot(request.fields):
            return b"[]"
        markets = self._listings.catalogue.markets()
        return await self._long_answers.array(request, markets, self._market_text)

    def _market_text(self, market: Market) -> str:
        return encode(market_object(self._listings.scales_of(market.id))).decode()

    async def market(self, request: Request) -> bytes:
        return encode(market_object(self._listings.scales(symbol_field(request.fields))))

    async def market_of_path(self, request: Request) -> bytes:
        symbol = request.path.rpartition(b"/")[2].decode()
        return encode(market_object(self._listings.scales(symbol)))

    async def assets(self, request: Request) -> bytes:
        assets = self._listings.catalogue.assets()
        return await self._long_answers.array(request, assets, _asset_text)

    async def depth(self, request: Request) -> bytes:
        """`limit` is rounded up to a documented one."""
        scales = self._listings.scales(symbol_field(request.fields))
        most = _DEPTH_LEVELS[-1]
        wanted = number_field(request.fields, "limit", most, minimum=1)
        levels_max = next((levels for levels in _DEPTH_LEVELS if levels >= wanted), most)
        book = (await self._submitter.view_now()).depth(scales.id, levels_max)
        return encode(depth_object(scales, book))


def _asset_text(asset: Asset) -> str:
    return encode(asset_object(asset)).decode()
