"""The instance of a gateway: its frames, their numbers, and what became of each.

Design: a pure state machine, without I/O and without a clock: what happens goes in, actions come
out. In a signed log an instance begins by a frame of its own, and then numbers its frames from 1.
Rules: docs/reference/protocol.md, "Frames with an origin".

Invariants:
- one append is under way; the next number is sent only when the fate of this one is known;
- an append without an answer is repeated, the same bytes under the same number, until it is
  confirmed or refused for good: nothing is concluded from what the log seems to have;
- a unit is answered only when its frame is confirmed and its events have come;
- a unit that was never sent, or whose frame was passed over, is refused: nothing was done;
- when an instance is over, what was under way is unknown, and says so.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from fairbook.core import records
from fairbook.core.admin_records import begin_gateway, tick
from fairbook.core.gateways import OUT_OF_NUMBER
from fairbook.core.parts import ORIGIN_BYTES, signed_bytes, with_origin
from fairbook.core.records import COMMAND_BYTES, PASSED

PENDING_MAX: Final = 8192  # records that wait or are under way
FRAME_RECORDS_MAX: Final = 4096
IDLE_NS: Final = 2_000_000_000  # between two frames: the others end an instance after 5 s
BEGIN_NUMBER: Final = 0  # of the append that begins the instance, in actions

_REASON_AT: Final = 2  # in PASSED

BUSY: Final = "busy"
NOT_BEGUN: Final = "the gateway is not ready"
PASSED_OVER: Final = "the gateway was ended by another one"
OVER: Final = "the gateway begins anew"

Sign = Callable[[bytes], bytes]
"""ED25519 with the key of the gateway: 64 bytes."""


class Append(NamedTuple):
    """Send this frame to the log, as often as it is asked for. instance 0: that begins one."""

    instance: int
    number: int
    frame: bytes


class AnswerUnit(NamedTuple):
    """Its unit is durable, and these are its events."""

    ticket: int
    position: int
    events: bytes


class RefuseUnit(NamedTuple):
    """Nothing was done, and nothing will be."""

    ticket: int
    reason: str


class UnknownUnit(NamedTuple):
    """It is not known whether it was done: ask by client id."""

    ticket: int


class BeginAnew(NamedTuple):
    """The instance is over: close all connections, and begin another one."""

    reason: str


Action = Append | AnswerUnit | RefuseUnit | UnknownUnit | BeginAnew


class _Sent(NamedTuple):
    """The append that is under way. tickets: of its units; None for what has no client."""

    append: Append
    tickets: tuple[int | None, ...]


class GatewayInstance:
    """One instance, from its begin frame to its end."""

    def __init__(self, *, log_id: int, key: bytes, sign: Sign, begin_number: int) -> None:
        """key: public. begin_number: above that of any earlier begin with this key; the clock in
        ns serves.
        """
        self.instance = 0
        """Its number; 0: it has not begun yet."""
        self.is_over = False
        self.number = 0
        """Of the newest frame that is sent."""
        self._log_id = log_id
        self._key = key
        self._sign = sign
        self._begin_number = begin_number
        self._units: deque[tuple[int | None, bytes]] = deque()
        self._pending = 0  # records
        self._sent: _Sent | None = None
        self._confirmed_at = 0  # position of the append that is under way; 0: not confirmed
        self._events: dict[int, bytes] = {}  # that came before their append was confirmed
        self._last_ns = 0  # when the newest frame was sent

    def begin(self, now_ns: int) -> list[Action]:
        """The first thing to be done."""
        frame = self._signed(0, self._begin_number, begin_gateway(self._key))
        return self._send(Append(0, self._begin_number, frame), (), now_ns)

    def submit(self, ticket: int, unit: bytes, now_ns: int) -> list[Action]:
        """A command with its parts. Its answer comes later, under its ticket."""
        if self.is_over or not self.instance:
            return [RefuseUnit(ticket, OVER if self.is_over else NOT_BEGUN)]
        places = len(unit) // COMMAND_BYTES
        if self._pending + places > PENDING_MAX:
            return [RefuseUnit(ticket, BUSY)]
        self._pending += places
        self._units.append((ticket, unit))
        return self._next(now_ns)

    def pass_time(self, now_ns: int) -> list[Action]:
        """To be called at least every second: an instance that writes nothing is ended."""
        if self.is_over or not self.instance or self._sent is not None:
            return []
        if now_ns - self._last_ns < IDLE_NS:
            return []
        self._units.append((None, tick()))
        self._pending += 1
        return self._next(now_ns)

    def is_under_way(self, append: Append) -> bool:
        """Whether its fate is not known yet."""
        return self._sent is not None and self._sent.append is append and not self._confirmed_at

    def lost(self) -> list[Action]:
        """The append has got no answer, or an answer that says nothing: repeat it."""
        return [] if self._sent is None or self._confirmed_at else [self._sent.append]

    def confirmed(self, number: int, position: int, now_ns: int) -> list[Action]:
        """The log has the append with this number at this position, and will keep it."""
        if self._sent is None or self._sent.append.number != number or self._confirmed_at:
            return []
        self._confirmed_at = position
        return self._settle(now_ns)

    def refused(self, number: int) -> list[Action]:
        """The log takes no append with this number: another one writes as this instance."""
        if self._sent is None or self._sent.append.number != number or self._confirmed_at:
            return []
        return self.end(OVER)

    def applied(self, position: int, instance: int, number: int, events: bytes) -> list[Action]:
        """An engine has executed a frame with this origin. Called for each position, in any order;
        those of other gateways are ignored.
        """
        sent = self._sent
        if sent is None or (sent.append.instance, sent.append.number) != (instance, number):
            return []
        self._events[position] = events
        return self._settle(self._last_ns)

    def end(self, reason: str) -> list[Action]:
        """It is over: by the log, by another gateway, or by this process."""
        if self.is_over:
            return []
        self.is_over = True
        sent = () if self._sent is None else self._sent.tickets
        unknown = [ticket for ticket in sent if ticket is not None]
        waiting = [ticket for ticket, _ in self._units if ticket is not None]
        self._units.clear()
        self._sent = None
        return [
            *map(UnknownUnit, unknown),
            *(RefuseUnit(ticket, reason) for ticket in waiting),
            BeginAnew(reason),
        ]

    def _settle(self, now_ns: int) -> list[Action]:
        """Answer the frame, if it is confirmed and executed."""
        sent, position = self._sent, self._confirmed_at
        if sent is None or position not in self._events:
            return []
        events = self._events[position]
        self._events.clear()
        self._sent, self._confirmed_at = None, 0
        if reason := passed_over(events):
            tickets = [ticket for ticket in sent.tickets if ticket is not None]
            # Out of number: the same frame may stand, and be executed, at another position.
            known: list[Action] = (
                [UnknownUnit(ticket) for ticket in tickets]
                if reason == OUT_OF_NUMBER
                else [RefuseUnit(ticket, PASSED_OVER) for ticket in tickets]
            )
            return [*known, *self.end(PASSED_OVER)]
        answers = records.split(events)
        if sent.append.instance == 0:
            return self._begun(answers[0], now_ns)
        self._pending -= (len(sent.append.frame) - ORIGIN_BYTES) // COMMAND_BYTES
        answered: list[Action] = [
            AnswerUnit(ticket, position, own)
            for ticket, own in zip(sent.tickets, answers, strict=True)
            if ticket is not None
        ]
        return answered + self._next(now_ns)

    def _begun(self, answer: bytes, now_ns: int) -> list[Action]:
        outcome = records.read_outcome(answer)
        if outcome.status == records.REJECTED:
            return self.end(f"the log refuses another gateway: code {outcome.reason}")
        self.instance = int(outcome.sequence)
        return self._next(now_ns)

    def _next(self, now_ns: int) -> list[Action]:
        """Send what waits, as one frame, if nothing is under way."""
        if self._sent is not None or not self._units:
            return []
        tickets: list[int | None] = []
        units: list[bytes] = []
        room = FRAME_RECORDS_MAX
        while self._units and (not units or len(self._units[0][1]) // COMMAND_BYTES <= room):
            ticket, unit = self._units.popleft()
            tickets.append(ticket)
            units.append(unit)
            room -= len(unit) // COMMAND_BYTES
        self.number += 1
        frame = self._signed(self.instance, self.number, b"".join(units))
        return self._send(Append(self.instance, self.number, frame), tuple(tickets), now_ns)

    def _send(self, append: Append, tickets: tuple[int | None, ...], now_ns: int) -> list[Action]:
        self._sent = _Sent(append, tickets)
        self._last_ns = now_ns
        return [append]

    def _signed(self, instance: int, number: int, commands: bytes) -> bytes:
        signature = self._sign(signed_bytes(self._log_id, instance, number, commands))
        return with_origin(commands, instance=instance, number=number, signature=signature)


def passed_over(events: bytes) -> int:
    """Why the frame of these events was passed over; 0: it was executed. At its head may stand the
    ends of other gateways' orders; PASSED is the last event.
    """
    at = reason = 0
    while at < len(events):
        is_passed = records.kind_at(events, at) == PASSED
        reason = events[at + _REASON_AT] if is_passed else 0
        at = records.next_at(events, at)
    return reason
