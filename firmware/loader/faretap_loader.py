"""Starts the application from its slot, goes back to the other one, or ends in safe mode.

    import faretap_loader
    faretap_loader.main()

The application is `validator.app.main(boot)`; `boot` is a dict:

    slot, id       "a" or "b", and the image's id from its manifest
    mode           "app", or "safe" in safe mode
    root           where the slot is mounted, read-only
    tries, why     boots since the last healthy one, this included; "" or what was wrong before
    healthy()      report: this image works. To be called once the validator serves riders.
    rewriting(s)   before slot s ("a", "b") is overwritten; never the running one
    activate(s)    start slot s from the next boot on; it has been written and verified
    retry()        forget which slots failed

Each start counts as a try until healthy() is called. After three, the other slot gets its turn.
"""

import gc
import hashlib
import json
import sys
import time

import faretap_slots as slots

ROOT = "/app"
REQUEST = "/slot.json"
BOARD = "/board.json"
FORMAT = 1
_TRIAL_MS = 120000  # an unproven image that is not healthy by then is taken to hang
_TICK_MS = 5000
_LOAD_THRESHOLD = 8192  # bytes allocated between two collections while the application loads


class SlotBlocks:
    """A slot as VfsLfs2 reads it: blocks of 512 bytes, never written.

    Small blocks, because a file takes a block at least and most modules are small. Not
    `Partition.find(block_size=512)`, which would keep a whole sector in RAM for writing.
    """

    def __init__(self, partition):
        self._read = partition.readblocks
        self._count = partition.ioctl(4, 0) * (partition.ioctl(5, 0) // 512)

    def readblocks(self, block, buf, offset=0):
        self._read(block >> 3, buf, ((block & 7) << 9) + offset)

    def ioctl(self, op, arg):
        if op == 4:
            return self._count
        if op == 5:
            return 512
        return 0


class Chip:
    """What the loader needs of the hardware."""

    def __init__(self):
        import esp32
        import machine

        self._machine = machine
        self._partition = esp32.Partition
        self._nvs = esp32.NVS("faretap")
        self._timer = None
        self.started = time.ticks_ms()

    def fast(self):
        try:
            self._machine.freq(240000000)
        except ValueError:
            pass  # an ESP32-C3 ends at 160 MHz, where it starts

    def collect_often(self):
        # Loading leaves garbage between what stays. Collected at once, it does not scatter the
        # heap: the table of names is doubled in one piece, up to 10 KB, when nearly all is in.
        gc.threshold(_LOAD_THRESHOLD)

    def power_on(self):
        return self._machine.reset_cause() == self._machine.PWRON_RESET

    def load(self):
        """The word of `slots.State`; None if it was never written, or lost."""
        try:
            return self._nvs.get_i32("boot")
        except OSError:
            return None

    def save(self, word):
        self._nvs.set_i32("boot", word)
        self._nvs.commit()

    def mount(self, slot):
        """Mount a slot at ROOT; OSError if it holds no file system."""
        import vfs

        found = self._partition.find(self._partition.TYPE_DATA, label="app_" + slots.NAMES[slot])
        if not found:
            raise OSError("no such partition")
        # The stubs take the protocol of block devices for abstract methods of VfsLfs2.
        slot_fs = vfs.VfsLfs2(SlotBlocks(found[0]))  # type: ignore
        vfs.mount(slot_fs, ROOT, readonly=True)

    def unmount(self):
        import vfs

        vfs.umount(ROOT)

    def remove(self, path):
        import os

        try:
            os.remove(path)
        except OSError:
            pass

    def version(self):
        return tuple(sys.implementation.version[:3])

    def start_trial(self, ms):
        """Reset the chip in `ms`, unless end_trial() is called before."""
        start = time.ticks_ms()

        def tick(timer):
            if time.ticks_diff(time.ticks_ms(), start) >= ms:
                print("faretap: the application did not report itself healthy in time")
                self.reset()

        self._timer = self._machine.Timer(0)
        self._timer.init(mode=self._machine.Timer.PERIODIC, period=_TICK_MS, callback=tick)

    def end_trial(self):
        if self._timer:
            self._timer.deinit()
            self._timer = None

    def reset(self):
        # reset() does not wait for the UART, whose FIFO holds 128 bytes: 11 ms at 115200 baud.
        time.sleep_ms(20)
        self._machine.reset()


class Loader:
    """One boot. `chip` has the methods of `Chip`; `root` and files may be elsewhere in tests."""

    def __init__(self, chip, root=ROOT, request=REQUEST, board=BOARD):
        self.chip = chip
        self.root = root
        self._request = request
        self.identity = _read_json(board)
        word = chip.load()
        self._lost = word is None
        self.state = slots.State(word or 0)
        self._stored = self.state.word()
        self.manifest = {}
        self._mounted = None

    def choose(self):
        """Returns (slot or None, why). The slot is mounted, and the try is counted."""
        requested = self._requested()
        if self._lost and requested is None:
            self.state.select(self._newest())
        slot, why = slots.choose(self.state, requested, self._fault, self.chip.power_on())
        if slot is None:
            self._unmount()
        self._store()
        return slot, why

    def _newest(self):
        """The slot of the highest version: NVS forgot which one ran, and it was not the older one.
        Whether its image is whole is looked at later, as of one that is not proven."""
        versions = []
        for slot in (0, 1):
            version = None if self._fault(slot, True) else self.manifest.get("version")
            versions.append(slots.numbers(version) if isinstance(version, str) else ())
        return 1 if versions[1] > versions[0] else 0

    def boot(self, slot, why):
        """The dict for the application."""
        return {
            "slot": "" if slot is None else slots.NAMES[slot],
            "id": "" if slot is None else self.manifest.get("id", ""),
            "mode": "safe" if slot is None else "app",
            "root": self.root,
            "tries": self.state.tries,
            "why": why,
            "healthy": self.healthy,
            "rewriting": self.rewriting,
            "activate": self.activate,
            "retry": self.retry,
            "started": getattr(self.chip, "started", 0),
        }

    def healthy(self):
        self.chip.end_trial()
        self.state.healthy()
        self._store()

    def rewriting(self, name):
        slot = slots.NAMES.index(name)
        if slot == self._mounted:
            raise ValueError("the running slot cannot be overwritten")
        self.state.rewriting(slot)
        self._store(True)

    def activate(self, name):
        # The cable's request goes first: were it to stay, flashing the same image by cable again
        # would change nothing on the vfs, and this slot would go on running.
        self.chip.remove(self._request)
        self.state.select(slots.NAMES.index(name))
        self.state.seen = 0
        self._store(True)

    def retry(self):
        self.state.retry()
        self._store()

    def unproven(self):
        return not self.state.good >> self.state.slot & 1

    def _store(self, must=False):
        """`must`: OSError if NVS cannot be written. Else it is better to start uncounted than to
        start again and again: the link must live to say what is wrong."""
        word = self.state.word()
        if word != self._stored:
            try:
                self.chip.save(word)
            except OSError as e:
                if must:
                    raise
                print("faretap: NVS cannot be written: %r" % e)
                return
            self._stored = word

    def _requested(self):
        wanted = _read_json(self._request)
        try:
            return slots.NAMES.index(wanted["slot"]), slots.short_id(wanted["id"])
        except (KeyError, ValueError, TypeError):
            return None

    def _fault(self, slot, proven):
        """Mount `slot`; "" if its image is for this board, else why not."""
        self._unmount()
        try:
            self.chip.mount(slot)
        except OSError:
            return "no file system"
        self._mounted = slot
        manifest = _read_json(self.root + "/manifest.json")
        board = self.identity.get("board")
        fault = check(self.root, manifest, board, self.chip.version(), proven)
        # Not the list of files and their hashes, which is 10 KB of the heap.
        self.manifest = {}
        if not fault:
            self.manifest = {"id": manifest.get("id", ""), "version": manifest.get("version")}
        return fault

    def _unmount(self):
        if self._mounted is not None:
            self.chip.unmount()
            self._mounted = None
            self.manifest = {}


def check(root, manifest, board, version, proven):
    """ "" if the image under `root` is whole and for this `board` and MicroPython; else why not.

    `version` is MicroPython's as a tuple. The files are hashed unless the image is `proven`.
    """
    try:
        if manifest["format"] != FORMAT:
            return "manifest format %s" % manifest["format"]
        if manifest["board"] != board:
            return "for board %s" % manifest["board"]
        least = tuple(int(n) for n in manifest["min_micropython"].split("."))
        if version[: len(least)] < least:
            return "needs MicroPython %s" % manifest["min_micropython"]
        if not proven:
            for path in manifest["files"]:
                if _sha256(root + "/" + path) != manifest["files"][path]:
                    return "damaged: " + path
    except (KeyError, ValueError, TypeError, AttributeError):
        return "no manifest"
    except OSError:
        return "a file cannot be read"
    return ""


def _sha256(path):
    digest = hashlib.sha256()
    buf = bytearray(1024)
    view = memoryview(buf)
    with open(path, "rb") as f:
        while True:
            n = f.readinto(buf)
            if not n:
                return digest.digest().hex()
            digest.update(view[:n])


def _read_json(path):
    """The object in a file; {} if there is none."""
    try:
        with open(path) as f:
            found = json.load(f)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def main(chip=None, **where):
    """Boot. Never returns and never raises: whatever ends, the chip resets.

    `where` goes to `Loader`.
    """
    try:
        if chip is None:
            chip = Chip()
        chip.fast()
        loader = Loader(chip, **where)
        slot, why = loader.choose()
        if why:
            print("faretap: " + why)
        boot = loader.boot(slot, why)
        gc.collect()
        if slot is None:
            import faretap_safe

            faretap_safe.main(boot, loader.identity)
        else:
            if loader.unproven():
                chip.start_trial(_TRIAL_MS)
            sys.path.insert(0, loader.root)
            chip.collect_often()
            import validator.app

            validator.app.main(boot)
        print("faretap: the application ended")
    except BaseException as e:  # SystemExit and KeyboardInterrupt must not lead to a prompt either
        print("faretap: the application failed")
        sys.print_exception(e)
    if chip is None:
        import machine

        machine.reset()
    chip.reset()
