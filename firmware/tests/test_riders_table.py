"""The table of riders: what stands in its sectors, and what does not pass for it."""

from fakes import raises
from flash_sim import FlashSim
from riders_bench import CHECK, key, open_table, table_flash
from validator.store import riders_format as fmt
from validator.store.riders import CODES, PAYMENT, PURSE, QUICKPASS, ROOMS, RidersError
from validator.store.riders_compact import DROP, DROP_UNTIL, KEEP

SLOT = fmt.SLOT


def entry(k, kind=1, seq=1, until=100, data=b"", extra=0):
    slot = bytearray(SLOT)
    fmt.pack(slot, 0, k, kind, extra, seq, until, data)
    return slot


def mounted(flash, check=CHECK):
    table = open_table(flash, check)
    table.mount()
    return table


def put(table, room, n, latest=1, **more):
    k = key(n, room)
    return table.append(room, k, entry(k, **more), latest)


def seq(table, room, n, kind=1):
    """The record that what is found comes from, or None."""
    table.find(room, key(n, room))
    at = kind * SLOT
    return fmt.seq_of(table.found, at) if table.found[at + 8] else None


def test_an_entry_is_32_bytes():
    slot = entry(b"12345678", 0x14, 7, 0x6FFFFFFF, b"abc", 0x5A)
    assert len(slot) == 32 and bytes(slot[:8]) == b"12345678" and slot[8] == 0x94
    assert slot[9] == 0x5A and fmt.seq_of(slot, 0) == 7 and fmt.until_of(slot, 0) == 0x6FFFFFFF
    assert bytes(slot[18:30]) == b"abc" + bytes(9)
    assert fmt.kind_of(slot, 0) == 0x94
    slot[8] &= 0x7F
    assert fmt.kind_of(slot, 0) == 0x14, "void, and still known"
    for bit in range(8 * SLOT):
        slot[bit >> 3] ^= 1 << (bit & 7)
        assert fmt.kind_of(slot, 0) == (0x94 if bit == 71 else 0)
        slot[bit >> 3] ^= 1 << (bit & 7)
    assert fmt.until_of(entry(b"12345678", until=1 << 40), 0) == 0xFFFFFFFF


def test_a_header_with_one_wrong_bit_is_mended_and_nothing_else_is_one():
    buf = bytearray(SLOT)
    fmt.pack_header(buf, 2, 3, 4, 5, 6, 7, b"chek")
    right = (1, 2, 3, 4, 5, 6, 7, b"chek")
    assert fmt.unpack_header(buf) == right
    for bit in range(8 * SLOT):
        wrong = bytearray(buf)
        wrong[bit >> 3] ^= 1 << (bit & 7)
        assert fmt.unpack_header(wrong) == right, bit
    for content in (b"\xff" * SLOT, bytes(SLOT), fmt.MAGIC + b"\xff" * 28, b"FTJL" + bytes(28)):
        assert fmt.unpack_header(content) is None
    for n in range(4, 28):
        assert fmt.unpack_header(bytes(buf[:n]) + b"\xff" * (SLOT - n)) is None, n


def test_what_was_appended_is_found_also_after_a_mount():
    flash = table_flash()
    table = mounted(flash)
    for room in range(4):
        for n in range(40):
            assert put(table, room, n, seq=n + 1)
    for each in (table, mounted(flash)):
        for room in range(4):
            for n in range(40):
                assert seq(each, room, n) == n + 1
            assert seq(each, room, 40) is None


def test_a_later_entry_takes_an_earlier_ones_place_and_kinds_stand_side_by_side():
    table = mounted(table_flash())
    put(table, PURSE, 1, kind=1, seq=5)
    put(table, PURSE, 1, kind=4, seq=6)
    put(table, PURSE, 1, kind=1, seq=7)
    assert seq(table, PURSE, 1, 1) == 7 and seq(table, PURSE, 1, 4) == 6
    assert seq(table, PURSE, 1, 2) is None


def test_void_is_one_bit_and_lasts():
    flash = table_flash()
    table = mounted(flash)
    put(table, PURSE, 1, kind=4, seq=5)
    put(table, PURSE, 1, kind=4, seq=9)
    put(table, PURSE, 1, kind=1, seq=9)
    assert table.void(PURSE, key(1), 4, 8) == 1, "only what is settled by then"
    assert seq(table, PURSE, 1, 4) == 9
    before = bytes(flash.data)
    assert table.void(PURSE, key(1), 4, 9) == 1 and table.void(PURSE, key(1), 4, 9) == 0
    differ = [i for i in range(len(before)) if before[i] != flash.data[i]]
    assert len(differ) == 1 and before[differ[0]] ^ flash.data[differ[0]] == 0x80
    for each in (table, mounted(flash)):
        assert seq(each, PURSE, 1, 4) is None and seq(each, PURSE, 1, 1) == 9


def test_a_room_takes_nothing_from_another_and_says_when_a_bucket_is_full():
    table = mounted(table_flash(512))
    free = [sum(table.free(b) for b in range(15) if table.room_of(b) == r) for r in range(4)]
    assert free == [3 * 15, 5 * 15, 4 * 15, 3 * 15]
    n = 0
    while table.free(table.bucket(PAYMENT, key(n, PAYMENT))):
        assert put(table, PAYMENT, n, seq=n + 1)
        n += 1
    assert not put(table, PAYMENT, n)
    for room in (PURSE, QUICKPASS, CODES):
        assert sum(table.free(b) for b in range(15) if table.room_of(b) == room) == free[room]
    assert [seq(table, PAYMENT, k) for k in range(n)] == [k + 1 for k in range(n)]


class Sized:
    """A blank partition, of which only the size is asked for."""

    sector = 4096

    def __init__(self, sectors):
        self.size = sectors * 4096

    def read(self, addr, buf):
        for k in range(len(buf)):
            buf[k] = 0xFF


def test_the_table_scales_with_its_partition():
    for sectors, room, entries in ((32, 30, 3810), (64, 60, 7620), (128, 120, 15240)):
        table = mounted(Sized(sectors))
        info = table.info()
        assert sum(table.buckets) == room and sum(info[n]["room"] for n in ROOMS) == entries
        used = [table.bucket(r, key(n, r)) for r in range(4) for n in range(400)]
        assert len(set(used)) == room, "every bucket gets its share"
    for sectors in (1, 16):
        raises(RidersError, open_table, Sized(sectors))
    raises(RidersError, open_table, FlashSim(17, 1536))


def test_written_anew_a_bucket_has_the_latest_of_each_that_is_not_over():
    flash = table_flash(1024)
    table = mounted(flash)
    n = 0
    while put(table, CODES, n % 40, seq=n + 1, until=1000 + n):
        n += 1
    b = table.bucket(CODES, key(n % 40, CODES))
    latest = {}
    for k in range(n):
        latest[k % 40] = k
    mine = [k for k in latest if table.bucket(CODES, key(k, CODES)) == b]
    limit = sorted(latest[k] for k in mine)[len(mine) // 2]

    def keep(kind, slot, strange):
        assert kind == 0x81 and not strange
        return KEEP if fmt.until_of(slot, 0) >= 1000 + limit else DROP_UNTIL

    total = table.used(b) - 1
    kept = [k for k in mine if latest[k] >= limit]
    assert table.over(b, keep) == total - len(kept)
    assert table.compact(b, keep, 5, urgent=True) == total - len(kept)
    for each in (table, mounted(flash)):
        assert each.used(b) == len(kept) + 1
        for k in latest:
            expected = latest[k] + 1 if k in kept or k not in mine else None
            assert seq(each, CODES, k) == expected
        gone = max(1000 + latest[k] for k in mine if k not in kept)
        assert each.find(CODES, key(kept[0], CODES)) == gone, "it says what it has dropped"
    assert table.compact(b, lambda *_: DROP, 5, urgent=True) == len(kept)
    assert mounted(flash).find(CODES, key(kept[0], CODES)) == gone, "and does not forget that"


def test_without_a_spare_only_who_is_in_a_hurry_erases():
    flash = table_flash(512)
    table = mounted(flash)
    put(table, PURSE, 1)
    b = table.bucket(PURSE, key(1))
    erased = sum(flash.erases)
    table.clean = []
    assert table.compact(b, lambda *_: KEEP, 1) == -1 and sum(flash.erases) == erased
    assert table.compact(b, lambda *_: KEEP, 1, urgent=True) == 0
    assert seq(table, PURSE, 1) == 1
    while table.tidy():
        pass
    assert len(table.clean) == 2


def test_mount_writes_nothing_and_knows_the_latest_time():
    flash = table_flash()
    table = mounted(flash)
    put(table, PURSE, 1, latest=700)
    put(table, CODES, 1, latest=900)
    put(table, CODES, 1, latest=4000)  # no header is written for that
    flash.log = []
    assert open_table(flash).mount() == 900 and not flash.log
    assert open_table(table_flash()).mount() == 0


def test_a_later_format_or_another_map_is_not_touched():
    flash = table_flash()
    buf = bytearray(SLOT)
    fmt.pack_header(buf, 0, 0, 4, 1, 0, 0, CHECK)
    flash.program(0, buf)
    raises(RidersError, open_table(flash).mount)
    flash = table_flash()
    fmt.pack_header(buf, 0, 0, 3, 1, 0, 0, CHECK)
    buf[4] = 2
    from binascii import crc32

    buf[28:] = crc32(buf[:28]).to_bytes(4, "little")
    flash.program(0, buf)
    raises(RidersError, open_table(flash).mount)
    assert len(flash.log) == 1


def test_what_stood_in_the_partition_before_is_erased_when_its_place_is_needed():
    flash = table_flash(512)
    for at in range(0, flash.size, 64):
        flash.program(at, b"FTJL" + bytes(range(60)))
    table = mounted(flash)
    assert [put(table, PURSE, n, seq=n + 1) for n in range(12)] == [True] * 12
    assert [seq(mounted(flash), PURSE, n) for n in range(12)] == list(range(1, 13))


def test_worn_sectors_are_passed_over():
    flash = table_flash(512)
    flash.refused = {0, 3}
    flash.program(0, b"old")
    flash.program(3 * 512, b"old")
    flash.refused_programs = {1}
    table = mounted(flash)
    for n in range(30):
        assert put(table, CODES, n, seq=n + 1)
    assert [seq(mounted(flash), CODES, n) for n in range(30)] == list(range(1, 31))
    # A place that does not keep what is written is left for the next one.
    table = mounted(flash)
    i = table.sectors[table.bucket(CODES, key(1, CODES))]
    at = i * 512 + table.used(table.bucket(CODES, key(1, CODES))) * SLOT
    flash.dead_bits = {at + 3: 0xFF}
    k = key(1, CODES)
    assert table.append(CODES, k, entry(k, seq=99), 1) and seq(table, CODES, 1) == 99
    assert seq(mounted(flash), CODES, 1) == 99 and table.faults == 1


def test_one_rotten_bit_costs_one_entry_at_most():
    flash = table_flash(512)
    table = mounted(flash)
    for n in range(12):
        put(table, PURSE, n, seq=n + 1)
    clean = bytes(flash.data)
    for i in [table.sectors[b] for b in range(3)]:
        for bit in range(0, 8 * 512, 7):
            flash.load(clean)
            flash.flip(i * 512 + bit // 8, 1 << bit % 8)
            rotten = mounted(flash)
            wrong = [n for n in range(12) if seq(rotten, PURSE, n) != n + 1]
            assert len(wrong) <= 1, (i, bit, wrong)
            assert not wrong or seq(rotten, PURSE, wrong[0]) is None


def test_tokens_of_another_key_are_told_apart():
    flash = table_flash(512)
    table = mounted(flash)
    for n in range(6):
        put(table, PURSE, n, seq=n + 1, kind=4)
    table = mounted(flash, b"key2")
    b = table.bucket(PURSE, key(1))
    assert table.is_strange(b) and not put(table, PURSE, 1, seq=50), "not among strangers"
    there = table.used(b) - 1
    seen = []

    def keep(kind, slot, strange):
        seen.append(strange)
        return DROP

    assert table.compact(b, keep, 1, urgent=True) == there and seen == [True] * there
    assert not table.is_strange(b) and put(table, PURSE, 1, seq=50)
    table = mounted(flash, b"key2")
    assert seq(table, PURSE, 1) == 50 and not table.is_strange(b)


def test_a_look_up_reads_what_is_used_and_no_more():
    flash = table_flash()
    table = mounted(flash)
    k = key(3, QUICKPASS)
    for n in range(100):
        assert table.append(QUICKPASS, k, entry(k, seq=n), 1)
    table.find(QUICKPASS, k)
    flash.reads = flash.read_bytes = 0
    table.find(QUICKPASS, k)
    assert flash.reads == 4 and flash.read_bytes == 101 * SLOT
    table = mounted(flash)
    flash.reads = flash.read_bytes = 0
    table.find(QUICKPASS, k)
    assert flash.reads == 8, "how much it is has to be found out, once; idle time does that"
