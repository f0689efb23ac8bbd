"""Which medium a scanned code is, and what its module makes of it.

First bytes decide; one line in `_MEDIA` adds a medium. A code that is nobody's is `unknown_code`,
and nothing of its content goes anywhere.
"""

from . import alipay_code, cpm, ride_code, union_code
from .result import Result


def _is_ride_code(code):
    return code[0] >= 0x80


_MEDIA = (
    (_is_ride_code, ride_code),
    (alipay_code.recognises, alipay_code),
    (union_code.recognises, union_code),
    (cpm.recognises, cpm),
)


def recognise(code):
    """The medium module that a code of one byte or more belongs to, or None."""
    for recognises, module in _MEDIA:
        if recognises(code):
            return module
    return None


def run(code, clock, phases):
    """Result for the bytes that a scan engine delivered. Never raises.

    Books what it takes under the phase "read". No medium is verified yet: a code that is in order
    is declined as "unverified", one that breaks its format's rules as "malformed" with the name of
    the field in `detail["why"]`, and anything else as "unsupported".
    """
    medium = "unknown_code"
    try:
        module = recognise(code) if code else None
        if module is not None:
            medium = module.MEDIUM
            result = module.run(code)
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
    except Exception as e:  # whatever it is, the next rider must be served
        why = type(e).__name__
        result = Result(medium, "declined", "malformed", detail={"why": why})
    phases.mark("read")
    return result


def _is_text(code):
    for b in code:
        if b < 0x20 or b == 0x7F:
            return False
    return True
