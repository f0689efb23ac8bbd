"""Purses of T-Union and city cards (JT/T 978, PBOC): debited once, with the operator's PSAM.

Nobody rides but on a MAC2 that the PSAM has found right in this tap: `send` is the only place that
says PAID, and `accepted` the only one that says "accepted".

    rules = purse_rules.load(section, token, deny, service, identity, fares, seal)
    await sam.start(rules, slots, log, tries)            # opens the PSAMs
    await operation.restore(journal, sleep_ms)           # what was open when the power went
    terminal["purse"] = rules
    terminal["open"] = open_record
    result = await purse.run(card, phases, aid, fci, terminal)

`open_record(result) -> number` makes a record of `result` durable at once (it hashes the token
source), before DEBIT goes out; what it raises ends the purchase, and nothing is debited. The
purchase's own result is the end of that record, `result.debit.of`, if `result.debit.mine`; called
with such a result, `open_record` makes that end durable. What became of an earlier one is a record
by itself. `result.fare` is what the ride cost; detail "of" is
the number of the earlier record that a result closes, "void" of one that did not happen; the
evidence is `result.debit`. `result.settled` must be called when its record is durable: until then
the debit counts as torn. docs/tunion.md has the sequences and what is decided when.

One purchase: SELECT, READ BINARY 17, INITIALIZE, DEBIT. Composite: READ RECORD 1A after 17, and
two UPDATE CAPP DATA CACHE before DEBIT. City Union: GET DATA before INITIALIZE, the code for the
PSAM. No other command, unless a debit was torn.
"""

from validator import sam
from validator.emv import apdu, tlv
from validator.fare import tariff
from validator.media import purse_torn as torn
from validator.media import tunion
from validator.media.result import Refused, Result, mask
from validator.media.riders import PURSE
from validator.nfc.reader import ReaderError
from validator.store import purchase

MEDIUM = tunion.MEDIUM
handles = tunion.handles
blocked = tunion.blocked

_PURCHASE, _COMPOSITE = 6, 9

# What a card says when it refuses INITIALIZE.
_NO_MONEY = 0x9401
_NO_KEY = 0x9403
_NOT_HERE = (0x6700, 0x6A82, 0x6A86, 0x6A88, 0x6D00, 0x6E00, 0x9403)
# First bytes of a status word by which DEBIT is refused and nothing stored. After any other
# (a memory failure, 65) nobody knows.
_REFUSALS = (0x67, 0x69, 0x6A, 0x6B, 0x6D, 0x6E, 0x93, 0x94)
_CODE = b"\x80\xca\x00\x00\x09"  # GET DATA: the authentication code of the ministry of housing


async def run(card, phases, aid, fci, terminal):
    """The purchase of a selected purse; `fci` is SELECT's answer. Returns a Result.

    Raises what the reader raises, as long as DEBIT has not gone out.
    """
    turn = Purchase(card, phases, aid, terminal)
    try:
        return await turn.run(fci)
    except Refused as e:
        return turn.declined(e.reason, e.what)
    except sam.PsamError as e:
        return turn.declined("out_of_service", "PSAM: %s" % e)
    except tlv.TlvError as e:
        return turn.declined("malformed", str(e))
    except MemoryError:
        if turn.debit is None:
            raise
        # Money may have moved: the next tap tells.
        turn.detail["what"] = "memory"
        return turn.lost()


def ridden(rules, token, seq=None, at=None):
    """A ride counts for the same-card window. `seq`, `at` as in riders.py."""
    if rules["window_s"]:
        rules["riders"].rode(PURSE, token, 0, rules["window_s"], 0, seq, at)


class Purchase:
    """One card's turn.

    earlier   (number of its record, Debit) of this card that was torn, or None
    debit     what this tap's record is about, once DEBIT may go out
    proven    the counter of a purchase of 0 in this tap, or None
    """

    def __init__(self, card, phases, aid, terminal):
        self.card = card
        self.phases = phases
        self.aid = aid
        self.terminal = terminal
        self.rules = terminal["purse"]
        self.when = b"\x20" + terminal["date"] + terminal["time"]
        self.public = b""
        self.number = self.end = ""
        self.rider = self.token = b""
        self.psam = None
        self.code = 0
        self.balance = None
        self.overdraft = 0
        self.debit = None
        self.earlier = None
        self.proven = None
        self.detail = {"aid": bytes(aid).hex(), "counter": 0}

    async def run(self, fci):
        self.public = await tunion.public(self.card, fci)
        self.number, start, self.end = tunion.parse_public(self.aid, self.public)
        rules = self.rules
        self.rider = tunion.rider(self.public)
        self.token = rules["token"](self.rider)
        psam = self.psam = sam.find(rules, self.aid)
        if psam is None or psam.fault:
            raise sam.PsamError(psam.fault if psam else "none for this card")
        if psam.codes:
            answer, sw = await apdu.exchange(self.card, _CODE)
            psam.code = bytes(answer) if sw == apdu.SW_OK and len(answer) == 9 else b""
        rules["torn"].admit(self.token)
        known = rules["torn"].of(self.token)
        if known:
            from validator.media import purse_trace

            result = await purse_trace.settle(self, known[0], known[1])
            if result:
                return result
        self._check(start)
        await self._administration()
        if known or rules["torn"].is_scarce(self.token):
            from validator.media import purse_trace

            result = await purse_trace.introduce(self)
            if result:
                return result
        if not rules["composite"]:
            fare = tariff.flat(rules["types"], self.code, self.terminal["amount"])
            return await self._pay(_PURCHASE, fare, None)
        from validator.media import purse_trip

        trip = await purse_trip.begin(self)
        return await self._pay(_COMPOSITE, trip.amount, trip)

    # -- whether this card may ride ----------------------------------------------------------

    def _check(self, start):
        rules = self.rules
        terminal = self.terminal
        tunion.check_enabled(self.aid, self.public)
        if rules["deny"](self.token):
            raise Refused("deny_listed", "")
        if not terminal["trusted"]:
            raise Refused("clock_untrusted", "")
        today = self.when[:4].hex()
        if today > self.end:
            raise Refused("expired", "file 15")
        if today < start:
            raise Refused("not_yet_valid", "file 15")
        if rules["service"] and rules["seal"] is None:
            # Without it nobody could claim the fare, and a card number is not kept in clear.
            raise Refused("out_of_service", "no acquirer key")
        since = rules["riders"].since(PURSE, self.token)
        if since is not None and since < rules["window_s"]:
            raise Refused("too_soon", "")

    async def _administration(self):
        rules = self.rules
        data, sw = await apdu.exchange(self.card, apdu.read_binary(tunion.ADMINISTRATION))
        if sw != apdu.SW_OK or len(data) < tunion.ADMINISTRATION_LENGTH:
            if tunion.is_city(self.aid):
                return  # old city cards have none: a normal card, of this city or its union
            raise Refused("malformed", "file 17: %04X" % sw)
        self.code = data[10]
        self.detail["type"] = tariff.passenger(self.code)
        self.detail["city"] = data[6:8].hex()
        if data[8:10] == b"\0\0" and data[6:8] != rules["city"]:
            raise Refused("unsupported", "not interoperable")

    # -- the purchase ------------------------------------------------------------------------

    async def _pay(self, kind, amount, trip):
        card = self.card
        phases = self.phases
        answer, sw = await self.initialize(kind, amount)
        phases.mark("read")
        if sw == _NO_MONEY:
            raise Refused("insufficient_balance", "")
        if sw != apdu.SW_OK:
            reason = "unsupported" if sw in _NOT_HERE else "card_refused"
            raise Refused(reason, "INITIALIZE %04X" % sw)
        if len(answer) != 15:
            raise Refused("malformed", "INITIALIZE")
        before = tunion.fen(answer[:4])
        if before > purchase.MAX_FEN:
            raise Refused("malformed", "balance")  # no purse holds so much
        if before < max(amount, trip.owed if trip else 0):
            self._money(answer)
            raise Refused("insufficient_balance", "")
        debit = await self.begin(kind, amount, answer)
        if trip:
            for command in trip.updates(self.psam.terminal, self.balance - amount):
                _, sw = await apdu.exchange(card, command)
                if sw != apdu.SW_OK:
                    raise Refused("card_refused", "UPDATE CAPP %04X" % sw)
            phases.mark("read")
        earlier = self.earlier
        if earlier:
            # Only a debit moves the counter, and the purchase of 0 has proven it.
            if self.proven == earlier[1].counter:
                self.detail["void"] = debit.void = earlier[0]
                self.earlier = earlier = None
            else:
                self.detail["unknown"] = earlier[0]
        self.open(debit)
        known = self.rules["torn"]
        known.add(self.token, debit.of, debit)
        await self.send(debit)
        if debit.state == torn.PAID:
            self.balance -= amount
            return self.accepted()
        if debit.state == torn.LOST:
            return self.lost()
        if earlier:
            known.add(self.token, earlier[0], earlier[1])
        if debit.state == torn.REFUSED:
            raise Refused("card_refused", "DEBIT " + debit.answer.hex())
        # It could be a card that never had money: no ride. The TAC is kept for whoever has the
        # issuer's key to tell.
        self.balance -= amount
        self.detail["debited"] = True
        raise Refused("bad_signature", "MAC2")

    async def initialize(self, kind, amount):
        """INITIALIZE: (answer, status word)."""
        psam = self.psam
        money = amount.to_bytes(4, "big")
        while True:
            data = bytes((psam.index,)) + money + psam.terminal
            answer, sw = await apdu.exchange(self.card, torn.initialize(kind, data))
            # 9403: the card has no key of that number. The PSAM says which its own has.
            if sw != _NO_KEY or not await psam.renew():
                return answer, sw

    def _money(self, answer):
        # What can be spent: the overdraft limit is in it.
        self.overdraft = int.from_bytes(answer[6:9], "big")
        self.balance = tunion.fen(answer[:4]) - self.overdraft

    async def begin(self, kind, amount, answer):
        """The Debit that INITIALIZE's answer begins, with MAC1 of the PSAM."""
        public = self.public
        psam = self.psam
        self._money(answer)
        self.phases.mark("decide")
        debit = torn.Debit(
            kind, int.from_bytes(answer[4:6], "big"), tunion.fen(answer[:4]), amount
        )
        debit.serial, debit.mac1 = await psam.mac1(
            answer[11:15]
            + answer[4:6]
            + amount.to_bytes(4, "big")
            + bytes((kind,))
            + self.when
            + answer[9:11]
            + public[12:20]
            + public[:4]
            + b"\xff\xff\xff\xff"
        )
        self.phases.mark("verify")
        debit.terminal = psam.terminal
        debit.when = self.when
        debit.unix = self.terminal["unix"]
        debit.version = answer[9]
        debit.algorithm = answer[10]
        debit.public = public
        self.detail["counter"] = debit.counter
        return debit

    def open(self, debit):
        """Make the record of a debit that may happen from now on."""
        self.debit = debit
        try:
            debit.of = self.terminal["open"](self.result("retry", "card_lost"))
        except Exception as e:
            # Whatever keeps it from being durable: nothing was taken, and nothing will be.
            self.debit = None
            raise Refused("out_of_service", "no record: " + type(e).__name__)
        debit.mine = True
        self.phases.mark("commit")

    def close(self):
        """Make the end of a debit's record that is not the end of this tap."""
        try:
            self.terminal["open"](self.result("retry", "card_lost"))
        except Exception as e:
            raise Refused("out_of_service", "no record: " + type(e).__name__)
        self.debit = None

    async def send(self, debit):
        """DEBIT. `debit.state` is then PAID (MAC2 is right, says the PSAM in this tap), WRONG,
        REFUSED, or LOST: nobody knows, or nobody could check."""
        card = self.card
        command = b"\x80\x54\x01\x00\x0f" + debit.serial + debit.when + debit.mac1 + b"\x08"
        try:
            answer = await card.transceive(command)
            if len(answer) == 2 and answer[0] == 0x61:
                answer = await card.transceive(apdu.get_response(answer[1]))
            elif len(answer) == 2 and answer[0] in _REFUSALS:
                debit.state = torn.REFUSED
                debit.answer = bytes(answer)
                return
        except ReaderError as e:
            debit.state = torn.LOST
            self.detail["what"] = e.reason
            return
        self.phases.mark("read")
        debit.answer = bytes(answer[-2:])
        if len(answer) != 10 or answer[8:] != b"\x90\x00":
            debit.state = torn.LOST
            self.detail["what"] = debit.answer.hex()
            return
        debit.tac = bytes(answer[:4])
        debit.mac2 = bytes(answer[4:8])
        right = None
        if self.psam.session == debit.serial:
            right = await self.psam.check(debit.mac2)
        self.phases.mark("verify")
        if right:
            debit.state = torn.PAID
        elif right is False:
            debit.state = torn.WRONG
        else:
            debit.state = torn.LOST
            self.detail["what"] = "MAC2 not checked"

    # -- results -----------------------------------------------------------------------------

    def lost(self):
        """The Result of a debit of which nobody knows whether it happened."""
        self.debit.state = torn.LOST
        self.balance = None  # nobody knows
        try:
            # For the next tap, which is not to wait for it.
            from validator.media import purse_trace  # noqa: F401
        except MemoryError:
            pass

        return self.result("retry", "card_lost")

    def accepted(self):
        """The Result of a debit that is proven, or settled: it is no longer torn once its record
        is durable."""
        debit = self.debit
        result = self.result("accepted", "")
        result.fare = debit.amount

        def settled():
            rules = self.rules
            if debit.state == torn.UNPROVEN:
                rules["torn"].mark_unproven(self.token, debit.of)
            rules["torn"].drop(self.token)
            ridden(rules, self.token)

        result.settled = settled
        return result

    def declined(self, reason, what):
        result = self.result("declined", reason)
        if what:
            result.detail["what"] = what
        if self.debit and not self.earlier:
            # The card refused it, or its MAC2 was wrong: that is the end of it.
            def settled():
                self.rules["torn"].drop(self.token)

            result.settled = settled
        return result

    def result(self, outcome, reason):
        number = self.number
        debit = self.debit
        result = Result(
            MEDIUM,
            outcome,
            reason,
            token_source=self.rider or None,
            masked=mask(number) if number else "",
            expiry=self.end[2:6],
            balance=self.balance,
            detail=dict(self.detail),
        )
        if debit:
            result.detail["state"] = torn.STATES[debit.state]
            result.debit = debit
        return result
