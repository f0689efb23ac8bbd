"""The short record of a purse's debit: its bytes, and what is read from them."""

from hashlib import sha256

from fakes import FakeClock, raises
from validator.media import purse_torn as torn
from validator.media.phases import Phases
from validator.store import purchase, record
from validator.store.purchase_read import Contexts

TERMINAL = bytes.fromhex("300089000340")
TOKEN = bytes.fromhex("a1a2a3a4a5a6a7a8")
CONTEXT = purchase.context(b"\1\2\3\4", 0x1234, 17, TERMINAL, purchase.names("粤B12345", "52", ""))
SEALED = bytes(range(0x40, 0x40 + 22))

# Written down from docs/records.md, not with the code.
CONTEXT_HEX = "c7" + "01020304" + "3412" + "11000000" + "300089000340"
CONTEXT_HEX += "09" + "e7b2a4423132333435" + "02" + "3532" + "00"
HEAD_HEX = (
    "a1"
    + "0003d970"
    + "a1a2a3a4a5a6a7a8"
    + "c80000"
    + "9012"
    + "2d04"
    + "881300"
    + "0000ff01"
    + "0104"
)


def debit(**changes):
    made = torn.Debit(6, 0x042D, 5000, 200)
    made.terminal = TERMINAL
    made.serial = b"\0\0\xff\x01"
    made.version = 1
    made.algorithm = 4
    made.unix = 1893270272
    for key in changes:
        setattr(made, key, changes[key])
    return made


def body(made, detail=None, sealed=b"", test=True, context=CONTEXT):
    detail = detail or {}
    first = purchase.pack(made, TOKEN, "9012", detail, test)
    return b"".join((first, purchase.name(context), sealed, purchase.about(made, detail)))


def phases(*ms):
    clock = FakeClock(0)
    measured = Phases(clock)
    for i in range(len(ms)):
        measured.add(record.BEFORE[i], ms[i] * 1000)
    return measured


def find(name):
    return CONTEXT if name == sha256(CONTEXT).digest()[:4] else None


def test_bytes():
    assert CONTEXT.hex() == CONTEXT_HEX
    first = purchase.pack(debit(), TOKEN, "9012", {}, True)
    assert first.hex() == HEAD_HEX
    made = debit(state=torn.PAID, mac2=b"MAC2", tac=b"TAC!")
    end = purchase.pack_end(made, phases(1, 2, 0x345, 70000, 5))
    word = 2 | 1 << 4 | 2 << 16 | 0x345 << 28 | 0xFFE << 40 | 5 << 52
    assert end == word.to_bytes(8, "little") + b"MAC2TAC!"


def test_what_is_read():
    fields = record.decode(body(debit(), sealed=SEALED), find)
    assert (fields["version"], fields["seq"], fields["medium"]) == (2, 0, "tunion")
    assert (fields["outcome"], fields["reason"], fields["fare"]) == ("retry", "card_lost", 0)
    assert (fields["time"], fields["token"], fields["last4"]) == (1893270272, TOKEN, "9012")
    assert (fields["vehicle"], fields["line"], fields["stop"]) == ("粤B12345", "52", "")
    assert (fields["boot"], fields["config"], fields["test"]) == (0x1234, 17, True)
    assert fields["detail"] == {"state": "open"}
    assert set(fields["phases"].values()) == {None}
    known = torn.unpack(fields["evidence"])
    assert (known.terminal, known.when.hex()) == (TERMINAL, "20291230042432")
    beside = sha256(body(debit())[:29]).digest()[:16]
    assert fields["evidence"][52:] == b"\x04\1\2\3\4" + beside + SEALED
    # All that a record of version 1 has, and nothing else.
    other = {"seq": 1, "time": 2, "medium": "tunion", "outcome": "accepted", "reason": ""}
    assert set(fields) == set(record.decode(record.encode(other)))


def test_every_end():
    outcomes = {
        torn.LOST: ("retry", "card_lost", 0),
        torn.PAID: ("accepted", "", 200),
        torn.UNCHECKED: ("accepted", "", 200),
        torn.WRONG: ("declined", "bad_signature", 0),
        torn.REFUSED: ("declined", "card_refused", 0),
    }
    for sealed in (b"", SEALED):
        for about in ({}, {"void": 7}, {"unknown": 9}):
            for state in outcomes:
                made = debit(void=about.get("void", 0))
                first = body(made, about, sealed)
                made.state = state
                made.mac2 = b"MAC2"
                made.tac = b"TAC!"
                made.answer = b"\x69\x85"
                end = purchase.pack_end(made, phases(1, 2, 300, 4000, 0))
                fields = record.decode(first + end, find)
                got = (fields["outcome"], fields["reason"], fields["fare"])
                assert got == outcomes[state], state
                detail = dict(about)
                detail["state"] = torn.STATES[state]
                if state in (torn.LOST, torn.REFUSED):
                    detail["what"] = "DEBIT 6985"
                if state == torn.WRONG:
                    detail["debited"] = True
                    detail["what"] = "MAC2"
                assert fields["detail"] == detail
                assert [fields["phases"][n] for n in record.BEFORE] == [1, 2, 300, 4000, 0]
                known = torn.unpack(fields["evidence"])
                assert known.tac == b"TAC!" and known.void == about.get("void", 0)
                assert known.mac2 == (bytes(4) if "DEBIT" in detail.get("what", "") else b"MAC2")


def test_trips():
    for detail in ({"trip": "in"}, {"trip": "out"}, {"trip": "in", "unfinished": True}):
        made = debit(type=9, amount=0)
        fields = record.decode(body(made, detail), find)
        expected = dict(detail)
        expected["state"] = "open"
        assert fields["detail"] == expected
        assert torn.unpack(fields["evidence"]).type == 9


def test_short_numbers_and_service():
    made = purchase.pack(debit(), TOKEN, "****", {}, False) + purchase.name(CONTEXT)
    fields = record.decode(made, find)
    assert fields["last4"] == "" and fields["test"] is False


def test_lengths_that_are_none():
    sizes = [n for n in range(1, 120) if _decodes(body(debit()) + bytes(100), n)]
    # Zeros behind it are a number that nobody has, of a kind that nobody knows, or an end.
    assert sizes == [33, 49, 55, 71]
    with_link = body(debit(), {"unknown": 1})
    assert [n for n in range(1, 120) if _decodes(with_link + bytes(100), n)] == [
        33,
        38,
        49,
        54,
        55,
        71,
    ]


def _decodes(data, n):
    try:
        record.decode(data[:n], find)
    except record.RecordError:
        return False
    return True


def test_what_is_none():
    good = body(debit())
    for bad in (
        bytes((0xC0 | good[0],)) + good[1:],
        bytes((0x8C | good[0],)) + good[1:],
        good + b"\3\0\0\0\0",
        good + b"\x06" + bytes(15),
        good[:29] + b"none",
    ):
        raises(record.RecordError, record.decode, bad, find)
    for block in (b"", b"\xc7", CONTEXT[:-1], b"\xc8" + CONTEXT[1:], CONTEXT[:18] + b"\xff" * 12):
        raises(record.RecordError, record.decode, good, lambda name: block)  # noqa: B023
    # Without contexts at hand, what is in the record itself.
    fields = record.decode(good)
    assert fields["vehicle"] == "" and torn.unpack(fields["evidence"]).terminal == bytes(6)


def test_a_rotten_bit_in_a_context():
    wanted = purchase.name(CONTEXT)
    for at in range(1, len(CONTEXT)):
        rotten = bytearray(CONTEXT)
        rotten[at] ^= 1 << at % 8
        contexts = Contexts()
        contexts.add(bytes(rotten))
        contexts.add(b"\1\0" + bytes(300))  # a key block, which it is not for
        assert contexts.find(wanted) == CONTEXT
        assert contexts.find(b"none") is None
