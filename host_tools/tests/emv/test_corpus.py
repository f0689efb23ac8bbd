"""The recorded taps in the firmware's tests are those of today's cards."""

from __future__ import annotations

from . import corpus


def test_the_corpus_is_up_to_date() -> None:
    assert corpus.FILE.read_text(encoding="utf-8") == corpus.text(), (
        "the cards changed: run `python -m emv.corpus` in host_tools/tests"
    )


def test_every_kind_of_card_is_in_it() -> None:
    assert len(corpus.NAMES) > 50
