"""`python -m faretap.sim.codes.new_keys` prints data/codes_test_keys.json anew."""

from __future__ import annotations

import json

from . import reference

# name: curve, label. A stray key is what a forger would sign with: nobody knows its public half.
LABELS = {
    "root": ("sm2", "synthetic root 1179"),
    "root-old": ("sm2", "synthetic root 1179, expired"),
    "issuer": ("sm2", "synthetic issuer 1179"),
    "user": ("sm2", "synthetic user 1179"),
    "stray": ("sm2", "synthetic stray 1179"),
    "union-1": ("sm2", "synthetic union 0001"),
    "union-2": ("sm2", "synthetic union 0002"),
    "alipay-1": ("secp256k1", "synthetic alipay institution 1"),
    "alipay-2": ("sm2", "synthetic alipay institution 2"),
    "alipay-3": ("secp256k1", "synthetic alipay institution 3"),
    "alipay-stray": ("secp256k1", "synthetic alipay stray"),
    "alipay-user": ("secp192k1", "synthetic alipay user"),
    "alipay-user-stray": ("secp192k1", "synthetic alipay user stray"),
}


def generate() -> str:
    """The key file as JSON text, from the labels."""
    keys = {}
    for name, (curve_name, label) in LABELS.items():
        curve = reference.CURVES[curve_name]
        d = int.from_bytes(reference.sm3(label.encode()), "big") % (curve.n - 1) + 1
        keys[name] = {"curve": curve_name, "label": label, "d": f"{d:0{2 * curve.size}x}"}
    label = "TEST KEYS of the simulated codes. Public on purpose; protect nothing."
    return json.dumps({"label": label, "keys": keys}, indent=1) + "\n"


if __name__ == "__main__":
    print(generate(), end="")
