"""A validator's purse code in-process: simulated cards and PSAM, a journal on simulated flash.

What happens between validator and card happens byte by byte: `Tear(exchange, byte)` takes the
card away before that byte of that exchange (command first, then answer). A tear inside the
command means that the card did not get it, one inside the answer that it has done its work.
"""

# The firmware carries no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from typing import Any
from unittest.mock import patch

from faretap.sim.cards.purse_memory import Contents
from faretap.sim.cards.purse_memory import Debit as CardDebit
from faretap.sim.cards.tunion import TUnion
from faretap.sim.chips.psam import Psam
from flash_sim import FlashSim, PowerCut
from riders_bench import TABLE, memory
from validator import operation as operations
from validator import sam
from validator.media import purse_rules
from validator.nfc.reader import CardLost, CardProtocolError, ReaderDead
from validator.sam.tries import Tries
from validator.store import record
from validator.store.journal import Journal
from validator.store.token import CARD_SCOPE, Tokens
from validator.tap import Taps

NOON = 1_785_556_800  # 2026-08-01 12:00 in Beijing
AMOUNT = 200
SECTORS = 4

Sizes = tuple[tuple[int, int], ...]
"""Bytes of command and answer of each exchange."""


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The value of a coroutine that waits for nothing outside."""
    try:
        coroutine.send(None)
    except StopIteration as e:
        return e.value
    raise AssertionError("waits for something")


@dataclass(frozen=True)
class Tear:
    """`exchange` from 1, `byte` from 0; `how` is the error that the reader makes of it."""

    exchange: int
    byte: int
    how: int = 0

    def error(self) -> Exception:
        return (
            CardLost("timeout"),
            CardLost("rf_crc"),
            CardProtocolError("rf_protocol"),
            ReaderDead("silent"),
        )[self.how % 4]


class Link:
    """A card in the field, as the firmware's taps take it. `gone`: it is not any more. A validator
    without power sends nothing."""

    count = 1
    apdu = True

    def __init__(self, card: TUnion, flash: Flash, tear: Tear | None = None) -> None:
        self.card = card
        self._flash = flash
        self.tear = tear
        self.gone = False
        self.exchanges: list[tuple[bytes, bytes]] = []

    async def transceive(self, command: bytes) -> bytes:
        command = bytes(command)
        tear = self.tear
        if self.gone or self._flash.dead:
            raise CardLost("timeout")
        number = len(self.exchanges) + 1
        if tear is None or number != tear.exchange:
            answer = self.card.apdu(command)
            self.exchanges.append((command, answer))
            if not answer:
                self.gone = True
                raise CardLost("timeout")
            return answer
        self.gone = True
        answer = b""
        if tear.byte >= len(command):
            answer = self.card.apdu(command)
            assert tear.byte - len(command) < len(answer), "the answer was through"
        self.exchanges.append((command, answer))
        raise tear.error()

    async def reset(self) -> bool:
        self.card.power_off()
        return not self.gone

    @property
    def sizes(self) -> Sizes:
        return tuple((len(command), len(answer)) for command, answer in self.exchanges)


class Raw:
    """A slot whose PSAM takes APDUs."""

    def __init__(self, psam: Psam) -> None:
        self.psam = psam

    async def reset(self) -> bytes:
        self.psam.reset()
        return b"\x3b\x00"

    async def transceive(self, command: bytes) -> bytes:
        return self.psam.apdu(bytes(command))


class Log:
    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args: None


class Clock:
    trusted = True

    def __init__(self) -> None:
        self.seconds = NOON
        self.us = 0

    def ticks_us(self) -> int:
        return self.us

    def ticks_ms(self) -> int:
        return self.us // 1000

    def diff(self, later: int, earlier: int) -> int:
        return later - earlier

    def unix(self) -> int:
        return self.seconds


@dataclass(frozen=True)
class World:
    """Everything that outlives a power cut, to begin many cases from."""

    flash: bytes
    table: bytes
    serial: int
    seconds: int
    contents: Contents


class Flash(FlashSim):
    """Flash on which nothing works any more once the power is cut."""

    dead = False

    def program(self, addr: int, data: bytes) -> None:
        self._alive(lambda: super(Flash, self).program(addr, data))

    def erase(self, addr: int) -> None:
        self._alive(lambda: super(Flash, self).erase(addr))

    def power_on(self) -> None:
        super().power_on()
        self.dead = False

    def _alive(self, operation: Callable[[], None]) -> None:
        if self.dead:
            raise PowerCut
        try:
            operation()
        except PowerCut:
            self.dead = True
            raise


class Screen:
    """What the rider sees and hears."""

    def __init__(self) -> None:
        self.shown: list[Any] = []

    def result(self, result: Any, *more: Any) -> None:
        self.shown.append(result)


class Nvs:
    """What an `esp32.NVS` keeps without power."""

    def __init__(self) -> None:
        self.kept: dict[str, int] = {}

    def get_i32(self, name: str) -> int:
        if name not in self.kept:
            raise OSError(-0x1102)
        return self.kept[name]

    def set_i32(self, name: str, value: int) -> None:
        self.kept[name] = value

    def commit(self) -> None:
        pass


class State:
    boots = 1
    token_key = bytes(range(16))


class Validator:
    """One that was just switched on: the firmware's own taps under the operator's rules.
    `power_cut` loses what a power cut loses."""

    def __init__(
        self,
        section: dict[str, Any],
        world: World | None = None,
        raw: Callable[[Psam], Any] = Raw,
    ) -> None:
        self.section = section
        self.raw = raw
        self.flash = Flash(SECTORS)
        self.table = FlashSim(TABLE, 512)
        self.psam = Psam()
        self.clock = Clock()
        self.nvs = Nvs()
        if world is not None:
            self.flash.load(world.flash)
            self.table.load(world.table)
            self.psam.serial = world.serial
            self.clock.seconds = world.seconds
        self._start()

    def _start(self) -> None:
        self.journal = Journal(self.flash)
        self.journal.mount()
        self.screen = Screen()
        self.taps = Taps(self.clock, self.journal, State, self.screen, Log(), lambda told: None)
        riders = self.taps.riders = memory(self.clock, self.table, self.journal)
        config = {"purse": self.section, "fares": {"flat": AMOUNT}}
        tokens = Tokens(State.token_key)
        with patch.object(operations, "_purse", _load):
            operation = operations.Operation(
                config.get,
                card_token=lambda who: tokens.token(CARD_SCOPE, who),
                riders=riders,
            )
        self.rules: Any = operation.purse
        tries = Tries(self.nvs, self.clock, Log())
        run(sam.start(self.rules, {0: self.raw(self.psam)}, Log(), tries))
        run(operation.restore(self.journal, _at_once))
        self.taps.operate(operation, tokens, 1)

    def power_cut(self, section: dict[str, Any] | None = None) -> None:
        """Without power for a moment, and on again, perhaps at another stop."""
        self.section = section or self.section
        self.flash.power_on()
        self._start()

    def world(self, card: TUnion) -> World:
        return World(
            bytes(self.flash.data),
            bytes(self.table.data),
            self.psam.serial,
            self.clock.seconds,
            card.memory.contents,
        )

    def tap(self, card: TUnion, tear: Tear | None = None, later: int = 10) -> Any:
        """The Result that a card's rider is shown, `later` seconds after the one before; its
        record is in the journal. PowerCut if the flash was told to end in one."""
        self.clock.seconds += later
        self.clock.us += later * 1_000_000
        self.link = Link(card, self.flash, tear)
        try:
            run(self.taps.card(self.link))
        finally:
            card.power_off()
            # A tap that a power cut has ended does not give its lock back.
            self.taps._lock = asyncio.Lock()
        return self.screen.shown[-1]

    def records(self) -> list[dict[str, Any]]:
        """What stands in the flash, read anew."""
        journal = Journal(self.flash)
        journal.mount()
        out = []
        contexts: dict[bytes, bytes] = {}
        for seq, body, _, chain_ok, _ in journal.read(0, True):
            assert chain_ok
            if not seq:
                contexts[sha256(body).digest()[:4]] = body
                continue
            fields = record.decode(body, contexts.get)
            if body[0] & 0x80:
                same_as(fields, body, contexts)
            out.append({**fields, "number": seq})
        return out


def _load(section: dict[str, Any], **more: Any) -> Any:
    """As the firmware's loader, which forgets the module again: compiling it anew for each of
    some 20,000 validators would take most of the time."""
    return purse_rules.load(section, **more)


async def _at_once(ms: int) -> None:
    return None


# What records say. The layout of a purse's evidence is read here on its own.

_EVIDENCE = struct.Struct(">BBBHII6s4s7s4sBBII4s4s")
VERSION = 0x50
OPEN, LOST, PAID, UNCHECKED, WRONG, REFUSED, VOID, UNPROVEN = range(8)
MOVED = (PAID, WRONG, UNPROVEN)


# The short record of a debit: so is this. docs/records.md.
SHORT = 2
_SHORT = struct.Struct("<BI8s3s2sH3s4sBB4s")
_END = struct.Struct("<Q4s4s")
_BEIJING = timezone(timedelta(hours=8))


def same_as(fields: dict[str, Any], body: bytes, contexts: dict[bytes, bytes]) -> None:
    """The firmware's reading of a short record is what its bytes say."""
    flags, when, token, amount, _, counter, before, serial, version, algorithm, name = (
        _SHORT.unpack_from(body)
    )
    context = contexts[name]
    moment = datetime.fromtimestamp(when, _BEIJING).strftime("%Y%m%d%H%M%S")
    rest = len(body) - _SHORT.size
    word, mac2, tac = (0xFF_FFFF_FFFF_FFF0, bytes(4), bytes(4))
    if rest in (16, 21, 29, 38, 43, 51):
        word, mac2, tac = _END.unpack(body[-_END.size :])
        rest -= _END.size
    state = word & 15
    void = 0
    link = body[_SHORT.size :][rest - rest % 22 : rest]
    if link:
        assert link[0] in (1, 2, 3) and len(link) == (13 if link[0] == 3 else 5)
        name_of = ("void", "unknown", "proof")[link[0] - 1]
        assert fields["detail"][name_of] == int.from_bytes(link[1:5], "little")
        if link[0] == 1:
            void = fields["detail"]["void"]
        elif link[0] == 3:
            assert fields["detail"]["told"] == link[5:].hex() and amount == bytes(3)
    if state in (LOST, REFUSED):
        assert (mac2 != bytes(4)) == ("what" in fields["detail"])
        mac2 = bytes(4)
    assert fields["token"] == token and fields["time"] == when
    assert context[:1] == b"\xc7" and fields["boot"] == int.from_bytes(context[5:7], "little")
    expected = _EVIDENCE.pack(
        VERSION,
        state,
        9 if flags & 2 else 6,
        counter,
        int.from_bytes(before, "little"),
        int.from_bytes(amount, "little"),
        context[11:17],
        serial,
        bytes.fromhex(moment),
        bytes(4),
        version,
        algorithm,
        0,
        void,
        mac2,
        tac,
    )
    assert fields["evidence"][: len(expected)] == expected


@dataclass
class Claim:
    """What the records say, all in all, of one debit."""

    token: bytes
    kind: int
    counter: int
    before: int
    amount: int
    terminal: bytes
    serial: bytes
    moment: bytes
    status: int = OPEN
    tac: bytes = bytes(4)
    mac2: bytes = bytes(4)
    accepted: bool = False
    number: int = 0
    """Of its record."""
    proof: int = 0
    """A purchase of 0: the record of the torn debit for whose sake it proves the card."""
    marked: int = 0
    """The record of a torn debit of which nobody can tell: who paid both has one back."""
    fares: list[int] = field(default_factory=list)

    def names(self, debit: CardDebit) -> bool:
        return (self.kind, self.counter, self.amount, self.terminal, self.serial, self.moment) == (
            debit.kind,
            debit.counter,
            debit.amount,
            debit.terminal,
            debit.serial,
            debit.moment,
        )


def claims(records: Iterable[dict[str, Any]]) -> list[Claim]:
    """One for each DEBIT that may have gone out, with what later records say of it."""
    found: dict[int, Claim] = {}
    accepted = 0

    for entry in records:
        evidence = entry["evidence"]
        if not evidence:
            assert entry["outcome"] != "accepted"
            continue
        values = _EVIDENCE.unpack(evidence[: _EVIDENCE.size])
        assert values[0] == VERSION
        state, of, void = values[1], values[12], values[13]
        assert state not in (VOID, UNCHECKED), "of an earlier firmware"
        head = (entry["token"], *values[2:6], values[6], values[7], values[8])
        if entry["version"] == SHORT:
            assert not of
            of = entry["number"]
            found[of] = Claim(*head)
            found[of].number = of
            if void:
                # A purchase of 0, which the PSAM found right, has proven the counter.
                claim = found[void]
                assert any(
                    (c.proof, c.status, c.counter) == (void, PAID, claim.counter)
                    for c in found.values()
                ), "void, and nothing proves it"
                assert claim.status in (OPEN, LOST)
                claim.status = VOID
            found[of].proof = entry["detail"].get("proof", 0)
            found[of].marked = entry["detail"].get("unknown", 0)
            if state in (OPEN, LOST):
                assert (entry["outcome"], entry["reason"]) == ("retry", "card_lost")
        assert of or state == OPEN
        if state == OPEN:
            continue
        claim = found[of]
        assert head == (
            claim.token,
            claim.kind,
            claim.counter,
            claim.before,
            claim.amount,
            claim.terminal,
            claim.serial,
            claim.moment,
        )
        assert claim.status in (OPEN, LOST), "closed twice"
        claim.status = state
        claim.mac2, claim.tac = values[14], values[15]
        if entry["outcome"] == "accepted":
            accepted += 1
            assert state in (PAID, UNPROVEN) and not claim.proof
            assert entry["fare"] == claim.amount
            claim.accepted = True
        else:
            assert entry["fare"] == 0 and (state != UNPROVEN)
    assert accepted == sum(claim.accepted for claim in found.values())
    return list(found.values())


def add_up(
    validator: Validator,
    riders: dict[str, tuple[TUnion, Contents]],
    loaded: dict[str, int] | None = None,
) -> list[Claim]:
    """Purses and records tell the same: what left a card is what the records claim, once.

    `riders`: each card, and what it held when the journal was as new; `loaded`: fen that were
    loaded onto it since. Returns the claims.
    """
    told = claims(validator.records())
    for name, (card, before) in riders.items():
        token = validator.rules["token"](card.rider.encode())
        mine = [claim for claim in told if claim.token == token]
        debits = card.debits[len(before.debits) :]
        assert card.counter - before.counter == len(debits)
        put = (loaded or {}).get(name, 0)
        assert before.balance + put - card.balance == sum(debit.amount for debit in debits)
        debits = tuple(debit for debit in debits if debit.terminal == validator.psam.terminal)
        for debit in debits:
            named = [claim for claim in mine if claim.names(debit)]
            assert len(named) == 1, "a debit that no record knows of"
            assert named[0].status not in (REFUSED, VOID), "a debit that the records deny"
        for claim in mine:
            made = [debit for debit in debits if claim.names(debit)]
            if claim.status in MOVED:
                assert len(made) == 1, "a claim without a debit"
                if claim.tac != bytes(4) or claim.status == PAID:
                    assert claim.tac == made[0].tac, "the TAC is not the debit's"
                if claim.mac2 != bytes(4):
                    assert claim.mac2 == made[0].mac2
            else:
                assert len(made) <= 1
    known = {validator.rules["token"](card.rider.encode()) for card, _ in riders.values()}
    assert {claim.token for claim in told} <= known
    return told


def restored(card: TUnion, contents: Contents) -> TUnion:
    """The card with those contents."""
    card.memory.contents = replace(contents)
    card.power_off()
    return card
