"""List files as a host reads them."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from faretap.lists.builder import Layout, spread
from faretap.lists.errors import ListFileError
from validator.store import list_format as fmt
from validator.store import list_merge


@dataclass(frozen=True)
class DenyList:
    """A full list. `values` of each bucket, ascending."""

    header: Any
    data: bytes = field(repr=False)
    values: dict[int, list[int]] = field(repr=False)
    exempt: frozenset[bytes] = field(repr=False)

    @classmethod
    def parse(cls, data: bytes) -> DenyList:
        """ListFileError if `data` is no whole list. The signature is not looked at."""
        header = _header(data)
        body = data[fmt.HEADER_SIZE :]
        if len(body) != header.size or hashlib.sha256(body).digest() != header.digest:
            raise ListFileError("The list is damaged.", "Fetch or build it again.")
        exempt_at = header.size - 8 * header.exempt
        spared = frozenset(body[at : at + 8] for at in range(exempt_at, header.size, 8))
        values: dict[int, list[int]] = {}
        index = struct.unpack_from(f"<{header.buckets + 1}h", body)
        starts = [
            header.index_size + (bucket * header.slope >> 8) + away
            for bucket, away in enumerate(index)
        ]
        for bucket in range(header.buckets):
            found = _unpack(body[starts[bucket] : starts[bucket + 1]], header.cell)
            if found:
                values[bucket] = found
        if sum(map(len, values.values())) != header.entries:
            raise ListFileError("The list does not hold what its header says.", "Build it again.")
        return cls(header, data, values, spared)

    @property
    def version(self) -> int:
        return int(self.header.version)

    @property
    def layout(self) -> Layout:
        return Layout(self.header.buckets, self.header.width, self.header.cell)

    def contains(self, token: bytes) -> bool:
        """Whether a validator with this list turns the token away."""
        if token in self.exempt:
            return False
        return self.listed(token)

    def listed(self, token: bytes) -> bool:
        """Whether the token looks like a listed one, exempt or not."""
        ((bucket, (value,)),) = spread([token], self.layout).items()
        return value in self.values.get(bucket, ())

    def signed_by(self, key: ec.EllipticCurvePublicKey) -> bool:
        return _signed_by(self.data, key)

    def to_json(self) -> dict[str, Any]:
        return {"kind": "full", **_describe(self.header), "bytes": len(self.data)}


@dataclass(frozen=True)
class Changes:
    """What makes the list that `header` describes out of version `base`."""

    header: Any
    base: int
    count: int
    data: bytes = field(repr=False)

    @classmethod
    def parse(cls, data: bytes) -> Changes:
        if len(data) < list_merge.HEAD_SIZE:
            raise ListFileError("This is no list of changes.")
        try:
            base, count, _ = list_merge.parse_head(data)
        except fmt.ListError as e:
            raise _said(e) from None
        return cls(_header(data[list_merge.HEAD_SIZE :]), base, count, data)

    @property
    def version(self) -> int:
        return int(self.header.version)

    def signed_by(self, key: ec.EllipticCurvePublicKey) -> bool:
        return _signed_by(self.data[list_merge.HEAD_SIZE :], key)

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "changes",
            "base": self.base,
            "changes": self.count,
            **_describe(self.header),
            "bytes": len(self.data),
        }


def parse(data: bytes) -> DenyList | Changes:
    """A list file of either kind."""
    if data[:4] == b"FTLD":
        return Changes.parse(data)
    return DenyList.parse(data)


def _header(data: bytes) -> Any:
    try:
        return fmt.Header(data)
    except fmt.ListError as e:
        raise _said(e) from None


def _said(error: Any) -> ListFileError:
    sentence = str(error)
    return ListFileError(f"{sentence[0].upper()}{sentence[1:]}.")


def _describe(header: Any) -> dict[str, Any]:
    layout = Layout(header.buckets, header.width, header.cell)
    return {
        "version": header.version,
        "entries": header.entries,
        "exempt": header.exempt,
        "issued": datetime.fromtimestamp(header.issued, UTC).isoformat().replace("+00:00", "Z"),
        "false_positive": layout.false_positive(header.entries),
        "token_key": header.key_check.hex() if any(header.key_check) else "",
        "buckets": header.buckets,
        "width": header.width,
        "cell": header.cell,
        "block_max": header.block_max,
        "body": header.size,
        "hash": header.digest.hex()[:8],
    }


def _signed_by(data: bytes, key: ec.EllipticCurvePublicKey) -> bool:
    signature = data[fmt.SIGNED_SIZE : fmt.HEADER_SIZE]
    r, s = (int.from_bytes(part, "big") for part in (signature[:32], signature[32:]))
    try:
        key.verify(encode_dss_signature(r, s), data[: fmt.SIGNED_SIZE], ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _unpack(block: bytes, cell: int) -> list[int]:
    bits = "".join(f"{byte:08b}" for byte in reversed(block))
    values: list[int] = []
    value = used = at = 0
    while at + cell <= len(block) - (used + 7) // 8:
        one = bits.find("1", used)
        if one < 0:
            raise ListFileError("The list is damaged.", "Fetch or build it again.")
        value += one - used << 8 * cell | int.from_bytes(block[at : at + cell], "big")
        values.append(value)
        used = one + 1
        at += cell
    return values
