"""Power cut at every operation of claim, put and switch, in flash and in NVS, and bit rot.

After each cut exactly one complete configuration is active: the one before or the one that was on
its way; what came in goes on from there.
"""

import sys

import config_bundles as made
from fakes import raises
from flash_sim import HOW, FlashSim, PowerCut
from validator.store import bundle
from validator.store.bundle import HEAD_SIZE, Refused
from validator.store.config_put import Put, claim
from validator.store.configuration import AT, Configuration

MICROPYTHON = sys.implementation.name == "micropython"
SECTOR = 512
BANK = 4 * SECTOR
STORY = (made.V1, made.V2, made.V3_FOLLOW, made.V4_SECOND)
VERSIONS = {1: made.V1, 2: made.V2, 3: made.V3_FOLLOW, 4: made.V4_SECOND}


class Nvs:
    """esp32.NVS, whose setters are operations of the flash as well: done or not done."""

    def __init__(self, flash):
        self.flash = flash
        self.stored = {}

    def get_blob(self, name, buf):
        if name not in self.stored:
            raise OSError(-0x1102, "ESP_ERR_NVS_NOT_FOUND")
        value = self.stored[name]
        buf[: len(value)] = value
        return len(value)

    def set_blob(self, name, value):
        before = dict(self.stored)
        self.stored[name] = bytes(value)
        try:
            # One byte of a sector that is nobody's: the simulator counts it and cuts there.
            self.flash._operate("nvs", self.flash.size - 1, b"\xff")
        except PowerCut:
            if self.flash._cut[1] != "done":
                self.stored = before
            raise

    def commit(self):
        pass


class Rig:
    def __init__(self):
        self.flash = FlashSim(9, SECTOR)
        self.nvs = Nvs(self.flash)

    def boot(self):
        # The last sector is no part of the partition: two banks of four.
        configuration = Configuration(self.flash, self.nvs, made.SERIAL)
        configuration.mount()
        return configuration


def take(configuration, data):
    put = Put(configuration)
    at = put.begin(data[:HEAD_SIZE], None)
    body = data[HEAD_SIZE:]
    while at < put.size:
        at = put.write(at, body[at : at + 400])
    if not put.in_force(data[:HEAD_SIZE]):
        put.commit({})


def check_whole(configuration, versions):
    """One of `versions` (0: none) is active, and every bit of it is right."""
    version = configuration.version
    assert version in versions, "version %d, not one of %r" % (version, versions)
    if not version:
        assert configuration.life_cycle == "factory" and not configuration.names()
        return
    data = VERSIONS[version]
    assert configuration.hash == data[28:32].hex()
    assert configuration.life_cycle == ("service" if version == 2 else "bench")
    assert configuration.head(configuration.bank) == data[:HEAD_SIZE]
    body = data[HEAD_SIZE:].decode()
    for name in configuration.names():
        text = configuration.text(name, 0, 4096)[0].decode()
        assert '"%s":%s' % (name, text) in body, name
    assert len(configuration.names()) == body.count("\n") - 1
    assert configuration.seen[0] == version


def tell(rig, story):
    """The versions that a boot may find: before the last thing that was begun, and after it."""
    rig.may = (0,)
    claim(rig.boot(), made.FIRST)
    before = 0
    for data in story:
        version = data[8]
        rig.may = (before, version)
        configuration = rig.boot()
        take(configuration, data)
        check_whole(configuration, (version,))
        rig.may = (version,)
        before = version


def go_on(rig, story):
    """Power is back: what was active is active, and the rest of the story can be told."""
    rig.flash.power_on()
    configuration = rig.boot()
    check_whole(configuration, rig.may)
    first = configuration.version
    again = rig.boot()  # and stays
    check_whole(again, (first,))
    claim_again(rig)
    for data in story:
        if data[8] >= first:
            take(rig.boot(), data)
    last = rig.boot()
    check_whole(last, (story[-1][8],))
    assert last.faults == []
    assert last.key == (made.SECOND if story[-1][8] >= 3 else made.FIRST)


def claim_again(rig):
    configuration = rig.boot()
    if configuration.key is None:
        assert configuration.version == 0
        claim(configuration, made.FIRST)


def trusting(test):
    """Signatures are other tests' matter, and this is thousands of them."""
    verify = bundle.verify

    def by_id_only(head, key):
        if not key or bundle.parse(head)[3] != bundle.key_id(key):
            raise Refused("foreign", "another key")

    bundle.verify = by_id_only
    try:
        return test()
    finally:
        bundle.verify = verify


def operations(story):
    rig = Rig()
    tell(rig, story)
    return len(rig.flash.log)


def each_cut(story, how):
    count = operations(story)
    for n in range(count):
        rig = Rig()
        rig.flash.cut_at(n, how)
        try:
            tell(rig, story)
            raise AssertionError("no cut at %d of %d" % (n, count))
        except PowerCut:
            pass
        try:
            go_on(rig, story)
        except (AssertionError, Refused) as e:
            raise AssertionError("cut at operation %d, %s: %s" % (n, how, e))
    return count


def test_power_cut_at_every_operation():
    for how in HOW + ("tail",):
        assert trusting(lambda: each_cut(STORY, how)) > 30


def test_power_cut_at_every_operation_with_signatures():
    story = STORY[:1] if MICROPYTHON else STORY[:2]
    assert each_cut(story, "half") > 6


def pairs(story, hows):
    """A cut, and another one at each operation of what is done after it."""
    count = operations(story)
    told = 0
    for n in range(count):
        for how in hows:
            second = 0
            while True:
                rig = Rig()
                rig.flash.cut_at(n, how)
                try:
                    tell(rig, story)
                except PowerCut:
                    pass
                rig.flash.power_on()
                rig.flash.cut_at(second, hows[(n + second) % len(hows)])
                try:
                    go_on_until_cut(rig, story)
                    break
                except PowerCut:
                    pass
                try:
                    go_on(rig, story)
                except (AssertionError, Refused) as e:
                    raise AssertionError("cuts at %d, %s, and %d: %s" % (n, how, second, e))
                second += 1
                told += 1
    return told


def go_on_until_cut(rig, story):
    configuration = rig.boot()
    check_whole(configuration, rig.may)
    claim_again(rig)
    for data in story:
        if data[8] >= rig.boot().version:
            rig.may = tuple({rig.boot().version, data[8]})
            take(rig.boot(), data)
            rig.may = (data[8],)


def test_power_cut_at_every_pair_of_operations():
    # Claim, and one configuration after another.
    story = (made.V1, made.V2)
    hows = ("half",) if MICROPYTHON else HOW
    assert trusting(lambda: pairs(story, hows)) > 100


def two_versions():
    rig = Rig()
    configuration = rig.boot()
    claim(configuration, made.FIRST)
    take(configuration, made.V1)
    take(configuration, made.V2)
    return rig


def test_any_bit_of_the_active_bank():
    rig = trusting(two_versions)
    whole = bytes(rig.flash.data)
    end = BANK + AT + len(made.V2)
    step = 37 if MICROPYTHON else 1
    used = [a for a in range(BANK, end) if a < BANK + 32 or a >= BANK + AT]
    for i in range(0, len(used), step):
        for bit in range(8) if i % 5 == 0 else (used[i] % 8,):
            rig.flash.load(whole)
            rig.flash.flip(used[i], 1 << bit)
            c = rig.boot()
            assert c.version == 1, "bit %d of byte %d" % (bit, used[i])
            assert len(c.faults) == 2 and c.seen[0] == 2
    rig.flash.load(whole)
    check_whole(rig.boot(), (2,))


def test_bits_of_both_banks():
    rig = trusting(two_versions)
    whole = bytes(rig.flash.data)
    for n in range(20 if MICROPYTHON else 200):
        rig.flash.load(whole)
        rig.flash.flip(AT + n * 7 % len(made.V1), 1 << n % 8)
        rig.flash.flip(BANK + AT + n * 5 % len(made.V2), 1 << n % 7)
        c = rig.boot()
        assert c.version == 0 and c.life_cycle == "service" and c.names() == []
        assert len(c.faults) == 3


def test_flash_of_another_kind():
    # Noise, and what another firmware may have left there.
    noise = bytearray(9 * SECTOR)
    seed = 7
    for i in range(len(noise)):
        seed = (seed * 1103515245 + 12345) & 0x3FFFFFFF
        noise[i] = seed >> 16 & 0xFF
    for data in (noise, bytes(len(noise))):
        rig = Rig()
        rig.flash.load(data)
        c = rig.boot()
        assert c.version == 0 and c.life_cycle == "service" and len(c.faults) == 2
        # Who can tell that this is no validator whose NVS was lost? It has to be erased.
        assert raises(bundle.Refused, claim, c, made.FIRST).reason == "foreign"
        for sector in range(rig.flash.size // SECTOR):  # the last one is where Nvs counts
            rig.flash.erase(sector * SECTOR)
        c = rig.boot()
        assert c.life_cycle == "factory"
        claim(c, made.FIRST)
        take(c, made.V1)
        check_whole(rig.boot(), (1,))
