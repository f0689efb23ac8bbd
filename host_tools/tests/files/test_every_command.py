"""Whatever a command is given to read or to write ends in its result or in one sentence."""

from __future__ import annotations

import functools
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

import faretap.cli
from faretap.cli.common import app

from . import commands, hostile
from .world import CONFIG, PASSPHRASE, SECRET, make_world

SECONDS = 5  # of the processor, that an attack may take; most take some hundredths


@dataclass(frozen=True)
class Done:
    status: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, (self.out[:200], self.status, self.err[-2000:])
        return lines[0]


Faretap = Callable[..., Done]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        make_world(folder, patch)
    return folder


@pytest.fixture
def here(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the world, to work in."""
    folder = tmp_path / "here"
    shutil.copytree(world, folder)
    monkeypatch.chdir(folder)
    return folder


@functools.cache
def _command() -> Any:
    return typer.main.get_command(app)


@pytest.fixture
def faretap_(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Faretap]:
    """The command as it is typed, in this process."""
    monkeypatch.setenv("FARETAP_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("FARETAP_DEBUG", "FARETAP_PORT", "FARETAP_RACK", "FARETAP_ACCESS"):
        monkeypatch.delenv(name, raising=False)
    before = signal.getsignal(signal.SIGTERM)

    # It takes longer to make the commands out of their functions than to run most of them.
    monkeypatch.setattr(faretap.cli, "app", _command())

    def run(*words: str) -> Done:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["faretap", *words])
            began = time.process_time()
            try:
                faretap.cli.main()
                status = 0
            except SystemExit as e:
                status = e.code if isinstance(e.code, int) else int(e.code is not None)
            took = time.process_time() - began
        assert took < SECONDS, (took, words)
        said = capsys.readouterr()
        return Done(status, said.out, said.err)

    yield run
    signal.signal(signal.SIGTERM, before)


def _judge(done: Done, *, may_be_right: bool, what: str) -> None:
    assert "Traceback" not in done.out + done.err, (what, done.err[-3000:])
    assert "fault of faretap" not in done.err, (what, done.err)
    assert SECRET not in done.out + done.err, what
    if may_be_right and done.status in (0, 2) and "error: " not in done.err:
        return
    assert done.status == 1, (what, done.status, done.err[-500:])
    listed = done.out.startswith("day.scenario.toml: ") and not done.err
    sentence = done.out.splitlines()[0] if listed else done.sentence
    assert 20 < len(sentence) < 2500 and sentence.endswith((".", "?", ":", "characters)")), (
        what,
        sentence,
    )
    assert all(c.isprintable() for c in sentence), (what, sentence)
    assert "cannot be written or read" not in sentence, (what, sentence)  # what nobody foresaw


def _files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*")}


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_the_world_is_right(here: Path, faretap_: Faretap, name: str) -> None:
    if name == "scenario run":
        return  # takes minutes
    done = faretap_(*commands.words(name))
    if commands.PORT in commands.COMMANDS[name]:
        assert commands.PORT in done.sentence
    else:
        assert done.status == 0, done


def test_every_command_is_here() -> None:
    listed = {" ".join(commands.words(name)[:2]) for name in commands.COMMANDS}
    for name, function in commands.commands():
        for parameter in commands.path_parameters(function):
            if (name, parameter) in commands.ELSEWHERE:
                continue
            assert any(entry.startswith(name) for entry in listed), (name, parameter)


CASES = [
    (name, file)
    for name in commands.COMMANDS
    for file in dict.fromkeys(commands.reads(name))
    if file != "run"
]


@pytest.mark.parametrize(("name", "file"), CASES)
def test_hostile_files(here: Path, faretap_: Faretap, name: str, file: str) -> None:
    path = here / file
    good = path.read_bytes()
    anything = file in commands.ANYTHING
    first = (name, file) == next(case for case in CASES if case[1] == file)
    for kind, makers in (
        ("never", hostile.NEVER),
        ("mostly", hostile.MOSTLY),
        ("perhaps", hostile.PERHAPS),
    ):
        for what, make in makers.items():
            if name == "scenario run" and kind == "perhaps":
                continue  # might be right, and run for minutes
            if not first and what not in hostile.SHORT:
                continue
            _remove(path)
            make(path, good)
            before = _files(here)
            done = faretap_(*commands.words(name))
            may_be_right = kind == "perhaps" or (kind == "mostly" and anything)
            may_be_right = may_be_right or (file, what) in commands.RIGHT
            _judge(done, may_be_right=may_be_right, what=f"{what} as {file}")
            if done.status == 1:
                assert not (_files(here) - before), (what, _files(here) - before)
                if not commands.COMMANDS[name].startswith("run/"):
                    assert name in ("records verify", "scenario check") or not done.out, (
                        what,
                        done.out,
                    )
            for made in (*commands.WRITES, *commands.FOLDERS):
                _remove(here / made)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@pytest.mark.parametrize(
    "name",
    ["x" * 300, "a/" * 2000 + "x", "small.toml/x", "\udcff\udc80.toml", "\x1b[2J", " ", "-", "..",
     "/dev/zero", "/dev/null", "/etc/shadow", "/proc/self/mem", "/proc/kcore"],
)  # fmt: skip
def test_names_of_files(here: Path, faretap_: Faretap, name: str) -> None:
    for command, file in CASES:
        if command == "config show" or "diff" in command:
            continue  # what is no file is a port there
        words = [name if word == file else word for word in commands.words(command)]
        done = faretap_(*words)
        if command == "scenario check" and done.status == 1 and not done.err:
            continue  # it says it on stdout, file by file
        right = name in ("/dev/null", "/etc/shadow")
        _judge(done, may_be_right=right, what=f"{name!r}: {command}")
        for made in (*commands.WRITES, *commands.FOLDERS):
            _remove(here / made)


@pytest.mark.parametrize(
    "file", ["token.key", "op.pem.pub", "ca.csv", "acquirer.pem.pub", "root.bin"]
)
def test_files_that_a_configuration_names(here: Path, faretap_: Faretap, file: str) -> None:
    assert faretap_("config", "check", "whole.toml").status == 0
    path = here / file
    good = path.read_bytes()
    columns = b"rid,index,exponent,modulus,check_value\n"
    secrets = {
        "secret": lambda path, good: path.write_bytes(f"root:{SECRET}:1:\n".encode() * 20),
        "secret in cells": lambda path, good: path.write_bytes(
            columns + (f"{SECRET}," * 5).encode()[:-1]
        ),
    }
    for what, make in {**hostile.NEVER, **hostile.MOSTLY, **hostile.PERHAPS, **secrets}.items():
        _remove(path)
        make(path, good)
        done = faretap_("config", "check", "whole.toml")
        right = what in hostile.PERHAPS or (file, what) in commands.RIGHT
        _judge(done, may_be_right=right, what=what)
        assert SECRET.encode().hex() not in done.err


def test_a_configuration_names_what_it_should_not(here: Path, faretap_: Faretap) -> None:
    for where in ("/etc/shadow", "/etc/passwd", "/dev/zero", "..", "/proc/self/environ"):
        for name in ("token.key", "ca.csv", "acquirer.pem.pub", "root.bin", "op.pem.pub"):
            (here / "x.toml").write_text(CONFIG.replace(f'"{name}"', f'"{where}"'))
            done = faretap_("config", "check", "x.toml")
            _judge(done, may_be_right=False, what=f"{where} as {name}")
            assert "root:" not in done.err and b"root:".hex() not in done.err


# -- what is written ----------------------------------------------------------------------------

WRITTEN = [(name, file) for name in commands.COMMANDS for file in commands.writes(name)]


@pytest.mark.parametrize(("name", "file"), WRITTEN)
def test_places_that_cannot_be_written(
    here: Path, faretap_: Faretap, name: str, file: str
) -> None:
    folder = here / "is-a-folder"
    folder.mkdir()
    os.mkfifo(here / "pipe")
    places = ["missing/x", str(folder), "small.toml/x", "x" * 300, "pipe", "/dev/full"]
    for place in places:
        if name == "config sign" and place == "missing/x":
            continue  # it makes the folder
        words = [place if word == file else word for word in commands.words(name)]
        before = _files(here)
        done = faretap_(*words)
        _judge(done, may_be_right=False, what=place)
        assert not done.out, (place, done.out)
        left = _files(here) - before - set(commands.WRITES)
        assert not left, (place, left)
        for made in commands.WRITES:
            _remove(here / made)


@pytest.mark.parametrize(("name", "file"), WRITTEN)
@pytest.mark.parametrize("how", ["full", "interrupted"])
def test_a_full_disk(
    here: Path, faretap_: Faretap, monkeypatch: pytest.MonkeyPatch, name: str, file: str, how: str
) -> None:
    fresh = name.startswith("keys")
    for old in (None,) if fresh else (None, b"what was there before"):
        for made in commands.WRITES:
            _remove(here / made)
        if old is not None:
            (here / file).write_bytes(old)
        before = _files(here)

        def fail(number: int, real: Callable[[int], None] = os.fsync) -> None:
            if how == "full":
                raise OSError(28, "No space left on device")
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", fail)
            done = faretap_(*commands.words(name))
        if how == "full":
            _judge(done, may_be_right=False, what=file)
            assert "No space left on device" in done.sentence
        else:
            assert done.status == 130, done
        assert not done.out
        assert _files(here) == before
        if old is not None:
            assert (here / file).read_bytes() == old


def test_a_disk_that_is_full_in_earnest(here: Path) -> None:
    """By the kernel: no file may become larger than 100 bytes."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    before = _files(here)
    for name in ("records export", "lists delta", "image sign", "code make", "keys new"):
        done = subprocess.run(
            [sys.executable, "-c", "from faretap.cli import main; main()", *commands.words(name)],
            capture_output=True,
            text=True,
            preexec_fn=limit,
            env={**os.environ, "FARETAP_PASSPHRASE": PASSPHRASE, "COLUMNS": "200"},
            timeout=60,
        )
        result = Done(done.returncode, done.stdout, done.stderr)
        _judge(result, may_be_right=False, what=name)
        assert not result.out and "File too large" in result.sentence
        assert _files(here) == before, name


def test_an_output_that_cannot_be_written(here: Path) -> None:
    for words in (["records", "export", commands.RECORDS], ["boards"], ["config", "sample"]):
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(
                [sys.executable, "-c", "from faretap.cli import main; main()", *words],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                timeout=60,
            )
        assert done.returncode == 1, done.stderr
        assert done.stderr.startswith("error: No space left on device"), done.stderr


def test_a_kill_leaves_nothing_unfinished(here: Path) -> None:
    code = (
        "import os, signal, faretap.writing as w\n"
        "real = os.fsync\n"
        "def fsync(n):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    real(n)\n"
        "w.os.fsync = fsync\n"
        "from faretap.cli import main; main()\n"
    )
    before = _files(here)
    done = subprocess.run(
        [sys.executable, "-c", code, *commands.words("records export")],
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 128 + signal.SIGTERM, done
    assert _files(here) == before


SECRETS = {
    "keys new": "new.pem",
    "keys token": "new.key",
    "config sign": "new.ftc",
    "records open": "opened.json",
}


@pytest.mark.parametrize("name", SECRETS)
def test_secrets_are_their_owners(
    here: Path, faretap_: Faretap, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = here / SECRETS[name]
    seen: list[int] = []
    real = os.fsync

    def fsync(number: int) -> None:
        mode = os.fstat(number).st_mode
        if mode & 0o170000 == 0o100000:
            seen.append(mode & 0o777)
        real(number)

    mask = os.umask(0)
    try:
        monkeypatch.setattr("os.fsync", fsync)
        for old in (False, True) if not name.startswith("keys") else (False,):
            if old:
                path.chmod(0o666)
            assert faretap_(*commands.words(name)).status == 0
            assert path.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(mask)
    assert seen and seen[0] == 0o600  # while it was written, too


def test_bundles_of_a_fleet_are_their_owners(here: Path, faretap_: Faretap) -> None:
    assert faretap_(*commands.words("config sign --vehicles")).status == 0
    made = sorted((here / "bundles").iterdir())
    assert [p.name for p in made] == ["24dcc399a2b4-v1.ftc", "24dcc399a2b5-v1.ftc"]
    assert all(p.stat().st_mode & 0o777 == 0o600 for p in made)


def test_a_fleet_of_which_one_cannot_be_written(
    here: Path, faretap_: Faretap, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "bundles").mkdir()
    real = os.fsync
    calls = 0

    def fsync(number: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise OSError(28, "No space left on device")
        real(number)

    monkeypatch.setattr("os.fsync", fsync)
    assert "No space left" in faretap_(*commands.words("config sign --vehicles")).sentence
    assert not list((here / "bundles").iterdir())


@pytest.mark.parametrize("serial", ["../../x", "..", "/etc/x", "24dcc399a2b4/../x", "", "%2e%2e"])
def test_a_fleets_serial_is_no_path(here: Path, faretap_: Faretap, serial: str) -> None:
    (here / "fleet.csv").write_text(f"serial,identity.vehicle\n{serial},bus 1\n")
    before = _files(here.parent)
    done = faretap_(*commands.words("config sign --vehicles"))
    _judge(done, may_be_right=False, what=serial)
    assert _files(here.parent) == before


READ_SECRETS = [
    ("config sign", "op.pem"),
    ("config sign", "pass"),
    ("lists build", "token.key"),
    ("lists token", "token.key"),
    ("records open", "acquirer.pem"),
    ("image sign", "op.pem"),
]


@pytest.mark.parametrize(("name", "file"), READ_SECRETS)
def test_secrets_that_others_may_read_are_refused(
    here: Path, faretap_: Faretap, name: str, file: str
) -> None:
    for mode in (0o640, 0o604, 0o620, 0o666):
        (here / file).chmod(mode)
        done = faretap_(*commands.words(name))
        _judge(done, may_be_right=False, what=file)
        assert "others may read it" in done.sentence and "chmod 600" in done.sentence
    (here / file).chmod(0o400)
    assert faretap_(*commands.words(name)).status == 0


def test_somebody_elses_secret_is_their_matter(here: Path, faretap_: Faretap) -> None:
    """As ssh has it: an administrator's file that a service may read by its group."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(here / "op.pem", 12345, 12345)
    (here / "op.pem").chmod(0o640)
    assert faretap_(*commands.words("config sign")).status == 0


def test_configurations_with_a_key_in_them_that_others_may_read(
    here: Path, faretap_: Faretap
) -> None:
    text = 'token_key = "00112233445566778899aabbccddeeff"\n' + commands_small()
    (here / "small.toml").write_text(text)
    done = faretap_("config", "sign", "small.toml", "--key", "op.pem", "--out", "new.ftc")
    assert done.status == 0 and "others may read it" in done.err
    (here / "small.toml").chmod(0o600)
    done = faretap_("config", "show", "new.ftc")
    assert done.status == 0 and not done.err and "00112233" not in done.out
    (here / "new.ftc").chmod(0o644)
    done = faretap_("config", "show", "new.ftc")
    assert "others may read it" in done.err


def commands_small() -> str:
    from .world import SMALL

    return SMALL
