"""Commands to a card (ISO/IEC 7816-4, EMV, PBOC purse) and the talk with it."""

from __future__ import annotations

from typing import Any, Protocol

from validator.emv import tlv as _tlv

OK = 0x9000
CONDITIONS = 0x6985  # a phone whose applet is not ready yet (Q31)

_MAX_ANSWER = 4096
_MAX_ROUNDS = 20  # GET RESPONSE in a row


class Channel(Protocol):
    """Whoever carries APDUs to the card.

    `transceive` raises CardLost, CardNonsense or ReaderError; `reset` switches the field off and
    on and says whether a card is there again.
    """

    def transceive(self, command: bytes) -> bytes: ...

    def reset(self) -> bool: ...


class Malformed(ValueError):
    """An answer that is not what its command asks for; says what, without the rider's data."""


def select(name: bytes) -> bytes:
    return b"\x00\xa4\x04\x00" + bytes([len(name)]) + name + b"\x00"


def get_processing_options(data: bytes) -> bytes:
    """`data` is what the PDOL asks for, without its 83 template; 252 bytes at most."""
    head = bytes([0x83, len(data)]) if len(data) < 0x80 else bytes([0x83, 0x81, len(data)])
    return b"\x80\xa8\x00\x00" + bytes([len(head) + len(data)]) + head + data + b"\x00"


def read_record(sfi: int, number: int) -> bytes:
    return bytes([0x00, 0xB2, number, sfi << 3 | 0x04, 0x00])


def read_binary(sfi: int) -> bytes:
    return bytes([0x00, 0xB0, 0x80 | sfi, 0x00, 0x00])


def get_balance(p1: int) -> bytes:
    """`p1` 0, or 3 for cards that want to be asked without the overdraft."""
    return bytes([0x80, 0x5C, p1, 0x02, 0x04])


def get_data(tag: int) -> bytes:
    return bytes([0x80, 0xCA, tag >> 8, tag & 0xFF, 0x00])


def exchange(channel: Channel, command: bytes) -> tuple[bytes, int]:
    """(data, status word), with 61xx and 6Cxx seen through (Q37). Malformed for an answer without
    a status word or without an end."""
    answer = _answer(channel, command)
    if answer[-2] == 0x6C:
        answer = _answer(channel, _with_le(command, answer[-1]))
    data = answer[:-2]
    for _ in range(_MAX_ROUNDS):
        if answer[-2] != 0x61:
            return data, int.from_bytes(answer[-2:], "big")
        answer = _answer(channel, bytes([0x00, 0xC0, 0x00, 0x00, answer[-1]]))
        data += answer[:-2]
        if len(data) > _MAX_ANSWER:
            break
    raise Malformed("an answer without end")


def _answer(channel: Channel, command: bytes) -> bytes:
    answer = channel.transceive(command)
    if len(answer) < 2:
        raise Malformed("an answer without status word")
    return answer


def _with_le(command: bytes, le: int) -> bytes:
    has_le = len(command) == 5 or (len(command) > 5 and len(command) == 6 + command[4])
    return (command[:-1] if has_le else command) + bytes([le])


def parse(data: bytes) -> list[tuple[int, memoryview]]:
    """The objects of one level; TlvError, a ValueError, for what is no BER-TLV."""
    objects: list[tuple[int, memoryview]] = _tlv.parse(data)
    return objects


def find(data: bytes, *path: int) -> bytes | None:
    value: Any = _tlv.find(data, *path)
    return None if value is None else bytes(value)


def collect(data: bytes, into: dict[int, bytes]) -> None:
    """Every primitive object at any depth; what is there already is kept."""
    _tlv.collect(data, into)


def parse_dol(data: bytes) -> list[tuple[int, int]]:
    names: list[tuple[int, int]] = _tlv.parse_dol(data)
    return names


def is_constructed(tag: int) -> bool:
    return bool(_tlv.is_constructed(tag))
