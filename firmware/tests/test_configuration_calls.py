"""The calls about the configuration, as a host makes them."""

import binascii

import config_bundles as made
from fakes import FakeClock, FakeGate, Registry, raises, run
from flash_sim import FlashSim
from test_state import FakeNvs
from validator import calls_config
from validator.link.peer import REFUSED, RpcError
from validator.store.bundle import HEAD_SIZE
from validator.store.configuration import Configuration


class Taps:
    busy_for = 0

    def busy(self):
        self.busy_for -= 1
        return self.busy_for >= 0


class Log:
    def __init__(self):
        self.lines = []

    def _put(self, area, text):
        self.lines.append((area, text))

    error = warning = info = _put


class App:
    def __init__(self, flash, nvs):
        self.flash = flash
        self.nvs = nvs
        self.clock = FakeClock()
        self.clock.trusted = False
        self.gate = FakeGate()
        self.taps = Taps()
        self.log = Log()
        self.boot()

    def boot(self):
        self.configuration = Configuration(self.flash, self.nvs, made.SERIAL)
        self.configuration.mount()
        self.restarts = 0
        self.away = False
        self.peer = Registry(self.gate)
        calls_config.register(self, self.peer)

    def restart(self):
        assert self.away, "the old one is put away before the new one is checked"
        self.restarts += 1

    def put_away(self):
        self.away = True

    def call(self, name, params=None):
        result = self.peer.calls["config." + name](params or {})
        return run(result) if hasattr(result, "send") else result


def rig():
    app = App(FlashSim(16, 512), FakeNvs())
    app.call("claim", {"public": "04" + made.FIRST.hex()})
    return app


def push(app, data):
    answer = app.call("begin", {"head": data[:HEAD_SIZE].hex()})
    at = answer["next"]
    while at < answer["size"]:
        piece = binascii.b2a_base64(data[HEAD_SIZE + at :][:300]).decode()
        at = app.call("data", {"at": at, "data": piece})["next"]
    return app.call("commit")


def refusal(app, name, params=None):
    e = raises(RpcError, app.call, name, params)
    assert e.code == REFUSED
    return e.data["reason"] if e.data else e.message


def test_push():
    app = rig()
    assert app.call("info")["life_cycle"] == "factory"
    info = push(app, made.V1)
    assert info["version"] == 1 and info["life_cycle"] == "bench" and app.restarts == 1
    assert info == app.call("info")
    assert app.log.lines == [("config", "version 1, " + made.V1[28:32].hex())]
    answer = app.call("begin", {"head": made.V1[:HEAD_SIZE].hex()})
    assert answer["in_force"] and answer["next"] == answer["size"]
    assert app.restarts == 1


def test_refusals_have_a_reason():
    app = rig()
    assert refusal(app, "claim", {"public": "04" + made.SECOND.hex()}) == "foreign"
    assert refusal(app, "begin", {"head": "00"}) == "damaged"
    assert refusal(app, "begin", {"head": made.V5_STRANGER[:HEAD_SIZE].hex()}) == "foreign"
    assert refusal(app, "begin", {"head": made.V5_LATER[:HEAD_SIZE].hex()}) == "too_early"
    app.clock.trusted = True
    assert app.call("begin", {"head": made.V5_LATER[:HEAD_SIZE].hex()})["next"] == 0
    assert refusal(app, "commit") == "damaged"
    e = raises(RpcError, push, app, made.WRONG["cards"])
    assert e.data["reason"] == "invalid" and "cards.limits.tap" in e.message
    assert app.log.lines[-1] == ("config", "a configuration was refused, version 5")
    # One got as far as the check, for which the running one was put away: it starts anew.
    assert app.restarts == 1 and app.call("info")["version"] == 0


def test_out_of_order():
    app = rig()
    assert refusal(app, "data", {"at": 0, "data": "AAAA"}) == "damaged"
    assert refusal(app, "commit") == "damaged"
    for params in ({}, {"head": "zz"}, {"head": 7}):
        raises((KeyError, ValueError, TypeError), app.call, "begin", params)
    push(app, made.V1)
    assert refusal(app, "commit") == "damaged"


def test_reading_gives_no_secret():
    app = rig()
    push(app, made.V2)
    names = app.call("read")["names"]
    assert "token_key" not in names and "fares" in names
    assert refusal(app, "read", {"name": "token_key"}) == "no call gives out token_key"
    answer = app.call("read", {"name": "fares"})
    assert binascii.a2b_base64(answer["data"]) == b'{"flat":102}' and answer["left"] == 0
    text = b""
    left = 1
    while left:
        answer = app.call("read", {"name": "display", "at": len(text)})
        text += binascii.a2b_base64(answer["data"])
        left = answer["left"]
    assert text in made.V2
    raises(KeyError, app.call, "read", {"name": "cards"})
    raises(ValueError, app.call, "read", {"name": "display", "at": -400})


def test_no_offset_reaches_the_secret_beside():
    app = rig()
    push(app, made.V2)
    for name in app.call("read")["names"]:
        for at in range(0, 1200, 50):
            text = binascii.a2b_base64(app.call("read", {"name": name, "at": at})["data"])
            assert b"0000002a" not in text and b"token_key" not in text


def test_reading_needs_the_right():
    app = rig()
    push(app, made.V1)
    app.gate.closed = ("records",)
    assert refusal(app, "read") == "no right to records"
    app.gate.closed = ("records", "change")
    assert refusal(app, "read", {"name": "fares"}) == "no right to records"
    # A bundle is its own permission, and what runs is no secret.
    assert app.call("info")["version"] == 1
    app.boot()
    push(app, made.V2)


def test_a_rider_at_the_door_comes_first():
    app = rig()
    waited = []

    class Asyncio:
        async def sleep_ms(self, ms):
            waited.append(ms)

    before = calls_config.asyncio
    calls_config.asyncio = Asyncio()
    try:
        app.taps.busy_for = 3
        push(app, made.V1)
    finally:
        calls_config.asyncio = before
    assert len(waited) == 3


# -- in service, by somebody who has no session ---------------------------------------------------


def closed(data=made.V2):
    """A validator in service, and a caller without rights."""
    app = rig()
    push(app, data)
    app.boot()
    app.gate.closed = ("records", "change", "inject", "debug")
    return app


def part(app, data, least=300):
    """Begin, and send the first piece."""
    answer = app.call("begin", {"head": data[:HEAD_SIZE].hex()})
    piece = binascii.b2a_base64(data[HEAD_SIZE:][:least]).decode()
    return app.call("data", {"at": 0, "data": piece})["next"] if not answer["next"] else None


def test_nothing_is_stopped_or_erased_for_what_is_not_right():
    app = closed()
    before = bytes(app.flash.data), dict(app.nvs.stored), app.call("info")
    forged = bytearray(made.V3)
    forged[100] ^= 1

    def refused(name, params=None):
        e = raises((RpcError, KeyError, ValueError, TypeError), app.call, name, params)
        assert (bytes(app.flash.data), dict(app.nvs.stored), app.call("info")) == before, name
        assert not app.away and not app.restarts, name
        return e

    for _ in range(3):
        refused("commit")
        refused("begin", {"head": "00"})
        refused("begin", {})
        refused("commit", {"head": "00"})
        for data in (made.V1, made.V2_OTHER, made.V5_STRANGER, made.V5_LATER, bytes(forged)):
            refused("begin", {"head": data[:HEAD_SIZE].hex()})
            refused("commit")
        refused("data", {"at": 0, "data": "AAAA"})
    assert app.gate.wrongs == 3, "a wrong signature costs the next one a pause"


def test_a_bundle_that_is_not_whole_or_for_others_stops_nobody():
    app = closed()
    app.clock.trusted = True
    part(app, made.V3)
    before = bytes(app.flash.data)
    # Not all of it came: what came stays, and the rest is still welcome.
    assert refusal(app, "commit") == "damaged"
    assert bytes(app.flash.data) == before
    assert part(app, made.V3) is None
    assert push(app, made.V3)["version"] == 3
    for data, reason in ((made.V5_THEIRS, "not_for_me"), (made.V5_OURS, None)):
        app = closed()
        away = app.away
        if reason is None:
            assert push(app, data)["version"] == 5 and app.restarts == 1
            continue
        for _ in range(3):
            e = raises(RpcError, push, app, data)
            assert e.data["reason"] == reason
            assert app.away == away and not app.restarts
    app = closed()
    damaged = bytearray(made.V3)
    damaged[HEAD_SIZE + 40] ^= 1
    assert raises(RpcError, push, app, bytes(damaged)).data["reason"] == "damaged"
    assert not app.away and not app.restarts
    assert app.call("info")["version"] == 2


def test_a_serial_number_is_found_wherever_it_stands():
    from validator.store.config_put import _PIECE, Put

    class C:
        serial = made.SERIAL
        flash = None

        def address(self, bank, place):
            return place >> 16

    flash = FlashSim(4, 512)
    put = Put(C())
    C.flash = flash
    mine = b'"%s"' % made.SERIAL.encode()
    for n in range(0, 2 * _PIECE + 3, 7):
        text = b"[" + b"x" * n + mine + b"]"
        flash.load(text + b"\xff" * (flash.size - len(text)))
        assert put._names(len(text))
        for at in (1 + n, 2 + n, n + len(mine)):
            other = bytearray(text)
            other[at] = 0x5A
            flash.load(other + b"\xff" * (flash.size - len(text)))
            assert not put._names(len(text))
        flash.load(text + b"\xff" * (flash.size - len(text)))
        assert not put._names(len(text) - 2), "what stands behind the member is not looked at"


def test_sections_that_are_refused_stop_it_once():
    app = closed()
    bad = made.WRONG["cards"]
    assert raises(RpcError, push, app, bad).data["reason"] == "invalid"
    assert app.restarts == 1
    for _ in range(3):
        app.boot()
        erased = list(app.flash.erases)
        for _ in range(5):
            e = raises(RpcError, push, app, bad)
            assert e.data["reason"] == "invalid" and "before" in e.message
        assert not app.restarts and not app.away and app.flash.erases == erased
    # Another firmware may know what to do with it.
    from validator.store import config_put

    before = config_put.VERSION
    config_put.VERSION = "99.0.0"
    try:
        app.boot()
        assert raises(RpcError, push, app, bad).data["reason"] == "invalid"
        assert app.restarts == 1
        app.boot()
        assert "before" in raises(RpcError, push, app, bad).message
    finally:
        config_put.VERSION = before
    assert push(app, made.V3)["version"] == 3


def test_many_that_are_refused_stop_it_a_bounded_number_of_times():
    app = closed()
    stops = 0
    bad = sorted(made.WRONG)
    for _ in range(3):
        for name in bad:
            app.boot()
            raises(RpcError, push, app, made.WRONG[name])
            stops += app.restarts
    assert 0 < stops <= 8 < len(bad)
    app.boot()
    app.gate.closed = ()  # who may change anything may also push the right one
    assert push(app, made.V3)["version"] == 3


def test_memory_that_runs_out_in_the_check_is_tried_again_but_not_for_ever():
    from validator import operation

    app = closed()

    def hog(section):
        raise MemoryError

    before = operation.CHECKS
    operation.CHECKS = {"fares": hog}
    stops = 0
    try:
        for _ in range(6):
            app.boot()
            raises(RpcError, push, app, made.V3)
            stops += app.restarts
    finally:
        operation.CHECKS = before
    assert stops == 3


def test_signed_bundles_begun_in_turn_wear_no_flash():
    app = closed()
    erased = sum(app.flash.erases)
    for second in range(3600):
        data = (made.V3, made.V4_FIRST, made.V5_OURS)[second % 3]
        app.clock.advance_us(1000000)
        try:
            part(app, data, 200)
        except RpcError as e:
            assert e.data["reason"] == "busy"
    assert sum(app.flash.erases) - erased <= 24  # an erase a begin, and one for pieces
    # With the right to change there is no such pause.
    app.gate.closed = ("records",)
    assert push(app, made.V5_OURS)["version"] == 5


def test_what_is_coming_in_is_not_pushed_out():
    app = closed()
    part(app, made.V4_FIRST)
    for data in (made.V3, made.V4_SECOND):
        reason = raises(RpcError, part, app, data).data["reason"]
        assert reason in ("busy", "foreign")
    assert push(app, made.V4_FIRST)["version"] == 4
    # A host that went silent holds nothing up, nor does an older bundle hold up a newer one.
    app = closed()
    part(app, made.V4_FIRST)
    app.clock.advance_us(61 * 1000000)
    part(app, made.V3)
    app.clock.advance_us(30 * 1000000)
    assert push(app, made.V5_OURS)["version"] == 5


def test_what_a_session_began_is_its_own():
    app = closed()
    app.gate.session, app.gate.closed = "abcd", ()
    part(app, made.V3)
    before = bytes(app.flash.data)
    app.gate.session, app.gate.closed = "", ("records", "change")
    app.clock.advance_us(20 * 1000000)
    for call in (
        lambda: app.call("commit"),
        lambda: app.call("data", {"at": 300, "data": "AAAA"}),
        lambda: part(app, made.V3),
        lambda: part(app, made.V5_OURS),
    ):
        assert raises(RpcError, call).data["reason"] == "busy"
    assert bytes(app.flash.data) == before
    app.gate.session, app.gate.closed = "abcd", ()
    assert push(app, made.V3)["version"] == 3


def test_one_call_at_a_time_and_one_that_is_dropped_holds_up_nothing():
    app = closed()
    call = app.peer.calls["config.begin"]
    head = {"head": made.V3[:HEAD_SIZE].hex()}
    call(head).close()  # the link had too many at work: it never began
    app.taps.busy_for = 1000

    class Asyncio:
        async def sleep_ms(self, ms):
            if app.taps.busy_for == 997:
                e = raises(RpcError, run, call(head))
                assert e.data["kind"] == "again"
                app.taps.busy_for = 0

    before = calls_config.asyncio
    calls_config.asyncio = Asyncio()
    try:
        assert run(call(head))["next"] == 0
    finally:
        calls_config.asyncio = before


def test_no_setting_of_the_collector_is_left_behind():
    import gc

    if not hasattr(gc, "threshold"):
        return
    app = closed()
    gc.threshold(-1)
    part(app, made.V3)
    raises(RpcError, app.call, "begin", {"head": "00"})
    assert gc.threshold() == -1


def test_what_a_dead_session_began_anybody_goes_on_with():
    """The signature is worth more: a cable that was pulled locks nobody out."""
    app = closed()
    app.gate.session, app.gate.closed = "abcd", ()
    part(app, made.V3, 300)
    app.gate.session, app.gate.closed = "", ("records", "change")
    app.gate.dead = ("abcd",)
    raises(RpcError, app.call, "commit")  # not without the head
    erased = sum(app.flash.erases)
    assert app.call("begin", {"head": made.V3[:HEAD_SIZE].hex()})["next"] == 300
    assert sum(app.flash.erases) == erased
    assert push(app, made.V3)["version"] == 3


def test_service_closes_the_bench_at_once():
    app = closed()
    app.gate.life_cycle = "bench"
    assert push(app, made.V3)["life_cycle"] == "bench" and app.gate.life_cycle == "bench"
    app.clock.advance_us(20 * 1000000)
    real = Configuration.mount

    def mount(configuration):
        real(configuration)
        configuration.life_cycle = "service"

    Configuration.mount = mount
    try:
        assert push(app, made.V5_OURS)["version"] == 5
    finally:
        Configuration.mount = real
    assert app.gate.life_cycle == "service"


def test_a_signature_that_found_no_memory_is_paid_for_too():
    from validator.store import config_put

    app = closed()
    real = config_put.bundle.verify

    def fails(head, key):
        raise MemoryError

    config_put.bundle.verify = fails
    try:
        before = app.gate.wrongs
        raises(MemoryError, app.call, "begin", {"head": made.V3[:HEAD_SIZE].hex()})
        assert app.gate.wrongs == before + 1
    finally:
        config_put.bundle.verify = real
