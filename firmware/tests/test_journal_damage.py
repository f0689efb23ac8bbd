"""The journal on flash that rots, fails, or was tampered with."""

import struct

from fakes import raises
from flash_sim import FlashSim
from test_journal import fill, mounted, seqs
from validator.store import journal_format as fmt
from validator.store.journal import Journal, JournalError


def test_rot_of_any_byte_costs_at_most_that_record():
    flash = FlashSim(3, 512)
    journal = mounted(flash)
    fill(journal, 7)
    for k in (6, 7):
        journal.set_after(k, 1, 2)
    journal.ack(2)
    mark = flash.log[-1][1]
    sound = bytes(flash.data)
    for addr in range(0, 2 * 512, 3):
        flash.load(sound)
        flash.flip(addr, 1 << addr % 8)
        again = mounted(flash)
        entries = list(again.read())
        got = [e[0] for e in entries]
        assert got == sorted(set(got)) and len(got) >= 6, (addr, got)
        # A mark of acknowledgement whose head rotted may have been a record for all one knows: no
        # number is ever given out twice, but one may be left out.
        assert again.next_seq == 8 or again.next_seq == 9 and addr >= mark, addr
        assert again.damaged == again.next_seq - 1 - len(got)
        lost = [s for s in range(1, 8) if s not in got]
        for seq, body, _, ok, _ in entries:
            assert body[0] == seq & 0xFF
            # The one after a lost record is tied to what is left of it, unless that rotted.
            assert ok or lost == [seq - 1]
        got.append(again.append(b"goes on"))
        assert seqs(mounted(flash)) == got


def test_rot_in_a_header_while_running():
    flash = FlashSim(4, 512)
    journal = mounted(flash)
    fill(journal, 12)
    flash.flip(fmt.OPEN_AT + 1)
    assert seqs(journal) == list(range(1, 13))
    flash.flip(fmt.OPEN_AT + 24 + 1)  # the second copy too: the sector cannot be read
    assert seqs(journal) == list(range(6, 13))
    # It was the oldest: that these records are missing shows in their numbers only.
    assert seqs(mounted(flash)) == list(range(6, 13))


def test_sector_in_the_middle_that_is_lost_is_counted():
    flash = FlashSim(4, 512)
    fill(mounted(flash), 15)
    for addr in (512 + fmt.OPEN_AT, 512 + fmt.OPEN_AT + 24):
        flash.flip(addr)
    journal = mounted(flash)
    entries = list(journal.read())
    assert [e[0] for e in entries] == [1, 2, 3, 4, 5, 11, 12, 13, 14, 15]
    assert all(e[3] for e in entries)  # the next sector's header knows how the chain went on
    assert journal.damaged == 5


def test_changed_record_breaks_the_chain():
    """Somebody who rewrites a record, and its CRC, but not all that follow."""
    flash = FlashSim(4)
    journal = mounted(flash)
    fill(journal, 3)
    size = fmt.entry_size(60)
    header = bytes(flash.data[:64])
    seed = fmt.unpack_open(header)[4]
    buf = bytearray(size)
    chain = bytes(flash.data[64 + size + 8 : 64 + size + 16])
    n = fmt.pack_entry(buf, 0, fmt.RECORD, 2, chain, b"another ride" * 5, seed)
    flash.data[64 + size : 64 + size + n] = buf[:n]
    assert [(e[0], e[3]) for e in journal.read()] == [(1, True), (2, False), (3, True)]


def test_entry_inside_a_body_is_no_entry():
    """A rider can show any bytes. They must not become a record when their own record is torn."""
    flash = FlashSim(4)
    journal = mounted(flash)
    fill(journal, 1)
    for seed in (0, 0x46544A31):
        buf = bytearray(80)
        n = fmt.pack_entry(buf, 0, fmt.RECORD, 4, bytes(8), b"free ride", seed)
        seq = journal.append(b"\0\0\0\0" + bytes(buf[:n]))
        flash.flip(64 + fmt.entry_size(60) + (seq - 2) * fmt.entry_size(n + 4), 0xFF)
    fill(journal, 1)
    assert seqs(journal) == [1, 4]
    assert [e[1][0] for e in journal.read()] == [1, 4]


def test_head_inside_a_body_swallows_nothing():
    """A head in what a rider showed says where the next entry would be. When the real head has
    rotted and the search meets the other one, the records behind must not be passed over."""
    for kind in (fmt.RECORD, fmt.KEY):
        flash = FlashSim(4)
        journal = mounted(flash)
        fill(journal, 1)
        n = 700
        fake = bytes((n & 0xFF, n >> 8, kind, (n ^ n >> 8 ^ kind ^ 0xA5) & 0xFF)) + b"\0" * 40
        journal.append(fake)
        fill(journal, 5)
        flash.flip(64 + fmt.entry_size(60))
        assert seqs(journal) == [1, 3, 4, 5, 6, 7]
        again = mounted(flash)
        assert seqs(again) == [1, 3, 4, 5, 6, 7] and again.next_seq == 8


def test_bit_that_cannot_be_programmed():
    flash = FlashSim(5, 512)
    journal = mounted(flash)
    fill(journal, 2)
    flash.dead_bits[64 + 2 * fmt.entry_size(60) + 30] = 0xFF
    fill(journal, 2)
    assert journal.info()["faults"] == 1
    for j in (journal, mounted(flash)):
        entries = list(j.read())
        assert [e[0] for e in entries] == [1, 2, 3, 4] and all(e[3] for e in entries)
        assert j.damaged == 0


def test_header_that_cannot_be_programmed():
    flash = FlashSim(5, 512)
    journal = mounted(flash)
    for copy in (0, 24):
        flash.dead_bits[512 + fmt.OPEN_AT + copy + 12] = 0xFF
    fill(journal, 7)
    assert journal.info()["faults"] == 1
    for j in (journal, mounted(flash)):
        assert seqs(j) == [1, 2, 3, 4, 5, 6, 7]


def test_ack_whose_new_sector_fails():
    flash = FlashSim(5, 512)
    journal = mounted(flash)
    fill(journal, 5)
    for copy in (0, 24):
        flash.dead_bits[512 + fmt.OPEN_AT + copy + 12] = 0xFF
    assert not journal.ack(3)
    fill(journal, 2)
    again = mounted(flash)
    assert seqs(again) == [1, 2, 3, 4, 5, 6, 7] and again.acked == 3


def test_record_that_was_taken_for_failed_is_not_doubled():
    class Glitch(FlashSim):
        wrong = False

        def read(self, addr, buf):
            FlashSim.read(self, addr, buf)
            if self.wrong:
                self.wrong = False
                buf[0] ^= 1

    flash = Glitch(4, 512)
    journal = mounted(flash)
    fill(journal, 2)
    flash.wrong = True
    fill(journal, 2)
    for j in (journal, mounted(flash)):
        entries = list(j.read())
        assert [e[0] for e in entries] == [1, 2, 3, 4] and all(e[3] for e in entries)
        assert j.damaged == 0 and j.next_seq == 5


def test_acknowledged_numbers_are_not_given_out_again():
    flash = FlashSim(4, 512)
    journal = mounted(flash)
    fill(journal, 4)
    journal.ack(4)
    for k in (2, 3):  # the heads of two records, one after the other
        flash.flip(64 + k * fmt.entry_size(60) + 2, 0xFF)
    again = mounted(flash)
    assert again.next_seq == 5
    assert seqs(again) == [1, 2] and again.damaged == 2


def test_flash_that_keeps_nothing():
    class Dead(FlashSim):
        def program(self, addr, data):
            if len(data) > 16:
                raise OSError(5)
            FlashSim.program(self, addr, data)

    journal = mounted(Dead(4))
    raises(JournalError, journal.append, b"x")
    assert journal.next_seq == 1


def test_flash_that_cannot_be_erased():
    class Dead(FlashSim):
        def erase(self, addr):
            raise OSError(5)

    journal = mounted(Dead(4))
    assert not journal.has_room()
    raises(JournalError, journal.append, b"x")
    while journal.prepare():
        pass
    assert journal.info()["worn_out"] == 4


def test_later_format_is_left_alone():
    from binascii import crc32

    flash = FlashSim(4)
    fill(mounted(flash), 1)
    header = bytearray(flash.data[:12])
    header[4] = fmt.VERSION + 1
    flash.data[:16] = bytes(header) + struct.pack("<I", crc32(header))
    raises(JournalError, Journal(flash).mount)


def test_a_sector_of_an_earlier_format_is_erased_again():
    """Else an earlier firmware would take what is in it for its own, after a roll-back."""
    from binascii import crc32

    flash = FlashSim(4)
    journal = mounted(flash)
    fill(journal, 1)
    while journal.prepare():
        pass
    header = bytearray(flash.data[4096 : 4096 + 12])
    assert header[4] == fmt.VERSION
    header[4] = fmt.VERSION - 1
    flash.data[4096 : 4096 + 16] = bytes(header) + struct.pack("<I", crc32(header))
    journal = mounted(flash)
    assert seqs(journal) == [1]
    before = flash.erases[1]
    while journal.prepare():
        pass
    assert flash.erases[1] == before + 1 and flash.data[4096 + 4] == fmt.VERSION
