"""A purse card, a PSAM and a validator's journal for the tests of purses: logic without keys.

MACs are hashes that both ends know; what DES makes of them is tested elsewhere.
"""

import gc
import sys
from hashlib import sha256

from emv_script import tlv
from fakes import FakeClock, run
from flash_sim import FlashSim
from riders_bench import TABLE, memory
from validator.media import purse, purse_rules, riders_restore, terminal
from validator.media import purse_torn as torn
from validator.media.phases import Phases
from validator.media.riders_open import some
from validator.nfc.reader import CardLost
from validator.store import purchase, purchase_read, record
from validator.store.journal import Journal

TERMINAL = bytes.fromhex("300089000340")
AID = bytes.fromhex("A000000632010105")
CITY_AID = bytes.fromhex("A00000000386980701")
UNIX = 1893456000  # 2030-01-01 08:00 in Beijing
WHEN = bytes.fromhex("20300101080000")

NAMES = {0xA4: "select", 0xB0: "binary", 0xB2: "record", 0x50: "init", 0xDC: "cache"}
NAMES.update({0x54: "debit", 0x5A: "prove", 0x5C: "balance"})


def word(*parts):
    return sha256(b"|".join(parts)).digest()[:4]


def fen(amount):
    return (amount & 0xFFFFFFFF).to_bytes(4, "big")


class Psam:
    """In the place of `validator.sam.psam.Psam`."""

    def __init__(self, terminal=TERMINAL, aids=(AID[:5],), slot=0):
        self.terminal = terminal
        self.aids = aids
        self.slot = slot
        self.fault = ""
        self.session = None
        self.serial = 0x0000FF00
        self.asked = []
        self.deaf = False  # answers MAC1, then no more
        self.index = 1
        self.binds = True
        self.codes = False
        self.checks = 0  # of MAC2

    async def open(self):
        self.fault = ""

    async def renew(self):
        return False

    async def mac1(self, data):
        self.asked.append(bytes(data))
        self.serial += 1
        self.session = self.serial.to_bytes(4, "big")
        self._mac2 = word(b"2", data[:6], self.session, data[6:10])
        told = data[6:11] + self.terminal + data[11:18]
        return self.session, word(b"1", data[:6], self.session, told)

    async def check(self, mac2):
        if self.session is None or self.deaf:
            return None
        self.session = None
        self.checks += 1
        return mac2 == self._mac2


class Card:
    """A purse that debits in one step. `cuts`: {name or (name, n-th): "before" or "after"}."""

    def __init__(self, balance=5000, number="0310482123456789012", **options):
        self.balance = balance
        self.counter = 0x042D
        self.overdraft = 0
        self.log = []
        self.trips = []
        self.records = [bytes.fromhex("27027D") + bytes(125)]
        self.aid = AID
        self.public = bytes.fromhex("0104210031000000" + "0201" + "0" + number + "20200101")
        self.public += bytes.fromhex("20401231" + "0000")
        self.administration = bytes.fromhex("00000156" + "3100" + "2900" + "0001" + "00")
        self.administration += bytes(49)
        self.fci_has_public = True
        self.log_readable = True
        self.log_lag = 0  # 1: entries count as after the debit
        self.proof_lag = 1
        self.proves = True
        self.lies = False  # MAC2 is not right
        self.zero = True  # makes purchases of 0
        self.statuses = {}  # name: status word in hex instead of an answer
        self.cuts = {}
        self.sent = []
        self.tacs = []  # of purchases of more than 0
        self.debits = 0
        self.paid = 0  # of them, more than 0
        for name in options:
            assert hasattr(self, name), name
            setattr(self, name, options[name])
        self.power_on()

    def power_on(self):
        self.counts = {}
        self.open = None
        self.random = bytes((self.counter & 0xFF, 0x5A, 0, 1))

    def fci(self):
        public = tlv("9F0C", self.public) if self.fci_has_public else b""
        return tlv("6F", tlv("84", self.aid), tlv("A5", tlv("9F08", "02"), public))

    async def transceive(self, command):
        name = NAMES.get(command[1], "?")
        self.sent.append(bytes(command))
        self.counts[name] = self.counts.get(name, 0) + 1
        cut = self.cuts.pop(name, None) or self.cuts.pop((name, self.counts[name]), None)
        if cut == "before":
            raise CardLost("timeout")
        if name in self.statuses:
            answer = bytes.fromhex(self.statuses[name])
        else:
            answer = getattr(self, "_" + name)(bytes(command))
            if answer is None:
                answer = b"\x69\x85"
            elif len(answer) != 3 or answer[:1] != b"!":
                answer += b"\x90\x00"
            else:
                answer = answer[1:]
        if cut == "after":
            raise CardLost("timeout")
        return answer

    def heads(self):
        """What was sent, as head bytes in hex."""
        return [command[:5].hex() for command in self.sent]

    def _binary(self, command):
        content = {0x95: self.public, 0x97: self.administration}.get(command[2])
        return b"!\x6a\x82" if content is None else content

    def _record(self, command):
        files = {0x18: self.log if self.log_readable else [], 0x1A: self.records}
        records = files.get(command[3] >> 3, ())
        if not 1 <= command[2] <= len(records):
            return b"!\x6a\x83"
        return records[command[2] - 1]

    def _balance(self, command):
        return fen(self.balance + self.overdraft)

    def _init(self, command):
        kind = 9 if command[2] == 3 else 6
        amount = int.from_bytes(command[6:10], "big")
        if not amount and not self.zero:
            return b"!\x94\x02"
        assert command[3:6] == b"\x02\x0b\x01" and command[16:] == b"\x0f"
        if amount > self.balance + self.overdraft:
            return b"!\x94\x01"
        self.open = [kind, amount, command[10:16], [], {}]
        return (
            fen(self.balance + self.overdraft)
            + self.counter.to_bytes(2, "big")
            + self.overdraft.to_bytes(3, "big")
            + b"\x01\x01"
            + self.random
        )

    def _cache(self, command):
        if not self.open or self.open[0] != 9 or len(command) != 5 + command[4]:
            return None
        if command[3] == 0xF0:
            assert command[2] == 0 and command[4] == 48
            self.open[3].append(command[5:])
        else:
            assert command[3] == 0xD0 and command[4] == 128
            for i in range(len(self.records)):
                if self.records[i][1] == command[2]:
                    self.open[4][i] = command[5:]
                    return b""
            return b"!\x6a\x83"
        return b""

    def _debit(self, command):
        if not self.open or command[2:5] != b"\x01\x00\x0f" or command[20:] != b"\x08":
            return None
        kind, amount, where, trips, records = self.open
        self.open = None
        serial = command[5:9]
        when = command[9:16]
        counter = self.counter.to_bytes(2, "big")
        seed = self.random + counter
        if command[16:20] != word(b"1", seed, serial, fen(amount) + bytes((kind,)) + where + when):
            return b"!\x93\x02"
        self.debits += 1
        self.paid += amount > 0
        self.balance -= amount
        number = (self.counter + self.log_lag) & 0xFFFF
        entry = number.to_bytes(2, "big") + self.overdraft.to_bytes(3, "big") + fen(amount)
        self.log.insert(0, entry + bytes((kind,)) + where + when)
        self.log = self.log[:10]
        self.trips += trips
        for i in records:
            self.records[i] = records[i]
        mac2 = word(b"2", seed, serial, fen(amount))
        if self.lies:
            mac2 = b"\xde\xad\xbe\xef"
        tac = word(b"t", seed, where, when)
        self.tacs += [tac] if amount else []
        self.last = (kind, (self.counter + self.proof_lag) & 0xFFFF, mac2, tac)
        self.counter = (self.counter + 1) & 0xFFFF
        return tac + mac2

    def _prove(self, command):
        if command[2] or command[4] != 2 or command[7:] != b"\x08" or not self.proves:
            return b"!\x94\x06"
        if not self.debits or (command[3], int.from_bytes(command[5:7], "big")) != self.last[:2]:
            return b"!\x94\x06"
        return self.last[2] + self.last[3]

    def elsewhere(self, amount=200, terminal="110000000001", when="20300101083000"):
        """A purchase at somebody else's validator."""
        entry = (self.counter + self.log_lag).to_bytes(2, "big") + bytes(3) + fen(amount)
        entry += b"\x06" + bytes.fromhex(terminal) + bytes.fromhex(when)
        self.log.insert(0, entry)
        self.log = self.log[:10]
        self.balance -= amount
        self.counter += 1
        self.debits += 1
        self.paid += 1
        self.last = (6, self.counter, b"else", b"wher")


SECTION = {
    "city": "2900",
    "institution": "1231290000000000",
    "operator": "0001",
    "line": "0052",
    "station": 3,
    "vehicle": "31000123",
    "acquirer": "12312900FFFFFFFF",
    "types": {"student": 100, "elderly": 0},
    "types_unproven": True,
    "window_s": 5,
}


_TABLE = []


def blank_table():
    """The same flash for one validator after another: a real MicroPython, where there is only ever
    one at a time, finds no such piece of memory a hundred times."""
    if sys.implementation.name != "micropython":
        return FlashSim(TABLE, 1024)
    if not _TABLE:
        _TABLE.append(FlashSim(TABLE, 1024))
    table = _TABLE[0]
    table.power_on()
    for at in range(table.size):
        table.data[at] = 0xFF
    return table


class Validator:
    """What a tap makes of a card, with its journal on flash; `reboot` forgets everything else."""

    def __init__(self, section=None, flash=None, **options):
        self.section = dict(SECTION)
        self.section.update(section or {})
        self.options = options
        self.clock = FakeClock(0)
        self.clock.unix_base = UNIX
        gc.collect()
        self.flash = flash or FlashSim(8)
        self.table = blank_table()
        self.psam = Psam()
        self.reboot()

    def reboot(self):
        self.journal = Journal(self.flash)
        self.journal.mount()
        self.journal.prepare()
        self.riders = memory(self.clock, self.table, self.journal)
        self.rules = purse_rules.load(self.section, riders=self.riders, **self.options)
        self.psam.session = None
        self.rules["psams"] = (self.psam,)
        self.cards = self.codes = None
        self.purse = self.rules
        run(riders_restore.restore(self.riders, self.journal, self, self.clock.sleep_ms))

    def write(self, result):
        """As a tap does before DEBIT: the number of the result's record."""
        debit = result.debit
        if debit is None or debit.state != torn.OPEN:
            return self.keep(result)
        token = self.rules["token"](result.token_source)
        seal = self.rules["seal"]
        body = purchase.pack(debit, token, result.masked[-4:], result.detail, True)
        name, key, sealed = b"", None, b""
        if seal:
            name, key, sealed = seal.brief(debit.public[:8] + debit.public[10:20], body)
        context = purchase.context(name, 1, 17, debit.terminal, purchase.names("bus", "52", ""))
        body += purchase.name(context) + sealed + purchase.about(debit, result.detail)
        return self.journal.append(body, key, context, True)

    def keep(self, result):
        """As a tap does when it is over."""
        debit = result.debit
        if (
            debit
            and debit.mine
            and self.journal.end(debit.of, purchase.pack_end(debit, self.phases))
        ):
            return debit.of
        source = result.token_source
        seq = self.journal.next_seq
        fields = {
            "seq": seq,
            "time": self.clock.unix(),
            "medium": result.medium,
            "outcome": result.outcome,
            "reason": result.reason,
            "fare": result.fare or 0,
            "token": self.rules["token"](source) if source else b"",
            "evidence": debit.evidence(self.rules["seal"]) if debit else None,
        }
        return self.journal.append(record.encode(fields))

    def purchase(self, card, amount=200, write=None):
        """The Result of one tap that nothing has been recorded of yet."""
        assert self.riders.ready(4)
        if len(self.flash.log) > 300 and not self.flash._cut:
            self.flash.log = []  # a real MicroPython has little memory
        card.power_on()
        seq = self.journal.next_seq
        made = terminal.make(self.clock.unix(), amount, seq, self.clock.trusted, None)
        made["purse"] = self.rules
        made["open"] = write or self.write
        self.phases = Phases(self.clock)
        return run(purse.run(card, self.phases, card.aid, card.fci(), made))

    def tap(self, card, amount=200):
        """One tap with its record; "lost" if the reader lost the card before anything counted."""
        try:
            result = self.purchase(card, amount)
        except CardLost:
            return "lost"
        self.keep(result)
        if result.settled:
            result.settled()
        return result

    def later(self, seconds=60):
        self.clock.advance_us(seconds * 1000000)

    def torn(self):
        """Numbers of the records of debits that are open."""
        found = some(self.riders, 0, 1000, 100000)[0]
        return [each[3] for each in found if each[1] == "torn"]

    def records(self):
        """Fields of every record."""
        contexts = purchase_read.Contexts()
        out = []
        for seq, body, _, ok, _ in self.journal.read(1, True):
            assert ok
            if seq:
                fields = record.decode(body, contexts.find)
                assert fields["seq"] in (0, seq)
                fields["seq"] = seq
                out.append(fields)
            else:
                contexts.add(body)
        return out
