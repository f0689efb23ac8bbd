"""The fixed names of a tap's outcome, reason and medium.

A name's index is its code in a record: names are only ever added at the end.
"""

OUTCOMES = ("accepted", "declined", "retry")

REASONS = (
    "",  # accepted
    "unverified",
    "bad_signature",
    "expired",
    "not_yet_valid",
    "unknown_issuer",
    "deny_listed",
    "insufficient_balance",
    "over_limit",
    "replayed",
    "too_soon",
    "multiple_media",
    "card_lost",
    "unsupported",
    "clock_untrusted",
    "storage_full",
    "out_of_service",
    "needs_online",
    "malformed",
    "card_refused",
    "unsettled",  # an earlier payment has to be settled at the desk first
)

MEDIA = (
    "",
    "quickpass",
    "tunion",
    "ride_code",
    "union_code",
    "alipay_code",
    "cpm",
    "unknown_card",
    "unknown_code",
)
