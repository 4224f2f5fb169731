"""Notes of operators in the log: a row of the store about one counts only if the log has it."""

from collections.abc import Callable
from typing import Final

from fairbook.core import admin_records, records
from fairbook.core.records import COMMAND_BYTES, OPERATOR_PART
from fairbook.ports.digests import announcement_digest, proposal_digest, reset_digest

ReadFrame = Callable[[int], tuple[int, bytes]]
"""Time and frame at a position of the log. Blocks. Raises KeyError if there is none."""

_TEXT_AT: Final = 8  # of a NOTE


def proposal_note(text: str) -> bytes:
    """The NOTE of an act that is proposed, by its canonical text."""
    return _note(f"propose {proposal_digest(text).hex()}")


def drop_note(sequence: int) -> bytes:
    """The NOTE that ends a proposal, by the sequence of its own NOTE."""
    return _note(f"drop {sequence}")


def approval_note(reference: bytes) -> bytes:
    """The NOTE of a withdrawal that may be paid."""
    return _note(f"pay {reference.hex()}")


def announcement_note(text: str) -> bytes:
    """The NOTE of an announcement."""
    return _note(f"announce {announcement_digest(text).hex()}")


def reset_note(account: int, code_hash: bytes) -> bytes:
    """The NOTE of a password that may be set anew; the hash is `invitation_digest` of a code."""
    return _note(f"reset {reset_digest(account, code_hash).hex()}")


def invitation_note(digest: bytes) -> bytes:
    """The NOTE of an invitation, by the hash of its code (`invitation_digest`)."""
    return _note(f"invite {digest.hex()}")


def key_note(digest: bytes) -> bytes:
    """The NOTE of another key that signs checkpoints, by the digest of its public half."""
    return _note(f"key {digest.hex()}")


def noted_at(read_frame: ReadFrame, position: int, note: bytes, operator: int) -> int | None:
    """The log time of a note of this operator; None if it is not in the frame. Blocks."""
    try:
        time_ns, frame = read_frame(position)
    except KeyError:
        return None
    for at in range(COMMAND_BYTES, len(frame), COMMAND_BYTES):
        is_note = frame[at] == records.NOTE and frame[at + 1] == note[1]
        if is_note and frame[at + _TEXT_AT : at + COMMAND_BYTES] == note[_TEXT_AT:]:
            part = frame[at - COMMAND_BYTES : at]
            if part[0] == OPERATOR_PART and int.from_bytes(part[4:8], "little") == operator:
                return time_ns
    return None


def _note(text: str) -> bytes:
    (command,) = admin_records.note(text)
    return command
