"""Two who claim one device: one of them is told who has it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from faretap.rack.file import RackError
from faretap.rack.locks import LOOK, Claim, Held, device_of, holder_of, lock_folder

HOLDER = """
import sys
import threading
import time
from faretap.rack.locks import Claim
claim = Claim({sys.argv[1]: "The thing"}, "the slot x of the rack y")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other() -> Iterator[subprocess.Popen[str]]:
    """Another process that holds `/dev/thing`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, "/dev/thing"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_device_has_one_name_for_locks(tmp_path: Path) -> None:
    device = tmp_path / "ttyUSB0"
    device.touch()
    link = tmp_path / "by-id"
    link.symlink_to(device)
    assert device_of(str(link)) == device_of(str(device)) == str(device.resolve())
    assert device_of("com7") == device_of("COM7") == "COM7"
    assert device_of("rfc2217://127.0.0.1:4000") == device_of("socket://LOCALHOST:4000/")
    assert device_of("rfc2217://127.0.0.1:4000") != device_of("rfc2217://127.0.0.1:4001")
    assert device_of("rfc2217://no.such.host.invalid:1") == "no.such.host.invalid:1"


def test_another_process_is_named_with_what_it_is(other: subprocess.Popen[str]) -> None:
    with pytest.raises(Held) as caught:
        Claim({"/dev/thing": "The port /dev/thing"}, "me")
    assert str(caught.value) == (
        f"The port /dev/thing is in use by the slot x of the rack y (process {other.pid}). "
        "Wait for that, or stop it."
    )
    assert holder_of(["/dev/free", "/dev/thing"]) == (
        f"the slot x of the rack y (process {other.pid})"
    )


def test_a_killed_process_holds_nothing(other: subprocess.Popen[str]) -> None:
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    with Claim({"/dev/thing": "The port"}, "me"):
        assert holder_of(["/dev/thing"]) == f"me (process {os.getpid()})"
    assert holder_of(["/dev/thing"]) is None


def test_children_do_not_keep_a_lock(tmp_path: Path) -> None:
    claim = Claim({"/dev/thing": "The port"}, "me")
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        claim.release()
        Claim({"/dev/thing": "The port"}, "me again").release()
        assert child.stdin is not None
        child.stdin.close()


def test_one_process_is_no_exception() -> None:
    with Claim({"a": "A"}, "one"), pytest.raises(Held, match="A is in use by one"):
        Claim({"a": "A"}, "two")


def test_all_or_none() -> None:
    with Claim({"b": "B"}, "one"):
        with pytest.raises(Held, match="B is in use by one"):
            Claim({"c": "C", "b": "B", "a": "A"}, "two")
        assert holder_of(["a", "c"]) is None


def test_the_folder_is_everybodys() -> None:
    assert lock_folder().stat().st_mode & 0o7777 == 0o1777
    Claim({"a": "A"}, "one").release()
    assert [p.stat().st_mode & 0o777 for p in lock_folder().iterdir()] == [0o666]


def test_a_link_in_place_of_a_lock_is_not_followed(tmp_path: Path) -> None:
    Claim({"a": "A"}, "one").release()
    (lock,) = lock_folder().iterdir()
    lock.unlink()
    victim = tmp_path / "victim"
    victim.write_text("precious")
    lock.symlink_to(victim)
    with pytest.raises(RackError, match="The lock .* cannot be opened: .*FARETAP_LOCKS"):
        Claim({"a": "A"}, "one")
    assert victim.read_text() == "precious"


def test_a_lock_with_anything_in_it_still_locks() -> None:
    with Claim({"a": "A"}, "one"):
        (lock,) = lock_folder().iterdir()
        for text in (b"", b"{", b"[]", b"\xff\x00", b'{"holder": 1}'):
            lock.write_bytes(text)
            with pytest.raises(Held, match="A is in use by another process"):
                Claim({"a": "A"}, "two")


@pytest.mark.parametrize("folder", ["/proc/locks", "/proc/none/locks"])
def test_a_folder_that_cannot_be_made_is_named(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FARETAP_LOCKS", folder)
    with pytest.raises(RackError, match=f"The folder of locks {folder} cannot be made"):
        lock_folder()


def test_host_names_are_looked_up() -> None:
    address = socket.getaddrinfo("localhost", None, socket.AF_INET)[0][4][0]
    assert device_of("rfc2217://localhost:7") == f"{address}:7"


def test_a_look_is_waited_for_and_does_not_wait() -> None:
    begun = time.monotonic()
    look = Claim({"a": "A"}, LOOK)
    threading.Timer(0.2, look.release).start()
    with Claim({"a": "A"}, "one"):
        assert time.monotonic() - begun >= 0.2
        with pytest.raises(Held):
            Claim({"a": "A"}, LOOK)
        begun = time.monotonic()
        with pytest.raises(Held):
            Claim({"a": "A"}, "two", wait=0.2)
        assert time.monotonic() - begun >= 0.2
