"""Somebody with the cable and no permission: riders are served, and nothing restarts."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from faretap import access, boards
from faretap.config import keys, samples
from faretap.link import Refused
from faretap.present import tap
from faretap.records.pull import pull
from faretap.session import Session
from faretap.virtual import VirtualProcess
from validator.link import frame
from validator.link.crc import crc16

DEPOT = ec.generate_private_key(ec.SECP256R1())
PUBLIC = keys.compressed(DEPOT.public_key()).hex()
Storm = Callable[[random.Random], bytes]
encode: Callable[..., bytes] = frame.encode
encode_block: Callable[..., bytes] = frame.encode_block
check: Callable[[bytes], int] = crc16


@pytest.fixture
def service(provision: Callable[..., Session]) -> Session:
    entry = {"name": "depot", "public": PUBLIC, "rights": ["records"]}
    return provision(version=7, life_cycle="service", access={"keys": [entry]})


def call(method: str, **params: object) -> Storm:
    def made(rng: random.Random) -> bytes:
        message = {"jsonrpc": "2.0", "id": f"q{rng.getrandbits(40)}", "method": method}
        return encode({**message, "params": params})

    return made


def raw(body: bytes) -> bytes:
    return b"\x1e" + body + b"#%04x\n" % check(body)


HEAD = samples.bench_bundle(version=1 << 20)[:128].hex()
BOMB = b"".join(
    bytes((0x1D, 9, 0, size >> 8, size & 255, ~(9 + (size >> 8) + (size & 255)) & 255))
    for size in range(940, 10, -6)
)  # blocks within blocks, each with a wrong check
SILENT: dict[str, Storm] = {
    "garbage": lambda rng: b"\x1e" + rng.randbytes(300).replace(b"\n", b"x") + b"\n",
    "nested": lambda rng: raw((b"[{}," * 340)[:1390]),
    "bombs": lambda rng: BOMB + b"\n",
    "lines": lambda rng: b"\x03\x04\x1e\n" * 60,
}
STORMS: dict[str, Storm] = {
    "info": call("info"),
    "lists": call("lists.check"),
    "rate": call("link.baud", baud=115200),
    "challenge": call("session.challenge"),
    "wrong": call("session.open", nonce="00" * 16, public=PUBLIC, signature="11" * 64),
    "begin": call("config.begin", head=HEAD),
    "commit": call("config.commit"),
    "claim": call("config.claim", public=PUBLIC),
    "records": call("records.read"),
    **SILENT,
    "blocks": lambda rng: bytes(encode_block(2, rng.randrange(256), rng.randbytes(230))),
}


@pytest.fixture
def storm(service: Session) -> Iterator[Callable[[Storm | None], None]]:
    """`storm(kind)`: from now on that comes as fast as the line takes it; None: no more."""
    stop = threading.Event()
    threads: list[threading.Thread] = []

    def begin(kind: Storm | None) -> None:
        if kind is None:
            stop.set()
            for thread in threads:
                thread.join()
            return

        def run() -> None:
            rng = random.Random(5)
            while not stop.is_set():
                data = kind(rng)
                service.link.write_raw(data)
                stop.wait(len(data) * 10 / int(service.link.device.baudrate))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        threads.append(thread)

    yield begin
    begin(None)


def test_riders_are_served_in_any_traffic(
    service: Session, storm: Callable[[Storm | None], None], board: VirtualProcess
) -> None:
    access.open_session(service.link, DEPOT, board.serial)
    before = service.link.call("info")
    turn = itertools.cycle(STORMS.values())
    storm(lambda rng: next(turn)(rng))
    cards = itertools.cycle(("quickpass-debit", "tunion", "quickpass-credit", "tunion-phone"))
    assert service.bench is not None
    for card in itertools.islice(cards, 10):
        # As `tap` does, without calls of its own: the line is full.
        service.forget_notifications()
        service.bench.present(card)
        summary = service.wait_for("tap", 20)
        service.bench.withdraw()
        assert summary is not None, card
        assert summary["outcome"] == "accepted" or summary["reason"] == "too_soon", summary
    after = service.link.call("info", timeout=30)
    assert after["boots"] == before["boots"] and after["fault"] == ""
    assert after["heap_free"] > before["heap_free"] * 0.85


class Journal:
    """The journal as flash has it: what riders did, whatever becomes of the link."""

    def __init__(self, session: Session) -> None:
        assert session.bench is not None
        self._bench = session.bench
        self._part = boards.load("VIRTUAL").partitions["journal"]

    def now(self) -> str:
        answer = self._bench.call("flash", address=self._part.offset, length=65536)
        return str(answer["hex"])


@pytest.mark.parametrize("kind", SILENT)
def test_riders_are_served_whatever_becomes_of_the_link(
    service: Session,
    storm: Callable[[Storm | None], None],
    board: VirtualProcess,
    until: Callable[..., None],
    kind: str,
) -> None:
    """At a raised rate, and not a valid message for long: the rate falls back under the storm,
    nobody hears of the riders, and each is on record before the next one comes."""
    link, bench = service.link, service.bench
    assert bench is not None
    boots = link.call("info")["boots"]
    assert link.set_baud(921600) == 921600
    link._stay = lambda: None  # type: ignore[method-assign]  # this host says no more
    journal = Journal(service)
    storm(SILENT[kind])

    def wait(ms: int) -> None:
        """By the board's own clock."""
        end = int(bench.status()["uptime_ms"]) + ms
        until(lambda: int(bench.status()["uptime_ms"]) >= end, 10.0, None)

    names = ("quickpass-debit", "tunion", "quickpass-credit", "tunion-phone")
    count = 0
    rates = set()
    while count < 10 or 115200 not in rates:
        before = journal.now()
        bench.present(names[count % 4])
        until(lambda before=before: journal.now() != before, 8.0, None)  # type: ignore[misc]
        count += 1
        wait(600)  # a purse has a record before its debit
        bench.withdraw()
        wait(600)  # it has seen that the card is gone
        rates.add(bench.status()["uarts"]["0"]["baud"])
        assert count < 100
    storm(None)
    link.device.baudrate = 115200
    link.call("ping", timeout=20)
    access.open_session(link, DEPOT, board.serial)
    info = link.call("info")
    assert (info["boots"], info["taps"], info["fault"]) == (boots, count, "")
    records = pull(link)
    assert len(records) == count
    for record in records:
        assert record.outcome == "accepted" or record.reason == "too_soon", record


def test_nothing_is_told_to_whoever_asks(service: Session, board: VirtualProcess) -> None:
    """The same card, with and without somebody who may hear of it."""
    service.link.on_refused = None
    info = service.link.call("info")
    assert info["journal"]["unread"] is False
    assert service.link.call("lists.info")["faults"] == 0
    assert service.bench is not None
    heard: list[tuple[str, object]] = []
    service.on_notification = lambda method, params: heard.append((method, params))
    console = len(service.console)
    service.bench.present("quickpass-debit")
    while not service.link.call("info")["journal"]["unread"]:
        pass  # that there is a record is what a technician needs to know, and all he is told
    service.bench.withdraw()
    others = service.link.call("info")
    assert not heard and len(service.console) == console
    for name in ("taps", "heap_used"):
        assert name not in others
    for section, names in (
        ("journal", ("next", "records", "unacknowledged", "free_bytes")),
        ("reader", ("cards", "polls", "detect_us")),
        ("scanner", ("codes",)),
    ):
        assert not set(names) & set(others[section]), section
    access.open_session(service.link, DEPOT, board.serial)
    assert tap(service, "quickpass-credit")["outcome"] == "accepted"
    assert service.link.call("info")["taps"] == 2
    access.close_session(service.link)
    with pytest.raises(Refused, match="needs a session"):
        service.link.call("records.read", {"from": 1, "max": 1})


def test_a_rate_that_is_asked_for_a_thousand_times(service: Session) -> None:
    before = service.link.call("info")
    for _ in range(1000):
        assert service.link.call("link.baud", {"baud": 115200}) == {"baud": 115200}
    after = service.link.call("info")
    assert after["boots"] == before["boots"]
    assert after["heap_free"] > before["heap_free"] * 0.85
