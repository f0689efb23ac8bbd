"""The operator's PSAMs: who holds the keys of purses.

    slots = {0: t0.Slot(serial, clock, reset)}      any object with async transceive and reset
    await sam.start(rules, slots, log, tries)       at boot; a PSAM that fails is reported
    await sam.check(rules, log)                     now and then, when nobody taps: tries it again

`rules["psams"]` are then objects with `terminal` (6 bytes), `fault` ("" if it serves), `session`,
`aids`, `index` (number of its purchase key), `binds` (the card's number is in the key), `code`,
`key` (for `tries`, see tries.py), `async mac1(data)`, `async check(mac2)` and `async renew()`:
`psam.Psam`, or `soft.SoftPsam` on a bench.
"""


class SlotError(Exception):
    """A PSAM does not answer, or not as ISO 7816-3 has it; the argument says what in few words."""


class PsamError(Exception):
    """A PSAM cannot do what a purchase needs; the argument says what in few words."""


async def start(rules, slots, log, tries=None):
    """Fill `rules["psams"]` from what the operator configured; never raises for a PSAM."""
    if tries is None:
        from validator.sam.tries import Tries

        tries = Tries(None, None, log)
    rules["psams"] = ()
    rules["tries"] = tries
    for entry in rules["soft_psam"]:
        from validator.sam.soft import SoftPsam

        rules["psams"] += (SoftPsam(entry, tries),)
        log.warning("psam", "a software PSAM with test keys serves")
    chips = {}
    for entry in rules["psam"]:
        from validator.sam.psam import Chip, Psam

        number = entry["slot"]
        if number not in chips:
            raw = slots.get(number)
            chips[number] = Chip(raw) if raw else None
        rules["psams"] += (Psam(chips[number], entry, tries),)
    await check(rules, log)
    for one in rules["psams"]:
        if not one.fault:
            log.info("psam", "terminal %s serves" % one.terminal.hex())


async def check(rules, log):
    """Try every PSAM that does not serve again; returns whether all serve."""
    well = True
    if rules.get("tries"):
        rules["tries"].keep()
    for one in rules["psams"]:
        if one.fault and one.fault != PAUSE:
            before = one.fault
            for other in rules["psams"]:
                if other.slot == one.slot:
                    other.session = None  # the chip that they share is reset
            await one.open()
            if one.fault and one.fault != before:
                log.error("psam", "slot %d: %s" % (one.slot, one.fault))
            elif not one.fault and before != NEW:
                log.info("psam", "slot %d serves again" % one.slot)
        well = well and not one.fault
    return well


def find(rules, aid):
    """The PSAM for a purse's AID, whether it serves or not: the longest of their prefixes decides.

    None if there is none for it.
    """
    found = None
    most = 0
    for one in rules["psams"]:
        for prefix in one.aids:
            if len(prefix) > most and aid[: len(prefix)] == prefix:
                found = one
                most = len(prefix)
    return found


NEW = "not started"
PAUSE = "pauses after wrong MAC2"
