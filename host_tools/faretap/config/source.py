"""A configuration from its TOML file to the body that is signed.

source = load(Path("fleet.toml"))        # ConfigError with every problem
body = source.body()                     # dict, with what files hold in place of their names
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import ValidationError

from faretap.config import keys
from faretap.config.bundle import SMALLEST_ROOM, body_text
from faretap.config.errors import ConfigError, many
from faretap.config.media import CaKey
from faretap.config.problems import path as path_of
from faretap.config.problems import problems
from faretap.config.schema import Configuration
from faretap.errors import FaretapError
from faretap.reading import CODE, PEM, TABLE, read_bytes, read_csv, read_toml
from validator.operation import CHECKS
from validator.store import config_check

_CSV = {"rid": "rid", "index": "index", "exponent": "exponent", "modulus": "modulus"}


@dataclass(frozen=True)
class Source:
    """A configuration that was checked. `name` is for messages, `folder` where its files are."""

    name: str
    raw: dict[str, Any]
    folder: Path

    def body(self) -> dict[str, Any]:
        """What the validator gets; ConfigError if files are missing or wrong."""
        body, found = _resolved(self.raw, self.folder)
        if not found:
            found = _validator_says(body)
        size = len(body_text(body))
        if not found and size > SMALLEST_ROOM:
            found = [f"the configuration: {size} bytes; right would be up to {SMALLEST_ROOM}."]
        _fail(self.name, found)
        return body


def load(path: Path) -> Source:
    """Read and check a TOML file."""
    source = read(path)
    return check(source.raw, source.name, source.folder)


def read(path: Path) -> Source:
    """A TOML file that may be wrong or lack something: a fleet's base."""
    return Source(str(path), read_toml(path, ConfigError), path.parent)


def check(raw: dict[str, Any], name: str = "the configuration", folder: Path = Path()) -> Source:
    """Check what a file says, without what its files hold."""
    try:
        Configuration.model_validate(raw)
    except ValidationError as e:
        _fail(name, problems(e, Configuration))
    return Source(name, raw, folder)


def _fail(name: str, found: list[str]) -> None:
    if found:
        raise many(name, found)


def _resolved(raw: dict[str, Any], folder: Path) -> tuple[dict[str, Any], list[str]]:
    """The body, and what is wrong with the files that it takes in."""
    found: list[str] = []

    def taken(where: str, name: str, read: Callable[[Path], Any]) -> Any:
        try:
            return read(folder / name)
        except FaretapError as e:
            found.append(f"{where}: {e}")
        return None

    value = Configuration.model_validate(raw).model_dump(
        by_alias=True, exclude_unset=True, exclude_none=True
    )
    if "token_key_file" in value:
        value["token_key"] = taken("token_key_file", value.pop("token_key_file"), keys.load_token)
    if "operator_key_file" in value:
        key = taken("operator_key_file", value.pop("operator_key_file"), keys.load_public)
        value["operator_key"] = key and keys.public_bytes(key).hex()
    elif "operator_key" in value:
        point = keys.point(bytes.fromhex(value["operator_key"]))
        value["operator_key"] = keys.public_bytes(point).hex()
    for i, entry in enumerate(value.get("access", {}).get("keys", [])):
        if "public_file" in entry:
            where = f"access.keys[{i}].public_file"
            key = taken(where, entry.pop("public_file"), keys.load_public)
            entry["public"] = key and keys.compressed(key).hex()
    cards = value.get("cards", {})
    if "ca_keys_file" in cards:
        more = taken("cards.ca_keys_file", cards.pop("ca_keys_file"), ca_keys)
        cards["ca_keys"] = [*cards.get("ca_keys", []), *(more or [])]
    if "acquirer_file" in cards:
        cards["acquirer"] = taken("cards.acquirer_file", cards.pop("acquirer_file"), acquirer)
    codes = value.get("codes", {})
    if "root_files" in codes:
        roots = [
            taken(f"codes.root_files[{i}]", name, _root)
            for i, name in enumerate(codes.pop("root_files"))
        ]
        codes["roots"] = [*codes.get("roots", []), *roots]
    if found:
        return {}, found
    try:
        # Again, with what the files hold.
        whole = Configuration.model_validate(value)
    except ValidationError as e:
        return {}, problems(e, Configuration, values=False)
    body = whole.model_dump(by_alias=True, exclude_unset=True, exclude_none=True, mode="json")
    # Sections that say nothing are left out; what identifies the file comes first.
    return {"format": 1, **{k: v for k, v in body.items() if k != "format" and v != {}}}, []


def _root(path: Path) -> str:
    return read_bytes(path, CODE, ConfigError).hex()


def ca_keys(path: Path) -> list[dict[str, Any]]:
    """CA keys of a CSV file; ConfigError names the line of each that is wrong."""
    found: list[str] = []
    entries = []
    rows = read_csv(path, TABLE, ConfigError)
    _, columns = next(rows, (0, []))
    missing = {*_CSV, "check_value"} - set(columns)
    if missing:
        raise ConfigError(f"{path.name} has no column {', '.join(sorted(missing))}.")
    for line, cells in rows:
        if not cells:
            continue
        if len(cells) != len(columns):
            found.append(f"{path.name}, line {line}: it has another number of cells.")
            continue
        row = dict(zip(columns, cells, strict=True))
        entry = {key: row[column] for key, column in _CSV.items()}
        entry["check"] = row["check_value"]
        if row.get("expires"):
            entry["expires"] = row["expires"]
        try:
            CaKey.model_validate(entry)
        except ValidationError as e:
            found += problems(e, CaKey, f"{path.name}, line {line}: ", values=False)
        entries.append(entry)
    _fail(path.name, found)
    return entries


def acquirer(path: Path) -> dict[str, str]:
    """The acquirer's key of a PEM file."""
    try:
        key = load_pem_public_key(read_bytes(path, PEM, ConfigError))
    except (ValueError, UnsupportedAlgorithm) as e:
        raise ConfigError(f"{path.name} holds no public key in PEM.") from e
    if not isinstance(key, rsa.RSAPublicKey):
        raise ConfigError(f"{path.name} holds no RSA key.")
    numbers = key.public_numbers()
    exponent = "03" if numbers.e == 3 else f"{numbers.e:06x}"
    return {"modulus": f"{numbers.n:0{key.key_size // 4}x}", "exponent": exponent}


# The firmware's cryptography has one memory for everybody: a validator has no threads.
_one_at_a_time = threading.Lock()


def _validator_says(body: dict[str, Any]) -> list[str]:
    """What the firmware would refuse: the same functions that it asks."""
    with _one_at_a_time:
        return _asked(body)


def _asked(body: dict[str, Any]) -> list[str]:
    found = []
    try:
        config_check.check(body.get, body, (body["version"], body.get("not_before", 0)))
    except ValueError as e:
        found.append(f"{e}.")
    for name, load_section in CHECKS.items():
        if name in body:
            try:
                load_section(body[name])
            except ValueError as e:
                text = str(e)
                found.append(f"{text if text.startswith(name) else path_of((name, text))}.")
    return found
