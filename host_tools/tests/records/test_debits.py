"""Open debits of a validator, seen and settled from here."""

from __future__ import annotations

from typing import Any

import pytest

from faretap.link.answers import NotAnAnswer, answer
from faretap.records.debits import line, open_debits, settle
from faretap.records.model import RecordsError


def debit(seq: int, **more: Any) -> dict[str, Any]:
    made = {"seq": seq, "token": f"{seq:016x}", "medium": "tunion", "kind": "torn"}
    return {**made, "time": 1893456000, "amount": 200, "counter": 5, **more}


class Link:
    """Answers in pages of `pages`, each looked at as those of a validator are."""

    def __init__(self, *pages: tuple[list[dict[str, Any]], int | None]) -> None:
        self.pages = list(pages)
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def call(self, method: str, params: dict[str, Any]) -> Any:
        self.asked.append((method, params))
        if method == "debits.settle":
            return answer(method, {"settled": 1})
        debits, following = self.pages.pop(0)
        return answer(method, {"debits": debits, "next": following})


def test_all_pages_by_the_number_of_the_record() -> None:
    link = Link(([debit(9)], 40), ([], 300), ([debit(2), debit(3)], None))
    assert [d["seq"] for d in open_debits(link)] == [2, 3, 9]
    assert [params["from"] for _, params in link.asked] == [0, 40, 300]


def test_a_validator_that_never_comes_to_an_end() -> None:
    with pytest.raises(RecordsError, match="goes back"):
        open_debits(Link(([debit(1)], 0)))
    with pytest.raises(RecordsError, match="goes back"):
        open_debits(Link(([debit(1)], 40), ([], 40)))
    endless = [([debit(n) for n in range(64)], 1 + page) for page in range(400)]
    with pytest.raises(RecordsError, match="no end"):
        open_debits(Link(*endless))


@pytest.mark.parametrize(
    "bad",
    [{"token": "x" * 16}, {"token": "\x1b[2J"}, {"amount": "1"}, {"seq": -1}, {"time": 1 << 60}],
)
def test_what_is_no_debit(bad: dict[str, Any]) -> None:
    with pytest.raises(NotAnAnswer):
        open_debits(Link(([{**debit(1), **bad}], None)))


def test_one_is_settled_by_record_and_token() -> None:
    link = Link()
    assert settle(link, 7, "00000000000000AB") == 1
    assert link.asked == [("debits.settle", {"seq": 7, "token": "00000000000000ab"})]
    for seq, token in ((0, "00" * 8), (1, "00"), (1, "zz" * 8)):
        with pytest.raises(RecordsError, match="no open debit"):
            settle(link, seq, token)


def test_a_line_of_each() -> None:
    assert line(debit(7)) == (
        "record 7  0000000000000007  tunion  torn  2030-01-01 00:00:00 UTC  2.00  counter 5"
    )
    unproven = debit(8, kind="unproven", time=None, amount=None, counter=None)
    assert line(unproven) == "record 8  0000000000000008  tunion  unproven"
