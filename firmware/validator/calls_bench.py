"""What times this validator's cryptography and journal; loaded when it is first asked for, never
in service.

All answers are µs by the validator's own clock, of `times` repetitions in a row. What is verified
comes from the host, so that no result is known here beforehand.
"""

import gc
import os
from hashlib import sha256

from validator.link.peer import REFUSED, RpcError

_MOST = 2000
_SEALED = 90  # bytes of a tap's own data objects


def _times(params):
    times = params.get("times", 1)
    if not isinstance(times, int) or not 1 <= times <= _MOST:
        raise RpcError(REFUSED, "times: 1 to %d" % _MOST)
    return times


class BenchCalls:
    def __init__(self, app):
        self._app = app
        self._clock = app.clock

    def lookup(self, params):
        """Look each of `tokens` up in the deny list, `times` over; {"us", "denied": how many are
        on it}."""
        lists = self._app.lists
        tokens = [bytes.fromhex(token) for token in params["tokens"]]
        times = _times(params)
        clock = self._clock
        start = clock.ticks_us()
        for _ in range(times):
            denied = 0
            for token in tokens:
                denied += lists.contains(token)
        return {"us": clock.diff(clock.ticks_us(), start), "denied": denied}

    def hash(self, params):
        """`algorithm` sm3 or sha256 over `bytes` in pieces of 256; {"us", "digest"}."""
        from validator.crypto.sm3 import SM3

        h = SM3() if params["algorithm"] == "sm3" else sha256()
        piece = bytes(256)
        clock = self._clock
        start = clock.ticks_us()
        for _ in range(params["bytes"] // 256):
            h.update(piece)
        digest = h.digest()
        return {"us": clock.diff(clock.ticks_us(), start), "digest": digest.hex()}

    def signature(self, params):
        """Verify `signature` (r, s) of `digest` with `key` on `curve` ("sm2", "p256", …); `table`
        makes the key's table beforehand, `textbook` takes Python integers in place of the kernels.
        {"us", "right", "allocated"}"""
        from validator.crypto import ecdsa, sm2
        from validator.crypto.curves import CURVES

        curve = CURVES.get(params["curve"])
        if curve is None:
            raise RpcError(REFUSED, "curve: one of " + ", ".join(CURVES))
        digest = bytes.fromhex(params["digest"])
        signature = bytes.fromhex(params["signature"])
        encoded = bytes.fromhex(params["key"])
        verify = sm2.verify_digest if curve.name == "sm2" else ecdsa.verify
        key = curve.key(encoded)
        curve.matches(1, 1, key, 1)  # makes the curve's memory and the table of G
        if params.get("textbook"):
            return self._textbook(curve, key, digest, signature, _times(params))
        if params.get("table"):
            key.prepare()
        gc.collect()
        before = gc.mem_alloc()
        times = _times(params)
        clock = self._clock
        start = clock.ticks_us()
        for _ in range(times):
            if not params.get("table"):
                key = curve.key(encoded)  # an unknown key has to be decompressed as well
            right = verify(key, digest, signature)
        us = clock.diff(clock.ticks_us(), start)
        return {"us": us, "right": right, "allocated": gc.mem_alloc() - before}

    def _textbook(self, curve, key, digest, signature, times):
        from validator.crypto import textbook

        size = curve.size
        r = int.from_bytes(signature[:size], "big")
        s = int.from_bytes(signature[size:], "big")
        e = int.from_bytes(digest, "big")
        n = curve.n
        clock = self._clock
        start = clock.ticks_us()
        for _ in range(times):
            if curve.name == "sm2":
                u1, u2 = s, (r + s) % n
            else:
                w = pow(s, n - 2, n)
                u1, u2 = e * w % n, r * w % n
            point = textbook.sum_of_two(u1, curve.g, u2, (key.x, key.y), curve.a, curve.p)
            x = point[0] + e if curve.name == "sm2" else point[0]
            right = x % n == r
        return {"us": clock.diff(clock.ticks_us(), start), "right": right}

    def bundle(self, params):
        """Verify the bundle in force as one that comes in: parse and hash of its head, the
        operator's signature, the body's hash in flash and where its members stand; then parse
        each member. {"us", "parse_us", "bytes"}"""
        from validator.store import bundle

        c = self._app.configuration
        if c.bank is None or not c.key:
            raise RpcError(REFUSED, "there is no configuration in force that could be verified")
        times = _times(params)
        clock = self._clock
        us = parse_us = 0
        try:
            for _ in range(times):
                gc.collect()
                start = clock.ticks_us()
                head = c.head(c.bank)
                bundle.verify(head, c.key)
                places = c.check_body(c.bank, head)
                us += clock.diff(clock.ticks_us(), start)
                start = clock.ticks_us()
                for name in places:
                    c.parse(c.bank, places[name])
                parse_us += clock.diff(clock.ticks_us(), start)
        except bundle.Refused as e:
            raise RpcError(REFUSED, str(e), {"reason": e.reason})
        return {"us": us, "parse_us": parse_us, "bytes": bundle.HEAD_SIZE + bundle.parse(head)[2]}

    def append(self, params):
        """Make `times` records of taps that never were durable, each as a tap's; {"us", "most_us",
        "read", "program", "erase": operations on flash, "bytes": of bodies, "records": now}."""
        app = self._app
        journal = app.journal
        if journal is None:
            raise RpcError(REFUSED, "the journal does not work: " + app.journal_fault)
        from validator.media.result import Result

        while app.riders and app.riders.carry():
            pass  # a start reads the newest records only: what older ones say has to be known
        cards = app.operation.cards if app.operation else None
        seal = cards["seal"] if cards else None
        clock = self._clock
        us = most = size = 0
        flash = _Counted(journal)
        try:
            for _ in range(_times(params)):
                result = Result("quickpass", "accepted", masked="621234******7890")
                result.fare = 200
                if seal:
                    result.evidence = seal.seal(os.urandom(_SEALED))
                entry = app.taps._encode(result, os.urandom(8))
                flash.counts = True
                start = clock.ticks_us()
                if not journal.has_room(2):  # as a tap asks: this is where a sector is erased
                    raise RpcError(REFUSED, "the journal is full")
                journal.append(*entry)
                flash.counts = False
                took = clock.diff(clock.ticks_us(), start)
                us += took
                most = max(most, took)
                size += len(entry[0])
        finally:
            flash.put_back(journal)
        counted = flash.counted()
        counted.update({"us": us, "most_us": most, "bytes": size})
        counted["records"] = journal.info()["records"]
        return counted


class _Counted:
    """Flash that counts what the journal does to it while `counts`."""

    def __init__(self, journal):
        self._flash = journal._flash
        self.size = self._flash.size
        self.sector = self._flash.sector
        self.counts = False
        self._read = self._program = self._erase = 0
        journal._flash = journal._ring._flash = self

    def put_back(self, journal):
        journal._flash = journal._ring._flash = self._flash

    def counted(self):
        return {"read": self._read, "program": self._program, "erase": self._erase}

    def read(self, addr, buf):
        self._read += self.counts
        self._flash.read(addr, buf)

    def program(self, addr, data):
        self._program += self.counts
        self._flash.program(addr, data)

    def erase(self, addr):
        self._erase += self.counts
        self._flash.erase(addr)


def run(app, params):
    """The call bench.crypto: `what` is "hash", "signature", "bundle", "lookup" or "append"."""
    calls = BenchCalls(app)
    if params["what"] == "lookup":
        return calls.lookup(params)
    if params["what"] == "hash":
        return calls.hash(params)
    if params["what"] == "bundle":
        return calls.bundle(params)
    if params["what"] == "append":
        return calls.append(params)
    if params["what"] == "signature":
        try:
            return calls.signature(params)
        finally:
            from validator.crypto.curves import CURVES

            for name in CURVES:
                CURVES[name].release()  # a validator seldom has need of all four
            gc.collect()
    raise RpcError(REFUSED, "what: hash, signature, bundle, lookup or append")
