"""What a witness of an exchange believes: checkpoints that follow from each other.

Design: a first checkpoint is taken as it is, and proves nothing about the time before it. Each next
one must have the hash of the one before it, be signed with the key of the exchange, and have the
chain that follows from the times and hashes of the entries between the two. The exchange shows
these, and cannot choose others: they are under the hash of the chain.
"""

from collections.abc import Callable, Iterable
from typing import Final

from fairbook.checkpoints.signed_checkpoint import SignedCheckpoint, parse
from fairbook.checkpoints.signed_note import canonical
from fairbook.log.command_log import chain_after

ReadChain = Callable[[int, int], Iterable[tuple[int, bytes]]]
"""Time in ns and hash of the frame, of each entry from one position to another."""

NotesFrom = Callable[[int, int], list[str]]
"""The first so many notes at a position and after it."""

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
        """Check the next checkpoint, and believe it. Raises HistoryContradicted; NoteInvalid for
        what the key has not signed, which proves nothing; and what `read_chain` raises.
        """
        last = self.last
        parse(note, self.public)
        found = parse(canonical(note, self.public))
        if last is not None:
            if found.position == last.position:
                raise HistoryContradicted(SAME_PLACE.format(last.position), last.note, found.note)
            if found.previous != last.hash:
                raise HistoryContradicted(
                    f"the checkpoint of position {found.position} does not follow the one of"
                    f" position {last.position}",
                    last.note, found.note,
                )  # fmt: skip
            if chain_at(last, found.position, read_chain) != found.chain:
                raise HistoryContradicted(
                    f"the log that is shown from position {last.position + 1} to"
                    f" {found.position} is not the one that was signed",
                    last.note, found.note,
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


def first_difference(
    first: int, last: int, here: NotesFrom, there: NotesFrom
) -> tuple[SignedCheckpoint, SignedCheckpoint | None] | None:
    """Where two lines of checkpoints part, of which both have all between two positions: the first
    one here that is not there, and what is there instead, if anything. None: they do not differ.

    Each checkpoint has the hash of the one before, so that once they differ they never agree again:
    a binary search. Raises what the two raise, NoteInvalid.
    """

    def pair(position: int) -> tuple[SignedCheckpoint | None, SignedCheckpoint | None]:
        mine, theirs = here(position, 1), there(position, 1)
        return (parse(mine[0]) if mine else None), (parse(theirs[0]) if theirs else None)

    def agree(position: int) -> bool:
        mine, theirs = pair(position)
        return mine is None or (theirs is not None and mine.text == theirs.text)

    if agree(last):
        return None
    low, high = first, last  # They part at `high` or before.
    while low < high:
        middle = (low + high) // 2
        if agree(middle):
            low = middle + 1
        else:
            high = middle
    mine, theirs = pair(high)
    assert mine is not None
    return mine, theirs


def require_proof(
    mine: SignedCheckpoint, theirs: SignedCheckpoint | None, who: str, public: bytes
) -> None:
    """Raise HistoryContradicted for what `first_difference` has found, with the two notes. public:
    the key that has signed the first. Raises NoteInvalid if what stands there is not signed by it.
    """
    if theirs is None:
        raise HistoryContradicted(
            f"{who} has no checkpoint of position {mine.position}, which the exchange has signed",
            mine.note,
        )
    parse(theirs.note, public)
    if theirs.position == mine.position:
        what = SAME_PLACE.format(mine.position) + f" ({who} has another one)"
    else:
        what = (
            f"{who} has no checkpoint of position {mine.position}, which the exchange has signed,"
            f" but one of position {theirs.position}"
        )
    raise HistoryContradicted(what, mine.note, theirs.note)
