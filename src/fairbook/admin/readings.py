"""What operators read: listings, accounts, credits that wait, proposals, operators."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from fairbook.accounts.sqlite_accounts import SqliteAccounts
from fairbook.admin.act_fields import ActFields
from fairbook.admin.act_runner import ActRunner
from fairbook.admin.acts import (
    ACTS,
    ASSET_LIMITS,
    DECISIONS,
    EXCHANGE_LIMITS,
    MARKET_STATES,
    PROPOSAL,
    ROLES,
)
from fairbook.admin.proposals import Proposal
from fairbook.api.account import balance_object
from fairbook.api.errors import rejected
from fairbook.api.listings import Listings
from fairbook.api.orders import record_text
from fairbook.core import admin_records, records
from fairbook.core.admin_records import (
    BY_AUDIT,
    BY_OPERATOR,
    HELD,
    OF_ACCOUNT,
    OF_OPERATOR,
    PENDING_CREDIT,
    PUBLIC_KEY,
    TOKEN,
)
from fairbook.core.exchange import Exchange
from fairbook.core.markets import Asset, Market
from fairbook.core.units import MAX_ATOMS
from fairbook.ports.queries import Queries

ACCOUNTS_SHOWN_MAX: Final = 100
ORDERS_SHOWN_MAX: Final = 1_000
PENDING_SHOWN_MAX: Final = 1_000
ROWS_A_TURN: Final = 5_000
_LIMIT_FIELDS: Final = {
    "ordersMax": "orders_max",
    "accountsMax": "accounts_max",
    "credentialsMax": "credentials_max",
    "ownerCredentialsMax": "owner_credentials_max",
    "referencesMax": "references_max",
    "withdrawalDelaySeconds": "withdrawal_delay_s",
}
assert _LIMIT_FIELDS.keys() == EXCHANGE_LIMITS.keys()
_ASSET_FIELDS: Final = {
    "cap": "reserve_cap",
    "creditMax": "credit_max",
    "dailyWithdrawalMax": "daily_withdrawal_max",
}
assert _ASSET_FIELDS.keys() == ASSET_LIMITS.keys()
_STATES: Final = {state: name for name, state in MARKET_STATES.items()}
_TYPES: Final = {PUBLIC_KEY: "key", TOKEN: "token"}
_PERMISSIONS: Final = {
    "read": admin_records.MAY_READ,
    "trade": admin_records.MAY_TRADE,
    "withdraw": admin_records.MAY_WITHDRAW,
}

Reading = Callable[[ActFields], Awaitable[Any]]
"""What is read, as JSON objects, from the fields of a query. Raises ApiError."""

ReadActs = Callable[[int], Awaitable[list[dict[str, Any]]]]
"""The newest acts from a position of the log on, oldest first. Raises ApiError."""


class AdminReadings:
    """Call it in the thread of the engine's loop."""

    def __init__(
        self,
        exchange: Exchange,
        queries: Queries,
        listings: Listings,
        store: SqliteAccounts,
        read_acts: ReadActs,
        acts: ActRunner,
    ) -> None:
        self._read_acts = read_acts
        self._acts = acts
        self._exchange = exchange
        self._queries = queries
        self._listings = listings
        self._store = store
        self.readings: Mapping[str, Reading] = {
            "acts": self.acts,
            "exchange": self.exchange,
            "assets": self.assets,
            "markets": self.markets,
            "accounts": self.accounts,
            "account": self.account,
            "pending": self.pending,
            "withdrawals": self.withdrawals,
            "proposals": self.proposals,
            "operators": self.operators,
            "log": self.log,
        }

    async def acts(self, _: ActFields) -> Any:
        """What can be done: the table of acts.py, and the decisions about proposals."""
        found = [(name, act.help, act.fields, act.needs_two) for name, act in ACTS.items()]
        found += [(name, text, (PROPOSAL,), False) for name, text in DECISIONS.items()]
        return [
            {
                "act": name,
                "help": text,
                "needsTwo": needs_two,
                "fields": [
                    {"name": field.name, "help": field.help, "isOptional": field.is_optional,
                     "choices": field.choices}
                    for field in fields
                ],
            }
            for name, text, fields, needs_two in found
        ]  # fmt: skip

    async def exchange(self, _: ActFields) -> Any:
        tables = self._exchange.tables
        causes = {"audit": BY_AUDIT, "operator": BY_OPERATOR}
        pauses = [name for name, cause in causes.items() if self._exchange.pause(cause).reason]
        return {
            "isPaused": tables.paused,
            "pauses": pauses,
            "sequence": str(self._exchange.sequence),
            "accounts": len(tables.accounts) - 2,
            "limits": {name: getattr(tables, field) for name, field in _LIMIT_FIELDS.items()},
        }

    async def assets(self, _: ActFields) -> Any:
        return [self._asset(asset) for asset in self._exchange.assets[1:]]

    def _asset(self, asset: Asset) -> dict[str, Any]:
        _, scale = self._listings.asset_scale(asset.id)
        limits: dict[str, str | None] = {}
        for name, field in _ASSET_FIELDS.items():
            atoms: int = getattr(asset, field)
            limits[name] = None if atoms == MAX_ATOMS else scale.text(atoms)
        supply = scale.text(self._exchange.tables.ledger.supply(asset.id))
        return {"symbol": asset.name, "decimals": asset.decimals, "supply": supply, **limits}

    async def markets(self, _: ActFields) -> Any:
        return [self._market(market) for market in self._exchange.markets[1:]]

    def _market(self, market: Market) -> dict[str, Any]:
        scales = self._listings.scales_of(market.id)
        return {
            "symbol": market.name,
            "state": _STATES[market.state],
            "tick": scales.price.text(1),
            "lot": scales.quantity.text(1),
            "makerFeePpm": market.maker_fee_ppm,
            "takerFeePpm": market.taker_fee_ppm,
            "groupFees": [
                {"group": fees.group, "makerFeePpm": fees.maker_fee_ppm,
                 "takerFeePpm": fees.taker_fee_ppm}
                for fees in market.group_fees
            ],
            "minPrice": scales.price.text(market.price_min),
            "maxPrice": scales.price.text(market.price_max),
            "minQuantity": scales.quantity.text(market.quantity_min),
            "maxQuantity": scales.quantity.text(market.quantity_max),
            "bandPpm": market.band_ppm,
            "levelsMax": market.levels_max,
            "walkMax": market.walk_max,
        }  # fmt: skip

    async def accounts(self, fields: ActFields) -> Any:
        """By number, from `after` on; `search`: the beginning of a name or an e-mail address."""
        words = fields.text("search") if fields.has("search") else ""
        after = fields.number("after", default=0)
        users = await asyncio.to_thread(
            self._store.find_users, words, after=after, limit=ACCOUNTS_SHOWN_MAX
        )
        return [
            {"accountId": str(user.account), "name": user.name, "email": user.email}
            for user in users
        ]

    async def account(self, fields: ActFields) -> Any:
        number = fields.account()
        if not self._exchange.tables.is_user(number):
            raise rejected(records.UNKNOWN_ACCOUNT)
        user = await asyncio.to_thread(self._store.user_of, number)
        view = await self._queries.at(0)
        account = self._exchange.tables.accounts[number]
        balances = {}
        for asset, available, locked in view.balances(number):
            if available or locked:
                name, scale = self._listings.asset_scale(asset)
                balances[name] = balance_object(scale, available=available, locked=locked)
        orders = view.open_orders(number, 0, None, ORDERS_SHOWN_MAX)
        texts = [record_text(order, self._listings.scales_of(order.market)) for order in orders]
        return {
            "accountId": str(number),
            "name": None if user is None else user.name,
            "email": None if user is None else user.email,
            "frozen": account.frozen,
            "feeGroup": account.fee_group,
            "balances": balances,
            "openOrderCount": view.open_order_count(number),
            "openOrders": [json.loads(text) for text in texts],
            "credentials": [
                {
                    "credential": fact.digest.hex(),
                    "type": _TYPES.get(fact.credential_type, "other"),
                    "permissions": _names(fact.permissions, _PERMISSIONS),
                    "expiresAt": fact.expires_ns // 1_000_000 or None,
                }
                for fact in self._exchange.credentials(OF_ACCOUNT, number)
                if fact.is_live(self._exchange.time_ns)
            ],
        }

    async def pending(self, _: ActFields) -> Any:
        """Credits that wait for an operator, newest first."""
        rows, found = self._exchange.tables.references.rows, []
        for at in range(len(rows) - 1, -1, -1):
            if rows[at].state == PENDING_CREDIT:
                row = rows[at]
                name, scale = self._listings.asset_scale(row.asset)
                found.append(
                    {
                        "referenceHash": row.reference.hex(), "accountId": str(row.account),
                        "symbol": name, "quantity": scale.text(row.atoms),
                        "operator": row.operator, "sequence": str(row.sequence),
                    }
                )  # fmt: skip
            if len(found) >= PENDING_SHOWN_MAX:
                break
            if at % ROWS_A_TURN == 0:
                await asyncio.sleep(0)
        return found

    async def withdrawals(self, _: ActFields) -> Any:
        """Withdrawals that wait for an operator, oldest first: those that the log has like this."""
        found = []
        for row in await asyncio.to_thread(self._store.transfers.open_withdrawals):
            fact = self._exchange.reference(row.reference)
            if fact is None or fact.state != HELD or not row.is_backed_by(fact):
                continue
            name, scale = self._listings.asset_scale(row.asset)
            found.append(
                {
                    "referenceHash": row.reference.hex(), "id": row.withdrawal_id,
                    "accountId": str(row.account), "symbol": name,
                    "quantity": scale.text(row.atoms), "blockchain": row.blockchain,
                    "address": row.address, "createdAt": fact.time_ns // 1_000_000,
                    "isApproved": await self._acts.is_approved(row.reference),
                }
            )  # fmt: skip
            if len(found) >= PENDING_SHOWN_MAX:
                break
        return found

    async def log(self, fields: ActFields) -> Any:
        """The acts of operators, from a position `from` on."""
        return await self._read_acts(fields.number("from", default=1))

    async def proposals(self, _: ActFields) -> Any:
        """Acts that wait for a second operator, oldest first."""
        waiting = self._acts.proposals.open(self._exchange.time_ns)
        return [_proposal(proposal) for proposal in waiting]

    async def operators(self, _: ActFields) -> Any:
        count = len(self._exchange.tables.operators)
        stored = [
            await asyncio.to_thread(self._store.operators.operator, number)
            for number in range(1, count)
        ]
        return [
            {
                "operator": known.number,
                "name": known.name,
                "accountId": str(known.account) if known.account else None,
                "roles": _names(self._exchange.operator_roles(known.number), ROLES),
                "tokens": [
                    fact.digest.hex()
                    for fact in self._exchange.credentials(OF_OPERATOR, known.number)
                    if fact.is_live(self._exchange.time_ns)
                ],
            }
            for known in stored
        ]


def _proposal(proposal: Proposal) -> dict[str, Any]:
    return {
        "proposal": str(proposal.sequence),
        "position": str(proposal.position),
        "operator": proposal.operator,
        "act": proposal.act,
        "fields": proposal.fields,
        "reason": proposal.reason,
    }


def _names(bits: int, known: Mapping[str, int]) -> list[str]:
    return [name for name, bit in known.items() if bits & bit]
