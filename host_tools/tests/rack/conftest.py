"""Racks for tests: their locks and what they leave are the test's own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faretap.image.whole import whole_flash
from faretap.rack.file import Rack, load

MakeRack = Callable[[str], Rack]


@pytest.fixture(autouse=True)
def own_places(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of this test and the processes that it starts."""
    place = tmp_path_factory.mktemp("places")
    monkeypatch.setenv("FARETAP_LOCKS", str(place / "locks"))
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr(tempfile, "tempdir", str(place))


@pytest.fixture(scope="session")
def flash_image() -> bytes:
    """The flash of a virtual validator that was just flashed with the current firmware."""
    return whole_flash("VIRTUAL")


@pytest.fixture
def make_rack(tmp_path: Path) -> Iterator[MakeRack]:
    """`make_rack(text)`: the rack of a file with that text, in the test's folder."""

    def make(text: str) -> Rack:
        path = tmp_path / "bench.toml"
        path.write_text(text)
        return load(path)

    yield make
