"""What a card leaves behind: its APDUs, and a purse's memory. Files in the board's own folder,
under names that the board makes: a client of the bench asks for contents, never for a file.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from faretap import reading
from faretap.writing import write_text

from .parts import Refused

_MOST = 1 << 19  # bytes of either: an answer of the bench has up to 4 MB


class Kept:
    """One card's at a time, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, str] = {}

    def begin(self, keep: dict[str, Any]) -> dict[str, str]:
        """For the next card. `keep`: {"trace": true, "state": the purse's memory, or null for a
        purse that has none yet}. The files, by the card's options."""
        trace, state = keep.pop("trace", False), keep.pop("state", False)
        if keep or not isinstance(trace, bool) or not (state is False or _is_memory(state)):
            raise Refused('"keep" has "trace", true or false, and "state", an object or null.')
        self._files = {}
        shutil.rmtree(self._folder, ignore_errors=True)
        if not trace and state is False:
            return {}
        self._folder.mkdir(parents=True)
        if trace:
            self._files["trace"] = str(self._folder / "apdu.jsonl")
        if state is not False:
            self._files["state"] = str(self._folder / "purse.json")
            if state is not None:
                write_text(Path(self._files["state"]), json.dumps(state), durable=False)
        return dict(self._files)

    def read(self) -> dict[str, Any]:
        """{"trace": text, "state": object or null}: what was to be kept."""
        found: dict[str, Any] = {}
        for name, file in self._files.items():
            path = Path(file)
            text = reading.read_text(path, 4 * _MOST) if path.exists() else ""
            if len(text) > _MOST:
                raise Refused(f"What the card left behind has more than {_MOST:,} bytes.")
            found[name] = text if name == "trace" else json.loads(text or "null")
        return found


def _is_memory(state: Any) -> bool:
    return state is None or isinstance(state, dict)
