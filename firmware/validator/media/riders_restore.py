"""What the newest records say of riders, read again at a start: they may not be in the table yet.

Loaded for that, and forgotten again.
"""

from validator.media.riders import WINDOW
from validator.store import record


async def restore(riders, journal, operation, sleep_ms):
    """To be awaited before the first rider is served. Raises what the journal raises."""
    from validator.store.purchase_read import Contexts

    contexts = Contexts()
    riders.again = True
    try:
        for seq, body, _, _, _ in journal.read(max(1, journal.next_seq - WINDOW), True):
            if not seq:
                contexts.add(body)
                continue
            try:
                fields = record.decode(body, contexts.find)
            except record.RecordError:
                continue  # of a later firmware, which was rolled back
            await sleep_ms(0)  # the link goes on
            if fields["clock_trusted"]:
                riders.time.reach(fields["time"])
            recall(riders, operation, seq, fields)
    finally:
        riders.again = False


def recall(riders, operation, seq, fields):
    """One of them, in their order. What has an end of its own is known of a medium without rules
    as well, which may have some tomorrow; windows and limits are the rules'."""
    medium = fields["medium"]
    token = fields["token"]
    rides = fields["outcome"] == "accepted"
    at = fields["time"]
    if medium == "tunion":
        rules = operation.purse
        if rules:
            rules["torn"].recall(seq, fields)
            if rides and token:
                from validator.media import purse

                purse.ridden(rules, token, seq, at)
        else:
            from validator.media import purse_torn

            purse_torn.Torn(riders, {"psams": ()}).recall(seq, fields)
    elif medium == "quickpass":
        rules = operation.cards
        if rules:
            rules["torn"].recall(seq, fields)
            if rides:
                from validator.media import decision

                names = [name for name in (token, fields["account"]) if name]
                decision.ridden(names, rules, fields["fare"], seq, at)
        else:
            from validator.media import quickpass_torn

            quickpass_torn.Torn(riders).recall(seq, fields)
    elif rides and fields["code"]:
        code = fields["code"]
        if operation.codes:
            from validator.media import code_decision

            payment = medium == "cpm"
            code_decision.ridden(
                riders, operation.codes, payment, code, token, fields["fare"], seq, at
            )
        elif medium != "cpm":
            from validator.media.code_replay import DIGEST

            riders.code_ridden(code[:DIGEST], int.from_bytes(code[DIGEST:], "little"), seq)
