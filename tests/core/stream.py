"""Streams of colliding commands: few accounts, few assets, few prices, and every bound.

Design: a `Stream` makes frames and calls `pick(n)`, a number in 0..n-1, for each choice. hypothesis
or a seeded generator provides the numbers, so that one mix serves short examples that shrink, the
long run against the oracle, and the golden log. Ids, slots and instances come from earlier events.
What needs many commands in a row is in stream_stories.py. 0 is always the simplest choice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from fairbook.core import admin_records as admin
from tests.core import wire
from tests.core.commands import COMMAND_BYTES, split_frame
from tests.core.oracle_checks import ALLOWED_PARTS, OPERATOR
from tests.core.stream_choices import (
    FIRST,
    LAST,
    POOR,
    SECOND,
    START_NS,
    WIDE,
    WIDE_LOT,
    WIDE_TICK,
    SplitMix64,
)
from tests.core.stream_money import MoneyChoices
from tests.core.stream_orders import OrderChoices, text_part
from tests.core.stream_powers import PowerChoices
from tests.core.stream_settings import SettingChoices
from tests.core.stream_stories import Watched, crowd, flood, turn_money_round
from tests.core.wire import Kind

__all__ = ["FIRST", "LAST", "POOR", "SECOND", "START_NS", "WIDE", "SplitMix64", "Stream", "opening"]

MIX = (
    (Kind.PLACE, 110),
    (Kind.CANCEL, 16),
    (Kind.AMEND, 22),
    (Kind.CREDIT, 9),
    (Kind.HOLD, 9),
    (Kind.ADD_CREDENTIAL, 7),
    (Kind.SET_MARKET, 7),
    (Kind.RELEASE, 4),
    (Kind.CAPTURE, 4),
    (Kind.CONFIRM_CREDIT, 3),
    (Kind.REFUSE_CREDIT, 2),
    (Kind.DEBIT, 6),
    (Kind.SET_ACCOUNT, 4),
    (Kind.SET_EXCHANGE, 3),
    (Kind.SET_ASSET, 3),
    (Kind.REVOKE_CREDENTIAL, 3),
    (Kind.SET_OPERATOR, 3),
    (Kind.CANCEL_ALL, 2),
    (Kind.END_SESSION, 2),
    (Kind.OPEN_ACCOUNT, 2),
    (Kind.LIST_ASSET, 2),
    (Kind.LIST_MARKET, 2),
    (Kind.RULES, 1),
    (Kind.TICK, 1),
    (Kind.NOTE, 2),
    (Kind.PAUSE, 1),
    (Kind.RESUME, 1),
    (Kind.BEGIN_GATEWAY, 1),
    (Kind.END_GATEWAY, 1),
)
LOG_ID = 2**63 - 59
KINDS = [kind for kind, weight in MIX for _ in range(weight)]
# Steps of time next to the ends of what is kept for a time, and to another day.
STEPS = (600, 600, 130, 130, 60, 5, 86_400)


def opening(*, flags: int = 0, more: Sequence[bytes] = ()) -> bytes:
    """The first frame of every stream: rules, three assets, three open markets, funds, operators.

    flags: of RULES. more: further commands.
    """
    commands = [
        admin.rules(flags=flags, log_id=LOG_ID, salt=-(2**61) - 1),
        admin.list_asset(asset=1, decimals=3, name="AAA"),
        admin.list_asset(asset=2, decimals=2, name="BBB"),
        admin.list_asset(asset=3, decimals=0, name="CCC"),
        admin.list_market(market=1, base=1, quote=2, lot_atoms=10, tick_atoms=3, name="AAA_BBB"),
        admin.list_market(market=2, base=2, quote=3, lot_atoms=1, tick_atoms=1, name="BBB_CCC"),
        admin.list_market(
            market=WIDE, base=3, quote=1, lot_atoms=WIDE_LOT, tick_atoms=WIDE_TICK, name="CCC_AAA"
        ),
        admin.set_exchange(parameter=admin.ORDERS_MAX, value=20),
        admin.set_exchange(parameter=admin.ACCOUNTS_MAX, value=8),
        admin.set_exchange(parameter=admin.OWNER_CREDENTIALS_MAX, value=4),
    ]
    for market in (1, 2, WIDE):
        commands.append(admin.set_market(market=market, parameter=admin.STATE, value=0))
    reference = 0
    for account in range(FIRST, LAST + 1):
        commands.append(admin.open_account(1000 + account))
        for asset in (1, 2, 3):
            reference += 1
            commands.append(
                admin.credit(
                    account=account,
                    asset=asset,
                    atoms=50 if account == POOR else 20_000,
                    reference=b"opening:" + reference.to_bytes(8, "little"),
                )
            )
    for operator, roles in enumerate((15, 3, 8, 13, 0), 1):
        commands.append(admin.set_operator(operator=operator, roles=roles))
    return b"".join([*commands, *more])


class Stream(OrderChoices, MoneyChoices, PowerChoices, SettingChoices):
    """Makes frames. Pass the events of each to `saw`."""

    def __init__(self, pick: Callable[[int], int]) -> None:
        super().__init__(pick)
        self.paused: set[int] = set()
        self.story: Iterator[bytes] = iter(())
        self.watched = Watched()

    def saw(self, events: Sequence[wire.Event]) -> None:
        """Learn order ids, slots of credentials, instances and pauses."""
        for event in events:
            match event:
                case wire.Accepted():
                    self.open.append((event.account, event.market, event.order_id))
                case wire.Closed():
                    order = event.order
                    self.closed_id = order.order_id
                    self.open.remove((order.account, order.market, order.order_id))
                case wire.CredentialChanged():
                    slots = self.slots.setdefault((event.owner_kind, event.owner), {})
                    slots[event.slot] = event.hash
                    self.added_count += not event.revoked
                case wire.Moved():
                    self.saw_moved(event)
                case wire.GatewayChanged(ended=0):
                    self.instances.append(event.instance)
                case wire.PauseChanged():
                    (self.paused.add if event.paused else self.paused.discard)(event.cause)
        self.watched.saw(events)

    def frame(self) -> bytes:
        """One to five units, rarely with some bytes too few or too many; or the next of a story."""
        told = next(self.story, None)
        if told is not None:
            return told
        chance = self.pick(20_000)
        if chance >= 19_996:
            self.story = turn_money_round(self)
        elif chance == 19_995:
            self.story = crowd(self)
        elif chance >= 19_990:
            self.story = flood(self)
        count = self.one_of((1, 1, 1, 1, 2, 3, 5))
        frame = b"".join(self.command() for _ in range(count))
        if self.rarely(300):
            frame += self.command()[: self.pick(47) + 1]
        return admin.tick() if has_later_rules(frame) else frame

    def step(self) -> int:
        """The time of the next frame: unchanged, a little later, or next to the end of a span."""
        chance = self.pick(5000)
        if chance >= 4990:
            self.time_ns += self.one_of(STEPS) * SECOND + self.one_of((0, -1, 1))
        elif chance >= 2500:
            self.time_ns += self.pick(20) * 1_000_000
        return self.time_ns

    def command(self) -> bytes:
        """One unit, mostly valid."""
        if self.paused and self.rarely(8):
            return admin.resume(min(self.paused))
        if self.repairs and self.rarely(8):
            return self.repairs.pop(self.pick(len(self.repairs)))
        kind = self.one_of(KINDS)
        made = self._command(kind)
        if ALLOWED_PARTS.get(kind, OPERATOR) & OPERATOR and self._wants_operator(kind):
            made = self.with_operator(made)
        if self.rarely(100):  # damage one byte
            at = self.pick(len(made))
            made = made[:at] + bytes([self.one_of((0, 1, 255, 128, 3))]) + made[at + 1 :]
        elif self.rarely(60):
            made = self.torn(made)
        elif self.rarely(400):
            made = self.one_of((self.odd, self.bad_text))()
        return made

    def _wants_operator(self, kind: Kind) -> bool:
        if kind in (Kind.CONFIRM_CREDIT, Kind.REFUSE_CREDIT):
            return self.pick(8) < 7
        return self.pick(4) == 3

    def torn(self, unit: bytes) -> bytes:
        """Parts that are missing, twice, in another order, or not announced."""
        pieces = [unit[at : at + COMMAND_BYTES] for at in range(0, len(unit), COMMAND_BYTES)]
        stray = text_part(b"stray", 5)
        match self.pick(5):
            case 0:
                pieces.pop(self.pick(len(pieces)))
            case 1:
                pieces.insert(self.pick(len(pieces)), pieces[0] if len(pieces) > 1 else stray)
            case 2:
                pieces.reverse()
            case 3:
                last = pieces[-1]
                parts = self.one_of((last[2] ^ 1, last[2] ^ 2, last[2] ^ 8, 16, 255))
                pieces[-1] = last[:2] + bytes([parts]) + last[3:]
            case 4:
                pieces.insert(self.pick(len(pieces) + 1), stray)
        return b"".join(pieces)

    def _command(self, kind: Kind) -> bytes:
        match kind:
            case Kind.CREDIT | Kind.DEBIT | Kind.HOLD:
                return self.move(kind)
            case Kind.RELEASE | Kind.CAPTURE | Kind.CONFIRM_CREDIT | Kind.REFUSE_CREDIT:
                return self.decide(kind)
            case Kind.LIST_ASSET | Kind.LIST_MARKET:
                return self.listing(kind)
            case Kind.SET_EXCHANGE:
                return self.set_exchange(
                    {
                        admin.CREDENTIALS_MAX: self.added_count,
                        admin.REFERENCES_MAX: self.references_count + 15,
                    }
                )
            case Kind.RULES:
                return self.one_of(
                    (admin.rules(), admin.rules(0), admin.rules(flags=1), admin.rules(salt=1))
                )
            case Kind.TICK:
                return admin.tick()
        made = getattr(self, kind.name.lower())()
        assert isinstance(made, bytes)
        return made


def has_later_rules(frame: bytes) -> bool:
    """Whether an engine stops before the frame: damage may have made a RULES of another version."""
    units = split_frame(frame)
    return any(unit and unit.kind == Kind.RULES and unit.quantity > 1 for unit in units)


def before_the_rules() -> bytes:
    """One of every kind, of which only TICK and NOTE are executed, and a malformed one."""
    stream = Stream(lambda count: 0)
    listings = [
        admin.list_asset(asset=1, decimals=3, name="AAA"),
        admin.list_market(market=1, base=1, quote=2, lot_atoms=10, tick_atoms=3, name="AAA_BBB"),
        admin.set_asset(asset=1, parameter=admin.RESERVE_CAP, value=1),
    ]
    known = (Kind.RULES, Kind.LIST_ASSET, Kind.LIST_MARKET, Kind.SET_ASSET)
    others = [stream._command(kind) for kind in Kind if kind not in known]
    malformed = [bytes([kind, 0, 255]) + bytes(45) for kind in Kind]
    return b"".join([*listings, *others, *malformed])
