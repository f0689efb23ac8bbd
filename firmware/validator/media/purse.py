"""Purses of T-Union and city cards (JT/T 978, PBOC): debited once, with the operator's PSAM.

    rules = purse_rules.load(section, token, deny, service, identity, fares, seal)
    await sam.start(rules, slots, log)                   # opens the PSAMs
    rules["torn"].rebuild(journal)                       # what was open when the power went
    terminal["purse"] = rules
    terminal["open"] = open_record
    result = await purse.run(card, phases, aid, fci, terminal)

`open_record(result) -> number` makes a record of `result` durable at once (it hashes the token
source), before DEBIT goes out; what it raises ends the purchase, and nothing is debited. The
purchase's own result is the end of that record, `result.debit.of`, if `result.debit.mine`; what
became of an earlier one is a record by itself. `result.fare` is what the ride cost; detail "of" is
the number of the earlier record that a result closes, "void" of one that did not happen; the
evidence is `result.debit`. `result.settled` must be called when its record is durable: until then
the debit counts as torn. docs/tunion.md has the sequences and what is decided when.

One purchase: SELECT, READ BINARY 17, INITIALIZE, DEBIT. Composite: READ RECORD 1A after 17, and
two UPDATE CAPP DATA CACHE before DEBIT. No other command, unless a debit was torn.
"""

from validator import sam
from validator.emv import apdu, tlv
from validator.fare import tariff
from validator.media import purse_torn as torn
from validator.media import tunion
from validator.media.result import Refused, Result, mask
from validator.nfc.reader import ReaderError
from validator.store import purchase

MEDIUM = tunion.MEDIUM
handles = tunion.handles

_PURCHASE, _COMPOSITE = 6, 9

# What a card says when it refuses INITIALIZE.
_NO_MONEY = 0x9401
_NOT_HERE = (0x6700, 0x6A82, 0x6A86, 0x6A88, 0x6D00, 0x6E00, 0x9403)
# First bytes of a status word by which DEBIT is refused and nothing stored. After any other
# (a memory failure, 65) nobody knows.
_REFUSALS = (0x67, 0x69, 0x6A, 0x6B, 0x6D, 0x6E, 0x93, 0x94)


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
        return turn.lost("memory")


class Purchase:
    """One card's turn."""

    def __init__(self, card, phases, aid, terminal):
        self.card = card
        self.phases = phases
        self.aid = aid
        self.terminal = terminal
        self.rules = terminal["purse"]
        self.when = b"\x20" + terminal["date"] + terminal["time"]
        self.public = b""
        self.number = self.end = ""
        self.token = b""
        self.code = 0
        self.balance = None
        self.overdraft = 0
        self.debit = None
        self.void = 0
        self.detail = {"aid": bytes(aid).hex(), "counter": 0}

    async def run(self, fci):
        self.public = await tunion.public(self.card, fci)
        self.number, start, self.end = tunion.parse_public(self.public)
        rules = self.rules
        self.token = rules["token"](self.number.encode())
        psam = sam.find(rules, self.aid)
        known = rules["torn"].of(self.token)
        if known:
            result = await self._settle(known[0], known[1])
            if result:
                return result
        if psam is None or psam.fault:
            raise sam.PsamError(psam.fault if psam else "none for this card")
        self._check(start)
        await self._administration()
        if not rules["composite"]:
            fare = tariff.flat(rules["types"], self.code, self.terminal["amount"])
            return await self._pay(psam, _PURCHASE, fare, None)
        from validator.media import purse_trip

        trip = await purse_trip.begin(self)
        return await self._pay(psam, _COMPOSITE, trip.amount, trip)

    # -- whether this card may ride ----------------------------------------------------------

    def _check(self, start):
        rules = self.rules
        terminal = self.terminal
        if not self.public[9]:
            raise Refused("card_refused", "not enabled")
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
        since = rules["last"].get(self.token)
        if since is not None and 0 <= terminal["unix"] - since < rules["window_s"]:
            raise Refused("too_soon", "")

    async def _administration(self):
        rules = self.rules
        data, sw = await apdu.exchange(self.card, apdu.read_binary(tunion.ADMINISTRATION))
        if sw != apdu.SW_OK or len(data) < tunion.ADMINISTRATION_LENGTH:
            if self.aid[: len(tunion.CITY)] == tunion.CITY:
                return  # old city cards have none: a normal card, of this city or its union
            raise Refused("malformed", "file 17: %04X" % sw)
        self.code = data[10]
        self.detail["type"] = tariff.passenger(self.code)
        self.detail["city"] = data[6:8].hex()
        if data[8:10] == b"\0\0" and data[6:8] != rules["city"]:
            raise Refused("unsupported", "not interoperable")

    # -- the purchase ------------------------------------------------------------------------

    async def _pay(self, psam, kind, amount, trip):
        card = self.card
        phases = self.phases
        money = amount.to_bytes(4, "big")
        data = b"\x01" + money + psam.terminal
        answer, sw = await apdu.exchange(card, torn.initialize(kind, data))
        phases.mark("read")
        if sw == _NO_MONEY:
            raise Refused("insufficient_balance", "")
        if sw != apdu.SW_OK:
            reason = "unsupported" if sw in _NOT_HERE else "card_refused"
            raise Refused(reason, "INITIALIZE %04X" % sw)
        if len(answer) != 15:
            raise Refused("malformed", "INITIALIZE")
        before = int.from_bytes(answer[:4], "big")
        if before > purchase.MAX_FEN:
            raise Refused("malformed", "balance")  # no purse holds so much
        counter = int.from_bytes(answer[4:6], "big")
        # What can be spent: the overdraft limit is in it.
        self.overdraft = int.from_bytes(answer[6:9], "big")
        self.balance = before - self.overdraft
        if before < max(amount, trip.owed if trip else 0):
            raise Refused("insufficient_balance", "")
        public = self.public
        phases.mark("decide")
        serial, mac1 = await psam.mac1(
            answer[11:15]
            + answer[4:6]
            + money
            + bytes((kind,))
            + self.when
            + answer[9:11]
            + public[12:20]
            + public[:4]
            + b"\xff\xff\xff\xff"
        )
        phases.mark("verify")
        if trip:
            for command in trip.updates(psam.terminal, self.balance - amount):
                _, sw = await apdu.exchange(card, command)
                if sw != apdu.SW_OK:
                    raise Refused("card_refused", "UPDATE CAPP %04X" % sw)
            phases.mark("read")
        debit = torn.Debit(kind, counter, before, amount)
        debit.terminal = psam.terminal
        debit.serial = serial
        debit.when = self.when
        debit.unix = self.terminal["unix"]
        debit.mac1 = mac1
        debit.version = answer[9]
        debit.algorithm = answer[10]
        debit.void = self.void
        debit.public = self.public
        self.detail["counter"] = counter
        command = b"\x80\x54\x01\x00\x0f" + serial + self.when + mac1 + b"\x08"
        self._open(debit)
        phases.mark("commit")
        try:
            answer = await card.transceive(command)
            if len(answer) == 2 and answer[0] == 0x61:
                answer = await card.transceive(apdu.get_response(answer[1]))
            elif len(answer) == 2 and answer[0] in _REFUSALS:
                debit.state = torn.REFUSED
                debit.answer = bytes(answer)
                raise Refused("card_refused", "DEBIT " + answer.hex())
        except ReaderError as e:
            return self.lost(e.reason)
        phases.mark("read")
        if len(answer) != 10 or answer[8:] != b"\x90\x00":
            debit.answer = bytes(answer[-2:])
            return self.lost(debit.answer.hex())
        debit.tac = bytes(answer[:4])
        debit.mac2 = bytes(answer[4:8])
        return await self._finish(psam)

    def _open(self, debit):
        """The record of a debit that may happen from now on."""
        self.debit = debit
        try:
            seq = self.terminal["open"](self.result("retry", "card_lost"))
        except Exception as e:
            # Whatever keeps it from being durable: nothing was taken, and nothing will be.
            self.debit = None
            raise Refused("out_of_service", "no record: " + type(e).__name__)
        self.rules["torn"].add(self.token, seq, debit)
        debit.of = seq
        debit.mine = True

    def lost(self, what):
        """The Result of a debit of which nobody knows whether it happened."""
        self.debit.state = torn.LOST
        self.detail["what"] = what
        self.balance = None  # nobody knows
        try:
            # For the next tap, which is not to wait for it.
            from validator.media import purse_trace  # noqa: F401
        except MemoryError:
            pass

        return self.result("retry", "card_lost")

    async def _finish(self, psam):
        """The money has moved, says the card: whether that is so, and the Result."""
        debit = self.debit
        right = None
        if psam and debit.mac2 != b"\0\0\0\0" and psam.session == debit.serial:
            right = await psam.check(debit.mac2)
        self.phases.mark("verify")
        self.balance = debit.before - debit.amount - self.overdraft
        if right is False:
            # It could be a card that never had money: no ride. The TAC is kept for whoever has
            # the issuer's key to tell.
            debit.state = torn.WRONG
            self.detail["debited"] = True
            raise Refused("bad_signature", "MAC2")
        debit.state = torn.PAID if right else torn.UNCHECKED
        result = self.result("accepted", "")
        result.fare = debit.amount
        settled = result.settled
        last = self.rules["last"]

        def note():
            settled()
            if len(last) >= 8:
                last.clear()
            last[self.token] = self.terminal["unix"]

        result.settled = note
        return result

    # -- a debit that was torn ---------------------------------------------------------------

    async def _settle(self, seq, debit):
        """The Result of a card whose debit turns out to have happened; None: it did not."""
        from validator.media import purse_trace

        happened, newest, self.overdraft = await purse_trace.trace(self.card, debit)
        if not happened:
            # False: never. None: the card was elsewhere since, and this is another ride; the
            # open record stays what it is.
            if happened is None:
                self.detail["unknown"] = seq
            else:
                self.detail["void"] = self.void = seq
            self.phases.mark("read")
            return None
        proof = await purse_trace.prove(self.card, debit) if newest else None
        self.phases.mark("read")
        if proof:
            debit.mac2, debit.tac = proof
        debit.of = seq
        self.detail["of"] = seq
        self.detail["counter"] = debit.counter
        debit.public = self.public
        self.debit = debit
        psam = None
        for one in self.rules["psams"]:
            if one.terminal == debit.terminal:
                psam = one
        result = await self._finish(psam)
        if newest:
            return result
        # The card has ridden elsewhere since: that ride was paid, and this one is another.
        self.terminal["open"](result)
        self.rules["torn"].drop(self.token)
        self.debit = None
        self.balance = None
        del self.detail["of"]
        return None

    # -- results -----------------------------------------------------------------------------

    def declined(self, reason, what):
        result = self.result("declined", reason)
        if what:
            result.detail["what"] = what
        return result

    def result(self, outcome, reason):
        number = self.number
        debit = self.debit
        result = Result(
            MEDIUM,
            outcome,
            reason,
            token_source=number.encode() if number else None,
            masked=mask(number) if number else "",
            expiry=self.end[2:6],
            balance=self.balance,
            detail=dict(self.detail),
        )
        if debit is None and self.void:
            debit = torn.Debit()
            debit.void = self.void
        if debit is None:
            return result
        result.detail["state"] = torn.STATES[debit.state]
        result.debit = debit
        if debit.state not in (torn.OPEN, torn.LOST):
            rules = self.rules
            token = self.token

            def settled():
                rules["torn"].drop(token)

            result.settled = settled
        return result
