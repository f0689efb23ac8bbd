"""JSON-RPC at the validator's end: done once, answered always, never silent on nonsense."""

import asyncio

from validator.link import frame
from validator.link import peer as module
from validator.link.peer import REFUSED, Peer, RpcError


class Ticks:
    """A clock that moves at each look, so that a wait ends after a known number of looks."""

    def __init__(self):
        self.now = 0

    def ticks_ms(self):
        self.now += 200
        return self.now

    def ticks_us(self):
        return self.ticks_ms() * 1000

    def diff(self, later, earlier):
        return later - earlier


class Wire:
    """A console joined to the test: `say` is what the host sends, `heard` what it got."""

    def __init__(self):
        self.decoder = frame.Decoder()
        self.heard = []
        self.waiting = []
        self.arrived = asyncio.Event()
        self.credits = 0
        self.raw = []
        self.on_heard = None

    def write(self, data):
        self.raw.append(bytes(data))
        for kind, value in self.decoder.feed(data):
            assert kind == "message"
            self.heard.append(value)
            if self.on_heard:
                self.on_heard(value)

    def credit(self, at_least=1):
        self.credits += 1

    def say(self, message):
        self.say_raw(frame.encode(message))

    def say_raw(self, data):
        self.waiting.append(data)
        self.arrived.set()

    async def read(self):
        while not self.waiting:
            self.arrived.clear()
            await self.arrived.wait()
        return self.waiting.pop(0)


def serve(script):
    """Run `script(peer, wire, settle)` beside the peer's loop."""

    async def main():
        wire = Wire()
        peer = Peer(wire, Ticks())
        task = asyncio.create_task(peer.run())

        async def settle():
            for _ in range(20):
                await asyncio.sleep(0)

        await script(peer, wire, settle)
        task.cancel()

    asyncio.run(main())


def call(method, call_id="h-1", params=None):
    message = {"jsonrpc": "2.0", "id": call_id, "method": method}
    if params is not None:
        message["params"] = params
    return message


def test_call_and_result():
    async def script(peer, wire, settle):
        peer.register("add", lambda p: p["a"] + p["b"])
        wire.say(call("add", params={"a": 2, "b": 3}))
        await settle()
        assert wire.heard == [{"jsonrpc": "2.0", "id": "h-1", "result": 5}]
        assert wire.credits

    serve(script)


def test_repeated_call_is_done_once_and_answered_alike():
    done = []

    async def script(peer, wire, settle):
        peer.register("charge", lambda p: done.append(1) or len(done))
        for _ in range(3):
            wire.say(call("charge", "h-7"))
        await settle()
        assert done == [1]
        assert [m["result"] for m in wire.heard] == [1, 1, 1]
        wire.say(call("charge", "h-8"))
        await settle()
        assert len(done) == 2

    serve(script)


def test_repeat_while_it_runs_does_not_start_it_again():
    started = []

    async def script(peer, wire, settle):
        gate = asyncio.Event()

        async def slow(params):
            started.append(1)
            await gate.wait()
            return "late"

        peer.register("slow", slow)
        wire.say(call("slow", "h-1"))
        wire.say(call("slow", "h-1"))
        await settle()
        assert started == [1] and wire.heard == []
        gate.set()
        await settle()
        assert [m["result"] for m in wire.heard] == ["late"]

    serve(script)


def test_link_goes_on_while_a_call_runs():
    async def script(peer, wire, settle):
        gate = asyncio.Event()

        async def slow(params):
            await gate.wait()

        peer.register("slow", slow)
        peer.register("ping", lambda p: "pong")
        wire.say(call("slow", "h-1"))
        wire.say(call("ping", "h-2"))
        await settle()
        assert [m["id"] for m in wire.heard] == ["h-2"]
        gate.set()
        await settle()
        assert [m["id"] for m in wire.heard] == ["h-2", "h-1"]

    serve(script)


def test_errors_have_codes():
    async def script(peer, wire, settle):
        def refuse(params):
            raise RpcError(REFUSED, "not now", {"why": 1})

        def broken(params):
            raise OSError(5)

        peer.register("refuse", refuse)
        peer.register("broken", broken)
        peer.register("needs", lambda p: p["x"])
        for i, name in enumerate(("nothing", "refuse", "broken", "needs")):
            wire.say(call(name, "h-%d" % i))
        await settle()
        assert [m["error"]["code"] for m in wire.heard] == [-32601, -32000, -32603, -32602]
        assert wire.heard[1]["error"]["data"] == {"why": 1}

    serve(script)


def test_own_call_is_repeated_until_answered():
    async def script(peer, wire, settle):
        requests = []

        def answer(message):
            requests.append(message["id"])
            if len(requests) == 2:
                reply = {"jsonrpc": "2.0", "id": message["id"], "result": {"rapdu": "9000"}}
                wire.say(reply)
                wire.say(reply)  # a doubled answer disturbs nobody

        wire.on_heard = answer
        result = await peer.call("card.transceive", {"apdu": "00"}, 3000, 1)
        assert result == {"rapdu": "9000"}
        assert len(requests) == 2 and requests[0] == requests[1]
        await settle()

    serve(script)


def test_own_call_gives_up_and_reports_errors():
    async def script(peer, wire, settle):
        try:
            await peer.call("card.transceive", {}, 1000, 1)
            raise AssertionError("no timeout")
        except RpcError as e:
            assert "did not answer" in e.message

        def refuse(message):
            error = {"code": -32001, "message": "gone", "data": {"kind": "card_lost"}}
            wire.say({"jsonrpc": "2.0", "id": message["id"], "error": error})

        wire.on_heard = refuse
        try:
            await peer.call("card.transceive", {}, 1000, 100)
            raise AssertionError("no error")
        except RpcError as e:
            assert e.code == -32001 and e.data == {"kind": "card_lost"}

    serve(script)


def test_nonsense_is_survived():
    async def script(peer, wire, settle):
        peer.register("ping", lambda p: "pong")
        for junk in (b"hello\r\n", b"\x1e", b"\x1d\x00", b"\xff" * 300, frame.encode([1, 2])):
            wire.say_raw(junk)
        wire.say_raw(frame.encode(call("ping"))[:-3] + b"xx\n")
        wire.say(call("ping", "h-9"))
        wire.say({"id": "unknown", "result": 1})
        await settle()
        assert [m["id"] for m in wire.heard] == ["h-9"]
        assert peer.damaged >= 1

    serve(script)


class Gate:
    """Lets those in who say "mine"; `heard` is what messages said."""

    def __init__(self):
        self.heard = []

    def hear(self, session):
        self.heard.append(session)

    def need(self, right):
        if self.heard[-1] != "mine":
            raise RpcError(REFUSED, "no", {"need": right})

    def within(self):
        return self.heard[-1] == "mine"

    def owner(self):
        return "mine" if self.heard and self.within() else ""


def test_the_right_is_asked_for_before_the_work():
    done = []

    async def script(peer, wire, settle):
        peer.gate = Gate()

        def work(params):
            done.append(params["n"])
            return {}

        async def later(params):
            done.append(params["n"])
            return {}

        peer.register("now", work, "change")
        peer.register("later", later, "change")
        for n, (method, session) in enumerate(
            (
                ("now", None),
                ("later", None),
                ("now", "other"),
                ("now", ["mine"]),
                ("later", {"mine": "mine"}),
                ("now", "mine"),
                ("later", "mine"),
            )
        ):
            message = call(method, "h-%d" % n, {"n": n})
            if session is not None:
                message["session"] = session
            wire.say(message)
            wire.say(call("ping", "p-%d" % n))  # another's message in between changes nothing
        await settle()
        assert done == [5, 6]

    serve(script)


def test_an_answer_is_for_whom_it_was_made():
    made = []

    async def script(peer, wire, settle):
        peer.gate = Gate()
        peer.register("read", lambda p: made.append(1) or "secret", "records")
        peer.register("ping", lambda p: "pong")
        wire.say(dict(call("read", "h-1"), session="mine"))
        wire.say(call("read", "h-1"))
        wire.say(dict(call("read", "h-1"), session="other"))
        wire.say(call("ping", "h-1"))
        wire.say(dict(call("read", "h-1"), session="mine"))
        await settle()
        assert len(made) == 1
        results = [m.get("result") for m in wire.heard]
        assert results == ["secret", None, None, "pong", "secret"]

    serve(script)


def test_what_others_take_is_counted_and_a_sessions_is_not():
    async def script(peer, wire, settle):
        peer.gate = Gate()
        peer.register("read", lambda p: "x" * 300)
        wire.say(dict(call("read", "h-1"), session="mine"))
        await settle()
        assert peer.worked_us == peer.dirt == 0
        wire.say(call("read", "h-2"))
        await settle()
        assert peer.dirt > 400 and peer.worked_us > 0
        wire.say_raw(b"nonsense")
        before = peer.dirt
        await settle()
        assert peer.dirt == before + 8

    serve(script)


def test_nothing_is_looked_at_before_the_links_turn():
    async def script(peer, wire, settle):
        go = asyncio.Event()
        done = []
        peer.turn = go.wait
        peer.register("work", lambda p: done.append(1))
        wire.say(call("work"))
        await settle()
        assert not done and peer.received == 0
        go.set()
        await settle()
        assert done

    serve(script)


def test_what_is_for_one_pair_of_eyes_is_not_kept():
    async def script(peer, wire, settle):
        made = []
        peer.register("open", lambda p: made.append(1) or len(made), None, False)
        wire.say(call("open", "h-1"))
        wire.say(call("open", "h-1"))
        await settle()
        assert [m["result"] for m in wire.heard] == [1, 2]

    serve(script)


def test_calls_at_work_are_bounded_and_the_rest_is_told_to_wait():
    async def script(peer, wire, settle):
        go = asyncio.Event()
        begun = []

        async def slow(params):
            begun.append(1)
            await go.wait()
            return "done"

        peer.register("slow", slow)
        for n in range(200):
            wire.say(call("slow", "h-%d" % n))
            await settle()
        refused = [m for m in wire.heard if "error" in m]
        assert len(begun) < 8 and len(refused) == 200 - len(begun)
        assert all(m["error"]["data"]["kind"] == "again" for m in refused)
        go.set()
        await settle()
        assert len([m for m in wire.heard if m.get("result") == "done"]) == len(begun)
        wire.say(call("slow", "again"))
        await settle()
        assert wire.heard[-1]["result"] == "done"

    serve(script)


def test_what_is_kept_is_bounded_in_bytes():
    async def script(peer, wire, settle):
        peer.register("read", lambda p: "x" * p["n"])
        for n in range(50):
            wire.say(call("read", "h-%d" % n, {"n": 500}))
        await settle()
        kept = sum(len(entry[3] or b"") for entry in peer._answers)
        assert 0 < kept <= 2000 and len(peer._answers) <= 8
        for call_id in ("i" * 65, "i" * 1200, 1 << 70, -(1 << 70), 1.5, [], {}):
            wire.say({"jsonrpc": "2.0", "id": call_id, "method": "read", "params": {"n": 1}})
        before = len(wire.heard)
        await settle()
        assert len(wire.heard) == before, "an id that is too much to be kept"
        assert all(len(repr(entry[0])) < 70 for entry in peer._answers)

    serve(script)


def test_a_fault_is_answered_in_few_words():
    async def script(peer, wire, settle):
        def broken(params):
            raise OSError("x" * 2000)

        peer.register("broken", broken)
        wire.say(call("broken"))
        wire.say(call("n" * 1000, "h-2"))
        await settle()
        assert all(len(m["error"]["message"]) < 250 for m in wire.heard) and len(wire.heard) == 2

    serve(script)


def test_blocks_reach_their_handler():
    got = []

    async def script(peer, wire, settle):
        peer.on_block = lambda channel, sequence, payload: got.append((channel, sequence, payload))
        wire.say_raw(bytes(frame.encode_block(1, 9, b"bulk")))
        await settle()

    serve(script)
    assert got == [(1, 9, b"bulk")]


def test_large_answers_are_made_again_not_kept():
    made = []

    async def script(peer, wire, settle):
        peer.register("read", lambda p: made.append(1) or "x" * 2000)
        wire.say(call("read", "h-1"))
        await settle()
        wire.say(call("read", "h-1"))
        await settle()
        assert len(made) == 2 and len(wire.heard) == 2

    serve(script)


def test_answer_too_large_for_the_heap_is_an_error_not_a_crash():
    async def script(peer, wire, settle):
        def huge(params):
            return MemoryHog()

        peer.register("huge", huge)
        peer.register("ping", lambda p: "pong")
        wire.say(call("huge", "h-1"))
        wire.say(call("ping", "h-2"))
        await settle()
        assert wire.heard[0]["error"]["code"] == -32603
        assert "ask for less" in wire.heard[0]["error"]["message"]
        assert wire.heard[1]["result"] == "pong"

    real = frame.encode
    frame.encode = lambda m: _no_memory() if isinstance(m.get("result"), MemoryHog) else real(m)
    try:
        serve(script)
    finally:
        frame.encode = real


class MemoryHog:
    """Marks a result for which there is no memory."""


def _no_memory():
    raise MemoryError


def test_what_is_kept_of_strangers_calls_is_little():
    """Ids, sessions and methods of any length: of none is more kept than its bound."""

    async def script(peer, wire, settle):
        peer.gate = Gate()
        peer.register("ping", lambda p: "pong")
        for n in range(40):
            message = dict(call("ping", "i%d" % n + "x" * (40 * (n & 1))), session="s" * 900)
            wire.say(message)
            wire.say(call("m" * 900, "j%d" % n))
        await settle()
        held = 0
        for entry in peer._answers:
            for text in entry:
                held += len(text or "")
        assert len(peer._answers) <= 8 and held < 3000

    serve(script)


def test_a_call_that_found_no_memory_takes_no_place():
    """Neither where its task cannot be made, nor where its answer cannot: as often as it is."""

    class NoTasks:
        def __init__(self, real):
            self.real = real
            self.fails = True

        def __getattr__(self, name):
            return getattr(self.real, name)

        def create_task(self, coroutine):
            if self.fails:
                coroutine.close()
                raise MemoryError
            return self.real.create_task(coroutine)

    async def script(peer, wire, settle):
        async def later(params):
            return {}

        async def short(params):
            raise MemoryError

        peer.register("later", later)
        peer.register("short", short)
        tasks = module.asyncio = NoTasks(asyncio)
        try:
            for n in range(10):
                wire.say(call("later", "a%d" % n))
            await settle()
            assert not wire.heard and not peer._answers
            tasks.fails = False
            encode = frame.encode

            def fails(message):
                raise MemoryError

            requests = [encode(call("short", "b%d" % n)) for n in range(10)]
            frame.encode = fails
            loop = None
            if hasattr(asyncio, "get_running_loop"):  # CPython tells of what a task raised
                loop = asyncio.get_running_loop()
                loop.set_exception_handler(lambda *given: None)
            else:
                asyncio.get_event_loop().set_exception_handler(lambda *given: None)
            try:
                for data in requests:
                    wire.say_raw(data)
                    await settle()
            finally:
                frame.encode = encode
            assert not wire.heard and not peer._answers and not peer._at_work
        finally:
            module.asyncio = asyncio
        wire.say(call("later", "c"))
        await settle()
        assert [m["id"] for m in wire.heard] == ["c"]

    serve(script)


def test_nonsense_behind_a_sessions_message_is_not_the_sessions():
    async def script(peer, wire, settle):
        peer.gate = Gate()
        peer.register("read", lambda p: "x")
        wire.say(dict(call("read", "h-1"), session="mine"))
        await settle()
        assert peer.dirt == 0
        for _ in range(5):
            wire.say_raw(b"\x1e{[[}#0000\n")
        await settle()
        assert peer.dirt >= 5 * 10 and peer.worked_us > 0

    serve(script)
