"""A PSAM in software, with test keys: for a bench, never in service (`media/purse_rules.py`).

Purchase key of a card: the master key diversified by the issuer and then by the card's number, as
far as the form of 8070 names them. The SM4 session key and MAC are not published; here they have
the form of the diversification, and the padding of the MAC in blocks of 16.
"""

import os

from validator.crypto.des import DES, TripleDES, mac

_SM4 = 4
_TRIES = 15  # wrong MAC2 in a row, and it is locked


class SoftPsam:
    """`config`: terminal (6 bytes), key (16), sm4_key (16 or None), form, aids, serial or None."""

    slot = -1
    df = "soft"
    away_us = 0  # its time is the validator's own
    codes = False
    code = b""

    def __init__(self, config, tries):
        self.aids = config["aids"]
        self.terminal = config["terminal"]
        self.session = None
        self.index = config["key_index"]
        self.binds = config["form"] >= 28
        self.key = b"\0\0" + self.terminal[1:]
        self._tries = tries
        self._left = _TRIES
        self._config = config
        serial = config["serial"]
        if serial is None:
            serial = int.from_bytes(os.urandom(3), "big")
        self._serial = serial
        self._mac2 = b""

    @property
    def fault(self):
        return self._tries.fault(self.key)

    async def open(self):
        pass

    async def renew(self):
        """As `Psam.renew`: its number stands in the configuration."""
        return False

    async def mac1(self, data):
        """As `Psam.mac1`."""
        self.session = None
        if self.fault or not self._left:
            from validator.sam import PsamError

            raise PsamError(self.fault or "locked")
        form = self._config["form"]
        master = self._config["sm4_key"] if data[19] == _SM4 else self._config["key"]
        if master is None:
            from validator.sam import PsamError

            raise PsamError("no key for SM4")
        cipher = _sm4 if data[19] == _SM4 else TripleDES
        key = master
        if form >= 36:
            key = _diversify(cipher, key, data[28:36])
        if form >= 28:
            key = _diversify(cipher, key, data[20:28])
        self._serial = (self._serial + 1) & 0x3FFFFFFF
        serial = self._serial.to_bytes(4, "big")
        seed = data[:6] + serial[2:]
        session, size = _session(cipher, key, seed)
        amount = data[6:10]
        told = amount + data[10:11] + self.terminal + data[11:18]
        self._mac2 = mac(session, amount, size)[:4]
        self.session = serial
        return serial, mac(session, told, size)[:4]

    async def check(self, mac2):
        """As `Psam.check`."""
        if self.session is None or not self._left:
            return None
        self.session = None
        if mac2 == self._mac2:
            self._left = _TRIES
            self._tries.right(self.key)
            return True
        self._left -= 1
        self._tries.wrong(self.key, self._left)
        return False


def _session(cipher, key, seed):
    """Cipher of a session and its block size; `seed` is random 4, counter 2, serial 2."""
    if cipher is TripleDES:
        return DES(TripleDES(key).encrypt(seed)), 8
    return cipher(_diversify(cipher, key, seed)), 16


def _diversify(cipher, key, data):
    """16 bytes: E(data) and E(NOT data), in one block or two."""
    data = bytes(data)
    other = bytes([b ^ 0xFF for b in data])
    cipher = cipher(key)
    if isinstance(cipher, TripleDES):
        return cipher.encrypt(data) + cipher.encrypt(other)
    return cipher.encrypt(data + other)


def _sm4(key):
    from validator.crypto.sm4 import SM4

    return SM4(key)
