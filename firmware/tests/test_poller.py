"""The poller over a reader whose field is a script."""

from fakes import FakeClock, run
from validator.nfc.poller import IllegalEvent, Poller
from validator.nfc.reader import CardLost, ReaderDead, Target

CARD = Target(b"\x01\x02\x03\x04", 4, 0x20, b"\x05\x78\x80\x70\x02")


class Reader:
    """A card lies in the field while `lies(now_ms)` says so."""

    chip = "fake"
    low_power = False  # its field is left alone, except where a test is about it

    def __init__(self, clock, lies=lambda now: False):
        self.clock = clock
        self.lies = lies
        self.polls = []
        self.looks = []
        self.log = []
        self.fail_poll = []
        self.fail_recover = []
        self.fail_present = []
        self.missed_looks = []
        self.alive = True

    async def poll(self):
        await self.clock.sleep_ms(10)
        self.polls.append(self.clock.ticks_ms())
        if self.fail_poll:
            raise self.fail_poll.pop(0)
        return CARD if self.lies(self.clock.ticks_ms()) else None

    async def present(self):
        await self.clock.sleep_ms(5)
        self.looks.append(self.clock.ticks_ms())
        if self.fail_present:
            raise self.fail_present.pop(0)
        if len(self.looks) in self.missed_looks:
            return False
        return self.lies(self.clock.ticks_ms())

    async def recover(self):
        self.log.append(("recover", self.clock.ticks_ms()))
        if self.fail_recover:
            raise self.fail_recover.pop(0)

    async def check(self):
        self.log.append(("check", self.clock.ticks_ms()))
        return self.alive

    async def deselect(self):
        self.log.append(("deselect", self.clock.ticks_ms()))

    async def field(self, on):
        self.log.append(("field", on, self.clock.ticks_us()))

    async def transceive(self, apdu):
        if apdu == b"lost":
            raise CardLost("timeout")
        return b"\x90\x00"


def make(lies=lambda now: False):
    clock = FakeClock()
    reader = Reader(clock, lies)
    return Poller(reader, clock), reader, clock


def illegal(coro):
    try:
        run(coro)
    except IllegalEvent:
        return True
    return False


def test_one_card_from_idle_to_idle():
    poller, reader, clock = make(lambda now: 500 <= now < 900)
    target = run(poller.next())
    assert target is CARD and poller.state == "activated"
    assert 500 <= clock.ticks_ms() < 600
    assert run(poller.card(target).transceive(b"\x00")) == b"\x90\x00"
    assert poller.state == "transaction"
    assert run(poller.finish(target))
    assert poller.state == "idle" and clock.ticks_ms() >= 900 + 250
    assert poller.counters["cards"] == 1


def test_poll_interval():
    poller, reader, _ = make(lambda now: now > 3000)
    run(poller.next())
    gaps = [b - a for a, b in zip(reader.polls, reader.polls[1:])]
    assert max(gaps) <= 100 and min(gaps) >= 50


def test_slow_polls_leave_time_for_others():
    poller, reader, clock = make(lambda now: now > 2000)
    slept = []
    sleep = clock.sleep_ms

    async def sleep_ms(ms):
        slept.append(ms)
        await sleep(ms)

    async def poll():
        await sleep(120)
        return CARD if clock.ticks_ms() > 2000 else None

    clock.sleep_ms = sleep_ms
    reader.poll = poll
    run(poller.next())
    assert slept and min(slept) > 0


def test_q21_card_left_lying_does_not_tap_twice():
    poller, reader, clock = make(lambda now: 100 <= now < 20000)
    target = run(poller.next())
    assert not run(poller.finish(target))
    assert poller.state == "removal" and clock.ticks_ms() < 4000
    reader.lies = lambda now: 100 <= now < 20000 or now > 25000
    polls = len(reader.polls)
    run(poller.next())
    assert clock.ticks_ms() > 25000
    assert reader.polls[polls] > 20250


def test_q21_silent_look_is_not_a_removal():
    poller, reader, _ = make(lambda now: now < 1500)
    target = run(poller.next())
    reader.missed_looks = [2, 5, 6]
    run(poller.finish(target))
    assert reader.looks[-1] >= 1500 + 300 and poller.state == "idle"


def test_q16_dead_reader_is_recovered_with_back_off():
    poller, reader, clock = make(lambda now: now > 10000)
    reader.fail_poll = [ReaderDead("no_ack")]
    reader.fail_recover = [ReaderDead("no_ack") for _ in range(4)]
    states = []
    recover = reader.recover

    async def watched():
        states.append((poller.state, poller.fault))
        await recover()

    reader.recover = watched
    run(poller.next())
    assert states[0] == ("fault", "no_ack") and len(states) == 5
    times = [entry[1] for entry in reader.log if entry[0] == "recover"]
    gaps = [b - a for a, b in zip(times, times[1:])]
    assert gaps == [100, 200, 400, 800]
    assert poller.counters["recoveries"] == 1 and poller.counters["failed"] == 4
    assert poller.fault == "" and poller.state == "activated"


def test_q16_health_is_probed_every_second():
    poller, reader, _ = make(lambda now: now > 9000)
    run(poller.next())
    checks = [entry[1] for entry in reader.log if entry[0] == "check"]
    gaps = [b - a for a, b in zip(checks, checks[1:])]
    assert len(checks) == 8 and min(gaps) >= 1000 and max(gaps) < 1200


def test_q16_failed_probe_leads_to_recovery():
    poller, reader, _ = make(lambda now: now > 9000)
    reader.alive = False
    run(poller.next())
    assert poller.counters["recoveries"] > 1


def test_q34_overheated_reader_cools_down_first():
    poller, reader, _ = make(lambda now: now > 9000)
    reader.fail_poll = [ReaderDead("over_temperature")]
    run(poller.next())
    assert reader.log[0][0] == "recover" and reader.log[0][1] > 2000


def test_reader_that_dies_while_a_card_leaves():
    poller, reader, _ = make(lambda now: now < 1000)
    target = run(poller.next())
    reader.fail_present = [ReaderDead("no_ack")]
    assert run(poller.finish(target))
    assert poller.counters["recoveries"] == 1 and poller.state == "idle"
    assert reader.looks[-1] >= 1300


def test_q38_events_are_legal_in_named_states_only():
    poller, reader, _ = make(lambda now: True)
    assert illegal(poller.finish(CARD))
    assert illegal(poller.card(CARD).transceive(b"\x00"))
    target = run(poller.next())
    assert illegal(poller.next())
    reader.lies = lambda now: False
    run(poller.finish(target))
    assert illegal(poller.card(target).transceive(b"\x00"))
    assert illegal(poller.card(target).reset())
    assert [e[0] for e in reader.log] == ["deselect"]


def test_q38_cancelled_next_can_be_called_again():
    poller, reader, clock = make(lambda now: now > 5000)

    class Cancelled(Exception):
        pass

    sleep = clock.sleep_ms

    async def cancelled(ms):
        raise Cancelled()

    for fail in ([], [ReaderDead("no_ack")]):
        reader.fail_poll = fail
        reader.fail_recover = [ReaderDead("no_ack")]
        clock.sleep_ms = cancelled
        poll = reader.poll

        async def at_once():
            if reader.fail_poll:
                raise reader.fail_poll.pop(0)

        reader.poll = at_once
        try:
            run(poller.next())
            raise AssertionError("not cancelled")
        except Cancelled:
            pass
        assert poller.state == "idle"
        clock.sleep_ms = sleep
        reader.poll = poll
    assert run(poller.next()) is CARD


def test_lost_card_is_counted():
    poller, _, _ = make(lambda now: True)
    card = poller.card(run(poller.next()))
    try:
        run(card.transceive(b"lost"))
        raise AssertionError("not lost")
    except CardLost:
        pass
    assert poller.counters["losses"] == 1


def test_q31_q33_reset_is_long_enough_and_finds_the_phone_again():
    poller, reader, clock = make(lambda now: now < 1000 or now > 1200)
    card = poller.card(run(poller.next()))
    assert card.count == 1 and card.apdu
    clock.advance_us(1000000)
    assert run(card.reset())
    off, on = [e for e in reader.log if e[0] == "field"]
    assert (off[1], on[1]) == (False, True) and on[2] - off[2] >= 5100
    assert clock.ticks_ms() > 1200


def test_q31_reset_gives_up_when_nobody_comes_back():
    poller, reader, clock = make(lambda now: now < 1000)
    card = poller.card(run(poller.next()))
    clock.advance_us(1000000)
    before = clock.ticks_ms()
    assert not run(card.reset())
    assert clock.ticks_ms() - before < 800


def test_q16_dead_reader_is_known_within_two_seconds_while_polling():
    # Polls go on finding nobody: only the probe tells.
    poller, reader, clock = make(lambda now: now > 9000)
    died = []

    async def check():
        if clock.ticks_ms() < 5000 or died and clock.ticks_ms() > died[0]:
            return True
        await clock.sleep_ms(170)
        return False

    faults = []
    poller.on_fault = lambda reason: (
        faults.append((reason, clock.ticks_ms())),
        died.append(clock.ticks_ms()),
    )
    reader.check = check
    run(poller.next())
    assert faults[0][0] == "no_answer" and faults[0][1] - 5000 <= 2000


def test_q16_dead_reader_is_known_within_two_seconds_while_a_card_leaves():
    poller, reader, clock = make(lambda now: now < 20000)
    target = run(poller.next())
    reader.alive = False
    start = clock.ticks_ms()
    told = []
    poller.on_fault = lambda reason: told.append(clock.ticks_ms())
    assert not run(poller.finish(target))
    assert told[0] - start <= 2000 and poller.state == "removal"


def test_q34_reader_that_fails_in_an_exchange_is_recovered_before_the_next_card():
    poller, reader, clock = make(lambda now: now < 1000)
    told = []
    poller.on_fault = lambda reason: told.append(reason)
    poller.on_recovered = lambda: told.append("well")
    card = poller.card(run(poller.next()))

    async def transceive(apdu):
        raise ReaderDead("over_current")

    reader.transceive = transceive
    try:
        run(card.transceive(b"\x00"))
        raise AssertionError("did not raise")
    except ReaderDead:
        pass
    failed = clock.ticks_ms()
    run(poller.finish(card.target))
    assert told == ["over_current", "well"]
    recovered = [at for what, at in (e[:2] for e in reader.log) if what == "recover"]
    assert len(recovered) == 1 and recovered[0] - failed >= 2000  # it cooled down


def test_q16_fault_and_recovery_are_told_once_each():
    poller, reader, clock = make(lambda now: now > 5000)
    told = []
    poller.on_fault = lambda reason: told.append((reason, poller.state))
    poller.on_recovered = lambda: told.append(("well", poller.state))
    reader.fail_poll = [ReaderDead("no_ack")]
    reader.fail_recover = [ReaderDead("silent") for _ in range(3)]
    run(poller.next())
    assert told == [("no_ack", "fault"), ("well", "polling")]
    # 100 + 200 + 400 ms of back-off.
    assert poller.status()["recovery_ms"] == 700


def test_q16_recovery_is_told_even_if_nobody_waited_for_it():
    poller, reader, clock = make(lambda now: now > 5000)
    told = []
    poller.on_fault = told.append
    poller.on_recovered = lambda: told.append("well")
    reader.fail_poll = [ReaderDead("no_ack")]

    class Cancelled(Exception):
        pass

    recover = reader.recover

    async def cancelled():
        raise Cancelled()

    reader.recover = cancelled
    try:
        run(poller.next())
        raise AssertionError("not cancelled")
    except Cancelled:
        pass
    reader.recover = recover
    run(poller.next())
    assert told == ["no_ack", "well"]


def test_low_power_field_is_off_between_polls_and_on_for_a_card():
    clock = FakeClock()
    reader = Reader(clock, lambda now: now > 1000)
    del Reader.low_power
    try:
        poller = Poller(reader, clock)
    finally:
        Reader.low_power = False
    run(poller.next())
    switched = [e for e in reader.log if e[0] == "field"]
    assert len(switched) == len(reader.polls) - 1
    assert not [e for e in switched if e[1]]  # the poll itself brings it back
    # Off for long enough to reset whoever lies there, and back before a phone gives up.
    for (_, _, off_us), polled_ms in zip(switched, reader.polls[1:]):
        assert 5.1 <= polled_ms - 10 - off_us / 1000 <= 250
    status = poller.status()
    assert 10 <= status["field_percent"] <= 20 and status["poll_ms"] == 60


def test_field_stays_on_if_so_wished():
    poller, reader, _ = make(lambda now: now > 1000)
    run(poller.next())
    assert not [e for e in reader.log if e[0] == "field"]
    assert poller.status()["field_percent"] >= 99


def test_first_silence_is_no_failure():
    poller, reader, _ = make(lambda now: now > 3000)
    run(poller.next())
    assert poller.counters["losses"] == poller.counters["faults"] == 0


def test_status_has_what_is_measured():
    poller, reader, _ = make(lambda now: now > 1000)
    reader.traffic = lambda: {"bus": "fake", "exchanges": 3}
    run(poller.next())
    status = poller.status()
    assert status["state"] == "activated" and status["traffic"]["exchanges"] == 3
    assert status["detect_us"] >= 10000 and status["cards"] == 1
    assert "fault" not in status and "recovery_ms" not in status


def test_figures_about_time_stay_small():
    poller, reader, clock = make(lambda now: now > 3000)
    poller._watched_us = 500000001
    poller._field_us = 100000000
    run(poller.next())
    assert poller._watched_us < 300000000
    assert 15 <= poller.status()["field_percent"] <= 25
