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
        self.configuration = Configuration(flash, nvs, made.SERIAL)
        self.configuration.mount()
        self.clock = FakeClock()
        self.clock.trusted = False
        self.gate = FakeGate()
        self.taps = Taps()
        self.log = Log()
        self.restarts = 0
        self.away = False
        self.peer = Registry(self.gate)
        calls_config.register(self, self.peer)

    def configured(self):
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
    assert app.log.lines[-1][1].startswith("refused: ")
    e = raises(RpcError, push, app, made.WRONG["cards"])
    assert e.data["reason"] == "invalid" and "cards.limits.tap" in e.message
    # Two got as far as the check, for which the running one was put away: it starts anew.
    assert app.restarts == 2 and app.call("info")["version"] == 0


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
