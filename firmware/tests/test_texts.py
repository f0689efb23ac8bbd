"""Every outcome has a sentence in both languages that fits."""

from validator.media.reasons import REASONS
from validator.ui import texts
from validator.ui.screen import is_ascii, wrap


def is_chinese(text):
    return bool(text) and any(0x4E00 <= ord(c) <= 0x9FFF for c in text)


def test_every_reason_has_both_languages_and_there_is_no_other():
    assert sorted(texts.RESULTS) == sorted(REASONS)
    for reason in REASONS:
        zh, en = texts.result(reason)
        assert is_chinese(zh), reason
        assert is_ascii(en), reason


def test_no_two_reasons_say_the_same():
    for i in (0, 1):
        assert len({pair[i] for pair in texts.RESULTS.values()}) == len(REASONS)


def test_states_have_both_languages():
    assert texts.state("ready") == ("请刷卡/扫码", "Tap or scan")
    for zh, en in texts.STATES.values():
        assert is_chinese(zh) and is_ascii(en)


def test_an_unheard_of_reason_still_says_something():
    zh, en = texts.result("no such reason")
    assert is_chinese(zh) and is_ascii(en)


def test_sentences_fit_the_small_display_with_the_amounts():
    amounts = texts.amounts(99999, 999999)[1]
    for _, en in list(texts.RESULTS.values()) + list(texts.STATES.values()):
        assert max(len(word) for word in en.split()) <= 11  # beside the icon
        assert len(wrap([en], 16, 11, 3)) <= 4
    assert len(wrap([texts.result("")[1], amounts], 16, 11, 3)) <= 5


def test_money():
    for fen, text in ((0, "0.00"), (5, "0.05"), (200, "2.00"), (12345, "123.45"), (-80, "-0.80")):
        assert texts.money(fen) == text


def test_amounts():
    assert texts.amounts(None, None) == ("", "")
    assert texts.amounts(200, None) == ("票价 2.00", "Fare 2.00")
    assert texts.amounts(None, 80) == ("余额 0.80", "Left 0.80")
    assert texts.amounts(0, 0) == ("票价 0.00 余额 0.00", "Fare 0.00 Left 0.00")


def test_the_operators_own_sentences_and_order():
    try:
        own = {"accepted": {"zh": "欢迎", "en": "Hello"}, "ready": {"zh": "刷卡", "en": "Tap"}}
        texts.configure({"language": "en", "texts": own})
        assert texts.result("") == ("Hello", "欢迎")
        assert texts.state("ready") == ("Tap", "刷卡")
        assert texts.result("expired")[0] == "Expired. Please renew"
        assert texts.amounts(200, None) == ("Fare 2.00", "票价 2.00")
    finally:
        texts.configure({})
    assert texts.result("") == ("请上车", "Welcome aboard")
