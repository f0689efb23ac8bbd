"""A folder with one good file of every kind that a command reads."""

from __future__ import annotations

import asyncio
import datetime
import json
import random
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from faretap import boards
from faretap.config import bundle, keys, pkcs8, source
from faretap.image import filesystem
from faretap.image.app import AppImage, make_manifest
from faretap.image.container import make
from faretap.image.sign import sign
from faretap.lists import build, room
from faretap.lists.builder import signer
from faretap.rack.results import Run, SlotIdentity, Tap, save
from faretap.records import lines
from faretap.replay import load_rules
from faretap.sim import cards
from faretap.sim.cards import AMOUNT, scheme
from faretap.virtual import micropython_image
from validator.media import cards as kernel
from validator.media import terminal
from validator.media.phases import Phases
from validator.store import record

PASSPHRASE = "correct horse"
SECRET = "S3CRET-of-somebody-else"
SERIAL = "24dcc399a2b4"

CONFIG = """\
version = 1
life_cycle = "bench"
token_key_file = "token.key"
operator_key_file = "op.pem.pub"
[fares]
flat = 200
[cards]
ca_keys_file = "ca.csv"
acquirer_file = "acquirer.pem.pub"
[codes]
root_files = ["root.bin"]
[access]
keys = [{ name = "depot", public_file = "op.pem.pub", rights = ["records"] }]
"""

SMALL = 'version = 1\nlife_cycle = "bench"\n[fares]\nflat = 200\n'


def make_world(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pkcs8, "_N", 16)  # a key that opens at once
    private = keys.create(folder / "op.pem", PASSPHRASE)
    keys.create_token(folder / "token.key")
    _put(folder / "pass", PASSPHRASE.encode() + b"\n", secret=True)
    acquirer = scheme.acquirer()
    pem = acquirer.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _put(folder / "acquirer.pem", pem, secret=True)
    public = acquirer.public_key()
    _put(
        folder / "acquirer.pem.pub",
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    )
    _configurations(folder, private)
    _lists(folder, private)
    _images(folder, private)
    _results(folder)
    _records(folder)
    trace(folder / "tap.jsonl")
    _put(folder / "rules.json", json.dumps(scheme.configuration()).encode())
    _put(folder / "rack.toml", b'[[slot]]\nname = "one"\nboard = "VIRTUAL"\nport = "virtual"\n')
    _put(folder / "day.scenario.toml", (shipped() / "morning-peak.scenario.toml").read_bytes())
    _put(folder / "code.bin", b"some code")
    _put(folder / "micropython.bin", micropython_image.build())


def shipped() -> Path:
    from faretap.rack.scenario.file import folder

    return folder()


def _put(path: Path, data: bytes, *, secret: bool = False) -> None:
    path.write_bytes(data)
    if secret:
        path.chmod(0o600)


def _configurations(folder: Path, private: ec.EllipticCurvePrivateKey) -> None:
    from faretap.config import samples

    bench = samples.bench_configuration()
    rows = ["rid,index,exponent,modulus,check_value"]
    rows += [
        ",".join((k["rid"], k["index"], k["exponent"], k["modulus"], k["check"]))
        for k in bench["cards"]["ca_keys"]
    ]
    _put(folder / "ca.csv", ("\n".join(rows) + "\n").encode())
    _put(folder / "root.bin", bytes.fromhex(bench["codes"]["roots"][0]))
    _put(folder / "whole.toml", CONFIG.encode())
    _put(folder / "small.toml", SMALL.encode())
    fleet = "serial,identity.vehicle\n24dcc399a2b4,bus 1\n24dcc399a2b5,bus 2\n"
    _put(folder / "fleet.csv", fleet.encode())
    body = source.load(folder / "small.toml").body()
    _put(folder / "small.ftc", bundle.make(body, private), secret=True)


def _lists(folder: Path, private: ec.EllipticCurvePrivateKey) -> None:
    chosen = random.Random(1)
    tokens = [chosen.randbytes(8) for _ in range(300)]
    _put(folder / "tokens.txt", "\n".join(t.hex() for t in tokens).encode())
    exempt = [chosen.randbytes(8) for _ in range(30)]
    _put(folder / "tokens.csv", ("token\n" + "\n".join(t.hex() for t in exempt)).encode())
    space = min(room(boards.load(name).partitions["lists"].size) for name in boards.names())
    for name, some, version in (("old.ftl", tokens[:200], 1), ("new.ftl", tokens, 2)):
        data = build(some, version=version, sign=signer(private), space=space, issued=1)
        _put(folder / name, data)


def _images(folder: Path, private: ec.EllipticCurvePrivateKey) -> None:
    board = boards.load("VIRTUAL")
    files = {"validator/app.mpy": random.Random(1).randbytes(3000), "devices.json": b"{}" * 700}
    manifest = make_manifest(board, files, "0.2.0")
    files["manifest.json"] = json.dumps(manifest).encode()
    data = filesystem.pack(files, 6 * 4096, filesystem.SLOT_BLOCK)
    container = sign(make(AppImage(data, manifest, files)), private)
    _put(folder / "bus.ftu", container.to_bytes())


def _results(folder: Path) -> None:
    run = Run("a day", seed=1, started=1_785_556_800.0, seconds=3.0)
    run.slots.append(SlotIdentity("one", board="VIRTUAL"))
    for n in range(20):
        run.taps.append(
            Tap(float(n), "one", "tunion", medium="tunion", outcome="accepted",
                phases={"detect": 1.0, "read": 30.0}, own_us=9000, card_us=20000)
        )  # fmt: skip
    save(run, folder / "run")


def _records(folder: Path) -> None:
    from faretap.records.model import link

    chain = bytes(8)
    text = lines.packed({"validator": SERIAL, "format": 2})
    for seq in range(1, 6):
        body = record.encode(
            {
                "seq": seq,
                "time": 1893456000 + seq,
                "clock_trusted": True,
                "test": True,
                "medium": "tunion",
                "outcome": "declined",
                "reason": "unverified",
                "token": bytes((seq,)) * 8,
                "phases": {"detect": 1, "select": 2, "read": 3, "verify": 4, "decide": 5},
                "boot": 3,
                "uptime": seq,
            }
        )
        chain = link(chain, bytes(body))
        text += lines.packed(
            {"seq": seq, "body": bytes(body).hex(), "after": "ff" * 5, "chain": chain.hex()}
        )
    _put(folder / f"{SERIAL}.records.jsonl", text)


class _Clock:
    def ticks_us(self) -> int:
        return 0

    def diff(self, later: int, earlier: int) -> int:
        return later - earlier


def trace(path: Path) -> None:
    card: Any = cards.make("quickpass-debit", trace=str(path))

    class Link:
        async def transceive(self, command: bytes) -> bytes:
            return bytes(card.apdu(bytes(command)))

        async def reset(self) -> bool:
            card.power_off()
            return True

    now = int(datetime.datetime(2026, 8, 1, 4, tzinfo=datetime.UTC).timestamp())
    data = terminal.make(now, AMOUNT, rules=load_rules(scheme.configuration()))
    asyncio.run(kernel.run(Link(), _Clock(), Phases(_Clock()), terminal_data=data))
