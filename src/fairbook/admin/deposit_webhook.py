"""`POST /webhook/v1/deposits`: credit a deposit that a payment system reports.

Design: the sender signs the time stamp and the body with a secret that it shares with the exchange.
The secret's hash is a credential of an operator in the log: two operators have added it, and two
can end it. A credit carries that operator, so one above the asset's `creditMax` waits for a person.

Source of the signature's form: HMAC-SHA256 (RFC 2104) over "TIMESTAMP.BODY", hexadecimal.
"""

import hmac
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, Final

import msgspec

from fairbook.admin.act_fields import ActFields
from fairbook.admin.act_runner import status_of, submitted
from fairbook.admin.operators import operator_with
from fairbook.api.errors import ApiError, BadRequest, not_implemented, rejected
from fairbook.api.listings import Listings
from fairbook.api.numbers import whole_number
from fairbook.api.requests import read_object
from fairbook.core import admin_records, records
from fairbook.core.exchange import Exchange
from fairbook.core.parts import with_operator
from fairbook.core.units import MAX_ATOMS
from fairbook.gateway.guesses import Guesses
from fairbook.gateway.rate_limits import TokenBuckets
from fairbook.gateway.request import Endpoint, Endpoints, Request
from fairbook.net.addresses import address_key
from fairbook.ports.commands import Commands
from fairbook.ports.digests import money_reference, reason_digest, webhook_digest

PATH: Final = b"/webhook/v1/deposits"
WINDOW_S: Final = 300
GUESSES_PER_MINUTE: Final = 60  # wrong signatures of an address
GUESSES_BURST: Final = 20
SOURCE: Final = "webhook"  # where the references come from
REASON: Final = "deposit by webhook"
_FIELDS: Final = ("accountId", "symbol", "quantity", "reference")


class DepositWebhook:
    """The endpoint; 501 without a secret."""

    def __init__(
        self,
        commands: Commands,
        exchange: Exchange,
        listings: Listings,
        secret: str | None,
        *,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._commands = commands
        self._exchange = exchange
        self._listings = listings
        self._secret = secret
        self._guesses = Guesses(TokenBuckets(per_minute=GUESSES_PER_MINUTE, burst=GUESSES_BURST))
        self._now_s = now_s

    def endpoints(self) -> Endpoints:
        return {(b"POST", PATH): Endpoint(self.deposit, reads="body", writes=True)}

    async def deposit(self, request: Request) -> bytes:
        if self._secret is None:
            raise not_implemented("webhook of deposits")
        self._check_signature(request, self._secret)
        operator = operator_with(self._exchange, webhook_digest(self._secret))
        if operator is None:
            raise ApiError(403, "FORBIDDEN", "The secret is not that of an operator")
        values = read_object(request.body)
        for name in values:
            if name not in _FIELDS:
                raise BadRequest(f"Unknown field: {name[:64]}")
        command = self._command(values)
        unit = with_operator(
            command, operator=operator.number, credential=operator.credential,
            reason_hash=reason_digest(REASON),
        )  # fmt: skip
        answer = await submitted(self._commands, unit)
        outcome = records.read_outcome(answer.events)
        if outcome.status == records.REJECTED:
            raise rejected(outcome.reason)
        return msgspec.json.encode(
            {
                "status": status_of(outcome),
                "position": str(answer.position),
                "referenceHash": admin_records.reference_at(command, 0).hex(),
            }
        )

    def _command(self, values: Mapping[str, Any]) -> bytes:
        fields = ActFields(values, self._listings)
        asset, scale = fields.asset()
        if asset.credit_max == MAX_ATOMS:
            raise ApiError(403, "FORBIDDEN", f"{asset.name} has no creditMax")
        return admin_records.credit(
            account=fields.account(), asset=asset.id, atoms=fields.units("quantity", scale),
            reference=money_reference(SOURCE, fields.text("reference")),
        )  # fmt: skip

    def _check_signature(self, request: Request, secret: str) -> None:
        """Raises 401, 400."""
        stamp = request.headers.get(b"x-webhook-timestamp", b"").decode("latin-1")
        given = request.headers.get(b"x-webhook-signature", b"")
        signed = f"{stamp}.".encode("latin-1") + request.body
        expected = hmac.new(secret.encode(), signed, sha256).hexdigest().encode()
        if not hmac.compare_digest(given, expected):
            raise self._guesses.charge(
                ApiError(401, "INVALID_SIGNATURE", "Invalid signature"),
                address_key(request.address),
            )
        sent_s = whole_number(stamp, digits_max=12)
        if sent_s is None or abs(self._now_s() - sent_s) > WINDOW_S:
            raise BadRequest("Request has expired")
