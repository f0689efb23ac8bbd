"""A card's recorded APDUs through the firmware's own kernel, without a validator.

    recording = read(Path("tap.jsonl"))
    report = replay(recording, rules=scheme.configuration())

The kernel is `validator.media.cards`, as it runs on a chip. Amount, date, time and the terminal's
random number are taken out of the recorded GET PROCESSING OPTIONS, by the card's own PDOL, so that
the card's signatures verify as they did.
"""

from __future__ import annotations

import asyncio
import calendar
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from faretap import bounded
from faretap.errors import FaretapError
from faretap.reading import TRACE, read_text
from validator.emv import tlv
from validator.guarded import GuardedTime
from validator.media import cards, evidence, terminal
from validator.media import rules as rules_module
from validator.media.phases import Phases
from validator.media.riders import Riders
from validator.nfc.reader import CardLost
from validator.store.riders import Table

VERSION = 1
_CARD_LOST = "card_lost"


class ReplayError(FaretapError):
    """The trace is none, or holds nothing that can be replayed."""


@dataclass(frozen=True)
class Exchange:
    """One APDU; `response` is None when the card did not answer."""

    command: bytes
    response: bytes | None


@dataclass(frozen=True)
class Recording:
    """A trace file: its head, the APDUs in order, and how it ended."""

    head: dict[str, Any]
    exchanges: list[Exchange]
    end: str
    activations: int = 1

    @property
    def masked(self) -> bool:
        """The numbers were taken out: signatures do not fit any more."""
        return self.head.get("numbers") == "masked"


@dataclass
class Report:
    """What the kernel made of a recording."""

    result: Any
    amount: int
    unix: int
    random: bytes
    exchanges: list[Exchange] = field(default_factory=list)
    diverged: str = ""
    """Where the kernel sent what the trace does not hold; "" if it never did."""
    masked: bool = False

    def to_json(self) -> dict[str, Any]:
        result = self.result
        return {
            "medium": result.medium,
            "outcome": result.outcome,
            "reason": result.reason,
            "masked": result.masked,
            "expiry": result.expiry,
            "balance": result.balance,
            "detail": result.detail,
            "evidence": None if result.evidence is None else len(result.evidence),
            "amount": self.amount,
            "at": datetime.fromtimestamp(self.unix, UTC).isoformat(timespec="seconds"),
            "random": self.random.hex(),
            "apdus": len(self.exchanges),
            "diverged": self.diverged,
            "numbers": "masked" if self.masked else "clear",
        }


def read(path: Path) -> Recording:
    """A trace written by `faretap tap --trace` or `faretap card dump`."""
    text = read_text(path, TRACE, ReplayError)
    head: dict[str, Any] | None = None
    exchanges: list[Exchange] = []
    end = ""
    activations = 0
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = bounded.loads(line)
            if head is None:
                if not isinstance(entry, dict) or entry.get("trace") != VERSION:
                    raise ReplayError(
                        f"{path} is no trace of version {VERSION}.",
                        "Make one with `faretap tap --trace` or `faretap card dump`.",
                    )
                head = entry
            elif "command" in entry:
                answer = entry["response"]
                exchanges.append(
                    Exchange(
                        bytes.fromhex(entry["command"]),
                        None if answer is None else bytes.fromhex(answer),
                    )
                )
            elif "activated" in entry:
                activations += 1
            elif "end" in entry:
                end = str(entry["end"])
        except (ValueError, KeyError, TypeError) as e:
            raise ReplayError(f"{path}, line {number}: not a line of a trace ({e}).") from e
    if head is None or not exchanges:
        raise ReplayError(f"{path} holds no APDU.")
    return Recording(head, exchanges, end, activations)


@dataclass(frozen=True)
class _Clock:
    """The kernel's clock: the recorded moment; ticks are real, for the phases."""

    seconds: int
    trusted: bool = True

    def ticks_us(self) -> int:
        return time.perf_counter_ns() // 1000

    def ticks_ms(self) -> int:
        return time.perf_counter_ns() // 1_000_000

    def diff(self, later: int, earlier: int) -> int:
        return later - earlier

    def unix(self) -> int:
        return self.seconds


class _Played:
    """The recorded card: each command is answered as it was, in the recorded order; what the
    kernel leaves out is passed over."""

    def __init__(self, recording: Recording) -> None:
        self._left = list(recording.exchanges)
        self.sent: list[Exchange] = []
        self.diverged = ""
        if recording.activations > 1:  # the field was reset (Q31)
            self.reset = self._reset

    async def _reset(self) -> bool:
        return bool(self._left)

    async def transceive(self, command: bytes) -> bytes:
        for i, recorded in enumerate(self._left):
            if recorded.command == bytes(command):
                del self._left[: i + 1]
                self.sent.append(recorded)
                if recorded.response is None:
                    raise CardLost("timeout")
                return recorded.response
        self.sent.append(Exchange(bytes(command), None))
        self.diverged = f"APDU {len(self.sent)}: {bytes(command).hex()} is not in the trace"
        raise CardLost("not_recorded")


class Aes:
    """AES-CBC with the interface of MicroPython's `cryptolib.aes`, for the kernel on a host."""

    def __init__(self, key: bytes, mode: int, iv: bytes) -> None:
        if mode != 2:
            raise ValueError("only CBC (2)")
        self._encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()

    def encrypt(self, data: bytes) -> bytes:
        return self._encryptor.update(data) + self._encryptor.finalize()


class _Flash:
    """As much as a memory of riders needs, for as long as this program runs."""

    sector = 4096

    def __init__(self) -> None:
        self.size = 17 * self.sector
        self._data = bytearray(b"\xff" * self.size)

    def read(self, addr: int, buf: memoryview) -> None:
        buf[:] = self._data[addr : addr + len(buf)]

    def program(self, addr: int, data: bytes) -> None:
        self._data[addr : addr + len(data)] = data

    def erase(self, addr: int) -> None:
        self._data[addr : addr + self.sector] = b"\xff" * self.sector


class _NoRecords:
    next_seq = 1


def _memory() -> Riders:
    """What the kernel knows of riders: nobody was here."""
    table = Table(_Flash(), bytearray(1024), bytearray(1024), bytes(4))
    riders = Riders(table, GuardedTime(_Clock(0)), _NoRecords)
    riders.start()
    return riders


def load_rules(
    config: dict[str, Any],
    token: Callable[[bytes], bytes] | None = None,
    deny: Callable[[bytes], bool] | None = None,
) -> dict[str, Any]:
    """The kernel's rules on a host; ReplayError says what is wrong with `config`."""
    try:
        seal = None
        if config.get("acquirer"):
            acquirer = config["acquirer"]
            seal = evidence.Seal(
                bytes.fromhex(acquirer["modulus"]),
                int(acquirer.get("exponent", "010001"), 16),
                aes=Aes,
            )
        rules: dict[str, Any] = rules_module.load(config, token, deny, seal, _memory())
    except (ValueError, KeyError) as e:
        raise ReplayError(f"The rules cannot be taken: {e}.") from e
    return rules


def replay(
    recording: Recording,
    rules: dict[str, Any] | None = None,
    *,
    unix: int | None = None,
    random: bytes | None = None,
    amount: int | None = None,
) -> Report:
    """Run the kernel on a recording. `rules` is a configuration as `validator.media.rules` takes
    it; by default there is none, and every card is from an unknown issuer. `unix` seconds,
    `random` (9F37, 4 bytes) and `amount` in fen replace what the recording says.
    """
    all_asked = _asked(recording.exchanges)
    asked = all_asked[-1] if all_asked else {}
    numbers = [random] if random else [values.get(0x9F37, b"") for values in all_asked]
    if amount is None:
        # A card may be asked for 0 fen as well, to prove who it is.
        amount = max([_digits(values.get(0x9F02, b"")) for values in all_asked], default=0)
    if unix is None:
        unix = _moment(asked, recording.head)
    data = terminal.make(unix, amount, rules=load_rules(rules or {}))
    if 0x9A in asked:
        data["date"] = asked[0x9A]
    if 0x9F21 in asked:
        data["time"] = asked[0x9F21]
    drawn = 0

    def draw(count: int) -> bytes:
        """The number of each GPO in turn."""
        nonlocal drawn
        number = numbers[min(drawn, len(numbers) - 1)] if numbers else b""
        drawn += 1
        return number[:count].ljust(count, b"\0")

    data["random"] = draw
    data["open"] = lambda result: 0  # the record of a payment that may happen
    card = _Played(recording)
    clock = _Clock(unix)
    result = asyncio.run(cards.run(card, clock, Phases(clock), terminal_data=data))
    last = numbers[-1] if numbers else b""
    return Report(result, amount, unix, last, card.sent, card.diverged, recording.masked)


def _asked(exchanges: list[Exchange]) -> list[dict[int, bytes]]:
    """What the recorded terminal said of itself in each GPO, by the PDOL of the application."""
    pdol: list[tuple[int, int]] = []
    found_values: list[dict[int, bytes]] = []
    for exchange in exchanges:
        command, answer = exchange.command, exchange.response
        try:
            if command[:4] == b"\x00\xa4\x04\x00":
                if answer is None or answer[-2:] != b"\x90\x00":
                    continue
                found = tlv.find(answer[:-2], 0x6F, 0xA5, 0x9F38)
                pdol = tlv.parse_dol(found) if found is not None else []
            elif command[:2] == b"\x80\xa8":
                template = tlv.find(command[5:-1], 0x83)
                if template is None:
                    continue
                values: dict[int, bytes] = {}
                at = 0
                for tag, length in pdol:
                    values[tag] = bytes(template[at : at + length])
                    at += length
                found_values.append(values)
        except tlv.TlvError:
            continue
    return found_values


def _digits(bcd: bytes) -> int:
    return int(bcd.hex()) if bcd and bcd.hex().isdigit() else 0


def _moment(asked: dict[int, bytes], head: dict[str, Any]) -> int:
    """The moment of the tap: date and time that the card was told (Beijing), else the file's."""
    try:
        at = datetime.fromisoformat(str(head["at"]))
        unix = int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())
    except (KeyError, ValueError):
        unix = int(time.time())
    date = asked.get(0x9A, b"")
    if len(date) == 3 and date.hex().isdigit():
        clock = asked.get(0x9F21, b"\x12\0\0")
        try:
            told = datetime.strptime((date + clock).hex(), "%y%m%d%H%M%S")
        except ValueError:
            return unix
        if 0x9F21 in asked or abs(calendar.timegm(told.timetuple()) - unix) > 86400:
            return calendar.timegm(told.timetuple()) - 8 * 3600
    return unix
