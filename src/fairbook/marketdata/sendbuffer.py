"""What waits for one client that reads too slowly: bounded, and never with a silent gap.

How it works: messages wait by channel. Those that are kept queue up; of LATEST ones the newer takes
the place of the one before it; MERGE ones are gathered, and made into one only when they are taken
or when room runs short, so that a slow client costs little while it is slow. When merging does not
make enough room either, the client is given up.

Always true:
- what is taken of a channel is what was put there, in its order, with neighbouring LATEST messages
  replaced by the last and neighbouring MERGE messages by their merger;
- after each put that was taken, at most `bytes_max` bytes wait.

Not here: when a client is slow, and what becomes of it (hub.py).
"""

from __future__ import annotations

from typing import Final

from fairbook.marketdata.ports import KEEP, LATEST, MERGE, Channel, Message, Source

MESSAGE_BYTES: Final = 128  # counted for each message besides its text: what the objects take

_REPLIES: Final = Channel("")  # what is sent to this client alone


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
        messages = self._waiting.get(channel)
        if messages is None:
            self._waiting[channel] = [message]
        elif message.rule == LATEST and messages[-1].rule == LATEST:
            self.bytes -= _bytes_of(messages[-1])
            messages[-1] = message
        else:
            messages.append(message)
        self.bytes += _bytes_of(message)
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
            self._merge(channel)
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
            self._merge(channel)
        return self.bytes <= self._bytes_max // 4 * 3

    def _merge(self, channel: Channel) -> None:
        """Make one of neighbouring MERGE messages."""
        messages = self._waiting[channel]
        if len(messages) == 1 or not any(message.rule == MERGE for message in messages):
            return
        merged: list[Message] = []
        run: list[Message] = []
        for message in messages:
            if message.rule == MERGE:
                run.append(message)
                continue
            if run:
                merged.append(self._merged(channel, run))
                run = []
            merged.append(message)
        if run:
            merged.append(self._merged(channel, run))
        self.bytes += sum(map(_bytes_of, merged)) - sum(map(_bytes_of, messages))
        self._waiting[channel] = merged

    def _merged(self, channel: Channel, messages: list[Message]) -> Message:
        """Neighbours are merged in pairs, then the pairs: adding one by one to a growing one would
        cost the square of their number.
        """
        if len(messages) == 1:
            return messages[0]
        merge = self._source.merge
        contents = [message.content for message in messages]
        while len(contents) > 1:
            pairs = [
                merge(channel, older, newer)
                for older, newer in zip(contents[::2], contents[1::2], strict=False)
            ]
            contents = pairs + contents[len(pairs) * 2 :]
        content = contents[0]
        return Message(self._source.encode(channel, content), MERGE, content)


def _bytes_of(message: Message) -> int:
    return len(message.text) + MESSAGE_BYTES
