"""The evidence of an accepted code: its bytes, for nobody but the acquirer."""

# The firmware carries no annotations.
# mypy: disallow-untyped-calls=False

from __future__ import annotations

import os

import pytest

from faretap.records.evidence import unseal
from faretap.replay import Aes
from faretap.sim.cards.scheme import acquirer
from faretap.sim.codes import make
from validator.media.evidence import Seal
from validator.store import record

from .device import NOW, Clock, fresh, show

KEY = acquirer()


@pytest.mark.parametrize(
    "name", ["mot", "mot-custom", "union", "alipay", "alipay-prefixed", "cpm"]
)
def test_the_acquirer_gets_the_code_back(name: str) -> None:
    public = KEY.public_key().public_numbers()
    seal = Seal(public.n.to_bytes(256, "big"), public.e, os.urandom, Aes)
    code = make(name, at=NOW)
    result = show(code, Clock(), fresh(seal=seal))
    assert unseal(result.evidence, KEY) == code
    assert code[:40] not in result.evidence
    fields = {"seq": 1, "time": NOW, "evidence": result.evidence, "code": result.code}
    for what in ("medium", "outcome", "reason"):
        fields[what] = getattr(result, what)
    assert record.decode(record.encode(fields))["code"] == result.code
