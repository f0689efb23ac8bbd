"""`faretap` in this process: what it prints, how it ends."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from faretap import cli, meant


@dataclass
class Done:
    status: int
    out: str
    err: str

    def plain(self) -> Done:
        """Nothing in it has an effect on a terminal, and nobody says that the tool is at fault."""
        for text in (self.out, self.err):
            assert text.replace("\n", "").isprintable(), repr(text)
            for word in ("Traceback", "fault of faretap"):
                assert word not in text, text
        return self

    def sentence(self) -> str:
        self.plain()
        assert self.status == 1, (self.status, self.out, self.err)
        lines = [line for line in self.err.splitlines() if line.strip()]
        assert len(lines) == 1 and lines[0].startswith("error: "), self.err
        assert lines[0].endswith((".", "!", "?")) and len(lines[0]) < 2500
        return lines[0].removeprefix("error: ")


Run = Callable[..., Done]


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(meant, "serial", "")
    for name in ("FARETAP_ACCESS", "FARETAP_SERIAL", "FARETAP_PORT", "FARETAP_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FARETAP_KNOWN", str(tmp_path / "known.json"))
    monkeypatch.setenv("FARETAP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FARETAP_LOCKS", str(tmp_path / "locks"))

    def whole(*arguments: str) -> Done:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["faretap", *arguments])
        status = 0
        try:
            cli.main()
        except SystemExit as e:
            status = e.code if isinstance(e.code, int) else int(e.code is not None)
        told = capsys.readouterr()
        return Done(status, told.out, told.err)

    return whole
