"""Files that a command is given, read with a bound.

    text = read_text(path, SETTINGS, ConfigError)
    raw = read_toml(path, ConfigError)
    key = read_secret(path, PEM, KeyFileError)

A file is a regular file (a device, a folder or a pipe has no end, or no content), no longer than
its kind may be, text in UTF-8 with or without a byte order mark, and not nested deeper than a
person writes. Whatever is wrong with one is a sentence of the caller's error class; none of them
shows what is in the file.
"""

from __future__ import annotations

import csv
import io
import os
import re
import stat
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from faretap import bounded
from faretap.errors import FaretapError

_KB = 1024
_MB = 1024 * _KB

# The most bytes that a file of a kind may have.
SETTINGS = _MB
"""A TOML file: configuration, rack, scenario. What it becomes must fit 32 KB of flash."""
BUNDLE = _MB
PEM = 64 * _KB
SECRET = 4 * _KB
CODE = 64 * _KB
TABLE = 16 * _MB
"""A CSV file: a fleet, CA keys."""
TOKENS = 64 * _MB
LIST = 16 * _MB
IMAGE = 16 * _MB
FLASH = 64 * _MB
"""A flash chip's content, or an image of MicroPython."""
TRACE = 16 * _MB
RESULTS = 32 * _MB
STATE = _MB
"""What the tools themselves keep between two commands."""
LOG = 64 * _MB
RECORD_LINE = 64 * _KB

_DEEPEST = 32  # levels of arrays, tables, keys with dots; the deepest of ours has 6

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)

_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_BOM = b"\xef\xbb\xbf"


class FileError(FaretapError):
    """A file cannot be read or written."""


def open_regular(path: Path, error: type[FaretapError] = FileError) -> BinaryIO:
    """The file, open for reading; `error` if there is none, or it is no regular file."""
    flags = os.O_RDONLY
    for name in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"):
        flags |= getattr(os, name, 0)  # without O_NONBLOCK a pipe waits for its writer
    try:
        number = os.open(path, flags)
    except OSError as e:
        raise error(f"{path} cannot be read: {e.strerror or e}.") from e
    except ValueError as e:  # a NUL in its name
        raise error(f"{str(path)!r} is no name of a file.") from e
    facts = os.fstat(number)
    if not stat.S_ISREG(facts.st_mode):
        os.close(number)
        what = next((name for of, name in _KINDS if of(facts.st_mode)), "no file")
        raise error(f"{path} cannot be read: it is {what}.", "Give a regular file.")
    if not facts.st_size and hasattr(os, "pread"):
        try:
            os.pread(number, 1, 0)  # of the kernel's own files some have nothing yet
        except OSError as e:
            os.close(number)
            raise error(f"{path} cannot be read: {e.strerror or e}.") from e
    return os.fdopen(number, "rb")


def read_bytes(path: Path, most: int, error: type[FaretapError] = FileError) -> bytes:
    """All of the file; `error` if that is more than `most` bytes."""
    with open_regular(path, error) as file:
        return _all(file, path, most, error)


def _all(file: BinaryIO, path: Path, most: int, error: type[FaretapError]) -> bytes:
    try:
        large = os.fstat(file.fileno()).st_size > most
        data = b"" if large else file.read(most + 1) or b""
    except OSError as e:
        raise error(f"{path} cannot be read: {e.strerror or e}.") from e
    if large or len(data) > most:
        raise error(
            f"{path} is larger than {_size(most)}, the most that such a file may have.",
            "Is it the right file?",
        )
    return data


def _size(count: int) -> str:
    return f"{count // _MB} MB" if count >= _MB else f"{count // _KB} KB"


def read_text(path: Path, most: int, error: type[FaretapError] = FileError) -> str:
    """The file's text, without a byte order mark, its line ends as they are."""
    return as_text(read_bytes(path, most, error), path, error)


def as_text(data: bytes, name: Path | str, error: type[FaretapError] = FileError) -> str:
    if data.startswith(_UTF16):
        raise error(f"{name} is not UTF-8, but UTF-16, or no text.", "Save it as UTF-8.")
    try:
        text = data.removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError as e:
        raise error(f"{name} is not UTF-8.", "Save it as UTF-8, or give another file.") from e
    if "\0" in text:
        raise error(f"{name} is not text: it has a NUL in it.", "Is it the right file?")
    return text


def read_secret(
    path: Path,
    most: int,
    error: type[FaretapError],
    is_one: Callable[[bytes], bool],
) -> bytes:
    """A file that only its owner may read, else `error`: as ssh has it, of a file that belongs to
    the user who runs this. Somebody else's, which that user was given access to, is their matter.

    Of content that `is_one` says is no secret of this kind the mode does not matter: it is
    returned, and the caller says what is wrong with it.
    """
    with open_regular(path, error) as file:
        data = _all(file, path, most, error)
        if is_one(data) and _readable_by_others(file):
            raise error(
                f"{path} holds a secret, and others may read it.",
                f"`chmod 600 {path}` takes that from them.",
            )
        return data


def open_to_others(path: Path) -> bool:
    """Whether others may read the file, which belongs to the user who runs this."""
    try:
        with open_regular(path) as file:
            return _readable_by_others(file)
    except FaretapError:
        return False


def _readable_by_others(file: BinaryIO) -> bool:
    if os.name == "nt":
        return False  # its modes say nothing
    facts = os.fstat(file.fileno())
    return facts.st_uid == os.geteuid() and bool(facts.st_mode & 0o077)


def read_passphrase(path: Path, error: type[FaretapError] = FileError) -> str:
    """The first line of a secret file; there must be no other."""
    data = read_secret(path, SECRET, error, lambda data: bool(data.strip()) and b"\0" not in data)
    text = as_text(data, path, error).rstrip("\r\n")
    if not text:
        raise error(f"{path} holds no passphrase.", "Write it there, on one line.")
    if "\n" in text or "\r" in text:
        raise error(f"{path} has more than one line.", "A passphrase is the only one.")
    return text


def read_toml(path: Path, error: type[FaretapError] = FileError) -> dict[str, Any]:
    return parse_toml(read_text(path, SETTINGS, error), path, error)


# What says how deep TOML goes; what stands in strings and comments does not.
# A string without an end goes to the end of the line or of the file: so each byte is seen once.
_TOML = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+(?:"""|\\?\Z)'
    r"|'''(?:[^']|'(?!''))*+(?:'''|\Z)"
    r'|"(?:[^"\\\n]|\\[^\n])*+"?'
    r"|'[^'\n]*+'?"
    r"|#[^\n]*+"
    r"|[\[\]{}.,=\n]",
    re.DOTALL,
)


def parse_toml(
    text: str, name: Path | str, error: type[FaretapError] = FileError
) -> dict[str, Any]:
    # The parser calls itself for each level, and takes the square of the time for keys with dots.
    depth = dots = 0
    for found in _TOML.finditer(text):
        mark = found[0]
        if mark == ".":
            dots += 1
        elif mark in ("[", "{"):
            depth += 1
        elif mark in ("]", "}"):
            depth -= 1
        if mark in ("=", ",", "\n"):
            dots = 0
        if depth > _DEEPEST or dots > _DEEPEST:
            raise _deep(name, error)
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise error(f"{name} is not TOML: {e}.") from e
    except (ValueError, RecursionError, OverflowError) as e:
        # A number of too many digits, a day that is none.
        raise error(f"{name} is not TOML that can be read here.", "Look at its numbers.") from e
    _check_depth(raw, name, error)
    return raw


def read_json(path: Path, most: int, error: type[FaretapError] = FileError) -> Any:
    return parse_json(read_text(path, most, error), path, error)


def parse_json(text: str, name: Path | str, error: type[FaretapError] = FileError) -> Any:
    try:
        return bounded.loads(text, size=len(text) * 4, depth=_DEEPEST)
    except bounded.Unbounded as e:
        raise error(f"{name} is not JSON that can be read here: {e}.") from e
    except ValueError as e:
        raise error(f"{name} is not JSON: {e}.") from e


def _check_depth(value: Any, name: Path | str, error: type[FaretapError]) -> None:
    level = [value]
    for _ in range(_DEEPEST):
        below: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                below += [v for v in each.values() if isinstance(v, (dict, list))]
            elif isinstance(each, list):
                below += [v for v in each if isinstance(v, (dict, list))]
        if not below:
            return
        level = below
    raise _deep(name, error)


def _deep(name: Path | str, error: type[FaretapError]) -> FaretapError:
    return error(f"{name} is nested more than {_DEEPEST} levels deep.", "Is it the right file?")


def read_csv(
    path: Path, most: int, error: type[FaretapError] = FileError
) -> Iterator[tuple[int, list[str]]]:
    """(the line that it ends on, cells) of each row."""
    rows = csv.reader(io.StringIO(read_text(path, most, error), newline=""))
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as e:
            raise error(f"{path} is not CSV: {e}, line {rows.line_num}.") from e
        yield rows.line_num, row
