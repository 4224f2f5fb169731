"""Every reason code of the core has a sentence."""

from __future__ import annotations

from types import ModuleType

from fairbook.cli.reason_text import CLOSE_SENTENCES, PASSED_SENTENCES, REJECT_SENTENCES
from fairbook.cli.record_names import CLOSE_NAMES, PASSED_NAMES, REJECT_NAMES
from fairbook.core import gateways, records


def codes(module: ModuleType, first: str, last: str) -> list[int]:
    """The whole numbers that a module defines, from one name to another."""
    names = list(vars(module))
    between = names[names.index(first) : names.index(last) + 1]
    return [vars(module)[name] for name in between]


def test_every_reject_has_a_sentence() -> None:
    found = codes(records, "MALFORMED", "WOULD_CROSS")
    assert found == list(range(1, len(found) + 1))
    assert set(found) == set(REJECT_SENTENCES) == set(REJECT_NAMES)


def test_every_close_reason_has_a_sentence() -> None:
    found = codes(records, "BY_FILL", "BY_GATEWAY_END")
    assert found == list(range(1, len(found) + 1))
    assert set(found) == set(CLOSE_SENTENCES) == set(CLOSE_NAMES)


def test_every_reason_to_pass_over_a_frame_has_a_sentence() -> None:
    found = codes(gateways, "UNSIGNED", "BAD_BEGIN")
    assert found == list(range(1, len(found) + 1))
    assert set(found) == set(PASSED_SENTENCES) == set(PASSED_NAMES)


def test_sentences_differ_and_are_clauses() -> None:
    """They stand behind "refused:" or "expired:", and facts may follow."""
    sentences = [*REJECT_SENTENCES.values(), *CLOSE_SENTENCES.values(), *PASSED_SENTENCES.values()]
    assert len(set(sentences)) == len(sentences)
    for sentence in sentences:
        assert sentence[0].islower()
        assert sentence[-1] not in ".;,:"
        assert "_" not in sentence
