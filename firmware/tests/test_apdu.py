from fakes import run
from validator.emv import apdu
from validator.nfc.reader import CardProtocolError


class Card:
    """Answers from a list of (expected command, answer) in hex."""

    def __init__(self, *steps):
        self.steps = list(steps)

    async def transceive(self, command):
        expected, answer = self.steps.pop(0)
        assert command.hex().upper() == expected, command.hex()
        return bytes.fromhex(answer)


def exchange(command, *steps):
    card = Card(*steps)
    out = run(apdu.exchange(card, bytes.fromhex(command)))
    assert not card.steps
    return out


def refused(command, *steps):
    try:
        run(apdu.exchange(Card(*steps), bytes.fromhex(command)))
    except CardProtocolError as e:
        return e.reason
    raise AssertionError("did not raise")


def test_authentication_builders():
    assert apdu.get_data(0x9F79).hex() == "80ca9f7900"
    assert apdu.internal_authenticate(b"\x01\x02\x03\x04").hex() == "00880000040102030400"
    assert apdu.generate_ac(0x80, b"\xaa\xbb").hex() == "80ae800002aabb00"


def test_one_long_answer_is_refused():
    assert refused("00B2010C00", ("00B2010C00", "AA" * 1100 + "9000")) == "too_long"


def test_builders():
    assert apdu.select(b"2PAY.SYS.DDF01").hex().upper() == (
        "00A404000E325041592E5359532E444446303100"
    )
    assert apdu.read_record(1, 2).hex().upper() == "00B2020C00"
    assert apdu.read_binary(0x15).hex().upper() == "00B0950000"
    assert apdu.get_balance().hex().upper() == "805C000204"
    assert apdu.get_processing_options(b"\x01\x02").hex().upper() == "80A80000048302010200"
    long = apdu.get_processing_options(bytes(130))
    assert long[:8].hex().upper() == "80A8000085838182" and len(long) == 5 + 3 + 130 + 1


def test_plain_answer():
    assert exchange("00B0950000", ("00B0950000", "11229000")) == (b"\x11\x22", 0x9000)
    assert exchange("00B0950000", ("00B0950000", "6A82")) == (b"", 0x6A82)


def test_q37_61xx_is_fetched():
    got = exchange("00A4040000", ("00A4040000", "6102"), ("00C0000002", "11229000"))
    assert got == (b"\x11\x22", 0x9000)


def test_q37_61xx_in_pieces():
    got = exchange(
        "00A4040000",
        ("00A4040000", "AA6101"),
        ("00C0000001", "BB6100"),
        ("00C0000000", "CC9000"),
    )
    assert got == (b"\xaa\xbb\xcc", 0x9000)


def test_q37_6cxx_is_asked_again():
    assert exchange("00B0950000", ("00B0950000", "6C1E"), ("00B095001E", "019000")) == (
        b"\x01",
        0x9000,
    )
    # A command with data and without Le gets one.
    assert exchange("00A4000002DF01", ("00A4000002DF01", "6C05"), ("00A4000002DF0105", "9000"))
    # In a command with data and Le it is replaced.
    assert exchange("00A4000001DF00", ("00A4000001DF00", "6C05"), ("00A4000001DF05", "9000"))


def test_q37_6cxx_then_61xx():
    got = exchange(
        "00B0950000",
        ("00B0950000", "6C02"),
        ("00B0950002", "6102"),
        ("00C0000002", "6C01"),
        ("00C0000001", "559000"),
    )
    assert got == (b"\x55", 0x9000)


def test_q37_6cxx_twice_is_the_answer():
    assert exchange("00B0950000", ("00B0950000", "6C02"), ("00B0950002", "6C03")) == (b"", 0x6C03)


def test_q37_endless_61xx():
    steps = [("00B0950000", "6101")] + [("00C0000001", "006101")] * 20
    assert refused("00B0950000", *steps) == "endless"


def test_answer_without_status_word():
    assert refused("00B0950000", ("00B0950000", "90")) == "no_status_word"
    assert refused("00B0950000", ("00B0950000", "")) == "no_status_word"
