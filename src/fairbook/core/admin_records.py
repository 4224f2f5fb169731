"""The bytes of commands that only operators and the exchange itself send, and of their events.

Layout in words: docs/reference/protocol.md. The codes of kinds stand in records.py; here stand the
parameters, types and roles that these commands use.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, final

from librt.strings import read_i64_le
from mypy_extensions import i64

from fairbook.core import records
from fairbook.core.parts import with_detail
from fairbook.core.records import COMMAND_BYTES, LOW

# Flags of the first RULES.
TEST_LOG: Final = 1
SIGNED_LOG: Final = 2

# Parameters of SET commands, per kind.
RESERVE_CAP: Final = 1
CREDIT_MAX: Final = 2
DAILY_WITHDRAWAL_MAX: Final = 3  # of an asset; of an account and asset
STATE: Final = 1
MAKER_FEE_PPM: Final = 2
TAKER_FEE_PPM: Final = 3
PRICE_MIN: Final = 4
PRICE_MAX: Final = 5
QUANTITY_MIN: Final = 6
QUANTITY_MAX: Final = 7
BAND_PPM: Final = 8
LEVELS_MAX: Final = 9
WALK_MAX: Final = 10
FROZEN: Final = 1
FEE_GROUP: Final = 2
ORDERS_MAX: Final = 1
ACCOUNTS_MAX: Final = 2
CREDENTIALS_MAX: Final = 3
OWNER_CREDENTIALS_MAX: Final = 4
REFERENCES_MAX: Final = 5
WITHDRAWAL_DELAY_S: Final = 6

# States of a market.
OPEN: Final = 0
ONLY_POST: Final = 1
ONLY_LIMIT: Final = 2
ONLY_CANCEL: Final = 3
CLOSED_STATE: Final = 4

# Owners of credentials.
OF_ACCOUNT: Final = 0
OF_OPERATOR: Final = 1
OF_GATEWAYS: Final = 2

# Types of credentials.
PUBLIC_KEY: Final = 1
TOKEN: Final = 2
PASSWORD: Final = 3
SECOND_FACTOR: Final = 4
GATEWAY_KEY: Final = 5

# Permissions of an account's credential.
MAY_READ: Final = 1
MAY_TRADE: Final = 2
MAY_WITHDRAW: Final = 4
ALL_PERMISSIONS: Final = 7

# Roles of an operator.
ACCOUNTS_ROLE: Final = 1
MARKETS_ROLE: Final = 2
MONEY_ROLE: Final = 4
OPERATORS_ROLE: Final = 8
ALL_ROLES: Final = 15

# Causes of a pause.
BY_AUDIT: Final = 0
BY_OPERATOR: Final = 1

# What MOVED says about money.
CREDITED: Final = 0
DEBITED: Final = 1
PENDING_CREDIT: Final = 2
CONFIRMED: Final = 3
REFUSED: Final = 4
HELD: Final = 5
RELEASED: Final = 6
CAPTURED: Final = 7

REFERENCE_BYTES: Final = 16
NOTE_BYTES: Final = 40  # of text in one NOTE
NOTE_CONTINUES: Final = 1  # flag of NOTE

_COMMAND: Final = Struct("<BBBBHHIIIIqqq")
_LIST_ASSET: Final = Struct("<BBBBHHIIIIq16s")
_LIST_MARKET: Final = Struct("<BBBBHHIIqq16s")
_MONEY: Final = Struct("<BBBBHHIIII16sq")
_NOTE: Final = Struct("<BBBBI40s")


def _command(
    kind: int,
    *,
    variant: int = 0,
    market: int = 0,
    credential: int = 0,
    account: int = 0,
    session: int = 0,
    parameter: int = 0,
    order_id: int = 0,
    price: int = 0,
    quantity: int = 0,
) -> bytes:
    return _COMMAND.pack(
        kind, variant, 0, 0, market, credential, account, 0, session, parameter, order_id, price,
        quantity,
    )  # fmt: skip


def rules(version: int = 1, *, flags: int = 0, log_id: int = 0, salt: int = 0) -> bytes:
    """From here on, this version of matching and fees holds. `log_id` and `salt`: 64 random bits
    each, in the first frame only.
    """
    return _command(records.RULES, parameter=flags, order_id=log_id, price=salt, quantity=version)


def tick() -> bytes:
    """Log time passes."""
    return _command(records.TICK)


def open_account(user_id: int) -> bytes:
    """The outcome carries the account."""
    return _command(records.OPEN_ACCOUNT, order_id=user_id)


def credit(*, account: int, asset: int, atoms: int, reference: bytes) -> bytes:
    """`reference`: 16 bytes, not all zero; a second credit with them changes nothing."""
    return _money(records.CREDIT, account, asset, atoms, reference, 0)


def debit(*, account: int, asset: int, atoms: int, reference: bytes) -> bytes:
    return _money(records.DEBIT, account, asset, atoms, reference, 0)


def hold(
    *, account: int, asset: int, atoms: int, reference: bytes, detail: bytes, credential: int = 0
) -> bytes:
    """Lock money until `release` or `capture`. `detail`: 32 bytes, hash of what it is for."""
    command = _money(records.HOLD, account, asset, atoms, reference, credential)
    return with_detail(command, detail)


def release(reference: bytes) -> bytes:
    return _money(records.RELEASE, 0, 0, 0, reference, 0)


def capture(reference: bytes, *, fee_atoms: int = 0) -> bytes:
    """The held money leaves the exchange, but for what FEE keeps."""
    return _money(records.CAPTURE, 0, 0, fee_atoms, reference, 0)


def confirm_credit(reference: bytes) -> bytes:
    return _money(records.CONFIRM_CREDIT, 0, 0, 0, reference, 0)


def refuse_credit(reference: bytes) -> bytes:
    return _money(records.REFUSE_CREDIT, 0, 0, 0, reference, 0)


def _money(
    kind: int, account: int, asset: int, atoms: int, reference: bytes, credential: int
) -> bytes:
    if len(reference) != REFERENCE_BYTES:
        raise ValueError(f"a reference has {REFERENCE_BYTES} bytes, not {len(reference)}")
    return _MONEY.pack(kind, 0, 0, 0, asset, credential, account, 0, 0, 0, reference, atoms)


def list_asset(*, asset: int, decimals: int, name: str) -> bytes:
    """`name`: 1 to 16 of A-Z 0-9 _."""
    return _LIST_ASSET.pack(
        records.LIST_ASSET, 0, 0, 0, asset, 0, 0, 0, 0, 0, decimals, _name(name)
    )


def list_market(
    *, market: int, base: int, quote: int, lot_atoms: int, tick_atoms: int, name: str
) -> bytes:
    """It starts Closed; lot and tick never change."""
    return _LIST_MARKET.pack(
        records.LIST_MARKET, 0, 0, 0, market, 0, base, quote, lot_atoms, tick_atoms, _name(name)
    )


def _name(name: str) -> bytes:
    encoded = name.encode("ascii")
    if len(encoded) > 16:
        raise ValueError(f"a name has at most 16 characters: {name!r}")
    return encoded


def set_asset(*, asset: int, parameter: int, value: int) -> bytes:
    return _command(records.SET_ASSET, market=asset, parameter=parameter, quantity=value)


def set_market(*, market: int, parameter: int, value: int, fee_group: int = 0) -> bytes:
    """`fee_group`: of MAKER_FEE_PPM and TAKER_FEE_PPM; 0: for all who are in no other."""
    return _command(
        records.SET_MARKET, market=market, account=fee_group, parameter=parameter, quantity=value
    )


def set_account(*, account: int, parameter: int, value: int, asset: int = 0) -> bytes:
    """`asset`: of DAILY_WITHDRAWAL_MAX."""
    return _command(
        records.SET_ACCOUNT, market=asset, account=account, parameter=parameter, quantity=value
    )


def set_exchange(*, parameter: int, value: int) -> bytes:
    return _command(records.SET_EXCHANGE, parameter=parameter, quantity=value)


def add_credential(
    *,
    detail: bytes,
    credential_type: int,
    owner: int = 0,
    owner_kind: int = OF_ACCOUNT,
    permissions: int = 0,
    expires_ns: int = 0,
    credential: int = 0,
) -> bytes:
    """`detail`: the 32-byte hash of the credential, of a gateway key the key itself. `credential`:
    the slot of the one that acts. The outcome carries the slot of the new one.
    """
    command = _command(
        records.ADD_CREDENTIAL,
        variant=owner_kind,
        credential=credential,
        account=owner,
        session=credential_type,
        parameter=permissions,
        order_id=expires_ns,
    )
    return with_detail(command, detail)


def revoke_credential(
    *, detail: bytes, owner: int = 0, owner_kind: int = OF_ACCOUNT, credential: int = 0
) -> bytes:
    command = _command(
        records.REVOKE_CREDENTIAL, variant=owner_kind, credential=credential, account=owner
    )
    return with_detail(command, detail)


def set_operator(*, operator: int, roles: int) -> bytes:
    """Add the operator with the next id, or change one. Roles 0: may do nothing any more."""
    return _command(records.SET_OPERATOR, account=operator, quantity=roles)


def pause(cause: int, reason: int) -> bytes:
    """Only cancels are taken until `resume` with the same cause. `reason`: at least 1."""
    return _command(records.PAUSE, variant=cause, parameter=reason)


def resume(cause: int) -> bytes:
    return _command(records.RESUME, variant=cause)


def begin_gateway(public_key: bytes | None = None) -> bytes:
    """Begin an instance of a gateway; the outcome carries its number. The key: in a signed log."""
    command = _command(records.BEGIN_GATEWAY)
    return command if public_key is None else with_detail(command, public_key)


def end_gateway(instance: int, *, last_number: int = 0) -> bytes:
    return _command(records.END_GATEWAY, order_id=instance, price=last_number)


def note(text: str) -> list[bytes]:
    """A text of any length, in as many commands as it needs; submit them one after the other."""
    encoded = text.encode()
    pieces = [encoded[at : at + NOTE_BYTES] for at in range(0, len(encoded), NOTE_BYTES)]
    last = len(pieces) - 1
    return [
        _NOTE.pack(records.NOTE, len(piece), 0, NOTE_CONTINUES if at < last else 0, 0, piece)
        for at, piece in enumerate(pieces)
    ]


@final
class Listing:
    """LIST_ASSET or LIST_MARKET: the fields that no other command has."""

    def __init__(self, frame: bytes, at: i64) -> None:
        word = read_i64_le(frame, at + 8)
        self.base: i64 = word & LOW
        self.quote: i64 = word >> 32 & LOW
        self.lot_atoms: i64 = read_i64_le(frame, at + 16)
        self.tick_atoms: i64 = read_i64_le(frame, at + 24)
        self.name: bytes = frame[at + 32 : at + COMMAND_BYTES].rstrip(b"\0")


def reference_at(frame: bytes, at: i64) -> bytes:
    """The reference of the money command that begins at `at`."""
    return frame[at + 24 : at + 40]


def note_text_at(frame: bytes, at: i64) -> bytes:
    """The text of the NOTE that begins at `at`, padded."""
    return frame[at + 8 : at + COMMAND_BYTES]


@final
class Moved:
    """MOVED: money came, went, or is held. `reference` has 16 bytes."""

    def __init__(self, data: bytes, at: i64) -> None:
        word = read_i64_le(data, at)
        self.movement: i64 = word >> 8 & 255  # CREDITED..CAPTURED
        self.asset: i64 = word >> 32 & 0xFFFF
        word = read_i64_le(data, at + 8)
        self.account: i64 = word & LOW
        self.operator: i64 = word >> 32 & LOW
        self.reference: bytes = data[at + 16 : at + 32]
        self.atoms: i64 = read_i64_le(data, at + 32)
        self.fee_atoms: i64 = read_i64_le(data, at + 40)


@final
class Change:
    """Any other event of these commands: the head's fields and the words after it."""

    def __init__(self, data: bytes, at: i64) -> None:
        word = read_i64_le(data, at)
        self.kind: i64 = word & 255
        self.variant: i64 = word >> 8 & 255  # of PARAMETER: kind of the command; or cause, owner
        self.reason: i64 = word >> 16 & 255
        self.subject: i64 = word >> 32 & 0xFFFF  # the asset, market or slot that changed, or 0
        self.flags: i64 = word >> 56 & 255
        count = word >> 24 & 255
        self.words: list[int] = [read_i64_le(data, at + 8 * i) for i in range(1, count)]
