"""The validator: built from its board's devices and its state; runs its tasks."""

import asyncio
import gc
import sys
from hashlib import sha256

from validator import (
    calls_config,
    calls_debits,
    calls_lists,
    calls_records,
    calls_update,
    entropy,
)
from validator.calls import Calls
from validator.gate import Gate
from validator.guarded import GuardedTime
from validator.link.peer import REFUSED, Peer, RpcError
from validator.link.transfer import Transfer
from validator.link.turn import Turn
from validator.log import Log
from validator.media.riders import Riders
from validator.nfc.build import build as build_reader
from validator.nfc.link_reader import LinkReader
from validator.nfc.poller import Poller
from validator.nfc.reader import ReaderError
from validator.operation import Operation
from validator.qr.scanner import Scanner, ScannerError
from validator.restart import Restart
from validator.store import record
from validator.store.configuration import Configuration
from validator.store.journal import Journal, JournalError
from validator.store.lists import Lists
from validator.store.riders import RidersError, Table
from validator.store.state import State
from validator.store.token import CARD_SCOPE, CODE_SCOPE, Tokens
from validator.tap import Taps
from validator.ui import texts
from validator.ui.wiring import build as build_ui

_SCAN_CHECK_MS = 20000  # silence after which the engine is asked whether it is still there
_SCAN_RETRY_MS = 5000
_IDLE_MS = 250
_SERVING = ("validator.media", "validator.emv", "validator.sam", "validator.fare")
_PSAM_EVERY = 120  # idle rounds: a PSAM that failed is tried again
_COLLECT_EVERY = 2  # idle rounds without a tap: the poller makes some garbage too


class App:
    """`boot` comes from the loader: {"slot", "id", "mode", "healthy": function}."""

    def __init__(self, boot, board, clock):
        self.boot = boot
        self.clock = clock
        self.board = board
        clock.kept(board.kept_time())
        clock.keep = board.keep_time
        self.log = Log(clock)
        self.micropython = ".".join(str(n) for n in sys.implementation.version[:3])
        nvs = board.nvs("validator")
        serial = board.unique_id()
        entropy.begin(nvs, serial.encode(), str(clock.unix()).encode(), board.noise())
        self.gate = Gate(clock, serial)
        self.configuration = Configuration(self._flash("config"), nvs, serial)
        self.configuration.mount()
        for fault in self.configuration.faults:
            self.log.error("config", fault)
        self.operation = None
        self.baud_max = 1 << 23
        self.fault = ""  # why no rider is served, if it is not the journal
        self._open = asyncio.Event()
        self.journal = None
        self.journal_fault = ""
        self.lists = None
        self.riders = None
        self.riders_fault = ""
        self._open_journal()
        self.state = State(nvs, serial, self._used)
        self.state.after(self._last_boot())
        if self.state.lost:
            self.configuration.lock()
            self.log.error("state", self.state.lost)
        self.ui = build_ui(board, clock)
        self.taps = Taps(clock, self.journal, self.state, self.ui, self.log, self._tap_done)
        self._operate()
        self.reader = self._build_reader()
        self.poller = None
        if self.reader:
            self.poller = Poller(
                self.reader, clock, on_fault=self._reader_fault, on_recovered=self._reader_back
            )
        self.scanner = self._build_scanner()
        self._reader_info = {"chip": self.reader.chip} if self.reader else {}
        self.console = board.console()
        self.peer = Peer(self.console, clock)
        self.link_reader = LinkReader(self.peer.call)
        self.link_poller = Poller(self.link_reader, clock)
        self._link_tap = False
        self.restart = Restart(clock, self.taps, board).soon
        self.calls = Calls(self, self.peer, self.console)
        self.transfer = Transfer(self, self.peer)
        self.gate.quiet = self.transfer.quiet
        self._turn = Turn(clock, self.gate, self.taps, self.peer)
        self.peer.turn = self._turn.take
        for calls in (calls_config, calls_records, calls_lists, calls_debits):
            calls.register(self, self.peer)
        # Ticks count from power-up on a chip, from elsewhere on other targets.
        self._started = boot.get("started", 0)
        self.boot_ms = self.uptime_ms()
        self.updates = calls_update.register(self, self.peer)

    # -- building ----------------------------------------------------------------------------

    def _open_journal(self):
        try:
            self.journal = Journal(self.board.flash("journal"), clock=self.clock)
            self.journal.mount()
        except (JournalError, OSError) as e:
            # Without a journal nobody is served, but the link must live to say so.
            self.journal = None
            self.journal_fault = repr(e)
            self.log.error("journal", "cannot be mounted: %r" % e)

    def _flash(self, label):
        try:
            return self.board.flash(label)
        except OSError:
            return None  # a board without that partition

    def _used(self):
        """Whether flash tells of an earlier life than NVS, which is empty."""
        try:
            if self.journal is None or self.journal.next_seq > 1 or self.configuration.used():
                return True
            buf = bytearray(64)
            # The slot that does not run is blank in a new validator.
            idle = "app_b" if self.boot["slot"] == "a" else "app_a"
            for label in ("lists", "riders", idle):
                flash = self._flash(label)
                if flash:
                    flash.read(0, buf)
                    if buf != b"\xff" * len(buf):
                        return True
        except OSError:
            return True
        return False

    def _last_boot(self):
        """The boot of which the newest records tell, 0 without any."""
        last = 0
        if self.journal:
            try:
                for entry in self.journal.read(max(1, self.journal.next_seq - 4)):
                    try:
                        last = max(last, record.decode(entry[1])["boot"])
                    except (record.RecordError, KeyError, TypeError):
                        pass  # short, or of a later firmware
            except (JournalError, OSError):
                pass
        return last

    def _operate(self):
        """Put the configuration in force to work."""
        configuration = self.configuration
        service = configuration.life_cycle == "service"
        self.taps.test = not service
        try:
            self._configure(configuration.section, configuration.life_cycle, service)
        except Exception as e:
            # Checked before it was taken in, so it was made for another firmware. Riders are told
            # so, and the link lives to bring another one.
            self.gate.operate(configuration.life_cycle, {})
            self.fault = "the configuration does not suit this firmware: %r" % e
            self.log.error("config", self.fault)
        if service and not configuration.version:
            self.fault = "no configuration is whole"
        if entropy.pool.fault:
            self.fault = entropy.pool.fault
        if self.state.lost:
            self.fault = self.state.lost + ": the operator has to claim it again"
        self.taps.closed = bool(self.fault)

    def _configure(self, section, life_cycle, service):
        self.gate.operate(life_cycle, section("access") or {})
        texts.configure(section("display") or {})
        self.clock.limit_s = (section("clock") or {}).get("trust_s", 0)
        self.baud_max = (section("link") or {}).get("baud_max", 1 << 23)
        key = section("token_key")
        key = bytes.fromhex(key) if key else self.state.token_key
        if not key:
            self.fault = "the token key was lost: a configuration has to bring it"
            key = entropy.random(16)  # nobody is served, so nobody is known by it
        tokens = Tokens(key)

        def card_token(source):
            return tokens.token(CARD_SCOPE, source)

        def code_token(source):
            return tokens.token(CODE_SCOPE, source)

        # A list of another fleet's tokens would fit nobody: it names the key that made them.
        check = sha256(key).digest()[:4]
        self._mount_lists(check)
        if self.fault or self.state.lost:
            # What is known of riders stands under a key that is not there: it is left alone.
            self.riders_fault = self.fault or self.state.lost
        else:
            self._mount_riders(check)
        operation = Operation(section, card_token, code_token, self._denied, service, self.riders)
        rules = operation.cards or operation.codes or operation.purse
        if rules and self.riders is None and not self.fault:
            self.fault = "no memory of riders: " + self.riders_fault
            self.log.error("riders", self.fault)
        self.operation = operation
        self.taps.operate(operation, tokens, self.configuration.version)

    def _mount_lists(self, check):
        flash = self._flash("lists")
        if not flash:
            return
        try:
            lists = Lists(flash, key_check=check)
            lists.mount()
            self.lists = lists
            if lists.active and lists.active.key_check not in (check, bytes(4)):
                self.log.error("lists", "made with another token key: nobody is on it")
        except OSError as e:
            # Whoever is on it would ride.
            self.fault = self.fault or "the deny list cannot be read: %r" % e
            self.log.error("lists", "cannot be read: %r" % e)

    def _mount_riders(self, check):
        if not self.journal:
            self.riders_fault = "no journal"
            return
        try:
            rx, tx = self.journal.buffers
            table = Table(self.board.flash("riders"), rx, tx, check)
            riders = Riders(table, GuardedTime(self.clock), self.journal)
            riders.start()
            self.riders = self.taps.riders = riders
        except (RidersError, OSError) as e:
            # What is promised to riders cannot be kept: nobody is served, and the link says why.
            self.riders_fault = str(e)

    def _denied(self, token):
        return self.lists is not None and self.lists.contains(token)

    def put_away(self):
        """Serve nobody any more, and give back the memory of what did: before a restart."""
        self.taps.closed = True
        self.taps.operate(None, None, 0)
        self.operation = self.riders = self.taps.riders = None
        for name in list(sys.modules):
            package, _, module = name.rpartition(".")
            if package in _SERVING:
                del sys.modules[name]
                parent = sys.modules.get(package)
                if hasattr(parent, module):
                    delattr(parent, module)
        gc.collect()

    def _build_reader(self):
        try:
            return build_reader(self.board, self.clock)
        except (ValueError, OSError) as e:
            # Codes can still be taken, and the link tells what is wrong.
            self.log.error("reader", "cannot be built: %r" % e)
            return None

    def _build_scanner(self):
        serial = self.board.serial("scanner")
        return Scanner(serial, self.clock, on_fault=self._scan_fault) if serial else None

    # -- what the calls report ---------------------------------------------------------------

    def uptime_ms(self):
        """Since the loader began."""
        return self.clock.diff(self.clock.ticks_ms(), self._started)

    def reader_status(self):
        if not self.poller:
            return {"state": "missing"}
        status = dict(self._reader_info)
        status.update(self.poller.status())
        return status

    def scanner_status(self):
        if not self.scanner:
            return {"state": "missing"}
        status = dict(self.scanner.info or {"state": "silent"})
        status.update(self.scanner.counters)
        return status

    def display_status(self):
        content = self.ui.content()
        return {"alive": content["display"], "errors": self.ui.errors}

    # -- events ------------------------------------------------------------------------------

    def _tell(self, method, params):
        """News of riders and of the log: to nobody who may not ask for them."""
        if self.gate.listens():
            try:
                self.peer.notify(method, params)
            except MemoryError:
                pass  # it was news: what it is about is in the records and in the log

    def _tap_done(self, summary):
        self._tell("tap", summary)

    async def tap_by_link(self, params):
        if self._link_tap:
            raise RpcError(REFUSED, "another card is being presented over the link")
        self._link_tap = True
        poller = self.link_poller
        try:
            await self._open.wait()
            self.link_reader.present_card(params)
            target = await poller.next()
            try:
                return await self.taps.card(poller.card(target))
            finally:
                await poller.finish(target)  # or the next card would find the reader taken
        finally:
            self._link_tap = False

    async def scan_by_link(self, code):
        await self._open.wait()
        return await self.taps.code(code)

    # -- tasks -------------------------------------------------------------------------------

    async def run(self):
        self.log.notify = self._tell
        tasks = [self._link(), self.ui.run(), self._begin()]
        if self.poller:
            tasks.append(self._cards())
        if self.scanner:
            tasks.append(self._codes())
        self.peer.notify("hello", self.calls.hello())
        healthy = self.boot.get("healthy")
        if healthy:
            healthy()
        await asyncio.gather(*[self._guard(t) for t in tasks])

    async def _guard(self, coroutine):
        try:
            await coroutine
        except Exception as e:
            # A task must not die alone and leave half a validator: the loader starts it anew.
            self.log.error("app", "a task failed: %r" % e)
            raise

    async def _begin(self):
        """What riders have to wait for, and the link has not; then idle work for ever."""
        if self.operation and self.journal:
            await self._restore(self.operation)
        serves = self.journal is not None and not self.fault
        self.ui.ready() if serves else self.ui.out_of_service()
        self._open.set()
        await self._housekeeping()

    async def _restore(self, operation):
        try:
            await operation.restore(self.journal, self.clock.sleep_ms)
        except (JournalError, RidersError, OSError) as e:
            # Whoever rode just now would ride again.
            self.fault = "the newest records cannot be read back: %r" % e
            self.log.error("journal", self.fault)
            self.taps.closed = True
        if operation.purse:
            from validator import sam
            from validator.sam import tries, wiring

            kept = tries.Tries(self.board.nvs("psam"), self.clock, self.log)
            slots = wiring.build(self.board, self.clock)
            await sam.start(operation.purse, slots, self.log, kept)

    async def _link(self):
        await self.peer.run()

    async def _cards(self):
        poller = self.poller
        await self._open.wait()
        try:
            self._reader_info.update(await self.reader.open())
        except ReaderError as e:
            # The poller goes on trying; the validator still takes codes.
            self.log.error("reader", "does not answer at the start: " + e.reason)
        while True:
            target = None
            try:
                target = await poller.next()
                summary = await self.taps.card(poller.card(target), poller.detect_us)
                self.log.info("tap", "%s %s" % (summary["outcome"], summary["reason"]))
            except MemoryError:
                self._short("reader")
            if target:
                await poller.finish(target)

    async def _codes(self):
        scanner = self.scanner
        await self._open.wait()
        try:
            await scanner.open()
        except ScannerError as e:
            self.log.error("scanner", "does not answer at the start: " + e.reason)
        while True:
            try:
                code = await scanner.next(_SCAN_CHECK_MS)
                if code is not None:
                    summary = await self.taps.code(code)
                    self.log.info("scan", "%s %s" % (summary["outcome"], summary["reason"]))
                    continue
            except MemoryError:
                self._short("scanner")
                continue
            if not await scanner.check():
                await self.clock.sleep_ms(_SCAN_RETRY_MS)

    def _short(self, area):
        """Memory ran out where a rider would have been served: he tries again."""
        gc.collect()
        self.log.error(area, "out of memory")

    def _reader_fault(self, reason):
        self.log.error("reader", "failed: " + reason)
        self.ui.out_of_service("READER")

    def _reader_back(self):
        self.log.info("reader", "works again")
        self.ui.ready()

    def _scan_fault(self, kind, length):
        self.log.warning("scanner", "a code of %d bytes was %s" % (length, kind))

    async def _prepare(self, operation, rounds):
        try:
            operation.prepare()
        except MemoryError as e:
            # It is to make the next tap quicker; without it that one is only as slow as ever.
            self.log.warning("app", "no memory to prepare for the next rider: %r" % e)
        if operation.purse and rounds % _PSAM_EVERY == 0:
            from validator import sam

            await sam.check(operation.purse, self.log)

    async def _housekeeping(self):
        """Idle work, never during a tap: flash erased ahead of the next record, garbage."""
        idle = rounds = 0
        taps = self.taps.count
        while True:
            await self.clock.sleep_ms(_IDLE_MS)
            self.gate.tick()
            self._turn.idle_round()
            if self.taps.busy():
                continue
            rounds += 1
            try:
                await self._idle_work(rounds)
            except MemoryError:
                self._short("app")
            idle += 1
            if self.taps.busy():
                continue  # one began meanwhile
            if taps != self.taps.count or idle >= _COLLECT_EVERY:
                idle = 0
                taps = self.taps.count
                gc.collect()

    async def _idle_work(self, rounds):
        entropy.pool.prepare()
        if entropy.pool.fault and not self.fault:
            self.fault = entropy.pool.fault
            self.taps.closed = True
            self.log.error("app", self.fault)
            self.ui.out_of_service()
        erased = False
        if self.journal:
            try:
                erased = self.journal.prepare()
            except (JournalError, OSError) as e:
                self.log.error("journal", "erasing ahead failed: %r" % e)
        if self.riders and not erased:  # one erase a round is enough to hold everything up
            try:
                self.riders.idle()
            except (RidersError, OSError) as e:
                if not self.riders_fault:
                    self.log.error("riders", "cannot be kept: %r" % e)
                self.riders_fault = repr(e)
        if self.operation:
            await self._prepare(self.operation, rounds)
