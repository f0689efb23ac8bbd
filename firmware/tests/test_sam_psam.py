from fakes import raises, run
from validator import sam
from validator.media import purse_rules
from validator.sam import PsamError, SlotError
from validator.sam.psam import Chip, Psam
from validator.sam.tries import Tries

TERMINAL = "300089000340"
DATA = bytes(range(36))
MAC1 = "0000002A11223344"


class Module:
    """A PSAM at APDU level by script: {command in hex, by its beginning: answer or exception}."""

    def __init__(self, **changes):
        self.answers = {
            "00B0960006": TERMINAL + "9000",
            "00A40000028011": "6109",
            "00A40000021001": "9000",
            "80700000": "6108",
            "00C0000008": MAC1 + "9000",
            "00C0000009": "6F0784054D4F5450559000",
            "80720000": "9000",
        }
        self.sent = []
        self.resets = 0
        self.troubles = []  # exceptions for the next commands; None: none
        self.dead = False

    async def reset(self):
        self.resets += 1
        if self.dead:
            raise SlotError("silent")

    async def transceive(self, command):
        text = command.hex().upper()
        self.sent.append(text)
        if self.dead:
            raise SlotError("silent")
        if self.troubles:
            trouble = self.troubles.pop(0)
            if trouble:
                raise trouble
        for n in range(len(text), 7, -2):
            if text[:n] in self.answers:
                return bytes.fromhex(self.answers[text[:n]])
        return b"\x6d\x00"


class Log:
    def __init__(self):
        self.lines = []

    def error(self, area, text):
        self.lines.append("error " + text)

    def warning(self, area, text):
        self.lines.append("warning " + text)

    def info(self, area, text):
        self.lines.append("info " + text)


def psam(module, **entry):
    made = {"slot": 0, "df": b"\x80\x11", "form": 36, "aids": (purse_rules.TUNION,)}
    made["key_index"] = 1
    made.update(entry)
    return Psam(Chip(module), made, Tries())


def opened(module=None, **entry):
    one = psam(module or Module(), **entry)
    run(one.open())
    assert one.fault == ""
    return one


def mac1(one):
    try:
        return run(one.mac1(DATA))
    except PsamError as e:
        return str(e)


def test_open_asks_the_terminal_id_and_selects():
    module = Module()
    one = opened(module)
    assert one.terminal.hex() == TERMINAL and module.resets == 1
    assert module.sent == ["00B0960006", "00A40000028011", "00C0000009", "00B0970001"]
    assert one.index == 1  # it has no file 17: the configuration's number


def test_mac1_and_its_check():
    module = Module()
    one = opened(module)
    module.sent.clear()
    assert mac1(one) == (b"\0\0\0\x2a", b"\x11\x22\x33\x44") and one.session == b"\0\0\0\x2a"
    assert module.sent == ["8070000024" + DATA.hex().upper() + "08", "00C0000008"]
    assert run(one.check(b"\1\2\3\4")) is True
    assert module.sent[2] == "807200000401020304"
    assert one.session is None and run(one.check(b"\1\2\3\4")) is None  # one answer a MAC1
    assert len(module.sent) == 3


def test_forms():
    for form, head in ((28, "807000001C"), (20, "8070000014")):
        module = Module()
        one = opened(module, form=form, df=b"\x10\x01")
        mac1(one)
        assert module.sent[-2] == head + DATA[:form].hex().upper() + "08"


def test_what_a_check_may_say():
    for word, said in (
        ("9000", True),
        ("9302", False),
        ("6988", False),
        ("63C2", False),
        ("6985", None),
        ("6983", None),
        ("6F00", None),
    ):
        module = Module()
        module.answers["80720000"] = word
        one = opened(module)
        mac1(one)
        assert run(one.check(bytes(4))) is said, word


def test_mac1_refused():
    module = Module()
    module.answers["80700000"] = "6A88"
    one = opened(module)
    assert mac1(one) == "MAC1 6A88" and one.fault == "" and one.session is None
    module.answers["80700000"] = "9000"
    assert mac1(one) == "MAC1 9000"


def test_a_stumble_is_made_good():
    module = Module()
    one = opened(module)
    module.troubles = [SlotError("echo")]
    assert mac1(one) == (b"\0\0\0\x2a", b"\x11\x22\x33\x44")
    assert module.resets == 2 and one.fault == ""


def test_a_slot_that_dies():
    module = Module()
    one = opened(module)
    module.dead = True
    assert mac1(one) == "silent" and one.fault == "silent"
    module.sent.clear()
    assert mac1(one) == "silent" and not module.sent  # no rider waits for it again
    module.dead = False
    run(one.open())
    assert one.fault == "" and mac1(one)[1] == b"\x11\x22\x33\x44"


def test_dies_before_the_check():
    module = Module()
    one = opened(module)
    mac1(one)
    module.dead = True
    assert run(one.check(bytes(4))) is None and one.fault == "silent"


def test_another_psam_in_the_slot():
    module = Module()
    one = opened(module)
    module.troubles = [SlotError("silent")]
    module.answers["00B0960006"] = "110000000001" + "9000"
    # The card was told the first one's terminal id.
    assert mac1(one) == "another PSAM" and one.fault
    run(one.open())
    assert one.terminal.hex() == "110000000001" and mac1(one)[0] == b"\0\0\0\x2a"


def test_what_is_wrong_at_boot():
    for command, answer, said in (
        ("00B0960006", "6A82", "terminal id 6A82"),
        ("00B0960006", "30008900039000", "terminal id 9000"),
        ("00A40000028011", "6A82", "DF 8011: 6A82"),
    ):
        module = Module()
        module.answers[command] = answer
        one = psam(module)
        run(one.open())
        assert one.fault == said
        assert mac1(one) == said
    entry = {"slot": 3, "df": b"\x80\x11", "form": 36, "aids": (), "key_index": 1}
    one = Psam(None, entry, Tries())
    run(one.open())
    assert one.fault == "no such slot"


SECTION = {
    "psam": [{"slot": 0}, {"slot": 0, "df": "1001"}, {"slot": 1, "aids": ["A0000006320101"]}]
}
AID = bytes.fromhex("A000000632010105")
OTHER = bytes.fromhex("A000000632990105")
CITY = bytes.fromhex("A00000000386980701")


def test_two_applications_in_one_slot():
    module = Module()
    rules = purse_rules.load({"psam": SECTION["psam"][:2]})
    log = Log()
    run(sam.start(rules, {0: module}, log))
    mot, city = rules["psams"]
    assert sam.find(rules, AID) is mot and sam.find(rules, CITY) is city
    module.sent.clear()
    mac1(mot)
    mac1(mot)
    mac1(city)
    selects = [c for c in module.sent if c[:4] == "00A4"]
    assert selects == ["00A40000028011", "00A40000021001"]
    # What the other one began is over.
    assert run(mot.check(bytes(4))) is None
    assert run(city.check(bytes(4))) is True


def test_failure_is_reported_once_and_survived():
    first, second = Module(), Module()
    second.dead = True
    rules = purse_rules.load(SECTION)
    log = Log()
    run(sam.start(rules, {0: first, 1: second}, log))
    assert log.lines == ["error slot 1: silent"] + ["info terminal %s serves" % TERMINAL] * 2
    # The longest prefix decides, whether it serves or not.
    assert sam.find(rules, AID).fault == "silent" and sam.find(rules, OTHER).fault == ""
    assert sam.find(rules, b"\xa0\0\0\3\x33\1\1\1") is None
    log.lines.clear()
    assert run(sam.check(rules, log)) is False and log.lines == []
    second.dead = False
    resets = first.resets
    assert run(sam.check(rules, log)) is True and log.lines == ["info slot 1 serves again"]
    assert first.resets == resets


def test_a_slot_that_no_board_has():
    rules = purse_rules.load({"psam": [{"slot": 2}]})
    log = Log()
    run(sam.start(rules, {}, log))
    assert log.lines == ["error slot 2: no such slot"]


def test_software_psam_says_so():
    soft = {"terminal": TERMINAL, "key": "00" * 16}
    rules = purse_rules.load({"soft_psam": soft})
    log = Log()
    run(sam.start(rules, {}, log))
    assert log.lines[0] == "warning a software PSAM with test keys serves"
    assert sam.find(rules, AID) is sam.find(rules, CITY) is rules["psams"][0]


def test_what_a_check_costs_and_when_it_is_not_asked_any_more():
    module = Module()
    one = opened(module)
    for word, right, left in (("63CD", False, 13), ("63C3", False, 3), ("9000", True, None)):
        module.answers["80720000"] = word
        run(one.mac1(DATA))
        assert run(one.check(b"abcd")) is right and one._tries.left(one.key) == left
    for word, left in (("63C2", 2), ("6983", 0), ("9303", 0)):
        module = Module()
        one = opened(module)
        module.answers["80720000"] = word
        run(one.mac1(DATA))
        assert not run(one.check(b"abcd"))
        assert one.fault and one._tries.left(one.key) == left
        asked = len(module.sent)
        raises(PsamError, lambda o=one: run(o.mac1(DATA)))
        assert len(module.sent) == asked  # nobody gets at its last tries
        run(one.open())
        assert one.fault


def test_the_number_of_the_key():
    module = Module()
    module.answers["00B0970001"] = "029000"
    one = opened(module)
    assert one.index == 2 and not run(one.renew())
    module.answers["00B0970001"] = "039000"
    assert run(one.renew()) and one.index == 3
    module.answers["00B0970001"] = "6A82"
    assert opened(module, key_index=7).index == 7


def test_the_code_of_a_city_card():
    module = Module()
    module.answers["80CA000009"] = "9000"
    one = opened(module, df=b"\x10\x01", form=28)
    one.code = b"ninebytes"
    run(one.mac1(DATA))
    shown = "80CA000009" + b"ninebytes".hex().upper()
    at = module.sent.index(shown)
    assert module.sent[at + 1].startswith("80700000")
    # One that knows no such command is not asked again.
    module.answers["80CA000009"] = "6D00"
    run(one.mac1(DATA))
    run(one.mac1(DATA))
    assert len([c for c in module.sent if c == shown]) == 2
    # T-Union's has none of it.
    one = opened(module)
    one.code = b"ninebytes"
    run(one.mac1(DATA))
    assert len([c for c in module.sent if c == shown]) == 2


def test_two_sections_for_one_application_share_its_session():
    module = Module()
    rules = purse_rules.load(
        {
            "psam": [
                {"slot": 0, "df": "8011", "form": "24", "aids": [AID.hex()]},
                {"slot": 0, "df": "8011", "form": "14", "aids": [CITY.hex()]},
            ]
        }
    )
    run(sam.start(rules, {0: module}, Log()))
    one, other = rules["psams"]
    mac1(one)
    mac1(other)
    asked = len(module.sent)
    # MAC2 of the other's debit is no proof of the first one's, and costs no try.
    assert run(one.check(bytes(4))) is None and len(module.sent) == asked
    assert run(other.check(bytes(4))) is True
    mac1(other)
    mac1(one)
    assert run(one.check(bytes(4))) is True
    mac1(one)
    run(one._chip.reset())
    assert run(one.check(bytes(4))) is None
