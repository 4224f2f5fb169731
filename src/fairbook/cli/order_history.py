"""The life of one order, or of all orders with one client id, from a replay of the log.

Use, for each entry of the log: `before` it is applied, `take` after it.
"""

from struct import pack
from typing import Final, NamedTuple

from fairbook.cli.executed_units import ExecutedUnit, executed_units
from fairbook.cli.order_facts import Refusal
from fairbook.cli.order_story import OrderStory, moment_text
from fairbook.cli.order_text import (
    account_words,
    actor_text,
    client_id_of,
    is_listed,
    parts_of,
    terms_text,
    with_client_id,
)
from fairbook.cli.reason_text import reject_sentence
from fairbook.cli.state_before import state_before
from fairbook.core import records, state
from fairbook.core.admin_records import Change
from fairbook.core.book import SLOT_BITS
from fairbook.core.exchange import Exchange
from fairbook.core.records import COMMAND_BYTES, LOW, Command, Fill, OrderRecord
from fairbook.log.command_log import Entry

ClientId = int | str
NAMES_ORDER: Final = (records.CANCEL, records.AMEND)


class Step(NamedTuple):
    """One unit of an entry while it is read, or events that belong to no command."""

    entry: Entry
    events: bytes  # of the whole frame
    exchange: Exchange  # after the entry
    executed: ExecutedUnit
    image: bytes  # of the state before the entry, if the frame names one of the orders

    def met(self) -> Exchange:
        """The state that the command met."""
        return state_before(self.image, self.entry, self.executed.at)

    def actor(self, command: Command) -> str:
        return actor_text(command, parts_of(self.executed.unit), self.exchange)

    def ended_instance(self) -> int:
        """The ended gateway whose orders were cancelled; 0: a command has made the events."""
        at = self.executed.events[-1]
        is_ended = records.kind_at(self.events, at) == records.ENDED
        return Change(self.events, at).words[0] if is_ended else 0


class OrderHistory:
    """Collects lines; nothing is printed."""

    def __init__(
        self, *, order_id: int = 0, account: int = 0, client_id: ClientId | None = None
    ) -> None:
        """An order id, or an account and a client id."""
        self._order_id = order_id
        self._account = account
        self._client_id = client_id
        self._keys: list[bytes] = []  # what a frame or its events have that concern the orders
        if client_id is not None:
            self._keys.append(client_id_key(account, client_id))
        self._stories: dict[int, OrderStory] = {}  # by order id
        self._sections: list[list[str]] = []  # in the order of the log
        self._newest: OrderStory | None = None  # the one that the client id names
        self._image = b""  # of the state before the entry; empty: it does not concern the orders

    def before(self, entry: Entry, exchange: Exchange) -> None:
        """exchange: in the state before the entry."""
        placed = self._order_id >> SLOT_BITS  # the sequence of its PLACE
        last = exchange.sequence + len(entry.frame) // COMMAND_BYTES + 1
        is_named = any(key in entry.frame for key in self._keys)
        is_wanted = is_named or exchange.sequence < placed <= last
        self._image = state.dump(exchange) if is_wanted else b""

    def take(self, entry: Entry, events: bytes, exchange: Exchange) -> None:
        """exchange: in the state after the entry."""
        if not self._image and not any(key in events for key in self._keys):
            return
        for executed in executed_units(entry.frame, events):
            step = Step(entry, events, exchange, executed, self._image)
            command, outcome = executed.command(), executed.outcome
            if command is not None and outcome is not None:
                if command.kind == records.PLACE:
                    self._place(step, command, outcome)
                elif command.kind in NAMES_ORDER and outcome.status == records.REJECTED:
                    self._refused_change(step, command, outcome.reason)
            for at in executed.events:
                self._event(step, at)
            if outcome is not None and outcome.command in (records.PLACE, records.AMEND):
                story = self._stories.get(outcome.order_id)
                if story is not None and not outcome.repeated:
                    story.end_command(outcome.status)

    def lines(self, position: int, exchange: Exchange) -> list[str]:
        """Everything, with what became of each order up to this position."""
        for story in self._stories.values():
            story.lines.append(f"at position {position}: {story.state_text(exchange)}")
        return [line for section in self._sections for line in ["", *section]][1:]

    def _place(self, step: Step, command: Command, outcome: records.Outcome) -> None:
        client_id = client_id_of(step.executed.unit)
        is_asked = (
            self._client_id is not None
            and client_id == self._client_id
            and command.account == self._account
        )
        if outcome.status == records.REJECTED:
            if is_asked:
                self._refused(step, command, outcome.reason)
        elif outcome.repeated:
            story = self._stories.get(outcome.order_id)
            if story is not None:
                story.begin(step.entry)
                story.repeat(step.actor(command))
        elif is_asked or outcome.order_id == self._order_id:
            self._accepted(step, command, outcome.order_id)
        elif self._names_newest(command, client_id):
            self._newest = None  # the client id names a younger order from here on

    def _refused(self, step: Step, command: Command, reason: int) -> None:
        met = step.met()
        market = command.market if is_listed(command.market, met) else 0
        facts = Refusal(met, command, market=market, side=command.side).facts(reason)
        heading = f"refused order of {account_words(command.account, met)}"
        self._sections.append([
            with_client_id(heading, self._client_id),
            moment_text(step.entry),
            f"  refused to {terms_text(records.read_placed(step.executed.unit), met)}",
            f"  why: {refusal_text(reason, facts)}",
            f"  sent by {step.actor(command)}",
        ])  # fmt: skip

    def _accepted(self, step: Step, command: Command, order_id: int) -> None:
        client_id = client_id_of(step.executed.unit)
        placed = records.read_placed(step.executed.unit)
        story = OrderStory(order_id, placed, client_id, step.exchange)
        story.begin(step.entry)
        story.place(step.actor(command), step.met())
        self._sections.append(story.lines)
        self._stories[order_id] = self._newest = story
        self._keys.append(pack("<q", order_id))
        if client_id is not None:
            self._keys.append(client_id_key(command.account, client_id))

    def _names_newest(self, command: Command, client_id: ClientId | None) -> bool:
        """Whether a command names the newest of the orders by its client id."""
        newest = self._newest
        return (
            newest is not None
            and client_id is not None
            and client_id == newest.client_id
            and command.account == newest.placed.account
        )

    def _refused_change(self, step: Step, command: Command, reason: int) -> None:
        """A CANCEL or AMEND that names one of the orders."""
        client_id = client_id_of(step.executed.unit)
        story = self._newest if self._names_newest(command, client_id) else None
        if client_id is None:
            story = self._stories.get(command.order_id)
        if story is None:
            return
        placed = story.placed
        refusal = Refusal(step.met(), command, market=placed.market, side=placed.side)
        why = refusal_text(reason, refusal.facts(reason))
        story.begin(step.entry)
        story.refused_change(command, step.actor(command), why)

    def _event(self, step: Step, at: int) -> None:
        kind = records.kind_at(step.events, at)
        if kind == records.FILL:
            fill = Fill(step.events, at)
            for order_id in (fill.taker_order_id, fill.maker_order_id):
                story = self._stories.get(order_id)
                if story is not None:
                    story.begin(step.entry)
                    story.fill(fill)
        elif kind in (records.CLOSED, records.AMENDED):
            order = OrderRecord(step.events, at)
            story = self._stories.get(order.order_id)
            if story is None:
                return
            story.begin(step.entry)
            command = step.executed.command()
            by = "" if command is None else step.actor(command)
            if kind == records.AMENDED:
                story.amend(order, by, step.met())
            else:
                story.close(order, step.executed, by, step.ended_instance())


def refusal_text(reason: int, facts: str) -> str:
    sentence = reject_sentence(reason)
    return f"{sentence}; {facts}" if facts else sentence


def client_id_key(account: int, client_id: ClientId) -> bytes:
    """The bytes of a command that name it: the word of account and number, or the text."""
    if isinstance(client_id, str):
        return client_id.encode("ascii")
    return pack("<II", account & LOW, client_id)
