"""A token bucket by itself: a burst, then the rate, and how long to wait."""

from fairbook.net.token_bucket import TokenBucket

INTERVAL_NS = 100


def test_a_burst_and_then_one_token_per_interval() -> None:
    bucket = TokenBucket(interval_ns=INTERVAL_NS, burst=3)
    assert [bucket.take(1000) for _ in range(4)] == [0, 0, 0, INTERVAL_NS]
    assert bucket.take(1099) == 1
    assert bucket.take(1100) == 0
    assert bucket.take(1100) == INTERVAL_NS


def test_a_refused_take_changes_nothing() -> None:
    bucket = TokenBucket(interval_ns=INTERVAL_NS, burst=3)
    bucket.take(1000, 2)
    assert bucket.take(1000, 2) == INTERVAL_NS
    assert bucket.wait_ns(1000) == 0
    assert bucket.take(1000) == 0
    assert bucket.wait_ns(1000) == INTERVAL_NS


def test_more_than_a_burst_counts_as_a_burst() -> None:
    bucket = TokenBucket(interval_ns=INTERVAL_NS, burst=3)
    assert bucket.take(1000, 50) == 0
    assert bucket.take(1000) == INTERVAL_NS
    assert bucket.full_at_ns == 1000 + 3 * INTERVAL_NS


def test_what_is_drained_is_owed_once() -> None:
    bucket = TokenBucket(interval_ns=INTERVAL_NS, burst=3)
    bucket.drain(1000, 1)
    bucket.drain(1000, 50)  # counts as 3, and 2 were left
    bucket.drain(1000, 50)
    assert bucket.wait_ns(1000) == 2 * INTERVAL_NS
    bucket.drain(1100, 1)
    assert bucket.wait_ns(1200) == 0
