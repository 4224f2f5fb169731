"""The gateway: authentication, limits and endpoints of the public API.

Design: the server looks up the endpoint of a request in `routes`, and hands over the request once
its body is read (`handle`). The gateway authenticates it, takes its rate limit, reads its fields
and calls the endpoint. An order takes the same way as any other request, and no task: a waiter
answers it when its outcome comes.

Invariant: all answers are JSON (ping and time: text; static files: their own type), errors too.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, NamedTuple

from fairbook.api.enumerations import check_values
from fairbook.api.errors import ApiError, maintenance, outcome_unknown, server_error
from fairbook.api.field_names import check_spelling
from fairbook.api.listings import Listings
from fairbook.api.orders import OrderCommand
from fairbook.api.requests import query_fields, read_query
from fairbook.core.units import NS_PER_SECOND
from fairbook.gateway.account_shares import AccountBusy, AccountShare, AccountShares
from fairbook.gateway.authentication import Authenticator
from fairbook.gateway.authorization import Authorizer
from fairbook.gateway.cancel_on_disconnect import SessionNumbers
from fairbook.gateway.endpoints.account import AccountEndpoints
from fairbook.gateway.endpoints.checkpoints import WitnessEndpoints, checkpoint_endpoints
from fairbook.gateway.endpoints.contract import contract_endpoints
from fairbook.gateway.endpoints.deposits_withdrawals import CapitalEndpoints
from fairbook.gateway.endpoints.faucet import faucet_endpoints
from fairbook.gateway.endpoints.history import HistoryEndpoints
from fairbook.gateway.endpoints.liabilities import liabilities_endpoints
from fairbook.gateway.endpoints.markets import MarketEndpoints
from fairbook.gateway.endpoints.orders import OrderEndpoints
from fairbook.gateway.endpoints.stubs import stub_endpoints, stub_endpoints_under
from fairbook.gateway.endpoints.venue import venue_endpoints
from fairbook.gateway.long_answers import LongAnswers
from fairbook.gateway.rate_limits import RateLimits, TokenBuckets, too_many
from fairbook.gateway.read_barrier import ReadBarrier
from fairbook.gateway.request import (
    Endpoint,
    Endpoints,
    JsonOrReply,
    Reply,
    Request,
    Respond,
)
from fairbook.gateway.routes import Routes
from fairbook.gateway.submitter import Submitter
from fairbook.gateway.ws_login import LoginAuthenticator
from fairbook.gateway.ws_orders import WebSocketOrders
from fairbook.net.addresses import address_key
from fairbook.ports.accounts import Accounts, Transfers
from fairbook.ports.commands import Commands
from fairbook.ports.events import Emit, ignore_event
from fairbook.ports.history import History
from fairbook.ports.liabilities import Liabilities
from fairbook.ports.queries import Catalogue, Checkpoints, LogProofs, Queries

HELD_ALONE_BYTES_MAX: Final = 64 * 1024  # of a connection whose request waits to be refused
FAILED: Final = "%r failed"

logger = logging.getLogger(__name__)


class GatewayLimits(NamedTuple):
    """Rate limits and the deadline of commands. Per minute 0: no limit."""

    account_per_minute: int = 2000
    account_burst: int = 100
    address_per_minute: int = 1200
    address_burst: int = 100
    guesses_per_minute: int = 600  # wrong tokens and signatures of an address
    guesses_burst: int = 100
    deadline_s: float = 2.0


class Gateway:
    """Answers HTTP requests. WebSocket connections use its `logins` and `ws_orders`."""

    def __init__(
        self,
        *,
        commands: Commands,
        queries: Queries,
        catalogue: Catalogue,
        accounts: Accounts,
        limits: GatewayLimits,
        authenticator: Authenticator | None = None,
        checkpoints: Checkpoints | None = None,
        proofs: LogProofs | None = None,
        liabilities: Liabilities | None = None,
        history: History | None = None,
        transfers: Transfers | None = None,
        faucet_atoms: Mapping[str, int] | None = None,
        approves: Callable[[int, int], bool] = lambda asset, atoms: True,
        emit: Emit = ignore_event,
        announcements: Callable[[], Sequence[str]] = list,
        name: str = "Fairbook",
        sign_up: str = "closed",
        more: Routes | None = None,
    ) -> None:
        """faucet_atoms: by asset, the most that one account gets. name, sign_up: of the venue.
        approves: whether so many atoms of an asset leave without an operator. emit: tells hooks.
        more: further endpoints. Without `liabilities`, `history`, `transfers` or
        `faucet_atoms` some answer 501.
        """
        self._is_stopping = False
        self._rates = rates = _rate_limits(limits)
        authenticator = authenticator or Authenticator(accounts)
        shares = AccountShares()
        self._authorizer = Authorizer(authenticator, rates, shares)
        self.logins = LoginAuthenticator(accounts, authenticator, rates.guesses)
        long_answers = LongAnswers(rates)
        self._submitter = submitter = Submitter(
            commands, queries, long_answers, deadline_s=limits.deadline_s
        )
        is_demo = bool(transfers and faucet_atoms)
        listings, barrier = Listings(catalogue), ReadBarrier(submitter, history, long_answers)
        markets = MarketEndpoints(submitter, listings, long_answers, announcements)
        account = AccountEndpoints(submitter, listings, long_answers)
        self.ws_orders = WebSocketOrders(
            submitter=submitter, listings=listings, sessions=SessionNumbers(commands),
            status=account.order, rates=rates, shares=shares, is_live=accounts.is_live,
            is_stopping=lambda: self._is_stopping,
        )  # fmt: skip
        endpoints: Endpoints = {  # Later tables replace entries of earlier ones.
            **stub_endpoints(),
            **contract_endpoints(),
            **markets.endpoints(),
            **account.endpoints(),
            **OrderEndpoints(submitter, listings).endpoints(),
            **HistoryEndpoints(submitter, listings, barrier).endpoints(),
            **CapitalEndpoints(submitter, listings, barrier, transfers, approves, emit).endpoints(),
            **faucet_endpoints(submitter, listings, transfers, faucet_atoms),
            **venue_endpoints(listings, name, is_demo=is_demo, sign_up=sign_up),
            **_proof_endpoints(checkpoints, proofs, liabilities, long_answers),
        }
        under = {**stub_endpoints_under(), **markets.endpoints_under()}
        self.routes = Routes(endpoints, under).extended(more or Routes({}))

    def stop(self) -> None:
        """Refuse all requests from now on (503). Requests under way are still answered."""
        self._is_stopping = True

    def charge(self, error: ApiError, address: str) -> ApiError:
        """The answer to a request that was refused before `handle`."""
        return self._authorizer.charge(error, address)

    def handle(
        self, endpoint: Endpoint, request: Request, respond: Respond
    ) -> Coroutine[Any, Any, None] | None:
        """Answer a request whose body is read: `respond` is called once, at once or later. If a
        coroutine is returned, it must be run for that.
        """
        answer: JsonOrReply | OrderCommand | ApiError | Awaitable[JsonOrReply | OrderCommand]
        try:
            wait_s = self._admit(endpoint, request)
            answer = _call_later(wait_s, endpoint, request) if wait_s else endpoint.handler(request)
            if isinstance(answer, OrderCommand):
                self._submitter.execute(answer, respond, request.share)
                return None
        except AccountBusy as busy:
            request.is_held = True
            request.fields, request.orders = {}, []  # Read to verify a signature, and once more.
            return self._handle_in_turn(busy.share, endpoint, request, respond)
        except ApiError as error:
            answer = error.with_traceback(None)  # It would refer to this frame, and so to itself.
        except Exception:
            logger.exception(FAILED, request.path, extra={"request": request.id})
            answer = _bug_error(endpoint)
        if isinstance(answer, bytes | Reply | ApiError):
            respond(answer)
            if request.account:
                request.share.spend()
            return None
        places = 0
        if request.account:
            places = len(request.orders) or 1
            request.share.begin(places)
        return self._respond_later(answer, endpoint, request, respond, places)

    async def _handle_in_turn(
        self, share: AccountShare, endpoint: Endpoint, request: Request, respond: Respond
    ) -> None:
        if share.has_room(request.held_bytes, is_cancel=endpoint.reads == "body or query"):
            await share.turn(request.held_bytes)
            if request.sender.is_gone:
                return
            answering = self.handle(endpoint, request, respond)
            if answering is not None:
                await answering
            return
        refusal = too_many(NS_PER_SECOND)
        if request.held_bytes > HELD_ALONE_BYTES_MAX:
            refusal.close = True  # The requests behind it are dropped too.
        else:
            request.body = b""
            await share.turn(0)
        respond(refusal)

    def _admit(self, endpoint: Endpoint, request: Request) -> float:
        """Check it, set its fields, and return the seconds to wait, nearly always 0."""
        if self._is_stopping:
            raise maintenance()
        wait_s = 0.0
        if endpoint.permission:
            wait_s = self._authorizer.authorize(endpoint, request)
        elif endpoint.is_metered:
            self._rates.address.take(address_key(request.address))
            if request.query:
                request.fields = query_fields(read_query(request.query))
        check_spelling(request.fields)
        if endpoint.reads == "query" and request.fields:
            check_values(request.path, request.fields)
        return wait_s

    async def _respond_later(
        self,
        answer: Awaitable[JsonOrReply | OrderCommand],
        endpoint: Endpoint,
        request: Request,
        respond: Respond,
        places: int,
    ) -> None:
        """places: of its account, until it is answered."""
        awaited: JsonOrReply | OrderCommand | ApiError
        try:
            awaited = await answer
            if isinstance(awaited, OrderCommand):
                self._submitter.execute(awaited, respond, request.share)
                return
        except ApiError as error:
            awaited = error.with_traceback(None)
        except Exception:
            logger.exception(FAILED, request.path, extra={"request": request.id})
            awaited = _bug_error(endpoint)
        finally:
            if places:
                request.share.end(places)
        respond(awaited)


async def _call_later(
    wait_s: float, endpoint: Endpoint, request: Request
) -> JsonOrReply | OrderCommand:
    await asyncio.sleep(wait_s)
    answer = endpoint.handler(request)
    return await answer if isinstance(answer, Awaitable) else answer


def _bug_error(endpoint: Endpoint) -> ApiError:
    return outcome_unknown() if endpoint.writes else server_error()


def _proof_endpoints(
    checkpoints: Checkpoints | None,
    proofs: LogProofs | None,
    liabilities: Liabilities | None,
    long_answers: LongAnswers,
) -> Endpoints:
    return {
        **liabilities_endpoints(liabilities, long_answers),
        **(checkpoint_endpoints(checkpoints) if checkpoints is not None else {}),
        **(WitnessEndpoints(proofs, long_answers).endpoints() if proofs else {}),
    }


def _rate_limits(limits: GatewayLimits) -> RateLimits:
    return RateLimits(
        account=TokenBuckets(per_minute=limits.account_per_minute, burst=limits.account_burst),
        address=TokenBuckets(per_minute=limits.address_per_minute, burst=limits.address_burst),
        guesses=TokenBuckets(per_minute=limits.guesses_per_minute, burst=limits.guesses_burst),
    )
