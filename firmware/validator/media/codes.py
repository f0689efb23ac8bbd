"""Which medium a scanned code is, and what its module makes of it.

First bytes decide, behind what an engine puts before a code (qr/prefix.py); a branch in
`recognise` adds a medium. A code that is nobody's is
`unknown_code`, and nothing of its content goes anywhere.
"""

from hashlib import sha256

from validator.media.result import OURS, Result, ours
from validator.qr import prefix


def recognise(code):
    """The medium module that a code of one byte or more belongs to, or None.

    Modules are loaded when they are asked for: a validator sees codes of two kinds, or none.
    """
    first = code[0]
    if first >= 0x80:
        from validator.media import ride_code

        return ride_code
    if first == 0x02 or first == 0x54:
        from validator.media import alipay_code

        return alipay_code if alipay_code.recognises(code) else None
    if first == 0x41:
        from validator.media import union_code

        return union_code if union_code.recognises(code) else None
    if first == 0x68 or 0x30 <= first <= 0x39:
        from validator.media import cpm

        return cpm if cpm.recognises(code) else None
    return None


def run(code, clock, phases, rules=None, amount=0):
    """Result for the bytes that a scan engine delivered. Never raises.

    Without `rules` (see `validator.media.code_rules`) nothing is verified: a code that is in order
    is declined as "unverified". With them it is a `code_decision.CodeResult`, accepted if all is
    right; call its `settled` once its record is durable. `amount` is the fare in fen, or a
    function from passenger type to fare. A code that breaks its format's rules is "malformed",
    with the name of the field in `detail["why"]`, and any other "unsupported".
    """
    medium = "unknown_code"
    name = None
    try:
        code = prefix.strip(code)
        if rules is not None:
            from validator.media import code_decision

            name = sha256(code).digest()
            before = rules["seen"].again(name, clock)
            if before:
                phases.mark("read")
                return code_decision.repeated(before)
        module = recognise(code) if code else None
        if module is not None:
            medium = module.MEDIUM
            if rules is None:
                result = module.run(code)
            else:
                result = code_decision.ride(module, code, name, clock, phases, rules, amount)
        elif code:
            detail = {"length": len(code), "kind": "text" if _is_text(code) else "binary"}
            if code[:2] == b"TX":
                detail["kind"] = (
                    "tencent"  # closed format: only Tencent's own binary kit verifies it
                )
            result = Result(medium, "declined", "unsupported", detail=detail)
        else:
            result = Result(medium, "declined", "malformed", detail={"why": "length"})
    except ValueError as e:
        why = e.args[0] if e.args else ""
        result = Result(medium, "declined", "malformed", detail={"why": why})
    except OURS as e:
        if name and isinstance(e, MemoryError):
            code_decision.make_room()
        # Not noted as seen: the next reading is a try of its own.
        result = Result(medium, "retry", "out_of_service", detail={"why": ours(e)})
    except Exception as e:  # whatever it is, the next rider must be served
        why = type(e).__name__
        result = Result(medium, "declined", "malformed", detail={"why": why})
    phases.mark("read")
    if name and result.outcome == "declined":
        rules["seen"].note(name, clock, result)
    return result


def _is_text(code):
    for b in code:
        if b < 0x20 or b == 0x7F:
            return False
    return True
