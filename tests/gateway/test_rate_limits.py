"""Token buckets: a burst at once, then the rate; bounded tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairbook.api.errors import ApiError
from fairbook.gateway.rate_limits import TokenBuckets
from fairbook.net.addresses import address_key

SECOND = 1_000_000_000


class Clock:
    def __init__(self) -> None:
        self.now_ns = 5 * SECOND

    def __call__(self) -> int:
        return self.now_ns


def taken(buckets: TokenBuckets, key: str, tries: int) -> int:
    """How many of `tries` were allowed."""
    allowed = 0
    for _ in range(tries):
        try:
            buckets.take(key)
        except ApiError as error:
            assert (error.status, error.code) == (429, "TOO_MANY_REQUESTS")
            assert error.retry_after_s >= 1
        else:
            allowed += 1
    return allowed


def test_a_burst_and_then_the_rate() -> None:
    clock = Clock()
    buckets = TokenBuckets(per_minute=120, burst=10, now_ns=clock)
    assert taken(buckets, "a", 30) == 10
    assert taken(buckets, "b", 30) == 10  # each key has its own bucket
    clock.now_ns += SECOND
    assert taken(buckets, "a", 30) == 2
    clock.now_ns += 3600 * SECOND
    assert taken(buckets, "a", 30) == 10


def test_retry_after_is_long_enough() -> None:
    clock = Clock()
    buckets = TokenBuckets(per_minute=6, burst=1, now_ns=clock)
    buckets.take("a")
    with pytest.raises(ApiError) as refused:
        buckets.take("a")
    assert refused.value.retry_after_s == 10
    clock.now_ns += refused.value.retry_after_s * SECOND
    buckets.take("a")


def test_a_part_is_half_a_burst_at_most() -> None:
    buckets = TokenBuckets(per_minute=60, burst=10, now_ns=Clock())
    buckets.take_part("a", 1000)
    assert taken(buckets, "a", 30) == 5
    buckets.take_part("b", 3)
    assert taken(buckets, "b", 30) == 7


def test_several_tokens_are_taken_together_or_not_at_all() -> None:
    clock = Clock()
    buckets = TokenBuckets(per_minute=60, burst=10, now_ns=clock)
    buckets.take("a", 9)
    with pytest.raises(ApiError):
        buckets.take("a", 2)
    buckets.take("a", 1)
    buckets.take("b", 500)  # more than a burst counts as a burst
    assert taken(buckets, "b", 5) == 0


def test_check_takes_nothing() -> None:
    buckets = TokenBuckets(per_minute=60, burst=1, now_ns=Clock())
    buckets.check("a")
    buckets.check("a")
    buckets.take("a")
    with pytest.raises(ApiError):
        buckets.check("a")


def test_no_limit() -> None:
    buckets = TokenBuckets(per_minute=0, burst=0)
    assert taken(buckets, "a", 1000) == 1000
    buckets.check("a")
    assert len(buckets) == 0


def test_keys_beyond_the_table_share_a_bucket() -> None:
    """The table does not grow; keys in it keep their bucket, new ones share one."""
    clock = Clock()
    buckets = TokenBuckets(per_minute=60, burst=2, keys_max=5, now_ns=clock)
    for key in "abcde":
        buckets.take(key)
    assert sum(taken(buckets, f"invented {i}", 1) for i in range(100)) == 2
    assert taken(buckets, "a", 5) == 1
    assert len(buckets) <= 6
    clock.now_ns += 60 * SECOND
    assert taken(buckets, "newcomer", 5) == 2
    assert len(buckets) == 1  # full buckets were removed


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3 * SECOND)), max_size=60))
def test_never_more_than_a_burst_above_the_rate(steps: list[tuple[str, int]]) -> None:
    """Against a plain bucket that counts tokens in nanoseconds."""
    clock = Clock()
    buckets = TokenBuckets(per_minute=60, burst=3, keys_max=1000, now_ns=clock)
    tokens = {"a": 3 * SECOND, "b": 3 * SECOND}
    for key, wait_ns in steps:
        clock.now_ns += wait_ns
        tokens = {k: min(3 * SECOND, t + wait_ns) for k, t in tokens.items()}
        expected = tokens[key] >= SECOND
        if expected:
            tokens[key] -= SECOND
        assert taken(buckets, key, 1) == expected


def test_an_ipv6_network_is_one_address() -> None:
    assert address_key("10.0.0.1") == "10.0.0.1"
    assert address_key("2001:db8::1") == address_key("2001:db8::ffff:1") == "2001:db8::"
    assert address_key("2001:db8:0:1::1") != address_key("2001:db8::1")
    assert address_key("fe80::1%eth0") == "fe80::"
    assert address_key("::ffff:10.0.0.1") == "10.0.0.1" != address_key("::ffff:10.0.0.2")
    assert address_key("not:an:address") == "not:an:address"


def test_a_full_table_shares_a_bucket_for_wrong_guesses_too() -> None:
    buckets = TokenBuckets(per_minute=60, burst=2, keys_max=1, now_ns=Clock())
    buckets.drain("a", 1)
    buckets.check("b")
    buckets.drain("b", 2)
    buckets.check("a")
    with pytest.raises(ApiError):
        buckets.check("c")
