"""A list file into a validator over the link, and what the validator has in force."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from faretap.lists.errors import ListFileError
from faretap.lists.model import Changes, parse

Progress = Callable[[int, int], None]


def info(link: Any) -> dict[str, Any]:
    """version, entries, exempt, issued, size, hash, bank, room, faults."""
    answer: dict[str, Any] = link.call("lists.info")
    return answer


def push(session: Any, data: bytes, progress: Progress = lambda done, total: None) -> Any:
    """Send a list, or changes; returns what is in force then.

    Riders go on meanwhile. Cut off, it is to be called again with the same data: a full list goes
    on where it was.
    """
    from faretap.link.transfer import send

    new = parse(data)
    before = info(session.link)
    if before.get("hash") == new.header.digest.hex()[:8] and before["version"] == new.version:
        return before
    if before["version"] >= new.version:
        raise ListFileError(
            f"The validator has version {before['version']}, this is {new.version}.",
            "Build the list with a higher version.",
        )
    if isinstance(new, Changes) and before["version"] != new.base:
        raise ListFileError(
            f"These are changes to version {new.base}; the validator has "
            + (f"version {before['version']}." if before["version"] else "no list."),
            "Send the full list.",
        )
    if new.header.size > before["room"]:
        raise ListFileError(
            f"The list has {new.header.size} bytes; the validator has room for {before['room']}.",
            "Build it for this validator's board: --board.",
        )
    return send(session, "list", data, progress)
