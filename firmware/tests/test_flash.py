"""The adapter to an ESP32 partition, and the simulated flash that other tests rely on."""

from fakes import raises
from flash_sim import FlashSim, PowerCut
from validator.store.flash import PartitionFlash
from validator.store.journal import Journal


class FakePartition:
    """esp32.Partition's block device, with its habits: the short form of writeblocks erases."""

    def __init__(self, sectors):
        self.nor = FlashSim(sectors)

    def ioctl(self, op, arg):
        if op == 4:
            return self.nor.size // 4096
        if op == 5:
            return 4096
        if op == 6:
            self.nor.erase(arg * 4096)
            return 0
        raise AssertionError(op)

    def readblocks(self, block, buf, offset=0):
        self.nor.read(block * 4096 + offset, buf)

    def writeblocks(self, block, buf, offset=None):
        if offset is None:
            self.nor.erase(block * 4096)
            offset = 0
        self.nor.program(block * 4096 + offset, buf)


def test_size():
    flash = PartitionFlash(FakePartition(5))
    assert (flash.size, flash.sector) == (5 * 4096, 4096)


def test_program_does_not_erase():
    partition = FakePartition(3)
    flash = PartitionFlash(partition)
    flash.program(4096, b"at the start of a sector")
    flash.program(8190, b"across")
    assert partition.nor.erases == [0, 0, 0]
    buf = bytearray(4)
    flash.read(8191, buf)
    assert buf == b"cros"


def test_erase():
    partition = FakePartition(3)
    flash = PartitionFlash(partition)
    flash.program(4096 + 100, b"gone")
    flash.erase(4096)
    assert partition.nor.erases == [0, 1, 0]
    assert partition.nor.data == b"\xff" * (3 * 4096)
    raises(ValueError, flash.erase, 4097)


def test_refused_erase():
    class Refuses(FakePartition):
        def ioctl(self, op, arg):
            return -22 if op == 6 else FakePartition.ioctl(self, op, arg)

    assert raises(OSError, PartitionFlash(Refuses(3)).erase, 0).args[0] == 22


def test_journal_on_a_partition():
    partition = FakePartition(4)
    journal = Journal(PartitionFlash(partition))
    journal.mount()
    journal.prepare()
    assert journal.append(b"record") == 1
    again = Journal(PartitionFlash(partition))
    again.mount()
    assert [e[1] for e in again.read()] == [b"record"]


def test_simulated_bits_only_fall():
    flash = FlashSim(1)
    flash.program(0, b"\xf0\x0f")
    flash.program(0, b"\x30\x0f")
    raises(AssertionError, flash.program, 0, b"\x31")
    assert flash.data[:3] == b"\x30\x0f\xff"
    flash.erase(0)
    assert flash.data[:3] == b"\xff\xff\xff"


def test_simulated_power_cuts():
    for how, want in (
        ("undone", b"\xff\xff\xff\xff"),
        ("half", b"\x00\x00\xff\xff"),
        ("done", b"\x00\x00\x00\x00"),
    ):
        flash = FlashSim(1)
        flash.cut_at(1, how)
        flash.program(10, b"\x0f")
        raises(PowerCut, flash.program, 0, bytes(4))
        assert flash.data[:4] == want
        raises(PowerCut, flash.program, 4, bytes(4))  # no power, no operation
        assert flash.data[4] == 0xFF
        flash.power_on()
        flash.program(4, bytes(4))
    flash = FlashSim(1)
    flash.program(0, bytes(64))
    flash.cut_at(0, "bits")
    raises(PowerCut, flash.erase, 0)
    left = bytes(flash.data[:64])
    assert left != bytes(64) and left != b"\xff" * 64
