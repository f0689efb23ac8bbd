"""Brings the packed part of the slot into use, before the application is imported.

    in_place = inplace_setup.start(boot)
    inplace_setup.forget("validator.inplace_setup")

mounts it at /rom, from where the modules of `validator` come from then on; maps it into the
address space; puts the names there, and has every imported module's functions run from there. What
does not work is left out: modules are then imported to the heap. Without a packed part nothing
happens. See docs/memory.md.
"""

import builtins
import gc
import hashlib
import json
import sys

_ROM = "/rom"
_PAGE_BITS = 16
_PAGES = 64
_DATA = 0x3F400000  # where page 0 of the table appears
_TABLES = (0x3FF10000, 0x3FF12000)  # DPORT_PRO_FLASH_MMU_TABLE, DPORT_APP_FLASH_MMU_TABLE
_UNUSED = 0x100
_KEPT_FREE = 2  # pages at the end: the last one is the boot loader's
_HEAP = (0x3FFAE000, 0x40000000)  # all of the data memory
_CHUNK = 4096


def start(boot):
    """`boot` is the loader's dict. Returns `inplace.Code`, or None; raises OSError if the packed
    part is damaged: the loader then goes back to the other slot."""
    try:
        with open(boot.get("root", "/app") + "/packed.json") as f:
            packed = json.load(f)
    except OSError:
        return None
    import esp32
    import vfs
    from machine import mem32

    from validator.inplace_files import Files

    slot = esp32.Partition.find(esp32.Partition.TYPE_DATA, label="app_" + boot["slot"])[0]
    files = Files(slot.readblocks, packed["at"], packed["files"])
    base = 0
    area = None
    at = packed["at"]
    if packed["map"]:
        base = _map(mem32, slot.info()[2] + at, slot.info()[3] - at)
    if base:
        import uctypes

        # Reading the flash chip turns the caches off and on, after which they know of the pages.
        files.read(0, bytearray(4))
        area = uctypes.bytearray_at(base, packed["size"])
        if not _is_whole(packed, area):
            area = None
    if area is None:
        _check(packed, files)
    vfs.mount(files, _ROM, readonly=True)  # type: ignore
    sys.modules["validator"].__path__ = _ROM + "/validator"  # type: ignore
    if area is None:
        return None
    return _use(packed, files, mem32, 4, area, base, _HEAP, slot)


def _use(packed, files, words, word, area, base, heap, slot):
    """Names first, so that what is imported next needs no memory for them."""
    start, end = heap
    names, tables, pieces = _names(packed, words, word, area, base, start, end, slot)
    try:
        from validator import inplace, inplace_scan
    except ValueError:
        return None  # no machine code on this MicroPython
    find, same = inplace_scan.find, inplace_scan.same
    inplace.Code.load = inplace_scan.load  # type: ignore
    code = inplace.Code(words, word, find, same, files, area, base, start, end)
    code.names = names
    code.tables = tables
    code.pieces = pieces
    code.leave("validator", "validator.app", "validator.inplace_setup")
    code.kept = []
    # The module is its own proof: its functions are known, and must be found where they should be.
    if not code.adopt("validator.inplace"):
        return None
    code.adopt("validator.inplace_files")
    code.adopt("validator.inplace_scan")
    sys.modules["validator"].in_place = code  # type: ignore
    code.original = builtins.__import__  # type: ignore
    builtins.__import__ = code.load  # type: ignore
    return code


def _names(packed, words, word, area, base, start, end, slot):
    """(how many names are in flash, tables of modules, what has to stay for them)."""
    from validator import inplace_names

    kept = None
    pieces = b""
    names, tables = 0, (b"", 0)
    pointer = inplace_names.last_table(words, word, start, end)
    if pointer:
        from validator.inplace_kept import Kept

        kept = Kept(slot, packed["at"], packed, area, base, words, word, pointer, start, end)
        names, tables = kept.take()
        if not tables[0]:
            names = inplace_names.install(words, word, area, base, packed["names"], pointer)
            try:
                if names and kept.make(names):
                    _map_again(words, base, slot.info()[3] - packed["at"])
                    slot.readblocks(0, bytearray(4), 0)
                    tables = kept.take()[1]
            except OSError:
                pass  # then all of it is on the heap, as far as it fits
        pieces = kept.pieces
        forget("validator.inplace_kept")
    forget("validator.inplace_names")
    return names, tables, pieces


def forget(name):
    """Let go of a module that has done its work."""
    del sys.modules[name]
    package, _, last = name.rpartition(".")
    delattr(sys.modules[package], last)
    gc.collect()


def _map(words, at, size):
    """Map `size` bytes of flash from `at` on; returns their address, or 0 if that is not safe.

    ESP32 Technical Reference Manual, 4.3 and 4.3.5: pages of 64 KB, a table for each processor.
    The pages of a table that are unused are nobody's: ESP-IDF takes them from the beginning.
    """
    first = at >> _PAGE_BITS
    count = ((at + size - 1) >> _PAGE_BITS) - first + 1
    for table in _TABLES:
        if _entry(words, table) >= _UNUSED:
            return 0  # the firmware's own constants are at page 0: this is no such table
    for page in range(_PAGES - _KEPT_FREE - count, 0, -1):
        free = True
        for i in range(count):
            for table in _TABLES:
                # After a soft reset the pages may still be there.
                if _entry(words, table + 4 * (page + i)) not in (_UNUSED, first + i):
                    free = False
        if free:
            for i in range(count):
                for table in _TABLES:
                    words[table + 4 * (page + i)] = first + i
            return _DATA + (page << _PAGE_BITS) + (at & (1 << _PAGE_BITS) - 1)
    return 0


def _map_again(words, base, size):
    # What was read before it was written must not come from a cache now.
    if _DATA <= base < _DATA + (_PAGES << _PAGE_BITS):
        for page in range(base - _DATA >> _PAGE_BITS, (base + size - 1 - _DATA >> _PAGE_BITS) + 1):
            for table in _TABLES:
                value = _entry(words, table + 4 * page)
                words[table + 4 * page] = _UNUSED
                words[table + 4 * page] = value


def _entry(words, at):
    # A processor may read a wrong value here while the other one reads a peripheral: ask twice.
    while True:
        value = words[at]
        if value == words[at]:
            return value


def _is_whole(packed, area):
    digest = hashlib.sha256()
    view = memoryview(area)
    for at in range(0, len(area), _CHUNK):
        digest.update(view[at : at + _CHUNK])
    return digest.digest().hex() == packed["sha256"]


def _check(packed, files):
    digest = hashlib.sha256()
    buf = memoryview(bytearray(_CHUNK))
    left = packed["size"]
    at = 0
    while left:
        part = buf[: min(left, _CHUNK)]
        files.read(at, part)
        digest.update(part)
        at += len(part)
        left -= len(part)
    if digest.digest().hex() != packed["sha256"]:
        raise OSError("the packed part of the slot is damaged")
