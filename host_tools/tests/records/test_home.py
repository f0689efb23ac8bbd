"""Records at home: what is pulled, verified, exported and acknowledged, and what stops it."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from faretap.cli.common import app
from faretap.errors import FaretapError
from faretap.records.archive import Archive, read_file, read_files
from faretap.records.collection import (
    Collection,
    CollectionError,
    Report,
    acknowledge,
    collect,
)
from faretap.records.model import RecordsError, link
from faretap.writing import Appending

from .home import SERIAL, Device

OTHER = "24dcc3aaaaaa"


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    monkeypatch.setattr(
        "faretap.link.transfer.pull", lambda session, *rest: session.pull(session, *rest)
    )
    return Device()


def pulled(device: Device, folder: Path, *, accept_gone: bool = False) -> Report:
    return collect(device, Collection.open(folder, device.serial), accept_gone=accept_gone)


def file_of(folder: Path, serial: str = SERIAL) -> Path:
    return folder / f"{serial}.records.jsonl"


def parsed(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def written(path: Path, values: list[dict[str, Any]]) -> None:
    path.write_bytes(b"".join(json.dumps(v).encode() + b"\n" for v in values))


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["records", *(str(word) for word in words)])


def failed(*words: object) -> str:
    done = run(*words)
    assert isinstance(done.exception, FaretapError), (done.output, done.exception)
    assert not done.stdout or words[0] == "verify"
    return str(done.exception)


def said(done: Result) -> str:
    """What stands on stderr, however wide the terminal is."""
    return done.stderr.replace(" \n", " ").replace("\n", "")


def good(*words: object) -> str:
    done = run(*words)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def numbers(archive: Archive) -> list[int]:
    return [record.seq for _, record in archive.records()]


# -- a pull -------------------------------------------------------------------------------------


def test_each_once_and_whose_they_are(device: Device, tmp_path: Path) -> None:
    device.append(3)
    assert pulled(device, tmp_path).new == 3
    device.append(2)
    report = pulled(device, tmp_path)
    assert (report.first, report.last, report.new, report.breaks) == (4, 5, 2, [])
    assert pulled(device, tmp_path).new == 0
    first = parsed(file_of(tmp_path))[0]
    assert first == {"validator": SERIAL, "format": 2}
    (archive,) = read_files([file_of(tmp_path)])
    archive.check()
    assert numbers(archive) == [1, 2, 3, 4, 5]
    assert all(record.chain_ok is True for _, record in archive.records())


def test_a_renamed_file_is_still_the_validators(device: Device, tmp_path: Path) -> None:
    device.append(2)
    pulled(device, tmp_path)
    renamed = file_of(tmp_path).rename(tmp_path / "morning.jsonl")
    assert [json.loads(line)["validator"] for line in good("export", renamed).splitlines()] == [
        SERIAL,
        SERIAL,
    ]
    moved = renamed.rename(file_of(tmp_path, OTHER))
    done = run("verify", moved)
    assert done.exit_code == 0 and "whatever its name says" in said(done)
    other = Device(OTHER)
    with pytest.raises(CollectionError, match=f"validator {SERIAL}, not of {OTHER}"):
        collect(other, Collection.open(tmp_path, OTHER))


def test_a_file_of_an_older_faretap(device: Device, tmp_path: Path) -> None:
    device.append(3)
    pulled(device, tmp_path)
    path = file_of(tmp_path)
    written(path, parsed(path)[1:])
    done = run("verify", path)
    assert done.exit_code == 0 and "only its name says" in said(done)
    device.append(1)
    assert pulled(device, tmp_path).new == 1
    assert numbers(read_files([path])[0]) == [1, 2, 3, 4]
    assert run("verify", path).stderr == ""  # it says now whose it is
    nameless = tmp_path / "records.jsonl"
    written(nameless, [v for v in parsed(path) if "validator" not in v])
    assert "does not say whose" in failed("export", nameless)


def test_a_crash_leaves_half_a_line(device: Device, tmp_path: Path) -> None:
    device.append(3)
    pulled(device, tmp_path)
    path = file_of(tmp_path)
    whole = path.read_bytes()
    last = len(whole.splitlines(keepends=True)[-1])
    for cut in (1, 2, *range(3, last - 1, 40), last - 1, last):
        path.write_bytes(whole[:-cut])
        done = run("verify", path)
        assert done.exit_code == 0, cut
        assert ("middle of a line" in said(done)) == (1 < cut < last), cut
        assert path.read_bytes() == whole[:-cut]  # to look does not change it
        report = pulled(device, tmp_path)
        assert report.new == (cut > 1) and path.read_bytes() == whole, cut


def test_a_whole_last_line_without_its_end_is_not_lost(device: Device, tmp_path: Path) -> None:
    device.append(3)
    pulled(device, tmp_path)
    path = file_of(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    device.erase()  # it cannot be fetched again
    device.append(1)
    pulled(device, tmp_path)
    assert [e.last for e in read_files([path])[0].epochs] == [3, 1]


@pytest.mark.parametrize("lost", [(2, 2), (2, 4), (4, 4)])
def test_a_pull_fills_holes(device: Device, tmp_path: Path, lost: tuple[int, int]) -> None:
    device.append(5)
    pulled(device, tmp_path)
    path = file_of(tmp_path)
    first, last = lost
    written(path, [v for v in parsed(path) if not first <= v.get("seq", 0) <= last])
    assert f"{'records' if last > first else 'record'} {first} " in failed("verify", path)
    report = pulled(device, tmp_path)
    assert report.filled == last - first + 1 and not report.breaks and not report.new
    assert numbers(read_files([path])[0]) == [1, 2, 3, 4, 5]
    good("verify", path)


def test_what_is_gone_for_ever_is_said_and_noted(device: Device, tmp_path: Path) -> None:
    device.append(5)
    device.rot(3)
    report = pulled(device, tmp_path)
    path = file_of(tmp_path)
    assert report.new == 4
    assert [(b.seq, b.kind, b.missing) for b in report.breaks] == [(4, "gap", 1)]
    assert pulled(device, tmp_path).breaks  # each time, until somebody takes note
    for command in (["verify"], ["export"], ["export", "--format", "csv"]):
        assert "record 3 is missing" in failed(*command, path)
    archive = Collection.open(tmp_path, SERIAL).read()
    with pytest.raises(CollectionError, match="record 3 is missing"):
        acknowledge(device, archive)
    assert device.journal.acked == 0
    report = pulled(device, tmp_path, accept_gone=True)
    assert report.noted == [(3, 3)] and not report.breaks
    done = run("verify", path)
    assert done.exit_code == 0 and "gone, as the file notes: 3 to 3" in done.stdout
    rows = [json.loads(line) for line in good("export", path).splitlines()]
    assert [(row["seq"], row["chain_ok"]) for row in rows] == [
        (1, True),
        (2, True),
        (4, None),
        (5, True),
    ]
    assert acknowledge(device, Collection.open(tmp_path, SERIAL).read())["acked"] == 5


def test_a_number_that_a_power_cut_took_is_no_hole(device: Device, tmp_path: Path) -> None:
    device.append(2)
    device.skip()
    device.append(2)
    assert [w["seq"] for w in device.call("records.read")["records"]] == [1, 2, 4, 5]
    report = pulled(device, tmp_path)
    assert not report.breaks
    done = run("verify", file_of(tmp_path))
    assert done.exit_code == 0 and "never used, by a power cut: 3 to 3" in done.stdout
    rows = [json.loads(line) for line in good("export", file_of(tmp_path)).splitlines()]
    assert all(row["chain_ok"] is True for row in rows)
    assert acknowledge(device, Collection.open(tmp_path, SERIAL).read())["acked"] == 5


def test_a_journal_that_was_erased_is_an_epoch(device: Device, tmp_path: Path) -> None:
    device.append(5)
    pulled(device, tmp_path)
    device.erase()
    device.line = "301"
    for more in (2, 6):  # behind the old numbers, and past them
        device.append(more)
        report = pulled(device, tmp_path)
        assert report.new == more and report.epoch == 2 and not report.breaks
        assert report.began_again == (more == 2)
    (archive,) = read_files([file_of(tmp_path)])
    archive.check()
    assert [(e.first, e.last) for e in archive.epochs] == [(1, 5), (1, 8)]
    rows = [json.loads(line) for line in good("export", file_of(tmp_path)).splitlines()]
    assert [(r["epoch"], r["seq"]) for r in rows] == [
        *((1, n) for n in range(1, 6)),
        *((2, n) for n in range(1, 9)),
    ]
    assert acknowledge(device, archive)["acked"] == 8


def test_an_erased_journal_with_as_many_records_is_an_epoch(
    device: Device, tmp_path: Path
) -> None:
    device.append(5)
    pulled(device, tmp_path)
    device.erase()
    device.line = "301"
    device.append(7)
    archive = Collection.open(tmp_path, SERIAL).read()
    with pytest.raises(RecordsError, match="another one than that in the files"):
        acknowledge(device, archive)  # with the file of before
    report = pulled(device, tmp_path)
    assert report.began_again and report.new == 7


def test_holes_of_an_epoch_that_is_over_can_be_noted(device: Device, tmp_path: Path) -> None:
    device.append(5)
    pulled(device, tmp_path)
    path = file_of(tmp_path)
    written(path, [v for v in parsed(path) if v.get("seq") != 2])
    device.erase()
    device.append(2)
    assert pulled(device, tmp_path).breaks
    assert "record 2 is missing" in failed("verify", path)
    assert pulled(device, tmp_path, accept_gone=True).noted == [(2, 2)]
    good("verify", path)


def test_two_pulls_into_one_file(device: Device, tmp_path: Path) -> None:
    device.append(2)
    pulled(device, tmp_path)
    path = file_of(tmp_path)
    before = path.read_bytes()
    device.append(1)
    code = (
        "import sys; from pathlib import Path; from faretap.writing import Appending\n"
        "with Appending(Path(sys.argv[1])):\n"
        "    print('has it', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout and other.stdout.readline() == "has it\n"
        with pytest.raises(CollectionError, match="Another process"):
            pulled(device, tmp_path)
        assert path.read_bytes() == before
        other.communicate()
    assert pulled(device, tmp_path).new == 1


def test_a_full_disk_leaves_whole_lines(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device.append(6)
    path = file_of(tmp_path)
    real = os.write
    room = 0

    def write(number: int, data: bytes) -> int:
        nonlocal room
        if room <= 0:
            raise OSError(28, "No space left on device")
        done = real(number, data[:room])
        room -= done
        return done

    for room_at_first in (0, 10, 100, 300, 700, 900):
        path.unlink(missing_ok=True)
        room = room_at_first
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", write)
            with pytest.raises(CollectionError, match=r"cannot be written: No space left.*Make"):
                pulled(device, tmp_path)
        if path.exists():
            data = path.read_bytes()
            assert data.endswith(b"\n") and len(data) <= room_at_first
            read_files([path])[0].check()
        else:
            assert room_at_first <= 10
        assert pulled(device, tmp_path).last == 6


def test_ctrl_c_leaves_whole_lines(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device.append(4)
    real = os.write
    calls = 0

    def write(number: int, data: bytes) -> int:
        nonlocal calls
        calls += 1
        if calls == 4:
            real(number, data[:9])
            raise KeyboardInterrupt
        return real(number, data)

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(KeyboardInterrupt):
        pulled(device, tmp_path)
    data = file_of(tmp_path).read_bytes()
    assert data.endswith(b"\n") and len(data.splitlines()) == 3
    assert pulled(device, tmp_path).new == 2


# -- a validator that lies ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "serial", ["../../x", "", "zz", "24dcc399a2b4/../x", "24DCC399A2B4", "0" * 40]
)
def test_a_serial_is_no_path(device: Device, tmp_path: Path, serial: str) -> None:
    with pytest.raises(CollectionError, match="no serial"):
        Collection.open(tmp_path / "in", serial)
    assert not (tmp_path / "in").exists()


def test_what_does_not_follow_is_not_written(device: Device, tmp_path: Path) -> None:
    device.append(2)
    pulled(device, tmp_path)
    before = file_of(tmp_path).read_bytes()
    device.append(3)
    real = device.pull

    def changed(session: Any, kind: str, header: dict[str, Any]) -> Any:
        for cursor, piece in real(session, kind, header):
            if int.from_bytes(piece[:4], "big") == 4:
                piece = piece[:-1] + bytes((piece[-1] ^ 1,))
            yield cursor, piece

    device.pull = changed  # type: ignore[method-assign]
    with pytest.raises(RecordsError, match="record 4 does not follow"):
        pulled(device, tmp_path)
    after = file_of(tmp_path).read_bytes()
    assert after.startswith(before) and parsed(file_of(tmp_path))[-1]["seq"] == 3
    good("verify", file_of(tmp_path))


def test_its_word_on_the_chain_is_not_believed(device: Device, tmp_path: Path) -> None:
    device.append(3)
    pulled(device, tmp_path)
    path = file_of(tmp_path)
    values = parsed(path)
    for value in values[1:]:
        value["chain_ok"] = False
    written(path, values)
    rows = [json.loads(line) for line in good("export", path).splitlines()]
    assert all(row["chain_ok"] is True for row in rows)


@pytest.mark.parametrize(
    "answer",
    [None, [], {}, {"first": 1}, {"first": 0, "next": 1, "acked": 0},
     {"first": 5, "next": 3, "acked": 0}, {"first": 1, "next": 3, "acked": 7},
     {"first": True, "next": 3, "acked": 0}, {"first": 1, "next": 1 << 40, "acked": 0}],
)  # fmt: skip
def test_an_info_that_makes_no_sense(device: Device, tmp_path: Path, answer: object) -> None:
    device.append(2)
    device.lies["records.info"] = answer
    with pytest.raises(RecordsError, match=r"records\.info"):
        pulled(device, tmp_path)
    assert not file_of(tmp_path).exists()


def test_keys_without_end(device: Device, tmp_path: Path) -> None:
    device.append(1)

    def endless(session: Any, kind: str, header: dict[str, Any]) -> Any:
        for n in range(10**9):
            yield 1, bytes(4) + b"\x02" + bytes(13) + b"K" + n.to_bytes(4, "big")

    device.pull = endless  # type: ignore[method-assign]
    with pytest.raises(RecordsError, match="no records"):
        pulled(device, tmp_path)


def test_numbers_without_end(device: Device, tmp_path: Path) -> None:
    device.append(1)

    def endless(session: Any, kind: str, header: dict[str, Any]) -> Any:
        for n in range(1, 10**9):
            yield 1, (n * 1000).to_bytes(4, "big") + b"\x01" + bytes(13) + bytes(41)

    device.pull = endless  # type: ignore[method-assign]
    assert pulled(device, tmp_path).last <= 10_001


# -- acknowledging ------------------------------------------------------------------------------


def test_nothing_is_acknowledged_that_is_not_at_home(device: Device, tmp_path: Path) -> None:
    device.append(6)
    pulled(device, tmp_path)
    device.append(2)
    path = file_of(tmp_path)
    archive = Collection.open(tmp_path, SERIAL).read()
    with pytest.raises(CollectionError, match="Record 7 is not in the files"):
        acknowledge(device, archive, 7)
    assert acknowledge(device, archive, 2)["acked"] == 2
    values = parsed(path)
    part = tmp_path / "part.records.jsonl"
    written(part, [values[0], *(v for v in values[1:] if v["seq"] > 4)])
    with pytest.raises(CollectionError, match="Records 3 to 4 are not in the files"):
        acknowledge(device, read_files([part])[0])
    written(path, [v for v in values if v.get("seq") != 4])
    with pytest.raises(CollectionError, match="record 4 is missing"):
        acknowledge(device, read_files([path])[0])
    assert device.journal.acked == 2
    (both,) = read_files([path, part])
    with pytest.raises(CollectionError, match="record 4 is missing"):
        acknowledge(device, both)
    written(path, values)
    assert acknowledge(device, read_files([path])[0])["acked"] == 6


def test_another_validators_records_are_not_acknowledged(device: Device, tmp_path: Path) -> None:
    device.append(3)
    pulled(device, tmp_path)
    other = Device(OTHER, line="9")
    other.append(3)
    with pytest.raises(RecordsError, match=f"'{OTHER}'"):
        acknowledge(other, read_files([file_of(tmp_path)])[0])
    # A file that was given another name, or another first line.
    values = parsed(file_of(tmp_path))
    written(file_of(tmp_path, OTHER), [{**values[0], "validator": OTHER}, *values[1:]])
    with pytest.raises(RecordsError, match="another one than that in the files"):
        acknowledge(other, read_files([file_of(tmp_path, OTHER)])[0])
    assert other.journal.acked == 0


def test_commands_of_a_pull(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import contextlib

    monkeypatch.setattr(
        "faretap.cli.records.connect", lambda port, **_: contextlib.nullcontext(device)
    )
    device.append(4)
    words = ("pull", "--port", "x", "--out", tmp_path)
    done = json.loads(good(*words, "--ack", "--json"))
    assert (done["new"], done["acked"], done["breaks"]) == (4, 4, [])
    device.append(3)
    device.rot(6)
    result = run(*words, "--ack", "--json")
    assert isinstance(result.exception, FaretapError)
    assert "record 6 is gone for ever" in str(result.exception)
    assert "acked" not in json.loads(result.stdout) and device.journal.acked == 4
    path = file_of(tmp_path)
    assert "record 6 is missing" in failed("ack", path, "--port", "x")
    assert device.journal.acked == 4
    good(*words, "--accept-gone")
    assert json.loads(good("ack", path, "--port", "x", "--json"))["acked"] == 7
    device.serial = OTHER
    assert "no records of validator" in failed("ack", path, "--port", "x")
    assert "Which validator" in failed("ack", path)


# -- several files ------------------------------------------------------------------------------


def test_parts_of_one_and_files_of_many(device: Device, tmp_path: Path) -> None:
    device.append(4)
    pulled(device, tmp_path / "a")
    device.append(3)
    pulled(device, tmp_path / "b")  # all seven
    values = parsed(file_of(tmp_path / "b"))
    part = tmp_path / "part.jsonl"
    written(part, [values[0], *values[4:]])  # from the fourth on
    other = Device(OTHER, line="9")
    other.append(2)
    pulled(other, tmp_path)
    files = [part, file_of(tmp_path / "a"), file_of(tmp_path, OTHER), file_of(tmp_path / "b")]
    said = json.loads(good("verify", *files, "--json"))
    assert [(v["validator"], v["records"]) for v in said["validators"]] == [
        (SERIAL, 7),
        (OTHER, 2),
    ]
    assert said["validators"][0]["duplicates"] == 8 and said["ok"]
    for some in (files, files[::-1]):
        rows = list(csv.DictReader(io.StringIO(good("export", "--format", "csv", *some))))
        assert sorted((r["validator"], int(r["seq"])) for r in rows) == [
            *((SERIAL, n) for n in range(1, 8)),
            *((OTHER, n) for n in (1, 2)),
        ]
    target = tmp_path / "all.csv"
    done = json.loads(good("export", *files, "--format", "csv", "--out", target, "--json"))
    assert done["records"] == 9 and len(target.read_text().splitlines()) == 10


def test_parts_with_a_hole_between_them(device: Device, tmp_path: Path) -> None:
    device.append(7)
    pulled(device, tmp_path)
    values = parsed(file_of(tmp_path))
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    written(one, values[:4])
    written(two, [values[0], *values[6:]])
    target = tmp_path / "out.jsonl"
    for files in ((one, two), (two, one)):
        assert "records 4 to 5 are missing" in failed("export", *files, "--out", target)
    assert not target.exists()
    good("export", two)  # begins with the sixth: what was before is elsewhere


def test_one_bad_file_of_many_exports_nothing(device: Device, tmp_path: Path) -> None:
    device.append(3)
    pulled(device, tmp_path)
    other = Device(OTHER)
    other.append(3)
    pulled(other, tmp_path)
    bad = file_of(tmp_path, OTHER)
    values = parsed(bad)
    values[2]["body"] = values[2]["body"][:-2] + "00"
    written(bad, values)
    sentence = failed("export", file_of(tmp_path), bad)
    assert "record 2 does not follow" in sentence and str(bad) in sentence
    seen = json.loads(run("verify", file_of(tmp_path), bad, "--json").stdout)
    assert [v["problem"] and v["problem"]["seq"] for v in seen["validators"]] == [None, 2]


def test_records_of_two_validators_in_one_file(device: Device, tmp_path: Path) -> None:
    device.append(2)
    pulled(device, tmp_path)
    other = Device(OTHER)
    other.append(2)
    pulled(other, tmp_path)
    both = tmp_path / "both.jsonl"
    both.write_bytes(file_of(tmp_path).read_bytes() + file_of(tmp_path, OTHER).read_bytes())
    assert f"records of validator {OTHER} in a file of {SERIAL}" in failed("export", both)


def test_copies_that_differ(device: Device, tmp_path: Path) -> None:
    device.append(4)
    pulled(device, tmp_path)
    values = parsed(file_of(tmp_path))
    # Somebody made the third record another, and the chain again from there.
    body = bytes.fromhex(values[3]["body"])
    body = body[:13] + (900).to_bytes(4, "little") + body[17:]
    chain = bytes.fromhex(values[2]["chain"])
    for value, content in ((values[3], body), (values[4], bytes.fromhex(values[4]["body"]))):
        chain = link(chain, content)
        value["body"], value["chain"] = content.hex(), chain.hex()
    copy = tmp_path / "copy.jsonl"
    written(copy, values)
    good("verify", copy)  # the chain has no key
    assert "record 3 is there twice" in failed("verify", copy, file_of(tmp_path))
    file_of(tmp_path).write_bytes(copy.read_bytes())
    with pytest.raises(RecordsError, match="what went before it is not"):
        pulled(device, tmp_path)


# -- changes in a file --------------------------------------------------------------------------


def test_any_change_shows(device: Device, tmp_path: Path) -> None:
    """Every change of a digit of a record, every record taken out or moved to another's number."""
    device.append(4)
    pulled(device, tmp_path)
    path = file_of(tmp_path)
    values = parsed(path)
    for n in range(1, 5):
        for name in ("body", "chain"):
            text = values[n][name]
            for at in range(0, len(text), 7):
                digit = "0" if text[at] != "0" else "1"
                changed = [*values]
                changed[n] = {**values[n], name: text[:at] + digit + text[at + 1 :]}
                written(path, changed)
                with pytest.raises(CollectionError) as e:
                    read_files([path])[0].check()
                assert f"record {n} " in str(e.value) or f"record {n + 1} " in str(e.value)
    for n in (2, 3):
        written(path, values[:n] + values[n + 1 :])
        with pytest.raises(CollectionError, match=f"record {n} is missing"):
            read_files([path])[0].check()
    swapped = [*values]
    swapped[2], swapped[3] = ({**values[3], "seq": 2}, {**values[2], "seq": 3})
    written(path, swapped)
    with pytest.raises(CollectionError, match="record 2"):
        read_files([path])[0].check()


HOSTILE: dict[str, bytes] = {
    "not JSON": b"{\n",
    "array": b"[]\n",
    "text for seq": b'{"seq":"x","chain":"00"}\n',
    "seq true": b'{"seq":true,"body":"00","after":"","chain":"0011223344556677"}\n',
    "seq huge": b'{"seq":1e300,"body":"00","after":"","chain":"0011223344556677"}\n',
    "deep": b"[" * 60000 + b"\n",
    "body not hex": b'{"seq":1,"body":"zz","after":"","chain":"0011223344556677"}\n',
    "key number": b'{"key":5}\n',
    "key not hex": b'{"key":"zz"}\n',
    "long line": b'{"seq":1,"chain":"' + b"0" * 5_000_000 + b'"}\n',
    "NUL": b"\0\0\0\n",
    "binary": bytes(range(256)) + b"\n",
    "UTF-16": '{"seq":1}\n'.encode("utf-16"),
    "surrogate": b'{"seq":1,"body":"\xed\xa0\x80"}\n',
    "foreign": b'{"validator":"../../x","format":2}\n',
    "later format": b'{"validator":"24dcc399a2b4","format":3}\n',
    "gone backwards": b'{"gone":[5,2]}\n',
    "gone of no epoch": b'{"gone":[1,2],"epoch":9}\n',
    "gone huge": b'{"gone":[1,99999999999]}\n',
    "kind": b'{"what":1}\n',
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("command", ["verify", "export"])
def test_hostile_lines(tmp_path: Path, name: str, command: str) -> None:
    path = file_of(tmp_path)
    path.write_bytes(HOSTILE[name])
    sentence = failed(command, path)
    assert str(path) in sentence and "line" in sentence and len(sentence) < 600


def test_hostile_lines_stop_a_pull(device: Device, tmp_path: Path) -> None:
    device.append(1)
    path = file_of(tmp_path)
    for data in HOSTILE.values():
        path.write_bytes(data)
        with pytest.raises(CollectionError):
            pulled(device, tmp_path)
        assert path.read_bytes() == data


def test_a_hole_of_four_billion(device: Device, tmp_path: Path) -> None:
    device.append(2)
    pulled(device, tmp_path)
    path = file_of(tmp_path)
    far = {**parsed(path)[-1], "seq": 0xFFFFFFFF}
    written(path, [*parsed(path), far])
    assert "records 3 to 4294967294 are missing" in failed("verify", path)


def test_blocks_that_are_missing_are_said(device: Device, tmp_path: Path) -> None:
    device.append(2)
    device.append(1, evidence=b"\x03" + bytes.fromhex("0badf00d") + bytes(40))
    pulled(device, tmp_path)
    done = run("verify", file_of(tmp_path))
    assert done.exit_code == 2
    assert "block 0badf00d, which record 3 need" in said(done)
    seen = json.loads(run("verify", file_of(tmp_path), "--json").stdout)
    assert seen["validators"][0]["lacking"] == {"0badf00d": [3, 3]} and seen["ok"]


def test_many_missing_blocks_cost_little(tmp_path: Path) -> None:
    from faretap.records.evidence import KeyBlocks

    blocks = KeyBlocks()
    for n in range(1000):
        blocks.add(n.to_bytes(4, "big") * 8)
    tried: Callable[[bytes], bytes | None] = blocks.find
    assert all(tried(n.to_bytes(4, "little")) is None for n in range(1, 100_000))


def test_a_file_that_changes_while_it_is_read(device: Device, tmp_path: Path) -> None:
    device.append(3)
    pulled(device, tmp_path)
    path = file_of(tmp_path)
    archive = Archive(SERIAL)
    archive.add(read_file(path))
    values = parsed(path)
    written(path, [values[0], values[2], values[1], values[3]])
    with pytest.raises(CollectionError, match="changed while it was read"):
        archive.check()


def test_appending_is_a_files_matter(tmp_path: Path) -> None:
    with pytest.raises(FaretapError, match="folder"), Appending(tmp_path):
        pass
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(FaretapError, match="cannot be written"), Appending(fifo):
        pass
    with Appending(tmp_path / "none"):
        pass
    assert not (tmp_path / "none").exists()
