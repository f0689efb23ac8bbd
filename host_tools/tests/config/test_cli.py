"""`faretap config` and `faretap keys` as they are typed; validators are in this process."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import faretap.cli.config
import faretap.cli.keys  # noqa: F401
from faretap.cli.common import app
from faretap.config import samples, toml
from faretap.errors import FaretapError

from .device import Device

PASSPHRASE = "correct horse"
SMALL = 'version = 1\nlife_cycle = "bench"\n[fares]\nflat = 200\n'
Run = Callable[..., Result]


class Session:
    """What the commands need of `faretap.session.Session`."""

    def __init__(self, device: Device) -> None:
        self.link = self
        self._device = device

    def call(self, method: str, params: dict[str, Any] | None = None, **more: Any) -> Any:
        if method == "info":
            return {"clock": {"trusted": self._device.clock.trusted}}
        if method == "clock.set":
            self._device.clock.trusted = True
            return {}
        return self._device.call(method, params)

    def tell_time(self) -> None:
        self._device.clock.trusted = True

    def wait_for(self, method: str, timeout: float) -> dict[str, Any]:
        self._device.boot()
        return {}

    def await_running(self, timeout: float) -> dict[str, Any]:
        return {}


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> dict[str, Device]:
    """Validators by the port where they are."""
    there: dict[str, Device] = {}

    @contextlib.contextmanager
    def connect(port: str) -> Iterator[Session]:
        if port not in there:
            raise FaretapError(f"There is nothing at {port}.")
        yield Session(there[port])

    monkeypatch.setattr("faretap.session.connect", connect)
    return there


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FARETAP_PASSPHRASE", PASSPHRASE)
    monkeypatch.delenv("FARETAP_PORT", raising=False)

    def typed(line: str) -> Result:
        return CliRunner().invoke(app, line.split())

    return typed


def good(result: Result) -> str:
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def failed(result: Result) -> str:
    """The sentence that `faretap` ends with."""
    assert isinstance(result.exception, FaretapError), (result.output, result.exception)
    return str(result.exception)


def test_from_a_key_to_a_running_validator(run: Run, devices: dict[str, Device]) -> None:
    device = devices["COM7"] = Device()
    made = json.loads(good(run("keys new --out op.pem --json")))
    assert json.loads(good(run("keys show op.pem --json"))) == made
    Path("a.toml").write_text(good(run("config sample")), encoding="utf-8")
    assert "433 of 32,384 bytes: right." in good(run("config check a.toml"))
    signed = json.loads(good(run("config sign a.toml --key op.pem --json")))
    assert signed[0]["file"] == "a.ftc" and signed[0]["signed by"] == made["fingerprint"]
    assert "no operator yet" in failed(run("config push a.ftc --port COM7"))
    told = good(run("config push a.ftc --port COM7 --claim op.pem"))
    assert told == f"COM7 runs version 1, {signed[0]['hash']}, in bench.\n"
    assert device.configuration.version == 1 and device.clock.trusted
    shown = good(run("config show --port COM7"))
    assert f"# hash: {signed[0]['hash']}" in shown and "flat = 200" in shown
    assert good(run("config diff COM7 a.toml")) == "the same\n"
    again = json.loads(good(run("config push a.ftc --port COM7 --json")))
    assert again["version"] == 1 and device.switched == 1


def test_pull_change_sign_push(run: Run, devices: dict[str, Device]) -> None:
    device = devices["COM7"] = Device()
    samples.provision(device)
    assert "no operator" not in good(run("config pull --port COM7 --out now.toml"))
    text = Path("now.toml").read_text(encoding="utf-8")
    assert text == toml.dump(samples.bench_body())
    Path("next.toml").write_text(text.replace("version = 1\n", "version = 2\n"), encoding="utf-8")
    assert "+ version = 2" in good(run("config diff now.toml next.toml"))
    good(run("keys new --out other.pem"))
    good(run("config sign next.toml --key other.pem"))
    assert "another key" in failed(run("config push next.ftc --port COM7"))
    refusal = failed(run("config push next.ftc --port COM7 --claim other.pem.pub"))
    assert "has an operator already" in refusal and device.configuration.version == 1


def test_claim_with_the_wrong_key(run: Run, devices: dict[str, Device]) -> None:
    device = devices["COM7"] = Device()
    Path("a.toml").write_text(SMALL)
    for name in ("one", "two"):
        good(run(f"keys new --out {name}.pem"))
    good(run("config sign a.toml --key one.pem"))
    said = failed(run("config push a.ftc --port COM7 --claim two.pem.pub"))
    assert "two.pem.pub is not the key that signed a.ftc" in said
    assert device.configuration.key is None


def test_problems_are_listed(run: Run) -> None:
    Path("a.toml").write_text('version = 0\nlife_cycle = "x"\n[fare]\n')
    result = run("config check a.toml")
    assert failed(result) == "a.toml has 3 problems."
    assert [line.split(":")[0].strip() for line in result.stderr.splitlines()] == [
        "version",
        "life_cycle",
        "fare",
    ]
    found = run("config check a.toml --json")
    assert found.exit_code == 1
    assert json.loads(found.stdout)["problems"][0] == "version: 0; right would be 1 to 2147483647."
    Path("a.toml").write_text('version = 0\nlife_cycle = "bench"\n')
    assert failed(run("config check a.toml")).startswith("a.toml has a problem: version: 0;")
    assert "cannot be read" in failed(run("config check none.toml"))


def test_a_fleet(run: Run) -> None:
    good(run("keys new --out op.pem"))
    Path("a.toml").write_text(SMALL)
    Path("f.csv").write_text(
        "serial,identity.vehicle\n240ac4010203,A1\n240ac4010204,A2\n", encoding="utf-8"
    )
    assert "for 2 vehicles" in good(run("config check a.toml --vehicles f.csv"))
    rows = json.loads(good(run("config sign a.toml --vehicles f.csv --key op.pem --json")))
    assert [row["serials"] for row in rows] == [["240ac4010203"], ["240ac4010204"]]
    assert sorted(p.name for p in Path("a").iterdir()) == [
        "240ac4010203-v1.ftc",
        "240ac4010204-v1.ftc",
    ]
    Path("f.csv").write_text("serial,identity.vehicle\n240ac4010203,A1\n240ac4010204,A1\n")
    assert "'A1', as line 2 has" in failed(
        run("config sign a.toml --vehicles f.csv --key op.pem --out b")
    )
    assert not Path("b").exists()


def test_no_secret_is_shown(run: Run, devices: dict[str, Device]) -> None:
    devices["COM7"] = Device()
    good(run("keys new --out op.pem"))
    good(run("keys token --out token.key"))
    secret = Path("token.key").read_text().strip()
    Path("a.toml").write_text('token_key_file = "token.key"\n' + SMALL)
    Path("b.toml").write_text('token_key = "' + "5a" * 16 + '"\n' + SMALL)
    said = good(run("config sign a.toml --key op.pem"))
    said += good(run("config show a.ftc")) + good(run("config show a.toml --json"))
    said += good(run("config push a.ftc --port COM7 --claim op.pem"))
    said += good(run("config show --port COM7 --json")) + good(run("config pull --port COM7"))
    assert good(run("config diff a.ftc COM7")) == "the same\n"
    other = good(run("config diff b.toml COM7"))
    assert other == "token_key differs\n"
    rows = json.loads(good(run("config diff b.toml a.toml --json")))
    assert [row["path"] for row in rows] == ["token_key"]
    assert secret not in said + other + repr(rows) and "5a5a" not in repr(rows)


def test_passphrases(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("pass.txt").write_text("another one\n")
    assert "others may read it" in failed(run("keys new --out op.pem --passphrase-file pass.txt"))
    Path("pass.txt").chmod(0o600)
    good(run("keys new --out op.pem --passphrase-file pass.txt"))
    Path("a.toml").write_text(SMALL)
    assert "does not open" in failed(run("config sign a.toml --key op.pem"))
    good(run("config sign a.toml --key op.pem --passphrase-file pass.txt"))
    monkeypatch.delenv("FARETAP_PASSPHRASE")
    assert "needs its passphrase" in failed(run("config sign a.toml --key op.pem"))
    assert "cannot be read" in failed(run("keys new --out x.pem --passphrase-file none"))
    monkeypatch.setenv("FARETAP_PASSPHRASE", "short")
    assert "8 or more" in failed(run("keys new --out x.pem"))


def test_nothing_there(run: Run, devices: dict[str, Device]) -> None:
    devices["COM7"] = Device()
    assert "nothing to show" in failed(run("config show"))
    assert "has no configuration" in failed(run("config pull --port COM7"))
    assert "x.ftc does not exist" in failed(run("config show x.ftc"))
    assert "cannot be read" in failed(run("config push x.ftc --port COM7"))
    Path("x.ftc").write_bytes(b"junk")
    assert "no configuration bundle" in failed(run("config push x.ftc --port COM7"))
    assert "nothing at COM9" in failed(run("config show --port COM9"))


def test_the_page_is_printed(run: Run) -> None:
    assert good(run("config document")).startswith("# Configuration\n")
