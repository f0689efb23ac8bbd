"""Deny lists when power is cut at every flash operation of a load, and again after it.

After each cut exactly one list is in force, whole: the old or the new one, and never the old one
again once the new one was. The load that was cut can be repeated and succeeds.
"""

import sys

from flash_sim import HOW, PowerCut
from list_corpus import CHANGES_2, CHANGES_3, LIST_1, LIST_2, LIST_3
from list_script import check_version, flash, load, mounted

MICROPYTHON = sys.implementation.name == "micropython"
STORIES = {
    "full, full": (LIST_1, LIST_2),
    "full, changes": (LIST_1, CHANGES_2),
    "full, changes, changes": (LIST_1, CHANGES_2, CHANGES_3),
    "full, full, full": (LIST_1, LIST_2, LIST_3),
    "a bank that another list was begun in": (LIST_1, LIST_3[:700], LIST_2),
}


def prepared(files):
    """Flash before the last of `files` comes, and what is in force."""
    nor = flash()
    lists = mounted(nor)
    for data in files[:-1]:
        if len(data) == 700:
            begin_only(lists, data)
        else:
            load(lists, data)
    return nor, lists.info()["version"]


def begin_only(lists, data):
    from fakes import run
    from list_script import no_pause
    from validator.store.list_load import Load

    loading = Load(lists, len(LIST_3), bytes(32), no_pause)
    loading.begin()
    run(loading.write(0, data))


def cut_off(nor, data):
    """Whether the load came to its end."""
    try:
        load(mounted(nor), data)
    except PowerCut:
        return False
    return True


def each_cut(how):
    cuts = 0
    for name in STORIES:
        files = STORIES[name]
        sound, old = prepared(files)
        sound = bytes(sound.data)
        n = 0
        while True:
            nor = flash()
            nor.load(sound)
            nor.cut_at(n, how)
            ended = cut_off(nor, files[-1])
            nor.power_on()
            try:
                again(nor, files[-1], old)
            except Exception:
                print("cut at operation", n, how, "of", name)
                raise
            if ended:
                break
            n += 1
        assert n > 6, name
        cuts += n
    return cuts


def again(nor, data, old):
    lists = mounted(nor)
    new = old + 1 if data is not LIST_3 else 3
    version = check_version(lists, (old, new))
    if lists.active:
        # If that one rotted now, nothing would come in its place that is not whole.
        flash_now = bytes(nor.data)
        nor.flip(lists.base(lists.bank))
        check_version(mounted(nor), range(version))
        nor.load(flash_now)
    info, _ = load(lists, data)
    assert info["version"] == new
    assert check_version(mounted(nor), (new,)) >= version


def test_cut_before_any_operation():
    assert each_cut(HOW[0]) > 60


def test_cut_in_the_first_half_of_any_operation():
    assert each_cut(HOW[1]) > 60


def test_cut_with_some_bits_of_any_operation():
    assert each_cut(HOW[2]) > 60


def test_cut_after_any_operation():
    assert each_cut(HOW[3]) > 60


def test_erase_cut_in_its_second_half():
    assert each_cut("tail") > 60


def test_cut_and_cut_again():
    """Each operation, and each of the repeated load."""
    pairs = 0
    for name in ("full, full", "full, changes"):
        files = STORIES[name]
        sound, old = prepared(files)
        sound = bytes(sound.data)
        n = 0
        ended = False
        while not ended:
            nor = flash()
            nor.load(sound)
            nor.cut_at(n, HOW[n % 4])
            ended = cut_off(nor, files[-1])
            left = bytes(nor.data)
            m = 0
            while not ended:
                nor = flash()
                nor.load(left)
                nor.cut_at(m, HOW[(n + m) % 4])
                done = cut_off(nor, files[-1])
                nor.power_on()
                if not MICROPYTHON or (n + m) % 5 == 0:
                    try:
                        again(nor, files[-1], old)
                    except Exception:
                        print("cut at operations", n, m, "of", name)
                        raise
                pairs += 1
                if done:
                    break
                m += 1 if not MICROPYTHON else 3
            n += 1 if not MICROPYTHON else 3
    assert pairs > (20 if MICROPYTHON else 150)
