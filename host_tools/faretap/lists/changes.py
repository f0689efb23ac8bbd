"""What changes from one deny list to the next."""

from __future__ import annotations

import struct

from faretap.lists.errors import ListFileError
from faretap.lists.model import DenyList
from validator.store import list_format as fmt
from validator.store import list_merge


def delta(old: DenyList, new: DenyList) -> bytes:
    """A file that makes `new` of `old` on a validator. Both need the same layout."""
    if new.version <= old.version:
        raise ListFileError(
            f"Version {new.version} is not newer than {old.version}.",
            "Give the older list first.",
        )
    if old.layout != new.layout:
        raise ListFileError(
            "The two lists are laid out differently.",
            "Build the new one with --like OLD, or send it in full.",
        )
    changes = [
        bucket.to_bytes(2, "big") + value.to_bytes(3, "big")
        for bucket in sorted(old.values.keys() | new.values.keys())
        for value in sorted(set(old.values.get(bucket, ())) ^ set(new.values.get(bucket, ())))
    ]
    digest = old.header.digest[:8]
    head = struct.pack(list_merge.HEAD, b"FTLD", 1, 0, 0, old.version, len(changes), digest)
    spared = b"".join(sorted(new.exempt))
    return head + new.data[: fmt.HEADER_SIZE] + b"".join(changes) + spared
