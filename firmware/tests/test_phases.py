from fakes import FakeClock, raises
from validator.media import reasons
from validator.media.phases import PHASES, Phases
from validator.media.result import Result, mask


def test_phases_are_timed_and_add_up():
    clock = FakeClock()
    phases = Phases(clock)
    phases.start()
    clock.advance_us(4400)
    phases.mark("select")
    clock.advance_us(20000)
    phases.mark("read")
    clock.advance_us(300)
    phases.mark("select")
    assert phases.ms("select") == 5 and phases.ms("read") == 20
    assert phases.as_dict() == dict([(p, {"select": 5, "read": 20}.get(p, 0)) for p in PHASES])
    phases.start()
    assert phases.ms("read") == 0


def test_unknown_phase():
    raises(ValueError, Phases(FakeClock()).mark, "lunch")


def test_codes_in_records_are_stable():
    assert reasons.REASONS.index("unverified") == 1 and reasons.REASONS.index("card_lost") == 12
    assert reasons.REASONS.index("malformed") == 18
    assert reasons.MEDIA.index("tunion") == 2 and reasons.OUTCOMES.index("retry") == 2


def test_result_has_a_reason_unless_accepted():
    raises(ValueError, Result, "tunion", "accepted", "expired")
    raises(ValueError, Result, "tunion", "declined")
    raises(ValueError, Result, "tram", "accepted")
    assert Result("tunion", "accepted").reason == ""


def test_result_shows_no_token_source():
    shown = repr(Result("tunion", "retry", "card_lost", token_source=b"6212345678907890"))
    assert "6212345678907890" not in shown


def test_mask():
    assert mask("6212345678907890") == "621234******7890"
    assert mask("621234567890") == "******"
