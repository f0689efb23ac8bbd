"""The journal with its power on: ring, acknowledgement, room, wear, cost."""

from fakes import FakeClock, raises
from flash_sim import FlashSim, PowerCut
from validator.store import journal_format as fmt
from validator.store.journal import Journal, JournalError, JournalFull
from validator.store.record import decode_after
from validator.store.wire import to_wire


def mounted(flash):
    journal = Journal(flash)
    journal.mount()
    return journal


def fill(journal, n, size=60):
    return [
        journal.append(bytes([(journal.next_seq + k) & 0xFF for k in range(size)]))
        for _ in range(n)
    ]


def seqs(journal, start=0):
    return [e[0] for e in journal.read(start)]


# -- append and read ---------------------------------------------------------------------------


def test_blank_flash():
    journal = mounted(FlashSim(4))
    info = journal.info()
    assert (info["first"], info["next"], info["acked"], info["records"]) == (1, 1, 0, 0)
    assert info["capacity_bytes"] == info["free_bytes"] == 4 * (4096 - 64)
    assert seqs(journal) == []


def test_mount_writes_nothing():
    flash = FlashSim(4)
    fill(mounted(flash), 5)
    done = len(flash.log)
    mounted(flash)
    assert len(flash.log) == done


def test_flash_with_something_else_on_it():
    flash = FlashSim(4, 512)
    for k in range(flash.size):
        flash.data[k] = k * 7 & 0xFF
    journal = mounted(flash)
    assert seqs(journal) == []
    fill(journal, 12)
    assert seqs(mounted(flash)) == list(range(1, 13))


def test_read_back_after_remount():
    flash = FlashSim(6)
    journal = mounted(flash)
    bodies = [bytes([k]) * (1 + k * 9) for k in range(60)]
    for k in range(60):
        assert journal.next_seq == k + 1
        assert journal.append(bodies[k]) == k + 1
    for j in (journal, mounted(flash)):
        entries = list(j.read())
        assert [e[0] for e in entries] == list(range(1, 61))
        assert [e[1] for e in entries] == bodies
        assert all(e[3] for e in entries)
        assert j.next_seq == 61


def test_read_from_number():
    journal = mounted(FlashSim(4, 512))
    fill(journal, 12)
    for start in range(1, 15):
        entries = list(journal.read(start))
        assert [e[0] for e in entries] == list(range(start, 13))
        assert all(e[3] for e in entries)


def test_first_number_of_a_blank_flash():
    flash = FlashSim(4, 512)
    journal = Journal(flash, first_seq=5000)
    journal.mount()
    assert fill(journal, 12) == list(range(5000, 5012))
    assert seqs(mounted(flash)) == list(range(5000, 5012))


def test_append_is_one_program_operation():
    flash = FlashSim(4)
    journal = mounted(flash)
    journal.prepare()
    journal.prepare()
    for _ in range(40):  # across the end of a sector too
        before = len(flash.log)
        fill(journal, 1, 100)
        assert [op[0] for op in flash.log[before:]] == ["program"]
    assert journal.info()["erased_ahead"] == 0


def test_append_without_erased_flash_is_only_slower():
    flash = FlashSim(4)
    journal = mounted(flash)
    fill(journal, 1)
    assert [op[0] for op in flash.log] == ["erase", "program", "program"]


def test_sizes():
    journal = mounted(FlashSim(4))
    assert journal.max_body == 1024
    journal.append(bytes(journal.max_body))
    journal.append(b"x")
    raises(ValueError, journal.append, b"")
    raises(ValueError, journal.append, bytes(journal.max_body + 1))
    assert [len(e[1]) for e in journal.read()] == [1024, 1]


def test_body_as_memoryview():
    journal = mounted(FlashSim(4))
    journal.append(memoryview(b"..record..")[2:8])
    assert [e[1] for e in journal.read()] == [b"record"]


def test_flash_too_small():
    raises(JournalError, Journal, FlashSim(2))


def test_entries_on_the_wire():
    journal = mounted(FlashSim(4))
    journal.append(b"\x01\xff")
    journal.set_after(1, 4, 130)
    chain = fmt.link(bytes(8), b"\x01\xff")
    assert [to_wire(e) for e in journal.read()] == [
        {
            "seq": 1,
            "body": "01ff",
            "after": "04008200" + "%02x" % list(journal.read())[0][2][4],
            "chain": chain.hex(),
            "chain_ok": True,
        }
    ]


# -- after words -------------------------------------------------------------------------------


def test_after_word():
    flash = FlashSim(4)
    journal = mounted(flash)
    fill(journal, 1)
    assert journal.set_after(1, 4, 130)
    fill(journal, 1)
    for j in (journal, mounted(flash)):
        after = [decode_after(e[2]) for e in j.read()]
        assert after == [(4, 130), (None, None)]


def test_after_word_only_once_and_only_of_the_newest():
    flash = FlashSim(4)
    journal = mounted(flash)
    assert not journal.set_after(0, 1, 1)
    fill(journal, 2)
    assert not journal.set_after(1, 1, 1)
    assert journal.set_after(2, 1, 1)
    assert not journal.set_after(2, 7, 7)
    assert not mounted(flash).set_after(2, 7, 7)


def test_after_word_is_outside_of_crc_and_chain():
    flash = FlashSim(4)
    journal = mounted(flash)
    fill(journal, 1)
    before = list(journal.read())[0]
    journal.set_after(1, 4, 130)
    after = list(journal.read())[0]
    assert before[:2] + before[3:] == after[:2] + after[3:]
    assert before[2] == b"\xff" * 5 != after[2]


# -- ring and room -----------------------------------------------------------------------------


def test_full_before_a_rider_is_served():
    flash = FlashSim(4, 512)
    journal = mounted(flash)
    while journal.has_room(1, 60):
        fill(journal, 1)
    n = journal.next_seq - 1
    assert n == 4 * ((512 - 64) // fmt.entry_size(60))
    raises(JournalFull, journal.append, bytes(60))
    assert seqs(journal) == list(range(1, n + 1))
    assert not mounted(flash).has_room(1, 60)
    assert not journal.prepare()


def test_has_room_means_that_it_fits():
    for size in (1, 60, 77, 130, 420):
        journal = mounted(FlashSim(5, 512))
        fill(journal, 3)
        n = 0
        while journal.has_room(n + 1, size):
            n += 1
        assert n > 3
        for _ in range(n):
            fill(journal, 1, size)
        raises(JournalFull, journal.append, bytes(size))


def test_acknowledged_sectors_make_room():
    flash = FlashSim(4, 512)
    journal = mounted(flash)
    fill(journal, 20)
    assert not journal.has_room(1, 60)
    # One short of the first sector's last record: nothing may go yet.
    assert not journal.ack(4)
    assert not journal.has_room(1, 60)
    journal.ack(5)
    assert journal.has_room(5, 60) and not journal.has_room(6, 60)
    fill(journal, 4)
    assert seqs(journal) == list(range(6, 25))
    assert mounted(flash).acked == 5


def test_acknowledged_records_stay_until_their_room_is_needed():
    journal = mounted(FlashSim(6, 512))
    fill(journal, 12)
    assert journal.ack(12)
    while journal.prepare():
        pass
    assert seqs(journal) == list(range(1, 13))


def test_ack_survives():
    flash = FlashSim(4, 512)
    journal = mounted(flash)
    fill(journal, 3)
    for seq in (1, 3):
        assert journal.ack(seq)
        assert mounted(flash).acked == seq
    assert journal.ack(2) and journal.acked == 3  # never backwards
    assert journal.ack(99) and journal.acked == 3  # never beyond what there is


def test_ack_in_a_full_sector_opens_the_next():
    flash = FlashSim(4, 512)
    journal = mounted(flash)
    fill(journal, 5)
    assert journal.ack(4)
    assert mounted(flash).acked == 4
    fill(journal, 1)
    again = mounted(flash)
    assert seqs(again) == [1, 2, 3, 4, 5, 6] and all(e[3] for e in again.read())


def test_what_was_reclaimed_counts_as_acknowledged():
    """The mark that made room is lost with the power, the room was made."""
    flash = FlashSim(4, 512)
    journal = mounted(flash)
    fill(journal, 20)
    flash.cut_at(1, "done")  # the erase
    raises(PowerCut, journal.ack, 7)
    flash.power_on()
    again = mounted(flash)
    assert seqs(again) == list(range(6, 21))
    assert again.acked == 5


def test_many_rounds_wear_evenly():
    flash = FlashSim(5, 512)
    journal = mounted(flash)
    for k in range(300):
        fill(journal, 1, 40 + k % 50)
        journal.prepare()
        if k % 10 == 9:
            journal.ack(journal.next_seq - 4)
        if k % 37 == 0:
            journal = mounted(flash)
    assert min(flash.erases) >= 10
    assert max(flash.erases) - min(flash.erases) <= 1, flash.erases
    header = bytearray(64)
    for i in range(5):
        flash.read(i * 512, header)
        assert fmt.unpack_erased(header) == (fmt.VERSION, flash.erases[i])


def test_reader_while_the_log_moves_on():
    """Upload reads a record at a time while riders go on: nothing doubled, nothing wrong."""
    flash = FlashSim(4, 512)
    journal = mounted(flash)
    fill(journal, 15)
    seen = []
    for seq, body, _, ok, _ in journal.read():
        assert ok and body[0] == seq & 0xFF
        seen.append(seq)
        if seq < 60:
            journal.ack(seq)
            if journal.has_room(1, 60):
                fill(journal, 1)
    assert seen == list(range(1, journal.next_seq))
    assert journal.next_seq > 60


def test_reader_whose_sector_is_reclaimed():
    journal = mounted(FlashSim(4, 512))
    fill(journal, 20)
    reader = journal.read()
    assert next(reader)[0] == 1
    journal.ack(10)
    fill(journal, 7)
    rest = [e[0] for e in reader]
    assert rest == list(range(11, 28))


# -- cost --------------------------------------------------------------------------------------


def test_mount_reads_headers_and_one_sector():
    flash = FlashSim(16)
    journal = mounted(flash)
    fill(journal, 400, 100)
    flash.reads = 0
    mounted(flash)
    in_a_sector = (4096 - 64) // fmt.entry_size(100)
    assert flash.reads <= 16 + 16 + in_a_sector + 2


def test_mount_time_by_the_clock():
    class Slow(FlashSim):
        def read(self, addr, buf):
            clock.advance_us(1000)
            FlashSim.read(self, addr, buf)

    clock = FakeClock()
    flash = Slow(8)
    journal = Journal(flash, clock)
    journal.mount()
    assert journal.mount_ms == flash.reads > 8
