"""What a failed test leaves behind: a folder with all that was said and written."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

from faretap.rack.slot import Slot
from faretap.testing.hands import Records
from faretap.testing.listen import Ears
from faretap.writing import append_line, make_folder, write_bytes, write_text


class Evidence:
    """Gathers while a test runs. `folder` is a scratch one, for what has to be a file at once."""

    def __init__(self, slot: Slot, folder: Path) -> None:
        self.slot = slot
        self.folder = folder
        self.traces = folder / "apdu"
        make_folder(self.traces)
        self.ears = Ears(slot)
        self.records: Records | None = None
        with contextlib.suppress(Exception):
            self.records = Records(slot)

    def leave(self, into: Path) -> Path:
        """Copy it all into a folder; never raises, because the test has its own failure to tell.

        link.jsonl      messages in both directions, with the seconds since the test began
        console.txt     what the validator printed
        apdu/           commands and answers of each card
        records.jsonl   records since the test began
        slot.json       identity, what the rack did, what the validator says of itself
        flash.bin       of virtual and emulated ones
        """
        make_folder(into)
        slot = self.slot
        self._try(into, "link.jsonl", lambda path: self.ears.write(path))
        self._try(into, "console.txt", lambda path: write_bytes(path, slot.console()))
        self._try(into, "apdu", lambda path: shutil.copytree(self.traces, path))
        if self.records:
            self._try(into, "records.jsonl", self.records.dump)
        self._try(into, "slot.json", self._tell)
        self._try(into, "flash.bin", self._flash)
        return into

    def _try(self, into: Path, name: str, write: Any) -> None:
        try:
            write(into / name)
        except Exception as e:
            note = into / "missing.txt"
            append_line(note, f"{name}: {type(e).__name__}: {e}")

    def _tell(self, path: Path) -> None:
        slot = self.slot
        found: dict[str, Any] = {
            "slot": slot.name,
            "rack": slot.rack.source,
            "port": slot.port,
            "identity": slot.identity,
            "events": [[round(at - self.ears.began, 3), text] for at, text in slot.events],
        }
        for method in ("info", "log.recent", "config.info"):
            try:
                found[method] = slot.session.link.call(method, timeout=1.0)
            except Exception as e:
                found[method] = f"{type(e).__name__}: {e}"
        write_text(path, json.dumps(found, ensure_ascii=False, indent=1), durable=False)

    def _flash(self, path: Path) -> None:
        image = self.slot.flash_image()
        if image is not None:
            write_bytes(path, image, durable=False)


def folder_for(parent: Path, test: str) -> Path:
    """A folder of its own for that test."""
    plain = re.sub(r"[^\w.-]+", "-", test).strip("-")[-100:]
    stamp = time.strftime("%H%M%S")
    for n in range(1000):
        path = parent / f"{plain}-{stamp}{f'-{n}' if n else ''}"
        if not path.exists():
            return path
    raise AssertionError("a thousand bundles of one test in a second")
