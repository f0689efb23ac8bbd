"""An image into the idle slot: what is refused, what is written, and what a power cut leaves."""

import asyncio

import update_images as images
from flash_sim import HOW, FlashSim, PowerCut
from validator.update import ImageSink
from validator.update_image import BLOCK, Head, Refused, numbers, padded_size

KEY = bytes.fromhex(images.KEY)


class Quiet:
    """The transfer layer and the clock, as far as a sink asks for them."""

    def __init__(self):
        self.waits = 0

    async def quiet(self):
        self.waits += 1

    async def sleep_ms(self, ms):
        pass


class App:
    micropython = "1.24.1"

    def __init__(self, flash=None, slot="a", key=KEY):
        self.idle = flash or FlashSim(images.SLOT // 4096)
        self.transfer = self.clock = Quiet()
        self.done = []
        self.boot = {
            "slot": slot,
            "rewriting": lambda s: self.done.append("rewriting " + s),
            "activate": lambda s: self.done.append("activate " + s),
        }
        self.configuration = self
        self.key = key
        self.board = self
        self.name = images.BOARD

    def flash(self, label):
        assert label == ("app_a" if self.boot["slot"] == "b" else "app_b")
        return self.idle


async def put(app, stream, blocks=None):
    """Send `stream` as the transfer layer does; the offsets that were sent."""
    sink = ImageSink(app)
    at = sink.begin({"kind": "image", "size": len(stream), "digest": ""})
    sent = []
    while at < len(stream):
        if blocks is not None and len(sent) == blocks:
            return sent
        sent.append(at)
        data = stream[at : at + BLOCK]
        wanted = await sink.write(at, memoryview(data))
        at = at + len(data) if wanted is None else wanted
    assert at == len(stream)
    result = await sink.finish()
    assert result["slot"] == sink.slot
    return sent


def run(coroutine):
    return asyncio.run(coroutine)


def refused(app, stream):
    try:
        run(put(app, stream))
    except Refused as e:
        return e.reason
    raise AssertionError("was taken")


def holds(flash, image):
    return bytes(flash.data[: len(image)]) == image


def test_an_image_is_written_verified_and_activated():
    for slot, idle in (("a", "b"), ("b", "a"), ("", "b")):
        app = App(slot=slot)
        app.idle.load(b"\x55" * images.SLOT)
        stream = images.stream("good")
        sent = run(put(app, stream))
        assert holds(app.idle, images.image())
        assert app.done == ["rewriting " + idle, "activate " + idle]
        # The head, then every block but those of the blank sector.
        assert sent == [0] + [BLOCK + n * BLOCK for n in (0, 1, 2, 3, 6, 7, 8)]
        assert app.idle.erases == [1] * 5


def test_the_same_version_and_a_signed_downgrade_are_taken():
    for name in ("again", "back"):
        app = App()
        run(put(app, images.stream(name)))
        assert app.done[-1] == "activate b"


def test_what_is_refused_and_nothing_touched():
    good = images.stream("good")
    other = bytearray(KEY)
    other[:] = bytes.fromhex(  # G of P-256: a point, but not the operator's
        "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
        "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
    )
    signed = Head(good).signed
    for reason, stream, key in (
        ("old", images.stream("old"), KEY),
        ("not_for_me", images.stream("board"), KEY),
        ("micropython", images.stream("micropython"), KEY),
        ("too_large", images.stream("large"), KEY),
        ("unsigned", images.stream("good", bytes(64)), KEY),
        ("unsigned", images.stream("good", bytes(64)), None),
        ("no_key", good, None),
        ("foreign", good, bytes(other)),
        ("foreign", images.stream("good", bytes.fromhex(images.SIGNATURES["old"])), KEY),
        ("foreign", images.stream("good", b"\xff" * 64), KEY),
        ("damaged", b"FTUX" + good[4:], KEY),
        ("damaged", good[:4] + b"\x02" + good[5:], KEY),
        ("damaged", good[:5] + b"\x80" + good[6:], KEY),
        ("damaged", good[:6] + b"\x00\x00" + good[8:], KEY),
        ("too_large", good[:6] + b"\xff\x0f" + good[8:], KEY),
        ("damaged", good[:-1], KEY),
        ("damaged", good + b"\0", KEY),
        ("damaged", good[: BLOCK + 1], KEY),
        ("damaged", good[:BLOCK], KEY),
        ("damaged", good[:100], KEY),
    ):
        app = App(key=key)
        assert refused(app, stream) == reason, (reason, len(stream))
        assert app.idle.log == [] and app.done == []
    for at in list(range(5, signed, 7)) + [signed - 1, signed, signed + 63]:
        bad = bytearray(good)
        bad[at] ^= 1
        app = App()
        assert refused(app, bytes(bad)), at
        assert app.idle.log == [] and app.done == []


def test_larger_than_the_slot_is_refused_at_once():
    sink = ImageSink(App())
    most = padded_size(images.SLOT // BLOCK) + images.SLOT
    assert sink.begin({"size": most}) == 0
    try:
        sink.begin({"size": most + 1})
    except Refused as e:
        assert e.reason == "too_large"
        return
    raise AssertionError("was taken")


def test_a_block_that_was_not_signed_is_not_written():
    stream = bytearray(images.stream("good"))
    stream[BLOCK + 5000] ^= 0x40
    app = App()
    assert refused(app, bytes(stream)) == "damaged"
    # The first sector is right. Of the second, not even the erase is done.
    assert app.idle.log == [("erase", 0, 4096), ("program", 0, BLOCK), ("program", BLOCK, BLOCK)]
    assert not holds(app.idle, images.image()) and app.done == ["rewriting b"]


def test_what_stands_there_already_is_not_sent():
    app = App()
    stream = images.stream("good")
    run(put(app, stream))
    app.done = []
    app.idle.power_on()
    assert run(put(app, stream)) == [0]
    assert app.idle.log == [] and app.done == ["activate b"]
    app.done = []
    app.idle.flip(3 * 4096 + 3000)
    assert run(put(app, stream)) == [0, BLOCK + 3 * 4096, BLOCK + 3 * 4096 + BLOCK]
    assert app.done == ["rewriting b", "activate b"]
    assert holds(app.idle, images.image())


def test_bit_rot_before_the_end_is_found():
    app = App()
    stream = images.stream("good")

    async def rot():
        sink = ImageSink(app)
        at = sink.begin({"size": len(stream)})
        while at < len(stream):
            data = stream[at : at + BLOCK]
            at = await sink.write(at, memoryview(data)) or at + len(data)
        app.idle.flip(100)
        await sink.finish()

    try:
        run(rot())
        raise AssertionError("was activated")
    except Refused as e:
        assert e.reason == "damaged"
    assert "activate b" not in app.done
    assert run(put(app, stream))[1:] == [BLOCK, 2 * BLOCK]


def test_a_worn_out_sector_is_reported():
    for at in (5000, 2 * 4096 + 10):  # in a written sector, in the blank one
        app = App()
        app.idle.load(b"\0" * images.SLOT)
        real = app.idle.erase

        def erase(addr, real=real, flash=app.idle, at=at):
            real(addr)
            if addr == at // 4096 * 4096:
                flash.data[at] = 0  # these bits stay

        app.idle.erase = erase
        real_program = app.idle.program

        def program(addr, data, real=real_program, flash=app.idle, at=at):
            if addr <= at < addr + len(data):
                data = bytearray(data)
                data[at - addr] = 0
            real(addr, data)

        app.idle.program = program
        try:
            run(put(app, images.stream("good")))
            raise AssertionError("was activated")
        except Refused as e:
            assert "does not keep" in str(e)
        # Found at once, not when all the rest has been sent.
        assert app.idle.log[-1][1] // 4096 == at // 4096 and app.done == ["rewriting b"]


def test_power_cut_at_every_operation():
    """Whatever was done, the next try ends with the image in place, and sends at most one sector
    that was sent before."""
    stream = images.stream("good")
    before = b"\x5a" * images.SLOT
    whole = App()
    whole.idle.load(before)
    all_sent = run(put(whole, stream))
    operations = len(whole.idle.log)
    assert operations == 5 + 7
    for n in range(operations):
        for how in HOW + ("tail",):
            where = "cut at %d, %s" % (n, how)
            app = App()
            app.idle.load(before)
            app.idle.cut_at(n, how)
            try:
                run(put(app, stream))
                raise AssertionError(where)
            except PowerCut:
                pass
            assert "activate b" not in app.done, where
            assert app.done == ["rewriting b"], where
            app.idle.power_on()
            sent = run(put(app, stream))
            assert holds(app.idle, images.image()), where
            assert app.done[-1] == "activate b", where
            done = sum(entry[0] == "program" for entry in whole.idle.log[:n])
            assert len(all_sent) - len(sent) >= done - 1, where


def test_numbers():
    assert numbers("0.10.2") > numbers("0.9.9")
    assert numbers("1.0") < numbers("1.0.1") < numbers("1.1-rc2")
    assert numbers("2.0b1") == (2, 0) and numbers("x") == (0,)
