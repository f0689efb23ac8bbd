"""faretap code make, list, show, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from faretap.cli import code as code_commands
from faretap.errors import FaretapError
from faretap.sim import codes

AT = 1893456000
runner = CliRunner()


def run(*words: str) -> Result:
    return runner.invoke(code_commands.code, list(words))


def ok(*words: str) -> str:
    result = run(*words)
    assert result.exit_code == 0, result.exception
    return result.stdout


def refused(*words: str) -> str:
    result = run(*words)
    assert isinstance(result.exception, FaretapError), result.output
    return str(result.exception)


def test_make_prints_the_bytes() -> None:
    assert ok("make", "mot", "--at", str(AT), "--hex").strip() == codes.make("mot", at=AT).hex()
    assert ok("make", "mot", "--at", str(AT), "--hex", "--set", "limit=100") != ok(
        "make", "mot", "--at", str(AT), "--hex"
    )


def test_make_writes_bytes_and_picture(tmp_path: Path) -> None:
    file, png = tmp_path / "code.bin", tmp_path / "code.png"
    words = ("make", "mot", "--at", str(AT), "--out", str(file), "--png", str(png), "--json")
    told = json.loads(ok(*words))
    assert file.read_bytes() == codes.make("mot", at=AT) == bytes.fromhex(told["hex"])
    assert png.read_bytes()[:4] == b"\x89PNG"
    assert told["symbol"] == "14-M" and told["bytes"] == 332 and told["at"] == AT
    assert told["expected"] == {"outcome": "accepted", "reason": ""}


def test_a_defect_is_named_apart_or_in_the_kind() -> None:
    apart = ok("make", "mot", "--defect", "wrong-root", "--at", str(AT), "--json")
    assert apart == ok("make", "mot-wrong-root", "--at", str(AT), "--json")
    told = json.loads(apart)
    assert told["expected"] == {"outcome": "declined", "reason": "bad_signature"}
    text = ok("make", "mot", "--defect", "wrong-root", "--at", str(AT))
    assert "declined bad_signature" in text
    verdicts = [line.split()[-1] for line in text.splitlines() if "signature " in line]
    assert verdicts[-3:] == ["wrong", "right", "right"]


def test_what_is_set_is_no_longer_what_the_catalogue_expects() -> None:
    assert "expected" not in json.loads(ok("make", "union", "--set", "validity=1", "--json"))


def test_without_a_moment_a_code_is_for_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: AT + 7.5)
    assert ok("make", "alipay", "--hex").strip() == codes.make("alipay", at=AT + 7).hex()


def test_list_tells_all_or_a_kind() -> None:
    told = json.loads(ok("list", "--json"))
    assert list(told) == list(codes.CODES)
    for name, entry in told.items():
        assert (entry["outcome"], entry["reason"]) == codes.CODES[name].expected
    assert told["mot-swapped-keys"]["broken"] == ["issuer", "user"]
    assert told["mot-truncated"]["broken"] is None
    some = json.loads(ok("list", "union", "--json"))
    assert list(some) == [name for name in told if told[name]["kind"] == "union"]
    assert "declined bad_signature" in ok("list", "union")
    assert "Kinds: alipay, " in refused("list", "tram")


def test_show_reads_a_file_a_name_or_hex(tmp_path: Path) -> None:
    file = tmp_path / "code.bin"
    file.write_bytes(codes.make("mot", at=AT))
    told = json.loads(ok("show", str(file), "--json"))
    assert told["kind"] == "mot" and told["bytes"] == 332 and told["problem"] == ""
    assert told["fields"]["generated"] == "2030-01-01 00:00:00 UTC"
    assert told["fields"]["limit"] == "20.00 yuan"
    assert told["signatures"] == dict.fromkeys(("certificate", "issuer", "user"), "right")
    assert told == json.loads(ok("show", "mot", "--at", str(AT), "--json"))
    assert told == json.loads(ok("show", "--hex", file.read_bytes().hex(), "--json"))


def test_show_tells_no_number_of_a_rider() -> None:
    numbers = {
        "mot": "9999000000000000001",
        "alipay": "9999000000000001",
        "cpm": "6299980000000000017",
    }
    for name, number in numbers.items():
        text = ok("show", name, "--at", str(AT), "--json")
        assert number not in text
        assert f"{number[:6]}******{number[-4:]}" in text
    for name, secret in (
        ("union", "RIDER001"),
        ("union", b"RIDER001".hex()),
        ("cpm", "0123456789"),
    ):
        assert secret not in ok("show", name, "--json")
    number = codes.make("cpm-numeric", at=AT).decode()
    assert number[6:] not in ok("show", "cpm-numeric", "--at", str(AT), "--json")


def test_show_tells_what_is_wrong() -> None:
    told = json.loads(ok("show", "mot-truncated", "--json"))
    assert told["problem"] == "331 bytes, not 332 to 364" and told["fields"] == {}
    assert json.loads(ok("show", "mot-unknown-root", "--json"))["signatures"]["certificate"] == (
        "unknown key"
    )
    told = json.loads(ok("show", "alipay-user-der-padded", "--json"))
    assert "rider's signature is no DER" in told["problem"]


def test_any_bytes_can_be_shown() -> None:
    whole = codes.make("alipay", at=AT)
    for data in (
        b"\x80",
        b"\x02\x01\x01\xff",
        b"Ah\x00",
        b"AhE=",
        b"hQVDUFYwM===",
        b"\x54\x01",
        whole,
    ):
        for end in range(1, len(data) + 1, 5):
            ok("show", "--hex", data[:end].hex(), "--json")
            ok("show", "--hex", data[:end].hex())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("make", "tram"), "There is no code 'tram'. Kinds: alipay, alipay-prefixed, "),
        (("make", "mot", "--defect", "rust"), "A code mot has no defect 'rust'. It has: "),
        (("make", "mot", "--set", "limit"), "--set limit has no value. Write it as FIELD=VALUE."),
        (("make", "mot", "--set", "limit=x"), "limit is 'x': a number expected"),
        (("make", "mot", "--set", "colour=red"), "no field 'colour': choose one of version"),
        (("make", "mot", "--out", "/nowhere/x"), "/nowhere/x cannot be written: No such file"),
        (("make", "mot", "--png", "/nowhere/x.png"), "cannot be written"),
        (("make", "empty", "--png", "x.png"), "a QR code holds 1 to 2331 bytes, not 0"),
        (("show", "nothing.bin"), "nothing.bin cannot be read: No such file"),
        (("show", "--hex", "abc"), "--hex is not a string of hex digits."),
        (("show",), "Which code?"),
    ],
)
def test_refusals_are_sentences(words: tuple[str, ...], sentence: str) -> None:
    assert sentence in refused(*words)
