"""A stream of frames with origins, for a log that is SIGNED: valid ones, and every fault."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nacl.signing import SigningKey

from fairbook.core import admin_records as admin
from fairbook.core import parts
from tests.core import wire
from tests.core.stream import LOG_ID, Stream, opening
from tests.core.stream_powers import GATEWAYS

FIRST_KEYS = 3


def signing_key(number: int) -> SigningKey:
    """A key of its own for each number."""
    return SigningKey(number.to_bytes(32, "little"))


def signed_opening(*, flags: int = 0) -> bytes:
    """The first frame: as `opening`, and the keys of the first gateways."""
    return opening(
        flags=flags | admin.SIGNED_LOG,
        more=[
            admin.add_credential(
                detail=bytes(signing_key(number).verify_key),
                credential_type=admin.GATEWAY_KEY,
                owner_kind=admin.OF_GATEWAYS,
            )
            for number in range(FIRST_KEYS)
        ],
    )


def signed(key: SigningKey, instance: int, number: int, commands: bytes) -> bytes:
    """A frame with its origin."""
    message = parts.signed_bytes(LOG_ID, instance, number, commands)
    signature = key.sign(message).signature
    return parts.with_origin(commands, instance=instance, number=number, signature=signature)


class SignedStream(Stream):
    """Makes frames of several instances."""

    def __init__(self, pick: Callable[[int], int]) -> None:
        super().__init__(pick)
        keys = [signing_key(number) for number in range(FIRST_KEYS)]
        self.keys = {bytes(key.verify_key): key for key in keys}  # newest last
        self.begins: dict[bytes, int] = {}  # number of the last begin frame of a key
        self.key_of: dict[int, SigningKey] = {}  # instances that are not ended
        self.ended: list[int] = []
        self.silenced: set[int] = set()  # instances whose key is revoked or has expired
        self.numbers: dict[int, int] = {}  # last numbers of all instances
        self.sent: tuple[int, int, bytes] = (0, 0, b"")  # instance, number, key

    def new_hash(self, owner_kind: int) -> bytes:
        """The gateways' keys can sign."""
        if owner_kind != GATEWAYS:
            return super().new_hash(owner_kind)
        key = signing_key(self.next_number())
        public = bytes(key.verify_key)
        self.keys[public] = key
        return public

    def revoke_credential(self) -> bytes:
        """Never the first key: without a key that lives no frame would be executed any more."""
        unit = super().revoke_credential()
        return admin.tick() if bytes(signing_key(0).verify_key) in unit else unit

    def saw(self, events: Sequence[wire.Event]) -> None:
        """A frame that was not passed over has used its number."""
        instance, number, public = self.sent
        was_passed = bool(events) and isinstance(events[0], wire.Passed)
        if was_passed and events[0] == wire.Passed(wire.NOT_BEGUN, instance, number):
            self.silenced.add(instance)
        if not was_passed and instance:
            self.numbers[instance] = number
        elif not was_passed and public:
            self.begins[public] = number
        for event in events:
            if isinstance(event, wire.GatewayChanged) and event.ended:
                del self.key_of[event.instance]
                self.ended.append(event.instance)
            elif isinstance(event, wire.GatewayChanged):
                self.key_of[event.instance] = self.keys[event.key]
                self.numbers[event.instance] = 0
        super().saw(events)

    def frame(self) -> bytes:
        """Mostly of an instance that may append."""
        speaking = [each for each in self.key_of if each not in self.silenced][-2:]
        if not speaking or self.rarely(60):
            return self._begin()
        commands = super().frame()
        instance = self.one_of(speaking)
        key, number = self.key_of[instance], self.numbers[instance] + 1
        if self.rarely(15):
            return self._faulty(instance, key, number, commands)
        self.sent = instance, number, b""
        return signed(key, instance, number, commands)

    def _begin(self) -> bytes:
        """A frame that begins an instance, or nearly one."""
        public = self.one_of([*list(self.keys)[-5:], *list(self.keys)[:1]])
        key = signing_key(10**9) if self.rarely(20) else self.keys[public]
        number = self.begins.get(public, 0) + self.one_of((1, 1, 1, 5, 0, -1))
        commands = admin.begin_gateway(public)
        if self.rarely(6):
            detail, command = commands[:48], commands[48:]
            commands = self.one_of(
                (
                    commands + admin.tick(), admin.tick() + commands, command, detail, b"",
                    commands[:-1], commands + b"\1", detail + command[:2] + b"\0" + command[3:],
                    detail + admin.tick(), command + detail,
                )
            )  # fmt: skip
        self.sent = 0, number, public
        return signed(key, 0, number, commands)

    def _faulty(self, instance: int, key: SigningKey, number: int, commands: bytes) -> bytes:
        """A frame that must be passed over, unless the fault is none."""
        self.sent = 0, 0, b""
        wrong_number = self.one_of((number - 1, number + 1, 0, -1, 2**63 - 1, -(2**63)))
        good = signed(key, instance, number, commands)
        at = self.pick(len(good))
        match self.pick(9):
            case 0:
                return signed(key, instance, wrong_number, commands)
            case 1:  # another byte anywhere: one that has no meaning is no fault
                self.sent = instance, number, b""
                return good[:at] + bytes([good[at] ^ 1 << self.pick(8)]) + good[at + 1 :]
            case 2:
                return commands or b"\0"
            case 3:
                return good[:48] + commands
            case 4:
                return signed(signing_key(10**9), instance, number, commands)
            case 5:
                other = self.one_of(self.ended[-3:]) if self.ended else 2**62
                return signed(key, other, number, commands)
            case 6:
                return signed(key, self.one_of((-1, 1, instance + 1)), number, commands)
            case 7:
                return good[:96] + commands + admin.tick()
        return good[48:]

    def end_gateway(self) -> bytes:
        """Of an instance that may be alive, with a number that may be its last."""
        known = [*list(self.key_of)[:2], *list(self.key_of)[-3:], *self.ended[-1:]]
        if not known or self.rarely(10):
            return super().end_gateway()
        instance = self.one_of(known)
        last = self.numbers[instance] + self.one_of((0, 1, 0, 2, -1))
        return admin.end_gateway(instance, last_number=last)

    def step(self) -> int:
        """Longer pauses than otherwise, so that silent instances may be ended."""
        super().step()
        if self.rarely(50):
            self.time_ns += self.one_of((5_000_000_000, 4_999_999_999, 5_000_000_001))
        return self.time_ns
