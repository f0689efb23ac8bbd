"""Electronic cash on a QuickPass card: nothing refused is paid, nothing paid is paid twice.

The card debits itself when its last record is read. Its payment is on record before, with the
evidence: the card's TC is its issuer's promise to pay. Whoever is torn away may have paid. When
the card is back it proves in that tap who it is and what its counter is; its balance, which nobody
signs, only chooses between the payment on record and a new one.
"""

from validator.emv import apdu, oda, tlv
from validator.media import decision
from validator.media import quickpass_data as answers
from validator.media.quickpass_torn import Debit
from validator.media.result import Refused
from validator.nfc.reader import CardLost

# Transactions since a torn one: each tap that is torn as well is one.
_MAX_LATER = 8


async def pay(t):
    """The Result of a card that answered with a TC; `t` is the `quickpass.Transaction`."""
    answers.require(t.tags, (0x82, 0x94, 0x9F36, 0x9F26, 0x9F10))
    records = await _all_but_the_last(t)
    proven = _complete(t.tags, records[-1])
    number = t.rider.number
    if proven:
        t.authenticate()
    else:
        # All that proves the card comes with the record that makes it pay.
        await _prove(t, "unsupported")
    result = await recall(t)
    if result is not None:
        return result
    if not proven:
        await _select(t, t.terminal["amount"])
        await t.options()
        if not t.quics or answers.cryptogram(t.tags) != "TC":
            raise Refused("malformed", "no TC")
        records = await _all_but_the_last(t)
        if t.rider.number != number:
            raise Refused("malformed", "two card numbers")
    before = await _balance(t.card)
    t.phases.mark("read")
    t.decide()
    amount = t.terminal["amount"]
    if before is None:
        # Without it a torn payment could not be told from none.
        raise Refused("unsupported", "no balance")
    if before < amount:
        raise Refused("insufficient_balance", "")
    answers.require(t.tags, ())
    _open(t, Debit(t.rider.atc, before, amount, proven))
    try:
        await t.read(records[-1:])
    except CardLost as e:
        # Whether it was paid shows when the card is back, if it ever is.
        result = t.result("retry", "card_lost")
        result.detail["what"] = e.reason
        if t.paid:
            result.kept = t.paid[0]
        return result
    t.phases.mark("read")
    t.committed = True
    answers.require(t.tags, ())
    t.authenticate()
    return t.accepted()


async def recall(t):
    """The accepted Result of a card that paid in an earlier tap, else None: then it pays now, and
    `t.about` says of which record it has not, or nobody can tell.

    `t.rider` is proven: the certificate has its number, and the card has signed its counter.
    """
    torn = t.rules["torn"]
    rider = t.rider
    token = decision.tokens(rider, t.rules)[0]
    known = torn.of(token)
    if known is None:
        return None
    seq, debit = known
    balance = await _balance(t.card)
    t.phases.mark("read")
    later = rider.atc - debit.atc
    if 0 < later <= _MAX_LATER and balance == debit.before - debit.amount:
        if not debit.proven and (t.rules["torn_unproven"] == "refuse" or torn.unproven(token)):
            raise Refused("unsettled", "%d" % seq)
        rider.kind = "TC"  # of that transaction
        t.decide(debit.amount)
        t.paid = known
        return t.accepted()
    t.about["void" if later > 0 and balance == debit.before else "unknown"] = seq
    return None


async def after_refusal(t):
    """The accepted Result of a card that refuses to pay and says no more (AAC), because it has
    paid in an earlier tap; else None."""
    torn = t.rules["torn"]
    if 0x57 not in t.tags:
        return None
    rider = decision.identify(t.tags, "AAC")
    if torn.of(decision.tokens(rider, t.rules)[0]) is None:
        return None
    await _prove(t, "unsettled")
    return await recall(t)


async def _prove(t, reason):
    """A transaction of 0 fen, in which the card proves its number and counter and pays nothing.
    Refused with `reason` if it does not."""
    number = t.rider.number if t.rider else ""
    await _select(t, 0)
    try:
        await t.options()
    except Refused:
        t.quics = False
    if not t.quics:
        raise Refused(reason, "0 fen")
    await t.read(t.records())
    t.phases.mark("read")
    answers.require(t.tags, (0x9F36,))
    t.rider = decision.identify(t.tags, answers.cryptogram(t.tags))
    if number and t.rider.number != number:
        raise Refused("malformed", "two card numbers")
    t.authenticate()


async def _select(t, amount):
    """The application from the beginning."""
    _, sw = await apdu.exchange(t.card, apdu.select(t.aid))
    if sw != apdu.SW_OK:
        raise Refused("malformed", "SELECT %04X" % sw)
    t.begin(amount)


async def _all_but_the_last(t):
    records = t.records()
    if not records:
        raise Refused("malformed", "no AFL")
    await t.read(records[:-1])
    t.phases.mark("read")
    t.rider = decision.identify(t.tags, "TC")
    return records


def _complete(tags, last):
    """Whether the card can be authenticated without its last record."""
    if last[2] or 0x9F46 not in tags or 0x9F4B not in tags:
        return False
    return 0x9F69 in tags or oda.is_older(tags)


def _open(t, debit):
    """The record of a payment that may happen from now on."""
    if not debit.amount:
        return
    rules = t.rules
    token = decision.tokens(t.rider, rules)[0]
    if not rules["torn"].has_room(token):
        raise Refused("storage_full", "torn")
    result = t.result("retry", "card_lost")
    result.detail["cash"] = debit.pack()
    result.evidence = t.evidence()
    try:
        seq = t.terminal["open"](result)
    except Exception as e:
        # Whatever keeps it from being durable: nothing was paid, and nothing will be.
        raise Refused("out_of_service", "no record: " + type(e).__name__)
    rules["torn"].add(token, seq, debit)
    t.paid = seq, debit
    t.phases.mark("commit")


async def _balance(card):
    answer, sw = await apdu.exchange(card, apdu.get_data(0x9F79))
    if sw != apdu.SW_OK:
        return None
    value = tlv.find(answer, 0x9F79)
    text = value.hex() if value is not None else ""
    # No card has 160,000 yuan, and what is kept of a balance has three bytes.
    return int(text) if text[:4] == "0000" and len(text) == 12 and text.isdigit() else None
