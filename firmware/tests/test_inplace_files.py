"""The packed part of a slot as a file system."""

import struct
from binascii import crc32

from fakes import raises
from validator.inplace_files import Files

CONTENT = {
    "/validator/a.mpy": bytes(range(256)) * 40,
    "/validator/deep/b.mpy": b"b" * 5,
    "/validator/deep/empty.mpy": b"",
}
FOLDERS = ("/validator", "/validator/deep")
AT = 4096 * 3 + 512


class Slot:
    """A partition that reads as esp32.Partition does: any length, within one call."""

    def __init__(self):
        entries = []
        at = 16 * (len(CONTENT) + len(FOLDERS))
        body = b""
        for path in sorted(CONTENT):
            data = CONTENT[path]
            entries.append((crc32(path.encode()), at + len(body), len(data), 7))
            body += data
        for path in FOLDERS:
            entries.append((crc32(path.encode()), 0, 0, 0))
        head = b"".join(struct.pack("<IIII", *entry) for entry in sorted(entries))
        self.data = b"\xaa" * AT + head + body
        self.largest = 0

    def readblocks(self, block, buf, offset):
        assert 0 <= offset < 4096
        at = block * 4096 + offset
        assert at + len(buf) <= len(self.data)
        self.largest = max(self.largest, len(buf))
        buf[:] = self.data[at : at + len(buf)]


def files():
    return Files(Slot().readblocks, AT, len(CONTENT) + len(FOLDERS))


def read(file, size):
    found = b""
    buf = bytearray(size)
    while True:
        n = file.readinto(buf)
        if not n:
            return found
        found += bytes(buf[:n])


def test_every_file_is_read_in_pieces_of_any_size():
    for path in CONTENT:
        for size in (1, 7, 255, 4096, 20000):
            assert read(files().open(path, "rb"), size) == CONTENT[path]


def test_two_open_files_do_not_disturb_each_other():
    fs = files()
    one, other = fs.open("/validator/a.mpy", "rb"), fs.open("/validator/a.mpy", "r")
    buf = bytearray(300)
    assert one.readinto(buf) == 300
    assert read(other, 255) == CONTENT["/validator/a.mpy"]
    assert read(one, 255) == CONTENT["/validator/a.mpy"][300:]


def test_stat_knows_files_folders_and_neither():
    fs = files()
    assert fs.stat("/validator/a.mpy") == (0x8000, 0, 0, 0, 0, 0, 10240, 0, 0, 0)
    assert fs.stat("/validator/deep/empty.mpy")[0] == 0x8000
    assert fs.stat("/validator/deep")[0] == 0x4000
    for path in ("/validator/a.py", "/validator/a", "/", "", "/validator/deep/", "/x"):
        assert raises(OSError, fs.stat, path).args[0] == 2


def test_a_folder_is_not_opened_and_nothing_is_written():
    fs = files()
    raises(OSError, fs.open, "/validator/deep", "rb")
    raises(OSError, fs.open, "/validator/none.mpy", "rb")
    for mode in ("w", "wb", "a", "r+"):
        assert raises(OSError, fs.open, "/validator/a.mpy", mode).args[0] == 30


def test_what_import_asks_of_a_file():
    file = files().open("/validator/a.mpy", "rb")
    assert file.ioctl(11, 0) == 255  # the size of its buffer, which py/reader takes as it is
    assert file.ioctl(4, 0) == 0
    assert file.ioctl(2, 0) == -1


def test_no_files_at_all():
    fs = Files(Slot().readblocks, AT, 0)
    raises(OSError, fs.stat, "/validator")
