"""Which slot to start: the decision, free of hardware.

The state is one integer, so that it is one NVS entry and every change of it is atomic: whenever
the power goes, either the old state or the new one stands. It stays below 2**30, a small integer.

    bit  0      slot     the chosen slot: 0 is app_a, 1 is app_b
    bit  1-2    tries    boots of it since it was last healthy, at most TRIES
    bit  3-4    good     slots that reported themselves healthy since they were written
    bit  5-6    failed   slots that used up their tries
    bit  7-29   seen     id of the last request from the cable that was obeyed; 0 is none

An empty NVS is state 0: slot app_a, no tries, nothing known to be good.
"""

TRIES = 3
NAMES = ("a", "b")
_SEEN_BITS = 23


def short_id(text):
    """The id of an image (hex digits) as it is kept in `seen`: 1 … 2**23 - 1."""
    return int(text[:8], 16) % ((1 << _SEEN_BITS) - 1) + 1


def numbers(version):
    """ "1.10.2-rc1" -> (1, 10, 2), for comparing; nothing raises."""
    out = []
    for part in version.split("."):
        n = 0
        while n < len(part) and part[n] in "0123456789":
            n += 1
        if not n:
            break
        out.append(int(part[:n]))
        if n < len(part):
            break
    return tuple(out)


class State:
    """The integer, taken apart. `State(word).word()` is `word`."""

    def __init__(self, word=0):
        self.slot = word & 1
        self.tries = word >> 1 & 3
        self.good = word >> 3 & 3
        self.failed = word >> 5 & 3
        self.seen = word >> 7 & (1 << _SEEN_BITS) - 1

    def word(self):
        return self.slot | self.tries << 1 | self.good << 3 | self.failed << 5 | self.seen << 7

    def select(self, slot):
        """A new image stands in `slot`: start it, and take nothing for granted."""
        self.slot = slot
        self.tries = 0
        self.good &= ~(1 << slot)
        self.failed &= ~(1 << slot)

    def rewriting(self, slot):
        """`slot` is about to be overwritten: what is known of it no longer holds."""
        self.good &= ~(1 << slot)

    def healthy(self):
        """The running slot works."""
        self.tries = 0
        self.good |= 1 << self.slot
        self.failed &= ~(1 << self.slot)

    def retry(self):
        """Forget failures: somebody wants the slots tried again."""
        self.tries = 0
        self.failed = 0


def choose(state, request, valid, power_on):
    """Decide what this boot starts, and change `state` to what must be stored before it starts.

    `request` is (slot, short id) as the cable left it, or None. `valid(slot, proven)` says whether
    a slot holds an image for this board: "" or why not; unproven images are to be checked in full.
    `power_on` tells that this boot comes from the supply, not from a reset.

    Returns (slot or None, why): the slot to start, and a word on anything but a usual start. None
    means safe mode.
    """
    why = []
    if request is not None and request[1] != state.seen:
        state.select(request[0])
        state.seen = request[1]
    if power_on and state.tries and state.good >> state.slot & 1:
        # The supply went before a proven image could report itself, as when an engine is started:
        # that was not the image's fault.
        state.tries -= 1
    if state.tries >= TRIES:
        state.failed |= 1 << state.slot
        why.append("app_%s failed %d times" % (NAMES[state.slot], TRIES))
    slot = _first(state, valid, why)
    if slot is None and power_on and state.failed:
        # Somebody switched a validator off and on again. A slot that failed gets another chance,
        # because supply trouble may have been all that was wrong.
        state.retry()
        slot = _first(state, valid, why)
    if slot is None:
        return None, "; ".join(why) or "no application"
    if slot != state.slot:
        state.slot = slot
        state.tries = 0
    state.tries += 1
    return slot, "; ".join(why)


def _first(state, valid, why):
    """The chosen slot, else the other one, else None; adds to `why` what speaks against one."""
    for slot in (state.slot, 1 - state.slot):
        if state.failed >> slot & 1:
            continue
        fault = valid(slot, bool(state.good >> slot & 1))
        if not fault:
            return slot
        why.append("app_%s: %s" % (NAMES[slot], fault))
    return None
