"""For `verify`: whether the newest proof of liabilities is what the replayed log gives."""

from pathlib import Path
from typing import Final

from fairbook.checkpoints.signed_note import NoteInvalid
from fairbook.cli.data_directory import DataError
from fairbook.core import state
from fairbook.core.exchange import Exchange
from fairbook.engine.runner import Runner
from fairbook.liabilities.proof_file import ProofFileInvalid, build, differs, read_table
from fairbook.liabilities.proof_store import DIRECTORY, PublishedProof, note_paths, read_proof
from fairbook.liabilities.sum_tree import ProofWrong

TRIES: Final = 3  # a running exchange may remove the proof that is about to be read


class LiabilitiesComparison:
    """Compares the newest proof with the state at its position, while the log is replayed."""

    def __init__(self, directory: Path) -> None:
        """Raises DataError."""
        self._proof = _newest(directory / DIRECTORY)
        self._is_compared = False

    def take(self, runner: Runner) -> None:
        """After each entry. Raises DataError if something differs."""
        proof = self._proof
        if proof is None or runner.position != proof.totals.position:
            return
        self._is_compared = True
        try:
            _compare(runner.exchange, proof)
        except ProofWrong as problem:
            raise DataError(f"{_name(proof)}: {problem}") from problem

    def finish(self, position: int) -> None:
        """At the end of the log: say what was compared. Raises DataError."""
        if self._proof is None:
            return
        if not self._is_compared:
            raise DataError(f"the log ends at position {position}, before the {_name(self._proof)}")
        print(f"{_name(self._proof)}: every total and root is of this log")


def _name(proof: PublishedProof) -> str:
    return f"proof of liabilities of position {proof.totals.position}"


def _newest(directory: Path) -> PublishedProof | None:
    for tries_left in reversed(range(TRIES)):
        paths = note_paths(directory)
        if not paths:
            return None
        try:
            return read_proof(paths[0], None)
        except (NoteInvalid, ProofFileInvalid, OSError) as problem:
            if not tries_left:
                raise DataError(f"{paths[0].name}: {problem}") from problem
    return None


def _compare(exchange: Exchange, proof: PublishedProof) -> None:
    """Raises ProofWrong."""
    totals, foot = proof.totals, proof.file.foot
    digest = state.digest(exchange)
    if digest != totals.state_digest:
        raise ProofWrong(f"its state is {totals.state_digest.hex()}, the log gives {digest.hex()}")
    made = build(exchange, position=totals.position, state_digest=digest, secret=foot.secret)
    pieces = list(made)
    expected, _ = read_table(pieces[-2])
    signed = {each.name: each for each in totals.assets}
    if [each.name for each in expected] != list(signed):
        raise ProofWrong("it has other assets than the log")
    for each in expected:
        found = signed[each.name]
        if found.total != each.total:
            raise ProofWrong(
                f"its total of {each.name} is {found.total}, that of the log {each.total}"
            )
        if found != each:
            raise ProofWrong(f"the root of {each.name} does not follow from the log")
    if differs(proof.file.path, pieces):
        raise ProofWrong(f"{proof.file.path.name} is not what the log gives")
