"""What operators do: each act by name, with its fields, and the command that it becomes.

This table makes the endpoints of `/admin/v1`, the commands of `fairbook admin`, and the table in
docs/operate/operators.md. An act is one command of the log; `needs_two` acts are proposed by one
operator and approved by another.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from fairbook.accounts.logged_notes import (
    announcement_note,
    approval_note,
    invitation_note,
    key_note,
    reset_note,
)
from fairbook.admin.act_fields import ActFields
from fairbook.api.errors import BadRequest
from fairbook.checkpoints.signed_note import NoteInvalid, key_digest, parse_key_text
from fairbook.core import admin_records, records
from fairbook.core.admin_records import BY_OPERATOR, OF_ACCOUNT, OF_OPERATOR
from fairbook.core.markets import AS_MARKET, FEE_GROUP_MAX
from fairbook.core.tables import OPERATORS_MAX
from fairbook.core.units import MAX_ATOMS, MAX_DECIMALS
from fairbook.ports.digests import money_reference

MARKET_STATES: Final = {
    "Open": admin_records.OPEN,
    "PostOnly": admin_records.ONLY_POST,
    "LimitOnly": admin_records.ONLY_LIMIT,
    "CancelOnly": admin_records.ONLY_CANCEL,
    "Closed": admin_records.CLOSED_STATE,
}
FEES: Final = {
    "makerFeePpm": admin_records.MAKER_FEE_PPM,
    "takerFeePpm": admin_records.TAKER_FEE_PPM,
}
PPM_PARAMETERS: Final = {
    **FEES,
    "bandPpm": admin_records.BAND_PPM,
    "levelsMax": admin_records.LEVELS_MAX,
    "walkMax": admin_records.WALK_MAX,
}
PRICE_PARAMETERS: Final = {
    "minPrice": admin_records.PRICE_MIN,
    "maxPrice": admin_records.PRICE_MAX,
}
QUANTITY_PARAMETERS: Final = {
    "minQuantity": admin_records.QUANTITY_MIN,
    "maxQuantity": admin_records.QUANTITY_MAX,
}
ASSET_LIMITS: Final = {
    "cap": admin_records.RESERVE_CAP,
    "creditMax": admin_records.CREDIT_MAX,
    "dailyWithdrawalMax": admin_records.DAILY_WITHDRAWAL_MAX,
}
EXCHANGE_LIMITS: Final = {
    "ordersMax": admin_records.ORDERS_MAX,
    "accountsMax": admin_records.ACCOUNTS_MAX,
    "credentialsMax": admin_records.CREDENTIALS_MAX,
    "ownerCredentialsMax": admin_records.OWNER_CREDENTIALS_MAX,
    "referencesMax": admin_records.REFERENCES_MAX,
    "withdrawalDelaySeconds": admin_records.WITHDRAWAL_DELAY_S,
}
ROLES: Final = {
    "accounts": admin_records.ACCOUNTS_ROLE,
    "markets": admin_records.MARKETS_ROLE,
    "money": admin_records.MONEY_ROLE,
    "operators": admin_records.OPERATORS_ROLE,
}
PAUSED_BY_OPERATOR: Final = 1  # the reason that a PAUSE of an operator carries
BY_OPERATORS: Final = "operator"  # where the references of their credits and debits come from


class Field(NamedTuple):
    """A field of an act. Optional ones may be left out. choices: if only these values can be."""

    name: str
    help: str
    is_optional: bool = False
    choices: tuple[str, ...] = ()


class Act(NamedTuple):
    """One kind of act. `make` raises BadRequest or another ApiError for fields that cannot be.
    `role`: that a note needs; of any other command the core knows it.
    """

    help: str
    fields: tuple[Field, ...]
    make: Callable[[ActFields], bytes]
    needs_two: bool = False
    role: int = 0


SYMBOL: Final = Field("symbol", "market, such as SOL_USDC")
ASSET: Final = Field("symbol", "asset, such as SOL")
ACCOUNT: Final = Field("accountId", "number of the account")
VALUE: Final = Field("value", "new value: whole, or a decimal for prices, quantities and amounts")
REFERENCE: Final = Field("reference", "name of this payment; the same one again changes nothing")
QUANTITY: Final = Field("quantity", "amount of the asset, such as 12.5")


def _one_of(name: str, known: dict[str, int]) -> Field:
    return Field(name, ", ".join(known), choices=tuple(known))


def _market_state(fields: ActFields) -> bytes:
    return admin_records.set_market(
        market=fields.market().id,
        parameter=admin_records.STATE,
        value=fields.choice("state", MARKET_STATES),
    )


def _market_parameter(fields: ActFields) -> bytes:
    scales = fields.market()
    known = PPM_PARAMETERS | PRICE_PARAMETERS | QUANTITY_PARAMETERS
    parameter = fields.choice("parameter", known)
    if parameter in PRICE_PARAMETERS.values():
        value = fields.units("value", scales.price)
    elif parameter in QUANTITY_PARAMETERS.values():
        value = fields.units("value", scales.quantity)
    else:
        value = fields.number("value")
    group = fields.number("group", most=FEE_GROUP_MAX, default=0)
    return admin_records.set_market(
        market=scales.id, parameter=parameter, value=value, fee_group=group
    )


def _group_fee_end(fields: ActFields) -> bytes:
    parameter = fields.choice("parameter", FEES)
    group = fields.number("group", least=1, most=FEE_GROUP_MAX)
    return admin_records.set_market(
        market=fields.market().id, parameter=parameter, value=AS_MARKET, fee_group=group
    )


def _list_asset(fields: ActFields) -> bytes:
    decimals = fields.number("decimals", most=MAX_DECIMALS)
    number = len(fields.listings.catalogue.assets()) + 1
    return admin_records.list_asset(asset=number, decimals=decimals, name=fields.name("symbol"))


def _list_market(fields: ActFields) -> bytes:
    base, quote = fields.pair("symbol")
    lot_atoms, tick_atoms = fields.steps(base, quote)
    number = len(fields.listings.catalogue.markets()) + 1
    return admin_records.list_market(
        market=number, base=base.id, quote=quote.id, lot_atoms=lot_atoms, tick_atoms=tick_atoms,
        name=fields.name("symbol"),
    )  # fmt: skip


def _asset_limit(fields: ActFields) -> bytes:
    asset, scale = fields.asset()
    parameter = fields.choice("parameter", ASSET_LIMITS)
    value = fields.units("value", scale)
    return admin_records.set_asset(asset=asset.id, parameter=parameter, value=value)


def _exchange_limit(fields: ActFields) -> bytes:
    parameter = fields.choice("parameter", EXCHANGE_LIMITS)
    return admin_records.set_exchange(parameter=parameter, value=fields.number("value"))


def _account_limit(fields: ActFields) -> bytes:
    asset, scale = fields.asset()
    value = fields.units("value", scale)
    return admin_records.set_account(
        account=fields.account(), parameter=admin_records.DAILY_WITHDRAWAL_MAX, value=value,
        asset=asset.id,
    )  # fmt: skip


def _frozen(value: int) -> Callable[[ActFields], bytes]:
    return lambda fields: admin_records.set_account(
        account=fields.account(), parameter=admin_records.FROZEN, value=value
    )


def _fee_group(fields: ActFields) -> bytes:
    return admin_records.set_account(
        account=fields.account(),
        parameter=admin_records.FEE_GROUP,
        value=fields.number("group", most=FEE_GROUP_MAX),
    )


def _cancel_all(fields: ActFields) -> bytes:
    market = fields.market().id if fields.has("symbol") else 0
    return records.cancel_all(account=fields.account(), market=market)


def _revoke(fields: ActFields) -> bytes:
    return admin_records.revoke_credential(
        detail=fields.digest("credential"), owner=fields.account(), owner_kind=OF_ACCOUNT
    )


def _money(make: Callable[..., bytes]) -> Callable[[ActFields], bytes]:
    def command(fields: ActFields) -> bytes:
        asset, scale = fields.asset()
        return make(
            account=fields.account(), asset=asset.id, atoms=fields.units("quantity", scale),
            reference=money_reference(BY_OPERATORS, fields.text("reference")),
        )  # fmt: skip

    return command


def _capture(fields: ActFields) -> bytes:
    fee_atoms = fields.number("fee", most=MAX_ATOMS, default=0)
    return admin_records.capture(fields.reference("referenceHash"), fee_atoms=fee_atoms)


def _decide(make: Callable[[bytes], bytes]) -> Callable[[ActFields], bytes]:
    return lambda fields: make(fields.reference("referenceHash"))


def _set_operator(fields: ActFields) -> bytes:
    for name, read in (("name", fields.text), ("accountId", lambda _: fields.account())):
        if fields.has(name):
            read(name)
    return admin_records.set_operator(
        operator=fields.number("operator", least=1, most=OPERATORS_MAX),
        roles=fields.bits("roles", ROLES),
    )


def _operator_token(fields: ActFields) -> bytes:
    return admin_records.add_credential(
        detail=fields.digest("tokenHash"),
        credential_type=admin_records.TOKEN,
        owner=fields.number("operator", least=1, most=OPERATORS_MAX),
        owner_kind=OF_OPERATOR,
    )


def _revoke_operator_token(fields: ActFields) -> bytes:
    return admin_records.revoke_credential(
        detail=fields.digest("tokenHash"),
        owner=fields.number("operator", least=1, most=OPERATORS_MAX),
        owner_kind=OF_OPERATOR,
    )


def _change_key(fields: ActFields) -> bytes:
    try:
        return key_note(key_digest(parse_key_text(fields.text("key"))))
    except NoteInvalid as problem:
        raise BadRequest(str(problem)) from None


_CREDENTIAL: Final = Field("credential", "hash of the key or session, as `account` shows it")
_HASH: Final = Field("referenceHash", "reference as `pending` or `withdrawals` shows it")
_OPERATOR: Final = Field("operator", "number of the operator")
_TOKEN_HASH: Final = Field("tokenHash", "SHA-256 of the token, 64 hexadecimal digits")

CHANGE_KEY: Final = "change-key"

ACTS: Final[dict[str, Act]] = {
    "market-state": Act(
        "open, halt or close a market",
        (SYMBOL, _one_of("state", MARKET_STATES)),
        _market_state,
    ),
    "market-parameter": Act(
        "set a fee or a bound of a market",
        (
            SYMBOL,
            _one_of("parameter", PPM_PARAMETERS | PRICE_PARAMETERS | QUANTITY_PARAMETERS),
            VALUE,
            Field("group", "fee group, of a fee (default: all accounts)", is_optional=True),
        ),
        _market_parameter,
    ),
    "group-fee-end": Act(
        "let a fee group pay the fee of all accounts again",
        (
            SYMBOL,
            _one_of("parameter", FEES),
            Field("group", "fee group, 1 to 255"),
        ),
        _group_fee_end,
    ),
    "list-market": Act(
        "list a market, which is closed at first",
        (
            SYMBOL,
            Field("tick", "step of its prices"),
            Field("lot", "step of its quantities"),
        ),
        _list_market,
    ),
    "list-asset": Act(
        "list an asset",
        (ASSET, Field("decimals", "0 to 18; an atom is 10^-decimals")),
        _list_asset,
        needs_two=True,
    ),
    "pause": Act(
        "pause trading: only cancels are taken",
        (),
        lambda _: admin_records.pause(BY_OPERATOR, PAUSED_BY_OPERATOR),
    ),
    "unpause": Act(
        "end the pause of an operator", (), lambda _: admin_records.resume(BY_OPERATOR)
    ),
    "announce": Act(
        "show a text in the status of the exchange and on the stream `venue`",
        (Field("text", "at most 200 characters"),),
        lambda fields: announcement_note(fields.text("text")),
        role=admin_records.MARKETS_ROLE,
    ),
    "end-announcements": Act(
        "show no announcement any more",
        (),
        lambda _: announcement_note(""),
        role=admin_records.MARKETS_ROLE,
    ),
    "freeze": Act(
        "freeze an account: it may cancel, and neither trade nor withdraw", (ACCOUNT,), _frozen(1)
    ),
    "close-account": Act(
        "freeze an account, cancel its orders, end its keys and sessions", (ACCOUNT,), _frozen(1)
    ),
    "unfreeze": Act("end the freeze of an account", (ACCOUNT,), _frozen(0)),
    "cancel-orders": Act(
        "cancel all open orders of an account",
        (ACCOUNT, Field("symbol", "only in this market", is_optional=True)),
        _cancel_all,
    ),
    "fee-group": Act(
        "put an account into a fee group",
        (ACCOUNT, Field("group", "0 to 255; 0: the fees of all accounts")),
        _fee_group,
    ),
    "invite": Act(
        "allow one sign-up with a code of `fairbook keys invitation`",
        (Field("codeHash", "hash of the code, 32 hexadecimal digits"),),
        lambda fields: invitation_note(fields.reference("codeHash")),
        role=admin_records.ACCOUNTS_ROLE,
    ),
    "reset-password": Act(
        "let the user of an account set a new password with a code of `fairbook keys invitation`",
        (ACCOUNT, Field("codeHash", "hash of the code, 32 hexadecimal digits")),
        lambda fields: reset_note(fields.account(), fields.reference("codeHash")),
        needs_two=True,
        role=admin_records.ACCOUNTS_ROLE,
    ),
    "revoke": Act("end a key or a session of an account", (ACCOUNT, _CREDENTIAL), _revoke),
    "credit": Act(
        "credit an account; above the asset's creditMax, also in all within 24 hours, another"
        " operator must agree",
        (ACCOUNT, ASSET, QUANTITY, REFERENCE),
        _money(admin_records.credit),
    ),
    "debit": Act(
        "take money from an account", (ACCOUNT, ASSET, QUANTITY, REFERENCE),
        _money(admin_records.debit),
    ),
    "confirm-credit": Act(
        "confirm a credit of another operator or of the webhook", (_HASH,),
        _decide(admin_records.confirm_credit),
    ),
    "refuse-credit": Act(
        "refuse a credit that waits", (_HASH,), _decide(admin_records.refuse_credit)
    ),
    "approve-withdrawal": Act(
        "allow that a withdrawal is paid; above creditMax two operators",
        (_HASH,),
        lambda fields: approval_note(fields.reference("referenceHash")),
        role=admin_records.MONEY_ROLE,
    ),
    "confirm-withdrawal": Act(
        "take the money of a withdrawal out, once it is paid; one above creditMax that is not"
        " approved needs two operators",
        (_HASH, Field("fee", "part that the exchange keeps, in atoms", is_optional=True)),
        _capture,
    ),
    "reject-withdrawal": Act(
        "give the money of a withdrawal back, also of one that could not be paid", (_HASH,),
        _decide(admin_records.release),
    ),
    "asset-limit": Act(
        "set a limit of an asset",
        (ASSET, _one_of("parameter", ASSET_LIMITS), VALUE),
        _asset_limit, needs_two=True,
    ),
    "account-limit": Act(
        "set how much of an asset an account may withdraw in a day",
        (ACCOUNT, ASSET, VALUE),
        _account_limit, needs_two=True,
    ),
    "exchange-limit": Act(
        "set a limit of the whole exchange",
        (_one_of("parameter", EXCHANGE_LIMITS), VALUE),
        _exchange_limit, needs_two=True,
    ),
    "operator": Act(
        "add the operator with the next number, or set the roles of one",
        (
            _OPERATOR,
            Field("roles", f"of {', '.join(ROLES)}, with commas; none: no roles"),
            Field("name", "name of the person or program", is_optional=True),
            Field("accountId", "account of that person, on which they may not act",
                  is_optional=True),
        ),
        _set_operator, needs_two=True,
    ),
    "operator-token": Act(
        "give an operator a token, or the secret of a webhook, by its hash",
        (_OPERATOR, _TOKEN_HASH), _operator_token, needs_two=True,
    ),
    "revoke-operator-token": Act(
        "end a token of an operator", (_OPERATOR, _TOKEN_HASH),
        _revoke_operator_token, needs_two=True,
    ),
    CHANGE_KEY: Act(
        "sign checkpoints with another key from now on",
        (Field("key", "public half of the key that `fairbook keys identity` has made"),),
        _change_key, needs_two=True, role=admin_records.OPERATORS_ROLE,
    ),
}  # fmt: skip

DECISIONS: Final = {
    "approve": "approve what another operator has proposed",
    "drop": "take a proposal back",
}
PROPOSAL: Final = Field("proposal", "its number, as `proposals` shows it")


def documentation() -> str:
    """The table of acts in docs/operate/operators.md."""
    lines = ["| act | fields | what it does |", "|---|---|---|"]
    for name, act in ACTS.items():
        fields = [
            f"[`{each.name}`]" if each.is_optional else f"`{each.name}`" for each in act.fields
        ]
        two = " **(two operators)**" if act.needs_two else ""
        lines.append(f"| `{name}` | {', '.join(fields)} | {act.help}{two} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(documentation(), end="")
