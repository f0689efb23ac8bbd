"""Sessions in service: who is let through, who is not, and when it ends."""

import asyncio
from hashlib import sha256

from fakes import FakeClock, Registry, raises, run
from validator import gate as module
from validator.crypto import signed
from validator.gate import Gate, challenge_text
from validator.link.peer import RpcError

SERIAL = "a1b2c3d4e5f6"


class Verify:
    """Stands in for the signature's mathematics, which test_crypto_ecdsa.py proves: right is what
    was made of the very digest that is expected."""

    def __enter__(self):
        self._kept = signed.by
        signed.by = lambda public, digest, signature: signature == sign(public, digest)
        return self

    def __exit__(self, *_):
        signed.by = self._kept


def sign(public, digest):
    return sha256(public + digest).digest() * 2


DEPOT = b"\x02" + b"\x11" * 32
OFFICE = b"\x03" + b"\x22" * 32


def rig(life_cycle="service", clock=None):
    clock = clock or FakeClock()
    gate = Gate(clock, SERIAL)
    access = [
        {"name": "depot", "public": DEPOT.hex(), "rights": ["records", "inject"]},
        {"name": "office", "public": "04" + "22" * 63 + "23", "rights": ["change"]},
    ]
    gate.operate(life_cycle, {"keys": access})
    peer = Registry()
    gate.register(peer)
    return Host(gate, peer.calls, clock)


class Host:
    """Messages to a gate: `call` carries the token `session`."""

    def __init__(self, gate, calls, clock, session=None):
        self.gate = gate
        self.calls = calls
        self.clock = clock
        self.session = session

    def another(self, session=None):
        return Host(self.gate, self.calls, self.clock, session)

    def call(self, name, params=None):
        self.gate.hear(self.session)
        result = self.calls["session." + name](params or {})
        return run(result) if hasattr(result, "send") else result

    def challenge(self):
        return bytes.fromhex(self.call("challenge")["nonce"])

    def answer(self, public=DEPOT, serial=SERIAL, signer=None, nonce=None):
        nonce = nonce or self.challenge()
        digest = sha256(challenge_text(serial, nonce)).digest()
        signature = sign(signer or public, digest).hex()
        return {"nonce": nonce.hex(), "public": public.hex(), "signature": signature}

    def open(self, *args, **more):
        answer = self.call("open", self.answer(*args, **more))
        self.session = answer["session"]
        return answer

    def refused(self, params):
        return raises(RpcError, self.call, "open", params)

    def may(self, right):
        self.gate.hear(self.session)
        try:
            self.gate.need(right)
        except RpcError:
            return False
        return True


def test_before_service_everything_is_allowed():
    for life_cycle in ("factory", "bench"):
        host = rig(life_cycle)
        for right in ("inject", "debug", "records", "change"):
            assert host.may(right)


def test_in_service_nothing_is_without_a_session():
    host = rig()
    for right in ("inject", "debug", "records", "change"):
        assert not host.may(right)


def test_a_session_gives_the_rights_of_its_key_and_no_others():
    host = rig()
    with Verify():
        assert host.open()["rights"] == ["records"]
    host.gate.hear(host.session)
    assert host.gate.status()["session"] == "depot"
    assert host.may("records")
    for right in ("inject", "debug", "change"):
        assert not host.may(right)


def test_another_host_on_the_cable_inherits_nothing():
    host = rig()
    with Verify():
        host.open()
    for session in (None, "", "0" * 16, host.session[:-1], host.session + "0"):
        other = host.another(session)
        assert not other.may("records")
        assert other.gate.status()["session"] == ""
        other.call("close")
        assert other.gate.owner() == ""
    assert host.may("records"), "it is closed by its owner only"
    host.call("close")
    assert not host.may("records")
    # The token of a session that is over opens nothing, the empty one neither.
    for session in (host.session, "", None):
        assert not host.another(session).may("records")


def test_the_token_differs_each_time():
    tokens = set()
    for _ in range(5):
        host = rig()
        with Verify():
            for _ in range(3):
                tokens.add(host.open()["session"])
    assert len(tokens) == 15 and all(len(token) == 16 for token in tokens)


def test_a_rightful_key_takes_the_session_over():
    first = rig()
    ended = []
    first.gate.on_end = lambda: ended.append(1)
    second = first.another()
    with Verify():
        first.open()
        assert not second.may("change") and not ended
        second.open(OFFICE)
    assert ended == [1]
    assert second.may("change") and not second.may("records")
    assert not first.may("records") and not first.may("change")


def test_a_challenge_is_good_for_one_session():
    host = rig()
    with Verify():
        params = host.answer()
        host.session = host.call("open", params)["session"]
        host.call("close")
        host.refused(params)
        host.challenge()
        host.refused(params)  # a new challenge, the old answer
        with_both = host.answer(nonce=host.challenge())
        host.call("open", with_both)
        other = host.another()
        other.refused(dict(params, nonce=with_both["nonce"]))


def test_the_answer_may_be_lost():
    host = rig()
    with Verify():
        params = host.answer()
        first = host.call("open", params)
        assert host.call("open", params) == first
        host.session = first["session"]
        assert host.may("records")
        # Not for one who knows less than that.
        host.another().refused(dict(params, signature="00" * 64))


def test_nobodys_challenge_takes_away_anothers():
    host = rig()
    with Verify():
        params = host.answer()
        for _ in range(100):
            host.another().call("challenge")
        host.session = host.call("open", params)["session"]
    assert host.may("records")


def test_a_challenge_gets_old():
    host = rig()
    with Verify():
        params = host.answer()
        host.clock.advance_us(25 * 1000000)
        host.gate.tick()
        assert host.call("open", params)["rights"]
        params = host.answer()
        for _ in range(3):
            host.clock.advance_us(module._CHALLENGE_MS * 1000)
            host.gate.tick()
        assert host.refused(params).data["kind"] == "again"


def test_a_challenge_of_another_boot_or_validator_is_none():
    host = rig()
    with Verify():
        params = host.answer()
        host = rig()
        host.challenge()
        host.refused(params)
        for nonce in ("", "00" * 16, "zz"):
            host.refused(dict(params, nonce=nonce))
    assert not host.may("records")


def test_somebody_elses_signature_is_refused():
    host = rig()
    with Verify():
        stranger = b"\x02" + b"\x33" * 32
        for public, serial, signer in (
            (stranger, SERIAL, None),
            (DEPOT, SERIAL, stranger),
            (DEPOT, "a1b2c3d4e5f7", None),
            (OFFICE, SERIAL, DEPOT),
        ):
            host.refused(host.answer(public, serial, signer))
            host.clock.advance_us(module._PAUSE_MS * 1000)
            host.gate.tick()
    assert not host.may("records")


def test_wrong_signatures_cost_little_and_lock_nobody_out():
    host = rig()
    looked = []
    with Verify():
        real = signed.by
        signed.by = lambda *given: looked.append(1) or real(*given)
        wrong = host.answer(signer=OFFICE)
        for _ in range(1000):  # ten seconds of them
            host.refused(wrong)
            host.clock.advance_us(10000)
        assert len(looked) <= 10000 // module._PAUSE_MS + 1
        # A key that nobody named costs no mathematics at all, nor does an unknown challenge.
        count = len(looked)
        host.clock.advance_us(module._PAUSE_MS * 1000)
        for _ in range(100):
            host.refused(host.answer(b"\x02" + b"\x44" * 32))
            host.refused(host.answer(nonce=bytes(16)))
        assert len(looked) == count
        # The honest host waits for as long as it is told, once.
        host.refused(wrong)
        wait = host.refused(host.answer()).data
        assert wait["kind"] == "again" and 0 < wait["ms"] <= module._PAUSE_MS
        host.clock.advance_us(wait["ms"] * 1000)
        host.open()
    assert host.may("records")


def test_one_signature_at_a_time_and_no_rider_waits_for_it():
    host = rig()
    waits = []

    async def quiet():
        for _ in range(3):  # a rider is there
            waits.append(1)
            await asyncio.sleep(0)

    async def script():
        params = host.answer()
        first = asyncio.create_task(host.calls["session.open"](params))
        await asyncio.sleep(0)
        try:
            await host.calls["session.open"](params)
            raise AssertionError("two at once")
        except RpcError as e:
            assert e.data["kind"] == "again"
        assert (await first)["rights"] == ["records"] and len(waits) == 3
        # Its challenge is used up while it waits: so it opens nothing.
        params = host.answer()
        late = asyncio.create_task(host.calls["session.open"](params))
        await asyncio.sleep(0)
        host.gate._nonces = [b"", b""]
        try:
            await late
            raise AssertionError("opened by a challenge that is over")
        except RpcError as e:
            assert e.data["kind"] == "again"

    host.gate.quiet = quiet
    with Verify():
        asyncio.run(script())


def test_a_silent_host_loses_its_session():
    host = rig()
    with Verify():
        host.open()
    for _ in range(10):
        host.clock.advance_us(module._SILENCE_MS * 1000)
        assert host.may("records") and host.gate.listens()
    # What others say does not keep it.
    host.clock.advance_us(module._SILENCE_MS * 500)
    assert not host.another().may("records")
    host.clock.advance_us(module._SILENCE_MS * 500 + 1000)
    assert not host.gate.listens()
    assert not host.may("records")


def test_ticks_that_wrap_bring_nothing_back():
    class Wrapping(FakeClock):
        period = 1 << 20  # a chip's is 12 days

        def ticks_ms(self):
            return (self.now_us // 1000) % self.period

        def diff(self, later, earlier):
            half = self.period // 2
            return (later - earlier + half) % self.period - half

    host = rig(clock=Wrapping())
    with Verify():
        params = host.answer()
        wrong = host.answer(signer=OFFICE)
        host.open(OFFICE)
        host.refused(dict(wrong, nonce=host.challenge().hex()))
        for _ in range(Wrapping.period // 5000 + 2):
            host.clock.advance_us(5000000)
            host.gate.tick()
        assert not host.may("change"), "silent for one turn of the clock"
        host.refused(params)
        host.open()


def test_news_is_for_a_session_with_records():
    host = rig()
    assert not host.gate.listens() and not host.gate.within()
    with Verify():
        host.open(OFFICE)
        assert not host.gate.listens()
        host.open(DEPOT)
        assert host.gate.listens()
    host.call("close")
    assert not host.gate.listens()
    assert rig("bench").gate.listens()


def test_what_was_begun_belongs_to_its_session():
    host = rig()
    with Verify():
        host.open()
        host.gate.hear(host.session)
        owner = host.gate.owner()
        assert owner and host.gate.owns(owner)
        host.gate.hear(None)
        assert host.gate.owner() == "" and not host.gate.owns("")
        assert host.gate.owns(owner), "whoever speaks in between"
        for _ in range(5):  # work that goes on keeps it
            host.clock.advance_us(module._SILENCE_MS * 900)
            assert host.gate.owns(owner, True)
        host.open()
    assert not host.gate.owns(owner)
    assert rig("bench").gate.owns("")


def test_a_key_may_be_given_in_full():
    host = rig()
    with Verify():
        assert host.open(OFFICE)["name"] == "office"
    assert host.may("change")


def test_no_answer_of_any_kind_breaks_it():
    host = rig()
    for signature in ("", "00", "zz", "00" * 64, "ff" * 64, "00" * 500):
        host.refused(
            {"nonce": host.challenge().hex(), "public": DEPOT.hex(), "signature": signature}
        )
        host.clock.advance_us(module._PAUSE_MS * 1000)
    for params in ({}, {"nonce": 1, "public": 2, "signature": 3}, {"nonce": [], "public": {}}):
        raises((KeyError, TypeError), host.call, "open", params)
    with Verify():
        host.open()


def test_blocks_keep_a_session_but_tell_nobody_of_riders():
    """A block of a transfer carries no token: who sends such may be anybody."""
    host = rig()
    with Verify():
        host.open()
    owner = host.gate._token
    for _ in range(5):
        host.clock.advance_us(module._SILENCE_MS * 900)
        assert host.gate.owns(owner, True)
    assert not host.gate.listens() and host.gate.taken()
    assert host.may("records")  # its host speaks again
    assert host.gate.listens()
    host.clock.advance_us(module._SILENCE_MS * 1000 + 1000)
    assert not host.gate.owns(owner, False) and not host.gate.taken()


def test_a_signature_that_found_no_memory_is_paid_for_too():
    host = rig()
    with Verify():
        params = host.answer()

        def fails(*given):
            raise MemoryError

        signed.by = fails
        raises(MemoryError, run, host.calls["session.open"](params))
        assert host.refused(params).data["kind"] == "again"
        signed.by = lambda public, digest, signature: True
        host.clock.advance_us(module._PAUSE_MS * 1000)
        host.gate.tick()
        assert host.call("open", params)["rights"]
