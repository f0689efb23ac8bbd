"""Claim, put, switch: what a validator takes, what it refuses, and what it says of it."""

from hashlib import sha256

import config_bundles as made
from fakes import raises
from flash_sim import FlashSim
from test_state import FakeNvs
from validator.store import bundle
from validator.store.bundle import HEAD_SIZE, Refused
from validator.store.config_put import Put, claim
from validator.store.configuration import AT, Configuration

SECTOR = 512
BANK = 8 * SECTOR


def boot(flash, nvs):
    configuration = Configuration(flash, nvs, made.SERIAL)
    configuration.mount()
    return configuration


def fresh():
    flash, nvs = FlashSim(16, SECTOR), FakeNvs()
    configuration = boot(flash, nvs)
    claim(configuration, b"\x04" + made.FIRST)
    return configuration, flash, nvs


def send(put, data, now=None, piece=300):
    at = put.begin(data[:HEAD_SIZE], now)
    body = data[HEAD_SIZE:]
    while at < put.size:
        at = put.write(at, body[at : at + piece])


def take(configuration, data, now=None, checks=None):
    put = Put(configuration)
    send(put, data, now)
    if not put.in_force(data[:HEAD_SIZE]):
        put.commit(checks or {})


def refused(configuration, data, now=None, checks=None):
    """The reason; nothing may have changed, now or after the next boot."""
    before = configuration.info()
    e = raises(Refused, take, configuration, data, now, checks)
    assert configuration.info() == before
    after = boot(configuration.flash, configuration._nvs)
    assert after.info() == before
    assert str(e) and not str(e).endswith(".")
    return e.reason


def test_a_new_validator_is_in_the_factory_state():
    flash = FlashSim(16, SECTOR)
    c = boot(flash, FakeNvs())
    info = c.info()
    assert info["life_cycle"] == "factory" and info["version"] == 0 and info["bank"] is None
    assert info["hash"] == info["operator"] == "" and info["faults"] == []
    assert c.section("fares") is None and c.section("fares", {}) == {} and c.names() == []
    assert flash.log == []


def test_the_operator_claims_once():
    c = boot(FlashSim(16, SECTOR), FakeNvs())
    assert refused(c, made.V1) == "foreign"
    for key in (b"", b"\x02" + b"\xff" * 32, b"\x04" + bytes(64), made.FIRST[:63] + b"\0"):
        assert raises(Refused, claim, c, key).reason == "invalid"
    claim(c, bytes((2 + (made.FIRST[63] & 1),)) + made.FIRST[:32])  # compressed
    assert c.key == made.FIRST and c.info()["operator"] == bundle.key_id(made.FIRST).hex()
    assert c.life_cycle == "factory"
    claim(c, made.FIRST)  # said again: a lost answer
    assert raises(Refused, claim, c, made.SECOND).reason == "foreign"
    assert boot(c.flash, c._nvs).key == made.FIRST


def test_a_configuration_is_put_in_force():
    c, flash, nvs = fresh()
    take(c, made.V1)
    assert c.version == 1 and c.life_cycle == "bench" and c.bank == 0 and c.faults == []
    assert c.section("fares") == {"flat": 101}
    assert c.section("display")["texts"]["text 1 5"] == "请上车" * 12
    assert c.section("cards") is None
    assert sorted(c.names()) == ["display", "fares", "format", "life_cycle", "version"]
    again = boot(flash, nvs)
    assert again.info() == c.info() and again.section("fares") == {"flat": 101}


def test_the_next_one_goes_into_the_other_bank():
    c, flash, nvs = fresh()
    banks = []
    for data in (made.V1, made.V2, made.V3, made.V4_FIRST):
        take(c, data)
        banks.append(c.bank)
    assert banks == [0, 1, 0, 1]
    assert c.version == 4 and boot(flash, nvs).version == 4
    # Each bank was erased twice, and nothing beyond what was needed.
    assert max(flash.erases) == 2 and flash.erases[7] == flash.erases[15] == 0


def test_service_and_back_by_a_newer_configuration_only():
    c, flash, nvs = fresh()
    take(c, made.V2)
    assert c.life_cycle == "service"
    assert refused(c, made.V1) == "old" and boot(flash, nvs).life_cycle == "service"
    take(c, made.V3)
    assert c.life_cycle == "bench"


def test_what_info_says_of_secrets():
    c, _, _ = fresh()
    take(c, made.V2)
    info = c.info()
    assert info["token_key"] == sha256(bytes(15) + b"\x2a").digest()[:4].hex()
    assert "0000002a" not in repr(info)


def test_old_ones_are_refused():
    c, flash, nvs = fresh()
    take(c, made.V2)
    assert refused(c, made.V1) == "old"
    assert refused(c, made.V2_OTHER) == "old"  # the same version, another body
    before = len(flash.log)
    take(c, made.V2)  # the one that runs: done already
    assert len(flash.log) == before


def test_old_ones_are_refused_when_the_newer_one_is_damaged():
    c, flash, nvs = fresh()
    take(c, made.V1)
    take(c, made.V2)
    flash.flip(BANK + AT + HEAD_SIZE + 300)
    c = boot(flash, nvs)
    assert c.version == 1 and c.life_cycle == "bench" and len(c.faults) == 2
    assert refused(c, made.V2_OTHER) == "old"
    assert c.info()["seen"] == 2
    take(c, made.V2)  # that very one heals it
    assert c.version == 2 and c.faults == []
    flash.flip(0), flash.flip(BANK)
    c = boot(flash, nvs)
    assert c.version == 0 and c.life_cycle == "service" and len(c.faults) == 3
    assert raises(Refused, claim, c, made.SECOND).reason == "foreign"
    assert refused(c, made.V1) == "old"
    take(c, made.V2)
    assert c.life_cycle == "service"


def test_foreign_and_unsigned_ones_are_refused_before_anything_is_erased():
    c, flash, nvs = fresh()
    take(c, made.V1)
    before = len(flash.log)
    assert refused(c, made.V5_STRANGER) == "foreign"
    for at in (64, 95, 96, 127):
        data = bytearray(made.V3)
        data[at] ^= 1
        assert refused(c, bytes(data)) == "unsigned"
    assert refused(c, made.V3[:64] + bytes(64) + made.V3[128:]) == "unsigned"
    # A head that was changed: version, not before, size, hash of the body.
    for at in (8, 11, 12, 28, 59):
        data = bytearray(made.V3)
        data[at] ^= 0x10
        assert refused(c, bytes(data)) in ("unsigned", "damaged", "too_early", "too_large")
    # The stranger signs in the operator's name.
    data = made.V5_STRANGER
    data = data[:20] + bundle.key_id(made.FIRST) + data[28:]
    assert refused(c, data) == "unsigned"
    assert len(flash.log) == before


def test_no_bundles():
    c, flash, _ = fresh()
    before = len(flash.log)
    for data in (b"", b"FTCB", bytes(200), made.V1[:127], b"x" + made.V1[1:]):
        assert refused(c, data) == "damaged"
    for at, value in ((4, 2), (5, 1), (60, 1), (11, 0x80)):
        data = bytearray(made.V1)
        data[at] = value
        assert refused(c, bytes(data)) == "damaged"
    data = bytearray(made.V1)
    data[8:12] = bytes(4)  # version 0
    assert refused(c, bytes(data)) == "damaged"
    assert len(flash.log) == before


def test_a_damaged_body_is_refused():
    c, flash, _ = fresh()
    take(c, made.V1)
    for at in (0, 500, len(made.V3) - HEAD_SIZE - 1):
        data = bytearray(made.V3)
        data[HEAD_SIZE + at] ^= 0x04
        assert refused(c, bytes(data)) == "damaged"
    flash.dead_bits[BANK + AT + HEAD_SIZE + 20] = 0x7F  # worn: it does not hold what is written
    assert refused(c, made.V3) == "damaged"
    flash.dead_bits = {BANK + 9: 0xFF}
    assert raises(Refused, take, c, made.V3).reason == "damaged"
    assert boot(flash, c._nvs).version == 1
    flash.dead_bits = {}
    take(c, made.V3)
    assert c.version == 3


def test_a_head_that_flash_does_not_hold():
    c, flash, _ = fresh()
    take(c, made.V1)
    flash.dead_bits[BANK + AT + 30] = 0xFF
    assert refused(c, made.V3) == "damaged"
    assert raises(Refused, c.check_body, 1, made.V5_LARGE[:HEAD_SIZE]).reason == "too_large"


def test_what_is_in_force_stays_when_bits_come_back():
    c, flash, nvs = fresh()
    take(c, made.V1)
    take(c, made.V2)
    for bank in (0, BANK):
        flash.flip(bank + AT + HEAD_SIZE + 200)
    c = boot(flash, nvs)
    assert c.version == 0
    take(c, made.V3)
    assert c.bank == 0
    flash.flip(BANK + AT + HEAD_SIZE + 200)
    assert boot(flash, nvs).version == 3


def test_a_mark_that_power_was_cut_after_is_programmed_again():
    c, flash, nvs = fresh()
    take(c, made.V1)
    del nvs.pending["config_seen"]
    before = len(flash.log)
    boot(flash, nvs)
    assert flash.log[before:] == [("program", 0, 32)]
    boot(flash, nvs)
    assert len(flash.log) == before + 1


def test_a_word_of_a_later_firmware_opens_nothing():
    from validator.store import config_check

    c, flash, nvs = fresh()
    check = config_check.check
    config_check.check = lambda *_: None
    try:
        take(c, made.WRONG["life_cycle"])
    finally:
        config_check.check = check
    assert c.section("life_cycle") == "factory" and c.life_cycle == "service"


def test_for_other_validators():
    c, _, _ = fresh()
    assert refused(c, made.V5_THEIRS) == "not_for_me"
    take(c, made.V5_OURS)
    assert c.version == 5


def test_not_before_its_time():
    c, _, _ = fresh()
    assert refused(c, made.V5_LATER) == "too_early"  # the clock is not set
    assert refused(c, made.V5_LATER, now=1893455999) == "too_early"
    take(c, made.V5_LATER, now=1893456000)
    assert c.version == 5


def test_too_large():
    c, flash, nvs = fresh()
    assert c.room() == BANK - AT
    before = len(flash.log)
    assert refused(c, made.V5_LARGE) == "too_large"
    assert len(flash.log) == before
    assert refused(boot(None, nvs), made.V1) == "too_large"


def test_sections_that_would_not_work_are_refused():
    from validator.media import rules

    c, _, _ = fresh()
    take(c, made.V1)
    said = {}
    for name in made.WRONG:
        e = raises(Refused, take, c, made.WRONG[name], None, {"cards": rules.load})
        assert e.reason == "invalid", name
        said[name] = str(e)
        assert c.version == 1 and boot(c.flash, c._nvs).version == 1
    assert said["cards"] == "cards.limits.tap: -1: 0 to 1073741823 expected"
    assert said["section"] == "lights: this firmware knows no such section"
    assert said["kind"] == "fares: an object expected"
    assert said["link"].startswith("link.baud_max: 300: 9600 to ")
    assert said["rights"].startswith("access.keys[0].rights: 'all'")
    take(c, made.V2)


def test_the_operators_key_is_followed_by_another():
    c, flash, nvs = fresh()
    take(c, made.V1)
    assert refused(c, made.V4_SECOND) == "foreign"
    take(c, made.V3_FOLLOW)
    assert c.key == made.SECOND and boot(flash, nvs).key == made.SECOND
    assert refused(c, made.V4_FIRST) == "foreign"
    take(c, made.V4_SECOND)
    assert c.version == 4
    flash.flip(BANK * c.bank + AT + 3)  # back to the one that named the new key
    c = boot(flash, nvs)
    assert c.version == 3 and c.key == made.SECOND
    assert refused(c, made.V4_FIRST) == "foreign"
    take(c, made.V4_SECOND)


def test_a_bundle_names_the_next_key_only_once():
    c, flash, nvs = fresh()
    take(c, made.V3_FOLLOW)
    take(c, made.V4_FOLLOW)
    assert c.key == made.STRANGER
    flash.flip(BANK * c.bank + AT + 3)
    c = boot(flash, nvs)
    assert c.version == 3 and c.key == made.STRANGER
    take(c, made.V5_STRANGER)


def test_nvs_lost():
    c, flash, nvs = fresh()
    take(c, made.V2)
    c = boot(flash, FakeNvs())
    assert c.version == 2 and c.life_cycle == "service" and c.key is None
    assert c.info()["seen"] == 2
    assert raises(Refused, claim, c, made.SECOND).reason == "foreign"
    assert refused(c, made.V3) == "foreign"
    claim(c, made.FIRST)
    take(c, made.V3)


def test_nvs_lost_after_the_key_was_followed_by_another():
    c, flash, nvs = fresh()
    take(c, made.V3_FOLLOW)
    for key in (made.FIRST, made.SECOND):
        nvs = FakeNvs()
        c = boot(flash, nvs)
        assert raises(Refused, claim, c, made.STRANGER).reason == "foreign"
        claim(c, key)
        assert boot(flash, nvs).key == made.SECOND


def test_nvs_that_fails_is_reported():
    c, flash, nvs = fresh()
    take(c, made.V1)
    nvs.fault = -0x1105
    c = boot(flash, nvs)
    assert c.version == 1 and c.key is None and len(c.faults) == 2


def test_flash_that_fails_is_reported():
    class Dead:
        size, sector = 16 * SECTOR, SECTOR

        def read(self, addr, buf):
            raise OSError(5)

    c = boot(Dead(), FakeNvs())
    assert c.life_cycle == "service" and len(c.faults) == 2
    c = boot(None, FakeNvs())
    assert c.info()["room"] == 0 and len(c.faults) == 1


def test_pieces_lost_doubled_and_out_of_order():
    c, _, _ = fresh()
    put = Put(c)
    data = made.V1
    body = data[HEAD_SIZE:]
    head = data[:HEAD_SIZE]
    assert put.begin(head, None) == 0
    assert put.write(0, body[:100]) == 100
    assert put.write(0, body[:100]) == 100  # said again
    assert put.write(300, body[300:400]) == 100  # one is missing
    assert put.write(60, body[60:160]) == 160  # overlaps
    assert put.begin(head, None) == 160  # another host goes on with it
    assert put.write(160, b"") == 160
    assert raises(Refused, put.write, 160, bytes(len(body))).reason == "damaged"
    assert raises(Refused, put.commit, {}).reason == "damaged"
    assert c.version == 0
    send(put, data, piece=7)
    put.commit({})
    assert c.version == 1
    assert raises(Refused, put.commit, {}).reason == "damaged"  # there is nothing to commit now
    assert raises(Refused, put.write, 0, b"x").reason == "damaged"
    assert put.begin(head, None) == len(body) and put.in_force(head)


def test_another_bundle_begins_anew():
    c, _, _ = fresh()
    put = Put(c)
    assert put.begin(made.V1[:HEAD_SIZE], None) == 0
    put.write(0, made.V1[HEAD_SIZE : HEAD_SIZE + 600])
    send(put, made.V2)
    put.commit({})
    assert c.version == 2


def test_members_as_text():
    c, _, _ = fresh()
    take(c, made.V1)
    whole = b""
    left = 1
    while left:
        text, left = c.text("display", len(whole), 100)
        whole += text
    assert whole[:1] == b"{" and whole[-1:] == b"}"
    assert c.text("fares", 0, 100) == (b'{"flat":101}', 0)
    assert c.text("fares", 5000, 100) == (b"", 0)
    raises(ValueError, c.text, "fares", -300, 100)
    raises(KeyError, c.text, "cards", 0, 100)


def test_nvs_lost_and_no_bank_whole():
    """Nobody takes such a validator but who signed what is left of its configuration."""
    for at in (0, 8, AT + HEAD_SIZE + 5):
        c, flash, nvs = fresh()
        take(c, made.V2)
        take(c, made.V3)
        for bank in (0, BANK):
            flash.data[bank + at] ^= 0x10
        nvs = FakeNvs()
        c = boot(flash, nvs)
        c.lock()  # as the application does
        assert c.version == 0 and c.life_cycle == "service"
        for key in (made.STRANGER, made.SECOND):
            assert raises(Refused, claim, c, b"\x04" + key).reason == "foreign"
        assert "operator_key" not in nvs.stored
        claim(c, b"\x04" + made.FIRST)
        c = boot(flash, nvs)
        take(c, made.V4_FIRST)
        assert c.version == 4


def test_nvs_lost_and_nothing_left_of_a_configuration():
    c, flash, nvs = fresh()
    c = boot(flash, FakeNvs())
    assert not c.used()
    c.lock()
    for key in (made.FIRST, made.STRANGER):
        assert raises(Refused, claim, c, b"\x04" + key).reason == "foreign"
    c.mount()
    assert c.life_cycle == "service"


def test_the_operators_key_lost_alone_with_both_banks_damaged():
    c, flash, nvs = fresh()
    take(c, made.V2)
    flash.data[20] ^= 1
    del nvs.stored["operator_key"], nvs.stored["config_seen"]
    c = boot(flash, FakeNvs(nvs.stored))
    assert c.used() and c.life_cycle == "service"
    assert raises(Refused, claim, c, b"\x04" + made.STRANGER).reason == "foreign"
    claim(c, b"\x04" + made.FIRST)


def test_a_claim_by_anybody_costs_no_mathematics_where_there_is_an_operator():
    from validator.crypto import signed

    c, flash, nvs = fresh()
    real = signed.point
    signed.point = None
    try:
        x, y = made.FIRST[:32], made.FIRST[32:]
        for same in (made.FIRST, b"\x04" + made.FIRST, bytes((2 | y[31] & 1,)) + x):
            claim(c, same)
        for other in (b"", b"\x02", bytes((3 - (y[31] & 1),)) + x, b"\x04" + made.SECOND):
            assert raises(Refused, claim, c, other).reason == "foreign"
    finally:
        signed.point = real
