"""What must be true after a run: records, chain, money, and the validator itself.

Riders are the witnesses: what each of them saw is compared with what the validator wrote.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faretap.rack.results import Check
from faretap.rack.scenario.plan import Ride
from faretap.rack.scenario.schema import medium_of
from faretap.rack.slot import Slot
from faretap.records.model import Record, check_chain
from faretap.records.pull import pull
from faretap.sim import cards

_SHOWN = 5  # findings that a check names


@dataclass
class Gap:
    """The supply went while this rider tapped. `first` to `last` are the records that may be there
    without anybody having seen an outcome; `seen` is the outcome, if there was one."""

    ride: Ride
    seen: dict[str, Any] | None
    first: int
    last: int = 0


@dataclass
class Purse:
    """What a rider's purse should have paid: by what was seen, in fen."""

    medium: str
    options: dict[str, Any]
    path: Path
    fares: int = 0


@dataclass
class Truth:
    slot: Slot
    folder: Path
    seen: list[tuple[Ride, dict[str, Any]]] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    starts: int = 0
    next_seq: int = 0
    problems: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """Before the first rider: what is in the validator already is not looked at."""
        link = self.slot.session.link
        info = link.call("info")
        self.next_seq = self._first = int(link.call("records.info")["next"])
        self._boots = int(info["boots"])
        self._console = len(self.slot.console())

    def saw(self, ride: Ride, summary: dict[str, Any]) -> None:
        """A rider got this outcome."""
        self.seen.append((ride, summary))
        if summary.get("seq") is not None:
            self.next_seq = max(self.next_seq, int(summary["seq"]) + 1)

    def cut(self, gap: Gap) -> None:
        """After the validator is back."""
        gap.last = int(self.slot.session.link.call("records.info")["next"]) - 1
        self.gaps.append(gap)
        self.next_seq = gap.last + 1

    def restarted(self) -> None:
        self.starts += 1

    def bring_home(self) -> None:
        """What an operator does every night: fetch the records, then acknowledge them."""
        first = self.records[-1].seq + 1 if self.records else self._first
        link = self.slot.session.link
        new = pull(link, first, on_problem=lambda e: self.problems.append(str(e)))
        self.records += new
        if new:
            link.call("records.ack", {"to": new[-1].seq})

    def checks(self) -> list[Check]:
        """All of them, after all records were brought home."""
        self.bring_home()
        return [
            self._check("every outcome that a rider saw is recorded as it was", self._recorded()),
            self._check("each accepted ride is in the records exactly once", self._once()),
            self._check("no record is missing and the chain holds", self._chain()),
            self._check("every purse paid for its rides and for nothing else", self._money()),
            self._check("the validator ran through", self._ran()),
        ]

    def _check(self, name: str, found: tuple[list[str], str]) -> Check:
        wrong, text = found
        if wrong:
            more = len(wrong) - _SHOWN
            text = "; ".join(wrong[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
        return Check(name, not wrong, text, self.slot.name)

    # -- what is looked at -------------------------------------------------------------------

    def _recorded(self) -> tuple[list[str], str]:
        """Also: nobody was served without a record, save one who showed the same code again."""
        by_seq = {record.seq: record for record in self.records}
        wrong = []
        looked = 0
        for ride, summary in self.seen:
            seq = summary.get("seq")
            if seq is None:
                if summary["outcome"] == "accepted":
                    wrong.append(f"rider {ride.person.number} was accepted without a record")
                continue
            looked += 1
            record = by_seq.get(seq)
            if record is None:
                wrong.append(f"record {seq} of rider {ride.person.number} is not there")
                continue
            for what, there, told in (
                ("medium", record.medium, summary["medium"]),
                ("outcome", record.outcome, summary["outcome"]),
                ("reason", record.reason, summary["reason"]),
                ("fare", record.fare_fen, summary["fare"]),
                ("token", record.token or "", summary["token"]),
            ):
                if there != told:
                    wrong.append(f"record {seq} has {what} {there}, the rider saw {told}")
        return wrong, f"{looked} outcomes"

    def _once(self) -> tuple[list[str], str]:
        """As many accepted records as accepted riders; another one only where the supply went
        before the rider saw it, and then the rider did not pay a second time."""
        wrong = []
        told = Counter(s["seq"] for _, s in self.seen if s["outcome"] == "accepted")
        wrong += [f"record {seq} was told {n} times" for seq, n in told.items() if n > 1]
        seqs = Counter(record.seq for record in self.records)
        wrong += [f"record {seq} came {n} times" for seq, n in seqs.items() if n > 1]
        accepted = {r.seq: r for r in self.records if r.outcome == "accepted"}
        unseen = {seq for seq in accepted if seq not in told}
        for gap in self.gaps:
            here = {seq for seq in unseen if gap.first <= seq <= gap.last}
            unseen -= here
            if len(here) > 1 or (here and gap.seen is not None):
                wrong.append(f"the supply went once, and {len(here)} rides nobody saw: {here}")
            again = [s for ride, s in self.seen if ride is gap.ride and s is not gap.seen]
            paid = len(here) + sum(s["outcome"] == "accepted" for s in again)
            if paid > 1:
                number = gap.ride.person.number
                wrong.append(f"rider {number} is recorded {paid} times for one ride")
            if again and again[-1]["reason"] in ("too_soon", "replayed") and not here:
                wrong.append(f"rider {gap.ride.person.number} was turned away without a ride")
        wrong += [f"record {seq} is a ride that nobody took" for seq in sorted(unseen)]
        return wrong, f"{len(accepted)} rides"

    def _chain(self) -> tuple[list[str], str]:
        wrong = list(self.problems)
        wrong += [each.sentence() for each in check_chain(self.records)]
        wrong += [
            f"the validator says of record {r.seq} that the chain does not hold"
            for r in self.records
            if r.chain_ok is False
        ]
        if self.records and self.records[0].seq != self._first:
            wrong.append(f"records begin with {self.records[0].seq}, not {self._first}")
        if self.records and self.records[-1].seq + 1 < self.next_seq:
            wrong.append(f"the last record is {self.records[-1].seq}, not {self.next_seq - 1}")
        return wrong, f"{len(self.records)} records"

    def _money(self) -> tuple[list[str], str]:
        purses: dict[int, Purse] = {}
        unseen = {r.seq: r for r in self.records if r.outcome == "accepted"}
        for ride, summary in self.seen:
            if summary["outcome"] != "accepted":
                continue
            unseen.pop(summary["seq"], None)
            purse = self._purse(purses, ride)
            if purse:
                purse.fares += summary["fare"]
        for gap in self.gaps:
            purse = self._purse(purses, gap.ride)
            for seq in range(gap.first, gap.last + 1):
                if purse and seq in unseen:
                    purse.fares += unseen[seq].fare_fen
        wrong = []
        for number, purse in purses.items():
            name = medium_of(purse.medium)[1]
            before: Any = cards.make(name, **purse.options)
            after: Any = cards.make(name, **purse.options, state=str(purse.path))
            paid = before.balance - after.balance
            if paid != purse.fares:
                wrong.append(f"rider {number} paid {paid} fen for rides of {purse.fares}")
        return wrong, f"{len(purses)} purses"

    def _purse(self, purses: dict[int, Purse], ride: Ride) -> Purse | None:
        """Of a rider whose purse is a file of this machine."""
        person = ride.person
        path = self.folder / f"purse-{person.number}.json"
        if person.number not in purses and path.exists():
            purses[person.number] = Purse(person.medium, person.options, path)
        return purses.get(person.number)

    def _ran(self) -> tuple[list[str], str]:
        """It started as often as it was made to, and said nothing of a fault of its own."""
        info = self.slot.session.link.call("info")
        wrong = []
        starts = int(info["boots"]) - self._boots
        if starts != self.starts:
            wrong.append(f"it started {starts} times, not {self.starts}")
        if info.get("fault"):
            wrong.append(str(info["fault"]))
        said = self.slot.console()[self._console :]
        if b"Traceback" in said:
            wrong.append(f"its console shows a traceback: {_error_in(said)}")
        if int(info["journal"].get("damaged", 0)):
            wrong.append(f"its journal counts {info['journal']['damaged']} damaged records")
        return wrong, f"{starts} starts, {info['heap_free']} bytes of heap are free"


def _error_in(console: bytes) -> str:
    """The line that a traceback ends with: the first one that is not indented."""
    lines = console[console.index(b"Traceback") :].decode(errors="replace").splitlines()
    return next((line for line in lines[1:] if line[:1].strip()), "cut off")
