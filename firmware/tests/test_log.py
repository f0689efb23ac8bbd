"""What the validator says about itself: kept in a few entries, the important ones longest."""

from fakes import FakeClock
from validator.log import Log


def test_riders_do_not_push_out_what_went_wrong():
    log = Log(FakeClock())
    log.error("journal", "an erase failed")
    log.warning("lists", "one warning")
    for n in range(100):
        log.info("tap", "accepted %d" % n)
    texts = [entry["text"] for entry in log.recent()]
    assert len(texts) == 16 and texts[:2] == ["an erase failed", "one warning"]
    assert texts[-1] == "accepted 99"
    for n in range(100):
        log.warning("scanner", "a code of %d bytes was cut" % n)
    texts = [entry["text"] for entry in log.recent()]
    assert len(texts) == 16 and texts[0] == "an erase failed" and "99 bytes" in texts[-1]
    for n in range(100):
        log.error("reader", "failed %d" % n)
    assert [entry["text"] for entry in log.recent()] == ["failed %d" % n for n in range(84, 100)]


def test_it_tells_whoever_listens():
    heard = []
    log = Log(FakeClock())
    log.info("app", "before anybody listens")
    log.notify = lambda method, entry: heard.append((method, entry["text"]))
    log.error("app", "something")
    assert heard == [("log", "something")]
