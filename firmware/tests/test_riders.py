"""What is known of riders: with others between, after starts, with the clock set, when full."""

import sys

from riders_bench import Bus, key
from test_riders_power import restore
from validator.media.riders import CODES, PAYMENT, PURSE, QUICKPASS, WINDOW
from validator.media.riders_upkeep import CODE, WAIT
from validator.store.riders_format import SLOT

DAY = 86400
MICROPYTHON = sys.implementation.name == "micropython"
JUMPS = (1, 3600, 30 * DAY)


def others(bus, count, start=1000, room=QUICKPASS, window=300, seconds=0):
    """Other riders, one record each, with the idle time that a bus has between them."""
    for n in range(start, start + count):
        assert bus.riders.ready(1)
        seq = bus.record()
        assert bus.riders.has_room(room, key(n, room))
        bus.riders.rode(room, key(n, room), 1, window, 0, seq)
        bus.later(seconds)
        for _ in range(3):
            bus.riders.idle()


def reboot(bus, seconds=0):
    bus.reboot(seconds)
    restore(bus)


def rode(bus, n=1, room=QUICKPASS, fen=200, window=300, cumulative=0):
    assert bus.riders.ready(1)
    seq = bus.record("accepted", detail={"did": "none"})
    bus.riders.cumulative[room] = cumulative
    bus.riders.rode(room, key(n, room), fen, window, cumulative, seq)
    return seq


def test_a_window_with_any_number_of_others_between():
    for count in (1, 8, 100) if MICROPYTHON else (1, 8, 100, 1000):
        bus = Bus(sectors=17 if MICROPYTHON else 34)
        rode(bus)
        others(bus, count)
        assert bus.riders.since(QUICKPASS, key(1, QUICKPASS)) == 0
        bus.later(299)
        assert bus.riders.since(QUICKPASS, key(1, QUICKPASS)) == 299
        assert bus.riders.since(QUICKPASS, key(2, QUICKPASS)) is None
        if count > 20:
            reboot(bus)
            assert bus.riders.since(QUICKPASS, key(1, QUICKPASS)) == 299, "it was carried"


def test_what_nobody_asks_for_any_more_is_never_written():
    bus = Bus()
    others(bus, 300, window=5, seconds=2)
    assert not bus.riders.table.flash.entries


def test_no_setting_of_the_clock_ends_a_window_or_holds_it_for_long():
    for jump in JUMPS:
        for first in (jump, -jump):
            for carried in (False, True):
                bus = Bus()
                rode(bus)
                if carried:
                    others(bus, 30)
                k = key(1, QUICKPASS)
                bus.clock.set_unix(bus.clock.unix() + first)
                assert bus.riders.since(QUICKPASS, k) <= 1
                bus.later(10)
                bus.clock.set_unix(bus.clock.unix() - first)
                assert bus.riders.since(QUICKPASS, k) in (9, 10)
                bus.later(300)
                assert bus.riders.since(QUICKPASS, k) >= 300


def test_a_clock_that_is_behind_after_a_start_ends_no_window_and_holds_none():
    for jump in JUMPS:
        bus = Bus()
        rode(bus)
        others(bus, 30)
        k = key(1, QUICKPASS)
        reboot(bus, -jump)
        assert bus.riders.since(QUICKPASS, k) <= 2
        bus.later(100)
        assert 98 <= bus.riders.since(QUICKPASS, k) <= 101
        bus.clock.set_unix(bus.clock.unix() + jump)
        assert 98 <= bus.riders.since(QUICKPASS, k) <= 102
        bus.later(300)
        assert bus.riders.since(QUICKPASS, k) >= 300


def test_time_goes_on_over_starts_though_the_wall_clock_is_years_behind():
    """Somebody set the year 2040, riders rode, and then the clock was set right."""
    bus = Bus()
    bus.clock.set_unix(bus.clock.unix() + 3650 * DAY)
    bus.boot()
    rode(bus, window=DAY)
    others(bus, 30, window=DAY)
    bus.idle()
    k = key(1, QUICKPASS)
    bus.clock.set_unix(bus.clock.unix() - 3650 * DAY)
    waited = 0
    for _ in range(8):
        reboot(bus)
        for _ in range(4):
            bus.later(3700)
            bus.idle()
        waited += 4 * 3700
        assert abs(bus.riders.since(QUICKPASS, k) - waited) < 3 * 3700, "it waits for ever"
    assert waited > DAY


def test_limits_count_each_ride_once_from_journal_and_table():
    bus = Bus()
    k = key(1, QUICKPASS)
    total = 0
    for n in range(60):
        assert bus.riders.ready(1)
        fen = 100 + n
        seq = bus.record("accepted", detail={"did": "ride", "who": 1, "value": fen})
        bus.riders.cumulative[QUICKPASS] = DAY
        bus.riders.rode(QUICKPASS, k, fen, 0, DAY, seq)
        total += fen
        assert bus.riders.spent(QUICKPASS, k, DAY) == total
        for _ in range(n % 5):
            bus.riders.idle()
        if not n % 7:
            reboot(bus)
            bus.riders.cumulative[QUICKPASS] = DAY
            assert bus.riders.spent(QUICKPASS, k, DAY) == total, n
    bus.later(DAY)
    assert bus.riders.spent(QUICKPASS, k, DAY) == 0
    rode(bus, cumulative=DAY)
    assert bus.riders.spent(QUICKPASS, k, DAY) == 200, "a new day begins with its own ride"
    others(bus, 30, window=DAY)
    assert bus.riders.spent(QUICKPASS, k, DAY) == 200


def test_a_table_that_outlives_its_journal_forgets_no_ride():
    bus = Bus()
    rode(bus, cumulative=DAY)
    others(bus, 40, window=DAY)
    bus.idle()
    for i in range(8):
        bus.flash.erase(i * 4096)
    reboot(bus)
    bus.riders.cumulative[QUICKPASS] = DAY
    rode(bus, fen=50, cumulative=DAY)
    assert bus.riders.spent(QUICKPASS, key(1, QUICKPASS), DAY) == 250
    others(bus, 30, start=5000, window=DAY)
    assert bus.riders.spent(QUICKPASS, key(1, QUICKPASS), DAY) == 250


def show(bus, n, until):
    """A code: whether it rides."""
    assert bus.riders.ready(1)
    if bus.riders.code_seen(key(n, CODES), until):
        return "replayed"
    if not bus.riders.has_room(CODES, key(n, CODES)):
        return "storage_full"
    seq = bus.record("accepted", detail={"did": "code", "who": n, "value": until})
    bus.riders.code_ridden(key(n, CODES), until, seq)
    for _ in range(2):
        bus.riders.idle()
    return "rides"


def test_a_code_rides_once_with_any_number_of_others_starts_and_compactions_between():
    bus = Bus(sector=1024, journal=16)
    now = bus.clock.unix()
    assert show(bus, 1, now + 5000) == "rides"
    for n in range(2, 600):
        bus.later(6)
        assert show(bus, n, bus.clock.unix() + 300) == "rides", n
        if n % 100 == 0:
            reboot(bus)
            assert show(bus, 1, now + 5000) == "replayed"
            assert show(bus, n, bus.clock.unix() + 300) == "replayed"
    assert sum(bus.flash.erases[16:]) > 20, "buckets were written anew"
    assert show(bus, 1, now + 5000) == "replayed"


def test_no_setting_of_the_clock_lets_a_code_ride_again():
    for jump in JUMPS + (-1, -3600, -30 * DAY):
        for start_between in (False, True):
            bus = Bus(sector=2048, journal=16)
            now = bus.clock.unix()
            assert show(bus, 1, now + 600) == "rides"
            bus.clock.set_unix(now + jump)
            for n in range(2, 200):
                # Enough that what seems to be over is dropped.
                show(bus, n, bus.clock.unix() + 60)
                bus.later(1)
            if start_between:
                reboot(bus)
            bus.clock.set_unix(now + 5)
            if start_between:
                reboot(bus)
            assert show(bus, 1, now + 600) == "replayed", jump
            bus.later(700)
            assert show(bus, 9000, bus.clock.unix() + 600) == "rides", "and it holds up nobody"


def many_codes(bus, start, count, valid):
    for n in range(start, start + count):
        assert show(bus, n, bus.clock.unix() + valid) == "rides"
        bus.later(2)


def test_a_code_that_was_dropped_rides_no_more_on_a_clock_that_is_set_back():
    for start_between in (False, True):
        bus = Bus(sector=1024, journal=16)
        now = bus.clock.unix()
        assert show(bus, 1, now + 300) == "rides"
        many_codes(bus, 2, 250, 60)
        bus.idle()
        bus.riders.table.find(CODES, key(1, CODES))
        assert not bus.riders.table.found[CODE * SLOT + 8], "it is gone"
        bus.clock.set_unix(now + 5)
        if start_between:
            reboot(bus)
        assert show(bus, 1, now + 300) == "replayed"
        bus.later(600)
        for n in range(9000, 9020):
            assert show(bus, n, bus.clock.unix() + 60) == "rides", "and it holds up nobody"


def test_codes_of_a_time_to_come_hold_up_nobody_when_the_clock_is_right_again():
    bus = Bus(sector=1024 if MICROPYTHON else 4096, journal=16)
    now = bus.clock.unix()
    bus.clock.set_unix(now + 30 * DAY)
    many_codes(bus, 2, 85 if MICROPYTHON else 400, 60)
    bus.idle()
    bus.clock.set_unix(now + 400)
    for n in range(9000, 9008 if MICROPYTHON else 9020):
        assert show(bus, n, bus.clock.unix() + 60) == "rides", n


def test_waits_are_as_rides():
    bus = Bus()
    k = key(1, PAYMENT)
    assert bus.riders.ready(1)
    seq = bus.record("accepted", detail={"did": "none"})
    bus.riders.waits(PAYMENT, k, DAY, seq)
    others(bus, 50)
    bus.clock.set_unix(bus.clock.unix() + 30 * DAY)
    assert bus.riders.since(PAYMENT, k, WAIT) < 5
    reboot(bus, -60 * DAY)
    assert bus.riders.since(PAYMENT, k, WAIT) < 5


def test_a_full_room_refuses_its_own_riders_only_and_until_entries_are_over():
    bus = Bus(sector=512, journal=16)
    accepted = []
    for n in range(100):
        if bus.riders.has_room(PAYMENT, key(n, PAYMENT)):
            assert bus.riders.ready(1)
            seq = bus.record("accepted", detail={"did": "none"})
            bus.riders.waits(PAYMENT, key(n, PAYMENT), 1000, seq)
            accepted.append(n)
        bus.idle(30)
    assert len(accepted) == 39 and bus.riders.full() == ["payment"]
    for n in accepted:
        assert bus.riders.since(PAYMENT, key(n, PAYMENT), WAIT) is not None, "none is forgotten"
    for room in (PURSE, QUICKPASS, CODES):
        assert bus.riders.has_room(room, key(1, room), 13)
    assert show(bus, 1, bus.clock.unix() + 60) == "rides"
    bus.later(1001)
    for n in range(200, 206):
        assert bus.riders.has_room(PAYMENT, key(n, PAYMENT))
    assert not bus.riders.full()


def torn(bus, n):
    assert bus.riders.ready(1) and bus.riders.has_room(PURSE, key(n))
    seq = bus.record("accepted", detail={"did": "open", "who": n, "value": 0})
    bus.riders.open(PURSE, key(n), seq, seq + 7, b"%012d" % seq)
    bus.idle(3)
    return seq


def test_a_torn_debit_behind_a_thousand_others_and_records_that_are_gone():
    bus = Bus(sectors=17 if MICROPYTHON else 64, journal=8)
    first = torn(bus, 1)
    known = {n: torn(bus, n) for n in range(2, 100 if MICROPYTHON else 1002)}
    for _ in range(300 if MICROPYTHON else 3000):
        bus.record()
        bus.riders.idle()
    bus.journal.ack(bus.journal.next_seq - 1)
    reboot(bus)
    found = bus.riders.torn(PURSE, key(1))
    assert found == (first, first + 7, 0, 0, b"%012d" % first)
    assert bus.journal.info()["first"] > first, "its record is gone"
    for n in known:
        assert bus.riders.torn(PURSE, key(n))[0] == known[n]


def test_a_settled_debit_stays_settled():
    for idle in (0, 60):
        for starts in (0, 1, 2):
            bus = Bus()
            seq = torn(bus, 1)
            bus.idle(idle)
            closing = bus.record("accepted", detail={"did": "close", "who": 1, "value": 0})
            bus.riders.close(PURSE, key(1), closing)
            for _ in range(starts):
                reboot(bus)
                assert bus.riders.torn(PURSE, key(1)) is None
                others(bus, 3 * WINDOW)
            assert bus.riders.torn(PURSE, key(1)) is None
            assert torn(bus, 1) > seq and bus.riders.torn(PURSE, key(1))


def test_a_clean_debit_costs_no_operation_on_the_table():
    bus = Bus()
    for n in range(200):
        assert bus.riders.ready(2)
        k = key(n % 7)
        assert bus.riders.torn(PURSE, k) is None
        seq = bus.record()
        bus.riders.open(PURSE, k, seq, seq, b"")
        bus.riders.close(PURSE, k, seq)
        bus.riders.rode(PURSE, k, 1, 5, 0, seq)
        bus.later(7)
        for _ in range(3):
            bus.riders.idle()
    assert not bus.riders.table.flash.entries


def test_tokens_of_another_key_block_no_room():
    bus = Bus(sector=512, journal=16)
    n = 0
    while bus.riders.has_room(PURSE, key(n)):
        torn(bus, n)
        n += 1
    show(bus, 1, bus.clock.unix() + 10000)
    others(bus, 20, room=CODES)
    bus.check = b"key2"
    bus.reboot()
    bus.idle()
    assert bus.riders.info()["unknown"] > 20
    for n in range(500, 520):
        assert bus.riders.has_room(PURSE, key(n))
        torn(bus, n)
    assert show(bus, 1, bus.clock.unix() + 9990) == "replayed", "codes have no token"


def test_a_start_is_quick_with_everything_full():
    bus = Bus(journal=16, sectors=17 if MICROPYTHON else 64)
    for n in range(100 if MICROPYTHON else 900):
        torn(bus, n) if n % 2 else show(bus, n, bus.clock.unix() + 5000)
    bus.flash.reads = bus.flash.read_bytes = 0
    bus.boot()
    records = 0
    for _ in bus.journal.read(bus.journal.next_seq - WINDOW):
        records += 1
    ms = (100 * bus.flash.reads + 0.05 * bus.flash.read_bytes) / 1000 + 0.5 * records
    assert records == WINDOW and ms < 50, ms


def test_what_was_promised_its_place_has_one_when_flash_fails_there():
    bus = Bus(sector=512, journal=16)
    table = bus.riders.table
    k = key(0, PAYMENT)
    b = table.bucket(PAYMENT, k)
    real = table.program
    worn = [12 * 32, 13 * 32]

    def program(addr, data):
        if len(data) == 32 and addr // 512 == table.sectors[b] and addr % 512 in worn:
            worn.remove(addr % 512)
            return False
        return real(addr, data)

    table.program = program
    n = 0
    while bus.riders.has_room(PAYMENT, k):
        n += 1
        if table.bucket(PAYMENT, key(n, PAYMENT)) == b:
            assert bus.riders.ready(1)
            bus.riders.waits(PAYMENT, key(n, PAYMENT), 1000, bus.record())
    for _ in range(40):
        bus.record()
        assert bus.riders.ready(4), "one medium has no room, and the others ride"
        while bus.riders.carry():
            pass
    assert not worn and not bus.riders.info()["pending"]


class Without:
    """A configuration without any medium."""

    purse = cards = codes = None


def test_a_configuration_without_a_medium_lets_nothing_be_forgotten_that_has_an_end():
    from fakes import run
    from validator.media import riders_restore
    from validator.media.purse_torn import Debit

    bus = Bus()
    fields = {"medium": "tunion", "outcome": "retry", "reason": "card_lost", "token": key(1)}
    debit = Debit(6, 7, 1000, 200)
    fields["evidence"] = debit.pack()
    seq = bus.record(**fields)
    cash = {"medium": "quickpass", "outcome": "retry", "reason": "card_lost", "token": key(2)}
    cash["detail"] = {"cash": [7, 1000, 200, 1]}
    assert bus.record(**cash) == seq + 1
    until = bus.clock.unix() + 3600
    bus.record("accepted", code=key(3, CODES) + until.to_bytes(4, "little"))
    bus.reboot()
    run(riders_restore.restore(bus.riders, bus.journal, Without, bus.clock.sleep_ms))
    others(bus, 40)
    bus.reboot()
    assert bus.riders.torn(PURSE, key(1))[0] == seq
    assert bus.riders.torn(QUICKPASS, key(2))[0] == seq + 1
    assert bus.riders.code_seen(key(3, CODES), until)
