"""A validator in service: what it refuses, to whom it opens, and what a rider still gets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from faretap import access
from faretap.config import keys
from faretap.link import Refused
from faretap.present import scan, tap
from faretap.records.pull import pull
from faretap.session import Session
from faretap.sim import codes
from faretap.virtual import VirtualProcess

PASSPHRASE = "long enough for a test"


@pytest.fixture(scope="module")
def depot(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ec.EllipticCurvePrivateKey]:
    path = tmp_path_factory.mktemp("keys") / "depot.pem"
    return path, keys.create(path, PASSPHRASE)


@pytest.fixture
def service(
    provision: Callable[..., Session],
    depot: tuple[Path, ec.EllipticCurvePrivateKey],
    monkeypatch: pytest.MonkeyPatch,
) -> Session:
    """In service, with a depot's key that may read records and no host that has it at hand."""
    monkeypatch.delenv(access.VARIABLE, raising=False)
    public = keys.compressed(depot[1].public_key()).hex()
    entry = {"name": "depot", "public": public, "rights": ["records"]}
    return provision(version=7, life_cycle="service", access={"keys": [entry]})


BENCH_CALLS: tuple[tuple[str, dict[str, object]], ...] = (
    ("tap.link", {"uid": "01020304", "atqa": 4, "sak": 32, "ats": "", "presentation": "x"}),
    ("scan.link", {"hex": "80"}),
    ("screen", {}),
    ("bench.sink", {}),
    ("bench.source", {"bytes": 512}),
    ("bench.weigh", {"on": True}),
    ("bench.crypto", {"what": "hash", "algorithm": "sm3", "bytes": 256}),
)


def test_without_the_right_nothing_is_done(
    service: Session, depot: tuple[Path, ec.EllipticCurvePrivateKey], board: VirtualProcess
) -> None:
    service.link.on_refused = None
    with pytest.raises(Refused, match="needs a session"):
        service.link.call("records.read", {"from": 0, "max": 1})
    # First without a session, then in one whose key may only read.
    for _ in range(2):
        for method, params in BENCH_CALLS:
            with pytest.raises(Refused, match="in service"):
                service.link.call(method, dict(params))
        for method, unix in (("reset", 0), ("clock.set", 1_900_000_000)):
            with pytest.raises(Refused, match=r'needs a session|has not the right "change"'):
                service.link.call(method, {"unix": unix})
        access.open_session(service.link, depot[1], board.serial)
    service.link.call("records.read", {"from": 0, "max": 1})


def test_records_are_read_within_a_session(
    service: Session,
    depot: tuple[Path, ec.EllipticCurvePrivateKey],
    board: VirtualProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(access.AccessError, match=access.VARIABLE):
        pull(service.link)
    with pytest.raises(access.AccessError, match=access.VARIABLE):
        tap(service, "quickpass-debit")  # its outcome is told to those who may read records
    monkeypatch.setenv(access.VARIABLE, str(depot[0]))
    monkeypatch.setenv("FARETAP_PASSPHRASE", PASSPHRASE)
    with pytest.raises(access.AccessError, match="Nobody said which validator"):
        pull(service.link)
    monkeypatch.setenv(access.SERIAL, board.serial)
    summary = tap(service, "quickpass-debit")
    assert summary["outcome"] == "accepted"
    records = pull(service.link)  # asked for the right, the link opens the session by itself
    assert [r.seq for r in records] == [summary["seq"]] and not records[0].test
    access.close_session(service.link)
    service.link.on_refused = None
    with pytest.raises(Refused, match="needs a session"):
        pull(service.link)


def test_another_key_gets_nothing(service: Session, board: VirtualProcess) -> None:
    with pytest.raises(access.AccessError, match="none of the configuration's"):
        access.open_session(service.link, ec.generate_private_key(ec.SECP256R1()), board.serial)


def test_the_console_gives_no_prompt(service: Session) -> None:
    before = len(service.console)
    for keystroke in (
        b"\x03",
        b"\x03\x03",
        b"\x04",
        b"\x01",
        b"\x02",
        b"\r\n",
        b"import machine\r",
    ):
        service.link.write_raw(keystroke)
    assert service.link.call("ping")["us"]
    assert b">>>" not in bytes(service.console[before:])
    assert b"raw REPL" not in bytes(service.console[before:])


def test_riders_are_served_as_ever(
    service: Session, depot: tuple[Path, ec.EllipticCurvePrivateKey], board: VirtualProcess
) -> None:
    access.open_session(service.link, depot[1], board.serial)
    assert tap(service, "quickpass-phone")["outcome"] == "accepted"
    assert scan(service, codes.make("url"))["reason"] == "unsupported"


def test_no_bench_configuration_from_somebody_else(
    service: Session, board: VirtualProcess
) -> None:
    """Back to bench only by the operator's signature, and never by an older configuration."""
    from faretap.config import bundle, push, samples

    stranger = ec.generate_private_key(ec.SECP256R1())
    version = push.info(service.link)["version"]
    for made in (
        bundle.make(samples.bench_body(version=version + 1), stranger),
        samples.bench_bundle(version=version),
        samples.bench_bundle(version=version - 1),
    ):
        with pytest.raises(push.PushRefused) as refused:
            push.push(service.link, made)
        assert refused.value.reason in ("foreign", "old")
    assert service.link.call("info")["life_cycle"] == "service"
