"""What waits for one client that reads too slowly: bounded, and never with a silent gap.

How it works: messages wait by channel. Those that are kept queue up; of LATEST ones the newer takes
the place of the one before it; MERGE ones are gathered and merged some dozens at a time, and get a
text only when they are taken, or when room runs short: until then the texts they came with say how
much they may be. So a slow client costs little while it is slow, and never much at once. When there
is not enough room either way, the client is given up.

Always true:
- what is taken of a channel is what was put there, in its order, with neighbouring LATEST messages
  replaced by the last and neighbouring MERGE messages by their merger;
- after each put that was taken, at most `bytes_max` bytes wait.

Not here: when a client is slow, and what becomes of it (hub.py).
"""

from __future__ import annotations

from itertools import groupby
from typing import Final

from fairbook.streams.ports import KEEP, LATEST, MERGE, Channel, Message, Source

MESSAGE_BYTES: Final = 128  # counted for each message besides its text: what the objects take

_REPLIES: Final = Channel("")  # what is sent to this client alone
_GATHERED_MAX: Final = 64  # messages that are merged at once, while nobody wants their text


class SendBuffer:
    """Messages of one client, by channel, in the order in which the channels began to wait."""

    __slots__ = ("_bytes_max", "_source", "_waiting", "bytes")

    def __init__(self, source: Source, bytes_max: int) -> None:
        """`source` merges and encodes."""
        self._source = source
        self._bytes_max = bytes_max
        self._waiting: dict[Channel, list[Message]] = {}
        self.bytes = 0
        """Of all texts that wait, with MESSAGE_BYTES for each."""

    def put(self, channel: Channel, message: Message) -> bool:
        """Let a message wait. False: too much waits, and the client has to be closed."""
        self.bytes += _bytes_of(message)
        messages = self._waiting.get(channel)
        if messages is None:
            self._waiting[channel] = [message]
        elif message.rule == LATEST and messages[-1].rule == LATEST:
            self.bytes -= _bytes_of(messages[-1])
            messages[-1] = message
        else:
            messages.append(message)
            if message.rule == MERGE and len(messages) % _GATHERED_MAX == 0:
                self._merge(channel, with_text=False)
        return self.bytes <= self._bytes_max or self._make_room()

    def put_reply(self, text: bytes) -> bool:
        """Let an answer wait; as `put`."""
        return self.put(_REPLIES, Message(text, KEEP))

    def forget(self, channel: Channel) -> None:
        """Drop what waits of a channel."""
        for message in self._waiting.pop(channel, ()):
            self.bytes -= _bytes_of(message)

    def take(self, bytes_least: int) -> list[bytes]:
        """Remove and return texts, oldest channels first, until they are so many bytes, or all."""
        texts: list[bytes] = []
        size = 0
        while self._waiting and size < bytes_least:
            channel = next(iter(self._waiting))
            self._merge(channel, with_text=True)
            messages = self._waiting[channel]
            count = 0
            while count < len(messages) and size < bytes_least:
                text = messages[count].text
                texts.append(text)
                size += len(text)
                count += 1
            self.bytes -= sum(map(_bytes_of, messages[:count]))
            del messages[:count]
            if not messages:
                del self._waiting[channel]
        return texts

    def _make_room(self) -> bool:
        """Merge all that can be. The quarter that must be free then pays for the next time."""
        for channel in self._waiting:
            self._merge(channel, with_text=True)
        return self.bytes <= self._bytes_max // 4 * 3

    def _merge(self, channel: Channel, *, with_text: bool) -> None:
        """Make one of neighbouring MERGE messages, and its text if it is wanted."""
        messages = self._waiting[channel]
        merged: list[Message] = []
        for rule, run in groupby(messages, key=lambda message: message.rule):
            if rule == MERGE:
                merged.append(self._merged(channel, list(run), with_text))
            else:
                merged.extend(run)
        self.bytes += sum(map(_bytes_of, merged)) - sum(map(_bytes_of, messages))
        self._waiting[channel] = merged

    def _merged(self, channel: Channel, run: list[Message], with_text: bool) -> Message:
        """The first may hold a lot. The others are merged in pairs, then the pairs, and then with
        it: adding them one by one to a growing one would cost the square of their number.
        """
        first = run[0]
        if len(run) == 1 and not (with_text and isinstance(first, _Gathered)):
            return first
        content = first.content
        merge = self._source.merge
        contents = [message.content for message in run[1:]]
        while len(contents) > 1:
            pairs = [
                merge(channel, older, newer)
                for older, newer in zip(contents[::2], contents[1::2], strict=False)
            ]
            contents = pairs + contents[len(pairs) * 2 :]
        if contents:
            content = merge(channel, content, contents[0])
        if with_text:
            return Message(self._source.encode(channel, content), MERGE, content)
        return _Gathered(content, sum(map(_bytes_of, run)) - MESSAGE_BYTES * (len(run) - 1))


class _Gathered(Message):
    """Merged, and without a text so far. `bytes`: the most that it counts for."""

    __slots__ = ("bytes",)

    def __init__(self, content: object, bytes_most: int) -> None:
        super().__init__(b"", MERGE, content)
        self.bytes = bytes_most


def _bytes_of(message: Message) -> int:
    if isinstance(message, _Gathered):
        return message.bytes
    return len(message.text) + MESSAGE_BYTES
