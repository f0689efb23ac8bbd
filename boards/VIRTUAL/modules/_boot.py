"""From the start of the interpreter to main.py, as the ESP32 port does it.

Runs once, with the host's file system still mounted, so that the modules which make the
interpreter an ESP32 can be loaded; then that file system goes.
"""

import gc
import sys

import vboard

_CORRUPTED = """\
The filesystem appears to be corrupted. If you had important data there, you
may want to make a flash snapshot to try to recover it. Otherwise, perform
factory reprogramming of MicroPython firmware (completely erase flash, followed
by firmware programming).
"""
_BOOT_PY = """\
# This file is executed on every boot (including wake-boot from deepsleep)
#import esp
#esp.osdebug(None)
#import webrepl
#webrepl.start()
"""


class _Module:
    """Stands for a built-in module, with some names changed."""

    def __init__(self, original, without=(), **changed):
        for name in dir(original):
            if name not in without:
                setattr(self, name, getattr(original, name))
        for name in changed:
            setattr(self, name, changed[name])


def _make_room_for_names():
    """MicroPython's table of names doubles when it is full: up to 56 KB in one piece, which a heap
    in use does not have. On a chip the application's names are in flash; here a table that holds
    all that come (py/qstr.h: qstr_pool_t) is there beforehand."""
    import uctypes

    hasattr(sys, "a name that no table has")  # so that the last table is on the heap
    at = _last_table()
    if not at:
        return  # this MicroPython keeps them in another way: its table doubles
    room = bytearray(48 + _NAMES * 11)
    table = uctypes.addressof(room)
    last = _word(at)
    names = _word(last + 8) & (1 << 63) - 1
    words = (
        last,
        names + _word(last + 24),  # names in the tables before; not sorted
        _NAMES,
        0,
        table + 48 + 8 * _NAMES,  # hashes
        table + 48 + 10 * _NAMES,  # lengths
    )
    for i in range(6):
        room[8 * i : 8 * i + 8] = words[i].to_bytes(8, "little")
    uctypes.bytearray_at(at, 8)[:] = table.to_bytes(8, "little")


def _last_table():
    """Where MicroPython's pointer to its newest table is, a little before sys.modules."""
    here = id([])
    size = gc.mem_alloc() + gc.mem_free()
    for at in range(id(sys.modules) - 512, id(sys.modules), 8):
        table = _word(at)
        if table % 32 or not here - size < table < here + size:
            continue
        hashes = table + 48 + 8 * _word(table + 16)
        if _word(table + 32) == hashes and _word(table + 40) == hashes + 2 * _word(table + 16):
            return at


def _word(at):
    import uctypes

    return int.from_bytes(uctypes.bytearray_at(at, 8), "little")


_NAMES = 5000


def run(settings):
    import os

    import micropython
    import utime
    import vfs

    import __main__

    _make_room_for_names()
    vboard.open_pipes(settings)
    import time

    # 0 on a cold start; else the clock ran on, from what was set and when.
    time.start(int(utime.time()) - settings["clock"])
    import _repl
    import _scripts
    import esp32
    import machine

    esp32.open_flash()
    version = settings["version"]
    release = version[1:].split("-")[0]
    machine_name = "VIRTUAL with ESP32"
    from collections import namedtuple

    implementation = namedtuple(
        "implementation", ("name", "version", "_machine", "_mpy", "_build")
    )
    uname = namedtuple("uname", ("sysname", "nodename", "release", "version", "machine"))
    for name, module in (
        ("micropython", _Module(micropython, kbd_intr=_kbd_intr)),
        ("time", time),
        ("utime", time),
        ("machine", machine),
        ("esp32", esp32),
        (
            "os",
            _Module(
                os,
                without=("system", "getenv", "putenv", "unsetenv"),
                uname=lambda: uname("esp32", "esp32", release, version, machine_name),
            ),
        ),
        (
            "sys",
            _Module(
                sys,
                platform="esp32",
                implementation=implementation(
                    "micropython",
                    sys.implementation[1],
                    machine_name,
                    sys.implementation._mpy,
                    "VIRTUAL",
                ),
            ),
        ),
    ):
        sys.modules[name] = module
    sys.path[:] = ["", ".frozen", "/lib"]
    vfs.umount("/")

    scope = __main__.__dict__
    for name in ("_boot",):
        scope.pop(name, None)
    _mount(vfs, esp32)
    gc.collect()
    if _scripts.run_if_exists("boot.py", scope):
        _scripts.run_if_exists("main.py", scope)
    _repl.run(scope)


def _kbd_intr(code):
    vboard.tell("kbd %d" % code)


def _mount(vfs, esp32):
    found = esp32.Partition.find(esp32.Partition.TYPE_DATA, label="vfs")
    if not found:
        return
    device = found[0]
    try:
        vfs.mount(device, "/")
        return
    except OSError:
        pass
    head = bytearray(4096)
    device.readblocks(0, head)
    if head != b"\xff" * 4096:
        vboard.tell("mode corrupted")
        import utime

        while True:
            print(_CORRUPTED.replace("\n", "\r\n"))
            utime.sleep(3)
    print("Performing initial setup")
    vfs.VfsLfs2.mkfs(device)
    vfs.mount(vfs.VfsLfs2(device), "/")
    with open("boot.py", "w") as f:
        f.write(_BOOT_PY)
