"""The calls by which an operator sees and settles open debits."""

from fakes import raises
from purse_bench import Card, Validator
from riders_bench import at, key, memory
from validator import calls_debits
from validator.link.peer import RpcError
from validator.media.quickpass_torn import Debit
from validator.media.quickpass_torn import Torn as Payments
from validator.media.riders import PURSE


class App:
    riders_fault = "no partition riders"

    def __init__(self, riders):
        self.riders = riders
        self.log = self

    def info(self, area, text):
        pass


def calls(riders):
    return calls_debits.DebitCalls(App(riders))


def listed(call):
    out = []
    start = 0
    answers = 0
    while start is not None:
        answer = call.open({"from": start})
        assert len(answer["debits"]) <= 60
        assert answer["next"] is None or answer["next"] > start
        out += answer["debits"]
        start = answer["next"]
        answers += 1
    return out, answers


def torn_riders(count):
    v = Validator()
    cards = []
    for i in range(count):
        card = Card(number="03104821234567890%02d" % i, cuts={"debit": "after"})
        v.tap(card)
        v.later()
        cards.append(card)
    return v, cards


def pass_records(v, count=20):
    for i in range(count):
        v.tap(Card(number="0310482123456780%03d" % i))
        v.later()
        for _ in range(4):
            v.riders.idle()


def test_all_that_is_open_is_listed_once_pending_or_not():
    v, cards = torn_riders(20)
    call = calls(v.riders)
    found, _ = listed(call)
    assert sorted(d["seq"] for d in found) == list(range(1, 21))
    first = [d for d in found if d["seq"] == 1][0]
    assert first["medium"] == "tunion" and first["kind"] == "torn" and first["amount"] == 200
    assert first["counter"] == 0x042D and first["time"] == 1893456000
    pass_records(v)
    v.reboot()
    found, answers = listed(calls(v.riders))
    assert sorted(d["seq"] for d in found)[:20] == list(range(1, 21)) and answers > 1


def test_settled_it_is_forgotten_also_after_a_start():
    v, cards = torn_riders(3)
    pass_records(v)
    call = calls(v.riders)
    one = [d for d in listed(call)[0] if d["seq"] == 2][0]
    asked = {"seq": 2, "token": one["token"]}
    assert call.settle(asked) == {"settled": 1}
    assert raises(RpcError, call.settle, asked).message.startswith("nothing is open")
    for _ in range(2):
        assert 2 not in [d["seq"] for d in listed(calls(v.riders))[0]]
        assert v.rules["torn"].of(bytes.fromhex(one["token"])) is None
        v.reboot()
    # Who comes back now pays again: it was settled.
    debits = cards[1].debits
    assert v.tap(cards[1]).outcome == "accepted" and cards[1].debits == debits + 1
    assert v.tap(cards[0]).detail["of"] == 1, "others are as they were"


def test_the_newest_are_not_settled_a_start_would_read_them_again():
    v, cards = torn_riders(3)
    call = calls(v.riders)
    one = listed(call)[0][0]
    error = raises(RpcError, call.settle, {"seq": one["seq"], "token": one["token"]})
    assert "too new" in error.message
    v.reboot()
    assert len(v.torn()) == 3


def test_who_rode_on_the_cards_word_may_again_when_it_is_settled():
    v, cards = torn_riders(1)
    v.reboot()
    assert v.tap(cards[0]).detail["state"] == "unproven"
    pass_records(v)
    call = calls(v.riders)
    found = [d for d in listed(call)[0] if d["kind"] == "unproven"]
    assert [(d["seq"], d["amount"]) for d in found] == [(1, None)]
    token = bytes.fromhex(found[0]["token"])
    assert v.rules["torn"].unproven(token)
    assert call.settle({"seq": 1, "token": found[0]["token"]}) == {"settled": 1}
    v.reboot()
    assert not v.rules["torn"].unproven(token)


def test_electronic_cash_too():
    class Later:
        next_seq = 10000

    riders = memory(journal=Later)
    Payments(riders).add(key(1), 7, Debit(9, 123456, 300, True))
    found, _ = listed(calls(riders))
    assert [(d["medium"], d["seq"], d["counter"], d["amount"]) for d in found] == [
        ("quickpass", 7, 9, 300)
    ]
    assert calls(riders).settle({"seq": 7, "token": key(1).hex()}) == {"settled": 1}
    assert listed(calls(riders))[0] == []


def test_what_cannot_be_asked():
    call = calls(memory())
    for start in (-1, "0", None, 1.5):
        raises(RpcError, call.open, {"from": start})
    for token in ("", "00", "0" * 17, "zz" * 8, None, 5):
        raises(RpcError, call.settle, {"seq": 1, "token": token})
    for seq in (0, -1, "1", None):
        raises(RpcError, call.settle, {"seq": seq, "token": "00" * 8})
    assert call.open({"from": 1 << 30}) == {"debits": [], "next": None}
    call = calls(None)
    assert "no partition riders" in raises(RpcError, call.open, {}).message


def test_a_full_room_has_room_again_when_the_operator_has_settled():
    v, cards = torn_riders(2)
    riders = v.riders
    n = 0
    torn = v.rules["torn"]
    known = []
    refused = None
    while refused is None:
        k = key(n)
        n += 1
        if riders.has_room(PURSE, k, 8):
            assert riders.ready(1)
            seq = v.journal.next_seq
            v.tap(Card(number="0310482123456%06d" % n))
            riders.open(PURSE, k, seq, seq, b"")
            known.append((k, seq))
        else:
            refused = k
    pass_records(v)
    call = calls(riders)
    bucket = riders.table.bucket(PURSE, refused)
    same = [e for e in known if riders.table.bucket(PURSE, e[0]) == bucket]
    for k, seq in same[:10]:
        assert call.settle({"seq": seq, "token": k.hex()}) == {"settled": 1}
    at(riders, v.clock.unix() + 60)
    torn.admit(refused)
