"""The bench's side door: JSON lines that do to the board what hands would do.

Requests are {"id": n, "do": name, ...}; answers {"id": n, "ok": true, ...} or
{"id": n, "ok": false, "error": sentence}. After {"do": "watch"} the same connection carries
{"event": name, ...}.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from faretap.bounded import loads

from .parts import Refused, code

if TYPE_CHECKING:
    from .board import VirtualBoard

_MAX_LINE = 1 << 20


class BenchSession:
    """One bench connection."""

    def __init__(self, board: VirtualBoard, transport: asyncio.Transport) -> None:
        self._board = board
        self._transport = transport
        self._line = b""
        self.watching = False
        board.benches.add(self)
        self._write({"hello": "faretap virtual validator", "protocol": 1})

    def received(self, data: bytes) -> None:
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            if line.strip():
                self._request(line)
        if len(self._line) > _MAX_LINE:
            self._write({"ok": False, "error": "A request is longer than 1 MB."})
            self._transport.close()

    def closed(self) -> None:
        self._board.benches.discard(self)

    def event(self, name: str, **what: Any) -> None:
        if self.watching:
            self._write({"event": name, **what})

    def _write(self, message: dict[str, Any]) -> None:
        if not self._transport.is_closing():
            self._transport.write(json.dumps(message).encode() + b"\n")

    def _request(self, line: bytes) -> None:
        number = None
        try:
            request = loads(line, _MAX_LINE)
            if not isinstance(request, dict):
                raise Refused("A request is a JSON object.")
            number = request.pop("id", None)
            answer = self._do(request)
        except Refused as e:
            self._write({"id": number, "ok": False, "error": str(e)})
        except ValueError as e:
            self._write({"id": number, "ok": False, "error": f"Not understood: {e}."})
        except Exception as e:  # a part's own fault must not take the board down
            text = f"{type(e).__name__}: {e}"
            self._write({"id": number, "ok": False, "error": text})
        else:
            self._write({"id": number, "ok": True, **answer})

    def _do(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request.pop("do", None)
        board = self._board
        if name == "status":
            return board.status()
        if name == "power":
            if request.get("cycle"):
                board.power(False)
                board.power(True)
            else:
                board.power(_flag(request, "on"))
            return {"power": board.chip.powered}
        if name == "reset":
            board.reset()
            return {}
        if name == "cut":
            how = str(request.get("how", "half"))
            if how not in HOW:
                raise Refused('"how" has to be undone, half or done.')
            board.chip.cut(_number(request, "operation"), HOW.index(how))
            return {}
        if name == "present":
            board.present(
                str(request.get("card", "")), _options(request), _options(request, "keep")
            )
            return {}
        if name == "kept":
            return board.kept()
        if name == "withdraw":
            board.withdraw()
            return {}
        if name == "scan":
            shown = code(str(request["code"])) if "code" in request else _bytes(request, "hex")
            hold = request.get("hold", 0.0)
            if isinstance(hold, bool) or not isinstance(hold, (int, float)) or not 0 <= hold < 60:
                raise Refused('"hold" has to be seconds, up to 60.')
            return {"read": board.scan(shown, float(hold))}
        if name == "fault":
            board.fault(request)
            return {}
        if name == "pins":
            if "set" in request:
                for pin, level in _options(request, "set").items():
                    board.drive_pin(int(pin), 1 if level else 0)
            return {"pins": board.chip.outputs, "pwm": board.chip.pwm}
        if name == "display":
            return board.display.picture()
        if name == "flash":
            return board.read_flash(_number(request, "address"), _number(request, "length"))
        if name == "watch":
            self.watching = bool(request.get("on", True))
            return {}
        raise Refused(
            f"There is no {name!r} to do; there are status, power, reset, cut, present, "
            "kept, withdraw, scan, fault, pins, display, flash and watch."
        )


HOW = ("undone", "half", "done")


def _flag(request: dict[str, Any], key: str) -> bool:
    value = request.get(key)
    if not isinstance(value, bool):
        raise Refused(f'"{key}" has to be true or false.')
    return value


def _number(request: dict[str, Any], key: str) -> int:
    value = request.get(key)
    if not isinstance(value, int) or value < 0:
        raise Refused(f'"{key}" has to be a number of bytes.')
    return value


def _options(request: dict[str, Any], key: str = "options") -> dict[str, Any]:
    value = request.get(key) or {}
    if not isinstance(value, dict):
        raise Refused(f'"{key}" has to be an object.')
    return value


def _bytes(request: dict[str, Any], key: str) -> bytes:
    try:
        return bytes.fromhex(request.get(key, ""))
    except (TypeError, ValueError):
        raise Refused(f'"{key}" has to be hex digits.') from None
