"""The calls for deny lists and the sink that takes them in."""

import list_corpus as corpus
from fakes import FakeClock, FakeGate, Registry, raises, run
from list_corpus import CHANGES_2, LIST_1, LIST_2, rider
from list_script import flash, mounted
from validator import calls_lists
from validator.link.peer import RpcError


class Transfer:
    def __init__(self, app):
        self.sinks = {}
        self._app = app

    async def quiet(self):
        while self._app.tapping:
            await self._app.clock.sleep_ms(10)
            self._app.tapping -= 1


class App:
    """As much of the application as the calls need; it is its own peer and log."""

    def __init__(self, lists):
        self.lists = lists
        self.configuration = self
        self.key = corpus.OPERATOR
        self.clock = FakeClock()
        self.gate = FakeGate()
        self.tapping = 0
        self.transfer = Transfer(self)
        self.peer = Registry(self.gate)
        self.log = self
        self.lines = []
        calls_lists.register(self, self.peer)

    def info(self, area, text):
        self.lines.append(text)

    def call(self, name, **params):
        result = self.peer.calls[name](params)
        return run(result) if hasattr(result, "send") else result

    def send(self, data, piece=100):
        sink = self.transfer.sinks["list"]
        header = {"kind": "list", "size": len(data), "digest": corpus.sha256(data).digest().hex()}
        at = sink.begin(header)
        while at < len(data):
            n = min(piece, len(data) - at)
            run(sink.write(at, memoryview(data)[at : at + n]))
            at += n
        return run(sink.finish())


def test_what_is_in_force():
    app = App(mounted(flash()))
    assert app.call("lists.info")["version"] == 0
    assert app.send(LIST_1)["version"] == 1
    assert app.lines == ["version 1 with 300 tokens is in force"]
    assert app.call("lists.info")["entries"] == 300
    assert app.call("lists.contains", token=rider(7).hex()) == {"denied": True}
    assert app.call("lists.contains", token=rider(320).hex()) == {"denied": False}
    raises(RpcError, lambda: app.call("lists.contains", token="00"))
    app.send(LIST_1)
    assert len(app.lines) == 1


def test_asking_who_is_listed_needs_a_right():
    app = App(mounted(flash()))
    app.gate.closed = ("records", "change")
    raises(RpcError, lambda: app.call("lists.contains", token=rider(7).hex()))
    raises(RpcError, lambda: app.call("lists.check"))
    assert app.call("lists.info")["version"] == 0


def test_the_operator_is_asked_for_when_a_list_comes():
    app = App(mounted(flash(), operator=None))
    app.key = b""
    raises(ValueError, app.send, LIST_1)
    app.key = corpus.OPERATOR
    assert app.send(LIST_1)["version"] == 1


def test_all_of_it_can_be_checked():
    app = App(mounted(flash()))
    raises(RpcError, lambda: app.call("lists.check"))
    app.send(LIST_1)
    assert app.call("lists.check") == {"intact": True}
    app.lists.flash.flip(app.lists.body_at + 100)
    assert app.call("lists.check") == {"intact": False}


def test_nothing_is_done_while_a_rider_taps():
    app = App(mounted(flash()))
    app.send(LIST_1)
    nor = app.lists.flash
    during = []

    def watch(clock):
        if app.tapping:
            during[-1].append(len(nor.log))
        else:
            app.tapping = 3  # the next rider is there at once
            during.append([])

    app.clock.watchers.append(watch)
    app.send(CHANGES_2)
    assert app.lists.info()["version"] == 2
    assert len(during) > 3
    for tap in during:
        assert len(tap) == 3 and min(tap) == max(tap)


def test_a_board_without_a_partition():
    app = App(None)
    assert app.transfer.sinks == {}
    raises(RpcError, lambda: app.call("lists.info"))


def test_a_transfer_that_is_given_up():
    app = App(mounted(flash()))
    sink = app.transfer.sinks["list"]
    digest = corpus.sha256(LIST_2).digest().hex()
    sink.begin({"kind": "list", "size": len(LIST_2), "digest": digest})
    run(sink.write(0, LIST_2[:600]))
    sink.drop()
    assert app.send(LIST_2)["version"] == 2
