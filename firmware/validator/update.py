"""An application image into the idle slot, while the other one serves riders.

The sink of the kind "image" (link/transfer.py): first the head of update_image.py, then the image.
The head is verified before anything is erased. Where to go on is read from the flash: the first
sector that does not hold what the head's table says. So a cut costs one sector at most, and what
stands there already is not sent.
"""

from hashlib import sha256

from validator.update_image import BLOCK, Head, Refused, padded_size
from validator.version import VERSION

_PIECE = 512  # bytes read from flash at once


class ImageSink:
    """`app` has board, boot, configuration, micropython and transfer."""

    def __init__(self, app):
        self._app = app
        self.slot = "a" if app.boot["slot"] == "b" else "b"
        self._flash = app.board.flash("app_" + self.slot)
        self._most = self._flash.size // BLOCK
        self._piece = bytearray(_PIECE)
        self._raw = bytearray()  # the head, as far as it came
        self._head = None  # verified
        self._blank = sha256(b"\xff" * BLOCK).digest()
        self._base = 0  # size of the head in the transfer
        self._size = 0
        self._rewriting = False

    def begin(self, header):
        self._size = header["size"]
        if self._size > padded_size(self._most) + self._flash.size:
            raise Refused("too_large", "the image is larger than a slot")
        return 0  # the head always comes again: nothing is kept of it

    async def write(self, offset, data):
        if self._head is None:
            self._raw.extend(data)
            return await self._take_head()
        return await self._take(offset - self._base, data)

    async def _take_head(self):
        raw = self._raw
        if raw[:4] != b"FTUI":
            Head(raw)  # raises
        blocks = raw[6] | raw[7] << 8
        if blocks > self._most:
            raise Refused("too_large", "the image is larger than a slot")
        base = padded_size(blocks)
        if len(raw) < base < self._size:
            return None
        head = Head(raw)
        app = self._app
        head.check_signature(app.configuration.key)
        head.check_fit(app.board.name, app.micropython, VERSION, self._flash.size)
        if base + head.size != self._size:
            raise Refused("damaged", "the image is not as long as its head says")
        self._raw = raw[: head.signed]
        self._head = head
        self._base = base
        return await self._wanted(0)

    async def _wanted(self, n):
        """The offset of the first sector, from the one of block n on, that is not right yet.

        Sectors that are to be blank are made so on the way: nothing of them is sent.
        """
        flash = self._flash
        head = self._head
        step = flash.sector // BLOCK
        while n < head.blocks:
            blocks = range(n, min(n + step, head.blocks))
            if not all(self._stands(block) for block in blocks):
                if not all(head.is_block(block, self._blank) for block in blocks):
                    return self._base + n * BLOCK
                self._rewrite()
                flash.erase(n * BLOCK)
                if not self._stands(n):
                    raise self._worn(n)
            n += step
            await self._app.clock.sleep_ms(0)
            await self._app.transfer.quiet()
        return self._size

    def _worn(self, n):
        text = "the flash does not keep what is written at 0x%x" % (n * BLOCK)
        return Refused("damaged", text)

    def _rewrite(self):
        if not self._rewriting:
            self._app.boot["rewriting"](self.slot)
            self._rewriting = True

    def _stands(self, n):
        """Whether block n stands in flash."""
        return self._head.is_block(n, self._hash(n * BLOCK, BLOCK, sha256()).digest())

    def _hash(self, at, size, digest):
        end = min(at + size, self._head.size)
        piece = memoryview(self._piece)
        while at < end:
            part = piece[: min(_PIECE, end - at)]
            self._flash.read(at, part)
            digest.update(part)
            at += len(part)
        return digest

    async def _take(self, at, data):
        flash = self._flash
        n = at // BLOCK
        if at % BLOCK or not self._head.is_block(n, sha256(data).digest()):
            raise Refused("damaged", "block %d of the image is not what was signed" % n)
        self._rewrite()
        if at % flash.sector == 0:
            flash.erase(at)
            await self._app.clock.sleep_ms(0)
            await self._app.transfer.quiet()
        flash.program(at, data)
        if not self._stands(n):
            raise self._worn(n)
        n += 1
        if n % (flash.sector // BLOCK) and n < self._head.blocks:
            return None
        return await self._wanted(n)

    async def finish(self):
        """Read all of it back; start it from the next boot on."""
        head = self._head
        digest = sha256()
        for at in range(0, head.size, self._flash.sector):
            await self._app.transfer.quiet()
            self._hash(at, self._flash.sector, digest)
            await self._app.clock.sleep_ms(0)
        if digest.digest() != head.digest:
            raise Refused("damaged", "the flash does not hold the image that was written")
        self._app.boot["activate"](self.slot)
        return {"slot": self.slot, "version": head.version, "id": head.id}
