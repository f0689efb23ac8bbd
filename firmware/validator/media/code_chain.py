"""The three signatures of a MoT ride code: root → issuer's certificate → issuer → rider.

They are checked in this order, on the bytes as they are, before anything is made of them: the
first that breaks is named "certificate", "issuer" or "user".
"""

from hashlib import sha256

from validator.crypto import sm2
from validator.crypto.curves import SM2
from validator.media.result import Refused

_ISSUERS = 3  # certificates that are remembered; some 2.3 KB each with its key's table


class Issuers:
    """Keys of certificates that were verified, by their hash; the one used last comes first."""

    def __init__(self):
        self._known = []  # [hash, key, times seen]

    def key(self, certificate, root, local):
        """The issuer's key in a certificate of 117 bytes. Refused if `root` did not sign it."""
        name = sha256(certificate).digest()
        if local:
            name += b"l"  # verified with other ids, it is another certificate
        for i, known in enumerate(self._known):
            if known[0] == name:
                if i:
                    self._known.insert(0, self._known.pop(i))
                known[2] += 1
                if known[2] > 2:  # nobody had the time for it in between
                    known[1].prepare()
                return known[1]
        user_id = certificate[1:6] if local else sm2.DEFAULT_ID
        if not sm2.verify(root, certificate[6:53], certificate[53:117], user_id):
            raise Refused("bad_signature", "certificate")
        key = _point(certificate[20:53], "issuer")
        self._known.insert(0, [name, key, 1])
        if len(self._known) > _ISSUERS:
            self._known.pop()
        return key

    def prepare(self):
        """Make the table of one issuer's key that has none. True if there was one."""
        for known in self._known:
            if known[1].table is None:
                known[1].prepare()
                return True
        return False


def verify(code, n, rules, month):
    """Check the signatures of a code with a custom field of `n` bytes.

    `month` is "YYMM" as text, or None if nobody knows. Raises Refused("bad_signature", which one)
    or ("expired", "root" or "certificate"). A key that is none makes its signature a bad one.
    """
    view = memoryview(code)
    root = rules["roots"][code[8]]
    pair = bytes(view[146:154]).hex()
    local = rules["local"]
    local = local.get(pair, local.get(pair[:8], False))
    issuer = rules["issuers"].key(view[3:120], root[0], local)
    if month:
        # The same two digits of the year as in the standard's comparison.
        if root[1] < month:
            raise Refused("expired", "root")
        if bytes(view[15:16]).hex() + bytes(view[14:15]).hex() < month:
            raise Refused("expired", "certificate")
    user_id = view[146:154] if local else sm2.DEFAULT_ID
    if not sm2.verify(issuer, view[3 : 198 + n], view[199 + n : 263 + n], user_id):
        raise Refused("bad_signature", "issuer")
    user = _point(view[158:191], "user")
    user_id = view[136:146] if local else sm2.DEFAULT_ID
    if not sm2.verify(user, view[: 267 + n], view[268 + n :], user_id):
        raise Refused("bad_signature", "user")


def _point(data, signature):
    """The key that `signature` was to be verified with."""
    try:
        return SM2.key(data)
    except ValueError:
        raise Refused("bad_signature", signature)
