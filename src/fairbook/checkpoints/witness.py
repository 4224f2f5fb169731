"""What a witness of an exchange believes: checkpoints that follow from each other.

Design: a first checkpoint is taken as it is, and proves nothing about the time before it. Each next
one must have the hash of the one before it, be signed with the key of the exchange, and have the
chain that follows from the times and hashes of the entries between the two. The exchange shows
these, and cannot choose others: they are under the hash of the chain.
"""

from collections.abc import Callable, Iterable
from typing import Final

from fairbook.checkpoints.signed_checkpoint import SignedCheckpoint, parse
from fairbook.checkpoints.signed_note import NoteInvalid
from fairbook.log.command_log import chain_after

ReadChain = Callable[[int, int], Iterable[tuple[int, bytes]]]
"""Time in ns and hash of the frame, of each entry from one position to another."""

SAME_PLACE: Final = "two signed checkpoints of position {}: the exchange has shown two histories"


class HistoryContradicted(Exception):
    """What an exchange shows is not what it has signed before. `notes` prove it to others."""

    def __init__(self, message: str, *notes: str) -> None:
        super().__init__(message)
        self.notes = notes


class Witness:
    """One exchange, as far as it is believed."""

    def __init__(self, public: bytes, last: SignedCheckpoint | None) -> None:
        """public: the key that signs the next checkpoint. last: the newest that is kept."""
        self.public = public
        self.last = last

    def accept(self, note: str, read_chain: ReadChain) -> SignedCheckpoint:
        """Check the next checkpoint, and believe it. Raises HistoryContradicted, and what
        `read_chain` raises.
        """
        last = self.last
        kept = [] if last is None else [last.note]
        try:
            found = parse(note, self.public)
        except NoteInvalid as problem:
            raise HistoryContradicted(str(problem), *kept, note) from None
        if last is not None:
            if found.position == last.position:
                raise HistoryContradicted(SAME_PLACE.format(last.position), *kept, note)
            if found.previous != last.hash:
                raise HistoryContradicted(
                    f"the checkpoint of position {found.position} does not follow the one of"
                    f" position {last.position}",
                    *kept, note,
                )  # fmt: skip
            if chain_at(last, found.position, read_chain) != found.chain:
                raise HistoryContradicted(
                    f"the log that is shown from position {last.position + 1} to"
                    f" {found.position} is not the one that was signed",
                    *kept, note,
                )  # fmt: skip
        self.public = found.next_key or self.public
        self.last = found
        return found


def chain_at(last: SignedCheckpoint, position: int, read_chain: ReadChain) -> bytes:
    """The chain at a later position. Raises what `read_chain` raises."""
    chain = last.chain
    entries = read_chain(last.position + 1, position)
    for at, (time_ns, digest) in enumerate(entries, start=last.position + 1):
        chain = chain_after(chain, at, time_ns, digest)
    return chain


def compare(kept: str, shown: list[str], who: str, key_at: Callable[[int], bytes]) -> None:
    """kept: a checkpoint that a witness has. shown: what another one, or the exchange, has at that
    position or, if there is nothing, the first one after it; `who` that is, for the message.
    key_at: the key of the exchange at a position. Raises HistoryContradicted; NoteInvalid if what
    is shown is not signed with that key, and so proves nothing.
    """
    here = parse(kept)
    if shown and shown[0] == kept:
        return
    there = parse(shown[0]) if shown else None
    if there is not None:
        parse(there.note, key_at(there.position))
    if there is not None and there.position == here.position:
        raise HistoryContradicted(
            f"{SAME_PLACE.format(here.position)} ({who} has another one)", kept, there.note
        )
    raise HistoryContradicted(
        f"{who} has no checkpoint of position {here.position}, which the exchange has signed",
        kept,
        *([] if there is None else [there.note]),
    )
