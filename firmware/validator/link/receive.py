"""One transfer to the validator: pieces of a packed block come together, and go to a sink.

A piece is a block on the transfer's channel, whose sequence number is the transfer's id:

    0  2  number of the packed block      2  2  position in it      4  the bytes there

and the answer, on the same channel, says what is wanted now:

    0  1  0: go on, 1: the transfer failed, `transfer.state` says why
    1  2  number of the packed block that is wanted      3  2  position in it

It is sent when a block has been dealt with and, once, when a piece is missing. It may be lost:
the host then asks `transfer.state`. Pieces that nobody waits for are dropped, so doubled ones and
those of an earlier transfer do no harm. While a block is dealt with, nothing is taken: the host
waits.
"""

import asyncio
import gc
import io

from validator import entropy
from validator.link import packed
from validator.link.frame import encode_block
from validator.link.peer import INTERNAL_ERROR, REFUSED, RpcError
from validator.link.transfer import CHANNEL, no_memory

_BLOCK = 2048  # packed.BLOCK
_IDLE_MS = 60000  # without a whole block for so long, the memory is given back
_COLLECT_EVERY = 8  # blocks; each leaves some 3 KB of garbage


class Receiver:
    """`params` are those of transfer.begin, `owner` whose it is (`gate.owner`)."""

    def __init__(self, app, transfer, sink, params, owner):
        self.id = entropy.random(1)[0]
        self.owner = owner
        self._app = app
        self._transfer = transfer
        self._sink = sink
        self._header = {"kind": params["kind"], "size": params["size"], "digest": params["digest"]}
        self._size = params["size"]
        self._busy = True  # the sink is at work
        self._over = False
        self._next = 0
        self._held = 0
        self._total = 0
        self._asked = False
        self._fault = None
        self._heard = app.clock.ticks_ms()
        gc.collect()
        self._packed = io.BytesIO(bytearray(packed.HEAD + _BLOCK))
        self._block = memoryview(bytearray(_BLOCK))

    async def begin(self):
        try:
            self._want(await self._ask(self._sink.begin, self._header))
        except Exception:
            self._drop()
            raise
        self._busy = False
        asyncio.create_task(self._watch())
        return {"id": self.id, "next": self._next, "block": _BLOCK}

    def state(self):
        state = {
            "id": self.id,
            "kind": self._header["kind"],
            "next": self._next,
            "held": self._held,
            "busy": self._busy,
        }
        if self._fault:
            state["fault"] = self._fault.message
            state["data"] = self._fault.data
        return state

    async def finish(self):
        if self._fault:
            raise self._fault
        if self._busy or self._next < self._size:
            raise RpcError(REFUSED, "%d of %d bytes came" % (self._next, self._size))
        self._busy = True
        try:
            return await self._ask(self._sink.finish)
        finally:
            self._drop()

    async def stop(self):
        """Another transfer is to begin: wait until the sink is out of this one."""
        while self._busy:
            await self._app.clock.sleep_ms(10)
        self._drop()

    def abandon(self):
        """Nobody owns it any more: what is at work comes to its end, the rest does not begin."""
        if not self._busy:
            self._drop()

    def _drop(self):
        self._busy = False
        if not self._over:
            self._over = True
            self._transfer.dropped(self)
            drop = getattr(self._sink, "drop", None)
            if drop:
                drop()

    # -- pieces ------------------------------------------------------------------------------

    def piece(self, sequence, payload):
        """A block came on the transfer's channel."""
        if sequence != self.id or len(payload) < 5 or self._next >= self._size:
            return
        if self._busy or self._over or self._fault:
            return
        if not self._app.gate.owns(self.owner):
            self.abandon()
            return
        number = payload[0] << 8 | payload[1]
        at = payload[2] << 8 | payload[3]
        wanted = self._number()
        held = self._held
        if number != wanted or at > held:
            if number >= wanted and not self._asked:
                self._asked = True
                self._tell()
            return
        data = memoryview(payload)[4 + held - at :]
        if not len(data):
            return  # doubled
        self._asked = False
        if held + len(data) > packed.HEAD + _BLOCK:
            self._again()
            return
        stream = self._packed
        stream.seek(held)
        stream.write(data)
        self._held = held = held + len(data)
        if held < packed.HEAD:
            return
        stream.seek(0)
        try:
            contents, behind = packed.sizes(stream.read(packed.HEAD))
            total = packed.HEAD + behind
            whole = min(_BLOCK, self._size - wanted * _BLOCK)
            if contents != whole or held > total:
                raise packed.Damaged("another block")
        except packed.Damaged:
            self._again()
            return
        if held == total:
            self._busy = True
            asyncio.create_task(self._deal())

    def _again(self):
        """What is held is not the block that it should be: from its start."""
        self._held = 0
        self._tell()

    def _number(self):
        """Of the packed block that is wanted; their number if all of it came."""
        if self._next >= self._size:
            return (self._size + _BLOCK - 1) // _BLOCK
        return self._next // _BLOCK

    def _tell(self):
        number = self._number()
        held = self._held
        state = bytes((1 if self._fault else 0, number >> 8, number & 255, held >> 8, held & 255))
        self._app.console.write(encode_block(CHANNEL, self.id, state))

    # -- a whole block -----------------------------------------------------------------------

    async def _deal(self):
        before = self._next
        number = before // _BLOCK
        try:
            await self._put(number)
        except packed.Damaged:
            pass  # it comes again
        except RpcError as e:
            self._fault = e
        except MemoryError:
            self._fault = no_memory()
        except Exception as e:
            self._fault = RpcError(INTERNAL_ERROR, "failed inside the validator: %r" % e)
        if number % _COLLECT_EVERY == 0:
            gc.collect()
        self._held = 0
        self._busy = False
        # Blocks carry no token, so they keep neither session nor memory but by getting further,
        # of which there is an end.
        further = self._next > before
        if further:
            self._heard = self._app.clock.ticks_ms()
        if not self._app.gate.owns(self.owner, further):
            self._drop()
            return
        self._tell()

    async def _put(self, number):
        """Unpack the block that is there, and give it to the sink."""
        self._packed.seek(0)
        size = packed.unpack_into(self._packed, self._block)
        skip = self._next - number * _BLOCK
        await self._transfer.quiet()
        wanted = await self._ask(self._sink.write, self._next, self._block[skip:size])
        self._want(number * _BLOCK + size if wanted is None else wanted)

    def _want(self, offset):
        if not 0 <= offset <= self._size:
            raise RpcError(REFUSED, "the transfer cannot go on at %d" % offset)
        self._next = offset

    async def _ask(self, function, *args):
        """Ask the sink; what it raises is a sentence for the host."""
        try:
            result = function(*args)
            return await result if hasattr(result, "send") else result
        except ValueError as e:
            reason = getattr(e, "reason", None)
            raise RpcError(REFUSED, str(e), {"kind": reason} if reason else None)
        except MemoryError:
            raise no_memory()
        except OSError as e:
            raise RpcError(REFUSED, "the flash fails: %r" % e)

    async def _watch(self):
        clock = self._app.clock
        while not self._over:
            await clock.sleep_ms(1000)
            if not self._busy and clock.diff(clock.ticks_ms(), self._heard) > _IDLE_MS:
                self._drop()
