"""UnionPay QuickPass (qUICS, EMV kernel 7), verified offline as the transit rule says.

A phone or a card of these years answers GET PROCESSING OPTIONS with everything (template 77); an
old card (80) is authenticated by INTERNAL AUTHENTICATE and asked for its ARQC by GENERATE AC. An
electronic cash card pays when its last record is read: everything that can refuse it comes before,
and its payment is on record before it can happen. docs/quickpass.md has the flow.
"""

from validator.emv import afl, apdu, certificates, dol, oda, tlv
from validator.emv.certificates import AuthenticationError
from validator.media import decision, evidence, quickpass_purse
from validator.media import quickpass_data as answers
from validator.media.result import NextApplication, Refused, Result, mask

MEDIUM = "quickpass"
RID = b"\xa0\x00\x00\x03\x33"

_AIP_DDA = 0x20

_MAX_BYTES = 6144  # of all records; a card of today has some 1,200
_DEFAULT_DDOL = ((0x9F37, 4),)
_ARQC = 0x80


def handles(aid):
    return aid.startswith(RID)


async def run(card, phases, aid, fci, terminal):
    """The transaction of a selected application; `fci` is SELECT's answer. Returns a Result.

    Raises Refused, NextApplication, TlvError and what the reader raises.
    """
    transaction = Transaction(card, phases, aid, fci, terminal)
    try:
        return await transaction.run()
    except NextApplication:
        raise
    except (Refused, AuthenticationError) as e:
        return transaction.declined(e.reason, e.what)
    except tlv.TlvError as e:
        return transaction.declined("malformed", str(e))


class Transaction:
    """One card's turn: what it said (`tags`), what of that is signed (`static`)."""

    def __init__(self, card, phases, aid, fci, terminal):
        self.card = card
        self.phases = phases
        self.aid = aid
        self.terminal = terminal
        self.rules = terminal["rules"]
        self.pdol, self.transit = answers.asks(fci)
        if 0x9F66 not in dol.tags(self.pdol):
            raise NextApplication("unsupported", "no 9F66 in PDOL")  # no contactless application
        self.committed = False  # the card has said all that makes it pay
        self.paid = (
            None  # (number of the record, Debit) of the electronic cash that pays this ride
        )
        self.about = {}  # another record, which this ride is not paid by: "void" or "unknown"
        self.begin(terminal["amount"])

    def begin(self, amount):
        """Forget what the card said; the terminal asks for `amount` fen from now on."""
        self.tags = {}
        self.static = []
        self.rider = None
        self.key = None
        self.quics = True
        self.room = _MAX_BYTES
        self.values = answers.terminal_values(
            self.terminal,
            answers.TTQ_ODA if self.transit else answers.TTQ_STANDARD,
            amount,
            self.rules,
        )

    async def run(self):
        await self.options()
        if not self.quics:
            await self._standard()
        elif answers.cryptogram(self.tags) == "TC":
            return await quickpass_purse.pay(self)
        else:
            return await self._quics()
        return self.accepted()

    # -- what the card says ------------------------------------------------------------------

    async def options(self):
        self.values[0x9F37] = self.terminal["random"](4)
        data = dol.build(self.pdol, self.values)
        answer, sw = await apdu.exchange(self.card, apdu.get_processing_options(data))
        if sw == apdu.SW_CONDITIONS:
            raise NextApplication("unsupported", "GPO %04X" % sw)  # EMV Book 3, 6.5.8
        if sw != apdu.SW_OK:
            raise Refused("unsupported", "GPO %04X" % sw)
        self.quics = answers.parse_gpo(answer, self.tags)

    async def read(self, records):
        for sfi, number, signed in records:
            answer, sw = await apdu.exchange(self.card, apdu.read_record(sfi, number))
            if sw != apdu.SW_OK:
                raise Refused("malformed", "record %d.%d: %04X" % (sfi, number, sw))
            self.room -= len(answer)
            if self.room < 0:
                raise Refused("malformed", "too many bytes")
            if sfi > 10 and not signed:
                continue  # the issuer's own format, and nobody's business here
            template = tlv.only(answer, 0x70)
            if template is None:
                raise Refused("malformed", "record %d.%d: no 70" % (sfi, number))
            if sfi <= 10:
                answer = template[1]
                tlv.collect(answer, self.tags)
            if signed:
                self.static.append(answer)

    def records(self):
        return afl.records(self.tags.get(0x94, b""))

    # -- cards of today, and of yesterday ----------------------------------------------------

    async def _quics(self):
        tags = self.tags
        records = self.records()
        kind = answers.cryptogram(tags)
        await self.read(records)
        self.phases.mark("read")
        if kind == "AAC" and 0x9F4B not in tags:
            result = await quickpass_purse.after_refusal(self)
            if result is None:
                raise Refused("card_refused", "AAC")  # it says no more, and need not
            return result
        answers.require(tags, (0x82, 0x9F36, 0x57, 0x9F10, 0x9F26))
        self.rider = decision.identify(tags, kind)
        self.authenticate()
        result = await quickpass_purse.recall(self)
        if result is None:
            self.decide()
            result = self.accepted()
        return result

    async def _standard(self):
        """The flow of a contact card: DDA by INTERNAL AUTHENTICATE, then GENERATE AC."""
        tags = self.tags
        await self.read(self.records())
        self.phases.mark("read")
        self.rider = decision.identify(tags, "")
        self.verify_card()
        listed = tags.get(0x9F49)
        names = tlv.parse_dol(listed) if listed is not None else _DEFAULT_DDOL
        if 0x9F37 not in dol.tags(names):
            raise Refused("bad_signature", "DDOL without 9F37")
        data = dol.build(names, self.values)
        answer, sw = await apdu.exchange(self.card, apdu.internal_authenticate(data))
        if sw != apdu.SW_OK:
            raise Refused("malformed", "INTERNAL AUTHENTICATE %04X" % sw)
        self.phases.mark("read")
        number = oda.dda(answers.signature(answer), self.key, data)
        self.phases.mark("verify")
        self.values[0x9F4C] = number
        names = tlv.parse_dol(oda.need(tags, 0x8C))
        data = dol.build(names, self.values)
        answer, sw = await apdu.exchange(self.card, apdu.generate_ac(_ARQC, data))
        if sw != apdu.SW_OK:
            raise Refused("malformed", "GENERATE AC %04X" % sw)
        answers.parse_ac(answer, tags)
        self.phases.mark("read")
        self.rider.kind = answers.by_information(tags[0x9F27])
        self.rider.atc = int.from_bytes(tags[0x9F36], "big")
        self.decide()

    # -- verification and decision -----------------------------------------------------------

    def _today(self):
        terminal = self.terminal
        if not terminal["trusted"]:
            return None
        return certificates.months(terminal["date"][0], terminal["date"][1])

    def verify_card(self):
        """The certificates, once: `key` is the card's."""
        if self.key is not None:
            return
        rules = self.rules
        tags = self.tags
        if not oda.need(tags, 0x82)[0] & _AIP_DDA:
            # Static signatures can be copied with the card; combined ones are not asked for.
            raise Refused("unsupported", "no dynamic authentication")
        today = self._today()
        number = self.rider.number
        try:
            issuer = oda.issuer(tags, rules["ca_keys"], rules["issuers"], number, today)
            self.key = oda.card(tags, self.static, issuer.key, number, today)
        finally:
            self.phases.mark("verify")

    def verify_dynamic(self):
        tags = self.tags
        insist = self.rules["fdda_01_required"]
        if not insist and tags.get(0x9F69, b"")[:1] != b"\x01":
            # That a card is too old to sign amounts must not be said by whoever changes its bytes.
            insist = not oda.is_signed(self.static, 0x9F08)
        try:
            related = oda.fdda(tags, self.key, self.values, True, insist)
        finally:
            self.phases.mark("verify")
        if related is not None:
            ctq = related[5:7]
            if 0x9F6C in self.tags and self.tags[0x9F6C] != ctq:
                raise Refused("bad_signature", "CTQ is not the signed one")
            decision.trust_ctq(self.rider, ctq)

    def authenticate(self):
        self.verify_card()
        self.verify_dynamic()

    def decide(self, amount=None):
        """`amount` in fen, if it is not the fare of now."""
        if amount is None:
            amount = self.terminal["amount"]
        try:
            decision.check(self.rider, self.terminal, self.rules, amount)
        finally:
            self.phases.mark("decide")

    # -- results -----------------------------------------------------------------------------

    def evidence(self):
        values = self.values
        values[0x9F27] = answers.information(self.rider.kind)
        values[0x84] = self.aid
        return self.rules["seal"].seal(evidence.collect(self.tags, values))

    def accepted(self):
        result = self.result("accepted", "")
        rider = self.rider
        terminal = self.terminal
        rules = self.rules
        paid = self.paid
        amount = terminal["amount"]
        if paid:
            seq, debit = paid
            amount = result.fare = debit.amount
            result.balance = debit.before - amount
            if not debit.proven and not self.committed:
                result.detail["state"] = "unproven"
        else:
            result.evidence = self.evidence()
        token = decision.tokens(rider, rules)[0]
        forget = paid or self.about

        def settled():
            decision.settle(rider, rules, amount)
            if forget:
                if "state" in result.detail:
                    rules["torn"].mark_unproven(token, seq)
                rules["torn"].drop(token)

        result.settled = settled
        return result

    def declined(self, reason, what):
        result = self.result("declined", reason)
        if what:
            result.detail["what"] = what
        if self.committed:
            result.detail["debited"] = True
            if self.paid:
                token = decision.tokens(self.rider, self.rules)[0]
                torn = self.rules["torn"]
                result.settled = lambda: torn.drop(token)
        return result

    def result(self, outcome, reason):
        tags = self.tags
        rider = self.rider
        number = rider.number if rider else ""
        made = Result(
            MEDIUM,
            outcome,
            reason,
            token_source=rider.source() if rider else None,
            masked=mask(number) if number else "",
            expiry=rider.expiry if rider else "",
            detail={
                "aid": bytes(self.aid).hex(),
                "flow": "qUICS" if self.quics else "standard",
                "cryptogram": rider.kind if rider else "",
                "oda": self.transit,
                "atc": rider.atc if rider else 0,
                "ctq": tags.get(0x9F6C, b"").hex(),
                "device_cvm": rider.device_cvm if rider else False,
                "par": bool(rider and rider.reference),
            },
        )
        made.detail.update(self.about)
        if self.paid and (outcome == "accepted" or self.committed):
            made.detail["of"] = self.paid[0]
        if rider and rider.tokens and len(rider.tokens) > 1:
            made.account = rider.tokens[1]
        return made
