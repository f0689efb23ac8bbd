"""What engines put before a code, and around text: it is the same code, and only one."""

import code_corpus as corpus
from fakes import FakeClock
from riders_bench import memory
from validator.media import code_rules, codes
from validator.media.phases import Phases
from validator.qr import prefix
from validator.qr.framing import CODE, Framer

NAMES = ("mot", "mot-custom", "union", "alipay", "alipay-prefixed", "cpm", "cpm-numeric")
PREFIXES = (
    b"\\000026",
    b"\\000003",
    b"\\000899",
    b"\\999999",
    b"]Q1",
    b"]Q0",
    b"]Q6",
    b"\xef\xbb\xbf",
    b"]Q2\\000026",
    b"\\000003\\000026",
    b"]Q1\\000026\xef\xbb\xbf",
    b"\xef\xbb\xbf\xef\xbb\xbf",
)
NONE = (b"\\00002", b"\\00002x", b"\\0000260", b"]Q7", b"]q1", b"]", b"\\", b"\xef\xbb", b"]C1")


def code(name):
    return bytes.fromhex(corpus.CODES[name][3])


def framed(chunks):
    """What comes out of the line: items, after a silence at the end."""
    framer = Framer()
    for chunk in chunks:
        framer.feed(chunk)
    framer.gap()
    items = []
    while True:
        item = framer.take()
        if item is None:
            return items
        items.append(item)


def byte_by_byte(data):
    return [data[i : i + 1] for i in range(len(data))]


def test_length():
    for head in PREFIXES:
        for rest in (b"", b"Ah", b"\x80\x01\x49", b"\\0", b"]Q"):
            found = prefix.length(head + rest, len(head + rest))
            assert found == (-1 if rest[:1] in (b"\\", b"]") else len(head)), (head, rest)
        for n in range(1, len(head)):
            assert prefix.length(head, n) <= n
    assert prefix.length(b"", 0) == 0
    for head in NONE:
        assert prefix.length(head + b"Ah", len(head) + 2) in (0, 7), head
    for head in (b"\\", b"\\00002", b"]", b"]Q", b"\xef", b"\xef\xbb"):
        assert prefix.length(head, len(head)) == -1, head


def test_a_code_on_the_line_is_the_same_behind_any_of_them():
    for name in NAMES:
        whole = code(name)
        for head in PREFIXES:
            for data in (head + whole, head + whole + b"\r\n"):
                assert framed([data]) == [(CODE, whole)], (name, head)
            assert framed([head, whole]) == [(CODE, whole)]
        assert framed(byte_by_byte(PREFIXES[-2] + whole)) == [(CODE, whole)], name


def test_codes_one_after_another():
    data = b""
    wanted = []
    for k, name in enumerate(("mot", "union", "alipay", "cpm", "mot-custom")):
        data += PREFIXES[k] + code(name)
        wanted.append((CODE, code(name)))
    assert framed([data]) == wanted
    assert framed(byte_by_byte(data)) == wanted


def test_a_code_cut_off_hides_no_code_with_a_prefix():
    for head in PREFIXES:
        framer = Framer()
        framer.feed(code("mot")[:200])
        assert framer.incomplete
        framer.pause()
        framer.feed(head + code("union"))
        framer.gap()
        assert framer.take()[0] == "cut"
        assert framer.take() == (CODE, code("union")), head


def test_what_only_looks_like_one_is_text():
    for head in NONE:
        (item,) = framed([head + b"xyz"])
        if head[:4] != b"\\000" or len(head) < 8:
            assert item == (CODE, head + b"xyz"), head
    assert framed([b"\\000026"]) == [] and framed([b"]Q1"]) == []
    assert framed([b"\\00002"]) == [(CODE, b"\\00002")]


RULES = code_rules.load(corpus.CONFIG)


def show(data, rules=None, clock=None):
    if clock is None:
        clock = FakeClock()
        clock.set_unix(corpus.UNIX)
    return codes.run(data, clock, Phases(clock), rules, corpus.AMOUNT)


def test_without_rules():
    for name in NAMES:
        plain = show(code(name))
        for head in PREFIXES + (b" ", b"\r\n\t"):
            result = show(head + code(name))
            assert (result.medium, result.reason) == (plain.medium, plain.reason), (name, head)
            assert result.detail == plain.detail and result.token_source == plain.token_source
    for head in PREFIXES + (b"", b" \r\n"):
        assert show(head).detail == {"why": "length"}, head


def test_blanks_and_line_ends_around_text_and_none_off_raw_codes():
    for name in ("union", "cpm", "cpm-numeric"):
        plain = show(code(name))
        for before, after in ((b"", b"\r\n"), (b"\n", b"\n"), (b" \t", b" "), (b"", b"\r\r\n\n")):
            result = show(before + code(name) + after)
            assert (result.medium, result.reason) == (plain.medium, plain.reason), after
    for name in ("mot", "alipay", "alipay-prefixed"):
        for after in (b"\r\n", b"\n", b" ", b"\0"):
            assert show(code(name) + after).reason == "malformed", (name, after)
            assert show(b"\\000026" + code(name) + after).reason == "malformed"
    # Base64 is what it is: with another case, or blanks inside, it is no code.
    text = code("union")
    assert show(text.upper()).outcome == "declined"
    assert show(text[:40] + b"\r\n" + text[40:]).reason == "malformed"


def test_a_prefix_makes_no_second_code_of_one():
    for name in ("mot", "union", "alipay", "cpm"):
        for head in PREFIXES:
            clock = FakeClock()
            clock.set_unix(corpus.UNIX)
            rules = code_rules.load(corpus.CONFIG, riders=memory(clock))
            first = show(code(name), rules, clock)
            assert first.outcome == "accepted", name
            first.settled()
            # Another reading of what lies on the glass …
            again = show(
                head + code(name) + (b"\r\n" if name in ("union", "cpm") else b""), rules, clock
            )
            assert again.reason == "too_soon" and again.again == ("accepted", ""), (name, head)
            # … and later, a replay.
            clock.advance_us(5000000)
            reason = "needs_online" if name == "cpm" else "replayed"
            assert show(head + code(name), rules, clock).reason == reason, (name, head)
            break_at = len(code(name)) // 2
            damaged = head + code(name)[:break_at] + b"\\" + code(name)[break_at + 1 :]
            assert show(damaged, rules, clock).outcome == "declined"


def test_a_backslash_that_an_engine_doubles_opens_nothing():
    # In the ECI protocol a backslash of the content comes twice: lengths and signatures say no.
    whole = code("mot")
    at = whole.find(b"\\")
    doubled = whole[: at + 1] + whole[at:] if at >= 0 else whole[:50] + b"\\\\" + whole[51:]
    assert show(b"\\000026" + doubled, code_rules.load(corpus.CONFIG)).outcome == "declined"
