"""Bulk data at the validator's end: what comes damaged, doubled or not at all costs time only."""

import asyncio
import binascii
import gc

from fakes import FakeClock, FakeGate, Registry
from transfer_bench import App, Sink
from validator.link import packed, receive, transfer
from validator.link.packed import BLOCK
from validator.link.peer import REFUSED, RpcError
from validator.link.send import Pace
from validator.link.transfer import CHANNEL, FROM_VALIDATOR, Transfer

# b"faretap " 64 times, by zlib.compressobj(9, DEFLATED, -10): the device cannot compress.
TEXT = b"faretap " * 64
MEMORY = "no piece of memory is left that is large enough"
DEFLATED = bytes.fromhex("4b4b2c4a2d492c50481ba547240d00")


class Bench:
    """A transfer layer and the host's side of it, by hand."""

    def __init__(self, data, sink=None):
        self.app = App()
        self.peer = Registry(self.app.gate)
        self.transfer = Transfer(self.app, self.peer)
        self.app.transfer = self.transfer
        self.sink = sink or Sink()
        self.transfer.sinks["thing"] = self.sink
        self.data = data
        self.id = None

    async def call(self, name, **params):
        result = self.peer.calls[name](params)
        return await result if hasattr(result, "send") else result

    async def begin(self, kind="thing"):
        digest = "00" * 32
        answer = await self.call("transfer.begin", kind=kind, size=len(self.data), digest=digest)
        self.id = answer["id"]
        return answer["next"]

    def packed(self, n):
        contents = self.data[n * BLOCK : (n + 1) * BLOCK]
        return packed.head(len(contents), len(contents), binascii.crc32(contents)) + contents

    def piece(self, n, at, data, id=None):
        payload = bytes((n >> 8, n & 255, at >> 8, at & 255)) + data
        self.peer.on_block(CHANNEL, self.id if id is None else id, payload)

    async def settle(self):
        for _ in range(12):
            await asyncio.sleep(0)

    async def send(self, n, size=500):
        block = self.packed(n)
        for at in range(0, len(block), size):
            self.piece(n, at, block[at : at + size])
        await self.settle()

    def words(self):
        """(failed, number, position) of what the validator said since."""
        out = []
        for channel, sequence, payload in self.app.console.blocks:
            assert channel == CHANNEL and sequence == self.id and len(payload) == 5
            number = payload[1] << 8 | payload[2]
            out.append((payload[0], number, payload[3] << 8 | payload[4]))
        self.app.console.blocks = []
        return out


def run(script):
    asyncio.run(script())


async def refusal(awaitable):
    """The sentence with which it is refused."""
    try:
        await awaitable
    except RpcError as e:
        assert e.code == REFUSED
        return e.message
    raise AssertionError("not refused")


def pattern(size):
    return bytes((i * 7 + (i >> 8)) & 255 for i in range(size))


def test_blocks_reach_the_sink_in_order():
    async def script():
        bench = Bench(pattern(2 * BLOCK + 100))
        assert await bench.begin() == 0
        assert bench.sink.header["size"] == 2 * BLOCK + 100
        for n in range(3):
            await bench.send(n)
            assert bench.words() == [(0, n + 1, 0)]
        await bench.send(2)  # all is there
        assert bench.words() == []
        assert b"".join(data for _, data in bench.sink.writes) == bench.data
        assert [offset for offset, _ in bench.sink.writes] == [0, BLOCK, 2 * BLOCK]
        assert await bench.call("transfer.finish", id=bench.id) == {"writes": 3}
        assert bench.sink.finished == bench.sink.dropped == 1
        assert bench.transfer.state({}) == {}

    run(script)


def test_a_deflated_block():
    async def script():
        bench = Bench(TEXT)
        await bench.begin()
        block = packed.head(len(TEXT), len(DEFLATED), binascii.crc32(TEXT)) + DEFLATED
        for at in range(len(block)):  # a byte at a time
            bench.piece(0, at, block[at : at + 1])
        await bench.settle()
        assert bench.sink.writes == [(0, TEXT)]

    run(script)


def test_a_gap_is_told_once_and_filled():
    async def script():
        bench = Bench(pattern(BLOCK))
        await bench.begin()
        block = bench.packed(0)
        bench.piece(0, 0, block[:500])
        bench.piece(0, 1000, block[1000:1500])
        bench.piece(0, 1500, block[1500:2000])
        assert bench.words() == [(0, 0, 500)]
        bench.piece(0, 500, block[500:1000])
        bench.piece(0, 1500, block[1500:2000])  # and again
        assert bench.words() == [(0, 0, 1000)]
        for at in range(1000, len(block), 500):
            bench.piece(0, at, block[at : at + 500])
        await bench.settle()
        assert bench.sink.writes == [(0, bench.data)]

    run(script)


def test_doubled_and_overlapping_pieces():
    async def script():
        bench = Bench(pattern(2 * BLOCK))
        await bench.begin()
        block = bench.packed(0)
        for at in (0, 0, 100, 300, 0, 700, 1400, 1000, 1700):
            bench.piece(0, at, block[at : at + 700])
        await bench.settle()
        assert bench.sink.writes == [(0, bench.data[:BLOCK])]
        bench.words()
        for at in (0, 700, 1400):  # all of it again: it is done
            bench.piece(0, at, block[at : at + 700])
        await bench.settle()
        assert bench.words() == [] and len(bench.sink.writes) == 1
        await bench.send(1)
        assert len(bench.sink.writes) == 2

    run(script)


def test_pieces_of_another_transfer_are_nobodys():
    async def script():
        bench = Bench(pattern(BLOCK))
        await bench.begin()
        block = bench.packed(0)
        bench.piece(0, 0, block[:700], id=bench.id ^ 1)
        bench.piece(0, 0, b"")
        bench.peer.on_block(CHANNEL, bench.id, b"\0\0")
        bench.peer.on_block(9, bench.id, bytes(100))
        assert bench.transfer.state({})["held"] == 0
        assert bench.words() == []

    run(script)


def test_a_block_that_is_not_what_was_packed_comes_again():
    async def script():
        bench = Bench(pattern(BLOCK))
        await bench.begin()
        good = bench.packed(0)
        for at in (8, 1000, len(good) - 1, 4):
            bad = bytearray(good)
            bad[at] ^= 0x20
            bench.piece(0, 0, bytes(bad))
            await bench.settle()
            assert bench.words() == [(0, 0, 0)] and bench.sink.writes == []
        for head in (
            packed.head(0, 0, 0),
            packed.head(BLOCK, BLOCK + 1, 0),
            packed.head(BLOCK - 1, BLOCK - 1, 0),  # not as long as this block is to be
            packed.head(BLOCK, 0, 0),
        ):
            bench.piece(0, 0, head)
            assert bench.words() == [(0, 0, 0)]
        bench.piece(0, 0, good + b"x")  # longer than it says
        assert bench.words() == [(0, 0, 0)]
        bench.piece(0, 0, packed.head(BLOCK, 20, 1) + bytes(20))
        await bench.settle()  # no deflate stream
        assert bench.words() == [(0, 0, 0)]
        bench.piece(0, 0, good)
        await bench.settle()
        assert bench.sink.writes == [(0, bench.data)]

    run(script)


def test_the_sink_says_where_to_go_on():
    async def script():
        bench = Bench(pattern(6 * BLOCK), Sink(start=BLOCK + 100))
        bench.sink.jump[2 * BLOCK] = 5 * BLOCK
        assert await bench.begin() == BLOCK + 100
        await bench.send(0)
        assert bench.sink.writes == []
        await bench.send(1)
        await bench.send(2)
        assert bench.words()[-1] == (0, 5, 0)
        await bench.send(5)
        assert [(at, len(d)) for at, d in bench.sink.writes] == [
            (BLOCK + 100, BLOCK - 100),
            (2 * BLOCK, BLOCK),
            (5 * BLOCK, BLOCK),
        ]
        assert bench.sink.writes[0][1] == bench.data[BLOCK + 100 : 2 * BLOCK]
        assert await bench.call("transfer.finish", id=bench.id)

    run(script)


def test_a_sink_that_has_it_all():
    async def script():
        bench = Bench(pattern(10), Sink(start=10))
        assert await bench.begin() == 10
        assert await bench.call("transfer.finish", id=bench.id) == {"writes": 0}

    run(script)


def test_refusals():
    async def script():
        bench = Bench(pattern(BLOCK))
        assert "takes no other" in await refusal(bench.begin("other"))
        bench.app.gate.closed = ("change",)
        assert "no right to change" in await refusal(bench.begin())
        bench.app.gate.closed = ()
        bench.sink.begin = refusing
        assert "too old" in await refusal(bench.begin())
        assert bench.transfer.state({}) == {}
        for size in (0, -1, 1 << 30, "x", None):
            call = bench.call("transfer.begin", kind="thing", size=size, digest="")
            assert "size" in await refusal(call)
        assert "no such transfer" in await refusal(bench.call("transfer.finish", id=1))

    def refusing(header):
        raise ValueError("this thing is too old")

    run(script)


def test_begin_beyond_the_end_is_refused():
    async def script():
        bench = Bench(pattern(10), Sink(start=11))
        assert "cannot go on at 11" in await refusal(bench.begin())
        assert bench.transfer.state({}) == {}

    run(script)


def test_a_sink_that_fails_ends_the_transfer():
    class Odd(ValueError):
        reason = "odd"

    async def script():
        for fault, text, data in (
            (Odd("this is odd"), "this is odd", {"kind": "odd"}),
            (RpcError(REFUSED, "not now", {"kind": "x"}), "not now", {"kind": "x"}),
            (OSError(5), "the flash fails", None),
            (KeyError("k"), "failed inside", None),
        ):
            bench = Bench(pattern(2 * BLOCK))
            await bench.begin()
            bench.sink.fault = fault
            await bench.send(0)
            assert bench.words() == [(1, 0, 0)]
            state = bench.transfer.state({})
            assert text in state["fault"] and state["data"] == data
            await bench.send(0)  # nothing is taken any more
            assert bench.words() == []
            try:
                await bench.call("transfer.finish", id=bench.id)
                raise AssertionError("finished")
            except RpcError as e:
                assert text in e.message
            bench.sink.fault = None
            assert await bench.begin() == 0

    run(script)


def starving(*arguments):
    raise MemoryError("memory allocation failed, allocating 5120 bytes")


def test_memory_that_is_not_to_be_had_is_a_refusal():
    async def script():
        for at in ("Receiver", "begin", "write", "finish", "unpack_into"):
            bench = Bench(pattern(2 * BLOCK))
            place = {"Receiver": receive, "unpack_into": packed}.get(at, bench.sink)
            real = getattr(place, at)
            setattr(place, at, starving)
            try:
                if at in ("Receiver", "begin"):
                    assert MEMORY in await refusal(bench.begin())
                    assert bench.transfer.state({}) == {}
                    continue
                await bench.begin()
                await bench.send(0)
                if at == "finish":
                    await bench.send(1)
                else:
                    state = bench.transfer.state({})
                    assert MEMORY in state["fault"] and not state["busy"]
                    assert state["data"] == {"kind": "memory"}
                assert MEMORY in await refusal(bench.call("transfer.finish", id=bench.id))
            finally:
                setattr(place, at, real)
            bench.words()
            assert await bench.begin() == 0
            await bench.send(0)
            assert bench.words() == [(0, 1, 0)]

    run(script)


def test_a_heap_in_small_pieces():
    async def script():
        bench = Bench(pattern(BLOCK))
        await bench.begin()  # what is loaded for the first one is there from then on
        assert gc.threshold() == 16384
        await bench.begin()
        assert gc.threshold() == 16384
        await bench.send(0)
        await bench.call("transfer.finish", id=bench.id)
        assert gc.threshold() == -1
        gc.collect()
        held = [None] * 4000
        try:
            for n in range(len(held)):
                held[n] = bytearray(500)
        except MemoryError:
            pass
        assert held[-1] is None
        for n in range(0, len(held), 2):  # they lie in this order
            held[n] = None
        gc.collect()
        free = gc.mem_free()
        text = await refusal(bench.begin())
        assert bench.transfer.state({}) == {} and gc.threshold() == -1
        held = None
        gc.collect()
        assert free > 200000 and MEMORY in text, free
        assert await bench.begin() == 0
        await bench.send(0)
        assert await bench.call("transfer.finish", id=bench.id) == {"writes": 2}

    if hasattr(gc, "mem_free"):  # CPython's heap has no end
        run(script)


def test_finish_before_the_end():
    async def script():
        bench = Bench(pattern(2 * BLOCK))
        await bench.begin()
        await bench.send(0)
        text = await refusal(bench.call("transfer.finish", id=bench.id))
        assert text == "%d of %d bytes came" % (BLOCK, 2 * BLOCK)
        assert bench.sink.finished == 0
        await bench.send(1)
        bench.app.gate.closed = ("change",)
        await refusal(bench.call("transfer.finish", id=bench.id))
        bench.app.gate.closed = ()
        await bench.call("transfer.finish", id=bench.id)

    run(script)


def test_nothing_is_written_during_a_tap():
    async def script():
        bench = Bench(pattern(BLOCK))
        await bench.begin()
        bench.app.taps.left = 5
        block = bench.packed(0)
        bench.piece(0, 0, block)
        for _ in range(3):
            await asyncio.sleep(0)
            assert bench.sink.writes == [] and bench.transfer.state({})["busy"]
        bench.piece(0, 0, block)  # nobody takes it
        await bench.settle()
        assert len(bench.sink.writes) == 1
        assert bench.words() == [(0, 1, 0)] and not bench.transfer.state({})["busy"]

    run(script)


def test_a_second_transfer_waits_for_the_write_of_the_first():
    async def script():
        bench = Bench(pattern(2 * BLOCK))
        gate = asyncio.Event()
        order = []

        class Slow(Sink):
            async def write(self, offset, data):
                order.append("write")
                await gate.wait()
                order.append("written")

            def begin(self, header):
                order.append("begin")
                return 0

        bench.transfer.sinks["thing"] = Slow()
        await bench.begin()
        await bench.send(0)
        again = asyncio.create_task(bench.begin())
        await bench.settle()
        assert order == ["begin", "write"]
        gate.set()
        await again
        assert order == ["begin", "write", "written", "begin"]
        assert bench.transfer.state({})["next"] == 0

    run(script)


def test_a_host_that_is_gone_leaves_no_memory_behind():
    async def script():
        bench = Bench(pattern(2 * BLOCK))
        await bench.begin()
        first = bench.id
        while bench.app.clock.now < 59000:
            await asyncio.sleep(0)
        await bench.send(0)
        bench.piece(1, 0, bench.packed(1)[:100])
        while bench.app.clock.now < 100000:
            await asyncio.sleep(0)
        assert bench.transfer.state({})["held"] == 100
        for _ in range(500):
            await asyncio.sleep(0)
        assert bench.transfer.state({}) == {} and bench.sink.dropped == 1
        assert 118000 < bench.app.clock.now < 124000
        bench.piece(0, 0, bench.packed(0), id=first)
        assert await bench.begin() == 0

    run(script)


def test_a_sink_can_be_made_when_it_is_needed():
    async def script():
        bench = Bench(pattern(10))
        made = []

        def make():
            made.append(Sink())
            return made[-1]

        bench.transfer.sinks["thing"] = make
        await bench.begin()
        await bench.begin()
        assert len(made) == 2

    run(script)


def test_others_keep_their_channels():
    peer = Registry()
    got = []
    peer.on_block = lambda *block: got.append(block)
    Transfer(App(), peer)
    peer.on_block(1, 5, b"bulk")
    peer.on_block(CHANNEL, 5, b"not theirs")
    assert got == [(1, 5, b"bulk")]


def pieces_of(payload):
    """[(cursor, data)] in a block from the validator, as send.py lays them out."""
    cursor = int.from_bytes(payload[:4], "big")
    out = []
    at = 4
    while at < len(payload):
        n = payload[at] << 8 | payload[at + 1]
        cursor += payload[at + 2]
        out.append((cursor, payload[at + 3 : at + 3 + n]))
        at += 3 + n
    assert at == len(payload)
    return out


def things(*sizes):
    """Pieces of those sizes, each other than the rest."""
    return [(n + 1, bytes((n + i) & 0xFF for i in range(size))) for n, size in enumerate(sizes)]


def test_a_source():
    async def script():
        bench = Bench(b"x")
        made = things(*(500,) * 7)

        def source(params):
            for cursor, piece in made[params["from"] :]:
                yield cursor, piece

        bench.transfer.sources["things"] = source
        asked = {"kind": "things", "from": 2, "blocks": 2}
        answer = await bench.call("transfer.pull", **asked)
        assert answer == {"blocks": 2, "next": 6, "more": True}
        blocks = bench.app.console.blocks
        assert [b[:2] for b in blocks] == [(FROM_VALIDATOR, n) for n in range(2)]
        assert [pieces_of(b[2]) for b in blocks] == [made[2:4], made[4:6]]
        answer = await bench.call("transfer.pull", kind="things", blocks=1, **{"from": 5})
        assert answer == {"blocks": 1, "next": 7, "more": False}
        answer = await bench.call("transfer.pull", kind="things", **{"from": 7})
        assert answer == {"blocks": 0, "next": None, "more": False}
        assert "no other" in await refusal(bench.call("transfer.pull", kind="other"))
        bench.app.gate.closed = ("records",)
        assert "records" in await refusal(bench.call("transfer.pull", **asked))

    run(script)


def test_what_goes_into_a_block():
    async def script():
        for baud, most in ((0, 1088), (921600, 1088), (460800, 552), (115200, 256)):
            bench = Bench(b"x")
            # Sizes at and around what fits, none at all, and one that is larger than any block.
            made = things(1, most - 19, 1, most - 18, 0, 0, most - 15, most - 14, 1060, 2000, 3)
            # Cursors that jump, stand and go back.
            made += [(300, b"far"), (555, b"near"), (811, b"far"), (811, b"key"), (4, b"back")]
            made += things(*range(100))
            bench.transfer.sources["things"] = lambda params, made=made: made
            params = {"kind": "things", "baud": baud} if baud else {"kind": "things"}
            answer = await bench.call("transfer.pull", **params)
            blocks = [pieces_of(b[2]) for b in bench.app.console.blocks]
            assert answer == {"blocks": len(blocks), "next": 100, "more": False}
            assert sum(blocks, []) == made
            for i, (_, sequence, payload) in enumerate(bench.app.console.blocks):
                assert sequence == i & 0xFF
                assert len(payload) + 8 <= most or len(blocks[i]) == 1
                if i + 1 < len(blocks):
                    # Nothing more would have fitted, or its cursor was too far.
                    further = blocks[i + 1][0][0] - blocks[i][-1][0]
                    full = len(payload) + 8 + 3 + len(blocks[i + 1][0][1]) > most
                    assert full or not 0 <= further < 256

    run(script)


def test_nothing_is_sent_during_a_tap():
    async def script():
        bench = Bench(b"x")
        bench.transfer.sources["things"] = lambda params: things(1000, 1000)
        real = bench.app.console.write
        asked = []

        def write(data):
            asked.append(bench.app.taps.left)
            real(data)
            bench.app.taps.left = 3  # a rider comes

        bench.app.console.write = write
        await bench.call("transfer.pull", kind="things")
        assert asked == [0, 0] and bench.app.taps.left == 0

    run(script)


class Uart:
    """UART0 as MicroPython's console uses it: what does not fit the FIFO of 128 bytes waits for
    the next tick of 10 ms."""

    def __init__(self, clock, baud):
        self.clock = clock
        self.byte_ns = 10000000000 // baud
        self.empty_ns = 0
        self.written = 0
        self.slept = 0

    def write(self, data):
        left = len(data)
        self.written += left
        while True:
            now = self.clock.now_us * 1000
            self.empty_ns = max(self.empty_ns, now)
            held = (self.empty_ns - now + self.byte_ns - 1) // self.byte_ns
            put = min(left, 128 - held)
            self.empty_ns += put * self.byte_ns
            left -= put
            if not left:
                self.clock.advance_us(40)  # what the call itself takes
                return
            self.slept += 1
            self.clock.advance_us(10000 - self.clock.now_us % 10000)

    def share(self, start, baud):
        us = max(self.clock.now_us, self.empty_ns // 1000) - start
        return self.written * 10000000 / us / baud


class Looking(FakeClock):
    """Time passes by looking at it."""

    def ticks_us(self):
        self.advance_us(5)
        return self.now_us


def test_the_pace_of_the_line():
    async def script():
        for baud in (115200, 460800, 921600):
            clock = Looking()
            uart = Uart(clock, baud)
            out = Pace(uart, clock, baud)
            start = clock.now_us
            for _ in range(50):
                await out.write(bytes(1008), lambda: False)
                clock.advance_us(1000)  # other tasks have their turn
            assert uart.written == 50 * 1008
            assert not uart.slept
            assert uart.share(start, baud) > 0.9

    run(script)


def test_others_have_their_turn_on_a_slow_line():
    """64 bytes take 5.6 ms at 115200, and 0.7 at 921600: less than to let others run."""

    async def script():
        for baud, most in ((115200, 0), (921600, 1)):
            clock = Looking()
            out = Pace(Uart(clock, baud), clock, baud)
            turns = [0]

            async def other(turns=turns):
                while True:
                    turns[0] += 1
                    await asyncio.sleep(0)

            task = asyncio.create_task(other())
            await out.write(bytes(1024), lambda: False)
            task.cancel()
            assert turns[0] <= most if most else turns[0] > 16, (baud, turns)

    run(script)


def test_records_are_read_while_the_line_is_busy():
    """A record of 200 bytes takes 1 ms to read and 2.2 ms to send. One after the other, with a
    FIFO of 128 bytes, that is 70 % of the line."""

    async def script():
        baud = 921600
        bench = Bench(b"x")
        clock = Looking()
        uart = Uart(clock, baud)

        def source(params):
            for n in range(400):
                clock.advance_us(1000)
                yield n + 1, bytes(200)

        bench.app.clock.ticks_us = clock.ticks_us
        bench.app.console = uart
        bench.transfer.slow = True
        bench.transfer.sources["things"] = source
        start = clock.now_us
        await bench.call("transfer.pull", kind="things", baud=baud)
        assert not uart.slept
        assert 80000 < uart.written < 83000
        assert uart.share(start, baud) > 0.9, uart.share(start, baud)

    run(script)


def test_a_slow_console_is_noticed_and_paced():
    for slow in (False, True):

        async def script(slow=slow):
            bench = Bench(b"x")
            clock = Looking()
            uart = Uart(clock, 921600)
            writes = []
            real = bench.app.console.write

            def write(data):
                writes.append(len(data))
                real(data)
                if slow:
                    uart.write(data)

            bench.app.console.write = write
            bench.app.clock.ticks_us = clock.ticks_us
            made = things(*(1060,) * 12)
            bench.transfer.sources["things"] = lambda params: made
            for _ in range(2):
                await bench.call("transfer.pull", kind="things", baud=921600)
            # Four blocks tell; from then on, in parts of 64 bytes.
            assert len(writes) == (4 + 20 * 17 if slow else 24)
            blocks = bench.app.console.blocks
            assert [pieces_of(b[2]) for b in blocks] == [[piece] for piece in made + made]

        run(script)


def test_a_console_behind_a_pipe_is_not_taken_for_slow():
    """It takes some blocks at once, and then waits until all of them are sent."""

    async def script():
        bench = Bench(b"x")
        clock = Looking()
        held = [0]
        real = bench.app.console.write

        def write(data):
            real(data)
            held[0] += len(data)
            if held[0] > 4096:
                clock.advance_us(held[0] * 10000000 // 921600 + 30000)  # the machine was busy
                held[0] = 0

        bench.app.console.write = write
        bench.app.clock.ticks_us = clock.ticks_us
        bench.transfer.sources["things"] = lambda params: things(*(1060,) * 60)
        await bench.call("transfer.pull", kind="things", baud=921600)
        assert not bench.transfer.slow and len(bench.app.console.blocks) == 60

    run(script)


def test_pieces_that_bring_nothing_further_keep_nothing():
    """Blocks carry no token: whoever sends them, a transfer lives by getting further alone."""

    class Gate(FakeGate):
        kept = 0

        def owns(self, owner, alive=False):
            self.kept += alive
            return True

    async def script():
        bench = Bench(pattern(3 * BLOCK))
        bench.app.gate = Gate()
        await bench.begin()
        block = bench.packed(0)
        before = bench.app.clock.now
        while bench.transfer.state({}):
            assert bench.app.clock.now < before + 70000
            bench.piece(0, 0, block[:50])
            bench.piece(0, 7, b"zz")
            await bench.send(1)  # not wanted yet
            damaged = bytes(len(block))
            bench.piece(0, 0, block[:8] + damaged[8:])
            await bench.settle()
        assert bench.sink.dropped == 1 and not bench.app.gate.kept
        await bench.begin()
        await bench.send(0)
        assert bench.app.gate.kept == 1
        await bench.send(0)
        assert bench.app.gate.kept == 1

    run(script)


def test_what_a_transfer_asks_of_the_collector_goes_to_the_tap():
    """tap.py keeps it off while a rider is served; here nothing is collected then."""
    collected = []

    class Gc:
        @staticmethod
        def collect():
            collected.append(1)

    async def script():
        bench = Bench(pattern(BLOCK))
        await bench.begin()
        assert bench.app.taps.thresholds[-1] > 0
        await bench.send(0)
        del collected[:]
        bench.app.taps.left = 1 << 20
        await bench.call("transfer.finish", id=bench.id)
        assert bench.app.taps.thresholds[-1] == -1 and not collected

    real = transfer.gc
    transfer.gc = Gc
    try:
        run(script)
    finally:
        transfer.gc = real
