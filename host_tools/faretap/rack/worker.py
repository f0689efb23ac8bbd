"""The process of a slot: `python -m faretap.rack.worker`, started by `workers`.

Takes one line of JSON, says lines of JSON, and ends at once when standard input does.
"""

from __future__ import annotations

import _thread
import importlib
import json
import os
import sys
import threading
from typing import Any

from faretap.errors import FaretapError
from faretap.rack.file import load

_CLOSE_S = 2.0
_ended = threading.Event()


def main() -> int:
    # What anybody prints is for people; the lines are for the parent.
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    order = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    lock = threading.Lock()

    def tell(**message: Any) -> None:
        with lock:
            lines.write(json.dumps(message, default=str) + "\n")
            lines.flush()

    def say(text: str, done: int = 0, total: int = 0) -> None:
        tell(say=text, done=done, total=total)

    module, _, name = order["function"].partition(":")
    try:
        rack = load(order["rack"])
        function = getattr(importlib.import_module(module), name)
        tell(result=function(rack, rack.slot(order["slot"]), say, **order["arguments"]))
    except FaretapError as e:
        tell(error=str(e))
    except Exception as e:
        if os.environ.get("FARETAP_DEBUG") == "1":
            raise
        tell(error=f"{type(e).__name__}: {e}. This is a fault of faretap; --debug shows where.")
    except KeyboardInterrupt:
        _ended.set()
        return 1
    return 0


def _end_with_parent() -> None:
    """Virtual boards, emulators and locks of this process end with it. What is open has a moment
    to be closed: a session with a validator would go on by itself."""
    while sys.stdin.buffer.read(4096):
        pass
    _thread.interrupt_main()
    _ended.wait(_CLOSE_S)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
