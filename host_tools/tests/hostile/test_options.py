"""What a scenario file, and a client of a virtual board, may choose: no file, no process, no
address."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from faretap.rack.scenario.file import ScenarioError, load
from faretap.sim import cards
from faretap.sim.cards import options as allowed
from faretap.sim.cards.flaws import Flaws
from faretap.virtual.bench import BenchError
from faretap.virtual.kept import Kept
from faretap.virtual.parts import Refused, card

SCENARIO = 'name = "x"\nseed = 1\n[[riders]]\ncount = 1\nmedium = "{}"\noptions = {{ {} }}\n'
HOSTILE = {
    "trace": "/tmp/evil",
    "state": "/tmp/evil",
    "path": "/tmp/evil",
    "__class__": "x",
    "balance": "/etc/passwd",
    "pan": {"a": 1},
    "seed": 10**30,
    "label": "A" * 100_000,
}


@pytest.mark.parametrize("medium", ["tunion", "quickpass-debit", "quickpass-ecash", "mifare"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_card_from_elsewhere(medium: str, name: str, tmp_path: Path) -> None:
    file = tmp_path / "x.scenario.toml"
    value = HOSTILE[name]
    text = "{ a = 1 }" if isinstance(value, dict) else json.dumps(value)
    file.write_text(SCENARIO.format(medium, f'"{name}" = {text}'))
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ScenarioError, match="options") as told:
        load(file)
    assert len(str(told.value)) < 2000
    with pytest.raises(Refused):
        card(medium, {name: value})
    assert sorted(tmp_path.iterdir()) == before and not Path("/tmp/evil").exists()


def test_every_option_is_on_a_list() -> None:
    """A new option of a card is looked at once: may it come from elsewhere?"""
    here = {"uid", "composite", "options", "flaws", "make", "plan"}  # never from elsewhere
    known = {*allowed.OPTIONS, *allowed.FILES, *here}
    taken = {field.name for field in fields(Flaws)}
    for entry in cards.CARDS.values():
        made = entry.make
        owner = getattr(made, "__self__", made)
        for each in (made, *getattr(owner, "__mro__", ())):
            init = each.__init__ if inspect.isclass(each) else each
            taken |= set(inspect.signature(init).parameters)
    taken -= {"self", "args", "kwargs"}
    assert taken - known == set()
    assert not set(allowed.OPTIONS) & {*allowed.FILES, *here}


def test_no_option_of_a_code_reaches_a_file() -> None:
    from faretap.sim import codes

    folder = Path(codes.__file__).parent
    for path in folder.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        if path.name != "picture.py":  # draws one at the desk
            for word in ("open(", "Path(", "subprocess", "socket", "os."):
                assert word not in text, (path.name, word)


Make = Callable[..., Any]


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "card")


@pytest.mark.parametrize(
    "keep",
    [{"trace": "/tmp/evil"}, {"state": "/tmp/evil"}, {"state": [1]}, {"file": "x"}, {"trace": 1}],
    ids=str,
)
def test_what_is_kept_has_no_name(kept: Kept, keep: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(Refused):
        kept.begin(keep)
    assert list(tmp_path.iterdir()) == []


def test_a_purse_and_its_apdus_come_back(kept: Kept, tmp_path: Path) -> None:
    made = card("tunion", {"balance": 700}, **kept.begin({"trace": True, "state": None}))
    made.apdu(bytes.fromhex("00A404000E325041592E5359532E4444463031"))
    assert all(path.is_relative_to(tmp_path) for path in tmp_path.rglob("*"))
    found = kept.read()
    assert [set(json.loads(line)) for line in found["trace"].splitlines()][-1] >= {"command"}
    assert found["state"] is None  # nothing was paid
    kept.begin({})
    assert kept.read() == {} and not (tmp_path / "card").exists()


def test_a_client_of_a_board(tmp_path: Path) -> None:
    """End to end: what a client may name, and what it gets."""
    from faretap.virtual import spawn

    folder = tmp_path / "board"
    folder.mkdir()
    evil, trace = tmp_path / "evil", tmp_path / "tap.jsonl"
    with spawn(folder) as board, board.bench() as bench:
        for options in ({"trace": str(evil)}, {"state": str(evil)}, {"lose_at_apdu": "x"}):
            with pytest.raises(BenchError):
                bench.call("present", card="tunion", options=options)
        with pytest.raises(BenchError):
            bench.call("present", card="tunion", keep={"trace": str(evil)})
        with pytest.raises(BenchError):
            bench.call("scan", hex="00", hold="1e999")
        bench.present("tunion", trace=trace)
        bench.withdraw()
    assert not evil.exists() and json.loads(trace.read_text().splitlines()[0])["trace"] == 1
