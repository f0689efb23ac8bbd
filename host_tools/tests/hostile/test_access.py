"""An access key signs for the validator that this host was told to reach, and for no other."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from faretap import access, known
from faretap.config.keys import create
from faretap.link import Link, open_port
from tests.hostile.conftest import Run
from tests.hostile.device import INFO, SERIAL, Device, device, good

OTHER = "02fae0000000"
KEY = ec.generate_private_key(ec.SECP256R1())
NEED = {
    "code": -32000,
    "message": "reading records in service needs a session",
    "data": {"need": "records"},
}

pytestmark = pytest.mark.timeout(60)


def rogue(serial: str = SERIAL, challenge: str = SERIAL) -> dict[str, Any]:
    """Says that it is `serial`, and wants a signature for `challenge`."""
    calls = good()
    calls["info"] = {**INFO, "serial": serial, "life_cycle": "service"}
    calls["session.challenge"] = {"nonce": "ab" * 16, "serial": challenge}
    calls["session.open"] = {"session": "ab12", "name": "depot", "rights": ["records"]}
    calls["session.close"] = {}
    return calls


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "depot.pem"
    create(path, "passphrase-1")
    monkeypatch.setenv("FARETAP_KNOWN", str(tmp_path / "known.json"))
    monkeypatch.setenv("FARETAP_PASSPHRASE", "passphrase-1")
    return path


def needing(calls: dict[str, Any]) -> Device:
    made = Device(calls)
    made.errors["records.read"] = NEED
    return made


def test_nobody_said_which(run: Run, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(access.VARIABLE, str(key))
    dev = needing(rogue(OTHER))
    said = run("records", "--port", dev.url).sentence()
    dev.close()
    assert "--serial" in said and OTHER in said
    assert "session.open" not in dev.seen and "session.challenge" not in dev.seen


@pytest.mark.parametrize(
    ("claims", "challenge"), [(OTHER, SERIAL), (SERIAL, OTHER), (OTHER, OTHER)], ids=str
)
@pytest.mark.parametrize("way", ["option", "variable"])
def test_another_than_was_told(
    run: Run, key: Path, claims: str, challenge: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(access.VARIABLE, str(key))
    dev = needing(rogue(claims, challenge))
    words = ["records", "--port", dev.url]
    if way == "option":
        words += ["--serial", "02:FA:E4:25:AA:C3"]
    else:
        monkeypatch.setenv(access.SERIAL, SERIAL)
    said = run(*words).sentence()
    dev.close()
    monkeypatch.delenv(access.SERIAL, raising=False)
    assert SERIAL in said and OTHER in said
    assert "session.open" not in dev.seen


def test_the_one_that_was_told_gets_a_session_and_it_is_closed(
    run: Run, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(access.VARIABLE, str(key))
    monkeypatch.setenv(access.SERIAL, SERIAL)
    dev = needing(rogue())
    run("records", "--port", dev.url).sentence()  # refused for ever: asked twice, not more
    dev.close()
    assert dev.seen.count("session.open") == 1 and dev.seen[-1] == "session.close"


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_a_session_ends_however_the_command_does(error: type[BaseException]) -> None:
    from faretap.session import connect

    with device(rogue()) as dev:
        with pytest.raises(error), connect(dev.url, serial=SERIAL) as session:
            access.open_session(session.link, KEY, SERIAL)
            assert session.link.session == "ab12"
            raise error
        assert dev.seen[-1] == "session.close"


def test_a_killed_command_closes_its_session(key: Path, tmp_path: Path) -> None:
    import os

    dev = Device(rogue())
    words = [
        "import sys; from faretap import access, cli; from faretap.session import connect; ",
        "from faretap.config.keys import load; from pathlib import Path\n",
        "from faretap.cli.common import app\n",
        "def body():\n",
        f"    with connect({dev.url!r}, serial={SERIAL!r}) as s:\n",
        f"        access.open_session(s.link, load(Path({str(key)!r}), ",
        f"lambda: 'passphrase-1'), {SERIAL!r})\n",
        "        print('open', flush=True); sys.stdin.read()\n",
        "cli.app = lambda **options: body()\ncli.main()\n",
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", "".join(words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=dict(os.environ),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"open\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    dev.close()
    assert process.returncode == 143 and dev.seen[-1] == "session.close"


def test_asked_once_and_not_shown_before(
    key: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with device(rogue(OTHER)) as dev, Link(open_port(dev.url), name=dev.url) as link:
        asked: list[str] = []

        def person(question: str) -> str:
            asked.append(question)
            return "00:00:00\n"

        assert access.reached(link, ask=person) == OTHER
        assert OTHER not in asked[0] and "000000" not in asked[0]
        assert access.reached(link, ask=person) == OTHER and len(asked) == 1
        # At the same port, another validator: asked again, and the one before is forgotten.
        dev.calls["info"]["serial"] = SERIAL
        assert access.reached(link, ask=lambda question: "25aac3") == SERIAL
        dev.calls["info"]["serial"] = OTHER
        assert access.reached(link, ask=person) == OTHER and len(asked) == 2


@pytest.mark.parametrize("typed", ["", "\n", "y\n", "yes", "0000", "000001", OTHER[:-1] + "1"])
def test_a_person_who_names_another(key: Path, typed: str) -> None:
    with (
        device(rogue(OTHER)) as dev,
        Link(open_port(dev.url), name=dev.url) as link,
        pytest.raises(access.AccessError, match="Nothing was signed"),
    ):
        access.reached(link, ask=lambda question: typed)
    assert not known.file().exists()


def test_at_a_terminal(key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shown = Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal(OTHER + "\n"))
    monkeypatch.setattr(sys, "stderr", shown)
    with device(rogue(OTHER)) as dev, Link(open_port(dev.url), name=dev.url) as link:
        assert access.reached(link) == OTHER
    assert "label" in shown.getvalue() and OTHER not in shown.getvalue()


def test_what_is_remembered(key: Path) -> None:
    port = "socket://127.0.0.1:9"
    known.remember(port, SERIAL, now=1_000_000)
    assert known.recall(port, now=1_000_000 + known.SHIFT_S - 1) == SERIAL
    assert known.recall(port, now=1_000_000 + known.SHIFT_S) == ""
    assert known.recall(port, now=999_999) == ""  # the clock went back
    assert known.recall("socket://127.0.0.1:8", now=1_000_000) == ""
    assert known.file().stat().st_mode & 0o077 == 0
    known.remember(port, OTHER, now=1_000_000)
    assert SERIAL not in known.file().read_text()
    for n in range(300):
        known.remember(f"socket://127.0.0.1:{n + 10}", SERIAL, now=1_000_000)
    assert known.file().stat().st_size < 1 << 16


@pytest.mark.parametrize("text", ["", "{", "[" * 9000, "[1]", '[{"port": 1, "at": "x"}]', "\0"])
def test_a_memory_that_is_none(key: Path, text: str) -> None:
    known.file().write_text(text)
    assert known.recall("socket://127.0.0.1:9") == ""
    known.remember("socket://127.0.0.1:9", SERIAL)
    assert known.recall("socket://127.0.0.1:9") == SERIAL


@pytest.mark.parametrize("text", ["x", "02fae4", "02fae425aac3ff.", "../..", "0" * 90])
def test_a_serial_that_is_none(text: str) -> None:
    with pytest.raises(access.AccessError, match="serial"):
        access.as_serial(text)


def test_a_rack_names_its_validators() -> None:
    import inspect

    from faretap.rack import machines

    source = inspect.getsource(machines)
    assert source.count("connect(") == source.count("def connect(") + source.count("serial=")


@pytest.mark.parametrize("method", ["info", "session.challenge", "session.open"])
def test_no_session_to_open_one(
    run: Run, key: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each would ask for the next, without end."""
    monkeypatch.setenv(access.VARIABLE, str(key))
    monkeypatch.setenv(access.SERIAL, SERIAL)
    dev = needing(rogue())
    dev.errors[method] = NEED
    run("records", "--port", dev.url).sentence()
    dev.close()
    assert dev.seen.count(method) <= 3


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """As at a terminal: whoever starts the tests in the background has SIGINT ignored."""
    if threading.main_thread() is not threading.current_thread():
        pytest.skip("signals reach the main thread, and this is none")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_before_the_token_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The validator gives a session all the same: it is closed."""
    from faretap.session import connect

    person = threading.get_ident()
    waiting, broken = threading.Event(), threading.Event()

    class Watched(threading.Event):
        """Tells when the command begins to wait for the token, and when Ctrl-C has ended that."""

        def wait(self, timeout: float | None = None) -> bool:
            if timeout is not None:
                broken.set()
                return super().wait(timeout)
            waiting.set()
            return super().wait()

    def opened(params: dict[str, Any], say: Any) -> Any:
        assert waiting.wait(20)
        if not broken.is_set():
            signal.pthread_kill(person, signal.SIGINT)
        assert broken.wait(20)
        return {"session": "ab12", "name": "depot", "rights": ["records"]}

    calls = rogue()
    calls["session.open"] = opened
    with device(calls) as dev, connect(dev.url, serial=SERIAL) as session:
        with monkeypatch.context() as patch:
            patch.setattr(access, "_done", Watched)
            with pytest.raises(KeyboardInterrupt):
                access.open_session(session.link, KEY, SERIAL)
        session.close()
        assert dev.seen[-1] == "session.close"


def test_a_memory_that_others_can_write(key: Path) -> None:
    """Who writes it names the validator that a key signs for."""
    known.remember("/dev/ttyUSB0", SERIAL, now=1000)
    assert known.recall("/dev/ttyUSB0", now=1001) == SERIAL
    known.file().chmod(0o622)
    assert known.recall("/dev/ttyUSB0", now=1001) == ""


def test_nobody_has_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in (known.VARIABLE, "XDG_STATE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", home)
    known.remember("/dev/ttyUSB0", SERIAL)
    assert known.recall("/dev/ttyUSB0") == ""
