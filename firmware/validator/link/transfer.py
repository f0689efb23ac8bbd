"""Bulk data between host and validator, at the validator's end.

**To the validator** (images, lists, configurations): packed blocks (packed.py), one at a time,
each within the link's window. Whatever takes them in is a *sink*:

    transfer.sinks["list"] = sink       # or a function without arguments that makes one

    sink.begin(header) -> offset        header: {"kind", "size" in bytes, "digest": SHA-256 of all
                                        of it in hex}. The offset of the first byte that is wanted,
                                        0 … size: so it says where to go on after a cut.
    sink.write(offset, data)            `data` is a memoryview of up to BLOCK (2048) bytes, good
                                        until it returns. It begins at what was wanted, never
                                        before; blocks come in order. Returns None, or the offset
                                        to go on at if that is not right behind `data`.
    sink.finish() -> what JSON carries  all is there: check it, put it in force. May come again.
    sink.drop()                         optional: forget what is held in memory

A transfer needs the right "change", and belongs to the session that began it: another one can
neither go on with it nor finish it, and it ends with its session.

`begin`, `write` and `finish` may be coroutine functions. They raise RpcError or ValueError with a
sentence to refuse: the host shows it, and the transfer ends. `write` is called while no tap is
under way; one that takes longer than an erase (45 ms) awaits `transfer.quiet()` between its steps.

**From the validator** (records): a *source* is a generator of pieces, for those who have the right
"records"

    transfer.sources["records"] = source

    source(params) -> (cursor, data) …  `params["from"]` is where to begin (0: at the start),
                                        `cursor`, 0 … 2**32 - 1, where to go on behind `data`,
                                        which has up to 1060 bytes.

The host asks again from the last cursor that came, if a piece was lost. docs/update.md has the
blocks and calls; host_tools/faretap/link/transfer.py is the other end.
"""

import gc

from validator.link.peer import REFUSED, RpcError

_THRESHOLD = 16384

CHANNEL = 2  # of blocks: packed data to the validator, its state to the host
FROM_VALIDATOR = 3


class Transfer:
    """`app` has clock, console, taps and gate. Takes the blocks of its channel, and leaves others
    to whoever had `peer.on_block` before."""

    def __init__(self, app, peer):
        self.sinks = {}
        self.sources = {}
        self.slow = False  # the console is much slower than its line, see send.py
        self._app = app
        self._receiver = None
        self._beginning = False
        self._pulling = False
        app.gate.on_end = self.ended
        self._others = peer.on_block
        peer.on_block = self._on_block
        peer.register("transfer.begin", self._begin, "change")
        peer.register("transfer.state", self.state, "change")
        peer.register("transfer.finish", self._finish, "change")
        peer.register("transfer.pull", self._pull, "records")

    def _on_block(self, channel, sequence, payload):
        if channel == CHANNEL:
            if self._receiver:
                self._receiver.piece(sequence, payload)
        elif self._others:
            self._others(channel, sequence, payload)

    async def quiet(self):
        """Wait until no tap is under way."""
        app = self._app
        while app.taps.busy():
            await app.clock.sleep_ms(10)

    def _begin(self, params):
        # Whose it is is asked here, where the message is served: its coroutine begins later.
        return self.begin(params, self._app.gate.owner())

    async def begin(self, params, owner):
        """{"kind", "size", "digest"} -> {"id", "next", "block"}: where the host is to go on."""
        sink = self.sinks.get(params["kind"])
        if sink is None:
            raise RpcError(REFUSED, "this validator takes no %s" % str(params["kind"])[:40])
        size = params["size"]
        if not isinstance(size, int) or not 0 < size < 1 << 27:
            raise RpcError(REFUSED, "a transfer has a size of 1 byte to 128 MB")
        if self._beginning:
            raise RpcError(REFUSED, "another transfer begins", {"kind": "again", "ms": 300})
        self._beginning = True
        try:
            await self.quiet()
            self._collect(_THRESHOLD)
            from validator.link.receive import Receiver

            while self._receiver:
                await self._receiver.stop()
                self._collect(_THRESHOLD)
            sink = sink() if callable(sink) else sink
            self._receiver = Receiver(self._app, self, sink, params, owner)
            return await self._receiver.begin()
        except MemoryError:
            raise no_memory()
        finally:
            self._beginning = False
            if not self._receiver:
                self._collect(-1)

    def ended(self):
        """A session has ended: what it had begun ends with it."""
        if self._receiver:
            self._receiver.abandon()

    def dropped(self, receiver):
        """That transfer is over, and its memory free."""
        if self._receiver is receiver:
            self._receiver = None
        self._collect(-1)

    def _collect(self, threshold):
        """What a transfer leaves behind itself is collected at once, or its pieces scatter what
        stays over all of the heap, and nothing large fits. Otherwise collections are for idle
        moments; a tap is one at no time (tap.py)."""
        taps = self._app.taps
        if not taps.busy():
            gc.collect()
        taps.threshold(threshold)

    def _running(self, params):
        receiver = self._receiver
        if (
            receiver is None
            or params.get("id", receiver.id) != receiver.id
            or not self._app.gate.owns(receiver.owner)
            or receiver.owner != self._app.gate.owner()
        ):
            raise RpcError(REFUSED, "no such transfer is under way: begin it again")
        return receiver

    def state(self, params):
        """{"id", "kind", "next", "held", "busy"} of the transfer under way, or {}."""
        receiver = self._receiver
        if receiver is None or receiver.owner != self._app.gate.owner():
            return {}
        return receiver.state()

    def _finish(self, params):
        return self.finish(self._running(params))

    async def finish(self, receiver):
        """All of it came: the sink puts it in force, and tells what it did."""
        return await receiver.finish()

    async def _pull(self, params):
        """{"kind", "from", "blocks"}: send what a source has; see send.py for the answer."""
        source = self.sources.get(params["kind"])
        if source is None:
            raise RpcError(REFUSED, "this validator has no %s to send" % str(params["kind"])[:40])
        if self._pulling:
            raise RpcError(REFUSED, "another host is being sent", {"kind": "again", "ms": 300})
        self._pulling = True
        try:
            from validator.link import send

            return await send.run(self._app, source, params)
        finally:
            self._pulling = False


def no_memory():
    """What the host is told when a piece of memory is not to be had. What was imported in part is
    gone by now, and no transfer is under way."""
    gc.collect()
    text = "no piece of memory is left that is large enough: reset the validator and send it again"
    return RpcError(REFUSED, text, {"kind": "memory"})
