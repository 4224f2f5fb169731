"""Messages that wait for one slow client: bounded, and never with a silent gap.

Design: messages wait by channel. KEEP messages queue up; a LATEST message replaces the one before
it; MERGE messages are merged some dozens at a time. A merged message is encoded only when it is
taken or when room runs short; until then it counts with the bytes of its parts. So a slow client
costs little while it is slow, and never much at once. If there is not enough room even then, the
client must be closed.

Invariants:
- what is taken of a channel is what was put there, in its order, with neighbouring LATEST messages
  replaced by the last one and neighbouring MERGE messages by their merger;
- after each put that returned True, at most `bytes_max` bytes wait.
"""

from itertools import groupby
from typing import Final

from fairbook.streams.channel_source import KEEP, LATEST, MERGE, Channel, ChannelMessage, Source

MESSAGE_BYTES: Final = 128  # counted for each message besides its payload: what the objects take

_REPLIES: Final = Channel("")  # what is sent to this client alone
_MERGE_AT: Final = 64  # messages of a channel that wait before they are merged


class SendBuffer:
    """Messages of one client, by channel, in the order in which the channels began to wait."""

    __slots__ = ("_bytes_max", "_source", "_waiting", "bytes")

    def __init__(self, source: Source, bytes_max: int) -> None:
        self._source = source
        self._bytes_max = bytes_max
        self._waiting: dict[Channel, list[ChannelMessage]] = {}
        self.bytes = 0  # of all payloads that wait, with MESSAGE_BYTES for each

    def put(self, channel: Channel, message: ChannelMessage) -> bool:
        """Add a message. False: there is no room, and the client must be closed."""
        self.bytes += _bytes_of(message)
        messages = self._waiting.get(channel)
        if messages is None:
            self._waiting[channel] = [message]
        elif message.rule == LATEST and messages[-1].rule == LATEST:
            self.bytes -= _bytes_of(messages[-1])
            messages[-1] = message
        else:
            messages.append(message)
            if message.rule == MERGE and len(messages) % _MERGE_AT == 0:
                self._merge(channel, encode=False)
        return self.bytes <= self._bytes_max or self._make_room()

    def put_reply(self, payload: bytes) -> bool:
        return self.put(_REPLIES, ChannelMessage(payload, KEEP))

    def drop(self, channel: Channel) -> None:
        for message in self._waiting.pop(channel, ()):
            self.bytes -= _bytes_of(message)

    def take(self, bytes_least: int) -> list[bytes]:
        """Remove and return payloads of at least so many bytes, oldest channels first, or all."""
        payloads: list[bytes] = []
        size = 0
        while self._waiting and size < bytes_least:
            channel = next(iter(self._waiting))
            self._merge(channel, encode=True)
            messages = self._waiting[channel]
            count = 0
            while count < len(messages) and size < bytes_least:
                payload = messages[count].payload
                payloads.append(payload)
                size += len(payload)
                count += 1
            self.bytes -= sum(map(_bytes_of, messages[:count]))
            del messages[:count]
            if not messages:
                del self._waiting[channel]
        return payloads

    def _make_room(self) -> bool:
        """Merge all that can be. Requires a quarter to be free, so that the next time is far."""
        for channel in self._waiting:
            self._merge(channel, encode=True)
        return self.bytes <= self._bytes_max // 4 * 3

    def _merge(self, channel: Channel, *, encode: bool) -> None:
        messages = self._waiting[channel]
        merged: list[ChannelMessage] = []
        for rule, run in groupby(messages, key=lambda message: message.rule):
            if rule == MERGE:
                merged.append(self._merged(channel, list(run), encode))
            else:
                merged.extend(run)
        self.bytes += sum(map(_bytes_of, merged)) - sum(map(_bytes_of, messages))
        self._waiting[channel] = merged

    def _merged(self, channel: Channel, run: list[ChannelMessage], encode: bool) -> ChannelMessage:
        """The first may hold a lot. The others are merged in pairs, then the pairs, and then with
        it: adding them one by one to a growing one would cost the square of their number.
        """
        first = run[0]
        if len(run) == 1 and not (encode and isinstance(first, _UnencodedMessage)):
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
        if encode:
            return ChannelMessage(self._source.encode(channel, content), MERGE, content)
        return _UnencodedMessage(content, sum(map(_bytes_of, run)) - MESSAGE_BYTES * (len(run) - 1))


class _UnencodedMessage(ChannelMessage):
    """A merged message without a payload yet. `bytes`: the most that it may count."""

    __slots__ = ("bytes",)

    def __init__(self, content: object, bytes_most: int) -> None:
        super().__init__(b"", MERGE, content)
        self.bytes = bytes_most


def _bytes_of(message: ChannelMessage) -> int:
    if isinstance(message, _UnencodedMessage):
        return message.bytes
    return len(message.payload) + MESSAGE_BYTES
