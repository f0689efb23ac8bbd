"""Update and loader together, with the power cut at every operation on flash and NVS.

The loader and the sink are the firmware's own; the slots are littlefs images in NOR flash that
keeps its rules. After each cut the loader starts exactly one complete image, and the update ends
when it is run again.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import update_images
from faretap import boards
from faretap.image import filesystem
from faretap.image.app import AppImage, make_manifest
from faretap.image.container import make
from faretap.image.errors import ImageError
from faretap.link.transfer import BLOCK
from flash_sim import FlashSim, PowerCut
from validator import update_image
from validator.update import ImageSink

sys.path.append(str(Path(__file__).parents[3] / "firmware" / "loader"))
faretap_loader: Any = importlib.import_module("faretap_loader")

BOARD = boards.load("VIRTUAL")
SECTORS = 4  # of a slot
HOW = ("undone", "half", "tail", "bits", "done")
SHORT = ("undone", "half", "done")


def build(version: str) -> AppImage:
    files = {
        "validator/app.mpy": version.encode() * 700,
        "devices.json": b"{}",
    }
    manifest = make_manifest(BOARD, files, version)
    files["manifest.json"] = json.dumps(manifest).encode()
    return AppImage(filesystem.pack(files, SECTORS * 4096, filesystem.SLOT_BLOCK), manifest, files)


FIRST, SECOND = build("0.1.0"), build("0.2.0")
OLDER = build("0.0.1")


class Power(FlashSim):  # type: ignore[misc]
    """Both slots and NVS, whose operations are counted together. Slot b follows slot a."""

    def __init__(self) -> None:
        super().__init__(2 * SECTORS)
        self.word = 0

    def program(self, addr: int, data: Any) -> None:
        # What the base class checks and does byte by byte, at once: these tests do it often.
        data = bytes(data)
        old = int.from_bytes(self.data[addr : addr + len(data)], "big")
        assert int.from_bytes(data, "big") & ~old == 0, "programming a 0 back to 1"
        self._operate("program", addr, data)

    def apply(self, operation: str, addr: int, data: bytes, how: str) -> None:
        if operation == "erase" and how == "done":
            self.data[addr : addr + len(data)] = data
        else:
            super().apply(operation, addr, data, how)

    def atomically(self, what: str, change: Callable[[], None]) -> None:
        """An operation of which a cut leaves all or nothing, as ESP-IDF's NVS and littlefs do."""
        n = len(self.log)
        self.log.append((what, 0, 0))
        if self._cut and n >= self._cut[0]:
            if n == self._cut[0] and self._cut[1] in ("tail", "bits", "done"):
                change()
            raise PowerCut(f"at operation {n}")
        change()


class Slot:
    """One slot as raw flash."""

    sector = 4096
    size = SECTORS * 4096

    def __init__(self, power: Power, number: int) -> None:
        self._power = power
        self._base = number * self.size

    def read(self, addr: int, buf: Any) -> None:
        assert addr + len(buf) <= self.size
        self._power.read(self._base + addr, buf)

    def program(self, addr: int, data: Any) -> None:
        assert addr + len(data) <= self.size
        self._power.program(self._base + addr, data)

    def erase(self, addr: int) -> None:
        assert addr < self.size
        self._power.erase(self._base + addr)


class Chip:
    """What the loader needs of the hardware."""

    def __init__(self, power: Power, place: Path, power_on: bool) -> None:
        self.power = power
        self.place = place
        self._power_on = power_on

    def power_on(self) -> bool:
        return self._power_on

    def load(self) -> int:
        return self.power.word

    def save(self, word: int) -> None:
        self.power.atomically("nvs", lambda: setattr(self.power, "word", word))

    def mount(self, slot: int) -> None:
        data = bytes(self.power.data[slot * Slot.size : (slot + 1) * Slot.size])
        folder = self.place / hashlib.sha256(data).hexdigest()
        if not folder.exists():  # the same content is unpacked once
            try:
                files = filesystem.unpack(data, filesystem.SLOT_BLOCK)
            except ImageError as e:
                raise OSError(19) from e
            folder.mkdir()
            for name, content in files.items():
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        (self.place / "app").symlink_to(folder)

    def unmount(self) -> None:
        (self.place / "app").unlink()

    def remove(self, path: str) -> None:
        if Path(path).exists():
            self.power.atomically("remove", Path(path).unlink)

    def version(self) -> tuple[int, ...]:
        return (1, 26, 1)

    def end_trial(self) -> None:
        pass


class Validator:
    """A validator whose slot a runs FIRST, proven, and whose slot b holds OLDER, once proven."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.power = Power()
        self.power.data[:] = FIRST.data + OLDER.data
        self.request("a", FIRST.id)
        (place / "board.json").write_text(json.dumps({"board": "VIRTUAL"}))
        self.boot()["healthy"]()
        self.power.word |= 3 << 3  # both were healthy once
        self.power.power_on()

    def request(self, slot: str, number: str) -> None:
        (self.place / "slot.json").write_text(json.dumps({"slot": slot, "id": number}))

    def boot(self, power_on: bool = True) -> dict[str, Any]:
        """What the loader hands to the application; what it started is checked to be whole."""
        (self.place / "app").unlink(missing_ok=True)
        chip = Chip(self.power, self.place, power_on)
        where = {name: str(self.place / f) for name, f in _FILES.items()}
        loader = faretap_loader.Loader(chip, **where)
        slot, why = loader.choose()
        started: dict[str, Any] = loader.boot(slot, why)
        assert started["mode"] == "app", why
        image = {i.id: i for i in (FIRST, SECOND, OLDER)}[started["id"]]
        for name, content in image.files.items():
            assert (self.place / "app" / name).read_bytes() == content
        return started

    def snapshot(self) -> tuple[bytes, int, bytes | None]:
        """What outlives a power cut."""
        request = self.place / "slot.json"
        kept = request.read_bytes() if request.exists() else None
        return bytes(self.power.data), self.power.word, kept

    def restore(self, kept: tuple[bytes, int, bytes | None]) -> None:
        self.power.power_on()
        self.power.data[:], self.power.word = kept[0], kept[1]
        request = self.place / "slot.json"
        request.unlink(missing_ok=True) if kept[2] is None else request.write_bytes(kept[2])

    def update(self, boot: dict[str, Any], image: AppImage = SECOND) -> None:
        asyncio.run(put(self, boot, image))


_FILES = {"root": "app", "request": "slot.json", "board": "board.json"}


async def put(validator: Validator, boot: dict[str, Any], image: AppImage) -> None:
    class App:
        micropython = "1.26.1"
        name = "VIRTUAL"
        key = bytes.fromhex(update_images.KEY)

        def __init__(self) -> None:
            self.boot = boot
            self.board = self.configuration = self.transfer = self.clock = self

        def flash(self, label: str) -> Slot:
            return Slot(validator.power, ("app_a", "app_b").index(label))

        async def quiet(self) -> None:
            pass

        async def sleep_ms(self, ms: int) -> None:
            pass

    stream = _stream(image.id)
    sink = ImageSink(App())
    at = sink.begin({"kind": "image", "size": len(stream), "digest": ""})
    while at < len(stream):
        data = stream[at : at + BLOCK]
        wanted = await sink.write(at, memoryview(data))
        at = at + len(data) if wanted is None else wanted
    await sink.finish()


@functools.cache
def _stream(number: str) -> bytes:
    image = {i.id: i for i in (FIRST, SECOND, OLDER)}[number]
    unsigned = make(image).unsigned + b"\1" * 64
    return unsigned + bytes(-len(unsigned) % BLOCK) + image.data


@pytest.fixture(autouse=True)
def _signed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose image it is, is not the question here; firmware/tests/test_update.py asks it."""
    monkeypatch.setattr(update_image.Head, "check_signature", lambda head, key: None)
    monkeypatch.setattr("validator.update.VERSION", "0.0.0")


def after_a_cut(validator: Validator, where: str) -> dict[str, Any]:
    """Start it: it must run one of the two images that are whole."""
    validator.power.power_on()
    boot = validator.boot()
    assert boot["id"] in (FIRST.id, SECOND.id), where
    assert (boot["slot"], boot["id"]) in (("a", FIRST.id), ("b", SECOND.id)), where
    boot["healthy"]()
    return boot


def scenario(validator: Validator) -> None:
    """From a start to the first healthy start of the new image."""
    boot = validator.boot()
    boot["healthy"]()
    if boot["id"] != SECOND.id:
        validator.update(boot)
        boot = validator.boot(power_on=False)
        assert boot["id"] == SECOND.id
        boot["healthy"]()


def operations(place: Path) -> int:
    validator = Validator(place)
    scenario(validator)
    return len(validator.power.log)


def test_the_scenario_touches_flash_and_nvs(tmp_path: Path) -> None:
    validator = Validator(tmp_path)
    scenario(validator)
    kinds = {entry[0] for entry in validator.power.log}
    assert kinds == {"erase", "program", "nvs", "remove"}
    assert bytes(validator.power.data) == FIRST.data + SECOND.data
    assert validator.boot()["id"] == SECOND.id


def test_cut_at_every_operation(tmp_path: Path) -> None:
    for n in range(operations(tmp_path)):
        for how in HOW:
            where = f"cut at operation {n}, {how}"
            validator = Validator(tmp_path)
            validator.power.cut_at(n, how)
            try:
                scenario(validator)
            except PowerCut:
                pass
            else:
                raise AssertionError(where)
            try:
                after_a_cut(validator, where)
                scenario(validator)
                assert validator.boot()["id"] == SECOND.id
            except Exception as e:
                raise AssertionError(where) from e


def test_cut_at_every_pair_of_operations(tmp_path: Path) -> None:
    for n in range(operations(tmp_path)):
        for how in SHORT:
            validator = Validator(tmp_path)
            validator.power.cut_at(n, how)
            with pytest.raises(PowerCut):
                scenario(validator)
            first = validator.snapshot()
            m, more = 0, True
            while more:
                for again in SHORT:
                    where = f"cut at operation {n}, {how}; then at {m}, {again}"
                    validator.restore(first)
                    validator.power.cut_at(m, again)
                    try:
                        scenario(validator)
                        more = False  # beyond the last operation
                    except PowerCut:
                        pass
                    except Exception as e:
                        raise AssertionError(where) from e
                    try:
                        after_a_cut(validator, where)
                        scenario(validator)
                        assert validator.boot()["id"] == SECOND.id
                    except Exception as e:
                        raise AssertionError(where) from e
                m += 1


def test_an_image_that_never_gets_healthy_is_left(tmp_path: Path) -> None:
    """Whichever of its starts the power cuts."""

    def starts(validator: Validator) -> dict[str, Any]:
        """Restart until the validator is back at the first image."""
        for _ in range(8):
            boot = validator.boot(power_on=False)
            if boot["id"] == FIRST.id:
                boot["healthy"]()
                return boot
        raise AssertionError("it does not go back")

    validator = Validator(tmp_path)
    validator.update(validator.boot())
    validator.power.power_on()
    boot = starts(validator)
    assert boot["why"] == "app_b failed 3 times"
    for n in range(len(validator.power.log)):
        for how in SHORT:
            validator = Validator(tmp_path)
            validator.update(validator.boot())
            validator.power.power_on()
            validator.power.cut_at(n, how)
            with pytest.raises(PowerCut):
                starts(validator)
            validator.power.power_on()
            assert starts(validator)["slot"] == "a", f"cut at operation {n}, {how}"
            # The next image gets its chance all the same.
            scenario(validator)
            assert validator.boot()["id"] == SECOND.id


def test_the_cable_has_the_last_word(tmp_path: Path) -> None:
    """An update over the link, then the cable brings what it brought before: that runs."""
    validator = Validator(tmp_path)
    scenario(validator)
    assert not (tmp_path / "slot.json").exists()
    validator.request("a", FIRST.id)
    assert validator.boot()["id"] == FIRST.id


def test_half_an_update_is_never_fallen_back_to(tmp_path: Path) -> None:
    """The running image dies while the other slot is half written: neither the half nor the old
    one's remains are started."""
    for blocks in range(1, 2 * SECTORS):
        validator = Validator(tmp_path)
        boot = validator.boot()
        boot["healthy"]()
        validator.power.power_on()
        validator.power.cut_at(1 + blocks, "half")
        with pytest.raises(PowerCut):
            validator.update(boot)
        validator.power.power_on()
        validator.power.data[: Slot.size] = b"\0" * Slot.size
        validator.power.word &= ~(1 << 3)
        (tmp_path / "app").unlink(missing_ok=True)
        chip = Chip(validator.power, tmp_path, True)
        where = {name: str(tmp_path / f) for name, f in _FILES.items()}
        loader = faretap_loader.Loader(chip, **where)
        slot, why = loader.choose()
        assert slot is None or loader.manifest["id"] in (OLDER.id, SECOND.id), why
        if slot is not None:  # then it is a whole one
            image = OLDER if loader.manifest["id"] == OLDER.id else SECOND
            found = (tmp_path / "app" / "validator/app.mpy").read_bytes()
            assert found == image.files["validator/app.mpy"]
