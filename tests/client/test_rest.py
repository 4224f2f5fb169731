"""The typed REST client against a real gateway: what it returns, and how calls fail."""

import asyncio
from base64 import b64encode

import msgspec
import pytest

from fairbook.client.credentials import BearerToken, Credentials, SigningKey, signed_text
from fairbook.client.errors import Disconnected, OutcomeUnknown, RequestRefused
from fairbook.client.grid import Grid
from fairbook.client.messages import NewOrder, OrderState
from fairbook.client.rest import RestClient
from tests.world.direct_exchange import live_exchange
from tests.world.memory_accounts import ALICE_KEY, ALICE_SEED, ALICE_TOKEN, BOB_TOKEN
from tests.world.running_exchange import RunningExchange, with_live_exchange

ALICE = BearerToken(ALICE_TOKEN)
SIGNS = SigningKey(
    b64encode(bytes(ALICE_KEY.verify_key)).decode(),
    b64encode(ALICE_SEED).decode(),
)
BID = NewOrder(symbol="SOL_USDC", side="Bid", price="99.5", quantity="1.5", client_id=7)


@pytest.mark.parametrize("client_id", [7, "seven", "a/b:c"])
@pytest.mark.parametrize("who", [ALICE, SIGNS], ids=["token", "signatures"])
@with_live_exchange(live_exchange)
async def test_an_order_from_placing_to_cancelling(
    venue: RunningExchange, who: Credentials, client_id: int | str
) -> None:
    """Every private call is authenticated; the same client id is the same order."""
    bid = msgspec.structs.replace(BID, client_id=client_id)
    async with RestClient(venue.http_url, who) as rest:
        order = await rest.place(bid)
        assert (order.status, order.price, order.quantity) == ("New", "99.5", "1.5")
        assert order.client_id == client_id
        assert await rest.place(bid) == order
        assert await rest.open_orders("SOL_USDC") == [order]
        assert await rest.open_order("SOL_USDC", client_id=client_id) == order
        less = await rest.amend("SOL_USDC", order_id=order.id, quantity="1")
        assert (less.id, less.quantity) == (order.id, "1")
        assert (await rest.balances())["USDC"].locked == "99.5"
        gone = await rest.cancel("SOL_USDC", order_id=order.id)
        assert gone.status == "Cancelled"
        assert await rest.open_orders() == []
        assert await rest.cancel_all("SOL_USDC") == []


@pytest.mark.parametrize("who", [ALICE, SIGNS], ids=["token", "signatures"])
@with_live_exchange(live_exchange)
async def test_several_orders_are_independent(venue: RunningExchange, who: Credentials) -> None:
    async with RestClient(venue.http_url, who) as rest:
        dear = NewOrder(symbol="SOL_USDC", side="Bid", price="99", quantity="100000")
        cheap = msgspec.structs.replace(dear, quantity="1")
        good, bad, also = await rest.place_several([BID, dear, cheap])
        assert isinstance(good, OrderState) and good.status == "New"
        assert isinstance(bad, RequestRefused) and bad.code == "INSUFFICIENT_FUNDS"
        assert isinstance(also, OrderState)
        assert await rest.open_orders() == [good, also]


@with_live_exchange(live_exchange)
async def test_public_calls_need_no_credentials(venue: RunningExchange) -> None:
    async with (
        RestClient(venue.http_url, ALICE) as alice,
        RestClient(venue.http_url) as public,
    ):
        await alice.place(BID)
        markets = await public.markets()
        assert [market.symbol for market in markets] == ["SOL_USDC", "BTC_USDC"]
        grid = Grid(markets[0])
        assert grid.price.units("99.5") == 9_950
        assert grid.lots_in("1.509999999") == 150
        assert (grid.base, grid.quote) == ("SOL", "USDC")
        depth = await public.depth("SOL_USDC", limit=5)
        assert depth.bids == [("99.5", "1.5")]
        assert depth.asks == []


@with_live_exchange(live_exchange)
async def test_a_refusal_has_the_code_of_the_contract(venue: RunningExchange) -> None:
    async with RestClient(venue.http_url, ALICE) as rest:
        with pytest.raises(RequestRefused) as refusal:
            await rest.cancel("SOL_USDC", order_id="12345")
        assert (refusal.value.status, refusal.value.code) == (400, "INVALID_ORDER")
        with pytest.raises(RequestRefused) as refusal:
            await rest.depth("NO_SUCH")
        assert (refusal.value.status, refusal.value.code) == (400, "INVALID_MARKET")
        with pytest.raises(ValueError, match="named"):
            await rest.cancel("SOL_USDC")
    async with RestClient(venue.http_url, BearerToken("wrong")) as rest:
        with pytest.raises(RequestRefused) as refusal:
            await rest.balances()
        assert refusal.value.status == 401
    async with RestClient(venue.http_url) as rest:
        with pytest.raises(ValueError, match="credentials"):
            await rest.balances()


@with_live_exchange(live_exchange)
async def test_no_answer_is_an_unknown_outcome(venue: RunningExchange) -> None:
    """A request that may have been executed never counts as failed."""
    venue.exchange.held = []
    async with RestClient(venue.http_url, BearerToken(BOB_TOKEN), timeout_s=0.2) as rest:
        with pytest.raises(OutcomeUnknown):
            await rest.place(BID)
    venue.exchange.release()


@with_live_exchange(live_exchange)
async def test_an_unreachable_exchange_is_disconnected(venue: RunningExchange) -> None:
    await venue.close()
    async with RestClient(venue.http_url, ALICE) as rest:
        with pytest.raises(Disconnected):
            await rest.place(BID)
        with pytest.raises(Disconnected):
            await rest.markets()
    await venue.open()


def test_signed_texts_are_those_of_the_contract() -> None:
    """The test vectors of the public contract, section 1, up to the timestamp."""
    assert signed_text("balanceQuery", []) == "instruction=balanceQuery"
    order = {
        "symbol": "SOL_USDC",
        "side": "Bid",
        "orderType": "Limit",
        "price": "140.12",
        "quantity": "1.5",
        "clientId": 12345,
        "timeInForce": "GTC",
        "postOnly": True,
    }
    assert signed_text("orderExecute", [order]) == (
        "instruction=orderExecute&clientId=12345&orderType=Limit&postOnly=true&price=140.12"
        "&quantity=1.5&side=Bid&symbol=SOL_USDC&timeInForce=GTC"
    )
    two = [{"price": "141", "side": "Bid"}, {"price": "140", "side": "Bid"}]
    assert signed_text("orderExecute", two) == (
        "instruction=orderExecute&price=141&side=Bid&instruction=orderExecute&price=140&side=Bid"
    )


def test_a_secret_of_another_key_is_refused() -> None:
    with pytest.raises(ValueError, match="not of this key"):
        SigningKey(b64encode(bytes(32)).decode(), b64encode(bytes([1]) * 32).decode())


def test_closing_twice_is_harmless() -> None:
    async def scene() -> None:
        rest = RestClient("http://127.0.0.1:9")
        await rest.close()
        await rest.close()

    asyncio.run(scene())
