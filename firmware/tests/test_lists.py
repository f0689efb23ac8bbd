"""Deny lists on the validator: lookup, loading, changes, refusals."""

import list_corpus as corpus
from fakes import raises, run
from list_corpus import CHANGES_2, CHANGES_3, LIST_1, LIST_2, LIST_3, rider, twin
from list_script import RIDERS, check_version, flash, listed, load, mounted, no_pause
from validator.store import list_format as fmt
from validator.store import list_merge
from validator.store.list_format import ListError
from validator.store.list_load import Load, intact
from validator.store.lists import COMMIT_AT, Lists


def with_lists(*files):
    nor = flash()
    lists = mounted(nor)
    for data in files:
        load(lists, data)
    return nor, lists


def reason(lists, data, **how):
    before = bytes(lists.flash.data)
    error = raises(ListError, load, lists, data, **how)
    return error.reason, bytes(lists.flash.data) == before


# -- lookup ------------------------------------------------------------------------------------


def test_nothing_loaded():
    lists = mounted(flash())
    assert lists.info()["version"] == 0
    assert not lists.contains(rider(1))


def test_riders_of_a_list():
    nor, lists = with_lists(LIST_1)
    for each in (lists, mounted(nor)):
        assert listed(each) == RIDERS[1]
        info = each.info()
        assert (info["version"], info["entries"], info["bank"]) == (1, 300, 0)
        assert info["issued"] == corpus.ISSUED


def test_a_twin_is_taken_for_the_rider_until_it_is_exempt():
    _, lists = with_lists(LIST_1)
    assert lists.contains(twin(rider(30))) and lists.contains(twin(rider(32)))
    load(lists, LIST_2)
    assert not lists.contains(twin(rider(30))) and not lists.contains(twin(rider(31)))
    assert lists.contains(rider(30)) and lists.contains(twin(rider(32)))


def test_exempt_tokens_in_several_reads():
    """More of them than a block's buffer holds."""
    nor, lists = with_lists(LIST_2)
    header = lists.active
    at = lists.base(0) + lists.body_at + header.size
    spared = [twin(rider(n)) for n in range(40, 140)]
    nor.data[at : at + 800] = b"".join(spared)
    header.exempt += 100
    header.size += 800
    for n in (30, 31, 40, 41, 90, 139):
        assert not lists.contains(twin(rider(n)))
        assert lists.contains(rider(n))
    for n in (32, 140):
        assert lists.contains(twin(rider(n)))


def test_a_lookup_reads_twice():
    nor, lists = with_lists(LIST_1)
    for n in range(340):
        nor.reads = 0
        lists.contains(rider(n))
        assert nor.reads == 2


def test_a_block_at_the_end_of_the_partition():
    """What is read at once never goes beyond the flash."""
    nor, lists = with_lists(LIST_1)
    load(lists, LIST_2)
    assert lists.bank == 1
    end = lists.base(1) + lists.body_at + lists.active.size
    nor.size = end  # as if the partition ended with the list
    assert listed(lists) == RIDERS[2]


def test_lookup_in_damage_ends():
    nor, lists = with_lists(LIST_1)
    at = lists.body_at
    for noise in (0x00, 0xFF, 0x55, 0x80):
        for k in range(lists.active.size):
            nor.data[at + k] = noise
        listed(lists)


def test_blocks_there_and_back():
    for cell in (2, 3):
        for values in ([], [0], [1], [65535], [65536], [0xFFFFFF], [0, 1, 2], [7, 70007, 9000000]):
            block = list_merge.pack(values, cell)
            assert list_merge.unpack(block, cell) == values
            for value in (0, 1, 2, 7, 8, 65535, 65536, 70007, 9000000, 0xFFFFFF):
                assert fmt.holds(block, 0, len(block), cell, value) == (value in values)


# -- loading -----------------------------------------------------------------------------------


def test_pieces_of_any_size():
    for piece in (1, 7, 191, 192, 193, 512, 5000):
        lists = mounted(flash())
        load(lists, LIST_1, piece)
        load(lists, CHANGES_2, piece)
        assert check_version(lists, (2,)) == 2


def test_changes_make_the_list_that_was_signed():
    full, _ = with_lists(LIST_1, LIST_2)
    changed, lists = with_lists(LIST_1, CHANGES_2)
    size = lists.active.size
    for nor in (full, changed):
        at = nor.size // 2
        assert nor.data[at : at + 192] == LIST_2[:192]
        at += lists.body_at
        assert nor.data[at : at + size] == LIST_2[192:]
    load(lists, CHANGES_3)
    assert check_version(mounted(changed), (3,)) == 3
    assert lists.info()["bank"] == 0


def test_the_list_in_force_serves_while_another_comes():
    _, lists = with_lists(LIST_1)
    seen = []

    async def pause():
        seen.append(check_version(lists, (1,)))

    for data in (CHANGES_2, LIST_3):
        seen = []
        if data is LIST_3:
            _, lists = with_lists(LIST_1)
        load(lists, data, 64, pause)
        assert len(seen) >= 3


def test_one_erase_between_two_turns():
    nor, lists = with_lists(LIST_1)
    for data in (LIST_2, CHANGES_3):
        counts = []

        async def pause():
            counts.append(len([1 for op in nor.log if op[0] == "erase"]))

        load(lists, data, 64, pause)
        counts.append(len([1 for op in nor.log if op[0] == "erase"]))
        steps = [b - a for a, b in zip(counts, counts[1:])]
        assert max(steps) == 1 and sum(steps) >= 2


def test_the_same_again_is_done_already():
    nor, lists = with_lists(LIST_1)
    before = len(nor.log)
    for data, version in ((LIST_1, 1), (CHANGES_2, 2)):
        if version == 2:
            load(lists, CHANGES_2)
            before = len(nor.log)
        info, begun = load(lists, data)
        assert begun == len(data) and info["version"] == version
        assert len(nor.log) == before


def test_a_full_list_is_taken_up_where_it_stopped():
    nor, lists = with_lists(LIST_1)
    first = Load(lists, len(LIST_3), corpus.sha256(LIST_3).digest(), no_pause)
    assert first.begin() == 0
    run(first.write(0, LIST_3[:900]))
    lists = mounted(nor)
    check_version(lists, (1,))
    info, begun = load(lists, LIST_3)
    # The last sector that was whole: the second ends at 1024, of which 240 are the bank's own.
    assert begun == 192 + 512 - lists.body_at
    assert check_version(lists, (3,)) == 3
    # Another file begins anew.
    lists = mounted(nor)
    first = Load(lists, len(LIST_1), bytes(32), no_pause)
    assert first.begin() == 0


def test_loading_takes_turns_of_the_banks():
    nor, lists = with_lists(LIST_1, LIST_2, LIST_3)
    assert [nor.erases[i] > 0 for i in (0, 4)] == [True, True]
    assert nor.erases[0] == 2 and nor.erases[4] == 1
    assert check_version(mounted(nor), (3,)) == 3


# -- refusals ----------------------------------------------------------------------------------


def test_what_is_refused_changes_nothing():
    _, lists = with_lists(LIST_2)
    header = LIST_3[:192]
    signed_by_others = header[:130] + bytes((header[130] ^ 1,)) + header[131:]
    for data, want in (
        (LIST_1, "old"),
        (LIST_2 + b"", None),
        (signed_by_others + LIST_3[192:], "foreign"),
        (header[:128] + bytes(64) + LIST_3[192:], "unsigned"),
        (header[:8] + b"\x09" + header[9:] + LIST_3[192:], "foreign"),
        (b"FTLX" + LIST_3[4:], "damaged"),
        (LIST_3[:4] + b"\x02" + LIST_3[5:], "invalid"),
        (LIST_3[:5] + b"\x04" + LIST_3[6:], "damaged"),
        (LIST_3 + b"more", "damaged"),
        (CHANGES_2, "old"),
    ):
        if want:
            assert reason(lists, data) == (want, True), want
    check_version(lists, (2,))


def test_no_operator_no_list():
    nor = flash()
    assert reason(mounted(nor, operator=None), LIST_1) == ("foreign", True)
    other = corpus.OPERATOR[:32] + bytes(32)
    assert reason(mounted(nor, operator=other), LIST_1) == ("foreign", True)


def test_a_list_of_another_token_key():
    nor = flash()
    assert reason(mounted(nor, key_check=b"\x01\x02\x03\x04"), LIST_1) == ("foreign", True)
    load(mounted(nor, key_check=corpus.KEY_CHECK), LIST_1)


def test_changes_to_another_list():
    _, lists = with_lists(LIST_1)
    assert reason(lists, CHANGES_3) == ("base", True)
    assert reason(mounted(flash()), CHANGES_2) == ("base", True)
    damaged = CHANGES_2[:16] + b"\0" + CHANGES_2[17:]  # the hash of the base
    assert reason(lists, damaged) == ("base", True)
    check_version(lists, (1,))


def test_a_list_that_is_too_large():
    from flash_sim import FlashSim

    assert reason(mounted(FlashSim(4, 512)), LIST_1) == ("too_large", True)


def test_a_body_that_is_not_what_was_signed():
    _, lists = with_lists(LIST_1)
    for data in (LIST_2, CHANGES_2):
        for at in (195, 300, len(data) - 1):
            if data is CHANGES_2 and at == 195:
                continue  # its header
            wrong = bytearray(data)
            wrong[at] ^= 1
            error = raises(ListError, load, lists, bytes(wrong))
            assert error.reason == "damaged", (at, error)
            check_version(lists, (1,))
    load(lists, LIST_2)
    check_version(lists, (2,))


def test_a_list_that_is_not_complete():
    _, lists = with_lists(LIST_1)
    for data in (LIST_2, CHANGES_2):
        loading = Load(lists, len(data), corpus.sha256(data).digest(), no_pause)
        loading.begin()
        assert raises(ListError, run, loading.finish()).reason == "damaged"
        run(loading.write(0, data[:-1]))
        assert raises(ListError, run, loading.finish()).reason == "damaged"
        check_version(lists, (1,))


def test_changes_out_of_order():
    _, lists = with_lists(LIST_1)
    swapped = CHANGES_2[:216] + CHANGES_2[-21:-16] + CHANGES_2[221:]
    assert raises(ListError, load, lists, swapped).reason == "damaged"
    check_version(lists, (1,))


# -- rot ---------------------------------------------------------------------------------------


def test_rot_in_a_header_gives_the_older_list_back():
    nor, lists = with_lists(LIST_1, LIST_2)
    for at in range(0, COMMIT_AT + 8, 5):
        sound = bytes(nor.data)
        nor.flip(lists.base(1) + at)
        again = mounted(nor)
        assert check_version(again, (1,)) == 1
        assert again.faults == 1
        nor.load(sound)


def test_a_list_whose_commit_has_rotted_can_be_sent_again():
    nor, lists = with_lists(LIST_1, LIST_2)
    for at in range(COMMIT_AT, COMMIT_AT + 8):
        sound = bytes(nor.data)
        nor.data[lists.base(1) + at] = 0
        again = mounted(nor)
        check_version(again, (1,))
        load(again, LIST_2)
        check_version(mounted(nor), (2,))
        nor.load(sound)


def test_rot_in_the_body_is_found():
    nor, lists = with_lists(LIST_1, LIST_2)
    assert run(intact(lists, 1, lists.active, no_pause))
    for at in range(0, lists.active.size, 97):
        nor.flip(lists.base(1) + lists.body_at + at)
        assert not run(intact(lists, 1, lists.active, no_pause))
        listed(lists)  # ends
        nor.flip(lists.base(1) + lists.body_at + at)


def test_flash_that_does_not_keep_the_list():
    nor, lists = with_lists(LIST_1)
    nor.dead_bits[lists.base(1) + lists.body_at + 100] = 0xFF
    assert raises(ListError, load, lists, LIST_2).reason == "damaged"
    check_version(mounted(nor), (1,))
    nor, lists = with_lists(LIST_1)
    nor.dead_bits[lists.base(1) + COMMIT_AT] = 0xFF
    assert raises(ListError, load, lists, LIST_2).reason == "damaged"
    check_version(mounted(nor), (1,))


def test_a_mount_that_fails_leaves_the_list_in_force():
    """Flash that cannot be read, or no memory: nobody is let through for that."""
    for fault in (OSError(5), MemoryError()):
        nor, lists = with_lists(LIST_1)
        load(lists, LIST_2)
        real = nor.read
        for k in range(2):
            reads = []

            def read(addr, buf, reads=reads, k=k, fault=fault, real=real):
                reads.append(addr)
                if len(reads) > k:
                    raise fault
                real(addr, buf)

            nor.read = read
            raises(type(fault), lists.mount)
            nor.read = real
            assert len(reads) == k + 1
            assert lists.info()["version"] == 2 and listed(lists) == RIDERS[2]


def test_any_flash_is_mounted():
    from flash_sim import FlashSim

    nor = FlashSim(8, 512)
    for k in range(nor.size):
        nor.data[k] = k * 7 & 0xFF
    lists = Lists(nor)
    lists.mount()
    assert lists.active is None and lists.faults == 2
