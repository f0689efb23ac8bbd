"""Simulated codes: the published vectors byte for byte, and structures by their own lengths."""

from __future__ import annotations

import base64
import hashlib
import time

import pytest

from faretap.sim import codes
from faretap.sim.codes.keys import _sm2, key
from faretap.sim.codes.mot import root_file

# SHA-256 of the 332 bytes as published.
MOT_SHA256 = "6bde26a309a5a353754afa2938fa8d7ef0a5a889da364017559cb07c681ee422"
ROOT = (
    "2101010000A0000006327F12400411409259515F2F91776E9D4088B34F73E78E4DD3F37775636C05915AAFB698E9"
    "1CD745B4F98F503AC1091D39CC08F404178ED0A5B1FC93D952AE706A2DB663D57ECDABFB95E49613C16847DB8446"
    "773DD0442C3B4AC14C7519E02CA77DF1BF1EDACD7A5FD0ACDB42C1C01C99872585D6C7C62A8AEA70EF992F96CEAD"
    "986D670C2FBD"
)
AT = 1893456000  # 2030-01-01, which the vector is made for


def test_every_name_makes_the_same_bytes_for_the_same_moment() -> None:
    assert set(codes.names()) >= {"mot", "cpm", "union", "alipay", "empty", "noise-5000", "url"}
    valid = [name for name, entry in codes.CODES.items() if entry.expected[0] == "accepted"]
    once = [codes.make(name, at=AT) for name in valid]
    _sm2.cache_clear()
    assert [codes.make(name, at=AT) for name in valid] == once
    assert len(set(once)) == len(valid)
    assert all(text and "\n" not in text for text in codes.names().values())


def test_names_tell_what_to_expect() -> None:
    names = codes.names()
    assert names["mot"].endswith("[accepted]")
    assert names["mot-wrong-root"].endswith("[declined bad_signature]")
    assert names["cpm-numeric"].endswith("[declined needs_online]")
    for name, entry in codes.CODES.items():
        assert name == (f"{entry.kind}-{entry.defect}" if entry.defect else entry.kind)


def test_a_code_is_made_for_now_or_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: AT + 0.9)
    for name in ("mot", "union", "alipay", "cpm", "cpm-numeric"):
        assert codes.make(name) == codes.make(name, at=AT) != codes.make(name, at=AT + 1)


def test_an_unknown_name_is_answered_with_the_list() -> None:
    with pytest.raises(
        ValueError, match="no code 'qr': choose one of mot, mot-custom, mot-local-id, union, "
    ):
        codes.make("qr")


def test_mot_is_the_published_vector() -> None:
    code = codes.make("mot", at=AT)
    assert len(code) == 332
    assert code[1:3] == (329).to_bytes(2, "big")
    assert code[:16].hex() == "80014924010100007f12999900001240"
    assert code[-16:].hex() == "dd141a0b1571fb1cd7bf110ca0c57032"
    assert hashlib.sha256(code).hexdigest() == MOT_SHA256


def test_the_root_file_is_the_published_one() -> None:
    assert root_file().hex().upper() == ROOT
    assert codes.configuration()["roots"][0].upper() == ROOT


def test_the_configuration_is_json_of_its_shape_and_of_public_keys_only() -> None:
    config = codes.configuration()
    text = repr(config)
    for name in ("root", "root-old", "union-1", "union-2", "alipay-1", "alipay-2"):
        assert key(name).public[0].to_bytes(32, "big").hex() in text
        assert f"{key(name).d:064x}" not in text
    assert key("stray").compressed.hex()[2:] not in text
    assert codes.configuration(skew_s=5)["skew_s"] == 5


def test_cpm_example_is_emvcos() -> None:
    assert base64.b64decode(codes.make("cpm-example")).hex().upper() == (
        "85054350563031611A4F07A0000000555555570F1234567890123458D191220112345F"
    )


def test_union_has_the_structure_of_an_industry_code() -> None:
    code = base64.b64decode(codes.make("union", at=AT), validate=True)
    assert code[:2] == b"\x02\x11"
    custom = code[40]
    assert len(code) == 41 + custom + 65
    assert code[-65] == 0x15


def test_the_others() -> None:
    assert codes.make("empty") == b""
    assert len(codes.make("noise-5000")) == 5000
    assert codes.make("url").startswith(b"https://")
