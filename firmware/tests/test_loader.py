"""The loader with a fake chip and real files: mounting, checking, counting, going back."""

import hashlib
import json
import os
import sys

sys.path.append(__file__.rsplit("/", 1)[0] + "/../loader" if "/" in __file__ else "../loader")

import faretap_loader  # noqa: E402
from faretap_loader import Loader  # noqa: E402

BOARD = "ESP32_BUS"


class Reset(Exception):
    """The chip was reset."""


class Place:
    """A folder for one test, removed afterwards."""

    def __enter__(self):
        base = os.getenv("TMPDIR") or "/tmp"
        self.path = base + "/faretap-" + os.urandom(6).hex()
        os.mkdir(self.path)
        return self

    def __exit__(self, *error):
        remove_tree(self.path)

    def write(self, name, data):
        parts = name.split("/")
        for n in range(1, len(parts)):
            try:
                os.mkdir(self.path + "/" + "/".join(parts[:n]))
            except OSError:
                pass
        with open(self.path + "/" + name, "wb") as f:
            f.write(data)

    def where(self):
        return {
            "root": self.path + "/app",
            "request": self.path + "/slot.json",
            "board": self.path + "/board.json",
        }


def remove_tree(path):
    for name in os.listdir(path):
        child = path + "/" + name
        try:
            os.remove(child)
        except OSError:
            remove_tree(child)
    os.rmdir(path)


def image(board=BOARD, least="1.24", marker=b"1"):
    """The files of a slot."""
    files = {"validator/app.mpy": b"M" + marker, "devices.json": b"{}" * 900}
    manifest = {
        "format": 1,
        "board": board,
        "min_micropython": least,
        "id": hashlib.sha256(marker).digest().hex()[:16],
        "files": {p: hashlib.sha256(d).digest().hex() for p, d in files.items()},
    }
    files["manifest.json"] = json.dumps(manifest).encode()
    return files


class FakeChip:
    def __init__(self, place, slots, word=0):
        self.place = place
        self.slots = slots
        self.word = word
        self.saves = []
        self.trial = None
        self.mounted = False
        place.write("board.json", json.dumps({"board": BOARD}).encode())

    def fast(self):
        pass

    def collect_often(self):
        pass

    def power_on(self):
        return False

    def load(self):
        return self.word

    def save(self, word):
        assert word != self.word, "a write to NVS that changes nothing"
        self.word = word
        self.saves.append(word)

    def mount(self, slot):
        assert not self.mounted
        if slot not in self.slots:
            raise OSError(19)
        for name, data in self.slots[slot].items():
            self.place.write("app/" + name, data)
        self.mounted = True

    def unmount(self):
        assert self.mounted
        remove_tree(self.place.path + "/app")
        self.mounted = False

    def remove(self, path):
        try:
            os.remove(path)
        except OSError:
            pass

    def version(self):
        return (1, 26, 1)

    def start_trial(self, ms):
        self.trial = ms

    def end_trial(self):
        self.trial = None

    def reset(self):
        raise Reset()


def boot(place, chip):
    chip.mounted = False
    try:
        remove_tree(place.path + "/app")
    except OSError:
        pass
    loader = Loader(chip, **place.where())
    slot, why = loader.choose()
    return loader, loader.boot(slot, why)


def request(place, slot, image_id):
    place.write("slot.json", json.dumps({"slot": slot, "id": image_id}).encode())


def test_starts_slot_a_and_tells_the_application():
    with Place() as place:
        chip = FakeChip(place, {0: image()})
        loader, info = boot(place, chip)
        assert (info["slot"], info["mode"], info["tries"], info["why"]) == ("a", "app", 1, "")
        assert info["id"] == loader.manifest["id"] and len(info["id"]) == 16
        assert info["root"] == place.path + "/app"
        assert chip.mounted and len(chip.saves) == 1
        info["healthy"]()
        assert not loader.unproven()
        info["healthy"]()
        assert len(chip.saves) == 2


def test_a_damaged_file_is_found_before_it_is_proven_only():
    for proven in (False, True):
        with Place() as place:
            files = image()
            chip = FakeChip(place, {0: files})
            if proven:
                boot(place, chip)[1]["healthy"]()
            files["validator/app.mpy"] = b"M2"
            info = boot(place, chip)[1]
            if proven:
                assert info["mode"] == "app"
            else:
                assert info["mode"] == "safe"
                assert "damaged: validator/app.mpy" in info["why"]
                assert not chip.mounted


def test_what_an_image_must_be():
    for files, fault in (
        (image(board="ESP32C3_TAXI"), "for board ESP32C3_TAXI"),
        (image(least="1.27"), "needs MicroPython 1.27"),
        ({"x": b""}, "no manifest"),
        ({"manifest.json": b"[1]"}, "no manifest"),
        ({"manifest.json": b'{"format": 9}'}, "manifest format 9"),
        ({"manifest.json": b'{"format": 1, "board": "ESP32_BUS"}'}, "no manifest"),
    ):
        with Place() as place:
            info = boot(place, FakeChip(place, {1: files}))[1]
            assert info["slot"] == "" and info["mode"] == "safe"
            assert fault in info["why"], info["why"]
            assert "app_a: no file system" in info["why"]


def test_a_missing_file_is_a_fault():
    with Place() as place:
        files = image()
        del files["devices.json"]
        info = boot(place, FakeChip(place, {0: files}))[1]
        assert "a file cannot be read" in info["why"]


def test_the_cable_chooses_the_slot_once():
    with Place() as place:
        chip = FakeChip(place, {0: image(marker=b"1"), 1: image(marker=b"2")})
        info = boot(place, chip)[1]
        info["healthy"]()
        request(place, "b", "00112233aabbccdd")
        info = boot(place, chip)[1]
        assert info["slot"] == "b"
        info["healthy"]()
        assert boot(place, chip)[1]["slot"] == "b"
        request(place, "a", "ffeeddccbbaa9988")
        assert boot(place, chip)[1]["slot"] == "a"


def test_an_unreadable_request_is_none():
    for junk in (b"", b"{", b"[]", b'{"slot": "c", "id": "00"}', b'{"slot": "a", "id": 5}'):
        with Place() as place:
            chip = FakeChip(place, {0: image()})
            place.write("slot.json", junk)
            assert boot(place, chip)[1]["slot"] == "a"


def test_an_update_over_the_link_and_its_way_back():
    with Place() as place:
        chip = FakeChip(place, {0: image(marker=b"1")})
        request(place, "a", "00112233aabbccdd")
        info = boot(place, chip)[1]
        info["healthy"]()
        info["rewriting"]("b")
        chip.slots[1] = image(marker=b"2")
        info["activate"]("b")
        assert "slot.json" not in os.listdir(place.path)
        for n in range(1, 4):
            info = boot(place, chip)[1]
            assert (info["slot"], info["tries"]) == ("b", n)
        info = boot(place, chip)[1]
        assert info["slot"] == "a" and "app_b failed 3 times" in info["why"]
        # The cable's request is back with the same image: it is obeyed, since it was forgotten.
        info["activate"]("b")
        request(place, "a", "00112233aabbccdd")
        assert boot(place, chip)[1]["slot"] == "a"


def test_the_running_slot_is_not_given_away():
    with Place() as place:
        info = boot(place, FakeChip(place, {0: image()}))[1]
        try:
            info["rewriting"]("a")
        except ValueError:
            return
        raise AssertionError("the running slot could be overwritten")


def run_main(place, chip, app_main):
    """Run the loader's main with `app_main` as the application; True if the chip was reset."""
    import validator

    class Application:
        main = staticmethod(app_main)

    before = sys.modules.get("validator.app")
    path = list(sys.path)
    sys.modules["validator.app"] = Application
    validator.app = Application
    chip.mounted = False
    try:
        remove_tree(place.path + "/app")
    except OSError:
        pass
    printer = getattr(sys, "print_exception", None)
    if printer is None:  # CPython
        sys.print_exception = lambda e: None
    try:
        faretap_loader.main(chip, **place.where())
    except Reset:
        return True
    finally:
        assert sys.path[0] == place.path + "/app" or not chip.mounted
        sys.path[:] = path
        del sys.modules["validator.app"]
        if before is not None:
            sys.modules["validator.app"] = before
        if printer is None:
            del sys.print_exception
    return False


def test_whatever_ends_the_application_resets_the_chip():
    def fails(boot):
        raise ValueError("broken")

    def leaves(boot):
        raise SystemExit

    def interrupted(boot):
        raise KeyboardInterrupt

    for app_main in (fails, leaves, interrupted, lambda boot: None):
        with Place() as place:
            chip = FakeChip(place, {0: image()})
            assert run_main(place, chip, app_main)
            assert chip.word >> 1 & 3 == 1  # the try stays counted


def test_an_application_that_fails_three_times_is_left():
    started = []

    def fails(boot):
        started.append(boot["slot"])
        if boot["slot"] == "b":
            boot["healthy"]()
        raise ValueError("broken")

    with Place() as place:
        chip = FakeChip(place, {0: image(marker=b"1"), 1: image(marker=b"2")})
        for _ in range(5):
            assert run_main(place, chip, fails)
    assert started == ["a", "a", "a", "b", "b"]


def test_an_unproven_application_is_on_trial_until_it_is_healthy():
    seen = []

    def app_main(boot):
        seen.append(chip.trial)
        boot["healthy"]()
        seen.append(chip.trial)

    with Place() as place:
        chip = FakeChip(place, {0: image()})
        run_main(place, chip, app_main)
        run_main(place, chip, app_main)
    assert seen[0] and seen[1:] == [None, None, None]


def test_nothing_to_start_runs_safe_mode():
    ran = []

    class SafeMode:
        @staticmethod
        def main(boot, identity):
            ran.append((boot["mode"], boot["why"], identity["board"]))

    before = sys.modules.get("faretap_safe")
    sys.modules["faretap_safe"] = SafeMode
    try:
        with Place() as place:
            chip = FakeChip(place, {})
            assert run_main(place, chip, lambda boot: ran.append("app"))
    finally:
        del sys.modules["faretap_safe"]
        if before is not None:
            sys.modules["faretap_safe"] = before
    assert len(ran) == 1 and ran[0][0] == "safe" and ran[0][2] == BOARD
    assert "app_a: no file system" in ran[0][1]


def versioned(version, marker):
    files = image(marker=marker)
    manifest = json.loads(files["manifest.json"])
    manifest["version"] = version
    files["manifest.json"] = json.dumps(manifest).encode()
    return files


def test_where_the_word_is_lost_the_newer_image_starts():
    for a, b, chosen in (
        ("1.2.0", "1.10.0", "b"),
        ("1.10.0", "1.2.0", "a"),
        ("1.2.0", "1.2.0", "a"),
        ("1.2.0", "1.2.0.1", "b"),
        (None, "0.0.1", "b"),
        ("0.0.1", 7, "a"),
        ("0.0.1", "x.9", "a"),
        ("x", "²", "a"),
        (None, None, "a"),
    ):
        with Place() as place:
            chip = FakeChip(place, {0: versioned(a, b"1"), 1: versioned(b, b"2")}, None)
            assert boot(place, chip)[1]["slot"] == chosen, (a, b)
            assert chip.word is not None
    # A word that is there is believed, whatever the versions are.
    with Place() as place:
        chip = FakeChip(place, {0: versioned("1.0", b"1"), 1: versioned("2.0", b"2")}, 0)
        assert boot(place, chip)[1]["slot"] == "a"


def test_where_the_word_is_lost_the_newer_image_has_to_be_whole():
    with Place() as place:
        newer = versioned("2.0", b"2")
        newer["validator/app.mpy"] = b"half of an update"
        chip = FakeChip(place, {0: versioned("1.0", b"1"), 1: newer}, None)
        info = boot(place, chip)[1]
        assert info["slot"] == "a" and "app_b: damaged" in info["why"]
    with Place() as place:
        chip = FakeChip(place, {1: versioned("1.0", b"1")}, None)
        assert boot(place, chip)[1]["slot"] == "b"
    # What the cable asked for last is newer than what any version says.
    with Place() as place:
        chip = FakeChip(place, {0: versioned("1.0", b"1"), 1: versioned("2.0", b"2")}, None)
        request(place, "a", "00112233aabbccdd")
        assert boot(place, chip)[1]["slot"] == "a"


def test_nvs_that_cannot_be_written_keeps_nobody_from_the_link():
    class Worn(FakeChip):
        def save(self, word):
            raise OSError(-0x1105)

    for word in (None, 0):
        with Place() as place:
            chip = Worn(place, {0: image()}, word)
            info = boot(place, chip)[1]
            assert info["slot"] == "a"
            info["healthy"]()
            # But an image is not overwritten that would still be taken for proven.
            for name in ("rewriting", "activate"):
                try:
                    chip.word = 1 << 4
                    loader, info = boot(place, chip)
                    info[name]("b")
                    raise AssertionError(name)
                except OSError:
                    pass
