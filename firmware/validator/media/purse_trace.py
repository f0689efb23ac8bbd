"""What became of a debit whose answer was lost: the card is asked, and believed as far as proven.

    result = await settle(turn, seq, debit)      a Result, or None: this tap is a new purchase

Log line, balance and the TAC of a proof can be made up by whoever stands between; MAC2 cannot, and
it covers the session key (random, counter, terminal serial) and the amount. So:

- MAC2 of GET TRANSACTION PROVE is right for the session that the PSAM still has: it happened.
- The card does not say that it was its last purchase: this tap is another one, after a purchase
  of 0 that proves key and counter: whoever has no key makes nobody's debit forgotten. A counter
  that is where it was: the torn debit did not happen. Else nobody knows.
- It says so: a purchase of 0 proves key and counter. One on, and a proof told: `torn_unproven`.
  Purchases of 0 that were torn as well may have moved the counter too.

A card of which nothing is open proves its key in the same way where little room is left for torn
debits (`introduce`). Loaded when it is needed, and not before.
"""

from validator.emv import apdu
from validator.media import purse_torn as torn
from validator.media import tunion
from validator.media.result import Refused

_LOG = 0x18
_LOG_RECORDS = 10
_LOG_SIZE = 23
_OFFLINE = (5, 6, 9)  # log types that count with the offline counter
_BEHIND, _NEWEST = 1, 2
_KINDS = (9, 6)  # of a purchase of 0: composite where the card has it, as at every rail entry


async def settle(turn, seq, debit):
    """What this tap is of a card that left `debit` open, record `seq`; `turn` is the Purchase.

    Raises Refused("unsettled") where the card proves too little to ride on and says too much to
    be charged again: nothing is charged, and the debit stays open.
    """
    turn.earlier = (seq, debit)
    psam = turn.psam
    known = turn.rules["torn"]
    count, proof = known.probes(turn.token)
    # Before anything else: a later purchase takes the proof's place.
    line = await last(turn.card, debit, count)
    if line == _NEWEST or line is None and not proof:
        # What was told before may be of somebody without a key.
        proof = await prove(turn.card, debit) or proof
    claimed = await _counted(turn, debit, count) if line is None else line
    if claimed and proof and psam.session == debit.serial and psam.terminal == debit.terminal:
        right = await psam.check(proof[:4])
        turn.phases.mark("verify")
        if right:
            return _happened(turn, debit, proof, torn.PAID)
        if right is False:
            if line:
                raise Refused("bad_signature", "MAC2 of the proof")
            claimed = False  # another validator's, of the same amount
    turn.phases.mark("read")
    if not claimed:
        return None
    if proof is None:
        raise _unsettled(turn, "no proof")
    if not turn.rules["ride"] or not psam.binds or known.unproven(turn.token):
        raise _unsettled(turn, "the card's word")
    # Of a card that is not to ride, the word is not enough.
    if turn.rules["deny"](turn.token):
        raise _unsettled(turn, "deny list")
    if not turn.terminal["trusted"]:
        raise Refused("clock_untrusted", "")
    answer, kind = await _zero(turn)
    if not _ahead(answer, debit, count):
        return None  # its counter denies what its log says: the new purchase proves it
    probe = await turn.begin(kind, 0, answer)
    probe.proves = seq
    probe.proof = proof
    turn.open(probe)
    known.note_probe(turn.token, proof)
    if not await _proven(turn, probe):
        return turn.lost()
    return _happened(turn, debit, proof, torn.UNPROVEN)


async def introduce(turn):
    """None once a card has proven its key and its counter (`turn.proven`) by a purchase of 0; a
    Result if it was torn away. Before that, nobody's debit is forgotten for the sake of this tap,
    and no room is taken. Where nothing is open of the card, the record names itself."""
    # Of the other type than this tap's purchase, which may be of 0 and in the same second: in the
    # card's log nothing else tells them apart.
    kinds = (6, 9) if turn.rules["composite"] else _KINDS
    answer, kind = await _zero(turn, kinds)
    probe = await turn.begin(kind, 0, answer)
    probe.proof = bytes(8)
    if turn.earlier:
        probe.proves = turn.earlier[0]
        probe.proof = turn.rules["torn"].probes(turn.token)[1] or probe.proof
    else:
        probe.proves = turn.terminal["sequence"]
    turn.open(probe)
    if turn.earlier:
        turn.rules["torn"].note_probe(turn.token, probe.proof)
    if not await _proven(turn, probe):
        return turn.lost()
    turn.proven = probe.counter
    return None


async def _proven(turn, probe):
    """Whether the PSAM found MAC2 of a purchase of 0 right; False: nobody knows."""
    await turn.send(probe)
    if probe.state == torn.LOST:
        return False
    if probe.state == torn.REFUSED:
        raise _unsettled(turn, "DEBIT of 0")
    if probe.state == torn.WRONG:
        raise Refused("bad_signature", "MAC2")
    turn.close()
    return True


def _ahead(answer, debit, count):
    """Whether the counter in INITIALIZE's answer is one on, and what `count` purchases of 0 may
    have moved it."""
    return 1 <= (int.from_bytes(answer[4:6], "big") - debit.counter) & 0xFFFF <= 1 + count


def _unsettled(turn, what):
    if turn.earlier is None:
        return Refused("storage_full", "riders, " + what)
    turn.detail["unsettled"] = turn.earlier[0]
    return Refused("unsettled", what)


def _happened(turn, debit, proof, state):
    debit.mac2 = proof[:4]
    debit.tac = proof[4:]
    debit.state = state
    debit.of = turn.earlier[0]
    debit.public = turn.public
    turn.debit = debit
    turn.detail["of"] = debit.of
    turn.detail["counter"] = debit.counter
    if turn.balance is None:
        turn.balance = debit.before - debit.amount - turn.overdraft
    return turn.accepted()


async def _zero(turn, kinds=_KINDS):
    """(answer, type) of INITIALIZE for a purchase of 0. One that the card does not make proves
    nothing."""
    for kind in kinds:
        answer, sw = await turn.initialize(kind, 0)
        if sw == apdu.SW_OK and len(answer) == 15:
            return answer, kind
    raise _unsettled(turn, "INITIALIZE of 0: %04X" % sw)


async def _counted(turn, debit, count):
    """Whether a card without a log says that `debit` was its last: by counter and balance."""
    for amount in (debit.amount, 0):
        answer, sw = await turn.initialize(debit.type, amount)
        if sw == apdu.SW_OK and len(answer) == 15:
            turn.overdraft = int.from_bytes(answer[6:9], "big")
            left = tunion.fen(answer[:4])
            return left == debit.before - debit.amount and _ahead(answer, debit, count)
    raise _unsettled(turn, "INITIALIZE %04X" % sw)


async def last(card, debit, count=0):
    """Whether the card's log says that `debit` was its last purchase, up to `count` purchases of 0
    at a validator of this terminal id apart; None: it cannot be read. _NEWEST: nothing came after
    it, so that the card still has its proof."""
    newest = _NEWEST
    mine = debit.amount.to_bytes(4, "big") + bytes((debit.type,)) + debit.terminal + debit.when
    for number in range(1, _LOG_RECORDS + 1):
        read = bytes((0x00, 0xB2, number, (_LOG << 3) | 4, _LOG_SIZE))
        entry, sw = await apdu.exchange(card, read)
        if sw != apdu.SW_OK or len(entry) != _LOG_SIZE or not entry[9]:
            return None if number == 1 else False
        if entry[9] not in _OFFLINE:
            continue  # a load, which has a counter of its own
        if entry[5:] == mine:
            return newest
        if not count or any(entry[5:9]) or entry[10:16] != debit.terminal:
            return False
        count -= 1
        newest = _BEHIND
    return False


async def prove(card, debit):
    """MAC2 and TAC of the card's last debit by GET TRANSACTION PROVE, 8 bytes, or None.

    Cards count the transaction as the number that their counter has after it; some as before.
    """
    for number in (debit.counter + 1, debit.counter):
        command = bytes((0x80, 0x5A, 0x00, debit.type, 2)) + (number & 0xFFFF).to_bytes(2, "big")
        answer, sw = await apdu.exchange(card, command + b"\x08")
        if sw == apdu.SW_OK and len(answer) == 8:
            return bytes(answer)
    return None
