"""From "nobody there" to "the card has gone": the life of a reader, one card after another.

    poller = Poller(reader, clock)
    while True:
        target = await poller.next()
        result = await cards.run(poller.card(target), clock, phases)
        await poller.finish(target)

           start           found              exchange                finish
    idle --------> polling -------> activated ---------> transaction --------> removal -- gone --> idle
                      |  ^              |____________________finish_______________^  |  ^
                fault |  | recovered                                           fault |  | recovered
                      v  |                                                           v  |
                      fault                                                          fault

Each event is legal in the states that it leaves in this picture, and nowhere else (Q38).
"""  # noqa: E501

from validator.nfc.reader import CardLost, ReaderDead, ReaderError

# Time from one poll's begin to the next one's. Phones in express mode want a poll every 100 to
# 250 ms or faster, and a rider's card waits half of it on average.
PERIOD_MS = 60
_YIELD_MS = 6  # after a poll that took longer than the period; also a field reset (Q33)
# A chip that answers polls with nothing may be dead to all else (Q16). Asked so often, and with
# three attempts at an answer, a dead one is known within two seconds.
_HEALTH_MS = 1000
_BACK_OFF_MS = 100  # before the second attempt to recover, then doubled
_BACK_OFF_MAX_MS = 5000
_COOL_DOWN_MS = 2000  # before the first attempt, if the chip protects itself (Q34)

_PRESENCE_MS = 100  # between two looks at a card that is to leave
# Absent for so long: it left. One silent look is not enough (Q21).
_GRACE_MS = 300
_REMOVAL_MS = 3000  # `finish` waits so long at most; `next` goes on waiting

_US_LIMIT = 500000000  # figures about time begin anew before they need the heap

_REACTIVATE_MS = 600  # a phone that changes its applet is back in the field after so long (Q31)
_REACTIVATE_STEP_MS = 20
_FIELD_OFF_MS = 6  # EMVCo reset: at least 5.1 ms (Q33)

# state -> {event: next state}. "": back to the state that the fault came from.
_STATES = {
    "idle": {"start": "polling"},
    "polling": {"found": "activated", "fault": "fault", "stop": "idle"},
    "activated": {"exchange": "transaction", "finish": "removal"},
    "transaction": {"exchange": "transaction", "finish": "removal"},
    "removal": {"gone": "idle", "fault": "fault"},
    "fault": {"recovered": ""},
}


class IllegalEvent(Exception):
    """A call that the poller's state does not allow: an error of the caller."""


class Poller:
    """Owns `reader`: nobody else may call it while a poller runs.

    state      one of idle, polling, activated, transaction, removal, fault
    fault      reason of the running fault, or ""
    detect_us  how long the poll took that found the last card, activation included
    counters   polls, cards, losses, faults, recoveries, failed (attempts to recover)
    on_fault   None, or called with the reason when the reader fails; until `on_recovered` is
               called, nobody can be served
    low_power  field off between polls; unless the reader says that it has none
    """

    def __init__(
        self,
        reader,
        clock,
        period_ms=PERIOD_MS,
        removal_ms=_REMOVAL_MS,
        low_power=True,
        on_fault=None,
        on_recovered=None,
    ):
        self._reader = reader
        self.low_power = low_power and getattr(reader, "low_power", True)
        self.on_fault = on_fault
        self.on_recovered = on_recovered
        self._poll_ms = 0  # the last poll without a card, the rest after it included
        self._recovery_ms = 0  # the last recovery, cooling down included
        self._field_us = 0  # of _watched_us, in polls without a card
        self._watched_us = 0
        self._clock = clock
        self._period_ms = period_ms
        self._removal_ms = removal_ms
        self._faulted = False  # in this cycle
        self._told = False  # on_fault was called, and on_recovered not yet
        self._dead = ""  # reason why the reader failed in an exchange, to be recovered from
        self._resume = "idle"
        self._checked = clock.ticks_ms()
        self.state = "idle"
        self.fault = ""
        self.detect_us = 0
        self.counters = {
            "polls": 0,
            "cards": 0,
            "losses": 0,
            "faults": 0,
            "recoveries": 0,
            "failed": 0,
        }

    def _go(self, event):
        legal = _STATES[self.state]
        if event not in legal:
            raise IllegalEvent("%s while %s" % (event, self.state))
        if event == "fault":
            self._resume = self.state
        self.state = legal[event] or self._resume

    def status(self):
        """State, counters and figures, for `info` and for measuring.

        "poll_ms" last poll cycle without a card; "field_percent" share of the time that the field
        was on in such cycles; "recovery_ms" from the last fault to the reader's return;
        "traffic" as the reader counts it.
        """
        status = {"state": self.state, "poll_ms": self._poll_ms, "detect_us": self.detect_us}
        if self.fault:
            status["fault"] = self.fault
        if self._watched_us:
            status["field_percent"] = self._field_us // (self._watched_us // 100 + 1)
        if self.counters["recoveries"]:
            status["recovery_ms"] = self._recovery_ms
        status.update(self.counters)
        traffic = getattr(self._reader, "traffic", None)
        if traffic:
            status["traffic"] = traffic()
        return status

    async def next(self):
        """Wait for a card, however long, through any fault of the reader; returns its Target.

        If the last card still lies on the reader, it has to leave first. A cancelled `next` may
        simply be called again.
        """
        if self.state == "removal":
            await self._await_removal(None)
        self._go("start")
        clock = self._clock
        try:
            while True:
                before = clock.ticks_us()
                target = await self._poll()
                polled_us = clock.diff(clock.ticks_us(), before)
                if target:
                    self.detect_us = polled_us
                    self.counters["cards"] += 1
                    self._go("found")
                    return target
                rest = self._period_ms - polled_us // 1000
                await clock.sleep_ms(max(rest, _YIELD_MS))
                self._account(clock.diff(clock.ticks_us(), before), polled_us)
        finally:
            if self.state == "fault":  # cancelled while it recovered
                self._go("recovered")
            if self.state == "polling":
                self._go("stop")

    def card(self, target):
        """The activated card, as media see it."""
        return Card(self, target)

    async def finish(self, target):
        """End the session with `target` and wait until it has gone, for a bounded time.

        True if it has gone. If not, the state stays "removal" and `next` goes on waiting.
        """
        self._go("finish")
        await self._reader.deselect()
        return await self._await_removal(self._removal_ms)

    def _account(self, cycle_us, polled_us):
        """Figures about one cycle without a card; one with a fault in it is none."""
        if self._faulted:
            self._faulted = False
            return
        self._poll_ms = cycle_us // 1000
        if self._watched_us > _US_LIMIT:
            self._watched_us >>= 1
            self._field_us >>= 1
        self._watched_us += cycle_us
        self._field_us += polled_us if self.low_power else cycle_us

    async def _check(self):
        """Did the chip fail in an exchange? Now and then: does it answer? Raises ReaderDead."""
        reason, self._dead = self._dead, ""
        if reason:
            raise ReaderDead(reason)
        self._checked = self._clock.ticks_ms()
        if not await self._reader.check():
            raise ReaderDead("no_answer")

    def _to_check(self):
        since = self._clock.diff(self._clock.ticks_ms(), self._checked)
        return self._dead or since >= _HEALTH_MS

    def _well(self):
        """The reader works: say so, if the contrary was said."""
        if self._told:
            self._told = False
            if self.on_recovered:
                self.on_recovered()

    async def _poll(self):
        self.counters["polls"] += 1
        try:
            if self._to_check():
                await self._check()
            target = await self._reader.poll()
            self._well()
            if not target and self.low_power:
                # Phones tell the polls of one field from those of another, and put up with 300 ms
                # without field; so this saves three quarters of the power and costs no tap.
                await self._reader.field(False)
            return target
        except ReaderDead as e:
            await self._recover(e.reason)
        except ReaderError:
            self.counters["losses"] += 1
        return None

    async def _recover(self, reason):
        clock = self._clock
        counters = self.counters
        self._go("fault")
        self.fault = reason
        self._faulted = True
        counters["faults"] += 1
        self._dead = ""
        self._told = True
        if self.on_fault:
            self.on_fault(reason)
        started = clock.ticks_ms()
        wait_ms = _BACK_OFF_MS
        if reason.startswith("over_"):
            await clock.sleep_ms(_COOL_DOWN_MS)
        while True:
            try:
                await self._reader.recover()
                break
            except ReaderError as e:
                self.fault = e.reason
                counters["failed"] += 1
            await clock.sleep_ms(wait_ms)
            wait_ms = min(2 * wait_ms, _BACK_OFF_MAX_MS)
        self.fault = ""
        counters["recoveries"] += 1
        self._checked = clock.ticks_ms()
        self._recovery_ms = clock.diff(self._checked, started)
        self._go("recovered")
        self._well()

    async def _await_removal(self, limit_ms):
        clock = self._clock
        grace_ms = getattr(self._reader, "removal_grace_ms", _GRACE_MS)
        since = start = clock.ticks_ms()
        absent = False
        while True:
            try:
                if self._to_check():
                    await self._check()
                there = await self._reader.present()
            except ReaderDead as e:
                # Nobody knows whether the card left meanwhile: look again, from the beginning.
                await self._recover_in_removal(e.reason)
                there = True
            except ReaderError:
                there = False
            now = clock.ticks_ms()
            if there:
                absent = False
            else:
                if not absent:
                    absent = True
                    since = now
                if clock.diff(now, since) >= grace_ms:
                    self._go("gone")
                    return True
            if limit_ms is not None and clock.diff(now, start) >= limit_ms:
                return False
            await clock.sleep_ms(_PRESENCE_MS)

    async def _recover_in_removal(self, reason):
        try:
            await self._recover(reason)
        finally:
            if self.state == "fault":
                self._go("recovered")


class Card:
    """One activated card: what a medium's transaction talks to.

    `exchanges` counts its APDUs, `away_us` the time in them: the card's, the air's and the chip's.
    """

    def __init__(self, poller, target):
        self._poller = poller
        self._reader = poller._reader
        self._clock = poller._clock
        self.target = target
        self.exchanges = 0
        self.away_us = 0

    @property
    def count(self):
        return self.target.count

    @property
    def apdu(self):
        return self.target.apdu

    async def transceive(self, apdu):
        """C-APDU bytes to R-APDU bytes with SW1 SW2; raises ReaderError's subclasses."""
        self._poller._go("exchange")
        clock = self._clock
        start = clock.ticks_us()
        try:
            return await self._reader.transceive(apdu)
        except CardLost:
            self._poller.counters["losses"] += 1
            raise
        except ReaderDead as e:
            self._poller._dead = e.reason
            raise
        finally:
            self.exchanges += 1
            self.away_us += clock.diff(clock.ticks_us(), start)

    async def reset(self):
        """Field off and on again, and activate whoever comes back (Q31). False if nobody does.

        Only before a transaction began: a phone has another UID afterwards. Raises ReaderDead.
        """
        self._poller._go("exchange")
        reader = self._reader
        clock = self._clock
        await reader.field(False)
        await clock.sleep_ms(_FIELD_OFF_MS)
        await reader.field(True)
        start = clock.ticks_ms()
        while True:
            target = await reader.poll()
            if target and target.apdu:
                self.target = target
                return True
            if clock.diff(clock.ticks_ms(), start) >= _REACTIVATE_MS:
                return False
            await clock.sleep_ms(_REACTIVATE_STEP_MS)
