"""Every simulated code: its name, one line about it, and what a validator must make of it.

The outcomes are those of a validator that runs `configuration()`, has its clock set to the moment
that the code is made for, has not seen the code before, and asks for 2.00 yuan. Tests, `faretap
code list` and `faretap scan --list` read this table. A name is a kind, or a kind and a defect:
"mot", "mot-wrong-root".
"""

from __future__ import annotations

from typing import Any

from . import alipay, alipay_defects, cpm_defects, mot, mot_defects, twins, union_defects
from .keys import key
from .kind import AMOUNT, CODES, Code
from .mot_defects import LOCAL

SKEW = 60

mot_defects.add_all()
union_defects.add_all()
alipay_defects.add_all()
cpm_defects.add_all()
cpm_defects.add_others()
twins.add_all()


def configuration(**changes: Any) -> dict[str, Any]:
    """What a validator must be told to take the codes of this table, as JSON: its "codes" section.

    `changes` replace whole members.
    """
    issuer = "99990000"
    config: dict[str, Any] = {
        "roots": [
            mot.root_file().hex(),
            mot.root_file("root-old", 0x7D, expiry="2012").hex(),
        ],
        "id_rules": [{"issuer": issuer, "platform": LOCAL, "ids": "local"}],
        "accepted": [{"issuer": issuer, "platform": p} for p in ("99990001", LOCAL)],
        "union_keys": [
            {"index": "0001", "key": key("union-1").compressed.hex()},
            {"index": "0002", "key": key("union-2").compressed.hex()},
        ],
        "alipay_keys": [
            {"id": i, "algorithm": key(name).curve_name, "key": key(name).compressed.hex()}
            for i, name in alipay.KEYS.items()
        ],
        "skew_s": SKEW,
        "cpm": {"first_ride_risk": True, "cap": 300},
    }
    return {**config, **changes}


__all__ = ["AMOUNT", "CODES", "Code", "configuration"]
