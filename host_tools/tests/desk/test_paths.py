"""Readers that cannot be opened: one sentence with the cause, one with the next step."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import nfc
import nfc.clf.device
import nfc.clf.pn532
import nfc.clf.transport
import pytest
import serial

from faretap.desk import ReaderError, open_reader
from faretap.desk.reader import with_all_interface_bytes


def failure(path: str) -> str:
    with pytest.raises(ReaderError) as caught, open_reader(path):
        pass
    return str(caught.value)


def test_no_such_device(tmp_path: Path) -> None:
    text = failure(str(tmp_path / "ttyUSB9"))
    assert text.startswith("There is no reader at ") and "Plug it in; serial ports here:" in text


def test_nfcpys_path_without_device() -> None:
    assert failure("tty:USB987:pn532").startswith("There is no reader at tty:USB987:pn532.")


@pytest.mark.parametrize(
    "path", ["", "reader", "ttyUSB0:nonsense:x", "/dev/ttyUSB0:nonsense", "é"]
)
def test_what_is_no_path(path: str) -> None:
    text = failure(path)
    assert "is no path to a reader" in text or "There is no reader at" in text
    assert "tty:USB0:pn532" in text or "serial ports here" in text


def test_something_that_is_no_terminal(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    assert "does not answer as a reader" in failure(str(file))


class Refusing:
    """nfcpy's transport on a port that the system does not give out."""

    TYPE = "TTY"
    error: OSError

    def __init__(self, port: str) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "sentence", "step"),
    [
        (serial.SerialException(errno.EACCES, "could not open port"), "No permission", "dialout"),
        (PermissionError(errno.EACCES, "denied"), "No permission", "dialout"),
        (serial.SerialException(errno.EBUSY, "busy"), "in use by another program", "Close that"),
        (serial.SerialException(errno.ENOENT, "could not open"), "There is no reader", "Plug it"),
        (OSError(errno.EIO, "Input/output error"), "does not answer", "Unplug it"),
    ],
)
def test_what_the_system_says(
    monkeypatch: pytest.MonkeyPatch, error: OSError, sentence: str, step: str
) -> None:
    monkeypatch.setattr(Refusing, "error", error, raising=False)
    monkeypatch.setattr(nfc.clf.transport, "TTY", Refusing)
    text = failure("/dev/ttyUSB0")
    assert sentence in text and step in text and "/dev/ttyUSB0" in text


def test_permission_of_a_usb_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: str) -> Any:
        raise PermissionError(errno.EACCES, "denied")

    monkeypatch.setattr(nfc.clf.device, "connect", denied)
    text = failure("usb:001:004")
    assert text.startswith("No permission to open the reader at usb:001:004.")
    assert "plugdev" in text


@pytest.mark.parametrize(("access", "sentence"), [(False, "No permission"), (True, "There is no")])
def test_usb_reader_that_nfcpy_passed_over(
    monkeypatch: pytest.MonkeyPatch, access: bool, sentence: str
) -> None:
    """For a path that is not complete nfcpy goes on to the next reader, and finds none."""
    monkeypatch.setattr(nfc.clf.device, "connect", lambda path: None)
    found = [(0x04E6, 0x5591, 1, 4)]
    monkeypatch.setattr(nfc.clf.transport.USB, "find", classmethod(lambda cls, path: found))
    monkeypatch.setattr("os.access", lambda path, mode: access)
    assert failure("usb").startswith(sentence)


def test_port_is_closed_when_the_chip_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []

    class Silent:
        TYPE = "TTY"
        port = "/dev/null"

        def __init__(self, port: str) -> None:
            pass

        def open(self, port: str, baud: int) -> None:
            pass

        def write(self, frame: bytes) -> None:
            pass

        def read(self, timeout: int) -> bytes:
            raise OSError(errno.ETIMEDOUT, "timed out")

        def close(self) -> None:
            closed.append(True)

    monkeypatch.setattr(nfc.clf.transport, "TTY", Silent)
    assert "does not answer" in failure("/dev/ttyUSB0")
    assert closed


@pytest.mark.parametrize(
    ("ats", "whole"),
    [
        ("0578807002", "0578807002"),
        ("0A788072020031C173C8", "0578807202"),
        ("0208", "0578004000"),
        ("0328B0", "057800B000"),
        ("0318A0", "0578A04000"),
        ("0648020031C1", "0578004002"),
        ("01", "0572004000"),
        ("", "0572004000"),
        ("0578", "0578004000"),  # cut off
    ],
)
def test_ats_as_nfcpy_needs_it(ats: str, whole: str) -> None:
    assert with_all_interface_bytes(bytes.fromhex(ats)).hex().upper() == whole
