"""What a medium module found out about a presented card or code."""

from validator.media.reasons import MEDIA, OUTCOMES, REASONS


class Result:
    """Outcome of one tap, before fares and storage have their say.

    medium        a name of `MEDIA`
    outcome       a name of `OUTCOMES`
    reason        a name of `REASONS`; "" exactly if accepted
    token_source  what stands for the rider: the normalised number, as ASCII bytes, or None. It is
                  there to be hashed and dropped: it never goes into a record, a log or a message
    masked        the number as it may be shown: "621234******7890", or ""
    expiry        "YYMM", or ""
    balance       fen, or None where the medium has none or did not tell
    detail        small dict of things safe to log
    evidence      bytes that a settlement needs, or None
    fare          fen that were charged, where the medium decides; None: what the terminal asked
    code          of an accepted ride code: digest (8 bytes) and expiry (4, little endian), or None
    debit         of a purse: what was or may have been debited (media/purse_torn.py), or None;
                  its evidence is made of it where it is recorded
    account       token of the account that the card says it belongs to (PAR; nobody signs it), or
                  None
    kept          number of the record that says all of this already, or None
    settled       None, or a function without arguments to call once the record is durable: only
                  then has the rider ridden (limits, same-card window, a debit that was torn)
    """

    __slots__ = (
        "medium",
        "outcome",
        "reason",
        "token_source",
        "masked",
        "expiry",
        "balance",
        "detail",
        "evidence",
        "fare",
        "code",
        "debit",
        "account",
        "kept",
        "settled",
    )

    def __init__(
        self,
        medium,
        outcome,
        reason="",
        token_source=None,
        masked="",
        expiry="",
        balance=None,
        detail=None,
        evidence=None,
    ):
        if medium not in MEDIA or outcome not in OUTCOMES or reason not in REASONS:
            raise ValueError("no such medium, outcome or reason")
        if (outcome == "accepted") != (reason == ""):
            raise ValueError("a reason belongs to every outcome but accepted")
        self.medium = medium
        self.outcome = outcome
        self.reason = reason
        self.token_source = token_source
        self.masked = masked
        self.expiry = expiry
        self.balance = balance
        self.detail = {} if detail is None else detail
        self.evidence = evidence
        self.fare = None
        self.code = None
        self.debit = None
        self.account = None
        self.kept = None
        self.settled = None

    def __repr__(self):
        # Without the token source: reprs end up in logs.
        return "<Result %s %s %s %s>" % (self.medium, self.outcome, self.reason, self.masked)


# What fails in the validator itself, and is never the fault of what was presented: no memory, a
# stack that is too deep (RuntimeError), flash or a module that cannot be read.
OURS = (MemoryError, RuntimeError, OSError, ImportError)


def ours(e):
    """One word for the log."""
    return "memory" if isinstance(e, MemoryError) else type(e).__name__


def mask(digits):
    """A card number as it may be shown: first 6, six stars, last 4; short ones only the stars."""
    return digits[:6] + "******" + digits[-4:] if len(digits) >= 13 else "******"


class Refused(Exception):
    """What was presented lacks what its medium needs, or breaks its rules.

    `reason` as in a Result; `what` says in a few words what it was, without the rider's data.
    """

    def __init__(self, reason, what):
        super().__init__(what)
        self.reason = reason
        self.what = what


class NextApplication(Refused):
    """This application does not serve; the card may have another one that does."""
