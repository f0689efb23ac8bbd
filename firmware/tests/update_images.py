"""Small signed images for tests of the update: five sectors' worth, one of them blank.

The signatures were made once with the `cryptography` package, by a key that exists for this only;
host_tools/tests/update checks them with it.
"""

from validator import update_image
from validator.update_image import BLOCK

BOARD = "ESP32_TEST"
SLOT = 5 * 4096
ID = "00112233445566aa"
KEY = (
    "f2d6ed3c4b5d1814787544f7525eb5f265440eaca130abb44b1767a23c5ca86b"
    "e9f4dfbc2c652c18f3ad7f606c7eaa196ae61209fafda4ecf56d0bef8b36b71d"
)

# board, version, least MicroPython, downgrade, sectors
WHAT = {
    "good": (BOARD, "0.2.0", "1.24", False, 4),
    "again": (BOARD, "0.1.0", "1.24", False, 4),
    "old": (BOARD, "0.0.9", "1.24", False, 4),
    "back": (BOARD, "0.0.9", "1.24", True, 4),
    "board": ("ESP32_OTHER", "0.2.0", "1.24", False, 4),
    "micropython": (BOARD, "0.2.0", "9.1", False, 4),
    "large": (BOARD, "0.2.0", "1.24", False, 5),
}

SIGNATURES = {
    "good": "7ed86556f645b82d77d828350f037196a35fd35e909a241876dde7526fdca861"
    "35a7739047e4faac014d00693f61f40059023c8d5e1aa46ae60650a267231c6e",
    "again": "5449849a268570ea2389886d186bf868125f75d81fbeee8594c468de3b1b620f"
    "9471ba19c5623b58a3f040fc3ad0c72b4495328c278bd83405351982b5d4f799",
    "old": "32b74c723dfdd5f96805964b5b62ca165186e93253dc7d2a008e36af075ce238"
    "17d34a7239f79649d78c773c97f43d70be727aa9e165f139e9edb5510d3db8db",
    "back": "c8fa155f10ae74048debdd4bedc42660dd8d5ec98803e2c9d9cda27d288dea16"
    "2658f64ff25ae3f1039e7dbf7bffefa88eb7e7ad74cb6b5f09fdda5e96551829",
    "board": "67f60bc67c8bba3cbcb6c7fafb6c73097975a0cacfe43a2faa2dfeacf6d81805"
    "069055d322f37827be09241ec2c98a0b81b83d8bc1fd7d36f3e91b6dc41f4576",
    "micropython": "38e5bd147855f997ef825e6dcc4dbb0616792ee43a77c91b6b6108424d195f46"
    "35ba554611bceb8dc03e15350cce4da92702d4e8c1682202ab25b4e98c1ec128",
    "large": "780da364ec006de6e47136e476f08b022c2e79b2d5be5bc34edac7280af1f5f9"
    "869f61a7266e6fd41251de1e88bcb2a952609696bbcf820aac0d257ca5cd80cd",
}


def image(sectors=4):
    """Two sectors of something, a blank one, more, and 1000 bytes of a last one."""
    data = bytearray(b"\xff" * (sectors * 4096 + 1000))
    for at in range(len(data)):
        if at >> 12 != 2:
            data[at] = (at * 11 + (at >> 8) * 3 + sectors) & 255
    return bytes(data)


def unsigned(name):
    board, version, micropython, downgrade, sectors = WHAT[name]
    return update_image.pack(board, version, ID, micropython, image(sectors), downgrade)


def stream(name, signature=None):
    """All bytes of a transfer: the head, padded, and the image. `signature` replaces the right
    one."""
    if signature is None:
        signature = bytes.fromhex(SIGNATURES[name])
    head = unsigned(name) + signature
    return head + bytes(-len(head) % BLOCK) + image(WHAT[name][4])
