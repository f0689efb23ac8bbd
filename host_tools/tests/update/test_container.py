"""The .ftu file: taken apart by hand, damaged everywhere, signed and not."""

from __future__ import annotations

import hashlib
import random
import struct
import zlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from typer.testing import CliRunner

import update_images
from faretap import boards
from faretap.cli import image as commands
from faretap.cli.common import app as command_line
from faretap.config import keys
from faretap.image import filesystem
from faretap.image.app import AppImage, make_manifest
from faretap.image.container import Container, load, make, read
from faretap.image.errors import ImageError
from faretap.image.sign import is_signed_by, public_key, sign, verify
from validator import update_image as layout

KEY = ec.generate_private_key(ec.SECP256R1())
BOARD = boards.load("VIRTUAL")


def small_app(version: str = "0.2.0", sectors: int = 6) -> AppImage:
    files = {
        "validator/app.mpy": random.Random(version).randbytes(3000),
        "devices.json": b"{}" * 700,
    }
    manifest = make_manifest(BOARD, files, version)
    files["manifest.json"] = repr(manifest).replace("'", '"').encode()
    data = filesystem.pack(files, sectors * 4096, filesystem.SLOT_BLOCK)
    return AppImage(data, manifest, files)


@pytest.fixture(scope="module")
def app() -> AppImage:
    return small_app()


@pytest.fixture(scope="module")
def container(app: AppImage) -> Container:
    return sign(make(app), KEY)


def by_hand(data: bytes) -> bytes:
    """What a .ftu file carries, by its description alone."""
    assert data[:4] == b"FTU1"
    count = int.from_bytes(data[4:8], "little")
    at, out = 8, b""
    for _ in range(count):
        size, behind, crc = struct.unpack(">HHI", data[at : at + 8])
        body = data[at + 8 : at + 8 + behind]
        contents = body if behind == size else zlib.decompress(body, -10)
        assert len(contents) == size <= 2048 and zlib.crc32(contents) == crc
        out += contents
        at += 8 + behind
    assert at == len(data)
    return out


def test_the_file_by_its_description(app: AppImage, container: Container) -> None:
    whole = by_hand(container.to_bytes())
    blocks = len(app.data) // 2048
    assert whole[:4] == b"FTUI" and whole[4] == 1 and whole[5] == 0
    assert struct.unpack("<HI", whole[6:12]) == (blocks, len(app.data))
    assert whole[12:36].rstrip(b"\0") == b"VIRTUAL"
    assert whole[36:60].rstrip(b"\0") == b"0.2.0"
    assert whole[60:68].hex() == app.id
    assert whole[68:76].rstrip(b"\0") == b"1.24"
    assert whole[76:108] == hashlib.sha256(app.data).digest()
    for n in range(blocks):
        digest = hashlib.sha256(app.data[n * 2048 : (n + 1) * 2048]).digest()
        assert whole[108 + 8 * n : 116 + 8 * n] == digest[:8]
    end = 108 + 8 * blocks
    r, s = (int.from_bytes(whole[at : at + 32], "big") for at in (end, end + 32))
    KEY.public_key().verify(encode_dss_signature(r, s), whole[:end], ec.ECDSA(hashes.SHA256()))
    assert set(whole[end + 64 : 2048]) == {0}
    assert whole[2048:] == app.data


def test_round_trip(app: AppImage, container: Container) -> None:
    again = read(container.to_bytes())
    assert again == container
    assert (again.board, again.version, again.id) == ("VIRTUAL", "0.2.0", app.id)
    assert again.min_micropython == "1.24" and not again.downgrade
    assert again.app.files == app.files
    packed = again.packed()
    assert packed.size == 2048 + len(app.data)
    assert packed.digest == hashlib.sha256(by_hand(container.to_bytes())).hexdigest()


def test_the_same_image_gives_the_same_bytes(app: AppImage) -> None:
    assert make(app).to_bytes() == make(small_app()).to_bytes()


def test_any_damage_is_found(container: Container) -> None:
    data = container.to_bytes()
    chance = random.Random(1)
    places = [0, 3, 4, 7, 8, 9, 10, 11, 15, len(data) - 1]
    places += [chance.randrange(len(data)) for _ in range(300)]
    found = 0
    for at in places:
        bad = bytearray(data)
        bad[at] ^= 1 << chance.randrange(8)
        try:
            taken = read(bytes(bad))
        except ImageError:
            found += 1
        else:
            # Bits that fill up the last byte of a deflate stream, or those of the signature,
            # which is not looked at here.
            assert (taken.unsigned, taken.image) == (container.unsigned, container.image), at
    assert found > 0.95 * len(places)
    for cut in (0, 3, 8, 20, 1000, len(data) - 1):
        with pytest.raises(ImageError):
            read(data[:cut])
    with pytest.raises(ImageError):
        read(data + b"\0")


def test_a_head_that_lies_about_its_image(app: AppImage) -> None:
    other = small_app("0.3.0")
    lies = layout.pack("VIRTUAL", "0.9.9", other.id, "1.24", app.data)
    good = make(app)
    with pytest.raises(ImageError, match="manifest"):
        read(Container(lies, b"", app.data, good.blocks).to_bytes())
    lies = layout.pack("VIRTUAL", "0.2.0", app.id, "1.24", other.data)
    with pytest.raises(ImageError, match="not the one"):
        read(Container(lies, b"", app.data, good.blocks).to_bytes())
    table = bytearray(good.unsigned)
    table[110] ^= 1
    with pytest.raises(ImageError, match="block 0"):
        read(Container(bytes(table), b"", app.data, good.blocks).to_bytes())


def test_signatures(container: Container, app: AppImage) -> None:
    verify(container, KEY.public_key())
    other = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(ImageError, match="another key"):
        verify(container, other.public_key())
    with pytest.raises(ImageError, match="not signed"):
        verify(make(app), KEY.public_key())
    down = sign(container, KEY, downgrade=True)
    assert down.downgrade and is_signed_by(down, KEY.public_key())
    # The permission is part of what is signed.
    assert not is_signed_by(
        Container(down.unsigned, container.signature, down.image, down.blocks), KEY.public_key()
    )
    xy = keys.public_bytes(KEY.public_key())
    verify(container, public_key(xy))
    with pytest.raises(ImageError):
        public_key(bytes(64))
    # The validator's own code agrees.
    container.head.check_signature(xy)
    with pytest.raises(layout.Refused):
        container.head.check_signature(keys.public_bytes(other.public_key()))


def test_names_that_do_not_fit(app: AppImage) -> None:
    for version in ("", "1." * 13, "1.0β"):
        manifest = {**app.manifest, "version": version}
        with pytest.raises(ImageError, match="version"):
            make(AppImage(app.data, manifest, app.files))


def test_the_signatures_of_the_firmwares_tests() -> None:
    """Those were made once; here somebody else than the firmware looks at them."""
    public = public_key(bytes.fromhex(update_images.KEY))
    assert set(update_images.SIGNATURES) == set(update_images.WHAT)
    for name, signature in update_images.SIGNATURES.items():
        raw = bytes.fromhex(signature)
        r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
        public.verify(
            encode_dss_signature(r, s), update_images.unsigned(name), ec.ECDSA(hashes.SHA256())
        )


def test_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARETAP_PASSPHRASE", "correct horse")
    monkeypatch.setattr("faretap.image.app.build_app", lambda board: small_app())
    key = tmp_path / "operator.pem"
    encryption = BestAvailableEncryption(b"correct horse")
    key.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    key.chmod(0o600)
    public = KEY.public_key()
    Path(f"{key}.pub").write_bytes(keys.public_pem(public))
    file = tmp_path / "bus.ftu"
    run = CliRunner()

    def faretap(*words: object) -> str:
        done = run.invoke(command_line, [str(word) for word in words])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.stdout

    assert commands.image.info.help
    faretap("image", "build", "--board", "VIRTUAL", "--out", file)
    assert not load(file).signature
    with pytest.raises(ImageError, match="not signed"):
        faretap("image", "show", file, "--trust", f"{key}.pub")
    faretap("image", "sign", file, "--key", key, "--downgrade")
    assert is_signed_by(load(file), public) and load(file).downgrade
    shown = faretap("image", "show", file, "--trust", f"{key}.pub", "--json")
    assert '"signed": true' in shown and '"verified": true' in shown
    assert load(file).id in shown
    with pytest.raises(ImageError, match="--key"):
        faretap("image", "build", "--board", "VIRTUAL", "--out", file, "--downgrade")
    with pytest.raises(ImageError, match="cannot be read"):
        faretap("image", "show", tmp_path / "missing.ftu")
