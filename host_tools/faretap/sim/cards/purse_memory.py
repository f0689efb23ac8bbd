"""What a purse card keeps without power, and how it changes: whole, or not at all."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from faretap.errors import FaretapError
from faretap.reading import STATE, read_json
from faretap.writing import write_text


@dataclass(frozen=True)
class Debit:
    """One purchase that the card made; `counter` is the one that INITIALIZE answered."""

    counter: int
    kind: int
    amount: int
    terminal: bytes
    serial: bytes
    moment: bytes
    mac2: bytes
    tac: bytes


@dataclass(frozen=True)
class Contents:
    """`balance` is the rider's own money in fen: below zero on a card that may be overdrawn."""

    balance: int
    counter: int
    log: tuple[bytes, ...]
    trips: tuple[bytes, ...]
    composites: tuple[bytes, ...]
    debits: tuple[Debit, ...] = ()
    """All purchases, oldest first. A card proves the last one only; the others are for tests."""

    def with_debit(
        self,
        debit: Debit,
        log: bytes,
        trips: list[bytes],
        composites: dict[int, bytes],
    ) -> Contents:
        """The contents after a purchase: everything that changes, in one step.

        `trips` are put in front of the cyclic file; `composites` replace the first bytes of the
        records with those numbers, from 0.
        """
        records = list(self.composites)
        for number, data in composites.items():
            records[number] = data + records[number][len(data) :]
        return replace(
            self,
            balance=self.balance - debit.amount,
            counter=self.counter + 1,
            log=(log, *self.log[:-1]),
            trips=(*reversed(trips), *self.trips)[: len(self.trips)],
            composites=tuple(records),
            debits=(*self.debits, debit),
        )


class Memory:
    """`contents` of a card; with a `file`, they outlive this process."""

    def __init__(self, blank: Contents, card: str, file: Path | None = None) -> None:
        self._card = card
        self._file = file
        self.contents = blank
        if file is not None and file.exists():
            self.contents = self._load(file)

    def commit(self, contents: Contents) -> None:
        if self._file is not None:
            # A file that is replaced as a whole is either the old one or the new one.
            text = json.dumps(_to_json(self._card, contents))
            write_text(self._file, text, durable=False)
        self.contents = contents

    def _load(self, file: Path) -> Contents:
        try:
            stored = read_json(file, STATE)
            card = stored["card"]
            contents = _from_json(stored)
        except (FaretapError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{file} does not hold a purse card's state: {error}") from error
        if card != self._card:
            raise ValueError(f"{file} holds the state of another card")
        return contents


def _to_json(card: str, contents: Contents) -> dict[str, Any]:
    return {
        "card": card,
        "balance": contents.balance,
        "counter": contents.counter,
        "log": [record.hex() for record in contents.log],
        "trips": [record.hex() for record in contents.trips],
        "composites": [record.hex() for record in contents.composites],
        "debits": [
            {
                name: value.hex() if isinstance(value, bytes) else value
                for name, value in vars(debit).items()
            }
            for debit in contents.debits
        ],
    }


def _from_json(stored: dict[str, Any]) -> Contents:
    def records(name: str) -> tuple[bytes, ...]:
        return tuple(bytes.fromhex(record) for record in stored[name])

    return Contents(
        balance=int(stored["balance"]),
        counter=int(stored["counter"]),
        log=records("log"),
        trips=records("trips"),
        composites=records("composites"),
        debits=tuple(_debit(debit) for debit in stored["debits"]),
    )


def _debit(stored: dict[str, Any]) -> Debit:
    values: dict[str, Any] = {
        name: bytes.fromhex(value) if isinstance(value, str) else int(value)
        for name, value in stored.items()
    }
    return Debit(**values)
