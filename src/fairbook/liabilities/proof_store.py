"""Proofs in DIR/liabilities: a file of the trees and a signed note for each.

Invariants:
- a proof counts only with its note, which is written last, and only if both say the same: a crash
  leaves no half of one;
- the newest KEPT proofs stay, so that an answer under way can be finished.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from fairbook.checkpoints.signed_note import NoteInvalid, key_text, public_key
from fairbook.liabilities.proof_file import ProofFile, ProofFileInvalid
from fairbook.liabilities.signed_totals import parse_totals, sign_totals
from fairbook.log.durable_file import make_directory, rename, write_file
from fairbook.ports.liabilities import Leaf, LeafRow, SignedTotals

DIRECTORY: Final = "liabilities"
NOTE_SUFFIX: Final = ".note"
TREE_SUFFIX: Final = ".tree"
KEPT: Final = 2


class PublishedProof:
    """A LiabilitiesProof of files."""

    def __init__(self, totals: SignedTotals, key: str, file: ProofFile) -> None:
        self.totals = totals
        self.key = key
        self.file = file

    def rows(self, account: int) -> list[LeafRow]:
        return self.file.rows(account)

    def leaves(self, rows: Sequence[LeafRow]) -> Iterator[Leaf]:
        return self.file.leaves(rows)


class ProofStore:
    """DIR/liabilities. All methods block; for one process at a time."""

    def __init__(self, directory: Path, seed: Callable[[], bytes]) -> None:
        """directory: of the exchange; `liabilities` is created in it. seed: the secret key that
        signs now. Raises OSError.
        """
        self.directory = directory / DIRECTORY
        self._seed = seed
        make_directory(self.directory)

    def newest(self, *, position_max: int) -> PublishedProof | None:
        """The newest one that is whole, and not newer than that position."""
        for note_path in note_paths(self.directory):
            try:
                found = read_proof(note_path, public_key(self._seed()))
            except (NoteInvalid, ProofFileInvalid, OSError):
                continue  # Another one is made soon.
            if found.totals.position <= position_max:
                return found
        return None

    def publish(self, made: Path, *, position: int, state_digest: bytes) -> PublishedProof:
        """Sign a file that `make` has made in this directory, and name it by its position. It must
        be of that state. Raises ProofFileInvalid, NoteInvalid, OSError.
        """
        note_path = self.directory / f"{position:020d}{NOTE_SUFFIX}"
        tree_path = note_path.with_suffix(TREE_SUFFIX)
        note_path.unlink(missing_ok=True)
        rename(made, tree_path)
        file = ProofFile(tree_path)
        foot = file.foot
        if (foot.position, foot.state_digest) != (position, state_digest):
            raise ProofFileInvalid(f"{tree_path.name}: it is of another state")
        seed = self._seed()
        totals = sign_totals(
            position=foot.position, time_ns=foot.time_ns, state_digest=foot.state_digest,
            assets=file.assets, seed=seed,
        )  # fmt: skip
        write_file(note_path, [totals.note.encode()])
        self.remove_leftovers()
        return PublishedProof(totals, key_text(public_key(seed)), file)

    def remove_leftovers(self) -> None:
        """All but the newest proofs."""
        kept = {path.stem for path in note_paths(self.directory)[:KEPT]}
        for path in self.directory.iterdir():
            if path.suffix not in (NOTE_SUFFIX, TREE_SUFFIX) or path.stem not in kept:
                path.unlink(missing_ok=True)


def note_paths(directory: Path) -> list[Path]:
    """Newest first. directory: of the proofs."""
    return sorted(directory.glob(f"*{NOTE_SUFFIX}"), reverse=True)


def read_proof(note_path: Path, public: bytes | None) -> PublishedProof:
    """public: as `parse_totals`. Raises NoteInvalid, ProofFileInvalid, OSError."""
    totals = parse_totals(note_path.read_text(errors="replace"), public)
    file = ProofFile(note_path.with_suffix(TREE_SUFFIX))
    foot = file.foot
    said = (foot.position, foot.time_ns, foot.state_digest, tuple(file.assets))
    if said != (totals.position, totals.time_ns, totals.state_digest, totals.assets):
        raise ProofFileInvalid(f"{file.path.name}: it is not what the signed note says")
    return PublishedProof(totals, "" if public is None else key_text(public), file)
