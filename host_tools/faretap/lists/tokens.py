"""Tokens from files, and the token of a card.

Numbers are read, hashed and forgotten: no error names one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path

from faretap.lists.errors import ListFileError
from faretap.reading import SECRET, TOKENS, read_csv, read_secret, read_text

SCOPES = {"card": 1, "account": 2}
_KEY_SIZE = 16


def read_tokens(path: Path) -> list[bytes]:
    """8 bytes a token, from a text file with one of 16 hex digits a line (# begins a comment), or
    from the column `token` of a CSV file with a head line."""
    if path.suffix.lower() == ".csv":
        rows = read_csv(path, TOKENS, ListFileError)
        names = [name.strip().lower() for name in next(rows, (0, []))[1]]
        if "token" not in names:
            raise ListFileError(f"{path} has no column `token`.", "Name it in the first line.")
        at = names.index("token")
        cells = [(number, row[at] if at < len(row) else "") for number, row in rows]
    else:
        lines = read_text(path, TOKENS, ListFileError).splitlines()
        cells = [(number, line.partition("#")[0]) for number, line in enumerate(lines, 1)]
    tokens = []
    for number, cell in cells:
        digits = cell.strip()
        if not digits:
            continue
        try:
            tokens.append(parse_token(digits))
        except ListFileError as e:
            raise ListFileError(f"{path}, line {number}: {e.cause}", e.next_step) from None
    return tokens


def parse_token(digits: str) -> bytes:
    """8 bytes of 16 hex digits."""
    try:
        token = bytes.fromhex(digits)
    except ValueError:
        token = b""
    if len(token) != 8 or len(digits) != 16:
        # What stands there instead may be a card number: it is not shown.
        raise ListFileError("This is no token.", "16 hex digits are expected.")
    return token


def read_key(path: Path) -> bytes:
    """The fleet's token key: 32 hex digits in a text file, or 16 bytes."""
    data = read_secret(path, SECRET, ListFileError, lambda data: bool(_key(data)))
    key = _key(data)
    if not key:
        raise ListFileError(f"{path} holds no token key.", "32 hex digits are expected.")
    return key


def _key(data: bytes) -> bytes:
    """Of what a file holds; empty, if that is no key."""
    if len(data) == _KEY_SIZE:
        return data
    try:
        key = bytes.fromhex(data.decode("ascii").strip())
    except ValueError:
        return b""
    return key if len(key) == _KEY_SIZE else b""


def token_of(key: bytes, number: str, scope: str = "card") -> bytes:
    """The token of a card number or PAR (scope card), or of an account of a code issuer.

    A purse's token is made of what is in its key: the third digit of a T-Union number (19 digits,
    31…) is not, and a City Union number is 16 hex digits, letters among them or behind 310.
    """
    source = number.replace(" ", "").replace("-", "") if scope == "card" else number.strip()
    if scope == "card":
        if len(source) == 19 and source.startswith("31"):
            source = "310" + source[3:].lower()
        elif re.fullmatch(r"[0-9A-Fa-f]{16}", source) and not source.isdigit():
            source = "310" + source.lower()
        if re.fullmatch(r"310[0-9a-f]{16}", source):
            return _token(key, scope, source)
    if not source or not source.isascii() or not source.isprintable():
        raise ListFileError("That is neither a card number nor an account.")
    if scope == "card" and not (source.isdigit() and 8 <= len(source) <= 19) and len(source) != 29:
        raise ListFileError(
            "That is neither a card number (8 to 19 digits) nor a PAR (29 characters)."
        )
    return _token(key, scope, source)


def _token(key: bytes, scope: str, source: str) -> bytes:
    message = bytes((SCOPES[scope],)) + source.encode()
    return hmac.new(key, message, hashlib.sha256).digest()[:8]


def key_check(key: bytes) -> bytes:
    """4 bytes that tell a token key from others, as a validator's `config.info` shows them."""
    return hashlib.sha256(key).digest()[:4]
