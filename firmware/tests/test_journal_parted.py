"""Records in two parts: what is about to happen, and what became of it, in one entry."""

import sys

from fakes import raises
from flash_sim import HOW, FlashSim, PowerCut
from test_journal import mounted
from validator.store import journal_format as fmt
from validator.store.record import decode_after

MICROPYTHON = sys.implementation.name == "micropython"
CONTEXT = b"\xc7" + bytes(range(60))
KEY = bytes(range(100, 220))


def end_of(seq):
    return bytes([(seq * 5 + k * 7) & 0xFF for k in range(16)])


def body_of(seq):
    return bytes([(seq * 31 + k) & 0xFF for k in range(20 + seq % 5)])


def read(journal, start=0):
    entries = list(journal.read(start))
    assert all(entry[3] for entry in entries), [entry[0] for entry in entries if not entry[3]]
    return {entry[0]: entry[1] for entry in entries}


def test_both_parts_are_one_record():
    flash = FlashSim(4)
    journal = mounted(flash)
    assert journal.append(body_of(1)) == 1
    assert journal.append(body_of(2), parted=True) == 2
    assert journal.end(2, end_of(2)) and journal.set_after(2, 3, 120)
    assert journal.append(body_of(3)) == 3
    for each in (journal, mounted(flash)):
        assert read(each) == {1: body_of(1), 2: body_of(2) + end_of(2), 3: body_of(3)}
        entries = list(each.read())
        assert decode_after(entries[1][2]) == (3, 120)
        # The chain goes through both parts.
        chain = fmt.link(fmt.link(entries[0][4], body_of(2)), end_of(2))
        assert entries[1][4] == chain
        assert entries[2][4] == fmt.link(chain, body_of(3))


def test_one_operation_each():
    flash = FlashSim(6)
    journal = mounted(flash)
    journal.prepare()
    before = len(flash.log)
    seq = journal.append(body_of(1), KEY, CONTEXT, parted=True)
    journal.end(seq, end_of(1))
    assert [op[0] for op in flash.log[before:]] == ["program", "program"]
    blocks = [e[1] for e in journal.read(0, True) if not e[0]]
    assert blocks == [CONTEXT, KEY]


def test_nobody_reads_or_acknowledges_what_is_not_known_yet():
    flash = FlashSim(4)
    journal = mounted(flash)
    journal.append(body_of(1))
    journal.append(body_of(2), parted=True)
    assert journal.pending == 2 and list(read(journal)) == [1]
    journal.ack(2)
    assert journal.acked == 1
    journal.end(2, end_of(2))
    assert journal.pending == 0 and read(journal)[2] == body_of(2) + end_of(2)
    journal.ack(2)
    assert journal.acked == 2 and journal.info()["damaged"] == 0


def test_an_acknowledgement_does_not_come_between():
    """The header of a new sector has the chain, which the end still changes."""
    flash = FlashSim(4, 512)
    journal = mounted(flash)
    full = 448 - fmt.entry_size(len(body_of(1)), fmt.PARTED)
    journal.append(bytes(full - fmt.entry_size(0)))
    assert journal.append(body_of(1), parted=True) == 2
    assert not journal.ack(1)  # there is no room for a mark but in a new sector
    assert journal.end(2, end_of(1))
    journal = mounted(flash)
    assert journal.append(body_of(2)) == 3
    entries = list(journal.read())
    assert [entry[0] for entry in entries] == [1, 2, 3]
    assert entries[2][4] == fmt.link(entries[1][4], body_of(2))


def test_without_an_end_it_stays_a_record():
    for restart in (False, True):
        flash = FlashSim(4)
        journal = mounted(flash)
        journal.append(body_of(1), parted=True)
        if restart:
            journal = mounted(flash)
            assert not journal.end(1, end_of(1))
            assert read(journal) == {1: body_of(1)}
        assert journal.append(body_of(2)) == 2
        assert not journal.end(1, end_of(1)) and not journal.end(2, end_of(2))
        assert read(journal) == read(mounted(flash)) == {1: body_of(1), 2: body_of(2)}


def test_an_end_is_written_once_and_has_its_size():
    journal = mounted(FlashSim(4))
    journal.append(body_of(1), parted=True)
    raises(ValueError, journal.end, 1, bytes(15))
    assert journal.end(1, end_of(1))
    assert not journal.end(1, end_of(1))


def test_flash_that_does_not_keep_the_end():
    entry = 64
    at = entry + fmt.BODY_AT + len(body_of(1)) + 4
    for dead in (1, 3):
        flash = FlashSim(4, 512)
        journal = mounted(flash)
        journal.append(body_of(1), parted=True)
        # One bit that sticks is mended by whoever reads; more are not.
        flash.dead_bits[at + 5] = dead & ~end_of(1)[5] & 0xFF or 1
        if dead == 3:
            flash.dead_bits[at + 6] = ~end_of(1)[6] & 0xFF
        kept = journal.end(1, end_of(1))
        body = body_of(1) + (end_of(1) if kept else b"")
        assert journal.info()["faults"] == (bytes(flash.data[at : at + 16]) != end_of(1))
        assert kept == (dead == 1)
        assert journal.append(body_of(2)) == 2
        assert read(journal) == read(mounted(flash)) == {1: body, 2: body_of(2)}


def test_rot_in_every_bit():
    flash = FlashSim(4, 512)
    journal = mounted(flash)
    bodies = {}
    for seq in (1, 2, 3):
        journal.append(body_of(seq), parted=True)
        journal.end(seq, end_of(seq))
        bodies[seq] = body_of(seq) + end_of(seq)
    sound = bytes(flash.data)
    size = fmt.entry_size(len(body_of(1)), fmt.PARTED)
    second = 64 + size
    first_part = fmt.BODY_AT + len(body_of(2)) + 4
    after = fmt.after_at(len(body_of(2)), fmt.PARTED)
    for at in range(second, second + after):
        for bit in range(8):
            flash.load(sound)
            flash.flip(at, 1 << bit)
            found = {e[0]: e[1] for e in mounted(flash).read()}
            if at < second + first_part:
                assert found == {1: bodies[1], 3: bodies[3]}, (at, bit)
            else:
                assert found == bodies, (at, bit)  # mended
            # Its CRC is where that of the end starts from: without it the end is not known.
            if second + 16 <= at < second + first_part - 4 or at >= second + first_part:
                assert all(e[3] for e in mounted(flash).read()), (at, bit)


def story(journal, told, count):
    for _ in range(count):
        seq = journal.next_seq
        if not journal.has_room(1, 200):
            journal.ack(seq - 4)
        context = CONTEXT[:24] + bytes([seq // 9 & 0xFF])
        told[seq] = [body_of(seq), None]
        parted = seq % 3 > 0
        assert journal.append(body_of(seq), KEY if seq % 2 else None, context, parted) == seq
        told[seq][1] = b""
        if parted and seq % 5:
            told[seq][1] = None
            assert journal.end(seq, end_of(seq))
            told[seq][1] = end_of(seq)
        if seq % 4:
            journal.set_after(seq, 1, 2)
        if seq % 2:
            journal.prepare()


def check(journal, told):
    found = read(journal)
    newest = max(told) if told else 0
    for seq in found:
        body, end = told[seq]
        if end is not None:
            assert found[seq] == body + end, seq
        else:
            assert seq == newest and found[seq] in (body, body + end_of(seq)), seq
    # A number that may have been written before the power went is missing, and no other.
    finished = [seq for seq in told if told[seq][1] is not None]
    oldest = min(found) if found else newest
    assert all(seq in found for seq in finished if seq >= oldest)
    assert not finished or max(finished) in found, "all records are gone"


def forget_what_was_not_durable(journal, told):
    # A number whose record may have been whole is not given out again; others are.
    for seq in [s for s in told if s >= journal.next_seq]:
        del told[seq]


def test_cut_at_any_operation():
    for how in HOW:
        n = 0
        while True:
            flash = FlashSim(4, 512)
            flash.cut_at(n, how)
            told = {}
            try:
                story(mounted(flash), told, 24)
                break
            except PowerCut:
                flash.power_on()
            try:
                journal = mounted(flash)
                check(journal, told)
                later = {}
                story(journal, later, 4)
                found = read(mounted(flash))
                for seq in later:
                    assert found[seq] == later[seq][0] + later[seq][1]
            except Exception:
                print("cut at operation", n, how)
                raise
            n += 1
        assert n > 60


def test_cut_at_any_pair_of_operations():
    """The power goes, comes back, and goes again while the validator goes on."""
    count = 0
    first = 0
    while True:
        second = 0
        while True:
            for how in HOW:
                flash = FlashSim(4, 512)
                flash.cut_at(first, HOW[(first + second) % len(HOW)])
                told = {}
                try:
                    story(mounted(flash), told, 9)
                    assert count > 200
                    return
                except PowerCut:
                    flash.power_on()
                try:
                    flash.cut_at(second, how)
                    ended = True
                    try:
                        journal = mounted(flash)
                        forget_what_was_not_durable(journal, told)
                        settle(journal, told)
                        story(journal, told, 3)
                    except PowerCut:
                        ended = False
                        flash.power_on()
                    check(mounted(flash), told)
                    count += 1
                except Exception:
                    print("cut at operations", first, second, how)
                    raise
                if ended:
                    break
            if ended:
                break
            second += 1
        first += 3 if MICROPYTHON else 1


def settle(journal, told):
    """What a cut left undecided of the newest record is decided now."""
    newest = journal.next_seq - 1
    if newest in told and told[newest][1] is None:
        body = read(journal, newest).get(newest)
        if body is None:
            del told[newest]
        else:
            told[newest][1] = body[len(told[newest][0]) :]
