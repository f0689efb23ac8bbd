"""A tap as a transaction: what is recorded, what is shown, and that neither happens alone."""

import gc

from emv_script import TUNION, Card, lost, tunion, with_ppse
from fakes import FakeClock, run
from flash_sim import FlashSim, PowerCut
from validator import tap as module
from validator.store import record
from validator.store.journal import Journal
from validator.tap import Taps


class State:
    token_key = bytes(range(16))
    boots = 3


class Ui:
    def __init__(self, journal=None):
        self.shown = []
        self.records_then = []
        self._journal = journal

    def result(self, r, fare=None, balance=None):
        self.shown.append((r.outcome, r.reason))
        if self._journal:
            self.records_then.append(self._journal.next_seq)


class Log:
    def __init__(self):
        self.lines = []

    def _put(self, area, text):
        self.lines.append((area, text))

    error = warning = info = _put


def rig(flash=None, journal=True):
    clock = FakeClock()
    opened = None
    if journal:
        opened = Journal(flash or FlashSim(8), clock)
        opened.mount()
        opened.prepare()
    ui, log, done = Ui(opened), Log(), []
    taps = Taps(clock, opened, State, ui, log, done.append)
    return taps, opened, ui, log, done


def purse(trouble=None):
    return Card(with_ppse(tunion(), (TUNION, 1)), trouble)


def records(journal):
    return [record.decode(entry[1]) for entry in journal.read()]


def test_a_card_leaves_a_record_before_it_is_shown():
    taps, journal, ui, log, done = rig()
    summary = run(taps.card(purse(), detect_us=12345))
    assert ui.shown == [("declined", "unverified")]
    assert ui.records_then == [2]  # the record was there by then
    kept = records(journal)[0]
    assert kept["seq"] == summary["seq"] == 1 and done == [summary]
    assert kept["medium"] == "tunion" and kept["test"] and kept["boot"] == 3
    assert kept["token"].hex() == summary["token"] and len(kept["token"]) == 8
    assert kept["phases"]["detect"] == summary["phases"]["detect"] == 12
    assert summary["masked"] == "031048******9012"


def test_the_number_is_in_no_record_no_log_and_no_summary():
    taps, journal, ui, log, done = rig()
    run(taps.card(purse()))
    run(taps.code(b"6212345678901234567"))
    number = "0310482123456789012"
    for text in (repr(done), repr(log.lines), repr(records(journal))):
        assert number not in text and "6212345678901234567" not in text
    raw = bytes(journal._flash.data) if hasattr(journal, "_flash") else b""
    assert bytes.fromhex(number[1:]) not in raw and number.encode() not in raw


def test_the_same_card_gives_the_same_token_and_a_code_another_one():
    taps, journal, ui, log, done = rig()
    run(taps.card(purse()))
    run(taps.card(purse()))
    tokens = [r["token"] for r in records(journal)]
    assert tokens[0] == tokens[1]


def test_a_card_pulled_away_at_every_apdu_is_a_retry_on_record():
    whole = purse()
    run(rig()[0].card(whole))
    for n in range(1, len(whole.log) + 1):
        taps, journal, ui, log, done = rig()
        summary = run(taps.card(purse({n: lost()})))
        assert (summary["outcome"], summary["reason"]) == ("retry", "card_lost"), n
        assert records(journal)[0]["reason"] == "card_lost"
        assert run(taps.card(purse()))["outcome"] == "declined"


def test_without_journal_or_room_the_card_is_not_touched():
    taps, _, ui, log, done = rig(journal=False)
    card = purse()
    assert run(taps.card(card))["reason"] == "out_of_service"
    assert card.log == [] and ui.shown == [("declined", "out_of_service")]
    taps, journal, ui, log, done = rig()
    while journal.has_room():
        journal.append(bytes(1000))
    assert run(taps.card(card))["reason"] == "storage_full"
    assert run(taps.code(b"x"))["reason"] == "storage_full"
    assert card.log == []


def test_a_flash_that_fails_shows_out_of_service_and_never_a_ride():
    flash = FlashSim(8)
    taps, journal, ui, log, done = rig(flash)

    def broken(addr, data):
        raise OSError(5)

    flash.program = broken
    summary = run(taps.card(purse()))
    assert summary["outcome"] == "declined" and summary["reason"] == "out_of_service"
    assert summary["seq"] is None and log.lines


def hog(*args, **more):
    raise MemoryError


async def hog_later(*args, **more):
    raise MemoryError


def test_memory_that_runs_out_is_not_the_riders_fault():
    from validator import tap as module

    taps, journal, ui, log, done = rig()
    real = module.cards.run, module.codes.run
    module.cards.run, module.codes.run = hog_later, hog
    try:
        for summary in (run(taps.card(purse())), run(taps.code(b"x"))):
            assert (summary["outcome"], summary["reason"]) == ("retry", "out_of_service")
    finally:
        module.cards.run, module.codes.run = real
    assert [line[0] for line in log.lines] == ["tap", "tap"]
    assert [r["reason"] for r in records(journal)] == ["out_of_service"] * 2
    assert ui.shown == [("retry", "out_of_service")] * 2
    # No memory for the record: nobody rides.
    journal.append = hog
    assert run(taps.card(purse()))["reason"] == "out_of_service" and len(log.lines) == 3
    del journal.append
    journal.set_after = hog
    assert run(taps.card(purse()))["seq"] == 3, "its record was durable before"
    # No memory for what counts from now on: it is made, and it counts.
    counted = []

    def settled():
        counted.append(len(counted))
        if len(counted) == 1:
            raise MemoryError

    async def ridden(*args, **more):
        result = await real[0](*args, **more)
        result.settled = settled
        return result

    module.cards.run = ridden
    try:
        assert run(taps.card(purse()))["seq"] == 4 and counted == [0, 1]
    finally:
        module.cards.run = real[0]
    assert not taps.busy() and taps.idle.is_set()


def test_nobody_else_is_let_in_while_a_rider_is_served():
    seen = []
    taps, journal, ui, log, done = rig()
    card = purse()
    real = card.transceive

    async def transceive(apdu):
        seen.append(taps.idle.is_set())
        return await real(apdu)

    card.transceive = transceive
    assert taps.idle.is_set()
    run(taps.card(card))
    assert seen and not any(seen) and taps.idle.is_set()


def test_power_cut_at_every_flash_operation_of_a_tap():
    """What was shown is on record afterwards, and the next tap works."""
    for how in ("undone", "half", "bits", "done"):
        n = 0
        while True:
            flash = FlashSim(8)
            taps, journal, ui, log, done = rig(flash)
            run(taps.card(purse()))
            flash.cut_at(n, how)
            try:
                run(taps.card(purse()))
                break  # this tap has no n-th operation
            except PowerCut:
                pass
            flash.power_on()
            shown = len(ui.shown)
            taps, journal, ui, log, done = rig(flash)
            kept = records(journal)
            assert len(kept) >= shown, (how, n)
            assert [r["seq"] for r in kept] == list(range(1, len(kept) + 1))
            assert run(taps.card(purse()))["seq"] is not None
            n += 1
        assert n >= 1


def test_hundreds_of_taps_with_faults_leave_the_heap_as_it_was():
    flash = FlashSim(16)
    taps, journal, ui, log, done = rig(flash)
    noise = 1
    marks = []
    for i in range(300):
        noise = noise * 1103515245 + 12345 & 0x7FFFFFFF
        trouble = {noise % 7 + 1: lost()} if noise & 0x100 else None
        run(taps.card(purse(trouble)))
        journal.ack(journal.next_seq - 1)
        journal.prepare()
        assert ui.shown[-1][0] != "accepted"
        assert done[-1]["seq"] == i + 1
        for kept in (ui.shown, ui.records_then, log.lines, done):
            del kept[:-1]
        flash.log = []
        if hasattr(gc, "mem_alloc") and i >= 100 and i % 50 == 0:
            gc.collect()
            marks.append(gc.mem_alloc())
    if marks:
        assert max(marks) - marks[0] < 2048, marks


def test_no_threshold_of_the_collector_holds_in_a_tap():
    class Gc:
        now = -1

        def threshold(self, size):
            self.now = size

        def mem_alloc(self):
            return 0

        def collect(self):
            assert not taps.busy()

    class Looking(Card):
        async def transceive(self, apdu):
            assert module.gc.now == -1
            if asked:
                taps.threshold(asked.pop())
            return await Card.transceive(self, apdu)

    taps, journal, ui, log, done = rig()
    real = module.gc
    module.gc = Gc()
    try:
        asked = []
        taps.threshold(16384)
        assert module.gc.now == 16384
        run(taps.card(Looking(with_ppse(tunion(), (TUNION, 1)))))
        run(taps.code(b"nonsense"))
        assert module.gc.now == 16384
        # The transfer ends, or begins, in the middle of one.
        asked = [-1]
        run(taps.card(Looking(with_ppse(tunion(), (TUNION, 1)))))
        assert module.gc.now == -1
        asked = [4096]
        run(taps.card(Looking(with_ppse(tunion(), (TUNION, 1)))))
        assert module.gc.now == 4096
    finally:
        module.gc = real
    assert len(done) == 4
