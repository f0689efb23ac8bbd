"""The journal at the size of real partitions: what it holds, and what its mount costs."""

# The firmware carries no annotations.
# mypy: disallow-untyped-calls=False

from __future__ import annotations

import pytest

from faretap import boards
from flash_sim import FlashSim  # type: ignore[import-not-found]
from test_journal_power import mounted  # type: ignore[import-not-found]
from validator.store import purchase
from validator.store.record import encode


def quickpass(evidence: int) -> bytes:
    """The record of a tap, with texts of the usual length."""
    body: bytes = encode(
        {
            "seq": 1,
            "time": 1893456000,
            "medium": "quickpass",
            "outcome": "accepted",
            "reason": "",
            "fare": 200,
            "token": bytes(8),
            "vehicle": "粤B12345",
            "line": "M123",
            "stop": "0017",
            "last4": "1234",
            "config": 17,
            "evidence": bytes(evidence),
        }
    )
    return body


# Evidence of cards with 19 bytes of track 2 and 19 of issuer data; and of one that differs from
# the first under its key in application, profile and sequence number.
QUICKPASS = (len(quickpass(82)), len(quickpass(97)))
KEY = 342
PURSE = 33 + 22  # bytes of a debit's record, with the card number for the acquirer
CONTEXT = purchase.context(b"name", 1, 17, bytes(6), purchase.names("粤B12345", "M123", "0017"))
READ_US = 100  # of one read on an ESP32, by Partition.readblocks
BYTE_US = 0.05


def sectors(board: str) -> int:
    size: int = boards.load(board).partitions["journal"].size
    return size // 4096


def fill(
    flash: FlashSim, *body: int, key: int = 0, records: int = 10**9, ack: bool = False
) -> int:
    """Append until there is no room; how many there are then."""
    journal = mounted(flash)
    for n in range(records):
        if not journal.has_room():
            if not ack:
                break
            journal.ack(journal.next_seq - 50)
        journal.append(
            bytes(body[n % len(body)]), (n // 500).to_bytes(key, "big") if key else None
        )
    return int(journal.info()["unacknowledged"])


def cost_ms(flash: FlashSim) -> float:
    flash.reads = flash.read_bytes = 0
    mounted(flash)
    return (flash.reads * READ_US + flash.read_bytes * BYTE_US) / 1000


@pytest.mark.parametrize(("board", "least"), [("ESP32_BUS_4M", 2600), ("ESP32_BUS", 13_500)])
def test_quickpass_taps(board: str, least: int) -> None:
    flash = FlashSim(sectors(board))
    held = fill(flash, *QUICKPASS, key=KEY)
    assert held >= least, held
    assert cost_ms(flash) < 20
    entries = list(mounted(flash).read(held - 30, True))
    assert [e[0] for e in entries if e[0]] == list(range(held - 30, held + 1))
    assert entries[0][0] == 0 and len(entries[0][1]) == KEY


def purses(flash: FlashSim) -> int:
    """Tap with a purse until riders are turned away; how many rode. Each tap is one record, with
    its two parts and its times."""
    journal = mounted(flash)
    while journal.has_room(2):  # what a tap asks for
        journal.prepare()
        n = journal.next_seq
        seq = journal.append(bytes(PURSE), (n // 500).to_bytes(KEY, "big"), CONTEXT, True)
        assert journal.end(seq, n.to_bytes(16, "big"))
        journal.set_after(seq, 3, 120)
    return int(journal.info()["unacknowledged"])


@pytest.mark.parametrize(("board", "least"), [("ESP32_BUS_4M", 5200), ("ESP32_BUS", 27_000)])
def test_purse_taps(board: str, least: int) -> None:
    flash = FlashSim(sectors(board))
    held = purses(flash)
    assert held >= least, held
    assert cost_ms(flash) < 20
    entries = [entry for entry in mounted(flash).read(held - 30, True) if entry[0]]
    assert [(e[0], e[1][-16:]) for e in entries] == [
        (seq, seq.to_bytes(16, "big")) for seq in range(held - 30, held + 1)
    ]
    assert all(entry[3] for entry in entries)


def test_thirty_thousand_purse_taps_on_16_mb() -> None:
    flash = FlashSim(sectors("ESP32S3_BUS"))
    held = purses(flash)
    assert held >= 31_000, held
    assert cost_ms(flash) < 20


@pytest.mark.parametrize("board", ["ESP32_BUS_4M", "ESP32_BUS", "ESP32S3_BUS"])
def test_mount_of_a_full_journal(board: str) -> None:
    count = sectors(board)
    for records, ack in ((0, False), (10, False), (10**9, False), (9 * count // 2, True)):
        flash = FlashSim(count)
        fill(flash, 1000, key=KEY, records=records, ack=ack)
        blank = not flash.log
        # A blank flash is looked at sector by sector, once in its life.
        assert cost_ms(flash) < (200 if blank else 20), (records, ack, cost_ms(flash))


def test_mount_finds_the_newest_wherever_it_is() -> None:
    flash = FlashSim(40, 512)
    journal = mounted(flash)
    for _ in range(600):
        if not journal.has_room(1, 400):
            journal.ack(journal.next_seq - 2)
        seq = journal.append(bytes(400))
        again = mounted(flash)
        assert (again.next_seq, again.acked) == (seq + 1, journal.acked)
        assert list(again.read(seq))[0][0] == seq
        first = journal.info()["first"]
        for start in (first, (first + seq) // 2, seq):
            assert next(again.read(start))[0] == start


def test_mount_among_headers_that_cannot_be_read() -> None:
    """Up to seven sectors in a row without a header hide nothing that comes after them."""
    count = 60
    for head in range(0, count, 7):
        for gap in range(0, count, 5):
            flash = FlashSim(count, 512)
            journal = mounted(flash)
            for _ in range(count + 1 + head):
                if not journal.has_room(1, 400):
                    journal.ack(journal.next_seq - 3)
                journal.append(bytes(400))
            newest = journal.next_seq - 1
            at = head % count
            lost = [i for i in range(gap, gap + 7) if i < count and i != at]
            for i in lost:
                flash.data[i * 512 : i * 512 + 64] = bytes(64)
            again = mounted(flash)
            if len(lost) == 7 or at not in range(gap, gap + 7):
                assert again.next_seq == newest + 1, (head, gap)


def test_wear_is_even_over_many_rounds() -> None:
    flash = FlashSim(24, 512)
    journal = mounted(flash)
    for n in range(4000):
        if not journal.has_room(1, 300):
            journal.ack(journal.next_seq - 3)
        journal.append(bytes(40 + n * 37 % 160), bytes([n // 90 & 0xFF]) * 60)
        if n % 3 == 0:
            journal.prepare()
        if n % 211 == 0:
            journal = mounted(flash)
    assert min(flash.erases) > 20
    assert max(flash.erases) <= min(flash.erases) + 1
