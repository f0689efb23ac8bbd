"""The screen model: what a person at a desk reads is what a rider sees."""

from validator.media.reasons import OUTCOMES, REASONS
from validator.media.result import Result
from validator.ui.screen import COLOURS, ICONS, Screen, wrap


def test_a_fresh_screen_says_starting():
    assert Screen().content() == {
        "lines": ["正在启动", "Starting"],
        "icon": "wait",
        "colour": "grey",
    }


def test_ready_and_out_of_service():
    screen = Screen()
    screen.show_ready()
    assert screen.content() == {
        "lines": ["请刷卡/扫码", "Tap or scan"],
        "icon": "tap",
        "colour": "blue",
    }
    screen.show_out_of_service("reader")
    assert screen.content() == {
        "lines": ["暂停服务", "Out of service", "reader"],
        "icon": "cross",
        "colour": "red",
    }


def test_an_accepted_tap_shows_fare_and_balance():
    screen = Screen()
    screen.show_result(Result("tunion", "accepted"), 200, 4800)
    assert screen.content() == {
        "lines": ["请上车", "Welcome aboard", "票价 2.00 余额 48.00", "Fare 2.00 Left 48.00"],
        "icon": "tick",
        "colour": "green",
    }


def test_declined_and_retry():
    screen = Screen()
    screen.show_result(Result("tunion", "declined", "insufficient_balance"), None, 80)
    content = screen.content()
    assert content["icon"] == "cross" and content["colour"] == "red"
    assert content["lines"][1] == "Low balance. Please top up"
    assert content["lines"][3] == "Left 0.80"
    screen.show_result(Result("quickpass", "retry", "card_lost"))
    content = screen.content()
    assert content["icon"] == "again" and content["colour"] == "yellow"
    assert content["lines"] == ["请重新刷卡，不要移动", "Tap again and hold still"]


def test_every_result_can_be_shown():
    screen = Screen()
    for outcome in OUTCOMES:
        for reason in REASONS:
            if (outcome == "accepted") != (reason == ""):
                continue
            screen.show_result(Result("cpm", outcome, reason), 100, 100)
            content = screen.content()
            assert len(content["lines"]) == 4 and all(content["lines"])
            assert content["icon"] in ICONS and content["colour"] in COLOURS


def test_the_number_of_the_card_is_never_shown():
    screen = Screen()
    r = Result("cpm", "declined", "unverified", b"6212345678901234", "621234******1234")
    screen.show_result(r)
    assert "1234" not in "".join(screen.content()["lines"])


def test_the_version_moves_with_a_change_only():
    screen = Screen()
    screen.show_ready()
    version = screen.version
    screen.show_ready()
    assert screen.version == version
    screen.show_out_of_service()
    assert screen.version == version + 1


def test_content_is_a_copy():
    screen = Screen()
    screen.content()["lines"].append("x")
    assert len(screen.content()["lines"]) == 2


def test_wrap_breaks_at_words_and_leaves_out_what_has_no_glyphs():
    lines = ["请上车", "Not accepted yet. Please pay another way", "Fare 2.00 Left 48.00"]
    assert wrap(lines, 16, 11, 3) == [
        "Not",
        "accepted",
        "yet. Please",
        "pay another way",
        "Fare 2.00 Left",
        "48.00",
    ]
    assert wrap(["abcdefghij"], 4, 3, 1) == ["abc", "defg", "hij"]
    assert wrap(["ab abcdefgh"], 4, 4, 0) == ["ab", "abcd", "efgh"]
    assert wrap([], 16, 11, 3) == [] and wrap(["", " "], 16, 11, 3) == []
