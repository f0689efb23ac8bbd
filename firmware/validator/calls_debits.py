"""Debits that are still open, for an operator who settles those whose riders never return.

Such a debit is kept for ever otherwise, and takes room. What the ledger decides about it, it has
from the records; here it is only forgotten.
"""

import struct

from validator.link.peer import REFUSED, RpcError

_MOST = 12  # debits in one answer
_SCAN = 256  # places looked at for one answer: 0.2 ms each on an ESP32
_NAMES = ("tunion", "quickpass")


class DebitCalls:
    def __init__(self, app):
        self._app = app

    def _riders(self):
        app = self._app
        if app.riders is None:
            raise RpcError(REFUSED, "there is no memory of riders: " + app.riders_fault)
        return app.riders

    def open(self, params):
        """{"debits": [{"seq" of its record, "token", "medium", "kind": "torn" or "unproven",
        "time", "amount", "counter"}], "next": for `from`, or null}: some of them, maybe none."""
        riders = self._riders()
        from validator.media import riders_open

        start = params.get("from", 0)
        if not isinstance(start, int) or start < 0:
            raise RpcError(REFUSED, "from: %r: a number expected" % (start,))
        out = []
        found, after = riders_open.some(riders, start, _MOST, _SCAN)
        for room, kind, token, seq, time, data in found:
            counter = amount = None
            if data and room:
                counter, _, amount = struct.unpack("<HII", data[:10])
            elif data:
                counter, _, _, low, high = struct.unpack("<HHBHB", data[:8])
                amount = low | high << 16
            out.append(
                {
                    "seq": seq,
                    "token": token.hex(),
                    "medium": _NAMES[room],
                    "kind": kind,
                    "time": time,
                    "amount": amount,
                    "counter": counter,
                }
            )
        return {"debits": out, "next": after}

    def settle(self, params):
        """Forget what is open of `token`, record `seq`: the operator has settled it. {"settled":
        how many entries}."""
        riders = self._riders()
        from validator.media import riders_open

        seq = params["seq"]
        try:
            token = bytes.fromhex(params["token"])
        except (TypeError, ValueError):
            token = b""
        if len(token) != 8 or not isinstance(seq, int) or seq < 1:
            raise RpcError(REFUSED, "a token of 16 hex digits and a record's number are needed")
        try:
            count = riders_open.settle(riders, token, seq)
        except ValueError as e:
            raise RpcError(REFUSED, str(e))
        self._app.log.info("riders", "settled: record %d" % seq)
        return {"settled": count}


def register(app, peer):
    calls = DebitCalls(app)
    peer.register("debits.open", calls.open, "records")
    peer.register("debits.settle", calls.settle, "change")
