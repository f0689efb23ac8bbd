"""A validator that lies, floods, trickles and never ends: one sentence, status 1, and an end."""

from __future__ import annotations

import ast
import base64
import contextlib
import json
import random
import re
import threading
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

import faretap
from faretap.image.container import make
from faretap.link import answers
from faretap.records import lines
from faretap.records.model import link
from tests.config import bundles
from tests.hostile.conftest import Run
from tests.hostile.device import INFO, JOURNAL, SERIAL, Say, block, device, good, message
from tests.lists.test_build import made, tokens
from tests.update.test_container import small_app
from validator.store import record

pytestmark = pytest.mark.timeout(60)

ESCAPES = "\x1b]0;pwned\x07\x1b[2J\x9b31m[/bold][link=http://x] \u202e\ud800 \\[/red]"
COMMANDS = {
    "info": ("info",),
    "info --json": ("info", "--json"),
    "records": ("records",),
    "records --json": ("records", "--json"),
    "records pull": ("records", "pull", "--out", "home"),
    "records ack": ("records", "ack", "mine.jsonl", "--to", "1"),
    "config show": ("config", "show"),
    "config pull": ("config", "pull"),
    "lists show": ("lists", "show", "--find", "00" * 8),
    "update --history": ("update", "--history"),
    "update --history --json": ("update", "--history", "--json"),
    "screen": ("screen",),
    "clock": ("clock",),
    "clock --json": ("clock", "--json"),
    "log": ("log", "--seconds", "0.01"),
    "log --json": ("log", "--seconds", "0.01", "--json"),
    "clock --set": ("clock", "--set"),
    "update": ("update", "image.ftu", "--later"),
    "lists push": ("lists", "push", "denied.ftl"),
    "config push": ("config", "push", "bundle.ftc"),
    "tap": ("tap", "--card", "quickpass-debit", "--via", "link"),
    "scan": ("scan", "--code", "mot", "--via", "link"),
    "records pull --ack": ("records", "pull", "--ack", "--out", "home"),
    "rack status": ("rack", "status", "--rack", "rack.toml"),
    "rack status --json": ("rack", "status", "--rack", "rack.toml", "--json"),
}
BODY = bytes(
    record.encode(
        {
            "seq": 1,
            "time": 1893456000,
            "clock_trusted": True,
            "test": True,
            "medium": "tunion",
            "outcome": "declined",
            "reason": "unverified",
            "token": bytes(8),
            "phases": {"detect": 1, "select": 2, "read": 3, "verify": 4, "decide": 5},
            "boot": 3,
            "uptime": 1,
        }
    )
)
WIRE = {"seq": 1, "body": BODY.hex(), "after": "ff" * 5, "chain": link(bytes(8), BODY).hex()}
HOME = lines.packed({"validator": SERIAL, "format": 2}) + lines.packed(WIRE)
"""The file of the validator's only record, as `records ack` wants it."""


@lru_cache
def given() -> dict[str, bytes]:
    return {
        "image.ftu": make(small_app()).to_bytes(),
        "denied.ftl": made(tokens(10, 1), 5),
        "mine.jsonl": HOME,
        "bundle.ftc": bundles.bundles()["V1"],
    }


def at(command: str, url: str) -> list[str]:
    """The words of a command for the validator at `url`, and what it is given, in files here."""
    for name, data in given().items():
        Path(name).write_bytes(data)
    slot = f'[[slot]]\nname = "a"\nboard = "ESP32_BUS"\nport = "{url}"\n'
    Path("rack.toml").write_text("format = 1\n" + slot)
    words = list(COMMANDS[command])
    return words if words[0] == "rack" else [*words, "--port", url]


def fine(command: str) -> dict[str, Any]:
    """What a good validator answers."""
    calls = good()
    if command == "records ack":
        calls["records.read"]["records"] = [WIRE]
    return calls


BAD: list[Any] = [
    None,
    [],
    {},
    "",
    "x",
    5,
    -1,
    True,
    1.5,
    2**32,
    2**63,
    10**20 // 3 * 3 % 2**64,
    253402300800,
    ESCAPES,
    "../../../../tmp/evil",
    "A" * 9000,
    [[[[1]]]],
    [ESCAPES] * 300,
    {ESCAPES: ESCAPES},
    {"a": {"b": [{"c": ESCAPES}]}},
]


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [at]
    if isinstance(value, dict):
        for key in value:
            found += places(value[key], (*at, key))
    elif isinstance(value, list):
        for n, each in enumerate(value):
            found += places(each, (*at, n))
    return found


def spoilt(value: Any, at: tuple[Any, ...], bad: Any, gone: bool = False) -> Any:
    if not at:
        return bad
    below = value
    for key in at[:-1]:
        below = below[key]
    if gone:
        del below[at[-1]]
    else:
        below[at[-1]] = bad
    return value


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A validator that is busy for ever, or does not come back, is given up soon."""
    from faretap.cli import config
    from faretap.link import transfer

    monkeypatch.setattr(transfer, "_PATIENCE_S", 0.3)
    monkeypatch.setattr(config, "_RESTART_S", 0.1)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("command", COMMANDS)
def test_any_answer(run: Run, command: str) -> None:
    """Each command, with something wrong at any place of any answer that it gets."""
    chance = random.Random(command)
    with device(fine(command)) as dev:
        run(*at(command, dev.url)).plain()
        asked = [name for name in dict.fromkeys(dev.seen) if name in dev.calls]
    assert asked
    for _ in range(6):
        calls = fine(command)
        if chance.random() < 0.1:
            calls["info"]["mode"] = "safe"
        method = chance.choice(asked)
        where = chance.choice(places(calls[method]))
        bad, gone = chance.choice(BAD), bool(where) and chance.random() < 0.2
        calls[method] = spoilt(calls[method], where, bad, gone)
        if calls[method] is None:
            calls[method] = lambda params, say: message(b'{"id": 1}')
            continue
        with device(calls) as dev:
            done = run(*at(command, dev.url)).plain()
        assert done.status in (0, 1, 2), (method, where, bad, done)
        if done.status == 1 and done.err:
            done.sentence()
        if "--json" in command and done.status == 0:
            text = done.out.replace("}\n{", "}\n\x00{")
            for piece in filter(None, text.split("\x00")):
                json.loads(piece)
    assert [path.name for path in Path().iterdir() if "evil" in path.name] == []


REFUSALS: list[Any] = [
    *([], "x", [{}], {"reason": {}}, {"reason": [ESCAPES]}, {"kind": []}, {"kind": {"a": []}}),
    *({"kind": "again", "ms": {}}, {"kind": "again", "ms": 10**9}, {"need": []}, {"need": None}),
]


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("command", COMMANDS)
def test_any_refusal(run: Run, command: str) -> None:
    """Each call of each command refused, with anything in the place of what says why."""
    chance = random.Random(command)
    with device(fine(command)) as dev:
        run(*at(command, dev.url)).plain()
        asked = [name for name in dict.fromkeys(dev.seen) if name in dev.calls]
    for method in asked:
        for data in chance.sample(REFUSALS, 3):
            with device(fine(command)) as dev:
                dev.errors[method] = {"code": -32000, "message": chance.choice(BAD), "data": data}
                done = run(*at(command, dev.url)).plain()
            assert done.status in (0, 1), (method, data, done)
            if done.status == 1 and done.err.strip():
                assert done.err.strip().splitlines()[-1].startswith("error: "), (method, done)


@pytest.mark.parametrize("field", ["board", "version", "micropython", "reset_cause", "fault"])
def test_escapes_are_shown(run: Run, field: str) -> None:
    calls = good()
    calls["info"][field] = ESCAPES[:60]
    with device(calls) as dev:
        run("info", "--port", dev.url).plain()
        assert "\\x1b]0;pwned" in run("info", "--port", dev.url, "--json").plain().out


@pytest.mark.parametrize("method", sorted(answers.CALLS))
@pytest.mark.parametrize(
    "error",
    [
        "boom",
        [],
        {},
        {"code": "x", "message": 5},
        {"code": -32000, "message": ESCAPES},
        {"code": -32000, "message": "A" * 100_000, "data": {"need": 1, "reason": ESCAPES}},
        {"code": True, "message": None, "data": [[[[ESCAPES]]]]},
    ],
    ids=lambda error: type(error).__name__ + str(len(str(error))),
)
def test_errors_that_are_none(method: str, error: Any) -> None:
    from faretap.link import Link, LinkError, open_port

    with device() as dev:
        dev.errors[method] = error
        with Link(open_port(dev.url)) as link, pytest.raises(LinkError) as told:
            link.call(method)
    assert str(told.value).isprintable() and len(str(told.value)) < 700


@pytest.mark.parametrize(
    "serial",
    ["../../evil", "/tmp/evil", "", "x", "02FAE425AAC3", "02fae425aac3\n", "..", "a" * 99],
)
def test_a_serial_is_hex_digits(run: Run, serial: str) -> None:
    calls = good()
    calls["info"]["serial"] = serial
    with device(calls) as dev:
        said = run("records", "pull", "--out", "home", "--port", dev.url).sentence()
    assert "serial" in said
    assert not Path("home").exists()


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 20_000,
        b'{"id":1e999}',
        b'{"id":' + b"9" * 100_000 + b"}",
        b"\xff" * 5000,
        b"x" * 300_000,
    ],
    ids=lambda body: f"{body[:8]!r} {len(body)}",
)
def test_frames_that_are_too_much(run: Run, body: bytes) -> None:
    """They cost a retry, whoever sends them and when."""
    calls = good()
    once: list[int] = []

    def first(params: Any, say: Say) -> Any:
        once.append(1)
        return message(body) if len(once) == 1 else INFO

    calls["info"] = first
    with device(calls, hello=lambda say: say(message(body))) as dev:
        assert run("info", "--port", dev.url).plain().status == 0


def test_a_frame_without_an_end(run: Run) -> None:
    ended = threading.Event()

    def trickle(params: Any, say: Say) -> None:
        def go() -> None:
            with contextlib.suppress(OSError):
                say(b"\x1e{")
                while not ended.wait(0.05):
                    say(b"x")

        threading.Thread(target=go, daemon=True).start()

    calls = good()
    calls["info"] = trickle
    with device(calls) as dev:
        run("info", "--port", dev.url).sentence()
        ended.set()


FLOODS = {
    "notifications": message({"method": "tap", "params": {"x": "A" * 900}}) * 50,
    "log records": message(
        {"method": "log", "params": {"ms": 1, "level": "x", "area": "y", "text": "z" * 900}}
    )
    * 50,
    "calls": b"".join(
        message({"id": f"q{n}", "method": "card.transceive", "params": {"apdu": "00" * 200}})
        for n in range(50)
    ),
    "zeros": bytes(65536),
    "markers": b"\x1e" * 4096,
    "block marks": b"\x1d" * 4096,
    "credits": block(0, 0, b"\xff\xff") * 500,
    "odd": message({"method": ["x"], "params": "q"}) + message([1]) + message(b"5"),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_floods(run: Run, flood: str) -> None:
    """Without end, from the first moment on: the command ends all the same."""

    def go(say: Say) -> None:
        def forever() -> None:
            try:
                while True:
                    say(FLOODS[flood])
            except OSError:
                pass

        threading.Thread(target=forever, daemon=True).start()

    with device(hello=go) as dev:
        done = run("info", "--port", dev.url).plain()
    assert done.status in (0, 1)


def piece(seq: int, size: int = 100) -> bytes:
    record = seq.to_bytes(4, "big") + b"\x01" + bytes(5) + bytes(8) + b"R" * size
    return (seq + 1).to_bytes(4, "big") + len(record).to_bytes(2, "big") + b"\0" + record


def endless(params: dict[str, Any], say: Say) -> Any:
    for n in range(64):
        say(block(3, n, piece(params["from"] + n)))
    return {"blocks": 64, "next": params["from"] + 64, "more": True}


def backwards(params: dict[str, Any], say: Say) -> Any:
    say(block(3, 0, piece(7)) + block(3, 1, piece(3)))
    return {"blocks": 2, "next": 4, "more": True}


def stands(params: dict[str, Any], say: Say) -> Any:
    for n in range(64):
        say(block(3, n, piece(0)))
    return {"blocks": 64, "next": 1, "more": True}


@pytest.mark.parametrize(
    "pull",
    [endless, backwards, stands, {"blocks": 0, "more": True}, {"blocks": 9, "more": True}, {}],
    ids=["endless", "backwards", "stands", "nothing", "lost", "empty"],
)
def test_records_in_bulk_have_an_end(run: Run, pull: Any) -> None:
    calls = good()
    calls["records.info"] = dict(JOURNAL, next=5)
    calls["transfer.pull"] = pull
    with device(calls) as dev:
        done = run("records", "pull", "--out", "home", "--port", dev.url)
    done.sentence()
    assert sum(path.stat().st_size for path in Path("home").glob("*")) < 1 << 20


@pytest.mark.parametrize(
    "read",
    [
        lambda p, say: {"records": [], "contexts": [], "next": p["from"] + 1},
        lambda p, say: {"records": [], "contexts": [], "next": p["from"]},
        {"records": [{"seq": 10**30, "body": "", "after": "", "chain": "00" * 8}], "next": None},
        {"records": [{"seq": 1, "body": "zz", "after": "", "chain": "00" * 8}], "next": None},
        {"records": [{"seq": 1, "body": "ff" * 60, "after": "00" * 5, "chain": "00" * 8}],
         "next": None},
        {"records": [], "contexts": ["xyz"], "next": None},
        {"records": 5, "next": None},
    ],
    ids=range(7),
)  # fmt: skip
def test_records_that_are_none(run: Run, read: Any) -> None:
    calls = good()
    calls["records.read"] = read
    with device(calls) as dev:
        run("records", "--port", dev.url).sentence()


def member(text: bytes, left: Any) -> Callable[[Any, Say], Any]:
    def read(params: Any, say: Say) -> Any:
        if "name" not in params:
            return {"names": ["cards"]}
        return {"data": base64.b64encode(text).decode(), "left": left}

    return read


@pytest.mark.parametrize(
    "read",
    [
        member(b"A" * 480, 1),
        member(b"", 1),
        member(b"not json", 0),
        member(b"[" * 400, 0),
        member(b'{"a": 1e999}', 0),
        member(b"{}", -1),
        member(b"{}", 1 << 60),
        {},
        {"names": "cards"},
        {"names": ["a"] * 100},
    ],
    ids=range(10),
)
def test_a_configuration_has_an_end(run: Run, read: Any) -> None:
    calls = good()
    calls["config.read"] = read
    with device(calls) as dev:
        run("config", "pull", "--port", dev.url).sentence()


def test_a_configuration_of_escapes(run: Run) -> None:
    calls = good()
    text = json.dumps({"vehicle": ESCAPES[:40], ESCAPES[:9]: [ESCAPES[:30]]}).encode()
    calls["config.read"] = member(text, 0)
    with device(calls) as dev:
        assert "\\x1b" in run("config", "pull", "--port", dev.url).plain().out


@pytest.mark.parametrize(
    "error", [KeyError("us"), ZeroDivisionError(ESCAPES), TypeError(), IndexError()], ids=repr
)
def test_figures_that_are_none(
    run: Run, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    from faretap.cli import bench

    def everything(*args: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr(bench, "everything", everything)
    with device() as dev:
        assert "figures" in run("bench", "--port", dev.url).sentence()


# -- what must hold for every call, also for those that nobody has written yet -----------------


HERE = Path(faretap.__file__).parent


def called(folder: Path) -> dict[str, str]:
    """Names in `….call("name", …)` on a link, and where."""
    found = {}
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and node.args):
                continue
            name = node.args[0]
            does = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if does not in ("call", "_call") or not isinstance(name, ast.Constant):
                continue
            of = ast.unparse(node.func)
            if isinstance(name.value, str) and "bench" not in of and of != "self.call":
                found[name.value] = f"{path.name}:{node.lineno}"
    return found


def test_every_call_has_a_model() -> None:
    used = called(HERE)
    assert len(used) > 20
    assert {name: at for name, at in used.items() if name not in answers.CALLS} == {}


def _listed(text: str) -> str:
    """calls_config.py's names, which it registers in a loop."""
    found = re.search(r'for name in \(([^)]*)\):\s+peer\.register\("config\."', text)
    return found[1] if found else ""


def test_every_call_of_the_firmware_has_a_model() -> None:
    firmware = HERE.parents[1] / "firmware"
    names = set()
    for path in [*firmware.glob("validator/**/*.py"), *firmware.glob("loader/*.py")]:
        text = path.read_text(encoding="utf-8")
        names |= set(re.findall(r'register\(\s*"([a-z.]+)",', text))
        names |= {f"config.{name}" for name in re.findall(r'"(\w+)"', _listed(text))}
        names |= set(re.findall(r'^ +\("([a-z]+(?:\.[a-z]+)?)", self\.', text, re.MULTILINE))
    assert {"info", "transfer.pull", "session.open", "retry", "config.read"} <= names
    names -= {"card.present"}  # in a docstring
    assert names - set(answers.CALLS) == set()


def test_a_call_without_a_model_is_not_made() -> None:
    from faretap.link import Link, open_port

    calls = {**good(), "new.call": {"x": 1}}
    with device(calls) as dev, Link(open_port(dev.url)) as link, pytest.raises(LookupError):
        link.call("new.call")


def test_one_way_to_the_terminal() -> None:
    """Commands print by `out`, `err`, `print_json` and `print_text`: nothing else is escaped."""
    allowed = {"common.py": 3, "inspect.py": 3, "virtual.py": 0}
    for path in (HERE / "cli").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        raw = re.findall(r"(?<![\w.])print\((?!shown)|stdout\.write\(|Console\(", text)
        fine = re.findall(r"print\((?:data\.hex|token_of|markdown|files\()", text) + re.findall(
            r"stdout\.write\(shown|stdout\.write\(\"\\n\"", text
        )
        assert len(raw) - len(fine) <= allowed.get(path.name, 0), path.name


def test_the_good_answers_are_good() -> None:
    """Else these tests would show nothing."""
    for method, result in good().items():
        answers.answer(method, result)
    assert answers.answer("info", INFO)["serial"] == SERIAL
