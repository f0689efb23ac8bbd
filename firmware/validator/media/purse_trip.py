"""Board and alight: the composite record of a purse, read, judged and written back."""

from validator.emv import apdu
from validator.fare import tariff, trip
from validator.media.result import Refused

_FILE = 0x1A
_MOST_RECORDS = 4  # of other trades before the bus's
_CACHE = b"\x80\xdc"


class Trip:
    """What becomes of one tap: `amount` to debit now, `owed` if the rider never alights, fen."""

    def __init__(self, amount, owed, kind, record, where, rules, when):
        self.amount = amount
        self.owed = owed
        self._kind = kind
        self._record = record
        self._where = where
        self._rules = rules
        self._when = when

    def updates(self, terminal, after):
        """The two UPDATE CAPP DATA CACHE commands; `terminal` is the PSAM's id, `after` fen."""
        rules = self._rules
        where = trip.place(rules, terminal)
        when = self._when
        if self._kind == trip.IN:
            record = trip.board(self._record, where, when, self.owed, rules["down"])
        else:
            record = trip.alight(self._record, where, when, self.amount)
        ride = trip.trip(self._kind, where, when, self.amount, after, rules["acquirer"])
        # P1 is the low byte of the record's identifier; 00 adds to a cyclic file.
        return (
            _CACHE + b"\x00\xf0\x30" + ride,
            _CACHE + trip.BUS[1:] + b"\xd0\x80" + record,
        )


async def begin(purchase):
    """Read the bus record and say what this tap is; Refused if the card has none."""
    record = await _bus_record(purchase.card)
    rules = purchase.rules
    when = purchase.when
    full = purchase.terminal["amount"]
    fare = tariff.flat(rules["types"], purchase.code, full)
    where = trip.place(rules, bytes(6))
    detail = purchase.detail
    amount = 0
    if trip.boarded(record):
        owed = trip.marked(record)
        if trip.ours(record, where, when, rules["trip_s"]):
            if fare:
                # Marked here, by this operator's rule: a record that says less was changed.
                owed = max(owed, rules["marked_amount"])
            stations = abs(rules["station"] - trip.station(record))
            amount = tariff.staged(rules["stages"], stations, fare, full)
            amount = owed if amount is None else min(amount, owed)
            detail["trip"] = "out"
            return Trip(amount, 0, trip.OUT, record, where, rules, when)
        amount = owed
        detail["unfinished"] = True
    detail["trip"] = "in"
    # Who rides free owes nothing either.
    owed = rules["marked_amount"] if fare else 0
    return Trip(amount, owed, trip.IN, record, where, rules, when)


async def _bus_record(card):
    for number in range(1, _MOST_RECORDS + 1):
        read = bytes((0x00, 0xB2, number, (_FILE << 3) | 4, trip.RECORD_SIZE))
        record, sw = await apdu.exchange(card, read)
        if sw != apdu.SW_OK:
            break
        if record[:2] == trip.BUS:
            if len(record) != trip.RECORD_SIZE:
                raise Refused("malformed", "record 2702")
            if trip.locked(record):
                raise Refused("card_refused", "record 2702 is locked")
            return record
    raise Refused("unsupported", "no record 2702")
