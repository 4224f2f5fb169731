"""Gateways of the naive exchange: whose frame it is, and what the end of an instance leaves."""

from __future__ import annotations

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from tests.core import wire
from tests.core.commands import (
    COMMAND_BYTES,
    DETAIL,
    Command,
    Origin,
    read_command,
    read_origin,
    signed_bytes,
)
from tests.core.oracle_orders import OrderCommands
from tests.core.oracle_records import Gateway
from tests.core.oracle_state import OF_GATEWAYS, SECOND
from tests.core.wire import Event, Kind, Reject

ORIGIN_BYTES = 2 * COMMAND_BYTES
NO_KEY = bytes(32)
GATEWAYS_MAX = 256
CANCELLED_MAX = 1_000  # orders of ended instances at the head of a frame
ALIVE_NS = 5 * SECOND


class GatewayCommands(OrderCommands):
    """Origins of frames, BEGIN_GATEWAY, END_GATEWAY."""

    # The frame as a whole.

    def passed_over(self, frame: bytes) -> wire.Passed | None:
        """Why the frame is not executed."""
        origin = read_origin(frame)
        if not self.is_signed:
            return wire.Passed(wire.NOT_BEGUN, *origin[:2]) if origin else None
        if origin is None:
            return wire.Passed(wire.UNSIGNED, 0, 0)
        commands = frame[ORIGIN_BYTES:]
        reason = self._begin_fault(origin, commands) if origin.instance == 0 else 0
        if origin.instance != 0:
            gateway = self.gateways.get(origin.instance)
            if gateway is None or gateway.has_ended or not self._is_live(gateway.key):
                reason = wire.NOT_BEGUN
            elif origin.number != gateway.last_number + 1:
                reason = wire.OUT_OF_NUMBER
            elif not self._is_signed_by(gateway.key, origin, commands):
                reason = wire.BAD_SIGNATURE
        return wire.Passed(reason, origin.instance, origin.number) if reason else None

    def _begin_fault(self, origin: Origin, commands: bytes) -> int:
        """Of a frame that begins an instance."""
        begin = read_command(commands[48:96]) if len(commands) == 96 else None
        if begin is None or commands[0] != DETAIL:
            return wire.BAD_BEGIN
        if (begin.kind, begin.parts) != (Kind.BEGIN_GATEWAY, 4):
            return wire.BAD_BEGIN
        key = commands[16:48]
        if not self._is_live(key):
            return wire.NOT_BEGUN
        if origin.number <= self.last_begins.get(key, 0):
            return wire.OUT_OF_NUMBER
        return 0 if self._is_signed_by(key, origin, commands) else wire.BAD_SIGNATURE

    def _is_live(self, key: bytes) -> bool:
        """Whether it is a credential of the exchange's gateways now."""
        slots = self.credentials.get((OF_GATEWAYS, 0), {}).values()
        return any(each.hash == key and not each.has_ended(self.time_ns) for each in slots)

    def _is_signed_by(self, key: bytes, origin: Origin, commands: bytes) -> bool:
        try:
            VerifyKey(key).verify(signed_bytes(self.log_id, origin, commands), origin.signature)
        except BadSignatureError:
            return False
        return True

    def take_number(self, frame: bytes) -> None:
        """The frame belongs to an instance and is executed."""
        origin = read_origin(frame)
        if not self.is_signed or origin is None:
            return
        self.instance = origin.instance
        if origin.instance == 0:
            self.last_begins[frame[ORIGIN_BYTES + 16 : ORIGIN_BYTES + 48]] = origin.number
        else:
            gateway = self.gateways[origin.instance]
            gateway.last_number, gateway.last_ns = origin.number, self.time_ns

    def cancel_of_ended(self) -> list[Event]:
        """At the head of a frame: the next orders of ended instances, oldest end first."""
        events: list[Event] = []
        room = CANCELLED_MAX
        for gateway in [each for each in self.gateways.values() if each.has_ended]:
            if room == 0:
                break
            orders = self.orders_of_instance(gateway.instance)
            taken = orders[:room]
            room -= len(taken)
            left = len(orders) - len(taken)
            events += self.close_all(taken, wire.GATEWAY_ENDED)
            events.append(wire.Ended(gateway.instance, len(taken), left))
            if left == 0:
                del self.gateways[gateway.instance]
        return events

    # Commands.

    def begin_gateway(self, c: Command, is_own_frame: bool) -> list[Event]:
        """A new instance, whose number is the sequence."""
        if (c.detail is not None) != self.is_signed or self.is_signed != is_own_frame:
            return self.rejected(c, {Reject.MALFORMED})
        if len(self.gateways) >= GATEWAYS_MAX:
            return self.rejected(c, {Reject.TABLE_FULL})
        events: list[Event] = []
        if not self.is_signed and self.instance:
            events.append(self._end(self.gateways[self.instance]))
        gateway = Gateway(self.sequence, c.detail or NO_KEY, self.time_ns)
        self.gateways[gateway.instance] = gateway
        if not self.is_signed:
            self.instance = gateway.instance
        events.append(wire.GatewayChanged(0, gateway.instance, gateway.key))
        return [*events, self.done(c)._replace(order_id=gateway.instance)]

    def end_gateway(self, c: Command) -> list[Event]:
        """It may not append any more; its orders are cancelled in the frames that follow."""
        gateway = self.gateways.get(c.order_id)
        if gateway is None or gateway.has_ended:
            return self.rejected(c, {Reject.UNKNOWN_GATEWAY})
        if self.is_signed:
            age_ns = self.time_ns - gateway.last_ns
            is_own = self.instance == gateway.instance
            is_young = age_ns < ALIVE_NS and not is_own and self._is_live(gateway.key)
            if c.price > gateway.last_number:
                return self.rejected(c, {Reject.BAD_VALUE})
            if c.price < gateway.last_number or is_young:
                return self.rejected(c, {Reject.GATEWAY_ALIVE})
        return [self._end(gateway), self.done(c)]

    def _end(self, gateway: Gateway) -> Event:
        """It is the last to have ended. One without orders of sessions is forgotten at once."""
        gateway.has_ended = True
        del self.gateways[gateway.instance]
        if self.orders_of_instance(gateway.instance):
            self.gateways[gateway.instance] = gateway
        if self.instance == gateway.instance:
            self.instance = 0
        return wire.GatewayChanged(1, gateway.instance, gateway.key)
