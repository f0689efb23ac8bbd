"""Which slot a boot starts, and that no power cut keeps a working image from running."""

import sys

sys.path.append(__file__.rsplit("/", 1)[0] + "/../loader" if "/" in __file__ else "../loader")

from faretap_slots import TRIES, State, choose, short_id  # noqa: E402

ID1 = short_id("00674120c64eabbe")
ID2 = short_id("fedcba9876543210")


def always(slot, proven):
    return ""


def only(*slots):
    return lambda slot, proven: "" if slot in slots else "no file system"


def start(state, request=None, valid=always, power_on=False):
    return choose(state, request, valid, power_on)[0]


def test_an_empty_nvs_starts_slot_a():
    state = State(0)
    assert choose(state, None, always, True) == (0, "")
    assert (state.slot, state.tries, state.good, state.failed) == (0, 1, 0, 0)


def test_the_word_keeps_everything_and_is_a_small_integer():
    state = State()
    state.slot, state.tries, state.good, state.failed = 1, 3, 2, 1
    state.seen = (1 << 23) - 1
    word = state.word()
    assert 0 < word < 1 << 30
    again = State(word)
    for name in ("slot", "tries", "good", "failed", "seen"):
        assert getattr(again, name) == getattr(state, name), name


def test_short_ids_fit_and_are_never_zero():
    for text in ("0000000000000000", "ffffffffffffffff", "007ffffe00000000", "007fffff00000000"):
        assert 1 <= short_id(text) < 1 << 23
    assert ID1 != ID2


def test_three_unhealthy_boots_give_the_other_slot_its_turn():
    state = State()
    started = [start(state) for _ in range(TRIES + 1)]
    assert started == [0, 0, 0, 1]
    assert state.failed == 1


def test_two_broken_slots_end_in_safe_mode_and_stay_there():
    state = State()
    started = [start(state) for _ in range(2 * TRIES + 3)]
    assert started == [0] * TRIES + [1] * TRIES + [None] * 3
    slot, why = choose(state, None, always, False)
    assert slot is None and "failed" in why


def test_switching_off_and_on_leaves_safe_mode():
    state = State()
    for _ in range(2 * TRIES + 1):
        start(state)
    assert start(state, power_on=True) is not None


def test_retry_leaves_safe_mode():
    state = State()
    for _ in range(2 * TRIES + 1):
        start(state)
    state.retry()
    assert start(state) == state.slot


def test_healthy_clears_the_tries():
    state = State()
    for _ in range(10):
        assert start(state) == 0
        state.healthy()
    assert state.tries == 0 and state.good == 1


def test_a_broken_slot_is_left_at_once_and_for_good():
    state = State()
    slot, why = choose(state, None, only(1), False)
    assert slot == 1 and "app_a: no file system" in why
    assert state.slot == 1


def test_nothing_valid_is_safe_mode_with_both_reasons():
    slot, why = choose(State(), None, only(), True)
    assert slot is None
    assert "app_a" in why and "app_b" in why


def test_a_new_request_overrides_the_slot_once():
    state = State()
    state.select(1)
    start(state)
    state.healthy()
    assert start(state, request=(0, ID1)) == 0
    assert state.seen == ID1 and not state.good & 1
    state.select(1)  # an update over the link, while the file is still there
    assert start(state, request=(0, ID1)) == 1
    assert start(state, request=(0, ID2)) == 0


def test_a_request_forgives_the_requested_slot():
    state = State()
    for _ in range(2 * TRIES + 1):
        start(state)
    assert start(state, request=(0, ID1)) == 0
    assert state.failed == 2 and state.tries == 1


def test_cranking_an_engine_costs_a_proven_image_nothing():
    state = State()
    start(state)
    state.healthy()
    for _ in range(20):
        assert start(state, power_on=True) == 0
    assert state.tries <= 1 and state.failed == 0


def test_resets_do_cost_a_proven_image():
    state = State()
    start(state)
    state.healthy()
    assert [start(state) for _ in range(TRIES + 1)] == [0] * TRIES + [1]


def test_a_new_image_must_prove_itself_even_when_switched_off():
    state = State()
    start(state)
    state.healthy()
    state.select(1)
    assert [start(state, power_on=True) for _ in range(TRIES + 1)] == [1] * TRIES + [0]


def test_only_unproven_images_are_checked_in_full():
    asked = []

    def valid(slot, proven):
        asked.append((slot, proven))
        return ""

    state = State()
    start(state, valid=valid)
    state.healthy()
    start(state, valid=valid)
    state.rewriting(0)
    start(state, valid=valid)
    assert asked == [(0, False), (0, True), (0, False)]


class Cut(Exception):
    """The power went."""


class World:
    """A validator whose power goes at chosen moments. Apps: "good", "bad", "half", ""."""

    def __init__(self, a, b):
        self.app = [a, b]
        self.word = 0
        self.request = None
        self.until_cut = -1
        self.power_on = True

    def step(self):
        """Something durable happens next; the power may go before it."""
        if self.until_cut == 0:
            self.until_cut = -1
            self.power_on = True
            raise Cut()
        if self.until_cut > 0:
            self.until_cut -= 1

    def save(self, state):
        if state.word() != self.word:
            self.step()
            self.word = state.word()

    def valid(self, slot, proven):
        app = self.app[slot]
        if not app or (app == "half" and not proven):
            return "damaged"
        return ""

    def boot(self):
        """One boot: the slot that became healthy, or None. The next boot follows a reset."""
        state = State(self.word)
        power_on, self.power_on = self.power_on, False
        slot, _ = choose(state, self.request, self.valid, power_on)
        self.save(state)
        if slot is None or self.app[slot] != "good":
            return None
        state.healthy()
        self.save(state)
        return slot

    def update_idle(self, app):
        """What the application does for an update over the link."""
        state = State(self.word)
        idle = 1 - state.slot
        state.rewriting(idle)
        self.save(state)
        self.step()
        self.app[idle] = "half"
        self.step()
        self.app[idle] = app
        self.step()
        self.request = None
        state.select(idle)
        state.seen = 0
        self.save(state)

    def flash_by_cable(self, app, request_id):
        """What the cable does: the loader's partition, then the application."""
        self.step()
        self.request = (0, request_id)
        self.step()
        self.app[0] = "half"
        self.step()
        self.app[0] = app

    def settles(self):
        """Left alone, it runs a working application within a bounded number of boots."""
        for _ in range(2 * TRIES + 2):
            slot = self.boot()
            if slot is not None:
                return True
        return False


def scenarios():
    def update_with_good(world):
        world.boot()
        world.update_idle("good")
        world.boot()

    def update_with_bad(world):
        world.boot()
        world.update_idle("bad")
        for _ in range(TRIES + 2):
            world.boot()

    def cable_after_update(world):
        world.boot()
        world.update_idle("good")
        world.boot()
        world.flash_by_cable("good", ID1)
        world.boot()

    def cable_with_bad(world):
        world.boot()
        world.update_idle("good")
        world.boot()
        world.flash_by_cable("bad", ID2)
        for _ in range(TRIES + 2):
            world.boot()

    return (update_with_good, update_with_bad, cable_after_update, cable_with_bad)


def test_no_power_cut_keeps_a_working_image_from_running():
    cuts = 0
    for scenario in scenarios():
        moment = 0
        while True:
            world = World("good", "")
            world.until_cut = moment
            try:
                scenario(world)
                world.until_cut = -1
                done = True
            except Cut:
                cuts += 1
                done = False
            if "good" in world.app:
                assert world.settles(), (scenario, moment, world.app)
                assert world.settles(), (scenario, moment, world.app)
            if done:
                break
            moment += 1
    assert cuts > 25


def test_no_pair_of_power_cuts_does_either():
    for scenario in scenarios():
        for first in range(16):
            for second in range(6):
                world = World("good", "")
                world.until_cut = first
                try:
                    scenario(world)
                except Cut:
                    pass
                world.until_cut = second
                try:
                    for _ in range(4):
                        world.boot()
                except Cut:
                    pass
                world.until_cut = -1
                if "good" in world.app:
                    assert world.settles(), (scenario, first, second, world.app)
