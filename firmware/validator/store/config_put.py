"""A new configuration on its way into the idle bank.

    claim(configuration, public)         # once in the life of a validator
    put = Put(configuration)
    at = put.look(head, now)             # now: unix seconds, or None if the clock is not set
    if at is None:
        at = put.start(head)             # looks at the signature, erases
    while at < put.size:
        at = put.write(at, piece)        # the offset that is wanted next
    put.whole(now)                       # Refused, and nothing has changed
    put.commit({"cards": rules.load})    # in force, or Refused

What costs nothing comes first: `look` reads the head, `start` erases nothing for one that the
operator did not sign, `whole` finds out in flash all that can be found out beside a configuration
that is at work: only the sections' own checks are left to `commit`, for which there is memory when
nothing else runs. A piece that came before is skipped, one that comes too early is not written, so
that the sender may go by the answers alone. Until `commit` has programmed the mark, the
configuration in force stays so.

What the sections' checks refused is remembered in NVS, for this version of the firmware: each of
`remember`ed digests is refused by `look`, so that a bundle stops the validator once, not for ever.
"""

from hashlib import sha256

from validator.store import bundle
from validator.store.configuration import AT
from validator.version import VERSION

_REFUSED = "config_no"  # in NVS: 4 bytes for the firmware, then entries of 7 bytes and a count
_ENTRY = 8
_MOST = 8  # entries
_NEVER = 255  # the count of one that the checks refused; of others, how often memory ran out
_TRIES = 3
_PIECE = 256


def claim(configuration, data):
    """Make the P-256 public key in `data` (SEC 1) the operator's, once; Refused: foreign, invalid.
    The same key again changes nothing.

    Where NVS was lost, a validator takes back nobody but the one whose configuration it runs, or
    whose signature stands in flash; and nobody at all where there is none."""
    key = configuration.key
    if key:
        # No mathematics for somebody who may be anybody.
        x = key[:32]
        if len(data) == 33 and data[1:] == x and data[0] == 2 | key[63] & 1:
            return
        if len(data) in (64, 65) and data[-64:] == key:
            return
        raise bundle.Refused("foreign", "this validator has an operator already")
    from validator.crypto import signed

    try:
        key = signed.point(data)
    except ValueError as e:
        raise bundle.Refused("invalid", "this is no P-256 public key: %s" % e)
    if configuration.version:
        if (
            configuration.signer != bundle.key_id(key)
            and configuration.section("operator_key") != key.hex()
        ):
            text = "the configuration in force is signed with another key"
            raise bundle.Refused("foreign", text)
    elif configuration.life_cycle != "factory" and configuration.last_signer() != bundle.key_id(
        key
    ):
        text = "this is no new validator, and nothing in it is signed with this key"
        raise bundle.Refused("foreign", text)
    configuration.keep_key(key)


class Put:
    def __init__(self, configuration):
        self._configuration = configuration
        self.head = None
        self.version = 0
        self.digest = b""  # of the bundle that was committed last
        self.size = 0  # bytes of the body
        self.next = 0
        self._bank = 0

    def in_force(self, head):
        """Whether the bundle with this head is what runs."""
        c = self._configuration
        return c.bank is not None and c.head(c.bank) == head

    def look(self, head, now):
        """The offset in the body that is wanted next, `size` if the bundle is in force; None if it
        has to be started. Refused for what the head says by itself."""
        c = self._configuration
        if c.flash is None:
            raise bundle.Refused("too_large", "there is no partition for the configuration")
        version, not_before, size, signer, digest = bundle.parse(head)
        if head == self.head:
            return self.next
        if self.in_force(head):
            self.size = size
            return size
        bundle.check_signer(signer, c.key)
        if size > c.room() - bundle.HEAD_SIZE:
            raise bundle.Refused(
                "too_large",
                "the configuration has %d bytes; %d fit" % (size, c.room() - bundle.HEAD_SIZE),
            )
        seen, known = c.seen
        if version < seen or version == seen and digest[:8] != known:
            raise bundle.Refused(
                "old", "version %d is not newer than %d, which was in force" % (version, seen)
            )
        self._due(not_before, now)
        self._remembered(digest)
        return None

    def _due(self, not_before, now):
        if not_before and (now is None or now < not_before):
            raise bundle.Refused(
                "too_early",
                "the clock is not set, and this configuration waits for its time"
                if now is None
                else "this configuration may not run before %d; it is %d" % (not_before, now),
            )

    def start(self, head):
        """Erase for a bundle that was looked at, if the operator signed it; 0."""
        c = self._configuration
        bundle.verify(head, c.key)
        self.head = None
        self._bank = 1 if c.bank == 0 else 0
        self._erase(0)
        c.flash.program(c.base(self._bank) + AT, head)
        self.head = head
        self.version, _, self.size, _, _ = bundle.parse(head)
        self.next = 0
        return 0

    def begin(self, head, now):
        """`look`, and `start` if that is needed."""
        at = self.look(head, now)
        return self.start(head) if at is None else at

    # -- what was refused before -------------------------------------------------------------

    def _entries(self):
        blob = self._configuration.nvs_blob(_REFUSED, 4 + _MOST * _ENTRY)
        own = sha256(VERSION.encode()).digest()[:4]
        return blob[4:] if blob[:4] == own else b""

    def _remembered(self, digest):
        entries = self._entries()
        for at in range(0, len(entries), _ENTRY):
            if entries[at : at + 7] == digest[:7] and entries[at + 7] >= _TRIES:
                raise bundle.Refused(
                    "invalid", "this firmware refused this configuration before, for its sections"
                )

    def crowded(self):
        """So many were refused that the next one would push one out of the memory of them."""
        return len(self._entries()) >= _MOST * _ENTRY

    def remember(self, memory):
        """The bundle that was committed last is not to be taken again; `memory`: that ran out,
        which may be otherwise after a start: it has `_TRIES` of them."""
        c = self._configuration
        digest = self.digest[:7]
        entries = self._entries()
        tries = 1 if memory else _NEVER
        for at in range(0, len(entries), _ENTRY):
            if entries[at : at + 7] == digest:
                tries = min(_NEVER, entries[at + 7] + tries)
                entries = entries[:at] + entries[at + _ENTRY :]
                break
        entries = entries[-(_MOST - 1) * _ENTRY :] + digest + bytes((tries,))
        c.keep_blob(_REFUSED, sha256(VERSION.encode()).digest()[:4] + entries)

    # -- pieces ------------------------------------------------------------------------------

    def _erase(self, sector):
        c = self._configuration
        c.flash.erase(c.base(self._bank) + sector * c.flash.sector)

    def write(self, at, data):
        """Take a piece of the body; the offset that is wanted next."""
        if self.head is None:
            raise bundle.Refused("damaged", "no configuration was begun")
        skip = self.next - at
        if skip < 0 or skip >= len(data):
            return self.next
        if at + len(data) > self.size:
            raise bundle.Refused("damaged", "more bytes than the head announces")
        c = self._configuration
        data = memoryview(data)[skip:]
        sector = c.flash.sector
        place = AT + bundle.HEAD_SIZE + self.next
        while len(data):
            if place % sector == 0:
                self._erase(place // sector)
            n = min(len(data), sector - place % sector)
            c.flash.program(c.base(self._bank) + place, data[:n])
            data = data[n:]
            place += n
            self.next += n
        return self.next

    def whole(self, now):
        """Refused unless flash holds all of the bundle, for this validator, and its time has come.
        Nothing is touched; after "damaged" flash has to be filled anew."""
        if self.head is None or self.next < self.size:
            raise bundle.Refused("damaged", "%d of %d bytes came" % (self.next, self.size))
        c = self._configuration
        bank = self._bank
        self._due(bundle.parse(self.head)[1], now)
        try:
            if c.head(bank) != self.head:
                raise bundle.Refused("damaged", "the flash does not hold what was written")
            places = c.check_body(bank, self.head)
        except bundle.Refused:
            self.head = None
            raise
        except (ValueError, TypeError) as e:
            raise bundle.Refused("invalid", str(e))
        serials = places.get("serials")
        if serials is not None and not self._names(serials):
            raise bundle.Refused("not_for_me", "this configuration is for other validators")

    def _names(self, place):
        """Whether this validator's serial number stands in that member: it may be too long to be
        parsed beside what is at work."""
        c = self._configuration
        mine = b'"' + c.serial.encode() + b'"'
        keep = len(mine) - 1
        buf = bytearray(keep + _PIECE)
        left = place & 0xFFFF
        at = c.address(self._bank, place)
        n = 0
        while left > 0:
            size = min(left, _PIECE)
            c.flash.read(at, memoryview(buf)[n : n + size])
            n += size
            if bytes(buf[:n]).find(mine) >= 0:
                return True
            at += size
            left -= size
            if n > keep:
                buf[:keep] = buf[n - keep : n]
                n = keep
        return False

    def commit(self, checks):
        """Put the bundle in force, which is `whole`. `checks` {section: function} are asked about
        each section that is there: a ValueError says what is wrong with it."""
        head = self.head
        if head is None or self.next < self.size:
            raise bundle.Refused("damaged", "%d of %d bytes came" % (self.next, self.size))
        self.head = None  # whatever happens now, the bank is to be written anew
        c = self._configuration
        bank = self._bank
        parsed = bundle.parse(head)
        self.digest = parsed[4]
        if c.head(bank) != head:
            raise bundle.Refused("damaged", "the flash does not hold what was written")
        try:
            places = c.check_body(bank, head)
            self._check(places, parsed, checks)
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            # The last three: a member is of another kind than the one who asks for it expects.
            text = str(e) if isinstance(e, ValueError) else "not laid out as it must be: %r" % e
            raise bundle.Refused("invalid", text)
        if not c.write_mark(bank, c.sequence + 1, head):
            raise bundle.Refused("damaged", "the flash does not hold what was written")
        c.mount()

    def _check(self, places, parsed, checks):
        from validator.store.config_check import check

        c = self._configuration
        bank = self._bank

        def section(name):
            place = places.get(name)
            return None if place is None else c.parse(bank, place)

        serials = section("serials")
        if serials is not None and c.serial not in serials:
            raise bundle.Refused("not_for_me", "this configuration is for other validators")
        serials = None
        check(section, places, parsed)
        for name in checks:
            value = section(name)
            if value is not None:
                try:
                    checks[name](value)
                except ValueError as e:
                    text = str(e)
                    raise ValueError(text if text.startswith(name) else name + "." + text)
