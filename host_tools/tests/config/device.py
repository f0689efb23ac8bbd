"""The validator's side of the configuration in this process, behind the link's `call`."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from faretap.link.client import NoAnswer, Refused
from flash_sim import FlashSim
from validator import calls_config
from validator.link.peer import RpcError
from validator.store.configuration import Configuration

SERIAL = "240ac4010203"


class Nvs:
    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}

    def get_blob(self, name: str, buf: bytearray) -> int:
        if name not in self.stored:
            raise OSError(-0x1102, "ESP_ERR_NVS_NOT_FOUND")
        buf[: len(self.stored[name])] = self.stored[name]
        return len(self.stored[name])

    def set_blob(self, name: str, value: bytes) -> None:
        self.stored[name] = bytes(value)

    def commit(self) -> None:
        pass


class Clock:
    trusted = False

    def unix(self) -> int:
        return 1893456000

    def ticks_ms(self) -> int:
        return int(time.monotonic() * 1000)

    def diff(self, later: int, earlier: int) -> int:
        return later - earlier


class Quiet:
    """Gate, taps and log that are in nobody's way."""

    def need(self, right: str) -> None:
        pass

    def owner(self) -> str:
        return ""

    def owns(self, owner: str) -> bool:
        return True

    def may(self, right: str) -> bool:
        return True

    def turn(self) -> None:
        pass

    wrong = turn

    def busy(self) -> bool:
        return False

    def info(self, area: str, text: str) -> None:
        pass

    warning = info


class Device:
    """`lose` is asked before each call: True loses the call, None its answer."""

    def __init__(self, sectors: int = 16, sector: int = 4096) -> None:
        self.flash = FlashSim(sectors, sector)
        self.nvs = Nvs()
        self.clock = Clock()
        self.gate = self.taps = self.log = Quiet()
        self.switched = 0
        self.made: list[str] = []
        self.lose: Callable[[str], bool | None] = lambda method: False
        self.boot()

    def boot(self) -> None:
        self.configuration = Configuration(self.flash, self.nvs, SERIAL)
        self.configuration.mount()
        self.away = False
        self._restarting = False
        self._calls: dict[str, Any] = {}
        calls_config.register(self, self)

    def register(self, name: str, function: Any, right: str | None = None) -> None:
        self._calls[name] = function

    def put_away(self) -> None:
        self.away = True

    def restart(self) -> None:
        """The board's comes when the answer has left; here `call` does it then."""
        assert self.away or self.configuration.locked, "nothing is restarted under a rider"
        self._restarting = True

    def call(
        self,
        method: str,
        params: dict[str, Any] | None = None,
        *,
        timeout: float = 0,
        again: float = 0,
    ) -> Any:
        lost = self.lose(method)
        if lost:
            raise NoAnswer("lost")
        self.made.append(method)
        # As over the link: JSON, in frames of bounded length.
        text = json.dumps(params or {})
        assert len(text) < 1300, "longer than the validator's message limit"
        try:
            result = self._calls[method](json.loads(text))
            if asyncio.iscoroutine(result):
                result = asyncio.run(result)
        except RpcError as e:
            raise Refused(method, e.code, e.message, e.data) from e
        finally:
            if self._restarting:
                self.switched += 1
                self.boot()
        if lost is None:
            raise NoAnswer("its answer is lost")
        return json.loads(json.dumps(result))
