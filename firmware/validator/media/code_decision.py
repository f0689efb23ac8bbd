"""Whether a ride code rides: verified by its medium, then decided on here.

The order is the terminals': signatures, times, single-trip limit, accepted issuers; then the deny
list, what the account has ridden for, and at last whether this very code was ridden on before.
"""

import gc

from validator.media.code_replay import DIGEST, digest, pack
from validator.media.result import Refused, Result
from validator.media.ride_code import year_month
from validator.media.riders import CODES, PAYMENT, WAIT

_BEIJING = 8 * 3600


class CodeResult(Result):
    """The result of a code that was checked under an operator's rules.

    again  None; or (outcome, reason) of the presentation that this is merely another reading of:
           it leaves no record, and what is shown is what the first reading came to
    """

    __slots__ = ("again",)

    def __init__(self, medium, outcome, reason="", **more):
        super().__init__(medium, outcome, reason, **more)
        self.again = None


def ride(module, code, name, clock, phases, rules, amount):
    """The CodeResult of `code`, whose medium `module` is. ValueError(field) if it is malformed.

    `name` is what `rules["seen"]` knows the reading by. `amount` is in fen, or a function that
    gives it for a passenger type ("" or "student" …).
    """
    now = clock.unix() if clock.trusted else None
    month = None if now is None else year_month(now + _BEIJING)
    phases.mark("read")
    try:
        try:
            result, key = module.verified(code, rules, month)
        except MemoryError:
            # Curves that are seldom used keep what can be made again.
            make_room()
            result, key = module.verified(code, rules, month)
        finally:
            phases.mark("verify")
    except Refused as e:
        # Nothing that the code says of its rider is true yet.
        detail = module.names(code)
        proven = e.reason not in ("bad_signature", "unknown_issuer")
        detail["what" if proven else "signature"] = e.what
        return CodeResult(module.MEDIUM, "declined", e.reason, detail=detail)
    if not isinstance(amount, int):
        amount = amount(result.detail.get("type", ""))
    try:
        final = _accepted(module, code, result, key, rules, now, month, amount)
    except Refused as e:
        if e.what:
            result.detail["what"] = e.what
        final = _final(result, "declined", e.reason)
    else:
        settle = final.settled

        def settled():
            settle()
            rules["seen"].note(name, clock, final)

        final.settled = settled
    phases.mark("decide")
    return final


def _accepted(module, code, result, key, rules, now, month, amount):
    """The CodeResult that rides; Refused with the first check that says no."""
    detail = result.detail
    payment = module.MEDIUM == "cpm"
    if payment:
        module.allow(result, key, rules, month, amount)
    if now is None:
        raise Refused("clock_untrusted", "")
    if payment:
        expires = now + rules["again_s"]
    else:
        expires = _times(detail, rules["skew_s"], now)
        if amount > detail.get("limit", amount):
            raise Refused("over_limit", "code")
        if amount > rules["tap"]:
            raise Refused("over_limit", "tap")
        module.allow(code, detail, rules)
    token = rules["card_token" if payment else "token"](result.token_source)
    if rules["deny"](token):
        raise Refused("deny_listed", "")
    riders = rules["riders"]
    if riders is None:
        raise Refused("out_of_service", "no memory of riders")
    room = PAYMENT if payment else CODES
    if rules["accounts"]:
        _history(riders, room, token, rules, amount)
    # Whoever could guess a card number could look for its hash in the journal: not of a token.
    name = digest(module.MEDIUM, token if payment else key)
    if payment:
        waited = riders.since(PAYMENT, name, WAIT)
        if waited is not None and waited <= rules["again_s"]:
            raise Refused("needs_online", "")
    elif riders.code_seen(name, expires):
        raise Refused("replayed", "")
    if not riders.has_room(room, name, 2 if rules["accounts"] else 1):
        raise Refused("storage_full", "codes")
    final = _final(result, "accepted", "")
    final.fare = amount
    final.code = pack(name, expires)
    if rules["seal"]:
        final.evidence = rules["seal"].seal(bytes(code))

    def settled():
        ridden(riders, rules, payment, final.code, token, amount)

    final.settled = settled
    return final


def _times(detail, skew, now):
    """When the code will have expired for certain; Refused if it has, or is not valid yet."""
    made = detail["generated"]
    expires = made + detail["validity"]
    last = detail.get("expires")
    if last is not None:
        if made > last or last < now:
            raise Refused("expired", "authorisation")
        expires = min(expires, last)
    if made > now + skew:
        raise Refused("not_yet_valid", "generation")
    if now > expires:
        raise Refused("expired", "validity")
    return expires + skew  # in case that the clock is set back a little


def ridden(riders, rules, payment, code, token, amount, seq=None, at=None):
    """What is known from now on: a code's 12 bytes, its account's token. `seq`, `at` as in
    riders.py."""
    name = bytes(code[:DIGEST])
    expires = int.from_bytes(code[DIGEST:], "little")
    if payment:
        riders.waits(PAYMENT, name, rules["again_s"], seq, at)
    else:
        riders.code_ridden(name, expires, seq)
    if rules["accounts"] and token:
        cumulative_s = rules["cumulative_s"] if rules["cumulative"] else 0
        room = PAYMENT if payment else CODES
        riders.rode(room, token, amount, rules["window_s"], cumulative_s, seq, at)


def _history(riders, room, token, rules, amount):
    since = riders.since(room, token)
    if since is not None and since < rules["window_s"]:
        raise Refused("too_soon", "account")
    limit = rules["cumulative"]
    if limit and riders.spent(room, token, rules["cumulative_s"]) + amount > limit:
        raise Refused("over_limit", "cumulative")
    if not riders.has_room(room, token, 2):  # the code itself may have the same bucket
        raise Refused("storage_full", "accounts")


def _final(result, outcome, reason):
    return CodeResult(
        result.medium,
        outcome,
        reason,
        token_source=result.token_source,
        masked=result.masked,
        expiry=result.expiry,
        detail=result.detail,
    )


def repeated(before):
    """The CodeResult of another reading of a code whose Result is known."""
    medium, outcome, reason = before
    result = CodeResult(medium, "declined", "too_soon", detail={"again": outcome})
    result.again = outcome, reason
    return result


def prepare(rules):
    """Idle work for the riders to come. True if there was some: there may be more."""
    issuers = rules.get("issuers")
    return bool(issuers and issuers.prepare())


def make_room():
    """Give back what curves keep: the next use makes it again, in some 30 ms."""
    from validator.crypto.curves import CURVES

    for name in CURVES:
        CURVES[name].release()
    gc.collect()
