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


def test_aids():
    for text in (TUNION, TUNION + "1000915600", "A00000000386980701"):
        assert tu.handles(bytes.fromhex(text))
    assert not tu.handles(bytes.fromhex("A000000333010101"))
