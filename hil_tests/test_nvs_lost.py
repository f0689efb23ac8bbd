"""A validator whose NVS was lost: what it refuses, and how a depot takes it back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from faretap import access, boards
from faretap.config import keys, push, samples
from faretap.present import tap
from faretap.records.pull import pull
from faretap.session import Session, connect
from faretap.virtual import spawn
from faretap.virtual.process import serial_of

NVS, NVS_SIZE = 0x9000, 0x6000
DEPOT = ec.generate_private_key(ec.SECP256R1())
ACCESS = {
    "keys": [
        {
            "name": "depot",
            "public": keys.compressed(DEPOT.public_key()).hex(),
            "rights": ["records", "change"],
        }
    ]
}


def as_it_is(flash: bytearray) -> None:
    pass


@contextmanager
def again(state: Path, erase: Callable[[bytearray], None] = as_it_is) -> Iterator[Session]:
    """The same board, switched on again after its flash was changed."""
    flash = bytearray((state / "flash.bin").read_bytes())
    erase(flash)
    (state / "flash.bin").write_bytes(flash)
    with spawn(state, unpaced=True) as board, connect(board.port_url, wait=20) as session:
        yield session


def lose_nvs(flash: bytearray) -> None:
    flash[NVS : NVS + NVS_SIZE] = b"\xff" * NVS_SIZE


def in_service(state: Path, **more: object) -> dict[str, object]:
    """A validator in service with one rider's record, switched off; the rider's summary."""
    with again(state) as session:
        session.tell_time()
        session.forget_notifications()
        samples.provision(session.link, life_cycle="service", access=ACCESS, **more)
        assert session.wait_for("hello", 20) is not None
        access.open_session(session.link, DEPOT, serial_of(state))
        summary = tap(session, "quickpass-debit")
        assert summary["outcome"] == "accepted"
    return summary


@pytest.fixture
def state(tmp_path: Path, flash_image: bytes) -> Path:
    (tmp_path / "flash.bin").write_bytes(flash_image)
    return tmp_path


def test_it_is_not_new_and_its_operator_takes_it_back(state: Path) -> None:
    before = in_service(state, token_key="00112233445566778899aabbccddeeff")
    stranger = ec.generate_private_key(ec.SECP256R1()).public_key()
    for erase in (lose_nvs, as_it_is):  # it stays so through starts
        with again(state, erase) as session:
            info = session.await_running(10)
            assert info["life_cycle"] == "service" and "lost" in info["fault"]
            with pytest.raises(push.PushRefused) as refused:
                push.claim(session.link, stranger)
            assert refused.value.reason == "foreign"
            access.open_session(
                session.link, DEPOT, serial_of(state)
            )  # the configuration still names the depot
            assert len(pull(session.link)) == 1
            assert tap(session, "quickpass-credit")["reason"] == "out_of_service"
    with again(state) as session:
        session.forget_notifications()
        push.claim(session.link, samples.operator_key().public_key())
        assert session.wait_for("hello", 20) is not None
        info = session.await_running(10)
        assert info["life_cycle"] == "service" and info["fault"] == ""
        access.open_session(session.link, DEPOT, serial_of(state))
        session.link.call("clock.set", {"unix": 1_900_000_000})
        after = tap(session, "quickpass-debit")
        assert after["token"] == before["token"], "the rider is the one he was"
        records = pull(session.link)
        assert records[-1].boot > records[0].boot, "boots are counted on from the records"


def test_a_token_key_that_only_nvs_had_is_not_made_anew(state: Path) -> None:
    in_service(state)
    with again(state, lose_nvs) as session:
        session.forget_notifications()
        push.claim(session.link, samples.operator_key().public_key())
        assert session.wait_for("hello", 20) is not None
        info = session.await_running(10)
        assert "token key" in info["fault"]
        access.open_session(session.link, DEPOT, serial_of(state))
        assert tap(session, "quickpass-credit")["reason"] == "out_of_service"
        # A configuration that brings the key of the fleet is the way back.
        session.forget_notifications()
        samples.provision(
            session.link,
            version=99,
            life_cycle="service",
            access=ACCESS,
            token_key="00112233445566778899aabbccddeeff",
        )
        assert session.wait_for("hello", 20) is not None
        assert session.await_running(10)["fault"] == ""


def test_with_nothing_but_records_left_nobody_takes_it(state: Path) -> None:
    in_service(state)

    def erase(flash: bytearray) -> None:
        lose_nvs(flash)
        part = boards.load("VIRTUAL").partitions["config"]
        flash[part.offset : part.end] = b"\xff" * part.size

    with again(state, erase) as session:
        info = session.await_running(10)
        assert info["life_cycle"] == "service" and info["journal"]["unread"]
        for key in (ec.generate_private_key(ec.SECP256R1()), samples.operator_key()):
            with pytest.raises(push.PushRefused):
                push.claim(session.link, key.public_key())


def test_a_slot_that_was_written_tells_of_an_earlier_life(state: Path) -> None:
    """Nothing else is left, and the idle slot holds what an update once brought."""

    def fill(flash: bytearray) -> None:
        part = boards.load("VIRTUAL").partitions["app_b"]
        flash[part.offset : part.offset + 4096] = bytes(4096)

    with again(state, fill) as session:
        info = session.await_running(10)
        assert info["life_cycle"] == "service" and "lost" in info["fault"]
        with pytest.raises(push.PushRefused) as refused:
            push.claim(session.link, samples.operator_key().public_key())
        assert refused.value.reason == "foreign"
