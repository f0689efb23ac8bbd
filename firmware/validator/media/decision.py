"""Whether an authenticated card rides: the transit rule's points 3 to 6, in their order.

Ride first, pay later: the card's issuer is asked later, so that everything that can be known here
is checked here.
"""

from validator.emv import certificates, rsa
from validator.media.quickpass_data import check_number, track2
from validator.media.result import Refused
from validator.media.riders import QUICKPASS

_DEVICE_CVM = 0x80  # CTQ byte 2: the rider was verified by the phone


class Rider:
    """Who a card says it is, and what it decided.

    `number` digits; `reference` its PAR as bytes or b"", which nobody signs; `expires`, `begins`
    YYMMDD in BCD or None; `expiry` "YYMM"; `kind` "ARQC", "TC", "AAC" or ""; `atc` counter;
    `device_cvm` bool; `tokens` see there.
    """

    def __init__(self, number, kind, atc):
        self.number = number
        self.kind = kind
        self.atc = atc
        self.reference = b""
        self.expires = None
        self.begins = None
        self.expiry = ""
        self.device_cvm = False
        self.tokens = None

    def source(self):
        """What the rider's token is made of: the number in the card's certificate."""
        return self.number.encode()


def identify(tags, kind):
    """The Rider in a card's data objects; Refused("malformed", …) if there is none."""
    number = expiry = ""
    if 0x57 in tags:
        number, expiry = track2(tags[0x57])
    if 0x5A in tags:
        other = check_number(tags[0x5A].hex())
        if number and number != other:
            raise Refused("malformed", "two card numbers")
        number = other
    if not number:
        raise Refused("malformed", "no card number")
    rider = Rider(number, kind, int.from_bytes(tags.get(0x9F36, b"")[:2], "big"))
    rider.expires = _date(tags, 0x5F24)
    rider.begins = _date(tags, 0x5F25)
    rider.expiry = rider.expires[:2].hex() if rider.expires else expiry
    reference = bytes(tags.get(0x9F24, b""))
    # 29 letters and digits; zeros are what a card without one may show.
    if len(reference) == 29 and reference.strip(b"0 \0"):
        rider.reference = reference
    return rider


def _date(tags, tag):
    value = tags.get(tag)
    if value is None:
        return None
    text = value.hex()
    if len(text) != 6 or not text.isdigit() or not 1 <= int(text[2:4]) <= 12:
        raise Refused("malformed", "%X" % tag)
    return bytes(value)


def trust_ctq(rider, ctq):
    """Take the holder's verification from the CTQ (9F6C), 2 bytes that the card signed."""
    rider.device_cvm = len(ctq) == 2 and bool(ctq[1] & _DEVICE_CVM)


def card_decided(rider):
    """Point 3: the card must have asked for its issuer (ARQC), or paid from its purse (TC)."""
    if rider.kind == "AAC":
        raise Refused("card_refused", "AAC")
    if rider.kind not in ("ARQC", "TC"):
        raise Refused("malformed", "no cryptogram")


def check(rider, terminal, rules, amount):
    """Points 3 to 6 for `amount` fen. Refused with the first that fails; nothing is remembered
    yet."""
    card_decided(rider)
    if not rider.atc:
        raise Refused("malformed", "ATC 0")
    names = tokens(rider, rules)
    deny = rules["deny"]
    for token in names:
        if deny(token):
            raise Refused("deny_listed", "")
    if amount > rules["tap"]:
        raise Refused("over_limit", "one tap")
    if amount > rules["cvm"] and not rider.device_cvm:
        raise Refused("over_limit", "holder not verified")
    if not terminal["trusted"]:
        raise Refused("clock_untrusted", "")
    _dates(rider, terminal["date"])
    _history(names, rules, amount)
    if rules["seal"] is None:
        # A ride whose evidence nobody can settle is a ride given away, and a card number must
        # not be kept in clear.
        raise Refused("out_of_service", "no acquirer key")


def tokens(rider, rules):
    """Every token that this rider may be listed under and is remembered by: the one of the number
    first, which is proven; then the account's, if the card names one. That can only refuse: who
    changes it on the way, or leaves it out, is still the number's holder.

    Made once: each is two hashes over two blocks."""
    if rider.tokens is None:
        token = rules["token"]
        rider.tokens = [token(rider.source())]
        if rider.reference:
            rider.tokens.append(token(rider.reference))
    return rider.tokens


def _dates(rider, today):
    if rider.expires:
        if before(rider.expires, today):
            raise Refused("expired", "5F24")
    elif rider.expiry:
        month = bytes.fromhex(rider.expiry)
        if _months(month) < _months(today):
            raise Refused("expired", "track 2")
    else:
        raise Refused("malformed", "no expiry")
    if rider.begins and before(today, rider.begins):
        raise Refused("not_yet_valid", "5F25")


def _months(date):
    try:
        return certificates.months(date[0], date[1])
    except rsa.RsaError:
        raise Refused("malformed", "date")


def before(a, b):
    """Whether day `a` is before day `b`, both YYMMDD in BCD."""
    return (_months(a), a[2]) < (_months(b), b[2])


def _history(names, rules, amount):
    window = rules["window_s"]
    limit = rules["cumulative"]
    if not window and not limit:
        return
    riders = rules["riders"]
    if riders is None:
        raise Refused("out_of_service", "no memory of riders")
    # Two names may have one bucket; and a card that was torn may ride on its word.
    count = len(names) + 1
    for token in names:
        since = riders.since(QUICKPASS, token)
        if since is not None and since < window:
            raise Refused("too_soon", "")
        if limit and riders.spent(QUICKPASS, token, rules["cumulative_s"]) + amount > limit:
            raise Refused("over_limit", "cumulative")
        if not riders.has_room(QUICKPASS, token, count):
            raise Refused("storage_full", "riders")


def settle(rider, rules, amount):
    """The ride of `amount` fen counts: its record is durable."""
    ridden(tokens(rider, rules), rules, amount)


def ridden(names, rules, amount, seq=None, at=None):
    """A ride of `amount` fen counts for these tokens. `seq`, `at` as in riders.py."""
    cumulative_s = rules["cumulative_s"] if rules["cumulative"] else 0
    if cumulative_s or rules["window_s"]:
        for token in names:
            rules["riders"].rode(
                QUICKPASS, token, amount, rules["window_s"], cumulative_s, seq, at
            )
