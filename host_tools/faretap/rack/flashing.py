"""Flashing all slots of a rack at once, each in a process of its own."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import serial
from esp_pylib.errors import FatalError

from faretap import boards
from faretap.errors import FaretapError
from faretap.flash import losses
from faretap.image.container import load as load_image
from faretap.image.whole import Pieces, build_pieces
from faretap.link.port import FAST_BAUD
from faretap.rack.file import Rack, RackError, SlotSpec
from faretap.rack.locks import LOOK, Claim, Held, device_of
from faretap.rack.ports import ask
from faretap.rack.scratch import Scratch
from faretap.rack.slot import Slot, SlotError
from faretap.rack.workers import Done, Job, Said, run_all
from faretap.reading import FLASH, read_bytes
from faretap.writing import make_folder, write_bytes

Say = Callable[..., None]


def flash_all(
    rack: Rack,
    slots: Sequence[SlotSpec],
    *,
    image: Path | None = None,
    micropython: dict[str, Path] | None = None,
    erase: bool = False,
    baud: int = FAST_BAUD,
    force: bool = False,
    on_say: Said = lambda slot, text, done, total: None,
) -> list[Done]:
    """Each slot gets `image` (an .ftu file) or, without one, the application of this
    installation. `micropython` has the official .bin by board.

    The images are built once per board. What was flashed is what the slot has to run from then
    on; a slot that took it leaves quarantine.
    """
    scratch = Scratch()
    try:
        built: dict[str, str] = {}
        failed: dict[str, str] = {}
        passing = {spec.name: _passing(spec) for spec in slots if spec.made and not spec.state}
        wanted = [spec for spec in slots if spec.name not in passing]
        for board in sorted({spec.board for spec in wanted}):
            try:
                app = load_image(image).app if image else None
                pieces = build_pieces(boards.load(board), (micropython or {}).get(board), app)
            except FaretapError as e:
                failed[board] = str(e)
                continue
            built[board] = str(scratch.path / board)
            write_bytes(Path(built[board]), pickle.dumps(pieces), RackError, durable=False)
        jobs = [
            Job(
                spec.name,
                "faretap.rack.flashing:flash_slot",
                {"pieces": built[spec.board], "erase": erase, "baud": baud, "force": force},
                spec.limits.flash,
            )
            for spec in wanted
            if spec.board in built
        ]
        ends = {**passing, **{done.slot: done for done in run_all(rack, jobs, on_say)}}
    finally:
        scratch.close()
    for spec in slots:
        if spec.name not in ends:
            ends[spec.name] = Done(spec.name, error=failed[spec.board])
        elif not ends[spec.name].error:
            report = ends[spec.name].result
            rack.state.set_flashed(spec.name, report["app_id"], report["app_version"])
            rack.state.release(spec.name)
    return [ends[spec.name] for spec in slots]


def _passing(spec: SlotSpec) -> Done:
    where = 'port = "virtual:DIR"' if spec.kind == "virtual" else "emulator.state"
    return Done(
        spec.name,
        error=f"The flash of the slot {spec.name} is made anew each time it is opened. "
        f"Give it a folder that keeps it: {where}.",
    )


def flash_slot(
    rack: Rack,
    spec: SlotSpec,
    say: Say,
    *,
    pieces: str,
    erase: bool = False,
    baud: int = FAST_BAUD,
    force: bool = False,
) -> dict[str, Any]:
    """The work of one process: a `FlashReport` as a dict. `pieces` is a file of `flash_all`."""
    wanted: Pieces = pickle.loads(read_bytes(Path(pieces), FLASH))
    slot = Slot(rack, spec, configure="keep", force=True, who=ask_chip)
    slot.lock()
    try:
        if spec.kind == "emulator":
            report = _into_file(slot, wanted, say, erase, force)
        else:
            report = _by_rom(slot, wanted, say, erase, baud, force)
        say("starting")
        slot.reopen()
        found = slot.identity.get("hash")
        if slot.identity.get("mode") == "safe" or found != wanted.app.id:
            raise SlotError(
                spec.name,
                f"The slot {spec.name} was flashed with {wanted.app.id}, but runs {found} "
                f"({slot.identity.get('mode')} mode).",
                "See `faretap log`; if it stays: `faretap rack flash --erase`.",
            )
        return {**report, "hello": slot.identity}
    finally:
        slot.close()


def _by_rom(
    slot: Slot, wanted: Pieces, say: Say, erase: bool, baud: int, force: bool
) -> dict[str, Any]:
    from faretap.flash.flasher import flash

    say("connecting")
    port = slot.start()
    return flash(
        port,
        slot.spec.board,
        progress=say,
        erase=erase,
        pieces=wanted,
        baud=baud,
        force=force,
    ).as_dict()


def _into_file(slot: Slot, wanted: Pieces, say: Say, erase: bool, force: bool) -> dict[str, Any]:
    """An emulator has no reset lines to enter the ROM loader by, but its flash is a file.

    It is written anew and renamed, so a map that moves is never half there.
    """
    spec = slot.spec
    assert spec.state is not None
    path = spec.state / "flash.bin"
    board = boards.load(spec.board)
    flash = bytearray(b"\xff" * board.flash_size)
    cost = losses.Plan()
    if path.exists():
        old = bytearray(read_bytes(path, FLASH, RackError))
        before = _version(slot)
        running = losses.Running(before, None) if before else None
        losses.check_version("", running, wanted.app.version, force)
        cost = losses.plan("", losses.FlashFile(old), board, erase, force)
        if not erase:
            flash[: len(old)] = old[: len(flash)]
    say("writing")
    for part in cost.moved:
        flash[part.offset : part.end] = b"\xff" * part.size
    written = 0
    for piece in wanted.pieces:
        end = piece.offset + len(piece.data)
        if flash[piece.offset : end] != piece.data:
            written += len(piece.data)
            flash[piece.offset : end] = piece.data
    make_folder(path.parent, RackError)
    write_bytes(path, bytes(flash), RackError)
    slot.start()
    return {
        "app_id": wanted.app.id,
        "app_version": wanted.app.version,
        "written": written,
        "erased": erase,
        "moved": [part.name for part in cost.moved],
        "unread": cost.unread,
    }


def _version(slot: Slot) -> str:
    """The version that was flashed last, as the rack remembers it; "" if it does not."""
    flashed = slot.rack.state.flashed(slot.spec.name) or {}
    return str(flashed.get("version", ""))


def ask_chip(port: str) -> dict[str, Any]:
    """Who is at `port`: the validator's own word, or, where none runs, the chip's ROM loader,
    for which it is reset."""
    try:
        return ask(port)
    except Held:
        raise
    except FaretapError:
        pass
    from esptool.cmds import detect_chip, reset_chip

    from faretap.flash.errors import on_connect
    from faretap.flash.flasher import ROM_BAUD
    from faretap.flash.port import open_for_flashing
    from faretap.flash.quiet import quiet

    with (
        Claim({device_of(port): f"The port {port}"}, LOOK),
        contextlib.closing(open_for_flashing(port, ROM_BAUD)) as device,
        quiet(lambda done, total: None),
    ):
        try:
            chip = detect_chip(device, ROM_BAUD, connect_attempts=2)
            mac = bytes(chip.read_mac("BASE_MAC")).hex()
            reset_chip(chip)
        except (FatalError, serial.SerialException, OSError, RuntimeError) as e:
            raise on_connect(port, e) from e
    return {"serial": mac}
