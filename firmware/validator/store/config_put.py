"""A new configuration on its way into the idle bank.

    claim(configuration, public)         # once in the life of a validator
    put = Put(configuration)
    at = put.begin(head, now)            # now: unix seconds, or None if the clock is not set
    while at < put.size:
        at = put.write(at, piece)        # the offset that is wanted next
    put.commit({"cards": rules.load})    # in force, or Refused

`begin` takes nothing but a head that the operator signed, and erases nothing before. A piece that
came before is skipped, one that comes too early is not written, so that the sender may go by the
answers alone. Until `commit` has programmed the mark, the configuration in force stays so.
"""

from validator.store import bundle
from validator.store.configuration import AT


def claim(configuration, data):
    """Make the P-256 public key in `data` (SEC 1) the operator's, once; Refused: foreign, invalid.
    The same key again changes nothing."""
    from validator.crypto import signed

    try:
        key = signed.point(data)
    except ValueError as e:
        raise bundle.Refused("invalid", "this is no P-256 public key: %s" % e)
    if configuration.key == key:
        return
    if configuration.key:
        raise bundle.Refused("foreign", "this validator has an operator already")
    # Where NVS was lost, a validator takes back nobody but the one whose configuration it runs.
    if (
        configuration.version
        and configuration.signer != bundle.key_id(key)
        and configuration.section("operator_key") != key.hex()
    ):
        raise bundle.Refused("foreign", "the configuration in force is signed with another key")
    configuration.keep_key(key)


class Put:
    def __init__(self, configuration):
        self._configuration = configuration
        self.head = None
        self.size = 0  # bytes of the body
        self._next = 0
        self._bank = 0

    def in_force(self, head):
        """Whether the bundle with this head is what runs."""
        c = self._configuration
        return c.bank is not None and c.head(c.bank) == head

    def begin(self, head, now):
        """The offset in the body that is wanted next; it is `size` if the bundle is in force."""
        c = self._configuration
        if c.flash is None:
            raise bundle.Refused("too_large", "there is no partition for the configuration")
        version, not_before, size, _, digest = bundle.parse(head)
        if head != self.head:
            if self.in_force(head):
                self.head = None
                self.size = size
                return size
            bundle.verify(head, c.key)
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
            if not_before and (now is None or now < not_before):
                raise bundle.Refused(
                    "too_early",
                    "the clock is not set, and this configuration waits for its time"
                    if now is None
                    else "this configuration may not run before %d; it is %d" % (not_before, now),
                )
            self.head = None
            self._bank = 1 if c.bank == 0 else 0
            self._erase(0)
            c.flash.program(c.base(self._bank) + AT, head)
            self.head = head
            self.size = size
            self._next = 0
        return self._next

    def _erase(self, sector):
        c = self._configuration
        c.flash.erase(c.base(self._bank) + sector * c.flash.sector)

    def write(self, at, data):
        """Take a piece of the body; the offset that is wanted next."""
        if self.head is None:
            raise bundle.Refused("damaged", "no configuration was begun")
        skip = self._next - at
        if skip < 0 or skip >= len(data):
            return self._next
        if at + len(data) > self.size:
            raise bundle.Refused("damaged", "more bytes than the head announces")
        c = self._configuration
        data = memoryview(data)[skip:]
        sector = c.flash.sector
        place = AT + bundle.HEAD_SIZE + self._next
        while len(data):
            if place % sector == 0:
                self._erase(place // sector)
            n = min(len(data), sector - place % sector)
            c.flash.program(c.base(self._bank) + place, data[:n])
            data = data[n:]
            place += n
            self._next += n
        return self._next

    def commit(self, checks):
        """Put the bundle in force. `checks` {section: function} are asked about each section that
        is there: a ValueError says what is wrong with it. Refused, and nothing has changed."""
        if self.head is None or self._next < self.size:
            raise bundle.Refused("damaged", "%d of %d bytes came" % (self._next, self.size))
        head = self.head
        self.head = None  # whatever happens now, the bank is to be written anew
        c = self._configuration
        bank = self._bank
        if c.head(bank) != head:
            raise bundle.Refused("damaged", "the flash does not hold what was written")
        try:
            places = c.check_body(bank, head)
            self._check(places, bundle.parse(head), checks)
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
