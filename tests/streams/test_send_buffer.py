"""What waits for a slow client: nothing is lost in silence, and no more waits than may."""

import json
import random
from typing import Any

import pytest

from fairbook.net.ws_frames import FRAGMENTS_MAX, MessageAssembler, ProtocolError, text_frame
from fairbook.streams.channel_source import KEEP, LATEST, MERGE, Channel, ChannelMessage
from fairbook.streams.send_buffer import MESSAGE_BYTES, SendBuffer
from tests.streams.hub_harness import DEPTH, PRICE, TRADES, LevelSource, replayed, unframed


def depth(source: LevelSource, number: int, changes: dict[int, int]) -> ChannelMessage:
    return source.message("depth", (number, number, changes))


def kept(number: int, filling: str = "") -> ChannelMessage:
    return ChannelMessage(
        json.dumps({"stream": "trades", "data": [number, filling]}).encode(), KEEP
    )


def price(number: int) -> ChannelMessage:
    return ChannelMessage(b'{"stream":"price","data":%d}' % number, LATEST)


def taken(buffer: SendBuffer, bytes_least: int = 10**9) -> list[Any]:
    return [json.loads(text) for text in buffer.take(bytes_least)]


def test_what_may_be_merged_is_and_what_may_not_is_kept() -> None:
    source = LevelSource()
    buffer = SendBuffer(source, 10_000)
    for number in range(1, 8):
        assert buffer.put(DEPTH, depth(source, number, {number % 3: number}))
        assert buffer.put(TRADES, kept(number))
        assert buffer.put(PRICE, price(number))
        assert buffer.put_reply(b'{"id":%d}' % number)
    assert taken(buffer) == [
        {"stream": "depth", "data": [1, 7, {"1": 7, "2": 5, "0": 6}]},
        *[{"stream": "trades", "data": [number, ""]} for number in range(1, 8)],
        {"stream": "price", "data": 7},
        *[{"id": number} for number in range(1, 8)],
    ]
    assert buffer.bytes == 0 and taken(buffer) == []


def test_one_message_goes_out_as_it_came() -> None:
    source = LevelSource()
    buffer = SendBuffer(source, 10_000)
    message = depth(source, 1, {1: 1})
    buffer.put(DEPTH, message)
    assert buffer.take(1)[0] is message.payload
    assert source.merged == 0


def test_a_kept_message_is_a_wall_between_its_neighbours() -> None:
    """A final candle stays, whatever the running ones after it."""
    buffer = SendBuffer(LevelSource(), 10_000)
    for message in (price(1), price(2), kept(1), price(3), price(4)):
        buffer.put(PRICE, message)
    assert [text["data"] for text in taken(buffer)] == [2, [1, ""], 4]
    source = LevelSource()
    buffer = SendBuffer(source, 10_000)
    for message in (depth(source, 1, {}), depth(source, 2, {}), kept(1), depth(source, 3, {})):
        buffer.put(DEPTH, message)
    assert [text["data"] for text in taken(buffer)] == [[1, 2, {}], [1, ""], [3, 3, {}]]


def test_it_is_taken_in_parts() -> None:
    buffer = SendBuffer(LevelSource(), 10_000)
    for number in range(10):
        buffer.put(TRADES, kept(number))
    first = taken(buffer, 70)
    assert len(first) == 2
    buffer.put(TRADES, kept(10))
    assert [text["data"][0] for text in first + taken(buffer)] == list(range(11))
    assert buffer.bytes == 0


def test_what_is_forgotten_is_not_sent() -> None:
    source = LevelSource()
    buffer = SendBuffer(source, 10_000)
    for number in range(1, 4):
        buffer.put(DEPTH, depth(source, number, {}))
        buffer.put(TRADES, kept(number))
    buffer.drop(DEPTH)
    buffer.drop(PRICE)
    assert len(taken(buffer)) == 3 and buffer.bytes == 0


@pytest.mark.parametrize("rule", ["kept", "replies", "merged"])
def test_a_client_that_would_need_too_much_is_given_up(rule: str) -> None:
    """Depth too, once so many levels have changed that merging them does not help any more."""
    source = LevelSource()
    buffer = SendBuffer(source, 20_000)
    number = 0
    while True:
        number += 1
        if rule == "kept":
            has_room = buffer.put(TRADES, kept(number))
        elif rule == "replies":
            has_room = buffer.put_reply(b'{"id":%d,"result":null}' % number)
        else:
            has_room = buffer.put(DEPTH, depth(source, number, {number: number}))
        if not has_room:
            break
        assert buffer.bytes <= 20_000
    assert number > 100
    # A client near its limit is not merged anew with every message.
    assert source.encoded < 40 + (number if rule == "merged" else 0)


def test_merging_makes_room_for_ever_while_few_levels_change() -> None:
    source = LevelSource()
    buffer = SendBuffer(source, 20_000)
    count = 50_000
    for number in range(1, count + 1):
        assert buffer.put(DEPTH, depth(source, number, {number % 50: number}))
        assert buffer.put(PRICE, price(number))
    (first, last, changes), newest = (text["data"] for text in taken(buffer))
    assert (first, last, newest) == (1, count, count)
    assert changes == {str(n % 50): n for n in range(count - 49, count + 1)}
    # Each was merged about once: what it costs does not grow with the time a client is slow.
    assert source.merged < count * 1.02


@pytest.mark.parametrize("seed", range(5))
def test_after_any_pause_ranges_are_contiguous(seed: int) -> None:
    """Whatever was put, taken and dropped: depth without a gap, trades one by one, the price the
    last one, and never more than the limit.
    """
    chance = random.Random(seed)
    source = LevelSource()
    bytes_max = 16_000
    buffer = SendBuffer(source, bytes_max)
    levels: dict[int, int] = {}
    updates: list[Any] = []
    trades: list[int] = []
    number = trade = 0
    for _ in range(3000):
        for _ in range(chance.choice((0, 1, 5, 40))):
            if trade - len(trades) < 20 and chance.random() < 0.2:
                trade += 1
                assert buffer.put(TRADES, kept(trade, "x" * chance.randrange(100)))
            number += 1
            changes = {chance.randrange(60): chance.randrange(5)}
            levels.update(changes)
            assert buffer.put(DEPTH, depth(source, number, changes))
            assert buffer.put(PRICE, price(number))
            assert buffer.bytes <= bytes_max
        for text in taken(buffer, chance.choice((0, 1, 100, 1000, 10**6))):
            if text["stream"] == "depth":
                updates.append(text["data"])
            elif text["stream"] == "trades":
                trades.append(text["data"][0])
    updates += [text["data"] for text in taken(buffer) if text["stream"] == "depth"]
    assert replayed(updates) == (number, levels)
    assert trades == list(range(1, len(trades) + 1))
    assert len(updates) < number


def test_the_count_of_bytes_is_that_of_the_texts() -> None:
    source = LevelSource()
    buffer = SendBuffer(source, 10_000)
    buffer.put(PRICE, price(1))
    buffer.put(PRICE, price(2))
    buffer.put(TRADES, kept(1))
    texts = len(price(2).payload) + len(kept(1).payload)
    assert buffer.bytes == texts + 2 * MESSAGE_BYTES


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 200_000])
def test_a_frame_carries_its_text(size: int) -> None:
    text = b"x" * size
    assert unframed(text_frame(text) + text_frame(b"next")) == [text, b"next"]


def test_fragments_become_a_message() -> None:
    assembler = MessageAssembler(10)
    assert assembler.add(b"whole", is_first=True, is_last=True) == b"whole"
    for _ in range(2):
        assert assembler.add(b"in ", is_first=True, is_last=False) is None
        assert assembler.add(b"", is_first=False, is_last=False) is None
        assert assembler.add(b"parts", is_first=False, is_last=True) == b"in parts"


@pytest.mark.parametrize(
    ("code", "pieces"),
    [
        (1009, [(b"x" * 11, True, True)]),
        (1009, [(b"x" * 6, True, False), (b"x" * 5, False, True)]),
        (1009, [(b"", True, False)] + [(b"", False, False)] * FRAGMENTS_MAX),
        (1002, [(b"x", False, True)]),
        (1002, [(b"x", True, False), (b"x", True, True)]),
    ],
    ids=["large", "large together", "many", "no beginning", "two beginnings"],
)
def test_fragments_are_limited(code: int, pieces: list[tuple[bytes, bool, bool]]) -> None:
    assembler = MessageAssembler(10)
    with pytest.raises(ProtocolError) as error:
        for piece, is_first, is_last in pieces:
            assembler.add(piece, is_first=is_first, is_last=is_last)
    assert error.value.close_code == code


def test_an_unknown_channel_has_nothing_to_forget() -> None:
    buffer = SendBuffer(LevelSource(), 100)
    buffer.drop(Channel("x"))
    assert buffer.bytes == 0
    assert not buffer.put(DEPTH, ChannelMessage(b"x" * 200, MERGE))
