"""What became of a debit whose answer was lost: the card itself is asked.

Loaded when there is such a debit, and not before.
"""

from validator.emv import apdu
from validator.media import purse_torn

_LOG = 0x18
_LOG_RECORDS = 10
_LOG_SIZE = 23
_OFFLINE = (5, 6, 9)  # log types that count with the offline counter


async def trace(card, debit):
    """What became of `debit`, asked of the card itself, whose application is selected.

    Returns (happened, last, overdraft): happened True, False or None (the card cannot tell); last:
    it was the card's last one, so that there may be a proof; overdraft limit in fen.
    """
    mine = debit.amount.to_bytes(4, "big") + bytes((debit.type,)) + debit.terminal + debit.when
    newest = True  # but for loads, which have a counter of their own
    for number in range(1, _LOG_RECORDS + 1):
        read = bytes((0x00, 0xB2, number, (_LOG << 3) | 4, _LOG_SIZE))
        entry, sw = await apdu.exchange(card, read)
        if sw != apdu.SW_OK or len(entry) != _LOG_SIZE or not entry[9]:
            if number > 1:
                return False, False, 0  # the log was read to its end
            break
        if entry[5:] == mine:
            return True, newest, int.from_bytes(entry[2:5], "big")
        if entry[9] in _OFFLINE:
            newest = False
            ahead = (int.from_bytes(entry[:2], "big") - debit.counter) & 0xFFFF
            if not ahead or ahead & 0x8000:
                # This number or an older one is somebody else's: ours was never given out.
                return False, False, 0
    else:
        return None, False, 0  # rolled over
    # No log to read: the counter, which only a debit moves, and the balance.
    data = b"\x01\0\0\0\0" + debit.terminal
    answer, sw = await apdu.exchange(card, purse_torn.initialize(debit.type, data))
    if sw != apdu.SW_OK or len(answer) != 15:
        return None, False, 0
    steps = (int.from_bytes(answer[4:6], "big") - debit.counter) & 0xFFFF
    if not steps:
        return False, False, 0
    if steps == 1 and int.from_bytes(answer[:4], "big") == debit.before - debit.amount:
        return True, True, int.from_bytes(answer[6:9], "big")
    return None, False, 0


async def prove(card, debit):
    """(MAC2, TAC) of the card's last debit by GET TRANSACTION PROVE, or None.

    Cards count the transaction as the number that their counter has after it; some as before.
    """
    for number in (debit.counter + 1, debit.counter):
        command = bytes((0x80, 0x5A, 0x00, debit.type, 2)) + (number & 0xFFFF).to_bytes(2, "big")
        answer, sw = await apdu.exchange(card, command + b"\x08")
        if sw == apdu.SW_OK and len(answer) == 8:
            return bytes(answer[:4]), bytes(answer[4:])
    return None
