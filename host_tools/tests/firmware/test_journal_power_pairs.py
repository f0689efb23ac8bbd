"""Power cut twice: at every operation, and again at each of those that follow the remount."""

from __future__ import annotations

import copy

import pytest

from flash_sim import HOW, FlashSim, PowerCut  # type: ignore[import-not-found]
from test_journal_power import (  # type: ignore[import-not-found]
    SECTOR,
    SECTORS,
    Story,
    mounted,
    recover,
    tell_until_cut,
)

RECORDS = 34


@pytest.mark.parametrize("first", HOW)
def test_cut_and_cut_again(first: str) -> None:
    n = pairs = 0
    while True:
        flash = FlashSim(SECTORS, SECTOR)
        story = Story()
        flash.cut_at(n, first)
        if tell_until_cut(flash, story, RECORDS):
            break
        left = bytes(flash.data)
        # Which way the second cut goes turns with the operation; all meet over the run.
        for m in range(6):
            second = HOW[(n + m) % len(HOW)]
            flash = FlashSim(SECTORS, SECTOR)
            flash.load(left)
            again = copy.deepcopy(story)
            again.cuts = 2
            flash.cut_at(m, second)
            if not tell_until_cut(flash, again, 6):
                recover(flash, again)
                pairs += 1
        n += 1
    assert pairs > 400


def test_cut_on_real_sectors() -> None:
    """4 KB sectors and records with evidence, cut at each operation around the ring."""

    def tell(flash: FlashSim, returned: list[int]) -> None:
        journal = mounted(flash)
        while len(returned) < 60:
            seq = journal.next_seq
            size = 150 + seq * 97 % 600
            if not journal.has_room(1, size):
                journal.ack(seq - 4)
            journal.append(bytes([seq]) * size)
            returned.append(seq)
            journal.prepare()

    n = 0
    while True:
        flash = FlashSim(3)
        returned: list[int] = []
        flash.cut_at(n, "half")
        try:
            tell(flash, returned)
            break
        except PowerCut:
            flash.power_on()
        journal = mounted(flash)
        entries = list(journal.read())
        assert all(ok and body[0] == seq for seq, body, _, ok, _ in entries)
        seqs = [e[0] for e in entries]
        assert seqs == returned[len(returned) - len(seqs) :]
        assert not returned or len(seqs) > 3 or len(seqs) == len(returned)
        n += 1
    assert min(flash.erases) >= 2 and n > 70
