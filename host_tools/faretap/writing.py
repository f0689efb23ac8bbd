"""Files that a command makes: whole, or not at all.

    write_bytes(path, data, ConfigError)
    write_bytes(path, bundle, ConfigError, secret=True)     # 0600 from its first byte
    create_files([(key, pem, True), (public, text, False)], KeyFileError)
    with replacing(path, FileError) as out:
        out.write(piece)

What is written stands under a temporary name in the same folder until all of it is on the disk,
and takes its name by a rename: a full disk, Ctrl-C or a power cut leave the old file, or none.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from faretap.errors import FaretapError
from faretap.reading import FileError

_PRIVATE = 0o600
_COMMON = 0o666  # less what the user's umask takes
_TRIES = 100
_LOCK_S = 20.0  # those who hold one write a small file
_AGAIN_S = 0.02

_NEXT_STEPS = {
    errno.ENOSPC: "Make room there, or choose another place.",
    errno.EDQUOT: "Make room there, or choose another place.",
    errno.EFBIG: "Files may not be that large here; choose another place.",
    errno.EROFS: "Choose a place that can be written to.",
    errno.EACCES: "Choose a place where you may write.",
    errno.EPERM: "Choose a place where you may write.",
    errno.ENOENT: "Make its folder first, or choose another place.",
    errno.ENOTDIR: "Choose another place.",
    errno.EISDIR: "Name a file in it.",
}
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)  # a FAT stick has none


def _cannot(path: Path, e: OSError, error: type[FaretapError]) -> FaretapError:
    return error(
        f"{path} cannot be written: {e.strerror or e}.", _NEXT_STEPS.get(e.errno or 0, "")
    )


class Out:
    """What `replacing` gives: a file whose troubles are sentences."""

    def __init__(self, number: int, path: Path, error: type[FaretapError]) -> None:
        self._file = os.fdopen(number, "wb")
        self._path = path
        self._error = error

    def write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as e:
            raise _cannot(self._path, e, self._error) from e

    def _end(self, durable: bool) -> None:
        if self._file.closed:
            return
        try:
            self._file.flush()
            if durable and stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
                os.fsync(self._file.fileno())
            self._file.close()
        except OSError as e:
            raise _cannot(self._path, e, self._error) from e

    def _drop(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()


@contextlib.contextmanager
def replacing(
    path: Path,
    error: type[FaretapError] = FileError,
    *,
    secret: bool = False,
    durable: bool = True,
) -> Iterator[Out]:
    """A file to write that takes the name `path` when the block ends well, else is gone.

    An existing file's mode is kept, unless it is a secret. `durable`: it is on the disk when the
    block has ended. A device or a pipe is written into: it has no half.
    """
    old = _existing(path, error)
    if old is not None and (not stat.S_ISREG(old.st_mode) or _is_open_file(path)):
        # Without O_NONBLOCK a pipe that nobody reads would not open; its reader may be slow.
        flags = os.O_WRONLY | os.O_APPEND
        flags |= getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
        try:
            number = os.open(path, flags)
            os.set_blocking(number, True)
        except OSError as e:
            raise _cannot(path, e, error) from e
        out = Out(number, path, error)
        try:
            yield out
            out._end(durable)
        finally:
            out._drop()
        return
    # Through a link: what it leads to is replaced, not the link.
    real = Path(os.path.realpath(path))
    try:
        number, fresh = _fresh(real, _PRIVATE if secret else _COMMON)
    except OSError as e:
        raise _cannot(path, e, error) from e
    out = Out(number, path, error)
    try:
        if old is not None and not secret:
            with contextlib.suppress(OSError):
                fresh.chmod(stat.S_IMODE(old.st_mode))
        yield out
        out._end(durable)
        try:
            fresh.replace(real)
        except OSError as e:
            raise _cannot(path, e, error) from e
    except BaseException:
        out._drop()
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise
    if durable:
        _sync_folder(real.parent)


def _existing(path: Path, error: type[FaretapError]) -> os.stat_result | None:
    try:
        facts = path.stat()
    except FileNotFoundError:
        return None
    except OSError as e:
        raise _cannot(path, e, error) from e
    except ValueError as e:
        raise error(f"{str(path)!r} is no name of a file.") from e
    if stat.S_ISDIR(facts.st_mode):
        raise error(f"{path} cannot be written: it is a folder.", "Name a file in it.")
    return facts


def _is_open_file(path: Path) -> bool:
    """Whether it is a name of a file that a process has open, as /dev/stdout: whoever opened that
    waits for what is written into it, not for another file of its name."""
    return (
        re.fullmatch(r"/dev|/proc/\d+(/task/\d+)?/fd", os.path.realpath(path.parent)) is not None
    )


def _fresh(real: Path, mode: int) -> tuple[int, Path]:
    """A new file beside `real`, open: its number and its name."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    flags |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    flags |= getattr(os, "O_NOFOLLOW", 0)
    for _ in range(_TRIES):
        # A short name of its own: `real`'s may be as long as a name can be.
        name = real.parent / f".faretap-{os.urandom(6).hex()}.part"
        with contextlib.suppress(FileExistsError):
            return os.open(name, flags, mode), name
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(real))


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def write_bytes(
    path: Path,
    data: bytes,
    error: type[FaretapError] = FileError,
    *,
    secret: bool = False,
    durable: bool = True,
) -> None:
    """`data` in the file `path`, in place of what was there."""
    with replacing(path, error, secret=secret, durable=durable) as out:
        out.write(data)


def write_text(
    path: Path,
    text: str,
    error: type[FaretapError] = FileError,
    *,
    secret: bool = False,
    durable: bool = True,
) -> None:
    """UTF-8; half a surrogate, from a name that is none, is escaped as in JSON."""
    data = text.encode("utf-8", "backslashreplace")
    write_bytes(path, data, error, secret=secret, durable=durable)


def write_all(
    files: Sequence[tuple[Path, bytes]],
    error: type[FaretapError] = FileError,
    *,
    secret: bool = False,
) -> None:
    """All of these files; none takes its name before the last is on the disk."""
    with contextlib.ExitStack() as stack:
        for path, data in files:
            out = stack.enter_context(replacing(path, error, secret=secret))
            out.write(data)
            out._end(durable=True)


def create_files(
    files: Sequence[tuple[Path, bytes, bool]], error: type[FaretapError] = FileError
) -> None:
    """New files, (path, content, secret), all of them or none; `error` if one exists already."""
    for path, _, _ in files:
        if os.path.lexists(path):
            raise error(f"{path} exists already.", "Choose another name.")
    made: list[Path] = []
    try:
        for path, data, secret in files:
            _create(path, data, _PRIVATE if secret else _COMMON, error)
            made.append(path)
    except BaseException:
        for path in made:
            with contextlib.suppress(OSError):
                path.unlink()
        raise


def _create(path: Path, data: bytes, mode: int, error: type[FaretapError]) -> None:
    try:
        number, fresh = _fresh(path, mode)
    except OSError as e:
        raise _cannot(path, e, error) from e
    out = Out(number, path, error)
    try:
        out.write(data)
        out._end(durable=True)
        try:
            os.link(fresh, path)  # a rename would go over a file that came meanwhile
        except FileExistsError as e:
            raise error(f"{path} exists already.", "Choose another name.") from e
        except OSError as e:
            if e.errno not in _NO_LINKS:
                raise _cannot(path, e, error) from e
            if os.path.lexists(path):
                raise error(f"{path} exists already.", "Choose another name.") from e
            fresh.rename(path)
    finally:
        out._drop()
        with contextlib.suppress(OSError):
            fresh.unlink()
    _sync_folder(path.parent)


def make_folder(path: Path, error: type[FaretapError] = FileError) -> None:
    """The folder and those above it, if they are not there."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as e:
        raise error(f"{path} is a file, not a folder.", "Choose another place.") from e
    except OSError as e:
        raise error(
            f"The folder {path} cannot be made: {e.strerror or e}.",
            _NEXT_STEPS.get(e.errno or 0, ""),
        ) from e
    except ValueError as e:
        raise error(f"{str(path)!r} is no name of a folder.") from e


def append_line(path: Path, line: str, error: type[FaretapError] = FileError) -> None:
    """A line at the end of a log; the lines before it stay as they are."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    for name in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"):
        flags |= getattr(os, name, 0)
    try:
        number = os.open(path, flags, _COMMON)
        try:
            os.write(number, (line + "\n").encode("utf-8", "backslashreplace"))
        finally:
            os.close(number)
    except OSError as e:
        raise _cannot(path, e, error) from e
    except ValueError as e:
        raise error(f"{str(path)!r} is no name of a file.") from e


def check_place(path: Path, error: type[FaretapError] = FileError) -> None:
    """`error` if a file `path` cannot be made now; nothing is left of the trial. For commands
    whose result cannot be had again."""
    if _existing(path, error) is None or path.is_file():
        real = Path(os.path.realpath(path))
        try:
            number, fresh = _fresh(real, _PRIVATE)
        except OSError as e:
            raise _cannot(path, e, error) from e
        os.close(number)
        fresh.unlink()


@contextlib.contextmanager
def locked(path: Path, error: type[FaretapError] = FileError) -> Iterator[None]:
    """The only one with this lock file, until the block ends; another one waits for it, but not
    without end."""
    import fcntl

    try:
        number = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), _COMMON)
    except OSError as e:
        raise _cannot(path, e, error) from e
    try:
        deadline = time.monotonic() + _LOCK_S
        while True:
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as e:
                if time.monotonic() >= deadline:
                    raise error(
                        f"Another process holds {path} for {_LOCK_S:g} s.",
                        "Wait until it is done, or end it, and try again.",
                    ) from e
            time.sleep(_AGAIN_S)
        yield
    finally:
        os.close(number)


class Appending:
    """A file that is only added to, by one process at a time; `error` if another one does so now.

        with Appending(path, error) as out:
            out.cut(end)            # what a crash left behind the last whole line
            out.write(line)

    A write that fails or is interrupted leaves nothing of itself.
    """

    def __init__(self, path: Path, error: type[FaretapError] = FileError) -> None:
        self._path = path
        self._error = error
        self.at = 0
        """Where the next write goes."""

    def __enter__(self) -> Appending:
        path, error = self._path, self._error
        flags = os.O_RDWR | os.O_CREAT
        for name in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"):
            flags |= getattr(os, name, 0)
        self._made = _existing(path, error) is None
        try:
            self._number = os.open(path, flags, _COMMON)
        except OSError as e:
            raise _cannot(path, e, error) from e
        facts = os.fstat(self._number)
        if not stat.S_ISREG(facts.st_mode):
            os.close(self._number)
            raise error(f"{path} cannot be written: it is no file.", "Give a regular file.")
        try:
            _lock(self._number)
            # Whoever had it until now may have taken it away: what is written would be nowhere.
            if not os.path.samestat(os.fstat(self._number), path.stat()):
                raise FileNotFoundError
        except OSError as e:
            os.close(self._number)
            raise error(
                f"Another process writes to {path} now.", "Wait until it is done, and try again."
            ) from e
        facts = os.fstat(self._number)
        self.at = facts.st_size
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.sync()
            if self._made and not self.at:
                self._path.unlink()  # nothing came
        finally:
            os.close(self._number)

    def cut(self, end: int, *, ended: bool = True) -> None:
        """Drop what is behind `end`, and end the last line if it is not `ended`."""
        try:
            if end < self.at:
                os.ftruncate(self._number, end)
        except OSError as e:
            raise _cannot(self._path, e, self._error) from e
        self.at = end
        if not ended:
            self.write(b"\n")

    def write(self, data: bytes) -> None:
        done = 0
        try:
            os.lseek(self._number, self.at, os.SEEK_SET)
            while done < len(data):
                done += os.write(self._number, data[done:])
        except OSError as e:
            self._take_back()
            raise _cannot(self._path, e, self._error) from e
        except BaseException:
            self._take_back()
            raise
        self.at += len(data)

    def _take_back(self) -> None:
        with contextlib.suppress(OSError):
            os.ftruncate(self._number, self.at)

    def sync(self) -> None:
        try:
            os.fsync(self._number)
        except OSError as e:
            raise _cannot(self._path, e, self._error) from e


def _lock(number: int) -> None:
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(number, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        import fcntl

        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
