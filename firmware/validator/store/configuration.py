"""What the operator decided, in two banks of raw flash: one in force, one for the next.

    configuration = Configuration(board.flash("config"), board.nvs("validator"), serial)
    configuration.mount()
    configuration.life_cycle                # "factory" without a configuration
    rules = load(configuration.section("cards", {}))

A bank is a mark of 32 bytes, and at 256 the bundle (bundle.py). The mark is programmed last, by
one operation, after everything behind it was read back: a bank without one holds nothing. It says

    0-3    "FTCM"
    4-7    sequence, little endian: of two good banks the higher one is in force
    8-23   SHA-256 of the bundle's head, its first half
    24-31  SHA-256 of bytes 0-23, its first 8 bytes

so that every bit of a bank is covered: by the mark's own hash, the head's, the body's.

The signature is verified when a bundle comes in (config_put.py), not at each start: who can write
this partition past the firmware can write the firmware.

NVS keeps what must outlive both banks: "operator_key", and "config_seen", the highest version that
was ever in force with the start of its hash. Both follow the bank: `mount` ends what a power cut
interrupted.
"""

import json
import struct
from hashlib import sha256

from validator.store import bundle

MARK_SIZE = 32
AT = 256  # of the bundle in its bank

_MARK = "<4sI16s"
_PIECE = 512
_NOT_FOUND = -0x1102  # ESP_ERR_NVS_NOT_FOUND, as MicroPython raises it


class Configuration:
    """`flash` as in flash.py, or None if there is no such partition; `nvs` as in state.py;
    `serial` in hex digits.

    version     of the configuration in force, 0 without one
    hash        first 8 hex digits of the SHA-256 of its body
    life_cycle  "factory", "bench" or "service"; "service" as well where one was in force and none
                is whole
    bank        0, 1, or None without one
    faults      sentences on what is wrong with the store
    key         the operator's public key, x and y, or None
    """

    def __init__(self, flash, nvs, serial):
        self.flash = flash
        self.serial = serial
        self._nvs = nvs
        self._reset()
        self.faults = []
        self.key = None
        self.seen = (0, b"")
        self.locked = False

    def _reset(self):
        self.version = 0
        self.hash = ""
        self.life_cycle = "factory"
        self.bank = None
        self.sequence = 0
        self.digest = b""
        self.signer = b""
        self._lines = {}

    # -- start -------------------------------------------------------------------------------

    def mount(self):
        """Find the configuration in force. Never raises for what stands in flash: what is damaged
        is in `faults`, and the other bank is in force, or none."""
        self._reset()
        self.faults = []
        self.key = self._blob("operator_key", 64)
        seen = self._blob("config_seen", 12)
        self.seen = (struct.unpack("<I", seen[:4])[0], seen[4:]) if seen else (0, b"")
        if self.flash is None:
            self.faults.append("there is no partition for the configuration")
            return
        found = []
        for bank in (0, 1):
            mark = self._mark(bank)
            if mark:
                found.append((mark[0], bank, mark[1]))
        found.sort()
        while found and self.bank is None:
            sequence, bank, check = found.pop()
            self.sequence = max(self.sequence, sequence)
            self._take(bank, check)
        lost = self.key is None and self._marked()
        if not self.version and (self.seen[0] or lost) or self.locked:
            self.life_cycle = "service"  # damage is not to open what service closes
        if self.version < self.seen[0]:
            self.faults.append(
                "version %d was in force before; what is older is not taken" % self.seen[0]
            )
        elif self.version:
            self._follow()

    def _marked(self):
        """A bank was in force once, by what stands where its mark was."""
        mark = bytearray(MARK_SIZE)
        for bank in (0, 1):
            try:
                self.flash.read(self.base(bank), mark)
            except OSError:
                return True
            if bytes(mark) != b"\xff" * MARK_SIZE:
                return True
        return False

    def _mark(self, bank):
        """(sequence, check of the head), or None."""
        mark = bytearray(MARK_SIZE)
        try:
            self.flash.read(self.base(bank), mark)
        except OSError as e:
            self.faults.append("bank %d cannot be read: %r" % (bank, e))
            return None
        if bytes(mark) == b"\xff" * MARK_SIZE:
            return None
        magic, sequence, check = struct.unpack(_MARK, mark[:24])
        if magic != b"FTCM" or sha256(mark[:24]).digest()[:8] != mark[24:]:
            self.faults.append("bank %d has a damaged mark" % bank)
            return None
        return sequence, check

    def _take(self, bank, check):
        """Make `bank` the one in force, if it is whole."""
        try:
            head = self.head(bank)
            if sha256(head).digest()[:16] != check:
                raise bundle.Refused("damaged", "")
            version, _, _, self.signer, digest = bundle.parse(head)
            lines = self.check_body(bank, head)
            self._lines = lines
            self.bank = bank
            life_cycle = self.section("life_cycle", "service")
        except (bundle.Refused, OSError, ValueError):
            self.bank = None
            self._lines = {}
            self.faults.append("bank %d is damaged" % bank)
            return
        self.version = version
        self.digest = digest
        self.hash = digest[:4].hex()
        # A word of a later firmware must not open what "service" closes.
        self.life_cycle = "bench" if life_cycle == "bench" else "service"

    def _follow(self):
        """Keep in NVS what the configuration in force brought with it, unless it is there."""
        seen = (self.version, self.digest[:8])
        try:
            following = self.section("operator_key")
            if following and self.key and self.signer == bundle.key_id(self.key):
                following = bytes.fromhex(following)
                if following != self.key:
                    self.keep_key(following)
            if seen != self.seen:
                # The mark may be a moment old, from a power cut: make its bits last.
                self.write_mark(self.bank, self.sequence, self.head(self.bank))
                self._nvs.set_blob("config_seen", struct.pack("<I", seen[0]) + seen[1])
                self._nvs.commit()
                self.seen = seen
        except (OSError, ValueError) as e:
            self.faults.append("NVS cannot be written: %r" % e)

    def _blob(self, name, size):
        """What NVS has under that name, or None."""
        blob = bytearray(size)
        try:
            if self._nvs.get_blob(name, blob) == size:
                return bytes(blob)
            self.faults.append("NVS holds another %s than this firmware writes" % name)
        except OSError as e:
            if e.args[0] != _NOT_FOUND:
                self.faults.append("NVS cannot be read: %r" % e)
        return None

    def used(self):
        """Flash holds something of a bundle, whole or not."""
        if self.flash is None:
            return False
        buf = bytearray(AT + bundle.HEAD_SIZE)
        for bank in (0, 1):
            self.flash.read(self.base(bank), buf)
            if buf != b"\xff" * len(buf):
                return True
        return False

    def lock(self):
        """What NVS kept was lost: as in service, whatever was in force."""
        self.life_cycle = "service"
        self.locked = True

    def last_signer(self):
        """Id of the key that signed the newest bundle of which flash has the head, or b"". Only
        heads whose signature was right are ever written, so this stays true of a damaged bank."""
        newest = 0
        found = b""
        for bank in (0, 1):
            try:
                version, _, _, signer, _ = bundle.parse(self.head(bank))
            except (bundle.Refused, OSError):
                continue
            if version > newest:
                newest = version
                found = signer
        return found

    # -- what is in force --------------------------------------------------------------------

    def section(self, name, default=None):
        """One member of the configuration, read from flash and parsed each time."""
        place = self._lines.get(name)
        if place is None or self.bank is None:
            return default
        return self.parse(self.bank, place)

    def text(self, name, at, most):
        """(up to `most` bytes of a member's JSON from offset `at` on, how many follow)."""
        if at < 0:
            raise ValueError("at: 0 or more expected")
        place = self._lines[name]
        place += at << 16
        left = max(0, (place & 0xFFFF) - at)
        text = bytearray(min(most, left))
        self.flash.read(self.address(self.bank, place), text)
        return bytes(text).rstrip(b",") if left == len(text) else bytes(text), left - len(text)

    def names(self):
        """The members that the configuration has."""
        return list(self._lines)

    def info(self):
        """For the link: nothing in it is secret."""
        token_key = self.section("token_key")
        return {
            "version": self.version,
            "hash": self.hash,
            "life_cycle": self.life_cycle,
            "bank": self.bank,
            "seen": self.seen[0],
            "operator": bundle.key_id(self.key).hex() if self.key else "",
            "token_key": sha256(bytes.fromhex(token_key)).digest()[:4].hex() if token_key else "",
            "room": self.room() if self.flash else 0,
            "faults": self.faults,
        }

    def nvs_blob(self, name, most):
        """What NVS has under that name, up to `most` bytes; b"" without it."""
        blob = bytearray(most)
        try:
            return bytes(blob[: self._nvs.get_blob(name, blob)])
        except OSError:
            return b""

    def keep_blob(self, name, blob):
        self._nvs.set_blob(name, blob)
        self._nvs.commit()

    def keep_key(self, key):
        """Make x and y in `key` the operator's public key, for good."""
        self._nvs.set_blob("operator_key", key)
        self._nvs.commit()
        self.key = key

    # -- banks -------------------------------------------------------------------------------

    def base(self, bank):
        """Address of a bank: each has half of the partition's sectors."""
        return bank * (self.flash.size // self.flash.sector // 2 * self.flash.sector)

    def room(self):
        """Bytes of the largest bundle."""
        return self.base(1) - AT

    def head(self, bank):
        head = bytearray(bundle.HEAD_SIZE)
        self.flash.read(self.base(bank) + AT, head)
        return bytes(head)

    def write_mark(self, bank, sequence, head):
        """Put the bank in force, by one operation; True if flash holds what was programmed."""
        mark = struct.pack(_MARK, b"FTCM", sequence, sha256(head).digest()[:16])
        mark += sha256(mark).digest()[:8]
        self.flash.program(self.base(bank), mark)
        back = bytearray(MARK_SIZE)
        self.flash.read(self.base(bank), back)
        return back == mark

    def check_body(self, bank, head):
        """{name: place} of the body's members, after its hash was found right in flash; Refused:
        damaged, ValueError if it is not laid out as bundle.py says."""
        _, _, size, _, digest = bundle.parse(head)
        if size > self.room() - bundle.HEAD_SIZE:
            raise bundle.Refused("too_large", "%d bytes; %d fit" % (size, self.room()))
        base = self.base(bank) + AT + bundle.HEAD_SIZE
        piece = memoryview(bytearray(_PIECE))
        hashed = sha256()
        lines = []
        for at in range(0, size, _PIECE):
            part = piece[: min(_PIECE, size - at)]
            self.flash.read(base + at, part)
            hashed.update(part)
            text = bytes(part)
            found = text.find(b"\n")
            while found >= 0:
                lines.append(at + found + 1)
                found = text.find(b"\n", found + 1)
        if hashed.digest() != digest:
            raise bundle.Refused("damaged", "the body of this bundle is damaged")
        return self._index(base, lines, size)

    def _index(self, base, lines, size):
        # The first line is an opening brace, the last one a closing brace.
        places = {}
        lines.append(size + 1)
        for i in range(len(lines) - 2):
            at = lines[i]
            n = lines[i + 1] - at - 1
            start = bytearray(min(24, n))
            self.flash.read(base + at, start)
            end = start.find(b'":')
            name = bytes(start[1:end]).decode()
            if start[:1] != b'"' or end < 2 or name in places:
                raise ValueError("a line without a name of its own")
            # Address and length in one integer.
            places[name] = at + end + 2 << 16 | n - end - 2
        return places

    def parse(self, bank, place):
        """The value that stands at `place` of a bank's body; ValueError if it is no JSON."""
        text = bytearray(place & 0xFFFF)
        self.flash.read(self.address(bank, place), text)
        if text[-1:] == b",":
            text[-1] = 0x20
        return json.loads(text)  # type: ignore[type-var]

    def address(self, bank, place):
        """Of a member in flash."""
        return self.base(bank) + AT + bundle.HEAD_SIZE + (place >> 16)
