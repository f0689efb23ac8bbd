"""A tap as a transaction: select and read, verify, decide, commit, signal; each timed.

One at a time, whichever way it came (reader, scan engine, link). The rider sees the outcome only
after its record is durable; a record that cannot be written turns into "out of service", never
into a ride that nobody knows of.
"""

import asyncio
import gc

from validator import entropy
from validator.media import cards, codes, terminal
from validator.media.phases import PHASES, Phases
from validator.media.result import Result
from validator.store import record
from validator.store.journal import JournalError
from validator.store.riders import RidersError
from validator.store.token import CARD_SCOPE, CODE_SCOPE, Tokens

# First byte and size of a purse's debit (media/purse_torn.py), and its state before DEBIT.
_PURSE = 0x50
_OPEN = 0
_PURSE_SIZE = 52
_RECORDS = 4  # that a tap may leave

# What of a result's detail goes into its record: why, in the words of the medium.
_KEPT = (
    "what why signature risk debited of void unknown unsettled state unfinished trip cash"
).split()


class Taps:
    """`on_done(summary)` hears of every finished tap; `test` marks the records of a validator that
    is not in service; `journal` is None if there is none that works."""

    def __init__(self, clock, journal, state, ui, log, on_done):
        self._clock = clock
        self._journal = journal
        self._boots = state.boots
        # Without a key nobody is served, until a configuration brings one.
        self._tokens = Tokens(state.token_key or bytes(16))
        self._operation = None
        self._config = 0
        self._psam_us = 0
        self._ui = ui
        self._log = log
        self._on_done = on_done
        self._lock = asyncio.Lock()
        self.idle = asyncio.Event()  # nobody is being served, or one for too long to wait for
        self.idle.set()
        self._phases = Phases(clock)
        self.test = True
        self.riders = None  # media/riders.py
        self.closed = False  # nobody is served
        self.weigh = False  # count the memory that a tap takes: that takes time itself
        self.count = 0
        self._threshold = -1

    def busy(self):
        """A tap is under way."""
        return self._lock.locked()

    def threshold(self, size):
        """Collect whenever `size` bytes were taken (-1: when there are no more), but in a tap."""
        self._threshold = size
        if not self.busy():
            _collect_at(size)

    def _begin(self):
        self.idle.clear()
        if self._threshold >= 0:
            _collect_at(-1)

    def _end(self):
        if self._threshold >= 0:
            _collect_at(self._threshold)
        self.idle.set()

    def operate(self, operation, tokens, version):
        """From now on under the operator's rules: an `Operation`, the `Tokens` it was made with,
        and the version of its configuration. None: no more taps, before a restart."""
        self._operation = operation
        if operation is None:
            cards.choose(None)
            return
        self._tokens = tokens
        self._config = version
        if operation.purse:
            from validator.store import purchase

            self._short = purchase
            self._place = purchase.names(operation.vehicle, operation.line, operation.stop)
        cards.choose(bool(operation.cards), bool(operation.purse))

    def _psams(self):
        """µs that PSAMs took so far; two applications of one chip count it twice alike."""
        us = 0
        if self._operation and self._operation.purse:
            for psam in self._operation.purse["psams"]:
                us = max(us, psam.away_us)
        return us

    def _terminal(self):
        clock = self._clock
        operation = self._operation
        rules = operation.cards if operation else None
        fare = operation.flat if operation else 0
        seq = self._journal.next_seq
        data = terminal.make(clock.unix(), fare, seq, clock.trusted, rules)
        data["purse"] = operation.purse if operation else None
        data["open"] = self._open
        return data

    async def card(self, card, detect_us=0):
        """One presented card, as `validator.media.cards.run` takes it; returns the summary."""
        async with self._lock:
            self._begin()
            try:
                return await self._card(card, detect_us)
            finally:
                self._end()

    async def _card(self, card, detect_us):
        phases = self._phases
        phases.start()
        if not self._room():
            return self._turn_away()
        before = gc.mem_alloc() if self.weigh else 0
        self._psam_us = self._psams()
        try:
            result = await cards.run(card, self._clock, phases, terminal_data=self._terminal())
        except MemoryError:
            result = _no_memory("unknown_card")
        if result.reason == "out_of_service":
            self._log.error("tap", "out of service: %s" % result.detail.get("what", ""))
        return self._finish(result, CARD_SCOPE, detect_us, before, card)

    async def code(self, data, detect_us=0):
        """One scanned code, as bytes."""
        async with self._lock:
            self._begin()
            try:
                return self._code(data, detect_us)
            finally:
                self._end()

    def _code(self, data, detect_us):
        self._phases.start()
        if not self._room():
            return self._turn_away()
        before = gc.mem_alloc() if self.weigh else 0
        operation = self._operation
        try:
            if operation and operation.codes:
                rules = operation.codes
                result = codes.run(data, self._clock, self._phases, rules, operation.fare)
                if getattr(result, "again", None):
                    return self._shown_again(result)
            else:
                result = codes.run(data, self._clock, self._phases)
        except MemoryError:
            result = _no_memory("unknown_code")
        if result.reason == "out_of_service":
            self._log.error("tap", "out of service: %s" % result.detail.get("why", "memory"))
        # A payment code holds a card number, which is one rider with the card.
        scope = CARD_SCOPE if result.medium == "cpm" else CODE_SCOPE
        return self._finish(result, scope, detect_us, before)

    def _room(self):
        # A purse may leave two records: where flash does not keep the end of the first. One that
        # settles a torn debit begins with a purchase of 0, and may leave four.
        if self.closed or self._journal is None or not self._journal.has_room(_RECORDS):
            return False
        try:
            return self.riders is None or self.riders.ready(_RECORDS)
        except (RidersError, OSError) as e:
            self._log.error("riders", "cannot be kept: %r" % e)
            return False

    def _turn_away(self):
        # Before the medium is touched: nothing was taken, so nothing needs a record.
        full = self._journal is not None and not self.closed
        reason = "storage_full" if full else "out_of_service"
        result = Result("", "declined", reason)
        self._log.error("tap", "no room for a record: " + reason)
        self._ui.result(result)
        summary = _summary(result, None, self._phases, b"")
        self._on_done(summary)
        return summary

    def _shown_again(self, result):
        """The same code, still under the engine: nothing happens. To show the outcome once more
        would let in whoever takes the phone over."""
        summary = _summary(result, None, self._phases, b"")
        self._on_done(summary)
        return summary

    def _open(self, result):
        """A record of something that is about to happen; returns its number, or raises."""
        result.settled = None
        who = self._tokens.token(CARD_SCOPE, result.token_source)
        debit = result.debit
        if debit is None or debit.state != _OPEN:
            return self._keep(result, who)  # a record of its own, which ends no other
        short = self._short
        seal = self._operation.purse["seal"]
        body = short.pack(debit, who, result.masked[-4:], result.detail, self.test)
        name = key = None
        sealed = b""
        if seal:
            name, key, sealed = seal.brief(debit.public[:8] + debit.public[10:20], body)
        context = short.context(name, self._boots, self._config, debit.terminal, self._place)
        more = short.about(debit, result.detail)
        body = b"".join((body, short.name(context), sealed, more))
        return self._journal.append(body, key, context, True)

    def _keep(self, result, who):
        """The number of the record that `result` now has; raises if it could not be made."""
        if result.kept:
            return result.kept
        debit = result.debit
        if debit and debit.mine:
            if self._journal.end(debit.of, self._short.pack_end(debit, self._phases)):
                return debit.of
            # The flash did not keep it: the debit is on record as open, and this closes it.
            result.detail["of"] = debit.of
        return self._journal.append(*self._encode(result, who))

    def _finish(self, result, scope, detect_us, before, card=None):
        clock = self._clock
        phases = self._phases
        entropy.pool.tick(clock.ticks_us())
        phases.mark("verify")
        phases.add("detect", detect_us)
        who = b""
        if result.token_source is not None:
            who = self._tokens.token(scope, result.token_source)
            result.token_source = None
        operation = self._operation
        if result.outcome == "accepted" and result.fare is None:
            result.fare = operation.flat
        phases.mark("decide")
        seq = None
        try:
            seq = self._keep(result, who)
        except (JournalError, OSError, MemoryError, record.RecordError) as e:
            self._log.error("journal", "a record could not be written: %r" % e)
            result = Result(result.medium, "declined", "out_of_service")
        else:
            if result.settled:
                self._settle(result.settled)
        phases.mark("commit")
        self._ui.result(result, result.fare, result.balance)
        phases.mark("signal")
        self.count += 1
        if seq is not None:
            try:
                self._journal.set_after(seq, phases.ms("commit"), phases.ms("signal"))
            except (JournalError, OSError, MemoryError) as e:
                self._log.warning("journal", "times of record %d not kept: %r" % (seq, e))
        summary = _summary(result, seq, phases, who)
        summary["at"] = clock.unix()
        # By others: the card, the air and the reader chip. What is left is the validator's own.
        away = getattr(card, "away_us", 0)
        own = -away
        for name in PHASES[1:]:
            own += phases.us(name)
        psam = self._psams() - self._psam_us if card else 0
        summary["us"] = {
            "own": own - psam,
            "card": away,
            "psam": psam,
            "verify": phases.us("verify") - psam,
        }
        summary["exchanges"] = getattr(card, "exchanges", 0)
        if before:
            summary["allocated"] = gc.mem_alloc() - before
        self._on_done(summary)
        return summary

    def _settle(self, settled):
        """Limits and windows count what is durable only; and all of that."""
        try:
            settled()
        except MemoryError:
            gc.collect()
            settled()

    def _encode(self, result, who):
        clock = self._clock
        phases = self._phases
        operation = self._operation
        fields = {
            "seq": self._journal.next_seq,
            "test": self.test,
            "clock_trusted": clock.trusted,
            "time": clock.unix(),
            "medium": result.medium,
            "outcome": result.outcome,
            "reason": result.reason,
            "fare": result.fare or 0,
            "token": who,
            "phases": phases.as_dict(),
            "boot": self._boots,
            "uptime": clock.ticks_ms() & 0xFFFFFFFF,
            "last4": result.masked[-4:].replace("*", ""),
            "evidence": None,
            "code": result.code,
            "config": self._config,
            "account": result.account,
            # There from the start: a dict that grows is copied.
            "vehicle": None,
            "line": None,
            "stop": None,
            "detail": None,
        }
        if operation:
            fields["vehicle"] = operation.vehicle
            fields["line"] = operation.line
            fields["stop"] = operation.stop
        detail = result.detail
        kept = {}
        for name in _KEPT:
            if name in detail:
                kept[name] = detail[name]
        fields["detail"] = kept
        key = None
        rules = operation.cards if operation else None
        seal = rules["seal"] if rules else None
        evidence = result.debit.evidence(seal) if result.debit else result.evidence
        if evidence and seal:
            evidence, key = _split(seal, evidence)
        fields["evidence"] = evidence
        return record.encode(fields), key


def _collect_at(size):
    if hasattr(gc, "threshold"):  # CPython, in tests, has none
        gc.threshold(size)


def _no_memory(medium):
    """Memory ran out: that is the validator's fault, and the rider tries again."""
    gc.collect()
    return Result(medium, "retry", "out_of_service", detail={"what": "memory"})


def _split(seal, evidence):
    """Evidence without its key block, and the block, which the journal keeps once a sector."""
    own = _PURSE_SIZE if evidence[0] == _PURSE else 0  # what a purse leaves in clear stays ahead
    if not own:
        return seal.split(evidence)
    if len(evidence) == own:
        return evidence, None
    short, key = seal.split(evidence[own:])
    return evidence[:own] + short, key


def _summary(result, seq, phases, who):
    """What the link tells of a tap. The masked number is for a person at the desk; it is in no
    record."""
    return {
        "seq": seq,
        "medium": result.medium,
        "outcome": result.outcome,
        "reason": result.reason,
        "fare": result.fare or 0,
        "token": who.hex(),
        "masked": result.masked,
        "expiry": result.expiry,
        "balance": result.balance,
        "detail": result.detail,
        "phases": phases.as_dict(),
    }
