"""Simulated codes: the published vectors byte for byte, and structures by their own lengths."""

from __future__ import annotations

import base64
import hashlib

import pytest

from faretap.sim import codes

# SHA-256 of the 332 bytes as published.
MOT_SHA256 = "6bde26a309a5a353754afa2938fa8d7ef0a5a889da364017559cb07c681ee422"


def test_every_name_makes_the_same_bytes_again() -> None:
    assert set(codes.names()) >= {"mot", "cpm", "union", "empty", "noise-5000", "url"}
    for name, text in codes.names().items():
        assert codes.make(name) == codes.make(name)
        assert text and "\n" not in text


def test_an_unknown_name_is_answered_with_the_list() -> None:
    with pytest.raises(ValueError, match="no code 'qr': choose one of mot, cpm"):
        codes.make("qr")


def test_mot_is_the_published_vector() -> None:
    code = codes.make("mot")
    assert len(code) == 332
    assert code[1:3] == (329).to_bytes(2, "big")
    assert code[:16].hex() == "80014924010100007f12999900001240"
    assert code[-16:].hex() == "dd141a0b1571fb1cd7bf110ca0c57032"
    assert hashlib.sha256(code).hexdigest() == MOT_SHA256


def test_cpm_is_emvcos_example() -> None:
    assert base64.b64decode(codes.make("cpm")).hex().upper() == (
        "85054350563031611A4F07A0000000555555570F1234567890123458D191220112345F"
    )


def test_union_has_the_structure_of_an_industry_code() -> None:
    code = base64.b64decode(codes.make("union"), validate=True)
    assert code[:2] == b"\x02\x11"
    custom = code[40]
    assert len(code) == 41 + custom + 65
    assert code[-65] == 0x15


def test_the_others() -> None:
    assert codes.make("empty") == b""
    assert len(codes.make("noise-5000")) == 5000
    assert codes.make("url").startswith(b"https://")
