"""The codes in the firmware's tests are those of today's catalogue."""

from __future__ import annotations

from . import device_corpus


def test_the_corpus_is_up_to_date() -> None:
    assert device_corpus.FILE.read_text(encoding="utf-8") == device_corpus.text(), (
        "the codes changed: run `python -m codes.device_corpus` in host_tools/tests"
    )
