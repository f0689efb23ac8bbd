"""Functions run from flash: bytecode is read where it stands in the slot, not kept on the heap.

MicroPython copies each function of a .mpy to the heap. The copy is never changed, and the function
object holds its address. The slot is mapped into the address space (inplace_setup.py), so after a
module was imported each of its function objects is given the address in flash instead, once every
byte has been compared, and the next collection frees the copy.

A function may have only one use of its copy left: code that is running in it. So a module is taken
when its import is complete and nothing in it runs. See docs/memory.md.
"""

import struct
import sys

_ENTRY = 8


def _generator():
    yield


class Code:
    """Gives imported modules their code in flash.

    words    words[address] reads and writes one machine word of `word` bytes, as machine.mem32
    find     inplace_scan.find and
    same     inplace_scan.same
    files    inplace_files.Files
    area     its bytes, mapped at address `base`
    start    the heap, and perhaps more, is from `start`
    end      to `end`
    """

    load = None  # inplace_scan.load

    def __init__(self, words, word, find, same, files, area, base, start, end):
        self._words = words
        self._word = word
        self._find = find
        self._same = same
        self._files = files
        self._area = area
        self._base = base
        self._start = start
        self._end = end
        # A function object begins with the address of its type.
        self._types = (words[id(_generator)], words[id(Code.__init__)])
        self._done = set()
        self.modules = sys.modules
        self.original = None
        self._table = 0
        self._last = 0
        self.kept = None
        self.tables = (b"", 0)  # inplace_kept.Kept.take
        self.pieces = None
        self.names = 0
        self.functions = 0
        self.bytes = 0

    def adopt(self, name):
        """The functions of module `name` shall run from flash. Returns how many do now.

        No function of the module may be running, unless `kept` is a list: it keeps the copies.
        """
        self._done.add(name)
        path = "/" + name.replace(".", "/")
        try:
            entry = self._files.find(path + ".mpy")
        except OSError:
            entry = self._files.find(path + "/__init__.mpy")
        words = self._words
        word = self._word
        # The second word of a function object is the address of its module.
        context = id(self.modules[name])
        if self.tables[0]:
            self._numbers(context + 2 * word)
        table = entry[3]
        if not table:
            return 0
        self._table = table
        self._last = 0
        before = self.functions
        at = self._start + word
        while True:
            at = self._find(at, self._end, 4 * word, context & 0xFFFFFFFF)
            if not at:
                return self.functions - before
            if words[at - word] in self._types and words[at] == context:
                k = self._take(at + 2 * word, 0)
                if k:
                    self._inner(words[at + word], k)
            at += 4 * word

    def file(self, path):
        """A file of the package that is no module, as it stands in flash; None if there is none.
        It looks like a bytearray, but cannot be written."""
        import uctypes

        try:
            entry = self._files.find("/validator/" + path)
        except OSError:
            return None
        if not entry[1]:
            return None  # a folder
        return uctypes.bytearray_at(self._base + entry[1], entry[2])

    def info(self):
        """How many functions, their bytes and names are in flash and not on the heap."""
        return {"functions": self.functions, "bytes": self.bytes, "names": self.names}

    def leave(self, *names):
        """These modules stay on the heap: their functions are running, or they have none."""
        self._done.update(names)

    def _numbers(self, at):
        """The address at `at` is of the table of the names' numbers of the module that was found
        last, the next word that of its objects: have the former in flash, if it is the same."""
        words = self._words
        word = self._word
        table = words[at]
        place, size, objects = struct.unpack_from("<IHH", self.tables[0], 8 * self._files.index)
        place += self.tables[1]
        size *= 2
        if not self._start <= table < self._end - size or not self._same(table, place, size):
            return
        if objects:
            # They stand in one piece of memory, of which the collector knows the beginning only.
            import uctypes

            room = bytearray(word * objects)
            new = uctypes.addressof(room)
            old = words[at + word]
            if old != table + (size + word - 1) // word * word:
                return
            for i in range(0, word * objects, word):
                words[new + i] = words[old + i]
            words[at + word] = new
        words[at] = place
        self.bytes += size

    def _take(self, at, k):
        """Change the address of code that is at `at`, if it is function `k` (0: any) of the
        module. Returns its number, or 0."""
        code = self._words[at]
        area = self._area
        if not self._start <= code < self._end or 0 <= code - self._base < len(area):
            return 0  # no address at all, or it is in flash already
        count = struct.unpack_from("<H", area, self._table)[0]
        first = k
        if not k:
            first = self._last
        for i in range(1 if k else count):
            n = (first + i) % count
            place, size, inner, kind = struct.unpack_from("<IHBB", area, self._table + 4 + 8 * n)
            if size and code + size <= self._end and self._same(code, self._base + place, size):
                if self.kept is not None:
                    import uctypes

                    self.kept.append(uctypes.bytearray_at(code, size))
                self._words[at] = self._base + place
                self.functions += 1
                self.bytes += size
                self._last = n + 1
                return n
        return 0

    def _inner(self, table, k):
        """The functions within function `k`, from its table of children. Returns the number
        behind the last of them.

        A function object that was freed may be found too: nothing that it says is believed.
        """
        words = self._words
        word = self._word
        n = k + 1
        for i in range(self._area[self._table + 4 + 8 * k + 6]):
            child = 0
            if self._is_address(table):
                child = words[table + word * i]
            inner = 0
            if self._is_address(child) and self._take(child + word, n):
                inner = words[child + 2 * word]
            n = self._inner(inner, n)
        return n

    def _is_address(self, at):
        return not at % self._word and self._start <= at < self._end - 1024

    # -- the import statement: inplace_scan.load ----------------------------------------------

    def unfinished(self):
        """Modules whose import has begun and whose functions are still on the heap."""
        done = self._done
        found = []
        count = 0
        for name in self.modules:
            if name in done:
                count += 1
            elif name.startswith("validator"):
                found.append(name)
        if count < len(done):  # what was let go of may come again, in another place
            self._done = {name for name in done if name in self.modules}
        return found

    def finished(self, before):
        """Take what was imported since `before`, a list as `unfinished` returns it: these are
        still being imported, from further up."""
        self.kept = None
        for name in self.unfinished():
            if name not in before:
                try:
                    self.adopt(name)
                except (MemoryError, OSError):
                    pass  # its functions stay on the heap
