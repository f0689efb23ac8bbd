"""Key blocks in the journal: once a sector, in the operation of the record that needs them."""

from fakes import raises
from flash_sim import HOW, FlashSim, PowerCut
from test_journal import mounted
from validator.store import journal_format as fmt


def block(number, size=120):
    return bytes([(number * 31 + k) & 0xFF for k in range(size)])


def story(journal, records=30):
    """Records, two of three under a key that changes now and then; [(seq, body, key)]."""
    told = []
    for _ in range(records):
        seq = journal.next_seq
        if not journal.has_room(1, 250):
            journal.ack(seq - 4)
        key = block(seq // 12) if seq % 3 else None
        body = bytes([seq & 0xFF]) * (30 + seq * 7 % 23)
        assert journal.append(body, key) == seq
        told.append((seq, body, key))
        if seq % 2:
            journal.set_after(seq, 1, 2)
        if seq % 4 == 0:
            journal.prepare()
    return told


def collect(journal, start=0):
    """{seq: (body, keys that were told before it)} as an upload sees it."""
    found = {}
    keys = []
    for seq, body, _, ok, _ in journal.read(start, True):
        assert ok
        if seq:
            found[seq] = (body, list(keys))
        else:
            keys.append(body)
    return found


def check(journal, told, start=0):
    found = collect(journal, start)
    for seq, body, key in told:
        if seq in found:
            assert found[seq][0] == body
            assert key is None or key in found[seq][1], seq
    return found


def test_a_key_comes_before_the_records_that_need_it():
    flash = FlashSim(6, 512)
    journal = mounted(flash)
    told = story(journal)
    for each in (journal, mounted(flash)):
        found = check(each, told)
        assert len(found) > 15
        # From any record on, also in the middle of a sector.
        for start in found:
            assert start in check(each, told, start)


def test_without_keys_they_are_left_out():
    journal = mounted(FlashSim(6, 512))
    told = story(journal, 12)
    assert [(e[0], e[1]) for e in journal.read()] == [(seq, body) for seq, body, _ in told]


def test_one_operation_also_with_a_key_and_a_new_sector():
    flash = FlashSim(6)
    journal = mounted(flash)
    journal.prepare()
    journal.prepare()
    key = block(1, 342)
    for _ in range(45):  # into a third sector
        before = len(flash.log)
        journal.append(bytes(153), key)
        assert [op[0] for op in flash.log[before:]] == ["program"]
        while journal.prepare():
            pass
    keys = [e for e in journal.read(0, True) if not e[0]]
    assert [e[1] for e in keys] == [key]  # told once
    in_flash = sum(1 for at in range(0, flash.size, 4) if flash.data[at : at + 342] == key)
    assert in_flash == 3


def test_a_record_and_a_key_too_long_for_one_operation():
    flash = FlashSim(6)
    journal = mounted(flash)
    journal.prepare()
    key = block(1, 600)
    before = len(flash.log)
    journal.append(bytes(journal.max_body), key)
    assert len(flash.log) == before + 2
    found = collect(mounted(flash))
    assert found == {1: (bytes(1024), [key])}
    raises(ValueError, journal.append, bytes(1000), bytes(4000))


def test_room_is_kept_for_the_longest_record_and_key():
    journal = mounted(FlashSim(4))
    key = 0
    while journal.has_room():
        key += 1
        journal.append(bytes(journal.max_body), block(key, 600))
    assert journal.next_seq > 6
    assert [len(e[1]) for e in journal.read()] == [1024] * (journal.next_seq - 1)


def test_a_failed_operation_takes_the_key_along():
    flash = FlashSim(6, 512)
    journal = mounted(flash)
    key = block(1)
    journal.append(bytes(60), key)
    flash.dead_bits[64 + fmt.entry_size(120) + fmt.entry_size(60) + 30] = 0xFF
    journal.append(bytes(60), key)
    assert journal.info()["faults"] == 1
    flash.flip(100)  # the key in the first sector
    rotten = bytearray(key)
    rotten[100 - 64 - 16] ^= 1
    assert collect(mounted(flash)) == {
        1: (bytes(60), [bytes(rotten)]),
        2: (bytes(60), [bytes(rotten), key]),
    }


def test_rot_in_a_key_costs_no_record():
    flash = FlashSim(6, 512)
    journal = mounted(flash)
    for _ in range(3):
        journal.append(bytes(60), block(1))
    sound = bytes(flash.data)
    for at in range(64, 64 + fmt.entry_size(120)):
        flash.load(sound)
        flash.flip(at, 1 << at % 8)
        again = mounted(flash)
        entries = list(again.read(0, True))
        assert [e[0] for e in entries if e[0]] == [1, 2, 3]
        assert all(e[3] for e in entries)
        if at >= 64 + 4:
            # It is handed on as it is: whoever knows its hash can mend it.
            differing = [b for b in range(120) if entries[0][1][b] != block(1)[b]]
            assert len(differing) == (80 <= at < 200)
        assert again.append(bytes(10)) == 4


def test_cut_at_any_operation():
    for how in HOW:
        n = 0
        while True:
            flash = FlashSim(4, 512)
            flash.cut_at(n, how)
            told = []
            try:
                journal = mounted(flash)
                for _ in range(24):
                    told += story(journal, 1)
                break
            except PowerCut:
                flash.power_on()
            journal = mounted(flash)
            found = check(journal, told)
            seqs = [t[0] for t in told]
            kept = sorted(found)
            if kept and kept[-1] not in seqs:
                kept.pop()  # durable, but nobody was told
            assert kept == seqs[len(seqs) - len(kept) :], (n, how)
            more = story(journal, 4)
            check(mounted(flash), more)
            n += 1
        assert n > 50
