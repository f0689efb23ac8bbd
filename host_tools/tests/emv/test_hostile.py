"""Cards that are out to break the kernel: nothing gets past it, and nothing is accepted."""

# The firmware carries no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import asyncio
import tracemalloc
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faretap.replay import load_rules
from faretap.sim import cards as sim
from faretap.sim.cards import scheme
from faretap.sim.cards.card import tlv
from validator.media import cards, terminal
from validator.media.phases import Phases

from .kernel import NOON, Kernel

KERNEL = Kernel()
OUR_FAULTS = ("TypeError", "IndexError", "KeyError", "AttributeError", "ZeroDivisionError")
REASONS = (
    "malformed",
    "unsupported",
    "bad_signature",
    "unknown_issuer",
    "expired",
    "not_yet_valid",
    "card_refused",
)


def tap(transceive: Any, config: dict[str, Any] | None = None) -> Any:
    class Link:
        async def transceive(self, command: bytes) -> bytes:
            answer: bytes = transceive(bytes(command))
            return answer

    data = terminal.make(NOON, 200, rules=load_rules(config or scheme.configuration()))
    result = asyncio.run(cards.run(Link(), KERNEL, Phases(KERNEL), terminal_data=data))
    assert result.detail.get("what") not in OUR_FAULTS, result.detail
    return result


def declined(transceive: Any, config: dict[str, Any] | None = None) -> Any:
    result = tap(transceive, config)
    assert result.outcome == "declined"
    assert result.reason in REASONS, (result.reason, result.detail)
    assert result.evidence is None
    return result


TAGS = (
    0x57, 0x5A, 0x5F24, 0x5F25, 0x5F34, 0x82, 0x8C, 0x8F, 0x90, 0x92, 0x94, 0x95, 0x9F02, 0x9F08,
    0x9F10, 0x9F24, 0x9F26, 0x9F27, 0x9F32, 0x9F36, 0x9F46, 0x9F47, 0x9F48, 0x9F49, 0x9F4A, 0x9F4B,
    0x9F69, 0x9F6C, 0x70, 0x77, 0xBF0C,
)  # fmt: skip
values = st.one_of(
    st.binary(max_size=30),
    st.sampled_from([0, 64, 128, 144, 176, 248]).map(bytes),
    st.sampled_from([128, 144, 176, 248]).map(lambda n: b"\xff" * n),
    st.sampled_from([b"\xf1", b"\xf2", b"\x03", b"\x02", b"\x82", bytes.fromhex("7C00")]),
    st.just(bytes.fromhex("10010401")),
    st.just(bytes.fromhex("07010103A0000001")),
    st.just(bytes.fromhex("6299990000000000012D49122010")),
)
items = st.builds(tlv, st.sampled_from(TAGS), values)
bodies = st.lists(items, max_size=10).map(b"".join)
templates = st.builds(tlv, st.sampled_from([0x6F, 0x70, 0x77, 0x80]), bodies)
lies = st.builds(
    lambda tag, size, rest: bytes([tag, 0x82]) + size.to_bytes(2, "big") + rest,
    st.sampled_from([0x6F, 0x70, 0x77, 0x80]),
    st.integers(0, 65535),
    st.binary(max_size=60),
)
answers = st.one_of(templates, lies, st.binary(max_size=260))


def fci(pdol: bytes = bytes.fromhex("9F66049F02069F3704")) -> bytes:
    inner = tlv(0x9F38, pdol) + tlv(0xBF0C, tlv(0xDF61, b"\x40"))
    return tlv(0x6F, tlv(0x84, bytes.fromhex("A000000333010101")) + tlv(0xA5, inner))


@settings(max_examples=250, deadline=None)
@given(st.lists(answers, max_size=12))
def test_made_up_cards(said: list[bytes]) -> None:
    left = [b"\x6a\x82", fci() + b"\x90\x00"] + [a + b"\x90\x00" for a in said]
    declined(lambda command: left.pop(0) if left else b"\x6a\x82")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60), st.lists(templates, max_size=3))
def test_any_pdol(pdol: bytes, said: list[bytes]) -> None:
    left = [b"\x6a\x82", fci(pdol) + b"\x90\x00"] + [a + b"\x90\x00" for a in said]
    declined(lambda command: left.pop(0) if left else b"\x6a\x82")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.sampled_from(["quickpass-debit", "quickpass-legacy", "quickpass-ecash"]),
    which=st.integers(2, 9),
    at=st.floats(0, 1, exclude_max=True),
    how=st.sampled_from(["flip", "cut", "insert", "repeat", "length"]),
    bits=st.integers(1, 255),
)
def test_mutated_cards(name: str, which: int, at: float, how: str, bits: int) -> None:
    card = sim.make(name)
    count = 0

    def transceive(command: bytes) -> bytes:
        nonlocal count
        count += 1
        answer = bytearray(card.apdu(command))
        if count == which and len(answer) > 2:
            place = int(at * (len(answer) - 2))
            if how == "flip":
                answer[place] ^= bits
            elif how == "cut":
                del answer[place:-2]
            elif how == "insert":
                answer[place:place] = bytes([bits]) * 3
            elif how == "repeat":
                answer[place:place] = answer[:place]
            else:
                answer[place : place + 1] = b"\x82\xff\xff"
        return bytes(answer)

    result = tap(transceive)
    if result.outcome == "accepted":
        # What is signed by nobody may differ: labels, cryptogram, discretionary data.
        assert result.evidence is not None and result.masked
    else:
        assert result.outcome == "declined"


class Forger:
    """A card with the test CA's blessing and keys of its own choice behind it."""

    def __init__(self, modulus: bytes, exponent: bytes, issuer_too: bool) -> None:
        keys = scheme.scheme(0xF1)
        pan = "6299990000000000012"
        static = tlv(0x5A, bytes.fromhex(pan + "F")) + tlv(0x5F24, bytes.fromhex("491231"))
        issuer, issuer_rest = keys.issuer_certificate(pan)
        issuer_exponent = scheme.EXPONENT
        if issuer_too:
            room = keys.ca.size - 36
            body = b"\x02" + bytes.fromhex("629999FF1249000001" + "0101")
            body += bytes([len(modulus) & 0xFF, len(exponent)])
            body += modulus[:room].ljust(room, b"\xbb")
            issuer_rest, issuer_exponent = modulus[room:], exponent
            issuer = scheme.certificate(keys.ca, body, issuer_rest + exponent)
        room = keys.issuer.size - 42
        body = b"\x04" + bytes.fromhex(pan.ljust(20, "F") + "1249000002" + "0101")
        body += bytes([len(modulus) & 0xFF, len(exponent)])
        body += modulus[:room].ljust(room, b"\xbb")
        rest = modulus[room:]
        own = scheme.certificate(keys.issuer, body, rest + exponent + static + b"\x7c\x00")
        self.records = {
            b"\x01": tlv(0x70, static),
            b"\x02": tlv(0x70, tlv(0x90, issuer)),
            b"\x03": tlv(
                0x70,
                tlv(0x8F, b"\xf1")
                + tlv(0x9F32, issuer_exponent)
                + tlv(0x92, issuer_rest)
                + tlv(0x9F4A, b"\x82"),
            ),
            b"\x04": tlv(0x70, tlv(0x9F46, own) + tlv(0x9F47, exponent) + tlv(0x9F48, rest)),
        }
        self.signature = bytes(len(modulus))

    def __call__(self, command: bytes) -> bytes:
        if command[1] == 0xA4:
            return b"\x6a\x82" if command[4] == 14 else fci() + b"\x90\x00"
        if command[1] == 0xA8:
            said = tlv(0x82, b"\x7c\x00") + tlv(0x94, bytes.fromhex("10010401"))
            said += tlv(0x9F36, b"\0\1") + tlv(0x9F10, bytes.fromhex("07010103A0000001"))
            said += tlv(0x9F26, bytes(8)) + tlv(0x9F4B, self.signature)
            said += tlv(0x57, bytes.fromhex("6299990000000000012D49122010"))
            return tlv(0x77, said) + b"\x90\x00"
        return self.records.get(command[2:3], b"") + b"\x90\x00"


moduli = st.one_of(
    st.sampled_from([0, 1, 63, 64, 128, 144, 176, 200, 248, 255]).map(bytes),
    st.sampled_from([64, 128, 176]).map(lambda n: bytes(n - 1) + b"\x01"),
    st.sampled_from([64, 128, 176]).map(lambda n: b"\x80" + bytes(n - 2) + b"\x02"),
    st.sampled_from([64, 128, 144]).map(lambda n: b"\xff" * n),
    st.binary(min_size=100, max_size=140),
)


@settings(max_examples=200, deadline=None)
@given(
    moduli,
    st.sampled_from(
        [b"", b"\0", b"\1", b"\2", b"\3", b"\4", b"\1\0\0", b"\1\0\1", b"\xff\xff\xff"]
    ),
    st.booleans(),
)
def test_keys_of_the_cards_choice(modulus: bytes, exponent: bytes, issuer_too: bool) -> None:
    result = declined(Forger(modulus, exponent, issuer_too))
    assert result.reason in ("bad_signature", "malformed")


def test_memory_is_bounded() -> None:
    """A card that answers as much as it can, as long as it is asked."""
    config = scheme.configuration()
    record = tlv(0x70, tlv(0x9F7F, bytes(240)))
    afl = bytes.fromhex("10011F00")

    def transceive(command: bytes) -> bytes:
        if command[1] == 0xA4:
            return b"\x6a\x82" if command[4] == 14 else fci() + b"\x90\x00"
        if command[1] == 0xA8:
            return tlv(0x77, tlv(0x82, b"\x7c\x00") + tlv(0x94, afl)) + b"\x90\x00"
        return record[:250] + b"\x61\xff"

    declined(transceive, config)
    tracemalloc.start()
    try:
        declined(transceive, config)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 300_000  # CPython's objects and event loop included
