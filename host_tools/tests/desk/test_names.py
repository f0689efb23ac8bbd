"""Names of readers: devices with colons in their names, drivers behind them, nfcpy's paths."""

from __future__ import annotations

import pathlib

import pytest

from faretap.desk.path import device_of, serial_port

BY_PATH = "/dev/serial/by-path/pci-0000:00:14.0-usb-0:1.3:1.0-port0"


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (BY_PATH, (BY_PATH, "pn532")),
        (f"{BY_PATH}:pn532", (BY_PATH, "pn532")),
        (f"{BY_PATH}:arygon", (BY_PATH, "arygon")),
        (f"{BY_PATH}:PN532", (BY_PATH, "pn532")),
        ("/dev/serial/by-path/platform-fd500000.pcie-pci-0000:01:00.0-usb-0:1.2:1.0", None),
        ("/dev/serial/by-id/usb-1a86_USB_Serial-if00-port0", None),
        ("/dev/ttyUSB0", None),
        ("/dev/ttyUSB0:arygon", ("/dev/ttyUSB0", "arygon")),
        ("COM7", ("COM7", "pn532")),
        ("COM7:arygon", ("COM7", "arygon")),
        ("com7", ("com7", "pn532")),
        ("usb", ("", "")),
        ("usb:04e6:5591", ("", "")),
        ("usb:001:004", ("", "")),
        ("tty:USB0:pn532", ("", "")),
        ("com:COM7:pn532", ("", "")),
    ],
)
def test_device_and_driver(path: str, found: tuple[str, str] | None) -> None:
    assert device_of(path) == (found or (path, "pn532"))


@pytest.mark.parametrize("path", ["/dev/ttyUSB0:nonsense", "COM7:acr122", f"{BY_PATH}:rcs380"])
def test_a_driver_that_there_is_not(path: str) -> None:
    with pytest.raises(ValueError, match="no driver"):
        device_of(path)


def test_a_device_that_is_called_as_if_a_driver_stood_there(tmp_path: pathlib.Path) -> None:
    device = tmp_path / "reader:left"
    device.write_bytes(b"")
    assert device_of(str(device)) == (str(device), "pn532")
    assert device_of(f"{device}:arygon") == (str(device), "arygon")


@pytest.mark.parametrize(
    ("path", "port"),
    [
        (f"{BY_PATH}:pn532", BY_PATH),
        (BY_PATH, BY_PATH),
        ("/dev/ttyUSB1:arygon", "/dev/ttyUSB1"),
        ("tty:USB1:pn532", "/dev/ttyUSB1"),
        ("tty:AMA0", "/dev/ttyAMA0"),
        ("com:COM7:pn532", "COM7"),
        ("com:7:pn532", "COM7"),
        ("COM7:pn532", "COM7"),
        ("usb:04e6:5591", "usb:04e6:5591"),
        ("tty", "tty"),
        ("/dev/ttyUSB0:nonsense", "/dev/ttyUSB0:nonsense"),
    ],
)
def test_the_port_that_a_reader_takes(path: str, port: str) -> None:
    assert serial_port(path) == port
