"""Electronic cash on a QuickPass card: nothing refused is paid, nothing paid is paid twice.

The card debits itself when its last record is read. Whoever is torn away at that moment may have
paid: the debit is remembered, and a card that comes back with the balance after it rides on it.
"""

from validator.emv import apdu, tlv
from validator.emv.certificates import AuthenticationError
from validator.media import decision
from validator.media import quickpass_data as answers
from validator.media.result import Refused, Result
from validator.media.rider_ring import Debit
from validator.nfc.reader import CardLost


async def pay(t):
    """The payment of a card that answered with a TC; `t` is the `quickpass.Transaction`.

    Returns the Result of a card that was lost while it paid, else None.
    """
    tags = t.tags
    answers.require(tags, (0x82, 0x94, 0x9F36, 0x9F26, 0x9F10))
    records = t.records()
    if not records:
        raise Refused("malformed", "no AFL")
    await t.read(records[:-1])
    before = await _balance(t.card)
    t.phases.mark("read")
    t.rider = decision.identify(tags, "TC")
    # As much as can be known without the last record.
    if not records[-1][2] and 0x9F46 in tags:
        t.verify_card()
        if 0x9F69 in tags and 0x9F4B in tags:
            t.verify_dynamic()
    t.decide()
    amount = t.terminal["amount"]
    if before is None:
        # Without it a torn payment could not be told from none.
        raise Refused("unsupported", "no balance")
    if before < amount:
        raise Refused("insufficient_balance", "")
    token = t.rules["token"](t.rider.source())
    debit = Debit(token, t.rider.atc, before, amount, t.evidence(), t.terminal["unix"])
    torn = t.rules["torn"]
    torn.add(debit)
    try:
        await t.read(records[-1:])
    except CardLost as e:
        result = Result("quickpass", "retry", "card_lost", detail={"what": e.reason})
        # Whether it was paid shows when the card is back, if it ever is.
        result.evidence = debit.evidence
        return result
    t.phases.mark("read")
    t.committed = debit
    try:
        answers.require(tags, ())
        t.authenticate()
    except (AuthenticationError, Refused):
        torn.drop(debit)
        raise
    return None


async def settle_torn(t):
    """The accepted Result of a card that paid in an earlier tap; None if this one did not.

    The card proves who it is in a transaction of 0 fen.
    """
    torn = t.rules["torn"]
    if not len(torn):
        return None
    answer, sw = await apdu.exchange(t.card, apdu.get_data(0x9F36))
    atc = tlv.find(answer, 0x9F36) if sw == apdu.SW_OK else None
    if atc is None:
        return None
    balance = await _balance(t.card)
    if balance is None:
        return None
    debit = torn.made(int.from_bytes(atc, "big"), balance, t.terminal["unix"])
    if debit is None:
        return None
    t.begin(0)
    await t.options()
    if t.quics:
        await t.read(t.records())
        t.phases.mark("read")
        answers.require(t.tags, (0x9F36,))
        t.rider = decision.identify(t.tags, answers.cryptogram(t.tags))
        if t.rules["token"](t.rider.source()) == debit.token:
            t.authenticate()
            t.committed = debit
            return t.accepted(debit.evidence)
    # A stranger with such a counter and balance: from the beginning.
    _, sw = await apdu.exchange(t.card, apdu.select(t.aid))
    if sw != apdu.SW_OK:
        raise Refused("malformed", "SELECT %04X" % sw)
    t.begin(t.terminal["amount"])
    return None


async def _balance(card):
    answer, sw = await apdu.exchange(card, apdu.get_data(0x9F79))
    if sw != apdu.SW_OK:
        return None
    value = tlv.find(answer, 0x9F79)
    text = value.hex() if value is not None else ""
    return int(text) if len(text) == 12 and text.isdigit() else None
