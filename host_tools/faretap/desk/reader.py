"""The reader on the desk, driven by nfcpy: a field, a card in it, APDUs to the card.

Paths are nfcpy's (`usb`, `usb:04e6:5591`, `tty:USB0:pn532`, `com:COM7:pn532`) or a device's own
name, `/dev/ttyUSB0` or `COM7`, with `:arygon` behind it if it is not a PN532.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

from faretap.devices import UsbDevice, group_of, usb_devices

from .errors import CardLost, CardNonsense, NoCard, ReaderError
from .path import DRIVERS, device_of, serial_port
from .report import Radio

_PAUSE = 0.1  # seconds with the field off between polls; a phone needs two within 0.3 (polling)
_RETURN = 1.0  # seconds that a card has to come back after a field reset

# A card may ask for more time (WTX) and chain answers as often as it likes: these end it.
_MAX_FRAMES = 300
_MAX_SECONDS = 15.0
_MAX_FRAME_SECONDS = 5.0  # the longest frame waiting time, FWI 14, is 4.95 s

_DEFAULT_TB = 0x40  # FWI 4, SFGI 0 (ISO/IEC 14443-4, 5.2.5)


class Reader:
    """An open reader. `name` says what it is, without the path."""

    def __init__(
        self,
        frontend: Any,
        path: str,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.path = path
        self._frontend = frontend
        self._clock = clock
        self._pause = pause
        self._card: Any = None
        self._frames = _Frames(frontend, clock)
        device = frontend.device
        parts = (device.vendor_name, device.product_name, device.chipset_name)
        self.name = " ".join(filter(None, parts))

    def wait_for_card(self, seconds: float) -> Radio:
        """Poll until a card is activated; at least once. NoCard, or ReaderError."""
        deadline = self._clock() + seconds
        while True:
            radio = self._poll()
            if radio is not None:
                return radio
            left = deadline - self._clock()
            if left <= 0:
                raise NoCard(seconds)
            self._pause(min(_PAUSE, left))

    def reset(self) -> Radio | None:
        """Field off and on; the card's new activation, or None if none is there any more."""
        try:
            return self.wait_for_card(_RETURN)
        except NoCard:
            return None

    def transceive(self, command: bytes) -> bytes:
        """One APDU and its answer with the status word. CardLost, CardNonsense, ReaderError."""
        import nfc.clf
        import nfc.tag

        if self._card is None:
            raise CardLost(0)
        self._frames.begin()
        try:
            answer = self._card.transceive(bytes(command))
        except nfc.tag.TagCommandError as e:
            if e.errno == nfc.tag.PROTOCOL_ERROR:
                raise CardNonsense("block numbers do not fit") from e
            raise CardLost(0) from e
        except nfc.clf.ProtocolError as e:
            raise CardNonsense("illegal block") from e
        except nfc.clf.CommunicationError as e:
            raise CardLost(0) from e
        except IndexError as e:  # nfcpy looks into blocks without asking how long they are
            raise CardNonsense("a block that is too short") from e
        except OSError as e:
            raise _stopped(self.path) from e
        except _chip_errors() as e:
            raise _stopped(self.path) from e
        return bytes(answer or b"")

    def close(self) -> None:
        """Field off, chip asleep, port closed. Never raises."""
        self._card = None
        with contextlib.suppress(Exception):  # the reader may have been unplugged
            self._frontend.close()

    def _poll(self) -> Radio | None:
        """One field-off, field-on and activation."""
        import nfc.clf
        import nfc.tag.tt4

        self._card = None
        self._frames.begin()
        try:
            target = self._frontend.sense(nfc.clf.RemoteTarget("106A"), iterations=1)
            if target is None or not target.sdd_res:
                return None
            atqa = int.from_bytes(target.sens_res, "little")
            sak = target.sel_res[0]
            if sak & 0x20:
                self._card = nfc.tag.tt4.Type4ATag(self._frames, target)
        except nfc.clf.CommunicationError:
            return None  # gone again, or two cards that nobody could tell apart
        except OSError as e:
            raise _stopped(self.path) from e
        except _chip_errors() as e:
            raise _stopped(self.path) from e
        return Radio(bytes(target.sdd_res), atqa, sak, self._frames.ats if self._card else b"")


class _Frames:
    """nfcpy's frontend as its tags see it: keeps the ATS, and bounds what one APDU may take."""

    def __init__(self, frontend: Any, clock: Callable[[], float]) -> None:
        self._frontend = frontend
        self._clock = clock
        self.ats = b""
        self.begin()

    def begin(self) -> None:
        self._count = 0
        self._deadline = self._clock() + _MAX_SECONDS

    def exchange(self, frame: Any, timeout: float) -> Any:
        self._count += 1
        if self._count > _MAX_FRAMES or self._clock() > self._deadline:
            raise CardNonsense("it asks for more time without end")
        answer = self._frontend.exchange(frame, min(timeout, _MAX_FRAME_SECONDS))
        if frame[0] == 0xE0:  # RATS; no block begins so
            self.ats = bytes(answer or b"")
            return bytearray(with_all_interface_bytes(self.ats))
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._frontend, name)


def with_all_interface_bytes(ats: bytes) -> bytes:
    """`ats` with TA, TB and TC in their places, defaults for those that it leaves out.

    nfcpy takes the frame waiting time from the fourth byte, whatever T0 says that it is.
    """
    t0 = ats[1] if len(ats) > 1 else 0x02  # FSCI 2 (5.2.3)
    rest = list(ats[2 : ats[0] if ats else 0])
    values = []
    for bit, default in ((0x10, 0x00), (0x20, _DEFAULT_TB), (0x40, 0x00)):
        values.append(rest.pop(0) if t0 & bit and rest else default)
    return bytes([5, 0x70 | t0 & 0x0F, *values])


@contextlib.contextmanager
def open_reader(path: str) -> Iterator[Reader]:
    """The reader at `path`, closed afterwards. ReaderError says why it cannot be had."""
    try:
        import nfc  # noqa: F401
    except (ImportError, OSError) as e:  # OSError: the shared library of libusb
        raise ReaderError(
            f"The reader's driver cannot be loaded: {e}.", "Install nfcpy and libusb 1.0."
        ) from e
    # nfcpy logs every frame at level DEBUG: card numbers in clear.
    logging.getLogger("nfc").setLevel(logging.WARNING)
    frontend = open_frontend(path)
    reader = Reader(frontend, path)
    try:
        yield reader
    finally:
        reader.close()


def open_frontend(path: str) -> Any:
    import nfc

    device, driver = _device_of(path)
    frontend = nfc.ContactlessFrontend()
    try:
        if device:
            frontend.device = _direct(device, driver)
        elif not path or not frontend.open(path):
            raise OSError(errno.ENODEV, "no reader")
    except OSError as e:
        raise _cannot_open(path, e, serial=bool(device) or path[:3] in ("tty", "com")) from e
    except (ImportError, TypeError) as e:
        raise _no_such_path(path) from e
    except IndexError as e:  # an answer too short for nfcpy to look into
        raise _silent(path) from e
    except _chip_errors() as e:
        raise _silent(path) from e
    return frontend


def _device_of(path: str) -> tuple[str, str]:
    try:
        return device_of(path)
    except ValueError:
        raise _no_such_path(path) from None


def _direct(device: str, driver: str) -> Any:
    """nfcpy finds only devices that stand directly in /dev; this is the rest of its search."""
    import nfc.clf.transport

    module = importlib.import_module(f"nfc.clf.{driver}")
    tty = nfc.clf.transport.TTY(device)
    try:
        opened = module.init(tty)
    except BaseException:
        with contextlib.suppress(Exception):
            tty.close()
        raise
    opened._path = device
    return opened


def _chip_errors() -> tuple[type[Exception], ...]:
    """What nfcpy's drivers raise for a chip that refuses or garbles a command."""
    from nfc.clf import UnsupportedTargetError, pn53x

    return (pn53x.Chipset.Error, UnsupportedTargetError, ValueError, AssertionError)


# Errors in words


def _stopped(path: str) -> ReaderError:
    return ReaderError(
        f"The reader at {path} stopped answering.",
        "Unplug it, plug it in again, and check its cable.",
    )


def _silent(path: str) -> ReaderError:
    return ReaderError(
        f"What is at {path} does not answer as a reader of that kind.",
        "Unplug it and plug it in again; if it stays so, name another driver behind the path "
        f"({', '.join(DRIVERS)}).",
    )


def _no_such_path(path: str) -> ReaderError:
    return ReaderError(
        f"{path or 'An empty string'} is no path to a reader.",
        "Use usb, usb:VENDOR:PRODUCT, tty:USB0:pn532, com:COM7:pn532, or a device such as "
        "/dev/ttyUSB0.",
    )


def _cannot_open(path: str, e: OSError, *, serial: bool) -> ReaderError:
    text = str(e)
    if e.errno in (errno.EACCES, errno.EPERM) or "ermission" in text:
        return _forbidden(path, serial)
    held = None if serial else _held(path)
    if held is not None:
        return held
    if e.errno in (errno.EBUSY, errno.EAGAIN) or "exclusively lock" in text:
        return ReaderError(
            f"The reader at {path} is in use by another program.",
            "Close that program and try again.",
        )
    if path == "usb" and _usb_without_access():
        return _forbidden(path, serial)
    if e.errno == errno.ENOENT or text.endswith("no reader") or "could not open port" in text:
        if not re.match(r"(usb|tty|com|udp|/|COM\d)", path):
            return _no_such_path(path)
        return ReaderError(f"There is no reader at {path}.", f"Plug it in; {_serial_ports()}.")
    return _silent(path)


def _forbidden(path: str, serial: bool) -> ReaderError:
    usual = "dialout" if serial else "plugdev"
    nodes = [serial_port(path)] if serial else [device.node for device in _readers(path)]
    group = group_of(nodes[0], usual) if nodes else f"often {usual}"
    return ReaderError(
        f"No permission to open the reader at {path}.",
        f"Add yourself to the group that owns it ({group}) and log in again.",
    )


def _readers(path: str) -> list[UsbDevice]:
    """The readers on USB that a path of nfcpy's may mean."""
    from nfc.clf.device import usb_device_map

    found = [d for d in usb_devices() if (d.vendor, d.product) in usb_device_map]
    if ids := re.fullmatch(r"usb:([0-9a-fA-F]{4})(?::([0-9a-fA-F]{4}))?", path):
        wanted = [int(text, 16) for text in ids.groups() if text]
        found = [d for d in usb_devices() if [d.vendor, d.product][: len(wanted)] == wanted]
    elif place := re.fullmatch(r"usb:(\d{1,3})(?::(\d{1,3}))?", path):
        wanted = [int(text) for text in place.groups() if text]
        found = [d for d in usb_devices() if [d.bus, d.number][: len(wanted)] == wanted]
    return found


def _held(path: str) -> ReaderError | None:
    """Why a reader on USB cannot be had though it is there: the kernel or another program has it.

    nfcpy passes such a reader over where the path does not name it alone.
    """
    for device in _readers(path):
        which = f"The reader {device.vendor:04x}:{device.product:04x}"
        if device.driver == "usbfs":
            return ReaderError(
                f"{which} is in use by another program.",
                "Often that is pcscd: sudo systemctl stop pcscd.socket pcscd.service.",
            )
        if device.driver:
            return ReaderError(
                f"{which} is held by the kernel's driver {device.driver}.",
                f"Unload its module: sudo modprobe -r {device.module}. To keep it away, write "
                f"`blacklist {device.module}` into /etc/modprobe.d/faretap.conf.",
            )
    return None


def _serial_ports() -> str:
    import serial.tools.list_ports

    names = ", ".join(p.device for p in serial.tools.list_ports.comports())
    return f"serial ports here: {names or 'none'}"


def _usb_without_access() -> bool:
    """A reader that nfcpy knows is plugged in, but it passed it over for want of permission."""
    from nfc.clf.device import usb_device_map
    from nfc.clf.transport import USB

    with contextlib.suppress(Exception):
        for vendor, product, bus, number in USB.find("usb"):
            node = f"/dev/bus/usb/{bus:03}/{number:03}"
            if (vendor, product) in usb_device_map and not os.access(node, os.R_OK | os.W_OK):
                return True
    return False
