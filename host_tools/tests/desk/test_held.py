"""Readers on USB that somebody else has: the kernel's NFC driver, pcscd, or nobody's group."""

from __future__ import annotations

import errno
import grp
import types
from pathlib import Path
from typing import Any

import nfc.clf.device
import pytest

from faretap import devices
from faretap.desk import ReaderError, open_reader

SCL3711 = (0x04E6, 0x5591)  # a reader that nfcpy knows
ADAPTER = (0x1A86, 0x7523)  # CH340


class Usb:
    """A tree as the kernel shows it."""

    def __init__(self, root: Path) -> None:
        self.root = root / "devices"
        self.root.mkdir()
        self._drivers = root / "drivers"
        self._modules = root / "module"

    def plug(
        self, ids: tuple[int, int], driver: str = "", module: str = "", tty: str = ""
    ) -> tuple[int, int]:
        number = sum(1 for _ in self.root.iterdir()) + 4
        place = self.root / f"1-{number}"
        interface = place / f"1-{number}:1.0"
        interface.mkdir(parents=True)
        for name, value in (
            ("idVendor", f"{ids[0]:04x}"),
            ("idProduct", f"{ids[1]:04x}"),
            ("busnum", "1"),
            ("devnum", str(number)),
        ):
            (place / name).write_text(value + "\n")
        if driver:
            home = self._drivers / driver
            home.mkdir(parents=True, exist_ok=True)
            (interface / "driver").symlink_to(home)
            if module:
                (self._modules / module).mkdir(parents=True, exist_ok=True)
                (home / "module").symlink_to(self._modules / module)
        if tty:
            (interface / tty).mkdir()
        return 1, number


@pytest.fixture
def usb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Usb:
    made = Usb(tmp_path)
    monkeypatch.setattr(devices, "USB", made.root)
    return made


def failure(path: str) -> str:
    with pytest.raises(ReaderError) as caught, open_reader(path):
        pass
    return str(caught.value)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What nfcpy does with a path: nothing found, or an error."""

    def answer(e: OSError | None) -> None:
        def connect(path: str) -> None:
            if e is not None:
                raise e

        monkeypatch.setattr(nfc.clf.device, "connect", connect)

    return answer


@pytest.mark.parametrize(
    ("driver", "module"), [("pn533_usb", "pn533_usb"), ("port100", "port100")]
)
@pytest.mark.parametrize("error", [None, OSError(errno.EBUSY, "busy")])
def test_the_kernels_driver(
    usb: Usb, answers: Any, driver: str, module: str, error: OSError | None
) -> None:
    """nfcpy passes it over where the path does not name it alone, and finds none."""
    _, number = usb.plug(SCL3711, driver, module)
    answers(error)
    for path in ("usb", "usb:04e6:5591", "usb:04E6", f"usb:001:{number:03}", "usb:1"):
        text = failure(path)
        assert f"The reader 04e6:5591 is held by the kernel's driver {driver}." in text, path
        name = module or driver  # built in: it has no module of its own to show
        assert f"sudo modprobe -r {name}." in text and f"`blacklist {name}`" in text


def test_a_driver_in_the_kernel_and_another_program(usb: Usb, answers: Any) -> None:
    usb.plug(SCL3711, "usbfs")
    answers(OSError(errno.EBUSY, "busy"))
    assert "in use by another program. Often that is pcscd: sudo systemctl stop" in failure("usb")


@pytest.mark.parametrize("path", ["usb", "usb:072f", "usb:001:099", "usb:04e6:5591"])
def test_others_than_the_one_that_is_meant(usb: Usb, answers: Any, path: str) -> None:
    if path == "usb:04e6:5591":
        usb.plug(SCL3711)  # nobody has it
    else:
        usb.plug((0x05E3, 0x0608), "hub", "usbcore")  # no reader
        if path != "usb":
            usb.plug(SCL3711, "pn533_usb", "pn533_usb")
    answers(None)
    text = failure(path)
    assert "held by" not in text and "There is no reader at" in text


def test_the_group_of_a_forbidden_reader(
    usb: Usb, answers: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    usb.plug(SCL3711)
    node = tmp_path / "004"
    node.write_bytes(b"")
    monkeypatch.setattr(devices.UsbDevice, "node", property(lambda device: str(node)))
    answers(PermissionError(errno.EACCES, "denied"))
    name = ["smartcards"]
    monkeypatch.setattr(grp, "getgrgid", lambda number: types.SimpleNamespace(gr_name=name[0]))
    assert "group that owns it (smartcards)" in failure("usb:04e6:5591")
    name[0] = "root"
    assert "(root, until a udev rule gives it to plugdev)" in failure("usb:04e6:5591")


def test_an_adapter_that_brltty_took(usb: Usb) -> None:
    from faretap.errors import PortError
    from faretap.link import open_port

    usb.plug(ADAPTER)
    with pytest.raises(PortError, match=r"1a86:7523 is plugged in, but has no port.*brltty"):
        open_port("/dev/ttyNONE")


def test_an_adapter_with_its_port(usb: Usb) -> None:
    usb.plug(ADAPTER, "ch341-uart", "ch341", tty="ttyUSB0")
    assert devices.stolen_adapter() == ""
    assert [(d.module, d.serial) for d in devices.usb_devices()] == [("ch341", True)]
