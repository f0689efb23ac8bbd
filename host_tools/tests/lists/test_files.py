"""Token files, card tokens and the commands, on files."""

# The firmware carries no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from faretap.cli.lists import lists
from faretap.config import keys
from faretap.errors import FaretapError
from faretap.lists import DenyList, ListFileError, read_tokens, token_of
from faretap.lists.push import push
from faretap.lists.tokens import key_check, read_key
from validator.store.token import CARD_SCOPE, CODE_SCOPE, Tokens

NUMBER = "6299990000000000012"
TOKEN_KEY = bytes(range(16))
PASSPHRASE = "correct horse"


def test_token_files(tmp_path: Path) -> None:
    text = tmp_path / "tokens.txt"
    text.write_text("# lost cards\n0011223344556677\n\n8899AABBCCDDEEFF  # stolen\n")
    assert [t.hex() for t in read_tokens(text)] == ["0011223344556677", "8899aabbccddeeff"]
    table = tmp_path / "tokens.csv"
    table.write_text("since,Token\n2026-01-01,0011223344556677\n2026-01-02,\n")
    assert [t.hex() for t in read_tokens(table)] == ["0011223344556677"]


@pytest.mark.parametrize("wrong", [NUMBER, "00112233", "0011223344556677 8", "x" * 16])
def test_what_is_no_token_is_not_repeated(tmp_path: Path, wrong: str) -> None:
    path = tmp_path / "tokens.txt"
    path.write_text(f"0011223344556677\n{wrong}\n")
    with pytest.raises(ListFileError, match="line 2") as e:
        read_tokens(path)
    assert wrong not in str(e.value)
    (tmp_path / "other.csv").write_text(f"number\n{NUMBER}\n")
    with pytest.raises(ListFileError, match="column"):
        read_tokens(tmp_path / "other.csv")


def test_tokens_are_those_of_the_validator() -> None:
    device = Tokens(TOKEN_KEY)
    par = "5001" + "A" * 25
    for number in (NUMBER, par):
        assert token_of(TOKEN_KEY, number) == device.token(CARD_SCOPE, number.encode())
    assert token_of(TOKEN_KEY, "6299 9900 0000 0000 012") == token_of(TOKEN_KEY, NUMBER)
    want = device.token(CODE_SCOPE, b"user-17")
    assert token_of(TOKEN_KEY, "user-17", "account") == want
    for wrong in ("", "1234567", "62999900000000000x2", "卡" * 29):
        with pytest.raises(ListFileError) as e:
            token_of(TOKEN_KEY, wrong)
        assert not wrong or wrong not in str(e.value)


def test_token_keys(tmp_path: Path) -> None:
    path = tmp_path / "token.key"
    path.write_text(TOKEN_KEY.hex() + "\n")
    with pytest.raises(ListFileError, match="others may read it"):
        read_key(path)
    path.chmod(0o600)
    assert read_key(path) == TOKEN_KEY
    path.write_bytes(TOKEN_KEY)
    assert read_key(path) == TOKEN_KEY
    for wrong in (b"", b"00" * 15, b"no key at all"):
        path.write_bytes(wrong)
        with pytest.raises(ListFileError):
            read_key(path)


class Files:
    """A key and token files in a folder; runs the commands there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        keys.create(folder / "op.pem", PASSPHRASE)
        (folder / "pass").write_text(PASSPHRASE + "\n")
        (folder / "token.key").write_text(TOKEN_KEY.hex())
        for name in ("pass", "token.key"):
            (folder / name).chmod(0o600)

    def tokens(self, name: str, numbers: range) -> Path:
        path = self.folder / name
        path.write_text("\n".join(token_of(TOKEN_KEY, str(10**15 + n)).hex() for n in numbers))
        return path

    def run(self, *words: object, expect: int = 0, given: str = "") -> Result:
        result = CliRunner().invoke(lists, [str(word) for word in words], input=given)
        if isinstance(result.exception, FaretapError):
            raise result.exception
        assert result.exit_code == expect, (result.output, result.exception)
        return result

    def build(self, name: str, tokens: Path, version: int, *more: object) -> dict[str, Any]:
        words = ("build", tokens, "--out", self.folder / name, "--version", version, "--json")
        signed = ("--key", self.folder / "op.pem", "--passphrase-file", self.folder / "pass")
        result: dict[str, Any] = json.loads(self.run(*words, *signed, *more).stdout)
        return result


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_from_tokens_to_changes(files: Files) -> None:
    first, second = files.tokens("a.txt", range(500)), files.tokens("b.txt", range(20, 510))
    spare = files.tokens("c.txt", range(600, 602))
    old, new, changes = (files.folder / name for name in ("a.ftl", "b.ftl", "ab.ftl"))
    made = files.build("a.ftl", first, 1, "--token-key-file", files.folder / "token.key")
    assert (made["entries"], made["version"]) == (500, 1)
    assert made["token_key"] == key_check(TOKEN_KEY).hex()
    made = files.build("b.ftl", second, 2, "--like", old, "--exempt", spare)
    assert made["exempt"] == 2
    facts = json.loads(files.run("delta", old, new, "--out", changes, "--json").stdout)
    assert (facts["kind"], facts["base"], facts["changes"]) == ("changes", 1, 30)
    assert changes.stat().st_size < new.stat().st_size
    public = keys.public_path(files.folder / "op.pem")
    for path in (old, new, changes):
        facts = json.loads(files.run("show", path, "--trust", public, "--json").stdout)
        assert facts["signed"] is True
    listed = token_of(TOKEN_KEY, str(10**15 + 30)).hex()
    assert "denied" in files.run("show", new, "--find", listed, expect=2).stdout
    gone = token_of(TOKEN_KEY, str(10**15 + 3)).hex()
    assert json.loads(files.run("show", new, "--find", gone, "--json").stdout)["denied"] is False
    with pytest.raises(ListFileError, match="not newer"):
        files.run("delta", new, old, "--out", changes)


def test_signed_by_somebody_else(files: Files, tmp_path: Path) -> None:
    files.build("a.ftl", files.tokens("a.txt", range(5)), 1)
    keys.create(tmp_path / "other.pem", PASSPHRASE)
    with pytest.raises(ListFileError, match="not signed with that key"):
        files.run("show", files.folder / "a.ftl", "--trust", tmp_path / "other.pem.pub")


def test_a_damaged_file(files: Files) -> None:
    files.build("a.ftl", files.tokens("a.txt", range(5)), 1)
    path = files.folder / "a.ftl"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ListFileError, match=r"a\.ftl: The list is damaged"):
        files.run("show", path)


def test_a_number_is_never_shown(files: Files) -> None:
    key = ("--key-file", files.folder / "token.key")
    shown = files.run("token", NUMBER, *key).output
    assert shown == token_of(TOKEN_KEY, NUMBER).hex() + "\n"
    shown = files.run("token", "-", *key, given=f"{NUMBER}\n6212345678901234\n").output
    assert shown.splitlines()[1] == token_of(TOKEN_KEY, "6212345678901234").hex()
    with pytest.raises(ListFileError) as e:
        files.run("token", "62129", *key)
    assert "62129" not in str(e.value)


class Validator:
    """What `push` asks of a session, as far as it asks before it sends."""

    def __init__(self, version: int, room: int = 200_000, digest: str = "") -> None:
        self.facts = {"version": version, "room": room, "hash": digest}
        self.link = self

    def call(self, method: str) -> dict[str, Any]:
        assert method == "lists.info"
        return self.facts


def test_what_need_not_be_sent_is_not(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[bytes] = []

    def send(session: Any, kind: str, data: bytes, progress: Any) -> str:
        assert kind == "list"
        sent.append(data)
        return "in force"

    monkeypatch.setattr("faretap.link.transfer.send", send)
    files.build("a.ftl", files.tokens("a.txt", range(5)), 4)
    files.build("b.ftl", files.tokens("b.txt", range(6)), 5, "--like", files.folder / "a.ftl")
    files.run("delta", files.folder / "a.ftl", files.folder / "b.ftl", "--out", files.folder / "c")
    full, changes = ((files.folder / name).read_bytes() for name in ("b.ftl", "c"))
    digest = DenyList.parse(full).header.digest.hex()[:8]
    assert push(Validator(5, digest=digest), full)["version"] == 5
    for version, room, data, words in (
        (6, 200_000, full, "has version 6, this is 5"),
        (3, 200_000, changes, "changes to version 4; the validator has version 3"),
        (0, 200_000, changes, "has no list"),
        (4, 10, full, "room for 10"),
    ):
        with pytest.raises(ListFileError, match=words):
            push(Validator(version, room), data)
    assert not sent
    assert push(Validator(4), changes) == "in force" and push(Validator(0), full) == "in force"
    assert sent == [changes, full]
