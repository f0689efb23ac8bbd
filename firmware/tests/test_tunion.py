from emv_script import FILE15, TUNION, Card, tunion, with_ppse
from fakes import FakeClock, raises, run
from validator.media import cards
from validator.media import tunion as tu
from validator.media.phases import Phases
from validator.media.result import Refused


def tap(files, **options):
    clock = FakeClock()
    card = Card(with_ppse(files, (TUNION, 1)), **options)
    return run(cards.run(card, clock, Phases(clock))), card


def test_purse_with_everything_in_the_fci():
    result, card = tap(tunion())
    assert (result.medium, result.outcome, result.reason) == ("tunion", "declined", "unverified")
    assert result.token_source == b"3100482123456789012"
    assert result.masked == "031048******9012"
    assert result.expiry == "3012" and result.balance == 5000
    assert result.detail["card_type"] == 2 and result.detail["city"] == "2900"
    assert result.detail["interoperable"] and result.detail["start"] == "20200101"
    assert bytes.fromhex("00B0950000") not in card.log


def test_fci_without_file_15():
    for fci_file in (b"", FILE15[:20]):
        result, card = tap(tunion(fci_file=fci_file))
        assert result.masked == "031048******9012"
        assert bytes.fromhex("00B0950000") in card.log


def test_balance_without_overdraft():
    result, _ = tap(tunion(_805C0002=b"\x6a\x86", _805C0302=bytes.fromhex("000000509000")))
    assert result.balance == 80


def test_card_that_does_not_tell_its_balance_or_type():
    result, _ = tap(tunion(_805C0002=b"\x69\x82", _00B097=b"\x69\x82"))
    assert result.reason == "unverified" and result.balance is None
    assert "card_type" not in result.detail


def test_no_file_15_at_all():
    result, _ = tap(tunion(fci_file=b"", _00B095=b"\x69\x82"))
    assert (result.medium, result.reason) == ("tunion", "unsupported")


def test_nonsense_in_file_15():
    aid = bytes.fromhex(TUNION)
    raises(Refused, tu.parse_public, aid, b"\xab" * 30)
    raises(Refused, tu.parse_public, aid, FILE15[:27])
    bad = bytearray(FILE15)
    bad[22] = 0x13  # month 13
    raises(Refused, tu.parse_public, aid, bad)
    result, _ = tap(tunion(fci_file=bytes(bad)))
    assert (result.outcome, result.reason) == ("declined", "malformed")
    assert result.token_source is None


def test_city_union_file_15():
    aid = bytes.fromhex("A00000000386980701")
    public = bytes.fromhex("869820007590FFFF820020009CA1B20C4E7F3D5120190504203005040914")
    assert tu.parse_public(aid, public) == ("9CA1B20C4E7F3D51", "20190504", "20300504")
    tu.check_enabled(aid, public)  # its bytes 8 and 9 are others
    assert tu.rider(public) == b"3109ca1b20c4e7f3d51"
    raises(Refused, tu.parse_public, bytes.fromhex(TUNION), public)


def test_enabled_by_application_type():
    aid = bytes.fromhex(TUNION)
    for kind, enabled, right in ((2, 1, 1), (3, 1, 1), (3, 5, 1), (1, 1, 0), (0, 1, 0), (2, 0, 0)):
        public = bytes(8) + bytes((kind, enabled)) + bytes(20)
        if right:
            tu.check_enabled(aid, public)
        else:
            error = raises(Refused, tu.check_enabled, aid, public)
            assert error.reason == "card_refused"


def test_blocked_is_refused_and_city_union_is_not_by_that_rule():
    for word in ("6283", "6284", "9303"):
        assert tu.blocked(bytes.fromhex(TUNION), int(word, 16))
        assert not tu.blocked(bytes.fromhex("A00000000386980701"), int(word, 16))
    assert not tu.blocked(bytes.fromhex(TUNION), 0x6A82)


def test_own_money():
    for answers, own in (
        ({3: "00000000", 2: "00000000", 0: "00000320"}, 0),
        ({3: "00000000", 2: "00000096"}, -150),
        ({0: "00000320", 1: "00000320"}, 0),
        ({0: "000002BC", 1: "00000320"}, -100),
        ({3: "8000164E"}, 5710),
        ({0: "8000164E"}, 5710),
        ({}, None),
    ):

        class Purse:
            told = answers

            async def transceive(self, command):
                answer = self.told.get(command[2])
                return bytes.fromhex(answer + "9000") if answer else b"\x6a\x86"

        assert run(tu.balance(Purse())) == own


def test_aids():
    for text in (TUNION, TUNION + "1000915600", "A00000000386980701"):
        assert tu.handles(bytes.fromhex(text))
    assert not tu.handles(bytes.fromhex("A000000333010101"))
