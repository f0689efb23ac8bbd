"""What was found out about a card. Numbers are masked here already: this is what may be shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

Form = Literal["card", "phone"]
State = Literal["valid", "expired", "not_yet_valid", "unknown"]

# First byte of a 7 or 10 byte UID: the chip's manufacturer (ISO/IEC 7816-6).
_MANUFACTURERS = {
    0x02: "STMicroelectronics",
    0x04: "NXP",
    0x05: "Infineon",
    0x1D: "Fudan Microelectronics",
}


@dataclass(frozen=True)
class Radio:
    """A card's activation. `ats` has its length byte first and is empty without ISO-DEP."""

    uid: bytes
    atqa: int
    sak: int
    ats: bytes = b""

    @property
    def iso_dep(self) -> bool:
        return bool(self.ats)

    @property
    def random_uid(self) -> bool:
        """Another UID at each activation, as phones have it (ISO/IEC 14443-3, 6.5.4)."""
        return len(self.uid) == 4 and self.uid[0] == 0x08

    @property
    def uid_type(self) -> str:
        if self.random_uid:
            return "random"
        if len(self.uid) == 4:
            return "fixed, 4 bytes, not unique" if self.uid[0] & 0x0F == 0x0F else "fixed, 4 bytes"
        maker = _MANUFACTURERS.get(self.uid[0] if self.uid else 0, "")
        return f"unique, {len(self.uid)} bytes" + (f", {maker}" if maker else "")

    @property
    def interface_bytes(self) -> bytes:
        """The ATS without its historical bytes, which can hold the chip's serial number."""
        if len(self.ats) < 2:
            return self.ats
        wanted = 2 + (self.ats[1] >> 4 & 0x07).bit_count()
        return self.ats[:wanted]

    def to_json(self) -> dict[str, Any]:
        """Without the UID itself: a plastic card's is as good as its number to follow a rider."""
        return {
            "uid_type": self.uid_type,
            "uid_bytes": len(self.uid),
            "atqa": f"{self.atqa:04x}",
            "sak": f"{self.sak:02x}",
            "iso_dep": self.iso_dep,
            "ats": self.interface_bytes.hex(),
            "historical_bytes": len(self.ats) - len(self.interface_bytes),
        }


@dataclass
class Medium:
    """One application of the card that is a medium.

    `medium` "quickpass" or "tunion"; `scheme` who runs it; `number` masked or ""; `valid_from`
    and `valid_to` days or None; `balance` fen or None; `detail` medium's own; `problems` what
    could not be read or does not fit together, without the rider's data.
    """

    medium: str
    scheme: str
    aid: str
    label: str = ""
    form: Form = "card"
    number: str = ""
    valid_from: date | None = None
    valid_to: date | None = None
    balance: int | None = None
    detail: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def state(self, today: date) -> State:
        if self.valid_to is None:
            return "unknown"
        if today > self.valid_to:
            return "expired"
        if self.valid_from is not None and today < self.valid_from:
            return "not_yet_valid"
        return "valid"

    def to_json(self, today: date) -> dict[str, Any]:
        return {
            "medium": self.medium,
            "scheme": self.scheme,
            "form": self.form,
            "aid": self.aid,
            "label": self.label,
            "number": self.number,
            "valid_from": self.valid_from.isoformat() if self.valid_from else "",
            "valid_to": self.valid_to.isoformat() if self.valid_to else "",
            "state": self.state(today),
            "balance": self.balance,
            **self.detail,
            "problems": self.problems,
        }


@dataclass
class Report:
    """A card: its activation, the media on it (a validator takes the first), and the AIDs that
    its directory lists beside them."""

    radio: Radio
    today: date
    media: list[Medium] = field(default_factory=list)
    others: list[tuple[str, str]] = field(default_factory=list)  # (AID, label)
    problems: list[str] = field(default_factory=list)

    @property
    def medium(self) -> str:
        """Name of the medium as in a validator's records."""
        return self.media[0].medium if self.media else "unknown_card"

    def to_json(self) -> dict[str, Any]:
        return {
            "medium": self.medium,
            "media": [m.to_json(self.today) for m in self.media],
            "others": [{"aid": aid, "label": label} for aid, label in self.others],
            "radio": self.radio.to_json(),
            "problems": self.problems,
        }
