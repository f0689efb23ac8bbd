"""Which image ran when, as a technician will read it; and the calls around an update."""

import asyncio

from fakes import Registry
from transfer_bench import App as Around
from validator import update_history
from validator.calls_update import register
from validator.link.peer import RpcError
from validator.link.transfer import Transfer
from validator.restart import Restart
from validator.version import VERSION


class Nvs:
    def __init__(self):
        self.entries = {}
        self.commits = 0
        self.broken = False

    def get_i32(self, key):
        if key not in self.entries:
            raise OSError(-0x1102)
        return self.entries[key]

    def set_i32(self, key, value):
        assert -0x80000000 <= value < 0x80000000
        self.entries[key] = value

    def get_blob(self, key, buf):
        blob = self.get_i32(key)
        buf[: len(blob)] = blob
        return len(blob)

    def set_blob(self, key, value):
        if self.broken:
            raise OSError(-0x1105)
        assert len(key) <= 15 and len(value) < 1984
        self.entries[key] = bytes(value)

    def commit(self):
        self.commits += 1


class App(Around):
    """One boot of a validator whose NVS is `nvs`."""

    micropython = "1.24.1"
    name = "ESP32_TEST"

    def __init__(self, nvs, boots=1, slot="a", id="00112233445566aa", why=""):
        super().__init__()
        self.nvs_ = nvs
        self.boots = boots
        self.boot = {"slot": slot, "id": id, "why": why}
        self.board = self.state = self.configuration = self.log = self
        self.key = None
        self.size = 0x40000
        self.errors = []
        self.resets = 0
        self.peer = Registry(self.gate)
        self.transfer = Transfer(self, self.peer)
        self.clock.unix = lambda: 1900000000
        self.updates = register(self, self.peer)

    def nvs(self, namespace):
        return self.nvs_

    def flash(self, label):
        assert label in ("app_a", "app_b")
        return self

    def uptime_ms(self):
        return 90000

    def error(self, area, text):
        self.errors.append(text)

    def reset(self):
        self.resets += 1

    def history(self):
        return self.peer.calls["update.history"]({})


def test_each_change_is_noted_once():
    nvs = Nvs()
    App(nvs)
    commits = nvs.commits
    app = App(nvs, boots=2)
    assert nvs.commits == commits  # nothing changed, nothing is written
    assert app.history() == [
        {
            "unix": None,
            "before": False,
            "boot": 1,
            "slot": "a",
            "id": "00112233445566aa",
            "version": VERSION,
            "why": "",
        }
    ]
    App(nvs, boots=3, slot="b", id="ffeeddccbbaa9988")
    app = App(nvs, boots=6, why="app_b failed 3 times")
    found = app.history()
    assert [(e["boot"], e["slot"], e["id"][:4]) for e in found] == [
        (1, "a", "0011"),
        (3, "b", "ffee"),
        (6, "a", "0011"),
    ]
    assert found[2]["why"] == "app_b failed 3 times"
    # The same image in the other slot is a change too, and so is another one in the same slot.
    App(nvs, boots=7, slot="b")
    app = App(nvs, boots=8, slot="b", id="0123456789abcdef")
    assert [e["boot"] for e in app.history()] == [1, 3, 6, 7, 8]


def test_a_way_back_is_noted_though_the_failed_image_never_got_that_far():
    nvs = Nvs()
    App(nvs)
    App(nvs, boots=5, why="app_b failed 3 times")
    app = App(nvs, boots=6)
    assert [(e["boot"], e["why"]) for e in app.history()] == [(1, ""), (5, "app_b failed 3 times")]


def test_the_oldest_goes():
    nvs = Nvs()
    for boots in range(1, 20):
        app = App(nvs, boots=boots, slot="ab"[boots % 2])
    assert [e["boot"] for e in app.history()] == list(range(8, 20))


def test_a_clock_that_is_set_later_dates_the_last_entry():
    nvs = Nvs()
    app = App(nvs)
    app.updates.clock_set()
    assert app.history()[0]["unix"] == 1900000000 - 90 and not app.history()[0]["before"]
    app.clock.unix = lambda: 1900009999
    app.updates.clock_set()
    assert app.history()[0]["unix"] == 1900000000 - 90
    App(nvs, boots=2, slot="b")
    later = App(nvs, boots=3, slot="b")
    later.updates.clock_set()
    entry = later.history()[-1]
    assert (entry["unix"], entry["before"], entry["boot"]) == (1900000000, True, 2)
    assert later.history()[0]["unix"] == 1900000000 - 90


def test_nvs_that_fails_stops_nothing():
    nvs = Nvs()
    nvs.broken = True
    app = App(nvs)
    assert app.errors and app.history() == []
    app.updates.clock_set()
    nvs.broken = False
    assert [e["boot"] for e in App(nvs, boots=2).history()] == [2]
    update_history.date(Nvs(), 1, 5, 1)


def test_a_long_why_and_an_image_without_an_id():
    nvs = Nvs()
    app = App(nvs, id="", why="app_b: damaged: validator/media/quickpass.mpy; and more")
    found = app.history()[0]
    assert found["why"] == "app_b: damaged: validator/medi" and found["id"] == "0" * 16


def test_state():
    app = App(Nvs(), slot="b")
    state = app.peer.calls["update.state"]({})
    assert state["slot"] == "b" and state["idle"] == "a" and state["key"] is None
    assert state["size"] == 0x40000 and state["transfer"] == {}
    app.key = b"\x04" * 64
    assert app.peer.calls["update.state"]({})["key"] == "04" * 64
    assert "image" in app.transfer.sinks


def test_restart_waits_for_the_rider():
    async def script():
        app = App(Nvs())
        app.restart = Restart(app.clock, app.taps, app.board).soon
        restart = app.peer.calls["update.restart"]
        restart({"id": "00112233445566aa", "slot": "a"})  # that one runs
        for _ in range(10):
            await asyncio.sleep(0)
        assert not app.resets
        app.taps.left = 5
        restart({"id": "ffeeddccbbaa9988", "slot": "a"})
        for _ in range(4):
            await asyncio.sleep(0)
            assert not app.resets
        for _ in range(10):
            await asyncio.sleep(0)
        assert app.resets == 1
        for _ in range(20):  # it is one restart, however often it is asked for
            restart({"id": "ffeeddccbbaa9988", "slot": "b"})
            await asyncio.sleep(0)
        assert app.resets == 1
        # A tap that never ends keeps nobody from it.
        app.taps.left = 1 << 20
        Restart(app.clock, app.taps, app.board).soon()
        for _ in range(1000):
            await asyncio.sleep(0)
        assert app.resets == 2
        app.gate.closed = ("change",)
        try:
            restart({"id": "00112233445566aa", "slot": "b"})
            raise AssertionError("no right, and yet it restarts")
        except RpcError:
            pass

    asyncio.run(script())
