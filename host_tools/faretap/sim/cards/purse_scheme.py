"""What a validator must be told to debit the simulated purses: the section "purse" as JSON.

The keys stand in data/purse_test_keys.json: TEST KEYS, published, worth nothing. They are in the
simulated PSAM (`chips.psam`), and `soft()` gives them to a validator on a bench that has none.
"""

from __future__ import annotations

from typing import Any

from . import purse_keys as keys

TERMINAL = "300089000340"

# One PSAM in slot 0 with a directory for each scheme. The older cities have a longer AID.
OLDER_CITY_AID = "A0000000038698070114"
PSAMS = [
    {"slot": 0, "df": "8011", "form": "24"},
    {"slot": 0, "df": "1001", "form": "14", "aids": [OLDER_CITY_AID]},
    {"slot": 0, "df": "1001", "form": "1C"},
]


def configuration(**changes: Any) -> dict[str, Any]:
    """Single purchases with a PSAM in slot 0; `changes` replace whole members.

    Its shape is that of `validator.media.purse_rules.load`.
    """
    config: dict[str, Any] = {
        "mode": "single",
        "city": "2900",
        "institution": "0310499900000001",
        "operator": "0007",
        "line": "0012",
        "station": 3,
        "direction": "up",
        "vehicle": "B0000042",
        "types": {"student": 100, "elderly": 50},
        "types_unproven": True,
        "psam": PSAMS,
    }
    return {**config, **changes}


def composite(**changes: Any) -> dict[str, Any]:
    """Board and alight: 2.00 yuan for up to 5 stations, 3.00 for up to 10, 4.00 without end."""
    stages = [[5, 200], [10, 300]]
    return configuration(
        **{"mode": "composite", "stages": stages, "marked_amount": 400, **changes}
    )


def soft(**changes: Any) -> dict[str, Any]:
    """As `configuration`, with a PSAM in software, for T-Union cards and on a bench only."""
    section = configuration(**changes)
    del section["psam"]
    section["soft_psam"] = {
        "terminal": TERMINAL,
        "key": keys.master("purchase", "8011", keys.DES3).hex(),
        "sm4_key": keys.master("purchase", "8011", keys.SM4).hex(),
        "form": "24",
        "aids": ["A000000632"],
    }
    return section
