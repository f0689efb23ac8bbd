"""The journal on sectors that are worn out: passed over, reported, never a reason to stop."""

from fakes import raises
from flash_sim import HOW, FlashSim, PowerCut
from test_journal import fill, mounted, seqs
from validator.store import journal_format as fmt
from validator.store.journal import JournalError


def around(journal, records, ahead=True):
    """Go on, acknowledging what is needed for it; [seq] of what was kept."""
    kept = []
    for _ in range(records):
        if not journal.has_room(1, 60):
            journal.ack(journal.next_seq - 3)
        assert journal.has_room(1, 60)
        kept += fill(journal, 1)
        if ahead:
            journal.prepare()
    return kept


def healthy(flash, journal, kept, worn):
    """Nothing but what was acknowledged is gone, here and after a remount."""
    info = journal.info()
    assert info["worn_out"] == len(worn), info
    for each in (journal, mounted(flash)):
        got = seqs(each)
        assert got == kept[len(kept) - len(got) :] and got[0] <= each.acked + 1
        assert all(e[3] for e in each.read())
        assert each.next_seq == kept[-1] + 1


def test_sectors_whose_erase_fails():
    for worn in ((2,), (0,), (5,), (2, 3), (0, 5), (1, 3, 5)):
        for ahead in (True, False):
            flash = FlashSim(6, 512)
            journal = mounted(flash)
            kept = fill(journal, 30)
            flash.refused = set(worn)
            kept += around(journal, 60, ahead)
            healthy(flash, journal, kept, worn)
            # Another start finds them again, and goes on as well.
            journal = mounted(flash)
            kept += around(journal, 40, ahead)
            healthy(flash, journal, kept, worn)


def test_worn_out_sectors_of_a_blank_flash():
    flash = FlashSim(6, 512)
    flash.refused = {0, 3}
    journal = mounted(flash)
    kept = around(journal, 50)
    healthy(flash, journal, kept, (0, 3))


def test_bits_that_cannot_be_erased():
    flash = FlashSim(6, 512)
    journal = mounted(flash)
    kept = fill(journal, 30)
    flash.stuck_bits = {2 * 512 + 3: 0x10, 4 * 512 + 500: 0x01}
    kept += around(journal, 60)
    healthy(flash, journal, kept, (2, 4))


def test_sectors_that_cannot_be_programmed():
    flash = FlashSim(8, 512)
    journal = mounted(flash)
    kept = fill(journal, 40)
    flash.refused_programs = {2, 3}
    kept += around(journal, 90)
    healthy(flash, journal, kept, (2, 3))


def test_a_sector_that_fails_while_it_is_written():
    """What it holds stays readable; the record that failed goes on elsewhere."""
    flash = FlashSim(8, 512)
    journal = mounted(flash)
    kept = fill(journal, 2)
    flash.refused_programs = {0}
    kept += fill(journal, 12)
    assert journal.info()["faults"] == 1
    for each in (journal, mounted(flash)):
        assert seqs(each) == kept and each.damaged == 0


def test_header_after_header_that_fails():
    flash = FlashSim(8, 512)
    for i in (1, 2, 3):
        for copy in (0, 24):
            flash.dead_bits[i * 512 + fmt.OPEN_AT + copy + 12] = 0xFF
    journal = mounted(flash)
    kept = fill(journal, 9)
    for each in (journal, mounted(flash)):
        assert seqs(each) == kept and all(e[3] for e in each.read())
    assert journal.info()["faults"] == 3
    kept += around(journal, 80)
    got = seqs(mounted(flash))
    assert got == kept[len(kept) - len(got) :] and len(got) > 3


def test_capacity_shrinks_and_the_tap_is_refused_in_time():
    flash = FlashSim(6, 512)
    flash.refused = {1, 4}
    journal = mounted(flash)
    while journal.prepare():
        pass
    while journal.has_room(1, 60):
        fill(journal, 1)
        while journal.prepare():
            pass
    n = journal.next_seq - 1
    assert n == 4 * ((512 - 64) // fmt.entry_size(60))
    info = journal.info()
    assert info["capacity_bytes"] == 4 * (512 - 64) and info["free_bytes"] < 512
    raises(JournalError, journal.append, bytes(60))
    assert seqs(mounted(flash)) == list(range(1, n + 1))


def test_nothing_left_that_can_be_erased():
    flash = FlashSim(5, 512)
    journal = mounted(flash)
    kept = fill(journal, 20)
    flash.refused = set(range(5))
    journal.ack(18)
    for _ in range(12):
        if journal.has_room(1, 60):
            try:
                kept += fill(journal, 1)
            except JournalError:
                pass
    # What was there, and not acknowledged, still is.
    assert set(kept[18:]) <= set(seqs(journal)) and set(kept[18:]) <= set(seqs(mounted(flash)))


def test_cuts_on_worn_flash():
    """Power goes at each operation while a worn-out sector is found and passed over."""
    sound = FlashSim(6, 512)
    before = fill(mounted(sound), 28)
    sound = bytes(sound.data)
    for how in HOW:
        n = 0
        while True:
            flash = FlashSim(6, 512)
            flash.load(sound)
            flash.refused = {1, 2}
            flash.stuck_bits = {4 * 512 + 100: 0x40}
            flash.cut_at(n, how)
            kept = list(before)
            try:
                journal = mounted(flash)
                for _ in range(24):
                    kept += around(journal, 1)
                break
            except PowerCut:
                flash.power_on()
            journal = mounted(flash)
            acked = journal.acked
            got = seqs(journal)
            assert [s for s in kept if s > acked and s not in got] == [], (n, how)
            kept += around(journal, 12)
            assert seqs(mounted(flash))[-1] == kept[-1], (n, how)
            n += 1
        assert n > 20
