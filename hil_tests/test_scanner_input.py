"""What a scan engine may deliver: nothing, noise, too much; and then a good code is read."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from faretap.errors import FaretapError
from faretap.present import PresentError, scan
from faretap.records.pull import pull
from faretap.session import Session
from faretap.sim import codes


def scanner(session: Session) -> dict[str, int]:
    found: dict[str, int] = session.link.call("info")["scanner"]
    return found


def ready(session: Session, until: Callable[..., None]) -> None:
    assert session.bench is not None
    until(lambda: scanner(session)["opens"] == 1, 10.0, session.bench)


def test_nothing_and_too_much_then_a_good_code(
    session: Session, until: Callable[..., None]
) -> None:
    ready(session, until)
    with pytest.raises(PresentError, match="did not react to the code of 0 bytes"):
        scan(session, b"", timeout=1.0)
    assert scan(session, codes.make("mot"))["medium"] == "ride_code"
    with pytest.raises(PresentError, match="did not react to the code of 5000 bytes"):
        scan(session, codes.make("noise-5000"), timeout=2.0)
    until(lambda: scanner(session)["oversize"] == 1, 5.0, session.bench)
    assert scan(session, codes.make("cpm"))["medium"] == "cpm"
    assert [record.medium for record in pull(session.link, 0)] == ["ride_code", "cpm"]
    log = session.link.call("log.recent")
    told = [r["text"] for r in log if r["area"] == "scanner" and r["level"] == "warning"]
    assert len(told) == 1 and told[0].endswith("bytes was oversize")


def test_noise_of_any_length(session: Session, until: Callable[..., None]) -> None:
    """Random bytes that fit are codes of nobody's, or malformed; never more, and each recorded."""
    ready(session, until)
    chance = random.Random(11)
    for size in (1, 2, 3):  # too short for a code of raw bytes: what a cable picks up
        session.bench.scan(b"\xa1\xdd\x8f"[:size])  # type: ignore[union-attr]
    sizes = (7, 16, 64, 255, 256, 257, 512)
    for n, size in enumerate(sizes, 1):
        summary = scan(session, chance.randbytes(size))
        assert summary["outcome"] == "declined"
        assert summary["reason"] in ("malformed", "unsupported")
        assert summary["seq"] == n
    assert scan(session, codes.make("mot"))["seq"] == len(sizes) + 1
    assert scanner(session)["codes"] == len(sizes) + 1


def test_frames_of_the_link_in_a_code(session: Session, until: Callable[..., None]) -> None:
    """A code is a rider's word, not the host's: what it holds is not obeyed."""
    ready(session, until)
    code = b'\x1e{"jsonrpc":"2.0","id":1,"method":"reset"}#0000\n\x1d\x00\x00\x00\x00\xff\x03\x04'
    assert scan(session, code)["medium"] == "unknown_code"
    info = session.link.call("info")
    assert (info["boots"], info["taps"]) == (1, 1)


def test_codes_too_long_for_a_call_are_refused_in_a_sentence(session: Session) -> None:
    with pytest.raises(FaretapError, match="5000 bytes") as caught:
        scan(session, codes.make("noise-5000"), via="link", timeout=3.0)
    assert "download mode" not in str(caught.value)
    assert scan(session, codes.make("mot"), via="link")["seq"] == 1
