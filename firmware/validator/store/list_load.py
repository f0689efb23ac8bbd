"""A new deny list on its way into the idle bank, while riders go on.

What the sink for lists (link/transfer.py) does: `begin`, `write`, `finish`. The header is checked
before anything is erased, and the body, as flash has it, before the switch, which is a single
operation. A full list is taken up again at the sector where it stopped; changes (list_merge.py)
start anew. Imported when a list comes.
"""

from hashlib import sha256

from validator.store import list_format as fmt
from validator.store import lists as banks
from validator.store.list_format import ListError

_PIECE = 512
_CHANGES = 24  # list_merge.HEAD_SIZE, which is imported when changes come


class Load:
    """One transfer into `lists`. `pause` is a coroutine function: others take their turn, and no
    tap is under way when it returns. `digest` is the SHA-256 of the whole file."""

    def __init__(self, lists, size, digest, pause):
        self._lists = lists
        self._size = size
        self.file = bytes(digest[:8])
        self._pause = pause
        self.bank = 1 - lists.bank if lists.active else 0
        self._head = b""
        self._header = None
        self._merge = None
        self._out = None

    def begin(self):
        """The offset to go on from."""
        # Loaded while nothing has been touched: there may be no memory for it.
        import validator.crypto.signed  # noqa: F401

        lists = self._lists
        if lists.active and lists.file(lists.bank) == self.file:
            return self._size  # it is in force
        if lists.file(self.bank) != self.file:
            return 0
        # Begun before. What a cut left in there shows in the hash at the end, and then the next
        # attempt begins at 0.
        data = lists.read(self.bank, 0, banks.DONE_AT + lists.sectors)
        if data[banks.COMMIT_AT : banks.FILE_AT] != b"\xff" * 8:
            return 0
        try:
            header = self._check(data[: fmt.HEADER_SIZE])
        except ListError:
            return 0
        done = 0
        while done < lists.sectors and data[banks.DONE_AT + done] != 0xFF:
            done += 1
        at = max(0, done * lists.flash.sector - lists.body_at)
        if not done or at + fmt.HEADER_SIZE > self._size:
            return 0
        self._header = header
        self._head = data[: fmt.HEADER_SIZE]
        self._out = Writer(lists, self.bank, self._pause, at)
        return fmt.HEADER_SIZE + at

    async def write(self, offset, data):
        """The next bytes of the file; ListError if they are no list for this validator."""
        if self._out is None:
            # Only what is needed of it is copied: there may be no second piece of its size.
            data = memoryview(data)
            n = max(0, 4 - len(self._head))
            self._head += bytes(data[:n])
            at = _CHANGES if self._head[:4] == b"FTLD" else 0
            rest = max(0, at + fmt.HEADER_SIZE - len(self._head))
            self._head += bytes(data[n : n + rest])
            if len(self._head) < at + fmt.HEADER_SIZE:
                return
            data = data[n + rest :]
            changes = self._head[:at]
            self._head = self._head[at : at + fmt.HEADER_SIZE]
            self._header = self._check(self._head)
            await self._start(changes)
        if self._merge:
            await self._merge.write(data)
        else:
            await self._out.write(data)

    async def _start(self, changes):
        lists = self._lists
        if changes:
            from validator.store.list_merge import Merge

            # Raises where these are changes to another list than the one in force.
            self._merge = Merge(lists, self._header, changes, self._size)
        elif fmt.HEADER_SIZE + self._header.size != self._size:
            raise ListError("damaged", "the file and its header differ in their sizes")
        flash = lists.flash
        base = lists.base(self.bank)
        if lists.read(self.bank, banks.COMMIT_AT, 8) != b"\xff" * 8:
            # An erase that is cut leaves anything. Nobody shall take it for a list.
            flash.program(base + banks.COMMIT_AT, bytes(8))
        out = Writer(lists, self.bank, self._pause, 0)
        await out.erase(0)
        flash.program(base, self._head)
        if changes:
            self._merge.out = out
            await self._merge.begin()
        else:
            flash.program(base + banks.FILE_AT, self.file)
        self._out = out

    def _check(self, head):
        """The Header in `head`, if the operator signed it and this validator can use it."""
        lists = self._lists
        header = fmt.Header(head)
        if header.size > lists.room:
            text = "a list of %d bytes; this validator has room for %d"
            raise ListError("too_large", text % (header.size, lists.room))
        check = lists.key_check
        if check and header.key_check not in (check, bytes(4)):
            text = "a list of tokens made with another token key than this validator's"
            raise ListError("foreign", text)
        if lists.active and header.version <= lists.active.version:
            text = "version %d is not newer than %d, which is in force"
            raise ListError("old", text % (header.version, lists.active.version))
        if lists.operator is None:
            text = "this validator has no operator key yet: who signed this cannot be checked"
            raise ListError("foreign", text)
        if head[fmt.SIGNED_SIZE :] == bytes(64):
            raise ListError("unsigned", "this list is not signed")
        if not _signed_by(lists.operator, head):
            raise ListError("foreign", "this list is not signed by this validator's operator")
        return header

    async def finish(self):
        """Check what flash has, and put it in force."""
        lists = self._lists
        if lists.active and lists.file(lists.bank) == self.file:
            return lists.info()
        if self._merge:
            await self._merge.finish()
        header = self._header
        if self._out is None or self._out.at != header.size:
            raise ListError("damaged", "the list is not complete")
        base = lists.base(self.bank)
        if not await intact(lists, self.bank, header, self._pause):
            lists.flash.erase(base)
            self._out = None
            raise ListError("damaged", "the list did not arrive whole: send it again")
        mark = banks.commit_mark(lists.read(self.bank, 0, fmt.HEADER_SIZE))
        if lists.read(self.bank, 0, fmt.HEADER_SIZE) != self._head:
            raise ListError("damaged", "flash does not keep what is written to it")
        if self._merge:
            lists.flash.program(base + banks.FILE_AT, self.file)
        await self._pause()
        lists.flash.program(base + banks.COMMIT_AT, mark)
        lists.mount()
        if lists.bank != self.bank:
            raise ListError("damaged", "flash does not keep what is written to it")
        return lists.info()


def _signed_by(operator, head):
    from validator.crypto import signed

    digest = sha256(head[: fmt.SIGNED_SIZE]).digest()
    return operator is not None and signed.by(operator, digest, head[fmt.SIGNED_SIZE :])


class Writer:
    """Fills a bank's body from byte `at` on; each sector is erased when it is reached, and marked
    when it is full, if `marks`."""

    def __init__(self, lists, bank, pause, at, marks=True):
        self._flash = lists.flash
        self._base = lists.base(bank)
        self._body = lists.body_at
        self.pause = pause
        self.marks = marks
        self.at = at

    async def erase(self, at):
        await self.pause()
        self._flash.erase(self._base + at)

    async def write(self, data):
        size = self._flash.sector
        data = memoryview(data)
        while len(data):
            at = self._body + self.at
            used = at % size
            if not used:
                await self.erase(at)
            n = min(size - used, len(data))
            self._flash.program(self._base + at, data[:n])
            self.at += n
            data = data[n:]
            if used + n == size and self.marks:
                self._flash.program(self._base + banks.DONE_AT + at // size, b"\0")


async def intact(lists, bank, header, pause):
    """Whether the body in `bank` is what its header says."""
    hashed = sha256()
    buf = bytearray(_PIECE)
    at = lists.base(bank) + lists.body_at
    left = header.size
    while left > 0:
        piece = memoryview(buf)[: min(left, _PIECE)]
        lists.flash.read(at, piece)
        hashed.update(piece)
        at += _PIECE
        left -= _PIECE
        if not at & 0x1800:
            await pause()
    return hashed.digest() == header.digest
