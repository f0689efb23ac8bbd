"""What is wrong with a configuration is named: where, what stands there, what would be right."""

from __future__ import annotations

import copy
import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from faretap.config import keys, samples, source
from faretap.config.curves import root_problem
from faretap.config.errors import ConfigError
from faretap.config.schema import TEXTS, Configuration
from validator.store import config_check
from validator.ui import texts

Change = Callable[[dict[str, Any]], Any]
SMALL = {"version": 1, "life_cycle": "bench"}
POINT = keys.compressed(samples.operator_key().public_key()).hex()


def problems(raw: dict[str, Any], folder: Path = Path()) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as e:
        source.check(raw, "x.toml", folder).body()
    assert e.value.problems and str(e.value).startswith("x.toml has ")
    for problem in e.value.problems:
        assert problem.endswith(".") and "Input" not in problem and "pydantic" not in problem
    return e.value.problems


def set_at(path: str, value: Any) -> Change:
    def change(raw: dict[str, Any]) -> None:
        here: Any = raw
        *above, last = [int(p) if p.isdigit() else p for p in path.split(".")]
        for part in above:
            here = here.setdefault(part, {}) if isinstance(here, dict) else here[part]
        here[last] = value

    return change


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("version", 0, "version: 0; right would be 1 to 2147483647."),
        ("version", "1", "version: '1'; right would be 1 to 2147483647."),
        ("version", True, "version: True; right would be 1 to 2147483647."),
        ("life_cycle", "factory", "life_cycle: 'factory'; right would be bench or service."),
        ("serials", ["xyz"], "serials[0]: 'xyz'; right would be hex digits of 4 to 8 bytes."),
        ("serials", [], "serials: []; right would be at least one entry."),
        ("identity.vehicel", "1", "identity.vehicel: there is no such key; did you mean vehicle."),
        ("identity.line", "é" * 17, f"identity.line: {'é' * 17!r}; right would be text of up to "),
        (
            "identity.stop",
            "a\nb",
            "identity.stop: 'a\\nb'; right would be text of up to 32 bytes.",
        ),
        ("fares.flat", -1, "fares.flat: -1; right would be 0 to 100000 fen."),
        ("fares.flat", 1.5, "fares.flat: 1.5; right would be 0 to 100000 fen."),
        ("fares.types", {"child": 5}, "fares.types.child: 'child'; right would be normal, stud"),
        ("fare", {}, "fare: there is no such key; did you mean fares."),
        ("zzzz", 1, "zzzz: there is no such key; right would be one of format, version,"),
        ("cards.limits.tap", "5", "cards.limits.tap: '5'; right would be 0 to 1073741823 fen."),
        ("cards.ca_keys.0.expires", "1349x", "cards.ca_keys[0].expires: '1349x'; right would b"),
        ("cards.ca_keys.0.index", "f3", "cards.ca_keys[0]: right would be the check value "),
        ("cards.ca_keys.1.index", "f1", "cards.ca_keys[1]: right would be the check value "),
        ("cards.terminal.serial", "SHORT", "cards.terminal.serial: 'SHORT'; right would be 8 "),
        ("cards.aids", ["a0"], "cards.aids[0]: 'a0'; right would be hex digits of 5 to 16 bytes."),
        ("cards.ca_keys", {}, "cards.ca_keys: right would be a list of tables."),
        ("cards.acquirer.modulus", "ff" * 128, "cards.acquirer.modulus: 'ffff"),
        ("codes.roots", ["21" * 144], "codes: right would be roots[0]: a root file: 21, service"),
        ("codes.roots", ["21"], "codes.roots[0]: '21'; right would be hex digits of a root file"),
        ("codes.skew_s", -1, "codes.skew_s: -1; right would be 0 to 86400 s."),
        ("codes.accepted", [{"issuer": "1"}], "codes.accepted[0].issuer: '1'; right would be 8 d"),
        ("codes.union_keys.0.key", "02" + "ff" * 32, "codes.union_keys[0].key: '02ff"),
        ("codes.alipay_keys.0.key", "02" + "ff" * 32, "codes.alipay_keys[0]: right would be a p"),
        ("codes.cpm.cap", None, "codes.cpm.cap: None; right would be 0 to 1073741823 fen."),
        ("display.language", "fr", "display.language: 'fr'; right would be zh or en."),
        ("display.texts", {"hi": {"zh": "好", "en": "Hi"}}, "display.texts.hi: 'hi'; right wo"),
        ("link.baud_max", 300, "link.baud_max: 300; right would be 9600 to 5000000 baud."),
        ("access.keys", [{"name": "a", "public": POINT, "rights": ["all"]}], "access.keys[0].ri"),
        ("access.keys", [{"name": "a", "rights": ["change"]}], "access.keys[0]: right would be e"),
        ("token_key", "5a", "token_key: a secret value; right would be hex digits of 16 bytes."),
        ("operator_key", "04" + "11" * 64, "operator_key: '0411"),
        ("not_before", "tomorrow", "not_before: 'tomorrow'; right would be a time with its offs"),
        ("purse", {"mode": "composite"}, "purse: right would be marked_amount in composite mode"),
        ("purse.stages", [[5, 2], [5, 3]], "purse: right would be stages with ascending numbers"),
        ("purse.stages", [[5]], "purse.stages[0]: [5]; right would be [stations, fen]"),
        ("purse.psam", [{"slot": 9}], "purse.psam[0].slot: 9; right would be 0 to 7."),
    ],
)
def test_each_problem_has_its_words(path: str, value: Any, said: str) -> None:
    raw = copy.deepcopy(samples.bench_configuration())
    set_at(path, value)(raw)
    found = problems(raw)
    assert len(found) == 1 and found[0].startswith(said), found


def test_all_problems_are_named_not_only_the_first() -> None:
    raw = samples.bench_configuration(
        version=-1, lights={}, fares={"flat": "2"}, link={"baud": 9600}, token_key="no"
    )
    assert [p.split(":")[0] for p in problems(raw)] == [
        "version",
        "fares.flat",
        "link.baud",
        "token_key",
        "lights",
    ]


def test_a_missing_key_is_named() -> None:
    assert problems({}) == (
        "version: missing; right would be 1 to 2147483647.",
        "life_cycle: missing; right would be bench or service.",
    )


def test_no_secret_in_an_error() -> None:
    secret = "5a" * 15
    raw = samples.bench_configuration(
        token_key=secret, purse={"soft_psam": {"terminal": "1" * 12, "key": secret}}
    )
    assert secret not in " ".join(problems(raw))


def test_sections_that_do_not_go_together() -> None:
    soft = {"terminal": "1" * 12, "key": "5a" * 16}
    found = problems({**SMALL, "life_cycle": "service", "purse": {"soft_psam": soft}})
    assert found == (
        "the configuration: right would be no purse.soft_psam in service: its keys are test keys.",
    )
    key = {"name": "a", "public": POINT, "rights": ["change"]}
    assert "a stands there twice" in problems({**SMALL, "access": {"keys": [key, key]}})[0]


def test_too_much_for_the_partition() -> None:
    sentence = {"zh": "好" * 20, "en": "Good"}
    raw = samples.bench_configuration(
        display={"texts": {name: sentence for name in TEXTS}},
        serials=[f"{i:016x}" for i in range(1000)],
    )
    raw["cards"]["ca_keys_file"] = "many.csv"
    assert source.check({**raw, "cards": {}}).body()
    raw = {**raw, "cards": {"aids": [f"{i:032x}" for i in range(700)]}}
    assert "right would be up to 32384." in problems(raw)[0]


def test_defaults_are_left_to_the_validator() -> None:
    body = source.check({**SMALL, "display": {}, "fares": {"flat": 3}}).body()
    assert body == {"format": 1, **SMALL, "fares": {"flat": 3}}
    assert list(body)[:3] == ["format", "version", "life_cycle"]


def test_times(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    for text, unix in (
        ("2030-01-01T04:00:00+08:00", 1893441600),
        ("2029-12-31T20:00:00Z", 1893441600),
        ("1893441600", 1893441600),
    ):
        path.write_text(f'version = 1\nlife_cycle = "bench"\nnot_before = {text}\n')
        assert source.load(path).body()["not_before"] == unix
    path.write_text('version = 1\nlife_cycle = "bench"\nnot_before = 2030-01-01T04:00:00\n')
    with pytest.raises(ConfigError, match="a time with its offset"):
        source.load(path)


def test_files_that_are_named(tmp_path: Path) -> None:
    bench = samples.bench_configuration()
    with (tmp_path / "ca.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("rid", "index", "exponent", "modulus", "check_value", "expires"))
        for key in bench["cards"]["ca_keys"]:
            parts = ("rid", "index", "exponent", "modulus", "check", "expires")
            rows.writerow([key[part].upper() for part in parts])
    numbers = rsa.RSAPublicNumbers(65537, int(bench["cards"]["acquirer"]["modulus"], 16))
    pem = numbers.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "acquirer.pem").write_bytes(pem)
    roots = bench["codes"].pop("roots")
    for i, root in enumerate(roots):
        (tmp_path / f"root{i}.bin").write_bytes(bytes.fromhex(root))
    public = samples.operator_key().public_key()
    (tmp_path / "next.pub").write_bytes(keys.public_pem(public))
    keys.create_token(tmp_path / "token.key")
    raw = {
        **bench,
        "cards": {
            "ca_keys_file": "ca.csv",
            "acquirer_file": "acquirer.pem",
            "limits": bench["cards"]["limits"],
        },
        "codes": {**bench["codes"], "root_files": ["root0.bin", "root1.bin"]},
        "token_key_file": "token.key",
        "operator_key_file": "next.pub",
        "access": {"keys": [{"name": "a", "public_file": "next.pub", "rights": ["change"]}]},
    }
    body = source.check(raw, folder=tmp_path).body()
    assert body["cards"] == {**bench["cards"], "ca_keys": body["cards"]["ca_keys"]}
    for ours, theirs in zip(body["cards"]["ca_keys"], bench["cards"]["ca_keys"], strict=True):
        assert {**ours, "rid": ours["rid"].lower()} == theirs
    assert body["codes"]["roots"] == roots
    assert bytes.fromhex(body["token_key"]).hex() + "\n" == (tmp_path / "token.key").read_text()
    assert body["operator_key"] == keys.public_bytes(public).hex()
    assert body["access"]["keys"] == [{"name": "a", "public": POINT, "rights": ["change"]}]
    assert not any("file" in name for name in _names(body))


def _names(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(name for v in value.values() for name in _names(v))]
    return [name for v in value for name in _names(v)] if isinstance(value, list) else []


def test_files_that_are_missing_or_wrong(tmp_path: Path) -> None:
    (tmp_path / "ca.csv").write_text(
        "rid,index,exponent,modulus,check_value\nA000000333,01,03,BBE9,00\nA000000333,1,3,zz,\n"
    )
    (tmp_path / "short.csv").write_text("rid,index\n")
    (tmp_path / "junk").write_bytes(b"junk")
    other = ec.generate_private_key(ec.SECP256K1()).public_key()
    (tmp_path / "k1.pub").write_bytes(keys.public_pem(other))
    raw = {
        **SMALL,
        "cards": {"ca_keys_file": "ca.csv", "acquirer_file": "junk"},
        "codes": {"root_files": ["none.bin"]},
        "token_key_file": "junk",
        "operator_key_file": "k1.pub",
    }
    found = " ".join(problems(raw, tmp_path))
    for said in (
        "cards.ca_keys_file: ca.csv has 6 problems: ca.csv, line 2: modulus: right would",
        "ca.csv, line 3: index: right would be hex digits of 1 byte.",
        "cards.acquirer_file: junk holds no public key in PEM.",
        "none.bin cannot be read: No such file or directory.",
        "token_key_file: ",
        "operator_key_file: ",
        "no key over P-256",
    ):
        assert said in found, (said, found)
    raw = {**SMALL, "cards": {"ca_keys_file": "short.csv"}}
    assert "no column check_value, exponent, modulus" in problems(raw, tmp_path)[0]


def test_no_toml(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    with pytest.raises(ConfigError, match="cannot be read"):
        source.load(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        source.load(path)
    path.write_text("version = = 1")
    with pytest.raises(ConfigError, match="line 1, column 11"):
        source.load(path)


def test_roots_are_verified() -> None:
    for root in samples.bench_configuration()["codes"]["roots"]:
        data = bytes.fromhex(root)
        assert root_problem(data) == ""
        for at in (1, 4, 10, 12, 16, 79, 80, 143):
            wrong = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
            assert root_problem(wrong), at


def test_the_device_knows_every_section() -> None:
    ours = {name for name in Configuration.model_fields if not name.endswith("_file")}
    assert ours == set(config_check._MEMBERS)


def test_the_display_has_every_text() -> None:
    known = {name or "accepted" for name in texts.RESULTS} | set(texts.STATES)
    assert known == set(TEXTS)
