"""Sessions in service: who is let through, who is not, and when it ends."""

from hashlib import sha256

from fakes import FakeClock, raises
from validator import gate as module
from validator.crypto import signed
from validator.gate import Gate, challenge_text
from validator.link.peer import RpcError

SERIAL = "a1b2c3d4e5f6"


class Peer:
    def __init__(self):
        self.calls = {}

    def register(self, name, function):
        self.calls[name] = function


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


def need(gate, right):
    raises(RpcError, lambda: gate.need(right))


def rig(life_cycle="service"):
    clock = FakeClock()
    gate = Gate(clock, SERIAL)
    access = [
        {"name": "depot", "public": DEPOT.hex(), "rights": ["records", "inject"]},
        {"name": "office", "public": "04" + "22" * 63 + "23", "rights": ["change"]},
    ]
    gate.operate(life_cycle, {"keys": access})
    peer = Peer()
    gate.register(peer)
    return gate, peer.calls, clock


def opened(calls, public=DEPOT, serial=SERIAL, signer=None):
    nonce = bytes.fromhex(calls["session.challenge"]({})["nonce"])
    digest = sha256(challenge_text(serial, nonce)).digest()
    params = {"public": public.hex(), "signature": sign(signer or public, digest).hex()}
    return calls["session.open"](params), params


def test_before_service_everything_is_allowed():
    for life_cycle in ("factory", "bench"):
        gate, calls, clock = rig(life_cycle)
        for right in ("inject", "debug", "records", "change"):
            gate.need(right)


def test_in_service_nothing_is_without_a_session():
    gate, calls, clock = rig()
    for right in ("inject", "debug", "records", "change"):
        need(gate, right)


def test_a_session_gives_the_rights_of_its_key_and_no_others():
    gate, calls, clock = rig()
    with Verify():
        answer, _ = opened(calls)
    assert answer["rights"] == ["records"] and gate.status()["session"] == "depot"
    gate.need("records")
    for right in ("inject", "debug", "change"):
        need(gate, right)


def test_a_challenge_is_good_for_one_answer():
    gate, calls, clock = rig()
    with Verify():
        _, params = opened(calls)
        calls["session.close"]({})
        raises(RpcError, lambda: calls["session.open"](params))
        calls["session.challenge"]({})
        raises(RpcError, lambda: calls["session.open"](params))  # a new challenge, the old answer
    need(gate, "records")


def test_somebody_elses_signature_is_refused():
    gate, calls, clock = rig()
    with Verify():
        stranger = b"\x02" + b"\x33" * 32
        for public, serial, signer in (
            (stranger, SERIAL, None),
            (DEPOT, SERIAL, stranger),
            (DEPOT, "a1b2c3d4e5f7", None),
            (OFFICE, SERIAL, DEPOT),
        ):
            raises(RpcError, lambda: opened(calls, public, serial, signer))
    need(gate, "records")


def test_guessing_costs_time_and_an_honest_host_is_let_in_after():
    gate, calls, clock = rig()
    with Verify():
        for _ in range(module._TRIES):
            raises(RpcError, lambda: opened(calls, public=b"\x02" + b"\x44" * 32))
        raises(RpcError, lambda: opened(calls))
        clock.advance_us(module._PAUSE_MS * 1000)
        opened(calls)
    gate.need("records")


def test_a_silent_host_loses_its_session():
    gate, calls, clock = rig()
    with Verify():
        gate.alive()
        opened(calls)
    for _ in range(10):
        clock.advance_us(module._SILENCE_MS * 1000)
        gate.alive()
        gate.need("records")
    clock.advance_us(module._SILENCE_MS * 1000 + 1000)
    gate.alive()
    need(gate, "records")


def test_a_key_may_be_given_in_full():
    gate, calls, clock = rig()
    with Verify():
        answer, _ = opened(calls, OFFICE)
    assert answer["name"] == "office"
    gate.need("change")


def test_no_signature_of_any_length_breaks_it():
    gate, calls, clock = rig()
    for signature in ("", "00", "zz", "00" * 64, "ff" * 64, "00" * 500):
        calls["session.challenge"]({})
        gate._refused = 0
        answer = {"public": DEPOT.hex(), "signature": signature}
        raises(RpcError, lambda: calls["session.open"](answer))
