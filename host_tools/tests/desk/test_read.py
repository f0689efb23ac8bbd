"""Every shipped card on a simulated PN532, read through nfcpy's own driver."""

from __future__ import annotations

import json
import logging
from datetime import date
from pathlib import Path
from typing import Any, Literal

import pytest

from faretap.desk import CardLost, CardNonsense, NoCard, ReaderError, open_reader, read_card
from faretap.desk.examine import examine
from faretap.sim import cards
from faretap.sim.cards.plain import Empty
from tests.desk.bench_reader import NFCPY_PATH, Bench
from tests.desk.channels import NOW, Replay

# card: medium, form, masked number, balance, UID type, commands
EXPECTED: dict[str, tuple[str, str, str, int | None, str]] = {
    "tunion": ("tunion", "card", "310499******0017", 5000, "unique, 7 bytes, NXP"),
    "tunion-student": ("tunion", "card", "310499******0025", 2000, "unique, 7 bytes, NXP"),
    "tunion-low": ("tunion", "card", "310499******0033", 80, "unique, 7 bytes, NXP"),
    "quickpass-debit": ("quickpass", "card", "629999******0012", None, "unique, 7 bytes, NXP"),
    "quickpass-credit": ("quickpass", "card", "629997******0027", None, "unique, 7 bytes, NXP"),
    "quickpass-phone": ("quickpass", "phone", "629998******0014", None, "random"),
    "phone-not-ready": ("quickpass", "phone", "629998******0014", None, "random"),
    "mifare": ("unknown_card", "", "", None, "fixed, 4 bytes"),
    "garbage": ("unknown_card", "", "", None, "fixed, 4 bytes"),
    "empty": ("unknown_card", "", "", None, "fixed, 4 bytes"),
}


def report_of(bench: Bench, name: str, **options: Any) -> dict[str, Any]:
    bench.lay(cards.make(name, **options))
    with open_reader(bench.path) as reader:
        session = read_card(reader, 0, NOW)
    assert session.error is None and session.report is not None
    assert session.trace.end == "complete"
    return session.report.to_json()


@pytest.mark.parametrize("name", [n for n in cards.names() if n in EXPECTED])
def test_every_shipped_card(bench: Bench, name: str) -> None:
    medium, form, number, balance, uid = EXPECTED[name]
    report = report_of(bench, name)
    assert report["medium"] == medium
    assert report["radio"]["uid_type"] == uid
    if medium == "unknown_card":
        assert report["media"] == []
        return
    (only,) = report["media"]
    assert (only["form"], only["number"], only["balance"]) == (form, number, balance)
    assert (only["state"], only["problems"], report["problems"]) == ("valid", [], [])


def test_cards_that_came_later_are_read_too(bench: Bench) -> None:
    """A card that this table does not know yet still ends in a report."""
    for name in cards.names():
        if name not in EXPECTED:
            assert report_of(bench, name)["medium"] in ("quickpass", "tunion", "unknown_card")
            bench.take()


def test_t_union_public_file(bench: Bench) -> None:
    (medium,) = report_of(
        bench,
        "tunion-student",
        start="20230415",
        end="20250531",
        city="5810",
        issuer="0212345678900001",
        interoperable=False,
    )["media"]
    assert medium["state"] == "expired"  # on 1 June
    del medium["number"], medium["balance"], medium["state"]
    assert medium == {
        "medium": "tunion",
        "scheme": "T-Union",
        "form": "card",
        "aid": "a000000632010105",
        "label": "MOT_T_EP",
        "valid_from": "2023-04-15",
        "valid_to": "2025-05-31",
        "issuer": "0212345678900001",
        "application_type": "EP",
        "country": "00000156",
        "province": "3100",
        "city": "5810",
        "interoperable": False,
        "card_type": "student",
        "problems": [],
    }


def test_public_file_is_read_from_file_15_when_the_fci_has_none(bench: Bench) -> None:
    (medium,) = report_of(bench, "tunion", fci_has_file_15=False)["media"]
    assert (medium["number"], medium["issuer"]) == ("310499******0017", "0310499999999999")


def test_quickpass_expiry_and_abilities(bench: Bench) -> None:
    (medium,) = report_of(bench, "quickpass-debit", expiry="2505", oda_online=False, par="")[
        "media"
    ]
    assert (medium["valid_to"], medium["state"]) == ("2025-05-31", "expired")
    assert (medium["transit_oda"], medium["account_reference"]) == (False, False)
    assert (medium["flow"], medium["cryptogram"], medium["transactions"]) == ("qUICS", "ARQC", 1)


def test_long_certificates_are_chained(bench: Bench) -> None:
    (medium,) = report_of(bench, "quickpass-debit", ca_index=0xF2)["media"]
    assert medium["number"] == "629999******0012" and medium["problems"] == []


def test_phone_whose_applet_wakes_up_gets_a_field_reset(bench: Bench) -> None:
    bench.lay("phone-not-ready")
    with open_reader(bench.path) as reader:
        session = read_card(reader, 0, NOW)
    lines = list(session.trace.lines(with_numbers=True))
    activated = [x["activated"]["uid"] for x in lines if "activated" in x]
    assert len(activated) == 2 and activated[0] != activated[1]
    assert lines[2]["response"] == "6985"


@pytest.mark.parametrize("ats", ["0208", "0318A0", "0328B0", "0A788072020031C173C8"])
def test_ats_of_any_form(bench: Bench, ats: str) -> None:
    card = cards.make("tunion")
    card.ats = bytes.fromhex(ats)
    bench.lay(card)
    with open_reader(bench.path) as reader:
        session = read_card(reader, 0, NOW)
    assert session.report is not None and session.report.media[0].balance == 5000
    assert session.report.radio.ats == card.ats


# Loss


LossCase = tuple[str, int, Literal["before", "after"]]


def _losses() -> list[LossCase]:
    counts = {"tunion": 4, "quickpass-debit": 9, "quickpass-phone": 9}
    out: list[LossCase] = []
    for name, commands in counts.items():
        for at in range(1, commands + 1):
            out.append((name, at, "before"))
            if name != "quickpass-phone":
                out.append((name, at, "after"))
    return out


@pytest.mark.parametrize(("name", "at", "when"), _losses())
def test_loss_at_each_apdu(
    bench: Bench, name: str, at: int, when: Literal["before", "after"]
) -> None:
    bench.lay(name, lose_at_apdu=at, lose=when)
    with open_reader(bench.path) as reader:
        reader._pause = lambda seconds: None
        reader._clock = _ticks()
        session = read_card(reader, 0, NOW)
        assert session.report is None
        assert isinstance(session.error, CardLost) and session.error.answers == at - 1
        assert "pulled away" in str(session.error) and "Lay it down again" in str(session.error)
        assert session.trace.end == "card_lost"
        assert len(session.trace.exchanges) == at
        assert session.trace.exchanges[-1].response is None
        bench.take()
        bench.lay(name)  # the same reader, not opened anew
        again = read_card(reader, 0, NOW)
    assert again.error is None and again.report is not None
    assert again.report.medium == EXPECTED[name][0]


def _ticks() -> Any:
    """A clock that goes on by a second at each look: waits end without waiting."""
    return iter(range(1_000_000)).__next__


# Waiting


def test_no_card_within_the_wait(bench: Bench) -> None:
    with open_reader(bench.path) as reader:
        reader._pause = lambda seconds: None
        reader._clock = _ticks()
        with pytest.raises(NoCard, match=r"within 3 s\. Lay one card"):
            read_card(reader, 3)


def test_card_that_comes_during_the_wait(bench: Bench) -> None:
    pauses = 0

    def pause(seconds: float) -> None:
        nonlocal pauses
        pauses += 1
        assert 0 < seconds <= 0.1  # phones need to be polled often
        if pauses == 3:
            bench.lay("tunion")

    with open_reader(bench.path) as reader:
        reader._pause = pause
        reader._clock = lambda: 0.0
        session = read_card(reader, 5, NOW)
    assert session.report is not None and session.report.medium == "tunion"
    assert pauses == 3


# The reader itself


def test_path_as_nfcpy_writes_it(bench: Bench) -> None:
    bench.lay("tunion-low")
    with open_reader(NFCPY_PATH) as reader:
        assert reader.name == "PN532v1.6"
        session = read_card(reader, 0, NOW)
    assert session.report is not None and session.report.media[0].balance == 80


def test_reader_goes_to_sleep_and_opens_again(bench: Bench) -> None:
    for _ in range(2):
        with open_reader(bench.path):
            pass
        bench.line.run(lambda: None)
        assert bench.chip.asleep and bench.chip.baud == 115200 and not bench.chip.field.on


def test_reader_that_dies_while_reading(bench: Bench) -> None:
    class Fatal(Empty):
        def apdu(self, command: bytes) -> bytes:
            bench.chip.power(False)
            return super().apdu(command)

    bench.lay(Fatal())
    with open_reader(bench.path) as reader:
        session = read_card(reader, 0, NOW)
    assert isinstance(session.error, ReaderError)
    assert "stopped answering" in str(session.error)
    assert session.trace.end == "failed"


def test_reader_that_is_dead_before_the_card_comes(bench: Bench) -> None:
    with open_reader(bench.path) as reader:
        bench.line.run(lambda: bench.chip.power(False))
        with pytest.raises(ReaderError, match="stopped answering"):
            read_card(reader, 1)


def test_line_with_nothing_on_it(bench: Bench) -> None:
    bench.line.run(lambda: bench.chip.power(False))
    wanted = pytest.raises(ReaderError, match=r"does not answer .* plug it in again")
    with wanted, open_reader(bench.path):
        pass


def test_frames_are_not_logged(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """nfcpy logs frames at level DEBUG, the card's number among them."""
    caplog.set_level(logging.DEBUG)
    card = bench.lay("tunion")
    with open_reader(bench.path) as reader:
        read_card(reader, 0, NOW)
    assert card.pan not in caplog.text  # type: ignore[attr-defined]


# The trace


@pytest.mark.parametrize("name", ["tunion", "quickpass-debit", "phone-not-ready", "empty"])
@pytest.mark.parametrize("with_numbers", [False, True])
def test_trace_replays_to_the_same_report(
    bench: Bench, tmp_path: Path, name: str, with_numbers: bool
) -> None:
    bench.lay(name)
    with open_reader(bench.path) as reader:
        session = read_card(reader, 0, NOW)
    assert session.report is not None
    file = tmp_path / "card.jsonl"
    session.trace.write(file, with_numbers=with_numbers)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines[0]["trace"] == 1
    assert lines[0]["numbers"] == ("clear" if with_numbers else "masked")
    assert lines[0]["reader"] == "PN532v1.6" and lines[0]["at"] == "2025-06-01T12:00:00"
    assert lines[-1] == {"end": "complete"}
    replay = Replay(lines)
    again = examine(replay, session.report.radio, NOW)
    assert again.to_json() == session.report.to_json()
    assert replay.lines == []
    assert file.stat().st_mode & 0o777 == 0o600


def test_an_earlier_file_does_not_lend_its_permissions(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "card.jsonl"
    file.write_text("older and longer " * 1000)
    file.chmod(0o644)
    bench.lay("tunion")
    with open_reader(bench.path) as reader:
        read_card(reader, 0, NOW).trace.write(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert "older" not in file.read_text()


def test_today_is_the_day_in_china(bench: Bench) -> None:
    bench.lay("tunion")
    with open_reader(bench.path) as reader:
        session = read_card(reader, 0)
    assert session.report is not None
    offset = session.trace.at.utcoffset()
    assert offset is not None and offset.total_seconds() == 8 * 3600
    assert session.report.today == session.trace.at.date() > date(2024, 1, 1)


@pytest.mark.parametrize("answer", ["F201", "1200"])
def test_a_card_cannot_hold_the_reader_for_ever(bench: Bench, answer: str) -> None:
    """WTX without end, chaining without end: nfcpy would go on."""
    bench.lay("tunion")
    with open_reader(bench.path) as reader:
        reader.wait_for_card(0)
        reader._frames._frontend = _Alternating(answer)
        with pytest.raises(CardNonsense, match="more time without end"):
            reader.transceive(bytes.fromhex("00A4040000"))


class _Alternating:
    """A frontend whose card gives one block again and again; chained ones change their number."""

    def __init__(self, answer: str) -> None:
        self.answer = bytes.fromhex(answer)
        self.number = 1

    def exchange(self, frame: Any, timeout: float) -> Any:
        if self.answer[0] & 0xF0 != 0x10:
            return bytearray(self.answer)
        self.number ^= 1
        return bytearray(bytes([self.answer[0] | self.number]) + self.answer[1:])
