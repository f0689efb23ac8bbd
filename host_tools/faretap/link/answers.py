"""What a validator may answer: a model for each call, notification, and call of its own.

A validator may be broken, of another version, or not a validator at all. So nothing that it says
is used before `answer`, `notice` or `asked` has looked at it: texts are short and hold no control
characters, numbers are in the range of what they count, lists are no longer than the firmware's,
and what the tools rely on is there. What a newer firmware says besides stays, within the same
bounds. The firmware's side is firmware/validator/calls*.py; docs/link.md lists both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from faretap.shown import shown

MOST_TEXT = 8192  # characters: the body of the largest record is some 2,200 hex digits
_MOST_ENTRIES = 4096  # of one list or object
_MOST_VALUES = 20000  # of all of it
_MOST_KEY = 64
_LAST = 253402300799  # 9999-12-31: later times have no calendar date here


class NotAnAnswer(ValueError):
    """Says what is wrong, in a few words."""


def clean(value: Any) -> Any:
    """A copy of JSON's value with bounds held and control characters shown as numbers."""
    return _clean(value, [_MOST_VALUES])


def _clean(value: Any, left: list[int]) -> Any:
    left[0] -= 1
    if left[0] < 0:
        raise NotAnAnswer(f"it has more than {_MOST_VALUES:,} values")
    if isinstance(value, str):
        if len(value) > MOST_TEXT:
            raise NotAnAnswer(f"a text of {len(value):,} characters")
        return shown(value, MOST_TEXT)
    if isinstance(value, (list, dict)) and len(value) > _MOST_ENTRIES:
        raise NotAnAnswer(f"{len(value):,} entries in one place")
    if isinstance(value, list):
        return [_clean(each, left) for each in value]
    if isinstance(value, dict):
        return {shown(key, _MOST_KEY): _clean(each, left) for key, each in value.items()}
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        raise NotAnAnswer("a number beyond 64 bits")
    return value


U8 = Annotated[int, Field(ge=0, le=0xFF)]
U32 = Annotated[int, Field(ge=0, le=0xFFFFFFFF)]
Size = Annotated[int, Field(ge=0, le=1 << 40)]
Milli = Annotated[int, Field(ge=-(1 << 40), le=1 << 40)]
Fen = Annotated[int, Field(ge=-(1 << 31), le=1 << 31)]
Unix = Annotated[int, Field(ge=0, le=_LAST)]
Word = Annotated[str, Field(max_length=80)]
Text = Annotated[str, Field(max_length=1000)]
Hex = Annotated[str, Field(pattern=r"^([0-9a-f]{2})*$")]
Serial = Annotated[str, Field(pattern=r"^([0-9a-f]{2}){4,16}$")]
"""In names of files and locks: hex digits and nothing else."""
Rate = Annotated[int, Field(ge=1, le=1 << 24)]
Faults = Annotated[list[Text], Field(max_length=64)]


class Answer(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, defer_build=True)


class Ping(Answer):
    us: Milli


class Clock(Answer):
    unix: Unix
    trusted: bool


class ClockSet(Answer):
    unix: Unix


class Journal(Answer):
    """`fault` alone where it does not work; in service, numbers only within a session."""

    fault: Text | None = None
    first: U32 | None = None
    next: U32 | None = None
    acked: U32 | None = None
    records: U32 | None = None
    mount_ms: Milli | None = None
    unread: bool | None = None


class WorkingJournal(Answer):
    first: U32
    next: U32
    acked: U32
    records: U32
    unacknowledged: U32


class Configuration(Answer):
    version: U32
    hash: Word
    life_cycle: Word
    operator: Hex
    seen: U32
    bank: Any = None
    token_key: Hex = ""
    room: Size = 0
    faults: Faults = []


class Part(Answer):
    state: Word = ""


class LinkState(Answer):
    baud: Rate
    damaged: Size = 0


class Hello(Answer):
    board: Word
    serial: Serial
    version: Word
    hash: Word
    slot: Word
    micropython: Word
    mode: Literal["app", "safe"]
    reset_cause: Word
    chip: Word = ""
    why: Text = ""
    life_cycle: Word = ""
    boots: U32 = 0
    boot_ms: Milli = 0


_IN_INFO = [
    "boots",
    "clock",
    "config",
    "display",
    "fault",
    "journal",
    "life_cycle",
    "link",
    "reader",
    "scanner",
    "session",
]


class Info(Hello):
    """In safe mode, only what a hello says, heap and uptime."""

    heap_free: Size
    uptime_ms: Milli
    session: Word = ""
    fault: Text = ""
    taps: Size = 0
    clock: Clock | None = None
    config: Configuration | None = None
    reader: Part | None = None
    scanner: Part | None = None
    display: Part | None = None
    journal: Journal | None = None
    link: LinkState | None = None

    @model_validator(mode="after")
    def _whole(self) -> Info:
        if self.mode == "app":
            for name in _IN_INFO:
                if name not in self.model_fields_set or getattr(self, name) is None:
                    raise ValueError(f"nothing about its {name}")
        elif empty := [name for name in self.model_fields_set if getattr(self, name) is None]:
            raise ValueError(f"nothing about its {empty[0]}")
        return self


class Screen(Answer):
    lines: Annotated[list[Text], Field(max_length=32)]
    icon: Word = ""
    colour: Word = ""


class LogRecord(Answer):
    ms: Milli
    level: Word
    area: Word
    text: Text


class Baud(Answer):
    baud: Rate


class Tap(Answer):
    seq: U32 | None
    medium: Word
    outcome: Word
    reason: Word
    fare: Fen
    token: Hex
    masked: Word | None = None
    expiry: Word | None = None
    balance: Fen | None = None
    detail: dict[str, Any] | None = None
    phases: dict[str, Milli | None]
    us: dict[str, Milli] = {}
    at: Unix | None = None
    exchanges: U32 = 0
    allocated: Milli = 0


class WireRecord(Answer):
    seq: U32
    body: Hex
    after: Hex
    chain: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    chain_ok: bool | None = None


class Records(Answer):
    records: Annotated[list[WireRecord], Field(max_length=256)]
    contexts: Annotated[list[Hex], Field(max_length=256)] = []
    next: U32 | None


class OpenDebit(Answer):
    seq: U32
    token: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    medium: Word
    kind: Word
    time: Unix | None
    amount: Fen | None
    counter: U32 | None


class OpenDebits(Answer):
    debits: Annotated[list[OpenDebit], Field(max_length=64)]
    next: U32 | None


class Settled(Answer):
    settled: U32


class Acked(Answer):
    acked: U32


class Challenge(Answer):
    nonce: Annotated[str, Field(pattern=r"^[0-9a-f]{32,128}$")]
    serial: Serial


class Opened(Answer):
    session: Annotated[str, Field(pattern=r"^[0-9a-zA-Z_-]{1,64}$")]
    name: Word
    rights: Annotated[list[Word], Field(max_length=16)]


class Claimed(Answer):
    operator: Hex


class Begun(Answer):
    next: Size
    size: Size = 0
    in_force: bool


class Next(Answer):
    next: Size


class ConfigRead(Answer):
    names: Annotated[list[Word], Field(max_length=64)] | None = None
    data: Annotated[str, Field(max_length=4096, pattern=r"^[A-Za-z0-9+/=]*$")] | None = None
    left: Size | None = None

    @model_validator(mode="after")
    def _either(self) -> ConfigRead:
        if self.names is None and (self.data is None or self.left is None):
            raise ValueError("neither names nor a piece of one")
        return self


class ListState(Answer):
    version: U32
    entries: U32
    room: Size
    faults: U32 = 0  # banks whose mark is damaged
    exempt: U32 = 0
    issued: Unix = 0
    size: Size = 0
    hash: Word = ""


class Denied(Answer):
    denied: bool


class Intact(Answer):
    intact: bool


class TransferBegun(Answer):
    id: U8
    next: Size
    block: U32


class TransferState(Answer):
    """{} if none is under way."""

    id: U8 | None = None
    kind: Word = ""
    next: Size = 0
    held: U32 = 0
    busy: bool = False
    fault: Text | None = None
    data: Any = None


class Pulled(Answer):
    blocks: Annotated[int, Field(ge=0, le=1 << 16)]
    more: bool
    next: U32 | None = None


class UpdateState(Answer):
    board: Word
    version: Word
    id: Word
    slot: Literal["", "a", "b"]
    idle: Literal["a", "b"]
    size: Size
    key: Hex | None
    micropython: Word = ""


class Ran(Answer):
    unix: Unix | None
    before: bool
    boot: U32
    slot: Word
    id: Word
    version: Word
    why: Text


class Sunk(Answer):
    blocks: Size
    bytes: Size
    gaps: Size


class Sent(Answer):
    bytes: Size


class Weighed(Answer):
    heap_free: Size


class Tries(Answer):
    tries: U32 | None


class Transceive(Answer):
    """What a validator asks of the host while a card is presented over the link."""

    presentation: Word
    apdu: Annotated[str, Field(pattern=r"^([0-9a-fA-F]{2}){1,300}$")]


_EMPTY: type[Any] = Answer

CALLS: Mapping[str, Any] = {
    "ping": Ping,
    "info": Info,
    "reset": _EMPTY,
    "retry": _EMPTY,
    "clock.set": ClockSet,
    "screen": Screen,
    "psam.release": Tries,
    "log.recent": Annotated[list[LogRecord], Field(max_length=256)],
    "link.baud": Baud,
    "tap.link": Tap,
    "scan.link": Tap,
    "records.info": WorkingJournal,
    "records.read": Records,
    "records.ack": Acked,
    "debits.open": OpenDebits,
    "debits.settle": Settled,
    "session.challenge": Challenge,
    "session.open": Opened,
    "session.close": _EMPTY,
    "config.info": Configuration,
    "config.claim": Claimed,
    "config.begin": Begun,
    "config.data": Next,
    "config.commit": _EMPTY,
    "config.read": ConfigRead,
    "lists.info": ListState,
    "lists.contains": Denied,
    "lists.check": Intact,
    "transfer.begin": TransferBegun,
    "transfer.state": TransferState,
    "transfer.finish": _EMPTY,
    "transfer.pull": Pulled,
    "update.state": UpdateState,
    "update.history": Annotated[list[Ran], Field(max_length=64)],
    "update.restart": _EMPTY,
    "bench.sink": Sunk,
    "bench.source": Sent,
    "bench.weigh": Weighed,
    "bench.crypto": _EMPTY,
}
"""The model of each call's result."""

NOTICES: Mapping[str, Any] = {"hello": Hello, "tap": Tap, "log": LogRecord}
ASKED: Mapping[str, Any] = {"card.transceive": Transceive}

# Of pydantic's words, those that speak of Python.
_SAID = {
    "string_pattern_mismatch": "a text of another form",
    "missing": "is not there",
    "model_type": "not an object",
    "list_type": "not a list",
}

_adapters: dict[tuple[str, str], TypeAdapter[Any]] = {}


def answer(method: str, result: Any) -> Any:
    """The result of `method`, looked at: dicts and lists as JSON has them. NotAnAnswer if it is
    none; LookupError if nobody wrote a model for that call."""
    if method not in CALLS:
        raise LookupError(f"no model in faretap.link.answers for the call {method}")
    return _checked("call", CALLS, method, result)


def notice(method: str, params: Any) -> dict[str, Any]:
    """The params of a notification; one that is not known here is any object within the bounds."""
    found: dict[str, Any] = _checked("notice", NOTICES, method, params)
    return found


def asked(method: str, params: Any) -> dict[str, Any]:
    """The params of a validator's own call."""
    found: dict[str, Any] = _checked("asked", ASKED, method, params)
    return found


def _checked(kind: str, models: Mapping[str, Any], name: str, value: Any) -> Any:
    value = clean(value)
    model = models.get(name, Answer)
    key = (kind, name if name in models else "")
    adapter = _adapters.get(key)
    if adapter is None:
        adapter = _adapters[key] = TypeAdapter(model)
    try:
        adapter.validate_python(value)
    except ValidationError as e:
        first = e.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        said = _SAID.get(first["type"], first["msg"].removeprefix("Value error, "))
        raise NotAnAnswer(shown(f"{where}: {said}" if where else said, 300)) from None
    return value
