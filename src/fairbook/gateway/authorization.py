"""Authenticate a request, read its fields, and check its permission, rate limit and replay."""

from typing import Final, NamedTuple
from urllib.parse import quote

from fairbook.api import requests
from fairbook.api.errors import INVALID_CLIENT_REQUEST, ApiError, BadRequest
from fairbook.api.field_names import is_known
from fairbook.api.requests import BODY_BYTES_MAX, CLIENT_ID_NAMES, Fields, Pairs, is_absent
from fairbook.gateway.account_shares import AccountBusy, AccountShares
from fairbook.gateway.authentication import (
    Authenticator,
    Headers,
    JustStarted,
    SeenBefore,
    SignedRequest,
    query_pairs,
)
from fairbook.gateway.guesses import Guesses
from fairbook.gateway.rate_limits import RateLimits
from fairbook.gateway.request import Endpoint, Request
from fairbook.net.addresses import address_key
from fairbook.ports.accounts import WITHDRAW, Access

_USUAL_JSON_TYPES: Final = frozenset((b"application/json", b"application/json; charset=utf-8"))
_JSON_TYPES: Final = frozenset(  # in lower case, without spaces
    b"application/json" + end for end in (b"", b";", b";charset=utf-8", b';charset="utf-8"')
)


class TextLimits(NamedTuple):
    """Characters of the signed text of one order, or of a request, without its times."""

    value: int  # of a name or a value
    whole: int


_TEXT_LIMITS: Final = {
    False: TextLimits(64, 512),
    True: TextLimits(256, 1024),  # of a withdrawal, with addresses and memos
}


class Authorizer:
    """The checks of private endpoints."""

    def __init__(
        self, authenticator: Authenticator, rates: RateLimits, shares: AccountShares
    ) -> None:
        self._authenticator = authenticator
        self._rates = rates
        self._guesses = Guesses(rates.guesses)
        self._shares = shares

    def authorize(self, endpoint: Endpoint, request: Request) -> float:
        """Set account, and fields or orders; return the seconds to wait. Raises ApiError;
        AccountBusy if the request must wait for its turn.
        """
        try:
            if endpoint.reads != "query":
                _check_body(request.headers, request.body)
            access, signed = self._authenticate(endpoint, request)
        except ApiError as error:
            if error.status == 401:
                raise self._guesses.charge(error, address_key(request.address)) from None
            if error.status == 429:
                raise
            raise self.charge(error, request.address) from None
        if not access.permissions & endpoint.permission:
            self._rates.account.take(access.account)
            raise ApiError(403, "FORBIDDEN", "Permission denied")
        self._rates.account.take(access.account, len(request.orders) or 1)
        request.account, request.credential = access.account, access.credential
        if signed is None or not endpoint.writes:
            return 0.0
        if not _is_repeatable(endpoint, request):
            return self._authenticator.use_once(signed)
        if endpoint.permission != WITHDRAW:  # A withdrawal's client id is never forgotten.
            try:
                self._authenticator.use_with_client_id(signed)
            except (JustStarted, SeenBefore) as seen:
                request.seen = seen.message  # An error would refer to the request.
        return 0.0

    def charge(self, error: ApiError, address: str) -> ApiError:
        """The answer to a refused request. It takes a token of its address, or becomes 429."""
        try:
            self._rates.address.take(address_key(address))
        except ApiError as too_many:
            too_many.close = error.close
            return too_many
        return error

    def _authenticate(
        self, endpoint: Endpoint, request: Request
    ) -> tuple[Access, SignedRequest | None]:
        authorization = request.headers.get(b"authorization")
        if authorization is not None and b"x-signature" not in request.headers:
            access = self._authenticator.by_token(authorization)
            share = request.share = self._shares[access.account]
            if share.is_busy and not request.is_held:
                raise AccountBusy(share)
            _read_fields(endpoint, request)
            return access, None
        sender, api_key = request.sender, request.headers.get(b"x-api-key")
        if sender.share.is_busy and sender.api_key == api_key and not request.is_held:
            raise AccountBusy(sender.share)  # Before the costly part.
        signed = self._authenticator.check_headers(request.headers)
        self._guesses.check(address_key(request.address), signed.public_key)
        pairs, bodies = _read_fields(endpoint, request)
        signed_query = query_pairs(pairs)
        groups = [signed_query + requests.signed_pairs(fields) for fields in bodies] or [
            signed_query
        ]
        _check_lengths(groups, _TEXT_LIMITS[endpoint.permission == WITHDRAW])
        # Verified in vain it would cost a client nothing that has no tokens left.
        self._rates.account.check(signed.access.account, len(groups))
        access = self._authenticator.verify(signed, endpoint.instruction, groups)
        share = request.share = self._shares[access.account]
        sender.api_key, sender.share = api_key, share
        if share.is_busy and not request.is_held:
            raise AccountBusy(share)
        return access, signed


def _check_lengths(groups: list[Pairs], limits: TextLimits) -> None:
    """Refuse what is longer than an order can be, before its signature is verified."""
    for pairs in groups:
        size = 0
        for name, value in pairs:
            length = 4 if value is None else len(value)
            size += len(name) + length + 2
            if length > limits.value or len(name) > limits.value:
                raise BadRequest(f"Too long: {name[:64]}")
        if size > limits.whole:
            raise BadRequest(f"The signed text exceeds {limits.whole} characters")


def too_large() -> ApiError:
    return ApiError(413, INVALID_CLIENT_REQUEST, f"Body exceeds {BODY_BYTES_MAX} bytes", close=True)


def _check_body(headers: Headers, body: bytes) -> None:
    """Raise 413 or 415 for a body that need not be parsed."""
    if len(body) > BODY_BYTES_MAX:
        raise too_large()
    if b"content-encoding" in headers:
        raise _unsupported("Content-Encoding is not accepted")
    content_type = headers.get(b"content-type")
    if content_type is None or content_type in _USUAL_JSON_TYPES:
        return
    if content_type.lower().replace(b" ", b"") not in _JSON_TYPES:
        raise _unsupported("Content-Type must be application/json in UTF-8")


def _unsupported(message: str) -> ApiError:
    return ApiError(415, INVALID_CLIENT_REQUEST, message, close=True)


def _read_fields(
    endpoint: Endpoint, request: Request
) -> tuple[list[tuple[str, str]], list[Fields]]:
    """Set `fields` or `orders`; return what is signed: pairs of the query, objects of the body."""
    pairs = requests.read_query(request.query)
    in_query = requests.query_fields(pairs)
    reads = endpoint.reads
    if reads == "array":
        request.orders = requests.read_array(request.body)
        _refuse_query_fields(pairs)
        return pairs, request.orders
    if reads == "query" or (reads == "body or query" and not request.body):
        request.fields = in_query
        return pairs, []
    fields = requests.read_object(request.body)
    pairs = requests.only_in_query(pairs, fields)
    if reads == "body":
        _refuse_query_fields(pairs)
        request.fields = fields
    else:
        request.fields = in_query | fields
    return pairs, [fields]


def _refuse_query_fields(pairs: list[tuple[str, str]]) -> None:
    """Refuse fields in a query that is not read. A client id there would not be used, and the
    signed text does not tell query from body, so the order could be executed twice.
    """
    for name, _ in pairs:
        if is_known(name):
            raise BadRequest(f"{name[:64]} belongs in the body")


def _is_repeatable(endpoint: Endpoint, request: Request) -> bool:
    """Whether client ids ensure that the request is executed once, however often it is sent."""
    if not endpoint.repeatable:
        return False
    # A client id of an order has no "%", so ":" and "/" are not those of an encoded text.
    plain = "" if endpoint.permission == WITHDRAW else ":/"
    return all(_has_client_id(fields, plain) for fields in request.orders or [request.fields])


def _has_client_id(fields: Fields, plain: str) -> bool:
    """Whether there is a client id, and its signed text is that of no other id: null is signed as
    "None", and "a b" as "a%20b". plain: characters that need not be encoded.
    """
    given = [fields[name] for name in CLIENT_ID_NAMES if not is_absent(fields, name)]
    return bool(given) and all(
        isinstance(value, str)
        and value not in ("None", "null")
        and quote(value, safe=plain) == value
        for value in given
    )
