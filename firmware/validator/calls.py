"""The calls that a host can make. docs/link.md lists them; each returns what JSON can carry."""

import asyncio
import gc

from validator.link import frame
from validator.link.peer import REFUSED, RpcError
from validator.version import VERSION

DEFAULT_BAUD = 115200
_SLOWEST = 9600
_SILENCE_MS = 10000  # at a raised rate without a valid message: the host is gone, go back
_TRIAL_MS = 1500  # the same just after the change

# What of these `info` tells to everybody: whether they work, and what they are.
_JOURNAL = ("fault", "capacity_bytes", "damaged", "torn", "faults", "worn_out", "mount_ms")
_READER = ("chip", "firmware", "support", "antenna", "bus", "baud", "fault", "state")
_SCANNER = ("engine", "version", "baud", "state")


class Calls:
    """Registers everything on the peer. `app` has clock, board, state, boot, journal, taps, log,
    screen, reader status and scanner status."""

    def __init__(self, app, peer, console):
        self._app = app
        self._peer = peer
        self._console = console
        self._baud = DEFAULT_BAUD
        self._wanted = 0  # a rate that is about to be set
        self._watching = False
        self.gone = 0  # times that no host was heard at a raised rate
        self._heard = app.clock.ticks_ms()
        self._sink = [0, 0, 0]  # blocks, bytes, gaps
        self._sink_next = None
        app.gate.register(peer)
        peer.on_message = self._alive
        peer.on_block = self._on_block
        for name, function, right in (
            ("ping", self.ping, None),
            ("info", self.info, None),
            ("reset", self.reset, "change"),
            ("clock.set", self.clock_set, "change"),
            ("screen", self.screen, "debug"),
            ("log.recent", self.log_recent, "records"),
            ("psam.release", self.psam_release, "change"),
            ("link.baud", self.link_baud, None),
            ("tap.link", self.tap_link, "inject"),
            ("scan.link", self.scan_link, "inject"),
            ("bench.sink", self.bench_sink, "debug"),
            ("bench.source", self.bench_source, "debug"),
            ("bench.weigh", self.bench_weigh, "debug"),
            ("bench.crypto", self.bench_crypto, "debug"),
        ):
            peer.register(name, function, right)

    # -- the validator itself ----------------------------------------------------------------

    def ping(self, params):
        return {"us": self._app.clock.ticks_us()}

    def hello(self):
        """What a start announces, and what `info` begins with."""
        app = self._app
        return {
            "board": app.board.name,
            "chip": app.board.chip,
            "serial": app.board.unique_id(),
            "version": VERSION,
            "hash": app.boot.get("id", ""),
            "slot": app.boot.get("slot", ""),
            "micropython": app.micropython,
            "life_cycle": app.gate.life_cycle,
            "mode": app.boot.get("mode", "app"),
            "reset_cause": app.board.reset_cause,
            "boots": app.state.boots,
            "boot_ms": app.boot_ms,
        }

    def info(self, params):
        """How the validator is. Without a session, one in service tells nothing that moves with
        its riders: no counts, no state of reader and scanner beyond whether they work."""
        app = self._app
        within = app.gate.within()
        if within:
            gc.collect()
        info = self.hello()
        info["heap_free"] = gc.mem_free()
        info["uptime_ms"] = app.uptime_ms()
        info["session"] = app.gate.status()["session"]
        info["config"] = app.configuration.info()
        info["fault"] = app.fault
        in_place = app.boot.get("in_place")
        info["in_place"] = in_place.info() if in_place else None
        info["clock"] = {"unix": app.clock.unix(), "trusted": app.clock.trusted}
        info["display"] = app.display_status()
        info["psam"] = self._psams(within)
        info["link"] = {
            "baud": self._baud,
            "baud_max": self._top(),
            "window": frame.WINDOW,
            "received": self._peer.received,
            "damaged": self._peer.damaged,
            "gone": self.gone,
        }
        journal = app.journal.info() if app.journal else {"fault": app.journal_fault}
        unread = journal.get("unacknowledged", 0) > 0
        reader = app.reader_status()
        scanner = app.scanner_status()
        if within:
            info["heap_used"] = gc.mem_alloc()
            info["taps"] = app.taps.count
        else:
            journal = _only(journal, _JOURNAL)
            reader = _only(reader, _READER)
            scanner = _only(scanner, _SCANNER)
            if reader["state"] not in ("missing", "fault"):
                reader["state"] = "works"
        if app.riders:
            riders = app.riders.info() if within else {"full": app.riders.full()}
        else:
            riders = {"fault": app.riders_fault}
        info["riders"] = riders
        journal["unread"] = unread
        info["journal"] = journal
        info["reader"] = reader
        info["scanner"] = scanner
        return info

    def _purse(self):
        operation = self._app.operation
        return (operation and operation.purse) or {"psams": ()}

    def _psams(self, within):
        purse = self._purse()
        out = []
        for one in purse["psams"]:
            told = {"slot": one.slot, "df": one.df, "serves": not one.fault}
            if within:  # how near it is to its end is nobody else's business
                told["fault"] = one.fault
                told["tries"] = purse["tries"].left(one.key)
            out.append(told)
        return out

    def psam_release(self, params):
        """Ask a PSAM again whose last tries of MAC2 were being kept: it stakes one of them."""
        purse = self._purse()
        for one in purse["psams"]:
            if (one.slot, one.df) == (params["slot"], params.get("df", one.df)):
                if not purse["tries"].release(one.key):
                    raise RpcError(REFUSED, "the next try may be its last: put another PSAM in")
                return {"tries": purse["tries"].left(one.key)}
        raise RpcError(REFUSED, "no PSAM there")

    def reset(self, params):
        self._app.restart()
        return {}

    def clock_set(self, params):
        seconds = params["unix"]
        if not isinstance(seconds, int) or not 1700000000 <= seconds < 4102444800:
            raise RpcError(REFUSED, "a time of unix seconds between 2023 and 2100 is needed")
        self._app.clock.set_unix(seconds)
        self._app.updates.clock_set()
        return {"unix": self._app.clock.unix()}

    def screen(self, params):
        return self._app.ui.content()

    def log_recent(self, params):
        return self._app.log.recent()

    def _top(self):
        app = self._app
        return min(app.board.devices["link"].get("baud_max", DEFAULT_BAUD), app.baud_max)

    # -- the rate ----------------------------------------------------------------------------

    def link_baud(self, params):
        baud = params["baud"]
        if not self._console.can_change_rate:
            raise RpcError(REFUSED, "this link has no baud rate")
        top = self._top()
        # Sending holds everything up: an `info` at 9600 baud for more than a second.
        least = _SLOWEST if self._app.gate.within() else DEFAULT_BAUD
        if not isinstance(baud, int) or not least <= baud <= top:
            raise RpcError(REFUSED, "the rate must be between %d and %d baud" % (least, top))
        if baud == self._baud and not self._wanted:
            return {"baud": baud}
        if not self._app.gate.within() and self._app.gate.taken():
            raise RpcError(REFUSED, "another host has a session on this link")
        if self._wanted:
            if self._wanted == baud:
                return {"baud": baud}
            raise RpcError(REFUSED, "the rate is being changed", {"kind": "again", "ms": 300})
        self._wanted = baud
        if not self._watching:
            self._watching = True
            asyncio.create_task(self._watch_rate())
        return {"baud": baud}

    async def _watch_rate(self):
        """While the rate is another than at the start, or is to be: one task for all changes."""
        clock = self._app.clock
        try:
            while self._wanted or self._baud != DEFAULT_BAUD:
                if self._wanted:
                    # The answer is some 80 bytes: let it leave at the old rate.
                    await asyncio.sleep_ms(5 + 1200000 // self._baud)
                    self._set_rate(self._wanted)
                    self._heard = start = clock.ticks_ms()
                    patience = _TRIAL_MS
                await asyncio.sleep_ms(250)
                if self._heard != start:
                    patience = _SILENCE_MS
                if not self._wanted and clock.diff(clock.ticks_ms(), self._heard) > patience:
                    self._gone()
        finally:
            self._watching = False

    def _gone(self):
        self.gone += 1
        if not self.gone & self.gone - 1:
            # The first time, the second, the fourth, …: everybody may ask for a rate and be
            # silent, and the log is short.
            self._app.log.info("link", "no host at %d baud" % self._baud)
        self._set_rate(DEFAULT_BAUD)

    def _set_rate(self, baud):
        self._wanted = 0
        self._console.set_rate(baud)
        self._baud = baud

    def _alive(self):
        self._heard = self._app.clock.ticks_ms()

    # -- riders over the link ----------------------------------------------------------------

    async def tap_link(self, params):
        """A card at the host: its APDUs go through calls of card.transceive."""
        return await self._app.tap_by_link(params)

    async def scan_link(self, params):
        try:
            code = bytes.fromhex(params["hex"])
        except ValueError:
            raise RpcError(REFUSED, "hex holds an odd number of digits or something else")
        return await self._app.scan_by_link(code)

    # -- measuring ---------------------------------------------------------------------------

    def _on_block(self, channel, sequence, payload):
        if channel != 1:
            return
        sink = self._sink
        if self._sink_next is not None and sequence != self._sink_next:
            sink[2] += 1
        self._sink_next = (sequence + 1) & 0xFF
        sink[0] += 1
        sink[1] += len(payload)

    def bench_sink(self, params):
        """Count blocks on channel 1; returns what was counted since the last call."""
        blocks, size, gaps = self._sink
        self._sink = [0, 0, 0]
        self._sink_next = None
        return {"blocks": blocks, "bytes": size, "gaps": gaps}

    async def bench_source(self, params):
        """Send `bytes` in blocks on channel 1."""
        left = min(params.get("bytes", 65536), 1 << 22)
        block = frame.encode_block(1, 0, bytes(512))
        sent = 0
        while left > 0:
            self._console.write(block)
            left -= 512
            sent += 512
            await asyncio.sleep_ms(0)
        return {"bytes": sent}

    def bench_weigh(self, params):
        """Tell with each tap how many bytes of the heap it took."""
        self._app.taps.weigh = bool(params["on"])
        gc.collect()
        return {"heap_free": gc.mem_free()}

    def bench_crypto(self, params):
        """Time the cryptography: see calls_bench.py."""
        gc.collect()  # what is loaded now stays: let it fill the first holes
        from validator import calls_bench

        return calls_bench.run(self._app, params)


def _only(members, names):
    return {name: members[name] for name in names if name in members}
