"""Client ids that are texts."""

from __future__ import annotations

from typing import Any

import pytest

from fairbook.core import records, state
from tests.core import wire
from tests.core.play import Play, play
from tests.core.stream_orders import text_part
from tests.core.wire import Reject

GOOD = (
    "a", "Z", "007", "00", "-1", "+".replace("+", "."), "4294967296", "99999999999", "1.0", "1e3",
    "x" * 36, "bot:1/BTC-USDT_2", "A-Z_a-z.0:9/", "0x10", "04294967295",
)  # fmt: skip
BAD = (
    b"", b"x" * 37, b"0", b"7", b"4294967295", b"a b", b"a\0", b"\0", b"a\n", b"caf\xc3\xa9",
    b"a,b", b"#1", b"a+b", b"\xff", b"[x]", b"a@b", b"`", b"{",
)  # fmt: skip


def place(story: Play, text: bytes, length: int | None = None, flags: int = 0) -> wire.Outcome:
    """A PLACE with these bytes as its text."""
    account = story.account("ann")
    unit = records.place(
        account=account, market=1, side=records.ASK, quantity=1, price=1000, flags=flags, text="x"
    )
    padded = text[:36]
    outcome = story.send(text_part(padded, len(text) if length is None else length) + unit[48:])[-1]
    assert isinstance(outcome, wire.Outcome)
    return outcome


def test_the_same_text_is_one_order() -> None:
    """As with numbers: the stored outcome, or DUPLICATE_CLIENT_ID, never two orders."""
    play("""
        deposit   ann  9 BTC
        deposit   bob  9 BTC
        sell      ann  1 BTC @ 100 text mine  -> rests
        sell      ann  1 BTC @ 100 text mine  -> repeated, rests
        sell      ann  1 BTC @ 101 text mine  -> rejected DUPLICATE_CLIENT_ID
        sell      ann  1 BTC @ 100 text Mine  -> rests
        sell      bob  1 BTC @ 100 text mine  -> rests
        cancel    ann  text mine              -> cancelled
        cancel    ann  text mine              -> rejected UNKNOWN_ORDER
        sell      ann  1 BTC @ 100 text mine  -> repeated, rests
        wait      600
        sell      ann  1 BTC @ 100 text mine  -> rests
        cancel    ann  text other             -> rejected UNKNOWN_ORDER
    """)


def test_a_text_and_a_number_are_never_the_same() -> None:
    """`7` is the number, `007` a text; an order has one of them, or none."""
    story = play("""
        deposit   ann  9 BTC
        sell      ann  1 BTC @ 100 id 7       -> rests
        sell      ann  1 BTC @ 101 text 007   -> rests
        sell      ann  1 BTC @ 102 id 0       -> rests
        sell      ann  1 BTC @ 103 text 00    -> rests
        cancel    ann  text 007               -> cancelled
        cancel    ann  id 0                   -> cancelled
        asks      BTC_USDT 1 @ 100, 1 @ 103
    """)
    assert place(story, b"7").reason == Reject.MALFORMED
    assert place(story, b"abc", flags=records.HAS_CLIENT_ID).reason == Reject.MALFORMED
    account = story.account("ann")
    assert story.core.order_of_client(account, 1, "7") is None
    assert story.core.order_of_client(account, 1, 7) is not None


@pytest.mark.parametrize("text", GOOD)
def test_texts_that_are_client_ids(text: str) -> None:
    """The event TEXT has it once, before ACCEPTED; queries give it; other events have its flag."""
    story = Play()
    story.perform("deposit ann 1 BTC")
    account = story.account("ann")
    unit = records.place(
        account=account, market=1, side=records.ASK, quantity=1, price=1000, text=text
    )
    events = story.send(unit)
    assert events[0] == wire.ClientText(text.encode())
    accepted = events[1]
    assert isinstance(accepted, wire.Accepted) and accepted.flags == wire.HAS_TEXT
    found = story.core.order_of_client(account, 0, text)
    assert found is not None and found.text == text
    closed = story.send(records.cancel(account=account, text=text))[0]
    assert isinstance(closed, wire.Closed) and closed.order.flags == wire.HAS_TEXT
    story.finish()


@pytest.mark.parametrize("text", BAD)
def test_texts_that_are_none(text: bytes) -> None:
    """MALFORMED, one outcome for the unit."""
    story = Play()
    story.perform("deposit ann 1 BTC")
    assert place(story, text).reason == Reject.MALFORMED
    story.finish()


def test_what_stands_after_a_text_does_not_count() -> None:
    """Its length says where it ends."""
    story = Play()
    story.perform("deposit ann 1 BTC")
    assert place(story, b"ab\xff\0junk", length=2).status == wire.NEW
    assert place(story, b"ab other", length=2).repeated == 1
    for length in (37, 48, 255):
        assert place(story, b"a" * 36, length=length).reason == Reject.MALFORMED
    story.finish()


def test_texts_share_the_256_of_an_account_with_numbers() -> None:
    """The 256th later one to close drops a text as it drops a number."""
    story = play("""
        deposit   ann  9 BTC
        sell      ann  1 BTC @ 100 ioc text first -> expires immediate-or-cancel
    """)
    ioc: dict[str, Any] = {"account": story.account("ann"), "market": 1, "side": 1, "quantity": 1}
    ioc |= {"price": 9000, "tif": records.IOC}
    for number in range(255):
        flags = records.HAS_CLIENT_ID
        story.send(
            records.place(**ioc, text=f"t{number}")
            if number % 2
            else records.place(**ioc, flags=flags, client_id=number)
        )
    story.perform("sell ann 1 BTC @ 100 ioc text first -> repeated, expires immediate-or-cancel")
    story.send(records.place(**ioc, text="last"))
    story.perform("sell ann 1 BTC @ 100 ioc text first -> expires immediate-or-cancel")
    story.finish()


def test_ten_thousand_texts_are_found_and_forgotten() -> None:
    """Texts of which every two differ in a few characters; each finds its own order, after the
    state was written and read too.
    """
    story = Play()
    story.perform("deposit ann 10 BTC")
    account = story.account("ann")
    texts = [f"{'x' * (number % 26)}{number:010d}" for number in range(10_000)]
    core = story.core
    for at in range(0, len(texts), 1000):
        units = [
            records.place(
                account=account, market=1, side=records.ASK, quantity=1, price=9000, text=text
            )
            for text in texts[at : at + 1000]
        ]
        core.apply(b"".join(units), story.time_ns)
    image = state.dump(core)
    for exchange in (core, state.load(image)):
        found = [exchange.order_of_client(account, 1, text) for text in texts]
        assert [order.text for order in found if order] == texts
        assert len({order.order_id for order in found if order}) == len(texts)
    assert state.dump(state.load(image)) == image
    events = wire.split_events(core.apply(records.cancel_all(account=account), story.time_ns))
    assert isinstance(events[-1], wire.Outcome) and events[-1].filled == len(texts)
    assert core.order_of_client(account, 1, texts[0]) is None
