"""Scripted cards for the tests of media: applications as dicts of command to answer."""

from validator.nfc.reader import CardLost

PDOL = "9F38189F66049F02069F03069F1A0295055F2A029A039C019F3704"


def tlv(tag, *values):
    body = b"".join([bytes.fromhex(v) if isinstance(v, str) else v for v in values])
    n = len(body)
    length = bytes((n,)) if n < 128 else bytes((0x81, n))
    return bytes.fromhex(tag) + length + body


def ppse(*entries):
    """FCI of a PPSE: entries are (AID in hex, priority or None)."""
    listed = []
    for aid, priority in entries:
        order = b"" if priority is None else tlv("87", bytes((priority,)))
        listed.append(tlv("61", tlv("4F", aid), order))
    name = tlv("84", b"2PAY.SYS.DDF01")
    return tlv("6F", name, tlv("A5", tlv("BF0C", b"".join(listed))))


class Card:
    """`files`: {AID or PPSE: (FCI, {command head in hex: answer with SW})}.

    Longest head wins. `trouble`: {number of the APDU: exception or answer}.
    """

    def __init__(self, files, trouble=None):
        self.files = files
        self.trouble = trouble or {}
        self.log = []
        self.current = {}

    async def transceive(self, command):
        self.log.append(bytes(command))
        trouble = self.trouble.get(len(self.log))
        if isinstance(trouble, Exception):
            raise trouble
        if trouble is not None:
            return trouble
        if command[:4] == b"\x00\xa4\x04\x00":
            name = bytes(command[5 : 5 + command[4]])
            if name not in self.files:
                return b"\x6a\x82"
            fci, self.current = self.files[name]
            return fci + b"\x90\x00"
        text = command.hex().upper()
        for n in range(len(text), 3, -2):
            if text[:n] in self.current:
                return self.current[text[:n]]
        return b"\x6d\x00"


class Phone(Card):
    """With a field that can be reset; `returns` says whether it comes back."""

    returns = True

    def __init__(self, files, trouble=None):
        super().__init__(files, trouble)
        self.resets = 0

    async def reset(self):
        self.resets += 1
        return self.returns


DEBIT = "A000000333010101"
RECORD1 = tlv("70", tlv("5A", "6212345678901232"), tlv("5F24", "301231"), tlv("5F34", "01"))


def quickpass(gpo=None, records=None, aid=DEBIT, pdol=PDOL, discretionary=b""):
    """{name: (FCI, commands)} of one debit application, by default with an ARQC."""
    if gpo is None:
        gpo = tlv(
            "77",
            tlv("82", "7C00"),
            tlv("94", "08010100"),
            tlv("9F36", "0003"),
            tlv("9F26", "1122334455667788"),
            tlv("9F10", "07010103A0000001"),
            tlv("9F6C", "0080"),
        )
    commands = {"80A80000": gpo + b"\x90\x00"}
    for key, body in (records or {"00B2010C": RECORD1}).items():
        commands[key] = body + b"\x90\x00"
    fci = tlv("6F", tlv("84", aid), tlv("A5", tlv("50", b"DEBIT"), pdol, discretionary))
    return {bytes.fromhex(aid): (fci, commands)}


TUNION = "A000000632010105"
# Issuer, type 3, version 1, number 0310482123456789012 behind a nibble, 2020-01-01 to 2030-12-31.
FILE15 = bytes.fromhex("0104210031000000" + "0301" + "00310482123456789012" + "20200101")
FILE15 = FILE15 + bytes.fromhex("20301231" + "0000")
FILE17 = bytes.fromhex("00000156" + "3100" + "2900" + "0001" + "02") + bytes(49)


def tunion(fci_file=FILE15, **answers):
    """{name: (FCI, commands)} of a T-Union purse with 50.00 yuan."""
    fci = tlv("6F", tlv("84", TUNION), tlv("A5", tlv("9F08", "02"), tlv("9F0C", fci_file)))
    commands = {
        "00B095": FILE15 + b"\x90\x00",
        "00B097": FILE17 + b"\x90\x00",
        "805C0002": bytes.fromhex("000013889000"),
    }
    for key, value in answers.items():
        commands[key[1:]] = value
    return {bytes.fromhex(TUNION): (fci, commands)}


def with_ppse(files, *entries):
    out = dict(files)
    out[b"2PAY.SYS.DDF01"] = (ppse(*entries), {})
    return out


def lost():
    return CardLost("timeout")


try:
    from cryptolib import aes
except ImportError:  # CPython

    def aes(key, mode, iv):
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        assert mode == 2

        class Cbc:
            def __init__(self):
                self.cipher = Cipher(algorithms.AES(key), modes.CBC(iv))

            def encrypt(self, data):
                encryptor = self.cipher.encryptor()
                return encryptor.update(data) + encryptor.finalize()

            def decrypt(self, data):
                decryptor = self.cipher.decryptor()
                return decryptor.update(data) + decryptor.finalize()

        return Cbc()


class Recorded:
    """A card of `quickpass_corpus`. `changes`: {command: answer in hex} in place of recorded."""

    def __init__(self, name, changes=None):
        import quickpass_corpus as corpus

        self.answers = [changes or {}, corpus.CARDS[name][2], corpus.BASE]
        self.log = []

    async def transceive(self, command):
        whole = command[1] in (0xA4, 0xB2, 0xCA)
        text = command.hex() if whole else command[:4].hex()
        self.log.append(bytes(command))
        for answers in self.answers:
            if text in answers:
                return bytes.fromhex(answers[text])
        return b"\x6d\x00"


def scheme_rules(**options):
    """Rules of the corpus' scheme: `config` members, then arguments of `rules.load`."""
    import quickpass_corpus as corpus
    from validator.media import evidence, rules

    config = dict(corpus.CONFIG)
    config.update(options.pop("config", {}))
    modulus = bytes.fromhex(corpus.CONFIG["acquirer"]["modulus"])
    if config["acquirer"]:
        options["seal"] = evidence.Seal(modulus, 65537, aes=aes)
    from fakes import FakeClock
    from riders_bench import memory

    clock = FakeClock(0)
    clock.set_unix(corpus.UNIX)
    options.setdefault("riders", memory(clock))
    return rules.load(config, **options)


def scheme_terminal(rules, amount=200, unix=None, **changes):
    """The terminal of the corpus' taps."""
    import quickpass_corpus as corpus
    from riders_bench import at
    from validator.media import terminal

    at(rules["riders"], unix or corpus.UNIX)
    made = terminal.make(unix or corpus.UNIX, amount, rules=rules)
    made["random"] = lambda n: bytes.fromhex(corpus.RANDOM)[:n]
    made["open"] = lambda result: 1
    made.update(changes)
    return made
