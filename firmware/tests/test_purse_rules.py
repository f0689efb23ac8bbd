from fakes import raises
from purse_bench import SECTION, Card, Validator
from validator.media import purse_rules
from validator.media.purse_rules import PurseRulesError, load

KEY = "00112233445566778899aabbccddeeff"
SOFT = {"terminal": "300089000340", "key": KEY}


def test_nothing_configured():
    for section in (None, {}):
        rules = load(section)
        assert rules["aids"] == (purse_rules.TUNION, purse_rules.CITY)
        assert not rules["composite"] and rules["psam"] == () and rules["soft_psam"] == ()
        assert rules["window_s"] == 5 and rules["types"] == {} and rules["psams"] == ()


def test_from_other_sections():
    rules = load({}, identity={"vehicle": "粤B-12345"}, fares={"types": {"student": 90}})
    assert rules["vehicle"] == b"\xa4B-12345"[-8:] and len(rules["vehicle"]) == 8
    assert rules["types"] == {}  # nobody signs a card's type
    fares = {"types": {"student": 90, "normal": 150}}
    assert load({}, fares=fares)["types"] == {"normal": 150}
    rules = load({"types_unproven": True}, fares={"types": {"student": 90}})
    assert rules["types"] == {"student": 90}
    assert rules["ride"] and not load({"torn_unproven": "refuse"})["ride"]
    assert load({"vehicle": "A7"}, identity={"vehicle": "B"})["vehicle"] == b"      A7"
    assert load({"types": {}}, fares={"types": {"student": 90}})["types"] == {}


def test_psams():
    rules = load({"psam": [{}, {"slot": 1, "df": "1001"}, {"df": "1001", "form": "14"}]})
    first, city, older = rules["psam"]
    expected = {"slot": 0, "df": b"\x80\x11", "form": 36, "aids": (purse_rules.TUNION,)}
    expected["key_index"] = 1
    assert first == expected
    assert (city["slot"], city["form"], city["aids"]) == (1, 28, (purse_rules.CITY,))
    assert older["form"] == 20


def test_soft_psam_never_in_service():
    assert load({"soft_psam": SOFT})["soft_psam"][0]["key"].hex() == KEY
    assert len(load({"soft_psam": [SOFT, SOFT]})["soft_psam"]) == 2
    for section in ({"soft_psam": SOFT}, {"soft_psam": [SOFT]}):
        error = raises(PurseRulesError, lambda s=section: load(s, service=True))
        assert str(error) == "purse.soft_psam: not in service: a PSAM in a slot expected"
    assert load({}, service=True)["service"]


def test_what_is_refused_and_what_is_said():
    for section, said in (
        ({"colour": "red"}, "purse.colour: no such member: mode aids"),
        ({"mode": "both"}, "purse.mode: 'both': single or composite expected"),
        ({"types_unproven": 1}, "purse.types_unproven: 1: true or false expected"),
        ({"torn_unproven": "ask"}, "purse.torn_unproven: 'ask': ride or refuse expected"),
        ({"mode": "composite"}, "purse.marked_amount: missing"),
        ({"line": "52"}, "purse.line: '52': 2 bytes in hex expected"),
        ({"line": "00xx"}, "purse.line: '00xx': 2 bytes"),
        ({"line": 52}, "purse.line: 52: 2 bytes"),
        ({"station": 256}, "purse.station: 256: 0 to 255 expected"),
        ({"station": True}, "purse.station: True: 0 to 255 expected"),
        ({"types": [1]}, "purse.types: [1]: an object"),
        ({"types": {"student": -1}}, "purse.types.student: -1: 0 to 1000000 expected"),
        ({"aids": "A000000632010105"}, "purse.aids: 'A000000632010105': a list of AIDs"),
        ({"aids": ["A0"]}, "purse.aids: ['A0']: a list of AIDs"),
        ({"stages": [[5, 200], [5, 300]]}, "purse.stages: "),
        ({"stages": [[5]]}, "purse.stages: "),
        ({"stages": 5}, "purse.stages: 5: "),
        ({"vehicle": 7}, "purse.vehicle: 7: text"),
        ({"direction": "left"}, "purse.direction: 'left': up or down"),
        ({"psam": {}}, "purse.psam: {}: a list"),
        ({"psam": [7]}, "purse.psam[0]: an object expected"),
        ({"psam": [{}, {"slot": 8}]}, "purse.psam[1].slot: 8: 0 to 7"),
        ({"psam": [{"form": "1c"}]}, "purse.psam[0].form: '1c': 24 or 1C or 14"),
        ({"psam": [{"df": "801"}]}, "purse.psam[0].df: '801': 2 bytes"),
        ({"soft_psam": {"key": KEY}}, "purse.soft_psam.terminal: None: 6 bytes"),
    ):
        error = raises(PurseRulesError, load, section)
        assert str(error).startswith(said), str(error)
    assert isinstance(error, ValueError)


def test_no_error_shows_a_key():
    bad = dict(SOFT)
    bad["key"] = KEY + "00"
    assert KEY not in str(raises(PurseRulesError, load, {"soft_psam": bad}))
    for value in (KEY, [KEY]):
        assert KEY not in str(raises(PurseRulesError, load, {"soft_psam": value}))


def test_the_sample_section_serves():
    rules = load(SECTION)
    assert rules["line"] == b"\0\x52" and rules["vehicle"] == b"31000123"
    assert Validator().tap(Card()).outcome == "accepted"
