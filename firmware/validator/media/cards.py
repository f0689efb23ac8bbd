"""Which medium an activated card is: by PPSE or the configured AIDs, and on to its module."""

from validator.emv import apdu, tlv
from validator.media import terminal
from validator.media.result import OURS, NextApplication, Refused, Result, ours
from validator.nfc.reader import CardLost, CardProtocolError, ReaderDead

PPSE = b"2PAY.SYS.DDF01"

# A medium is one module with MEDIUM, handles(aid) and run(card, phases, aid, fci, terminal).
# Which modules those are depends on the rules: see `choose`.
_modules = []
_chosen = [None, None]

# For cards without a PPSE, most of which are purses. Configuration replaces it.
AIDS = (
    b"\xa0\x00\x00\x06\x32\x01\x01\x05",
    b"\xa0\x00\x00\x06\x32\x01\x01\x05\x10\x00\x91\x56\x00\x00\x14\xa1",
    b"\xa0\x00\x00\x00\x03\x86\x98\x07\x01",
    b"\xa0\x00\x00\x03\x33\x01\x01\x01",
    b"\xa0\x00\x00\x03\x33\x01\x01\x02",
    b"\xa0\x00\x00\x03\x33\x01\x01\x03",
    b"\xa0\x00\x00\x03\x33\x01\x01\x06",
    b"\xa0\x00\x00\x03\x33\x01\x01\x08",
)

_MAX_CANDIDATES = 16
_NO_PRIORITY = 16  # behind 1…15; 0 in a PPSE means none as well


def choose(verified, purses=False):
    """Load the media: QuickPass' kernel (`verified`) or the module that only identifies such a
    card, the purchase of purses or theirs. All at once would fill a plain ESP32's heap. None:
    let go of what is loaded."""
    _modules.clear()
    _chosen[:] = (None, None)
    if verified is None:
        return
    if purses:
        from validator.media import purse

        _modules.append(purse)
    else:
        from validator.media import tunion

        _modules.append(tunion)
    if verified:
        from validator.media import quickpass

        _modules.append(quickpass)
    else:
        from validator.media import quickpass_read

        _modules.append(quickpass_read)
    _chosen[:] = (verified, purses)


class _Tap:
    """What is known when something goes wrong: which medium, in which phase."""

    def __init__(self):
        self.medium = "unknown_card"
        self.phase = "select"


async def run(card, clock, phases, aids=AIDS, terminal_data=None, rules=None, amount=0):
    """One tap of an activated card; returns a Result and raises nothing.

    `card` has `async transceive(apdu)`, and may have `async reset() -> bool`, `count` (cards seen
    in the field) and `apdu` (takes APDUs at all). The terminal asks for `amount` fen, now, under
    the operator's `rules` (see `validator.media.rules`; None: cards are identified, and declined
    as "unverified"); `terminal_data`, a dict as
    `terminal.make` returns, replaces all three. Call the result's `settled` once its record is
    durable.
    """
    tap = _Tap()
    try:
        if getattr(card, "count", 1) > 1:
            return Result(tap.medium, "retry", "multiple_media")
        if not getattr(card, "apdu", True):
            return _declined(tap, "unsupported", "not ISO 14443-4")
        if terminal_data is None:
            trusted = getattr(clock, "trusted", True)
            terminal_data = terminal.make(clock.unix(), amount, 0, trusted, rules)
        rules = terminal_data["rules"]
        purses = terminal_data.get("purse")
        if rules and rules["aids"]:
            aids = rules["aids"]
            if purses:
                aids = purses["aids"] + aids
        if _chosen[0] != bool(rules) or _chosen[1] != bool(purses):
            choose(bool(rules), bool(purses))
        result = await _run(card, phases, aids, terminal_data, tap)
    except CardLost as e:
        result = Result(tap.medium, "retry", "card_lost", detail={"what": e.reason})
    except ReaderDead as e:
        result = Result(tap.medium, "retry", "out_of_service", detail={"what": e.reason})
    except CardProtocolError as e:
        if e.reason == "collision":
            result = Result(tap.medium, "retry", "multiple_media")
        else:
            result = _declined(tap, "malformed", e.reason)
    except Refused as e:
        result = _declined(tap, e.reason, e.what)
    except OURS as e:
        result = Result(tap.medium, "retry", "out_of_service", detail={"what": ours(e)})
    except Exception as e:
        # A card that finds a way to make this code fail is not to stop the validator.
        result = _declined(tap, "malformed", type(e).__name__)
    if result.reason != "unverified":
        phases.mark(tap.phase)
    return result


def _declined(tap, reason, what):
    return Result(tap.medium, "declined", reason, detail={"what": what})


async def _run(card, phases, aids, terminal_data, tap):
    choice = _Choice(card, aids)
    found = await choice.first()
    phases.mark("select")
    if found is None:
        tap.phase = "read"
        if choice.refused:
            module, sw = choice.refused
            tap.medium = module.MEDIUM
            raise Refused("card_refused", "SELECT %04X" % sw)
        return _declined(tap, "unsupported", "no application")
    while True:
        module, aid, fci = found
        tap.medium = module.MEDIUM
        tap.phase = "read"
        try:
            return await module.run(card, phases, aid, fci, terminal_data)
        except NextApplication as e:
            refusal = e
            # EMV Book 3, 6.5.8 and Book 1, 12.4: without this one, and no word to the rider.
            tap.phase = "select"
            found = await choice.next()
            phases.mark("select")
            if found is None:
                raise refusal


class _Choice:
    """The applications of a card that a medium knows, selected one after another."""

    def __init__(self, card, aids):
        self._card = card
        self._aids = aids
        self._left = []
        self.refused = None  # (module, status word) of a purse that says that it is blocked

    async def first(self):
        """(module, AID, FCI) of the application to use, or None.

        A phone can be in the field before its applet is ready: then its first SELECT ends in
        6985, in 6A82 or in silence. One field reset gives it a second chance (Q31).
        """
        card = self._card
        reset = getattr(card, "reset", None)
        try:
            answer, sw = await apdu.exchange(card, apdu.select(PPSE))
            found = None
            if sw != apdu.SW_CONDITIONS:
                found = await self._begin(answer, sw)
        except CardLost:
            if reset is None:
                raise
            found = None
        if found is None and reset is not None and not self.refused:
            if not await reset():
                raise CardLost("no_return")
            if getattr(card, "count", 1) > 1:
                raise CardProtocolError("collision")
            answer, sw = await apdu.exchange(card, apdu.select(PPSE))
            found = await self._begin(answer, sw)
        return found

    async def _begin(self, ppse, sw):
        listed = directory(ppse) if sw == apdu.SW_OK else ()
        # Ours are the first bytes of the card's, which may be longer (EMV Book 1, 12.3.1).
        known = [aid for aid in listed if _module(aid) and self._wanted(aid)]
        self._left = list(known or self._aids)
        return await self.next()

    def _wanted(self, aid):
        for known in self._aids:
            if aid.startswith(known):
                return True
        return False

    async def next(self):
        while self._left:
            aid = self._left.pop(0)
            module = _module(aid)
            if module is None:
                continue
            fci, sw = await apdu.exchange(self._card, apdu.select(aid))
            if sw == apdu.SW_OK:
                name = tlv.find(fci, 0x6F, 0x84)
                return module, bytes(name) if name else aid, fci
            blocked = getattr(module, "blocked", None)
            if blocked and blocked(aid, sw):
                self.refused = module, sw
        return None


def directory(ppse):
    """AIDs that a PPSE's FCI lists, by application priority (87), lower first. May be empty."""
    found = []
    listed = tlv.find(ppse, 0x6F, 0xA5, 0xBF0C)
    for tag, entry in tlv.parse(listed) if listed is not None else ():
        if tag != 0x61 or len(found) == _MAX_CANDIDATES:
            continue
        aid = tlv.find(entry, 0x4F)
        if aid is None or not 5 <= len(aid) <= 16:
            continue
        priority = tlv.find(entry, 0x87)
        order = (priority[0] & 0x0F if priority else 0) or _NO_PRIORITY
        found.append((order, len(found), bytes(aid)))
    found.sort()
    return [aid for _, _, aid in found]


def _module(aid):
    for module in _modules:
        if module.handles(aid):
            return module
    return None
