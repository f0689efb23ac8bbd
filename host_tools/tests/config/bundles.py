"""The signed bundles that the firmware's tests feed to a validator: `python bundles.py` writes
firmware/tests/config_bundles.py anew. The keys are TEST KEYS, made from labels."""

from __future__ import annotations

import hashlib
import textwrap
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from faretap.config.bundle import body_text, make
from faretap.config.keys import public_bytes

TARGET = Path(__file__).parents[3] / "firmware" / "tests" / "config_bundles.py"
SERIAL = "240ac4010203"


def key(label: str) -> ec.EllipticCurvePrivateKey:
    d = int.from_bytes(hashlib.sha256(b"Faretap TEST " + label.encode()).digest(), "big")
    return ec.derive_private_key(d >> 1, ec.SECP256R1())


FIRST, SECOND, STRANGER = key("first"), key("second"), key("stranger")


def body(version: int, **more: Any) -> dict[str, Any]:
    return {"format": 1, "version": version, "life_cycle": "bench", **more}


def long_body(version: int, **more: Any) -> dict[str, Any]:
    """Long enough for several sectors of 512 bytes."""
    texts = {f"text {version} {n}": "请上车" * 12 for n in range(6)}
    display = {"language": "zh", "texts": texts}
    return body(version, fares={"flat": 100 + version}, display=display, **more)


def bundles() -> dict[str, bytes]:
    follow = public_bytes(SECOND.public_key()).hex()
    third = public_bytes(STRANGER.public_key()).hex()
    made = {
        "V1": make(long_body(1), FIRST),
        "V2": make(long_body(2, token_key="00" * 15 + "2a") | {"life_cycle": "service"}, FIRST),
        "V2_OTHER": make(long_body(2, identity={"line": "other"}), FIRST),
        "V3": make(long_body(3), FIRST),
        "V3_FOLLOW": make(long_body(3, operator_key=follow), FIRST),
        "V4_FOLLOW": make(body(4, operator_key=third), SECOND),
        "V4_SECOND": make(body(4), SECOND),
        "V4_FIRST": make(body(4), FIRST),
        "V5_STRANGER": make(body(5), STRANGER),
        "V5_LATER": make(body(5, not_before=1893456000), FIRST),
        "V5_OURS": make(body(5, serials=["240ac4010202", SERIAL]), FIRST),
        "V5_THEIRS": make(body(5, serials=["240ac4010202"]), FIRST),
        "V5_LARGE": make(body(5, identity={"operator": "x" * 4096}), FIRST),
    }
    wrong: dict[str, dict[str, Any]] = {
        "format": {"format": 2},
        "version": {"version": 6},
        "life_cycle": {"life_cycle": "factory"},
        "section": {"lights": {}},
        "kind": {"fares": [100]},
        "cards": {"cards": {"limits": {"tap": -1}}},
        "soft_psam": {"life_cycle": "service", "purse": {"soft_psam": [{}]}},
        "language": {"display": {"language": "fr"}},
        "clock": {"clock": {"trust_s": -1}},
        "link": {"link": {"baud_max": 300}},
        "token_key": {"token_key": "00" * 8},
        "operator_key": {"operator_key": "00" * 64},
        "access": {"access": {"keys": [{"name": "a", "public": "02" + "ff" * 32, "rights": []}]}},
        "rights": {
            "access": {"keys": [{"name": "a", "public": "04" + follow, "rights": ["all"]}]}
        },
        "nested": {"access": {"keys": [7]}},
    }
    for name, change in wrong.items():
        wanted = {**body(5), **change}
        data = make({**wanted, "version": 5}, FIRST)
        made["WRONG_" + name] = data if name != "version" else _lying(wanted)
    made["WRONG_lines"] = _signed(b'{"format":1,"version":5,"life_cycle":"bench"}')
    made["WRONG_twice"] = _signed(
        b'{\n"format":1,\n"version":5,\n"life_cycle":"bench",\n"version":5\n}'
    )
    made["WRONG_json"] = _signed(
        b'{\n"format":1,\n"version":5,\n"life_cycle":"bench",\n"fares":{\n}'
    )
    return made


def _lying(wanted: dict[str, Any]) -> bytes:
    return _signed(body_text(wanted))


def _signed(text: bytes) -> bytes:
    """A bundle of version 5 around any bytes."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    from validator.store.bundle import pack

    head: bytes = pack(5, 0, public_bytes(FIRST.public_key()), text)
    der = FIRST.sign(head, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    r, s = decode_dss_signature(der)
    return head + r.to_bytes(32, "big") + s.to_bytes(32, "big") + text


def source() -> str:
    lines = [
        '"""Configuration bundles for tests, signed by public test keys. Written by',
        'host_tools/tests/config/bundles.py, which also says what each is."""',
        "",
        f'SERIAL = "{SERIAL}"',
    ]
    for name, operator in (("FIRST", FIRST), ("SECOND", SECOND), ("STRANGER", STRANGER)):
        lines += [f"{name} = bytes.fromhex(", *_wrapped(public_bytes(operator.public_key())), ")"]
    wrong = []
    for name, data in bundles().items():
        if name.startswith("WRONG_"):
            wrong.append(name.removeprefix("WRONG_"))
        lines += [f"{name} = bytes.fromhex(", *_wrapped(data), ")"]
    lines += ["WRONG = {", *(f'    "{name}": WRONG_{name},' for name in wrong), "}"]
    return "\n".join(lines) + "\n"


def _wrapped(data: bytes) -> list[str]:
    return [f'    "{line}"' for line in textwrap.wrap(data.hex(), 92)]


if __name__ == "__main__":
    TARGET.write_text(source())
