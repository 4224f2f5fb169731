"""Stories of orders: one line, one command, and its effects.

    deposit    ann  150 USDT
    buy        ann  1 BTC @ 120 as a       -> rests
    amend      ann  a 1 BTC @ 110          -> amended, rests
    sell       bob  1 BTC at market        -> fills 1 @ 110
    balance    ann  1 BTC, 40 USDT

A name is a user, whose account is opened when it first appears. After `->` stand all effects of the
command, in order (`summary`); a line without it must not be rejected. Each line goes to the core
and to the oracle (lockstep.py), then the invariants are checked; at the end, that the state
survives being written and read, and that the same frames give the same digest again.

Orders: `buy|sell USER QUANTITY ASSET @ PRICE|at market WORDS`, or `buy|sell USER for AMOUNT ASSET`
(a market order by quote). Words: ioc, fok, post-only, reject-maker, reject-both, as LABEL, id
CLIENT_ID, text CLIENT_ID, session NUMBER, with KEY, signed NUMBER. The rest of the vocabulary is in
`Play.VERBS`; money and who may act are in play_powers.py.

Markets: BTC_USDT and ETH_USDT, lots of 0.001, ticks of 0.1. Assets: BTC and ETH with 8 decimals,
USDT with 6. There are no fees unless they are set.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import ClassVar

from fairbook.core import admin_records as admin
from fairbook.core import parts, records, state
from fairbook.core.exchange import Exchange
from tests.core import wire
from tests.core.play_powers import ASSETS, MARKETS, PowerPlay, atoms, option_of

LOTS_IN_ONE, TICKS_IN_ONE = 1000, 10
PARAMETERS = {
    "state": admin.STATE,
    "maker-fee": admin.MAKER_FEE_PPM,
    "taker-fee": admin.TAKER_FEE_PPM,
    "price-min": admin.PRICE_MIN,
    "price-max": admin.PRICE_MAX,
    "quantity-min": admin.QUANTITY_MIN,
    "quantity-max": admin.QUANTITY_MAX,
    "band": admin.BAND_PPM,
    "levels-max": admin.LEVELS_MAX,
    "walk-max": admin.WALK_MAX,
}
EXCHANGE_PARAMETERS = {
    "orders-max": admin.ORDERS_MAX,
    "accounts-max": admin.ACCOUNTS_MAX,
    "credentials-max": admin.CREDENTIALS_MAX,
    "owner-credentials-max": admin.OWNER_CREDENTIALS_MAX,
    "references-max": admin.REFERENCES_MAX,
    "withdrawal-delay": admin.WITHDRAWAL_DELAY_S,
}
STATES = {"open": 0, "post-only": 1, "limit-only": 2, "cancel-only": 3, "closed": 4}
REASONS = {
    wire.IMMEDIATE_OR_CANCEL: "immediate-or-cancel",
    wire.FILL_OR_KILL: "fill-or-kill",
    wire.SELF_TRADE: "self-trade",
    wire.INSUFFICIENT_LIQUIDITY: "insufficient-liquidity",
    wire.PRICE_OUT_OF_BOUNDS: "out-of-bounds",
    wire.WALK_LIMIT: "walk-limit",
}


def play(script: str) -> Play:
    """Run the script with all checks."""
    story = Play()
    story.perform(script)
    story.finish()
    return story


class Play(PowerPlay):
    """An exchange with its users and labelled orders."""

    def __init__(self) -> None:
        super().__init__()
        self.labels: dict[str, tuple[int, int]] = {}  # label -> order id, market
        self.send(admin.rules(flags=admin.TEST_LOG, log_id=1, salt=2))
        for name, (asset, decimals) in ASSETS.items():
            self.send(admin.list_asset(asset=asset, decimals=decimals, name=name))
        for name, market in MARKETS.items():
            self.send(
                admin.list_market(
                    market=market, base=market, quote=3, lot_atoms=10**5, tick_atoms=100, name=name
                )
            )
            self.send(admin.set_market(market=market, parameter=admin.STATE, value=0))

    @property
    def core(self) -> Exchange:
        """The exchange of the story, for queries without a verb."""
        return self.both.core

    def perform(self, script: str) -> None:
        for line in script.splitlines():
            order, _, expected = line.partition("->")
            words = order.split()
            if not words:
                continue
            verb = self.VERBS[words[0]]
            events = verb(self, words)
            if events is None:
                continue
            if isinstance(events[0], wire.ClientText):
                events = events[1:]
            if "as" in words and isinstance(events[0], wire.Accepted):
                accepted = events[0]
                self.labels[option_of(words, "as")] = accepted.order_id, accepted.market
            did = self.summary(events)
            if expected.strip():
                assert did == " ".join(expected.split()), f"{line.strip()!r} did: {did}"
            else:
                assert not did.startswith("rejected"), f"{line.strip()!r} was {did}"

    def finish(self) -> None:
        """The state survives being written and read, and a replay gives the same state."""
        image = state.dump(self.core)
        assert state.dump(state.load(image)) == image
        again = Exchange()
        for frame, time_ns in self.frames:
            again.apply(frame, time_ns)
        assert state.digest(again) == state.digest(self.core)

    def summary(self, events: list[wire.Event]) -> str:
        """The effects of a command, in the words of the scripts."""
        outcome = events[-1]
        assert isinstance(outcome, wire.Outcome)
        did = [f"ended {e.closed} left {e.left}" for e in events if isinstance(e, wire.Ended)]
        did += ["amended" for event in events if isinstance(event, wire.Amended)]
        for event in events:
            if isinstance(event, wire.Fill):
                did.append(f"fills {lots_text(event.lots)} @ {price_text(event.price)}")
            if not isinstance(event, wire.Closed) or event.order.order_id == outcome.order_id:
                continue
            if event.order.reason == wire.SELF_TRADE:
                did.append(f"removes {self._label(event.order.order_id)}")
        if outcome.repeated:
            did.append("repeated")
        if outcome.status == wire.REJECTED:
            did.append(f"rejected {wire.Reject(outcome.reason).name}")
        elif outcome.status in (wire.NEW, wire.PARTIALLY_FILLED):
            did.append("rests")
        elif outcome.status == wire.CANCELLED:
            did.append("cancelled")
        elif outcome.status == wire.EXPIRED:
            did.append(f"expires {REASONS[outcome.reason]}")
        elif outcome.command in (wire.Kind.CANCEL_ALL, wire.Kind.END_SESSION):
            did.append(f"cancelled {outcome.filled}")
        elif outcome.status == wire.PENDING:
            did.append("pending")
        return ", ".join(did)

    def _label(self, order_id: int) -> str:
        return next((label for label, known in self.labels.items() if known[0] == order_id), "?")

    def _order(self, words: list[str]) -> list[wire.Event]:
        account = self.account(words[1])
        by_quote = words[2] == "for"
        flags = 0
        price, tif, client_id, session, credential = 0, records.GTC, 0, 0, 0
        text: str | None = None
        signature = b""
        if by_quote:
            flags = records.MARKET_ORDER | records.BY_QUOTE
            tif, rest, market = records.IOC, words[5:], 1
            quantity = atoms(words[3], words[4])
        else:
            quantity, market = lots(words[2]), ASSETS[words[3]][0]
            rest = words[6:]
            if words[4:6] == ["at", "market"]:
                flags, tif = records.MARKET_ORDER, records.IOC
            else:
                price = ticks(words[5])
        following = iter(rest)
        for word in following:
            match word:
                case "ioc" | "fok":
                    tif = records.IOC if word == "ioc" else records.FOK
                case "post-only":
                    flags |= records.POST_ONLY
                case "reject-maker" | "reject-both":
                    mode = records.REJECT_MAKER if word == "reject-maker" else records.REJECT_BOTH
                    flags |= mode << records.STP_SHIFT
                case "id":
                    flags |= records.HAS_CLIENT_ID
                    client_id = int(next(following))
                case "text":
                    text = next(following)
                case "session":
                    session = int(next(following))
                case "with":
                    credential = self.slot(account, next(following))
                case "signed":
                    signature = bytes(15) + bytes([int(next(following))])
                case "as":
                    next(following)
                case _:
                    raise ValueError(f"what is {word!r}?")
        unit = records.place(
            account=account,
            market=market,
            side=records.BID if words[0] == "buy" else records.ASK,
            quantity=quantity,
            price=price,
            tif=tif,
            flags=flags,
            client_id=client_id,
            text=text,
            session=session,
            credential=credential,
        )
        return self.send(parts.with_signature(unit, signature) if signature else unit)

    def _cancel(self, words: list[str]) -> list[wire.Event]:
        account = self.account(words[1])
        credential = self.slot(account, option_of(words, "with"))
        if words[2] == "id":
            flags, client_id = records.HAS_CLIENT_ID, int(words[3])
            return self.send(
                records.cancel(
                    account=account, flags=flags, client_id=client_id, credential=credential
                )
            )
        if words[2] == "text":
            unit = records.cancel(account=account, text=words[3], credential=credential)
            return self.send(unit)
        order_id, market = self.labels[words[2]]
        return self.send(
            records.cancel(account=account, order_id=order_id, market=market, credential=credential)
        )

    def _amend(self, words: list[str]) -> list[wire.Event]:
        order_id, market = self.labels[words[2]]
        account = self.account(words[1])
        return self.send(
            records.amend(
                account=account,
                order_id=order_id,
                market=market,
                quantity=lots(words[3]),
                price=ticks(words[6]),
                credential=self.slot(account, option_of(words, "with")),
            )
        )

    def _cancel_all(self, words: list[str]) -> list[wire.Event]:
        market = MARKETS[words[2]] if len(words) > 2 else 0
        return self.send(records.cancel_all(account=self.account(words[1]), market=market))

    def _end_session(self, words: list[str]) -> list[wire.Event]:
        account = self.account(words[1])
        return self.send(records.end_session(account=account, session=int(words[2])))

    def _set(self, words: list[str]) -> list[wire.Event]:
        value = STATES[words[3]] if words[3] in STATES else int(words[3])
        if words[1] == "exchange":
            parameter = EXCHANGE_PARAMETERS[words[2]]
            return self.send(admin.set_exchange(parameter=parameter, value=value))
        group = int(option_of(words, "group") or 0)
        command = admin.set_market(
            market=MARKETS[words[1]], parameter=PARAMETERS[words[2]], value=value, fee_group=group
        )
        return self.send(command)

    def _freeze(self, words: list[str]) -> list[wire.Event]:
        account, value = self.account(words[1]), int(words[0] == "freeze")
        return self.send(admin.set_account(account=account, parameter=admin.FROZEN, value=value))

    def _balance(self, words: list[str]) -> None:
        column = 1 if words[0] == "balance" else 2
        held = {row[0]: row[column] for row in self.core.balances(self.account(words[1]))}
        for part in " ".join(words[2:]).split(","):
            amount, name = part.split()
            given, expected = held.get(ASSETS[name][0], 0), atoms(amount, name)
            assert given == expected, f"{' '.join(words)}: it is {given} atoms of {name}"

    def _book(self, words: list[str]) -> None:
        """`bids BTC_USDT 1 @ 100, 2 @ 99`: every level, best first; nothing: it is empty."""
        sides = self.core.depth(MARKETS[words[1]], 1000)
        given = [f"{lots_text(q)} @ {price_text(p)}" for p, q in sides[words[0] == "asks"]]
        assert ", ".join(given) == " ".join(words[2:]), f"{' '.join(words)}: it is {given}"

    VERBS: ClassVar[dict[str, Callable[[Play, list[str]], list[wire.Event] | None]]] = {
        **PowerPlay.POWER_VERBS,
        "buy": _order,
        "sell": _order,
        "cancel": _cancel,  # USER LABEL, or USER id|text CLIENT_ID
        "amend": _amend,  # USER LABEL QUANTITY ASSET @ PRICE
        "cancel-all": _cancel_all,  # USER [MARKET]
        "end-session": _end_session,  # USER NUMBER
        "set": _set,  # MARKET|exchange PARAMETER VALUE [group FEE_GROUP]
        "freeze": _freeze,
        "unfreeze": _freeze,
        "balance": _balance,  # USER AMOUNT ASSET, ...: available
        "locked": _balance,
        "bids": _book,
        "asks": _book,
    }


def lots(text: str) -> int:
    """A quantity of a script, in lots."""
    return int(Decimal(text) * LOTS_IN_ONE)


def ticks(text: str) -> int:
    """A price of a script, in ticks."""
    return int(Decimal(text) * TICKS_IN_ONE)


def lots_text(quantity: int) -> str:
    """Lots, as scripts write them."""
    return f"{Decimal(quantity) / LOTS_IN_ONE:f}"


def price_text(price: int) -> str:
    """Ticks, as scripts write them."""
    return f"{Decimal(price) / TICKS_IN_ONE:f}"
