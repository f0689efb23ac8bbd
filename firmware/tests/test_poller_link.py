"""Cards presented by the host over the link, through the same poller."""

from emv_script import TUNION, Card, tunion, with_ppse
from fakes import FakeClock, raises, run
from validator.link.peer import RpcError, Timeout
from validator.media import cards
from validator.media.phases import Phases
from validator.nfc.link_reader import LinkReader
from validator.nfc.poller import Poller
from validator.nfc.reader import CardLost, CardProtocolError, ReaderDead

INFO = {"uid": "08112233", "atqa": 4, "sak": 0x20, "ats": "0578807002"}


class Host:
    def __init__(self, card=None, error=None):
        self.card = card
        self.error = error
        self.calls = []

    async def call(self, method, params):
        self.calls.append((method, params))
        if self.error:
            raise self.error
        if method != "card.transceive":
            raise RpcError(-32601, "no such call")
        answer = await self.card.transceive(bytes.fromhex(params["apdu"]))
        return {"rapdu": answer.hex()}


def present(host):
    reader = LinkReader(host.call)
    run(reader.open())
    assert run(reader.poll()) is None
    reader.present_card(INFO)
    target = run(reader.poll())
    assert target.uid == bytes.fromhex("08112233") and target.apdu
    assert run(reader.poll()) is None
    reader.present_card(INFO)
    run(reader.poll())
    return reader


def error_of(host):
    reader = present(host)
    try:
        run(reader.transceive(b"\x00\xa4\x04\x00\x00"))
    except (CardLost, CardProtocolError, ReaderDead) as e:
        return type(e)
    raise AssertionError("did not raise")


def test_whole_tap_over_the_link():
    clock = FakeClock()
    host = Host(Card(with_ppse(tunion(), (TUNION, 1))))
    reader = LinkReader(host.call)
    poller = Poller(reader, clock)
    for _ in range(2):
        reader.present_card(INFO)
        target = run(poller.next())
        result = run(cards.run(poller.card(target), clock, Phases(clock)))
        assert result.balance == 5000
        before = clock.ticks_ms()
        assert run(poller.finish(target)) and clock.ticks_ms() == before
    assert host.calls[0] == (
        "card.transceive",
        {"apdu": "00a404000e325041592e5359532e444446303100", "presentation": ""},
    )


def test_errors_of_the_host():
    assert error_of(Host(error=RpcError(1, "gone", {"kind": "card_lost"}))) is CardLost
    assert error_of(Host(error=Timeout("card.transceive"))) is CardLost
    assert error_of(Host(error=RpcError(1, "x", {"kind": "card_protocol"}))) is CardProtocolError
    assert error_of(Host(error=RpcError(-32601, "no such call"))) is ReaderDead


def test_nonsense_of_the_host():
    for result in (None, {}, {"rapdu": "xy"}, {"rapdu": 5}):
        host = Host()

        async def call(method, params):
            return result  # noqa: B023

        host.call = call
        assert error_of(host) is CardProtocolError, result
    reader = LinkReader(Host().call)
    raises(ValueError, reader.present_card, {"uid": "01", "sak": 32})
    raises(KeyError, reader.present_card, {"sak": 32})


def test_field_reset_brings_the_same_card_back():
    reader = present(Host())
    run(reader.field(False))
    assert not run(reader.present())
    run(reader.field(True))
    assert run(reader.poll()).uid == bytes.fromhex("08112233")
    assert run(reader.present())


def test_withdrawn_card_is_lost():
    reader = present(Host())
    reader.withdraw_card()
    assert not run(reader.present())
    try:
        run(reader.transceive(b"\x00"))
        raise AssertionError("not lost")
    except CardLost:
        pass
