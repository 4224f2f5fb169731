"""The part of the stories that is about money and about who may act (play.py).

operator   dora  money                          also: accounts, markets, operators
key        ann   k trade,withdraw for 60        a credential; `for SECONDS` until it expires
hold       ann   1 BTC as w with k              -> and later: release w, or capture w fee 0.1 BTC
deposit    ann   5 BTC as d by dora             -> pending
confirm    d     by eve
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, ClassVar

from fairbook.core import admin_records as admin
from fairbook.core import parts
from tests.core import wire
from tests.core.lockstep import Lockstep
from tests.world.money import new_reference

SECOND = 10**9
ASSETS = {"BTC": (1, 8), "ETH": (2, 8), "USDT": (3, 6)}  # id, decimals
MARKETS = {"BTC_USDT": 1, "ETH_USDT": 2}
ROLES = {
    "accounts": admin.ACCOUNTS_ROLE,
    "markets": admin.MARKETS_ROLE,
    "money": admin.MONEY_ROLE,
    "operators": admin.OPERATORS_ROLE,
    "none": 0,
}
PERMISSIONS = {
    "read": admin.MAY_READ,
    "trade": admin.MAY_TRADE,
    "withdraw": admin.MAY_WITHDRAW,
}
TYPES = {"key": 1, "token": 2, "password": 3, "second-factor": 4}
LIMITS = {
    "cap": admin.RESERVE_CAP,
    "credit-max": admin.CREDIT_MAX,
    "daily-max": admin.DAILY_WITHDRAWAL_MAX,
}
CAUSES = {"audit": admin.BY_AUDIT, "operator": admin.BY_OPERATOR}


def named_hash(name: str) -> bytes:
    """32 bytes for a name."""
    return name.encode().ljust(32, b".")


def option_of(words: list[str], word: str) -> str:
    """What stands after `word`, or an empty text."""
    return words[words.index(word) + 1] if word in words else ""


def atoms(text: str, asset: str) -> int:
    """An amount, in atoms."""
    return int(Decimal(text) * 10 ** ASSETS[asset][1])


class PowerPlay:
    """Users, operators, credentials and money."""

    def __init__(self) -> None:
        self.both = Lockstep()
        self.time_ns = SECOND
        self.frames: list[tuple[bytes, int]] = []
        self.users: dict[str, int] = {}
        self.operators: list[str] = []
        self.slots: dict[tuple[int, str], int] = {}  # account, name of the credential

    def send(self, frame: bytes) -> list[wire.Event]:
        """Apply one frame to core and oracle, and check the invariants."""
        self.frames.append((frame, self.time_ns))
        events = self.both.apply(frame, self.time_ns)
        self.both.compare()
        self.both.check()
        return events

    def send_many(self, units: list[bytes]) -> list[wire.Event]:
        """In as many frames as their orders may look at so many others."""
        frames = [b"".join(units[at : at + 4_000]) for at in range(0, len(units), 4_000)]
        return [event for frame in frames for event in self.send(frame)]

    def account(self, name: str) -> int:
        """Of a user; opened when the name first appears."""
        if name in ("fee", "external"):
            return int(name == "fee")
        if name not in self.users:
            events = self.send(admin.open_account(1000 + len(self.users)))
            assert isinstance(events[-1], wire.Outcome)
            self.users[name] = events[-1].account
        return self.users[name]

    def slot(self, account: int, name: str) -> int:
        """Of a credential; without a name: the exchange itself."""
        return self.slots[account, name] if name else 0

    def ordered(self, unit: bytes, words: list[str]) -> list[wire.Event]:
        """Send the unit, ordered by an operator if the line says so."""
        name = option_of(words, "by")
        if name:
            operator = self.operators.index(name) + 1
            unit = parts.with_operator(unit, operator=operator, reason_hash=named_hash("why"))
        return self.send(unit)

    # Verbs.

    def _move(self, words: list[str]) -> list[wire.Event]:
        command: Callable[..., bytes] = admin.credit if words[0] == "deposit" else admin.debit
        return self.ordered(command(**self._moved(words)), words)

    def _hold(self, words: list[str]) -> list[wire.Event]:
        terms = self._moved(words)
        credential = self.slot(terms["account"], option_of(words, "with"))
        detail = named_hash(option_of(words, "for") or "somewhere")
        return self.ordered(admin.hold(**terms, detail=detail, credential=credential), words)

    def _moved(self, words: list[str]) -> dict[str, Any]:
        """`USER AMOUNT ASSET [as REFERENCE]`."""
        label = option_of(words, "as")
        return {
            "account": self.account(words[1]),
            "asset": ASSETS[words[3]][0],
            "atoms": atoms(words[2], words[3]),
            "reference": named_hash(label)[:16] if label else new_reference(),
        }

    def _decide(self, words: list[str]) -> list[wire.Event]:
        reference = named_hash(words[1])[:16]
        match words[0]:
            case "release":
                unit = admin.release(reference)
            case "confirm":
                unit = admin.confirm_credit(reference)
            case "refuse":
                unit = admin.refuse_credit(reference)
            case _:
                fee = option_of(words, "fee")
                fee_atoms = atoms(fee, words[words.index("fee") + 2]) if fee else 0
                unit = admin.capture(reference, fee_atoms=fee_atoms)
        return self.ordered(unit, words)

    def _limit(self, words: list[str]) -> list[wire.Event]:
        """`limit ASSET|USER NAME AMOUNT ASSET`."""
        asset, parameter = ASSETS[words[4]][0], LIMITS[words[2]]
        value = -1 if words[3] == "-1" else atoms(words[3], words[4])
        if words[1] in ASSETS:
            return self.ordered(
                admin.set_asset(asset=asset, parameter=parameter, value=value), words
            )
        account = self.account(words[1])
        return self.ordered(
            admin.set_account(account=account, parameter=parameter, value=value, asset=asset), words
        )

    def _group(self, words: list[str]) -> list[wire.Event]:
        account, group = self.account(words[1]), int(words[2])
        return self.ordered(
            admin.set_account(account=account, parameter=admin.FEE_GROUP, value=group), words
        )

    def _operator(self, words: list[str]) -> list[wire.Event]:
        if words[1] not in self.operators:
            self.operators.append(words[1])
        roles = sum(ROLES[role] for role in words[2].split(","))
        number = self.operators.index(words[1]) + 1
        return self.ordered(admin.set_operator(operator=number, roles=roles), words)

    def _key(self, words: list[str]) -> list[wire.Event]:
        """`key|token|... USER NAME PERMISSIONS [for SECONDS]`."""
        account, name = self.account(words[1]), words[2]
        lives = option_of(words, "for")
        unit = admin.add_credential(
            detail=named_hash(name),
            credential_type=TYPES[words[0]],
            owner=account,
            permissions=sum(PERMISSIONS[each] for each in words[3].split(",")),
            expires_ns=self.time_ns + int(Decimal(lives) * SECOND) if lives else 0,
            credential=self.slot(account, option_of(words, "with")),
        )
        events = self.ordered(unit, words)
        outcome = events[-1]
        assert isinstance(outcome, wire.Outcome)
        if outcome.status == wire.DONE:
            self.slots[account, name] = outcome.order_id
        return events

    def _revoke(self, words: list[str]) -> list[wire.Event]:
        account = self.account(words[1])
        unit = admin.revoke_credential(
            detail=named_hash(words[2]),
            owner=account,
            credential=self.slot(account, option_of(words, "with")),
        )
        return self.ordered(unit, words)

    def _pause(self, words: list[str]) -> list[wire.Event]:
        cause = CAUSES[words[1]]
        if words[0] == "resume":
            return self.ordered(admin.resume(cause), words)
        return self.ordered(admin.pause(cause, int(option_of(words, "reason") or 1)), words)

    def _gateway(self, words: list[str]) -> list[wire.Event]:
        """The local gateway begins, again; or `end-gateway`."""
        if words[0] == "gateway":
            return self.send(admin.begin_gateway())
        return self.send(admin.end_gateway(self.both.oracle.instance))

    def _tick(self, words: list[str]) -> list[wire.Event]:
        return self.send(admin.tick())

    def _wait(self, words: list[str]) -> None:
        self.time_ns += int(Decimal(words[1]) * SECOND)

    POWER_VERBS: ClassVar[dict[str, Callable[[Any, list[str]], list[wire.Event] | None]]] = {
        "deposit": _move,  # USER AMOUNT ASSET [as REFERENCE] [by OPERATOR]
        "withdraw": _move,
        "hold": _hold,  # USER AMOUNT ASSET [as REFERENCE] [for WHAT] [with CREDENTIAL]
        "release": _decide,  # REFERENCE
        "capture": _decide,  # REFERENCE [fee AMOUNT ASSET]
        "confirm": _decide,  # REFERENCE by OPERATOR
        "refuse": _decide,
        "limit": _limit,  # ASSET|USER cap|credit-max|daily-max AMOUNT ASSET
        "group": _group,  # USER FEE_GROUP
        "operator": _operator,  # OPERATOR ROLES
        **dict.fromkeys(TYPES, _key),  # USER NAME PERMISSIONS [for SECONDS] [with CREDENTIAL]
        "revoke": _revoke,  # USER NAME
        "pause": _pause,  # audit|operator [reason NUMBER]
        "resume": _pause,
        "gateway": _gateway,
        "end-gateway": _gateway,
        "tick": _tick,
        "wait": _wait,  # SECONDS
    }
