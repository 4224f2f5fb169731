"""Wrong tokens and signatures: what they cost the address that they come from.

Design: a token is looked up before its address is refused, because that costs next to nothing: who
has a valid one is served, whatever others behind the same address have tried. Verifying a signature
is costly. So an address without tokens may go on only with keys that it has not failed with, one
allowance for each key.
"""

from fairbook.api.errors import ApiError
from fairbook.gateway.authentication import InvalidSignature
from fairbook.gateway.rate_limits import TokenBuckets


class Guesses:
    """The allowance of guesses of each address, and of each address with each key."""

    def __init__(self, buckets: TokenBuckets) -> None:
        self._buckets = buckets

    def check(self, address: str, public_key: bytes) -> None:
        """Before a signature is verified. Raises TOO_MANY_REQUESTS."""
        try:
            self._buckets.check(address)
        except ApiError:
            self._buckets.check((address, public_key))

    def charge(self, error: ApiError, address: str) -> ApiError:
        """Charge a failed authentication, and return its error; TOO_MANY_REQUESTS if nothing was
        left and nothing was verified.
        """
        if isinstance(error, InvalidSignature):
            self._buckets.drain((address, error.public_key), error.tokens)
            self._buckets.drain(address, error.tokens)
            return error
        try:
            self._buckets.check(address)
        except ApiError as too_many:
            error = too_many
        self._buckets.drain(address, 1)
        return error
