"""Records out of a validator and into a file: each once, through power cuts and crashes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from typer.testing import CliRunner

from faretap.cli.common import app
from faretap.present import tap
from faretap.records.collection import Collection, CollectionError, collect
from faretap.session import Session
from faretap.sim.cards import make, scheme
from faretap.virtual import VirtualProcess

RUN = CliRunner()


@pytest.fixture
def patient(provision: Callable[..., Session]) -> Session:
    """Takes the same card as often as it comes."""
    config = scheme.configuration()
    config["limits"]["window_s"] = 0
    return provision(cards=config)


def ride(session: Session, times: int) -> None:
    for _ in range(times):
        assert tap(session, "quickpass-debit", via="link")["outcome"] == "accepted"


def serial(session: Session) -> str:
    return str(session.link.call("info")["serial"])


def test_each_record_comes_home_once(
    patient: Session, board: VirtualProcess, tmp_path: Path
) -> None:
    name = serial(patient)
    ride(patient, 5)
    report = collect(patient, Collection.open(tmp_path, name))
    assert (report.first, report.last, report.new, report.breaks) == (1, 5, 5, [])
    assert collect(patient, Collection.open(tmp_path, name)).new == 0
    patient.forget_notifications()
    with board.bench() as hands:
        hands.power(False)
        hands.power(True)
    assert patient.wait_for("hello", 15.0)
    patient.tell_time()
    ride(patient, 3)
    # The host crashed while it wrote: half a line, and the file's end is in the middle of it.
    path = Collection.open(tmp_path, name).path
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - len(whole.splitlines()[-1]) // 2])
    report = collect(patient, Collection.open(tmp_path, name))
    assert (report.first, report.last, report.new, report.breaks) == (5, 8, 4, [])
    records = Collection.open(tmp_path, name).records()
    assert [r.seq for r in records] == list(range(1, 9))
    assert all(r.outcome == "accepted" and r.fare_fen == 200 for r in records)


def test_a_changed_record_stops_the_next_pull(patient: Session, tmp_path: Path) -> None:
    name = serial(patient)
    ride(patient, 2)
    collection = Collection.open(tmp_path, name)
    collect(patient, collection)
    lines = collection.path.read_text().splitlines()
    last = json.loads(lines[-1])
    last["chain"] = "00" * 8  # what the file says of the last record is not what was written
    collection.path.write_text("\n".join([*lines[:-1], json.dumps(last)]) + "\n")
    ride(patient, 1)
    with pytest.raises(CollectionError, match="record 2 does not follow"):
        collect(patient, Collection.open(tmp_path, name))


def test_pull_ack_export_and_open_by_hand(
    patient: Session, board: VirtualProcess, tmp_path: Path
) -> None:
    ride(patient, 3)
    assert tap(patient, "quickpass-expired", via="link")["outcome"] == "declined"
    assert tap(patient, "tunion", via="link")["outcome"] == "accepted"
    folder = tmp_path / "home"
    port = ["--port", board.port_url]
    patient.close()  # the port is the command's now

    def run(*arguments: str) -> str:
        result = RUN.invoke(app, ["records", *arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    pulled = json.loads(run("pull", *port, "--out", str(folder), "--ack", "--json"))
    assert pulled["new"] == 5 and pulled["acked"] == 5
    file = pulled["file"]
    rows = list(csv.DictReader(io.StringIO(run("export", file, "--format", "csv"))))
    assert [row["outcome"] for row in rows] == [*["accepted"] * 3, "declined", "accepted"]
    assert {row["vehicle"] for row in rows} == {"T-0001"}
    lines = run("export", file).splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [1, 2, 3, 4, 5]
    key = tmp_path / "acquirer.pem"
    key.write_bytes(
        scheme.acquirer().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    key.chmod(0o600)
    opened = json.loads(run("open", file, "--key", str(key)))
    assert [entry["seq"] for entry in opened] == [1, 2, 3, 5]
    number = opened[0]["objects"]["57"].partition("d")[0]
    assert number.endswith(rows[0]["last4"])
    purse: Any = make("tunion")
    assert opened[3]["number"] == purse.pan and purse.pan.endswith(rows[4]["last4"])
    # State paid, a purchase; what the card itself has counted.
    assert opened[3]["purse"][:6] == "500206"
    for text in (Path(file).read_text(), *lines):
        assert (
            number not in text and purse.pan not in text
        )  # but with the acquirer's key, it is nowhere
