"""Fares by passenger type and by the number of stations."""

# Card type, file 17 byte 10 (JT/T 978).
PASSENGERS = {0: "normal", 1: "normal", 2: "student", 3: "elderly", 4: "test", 5: "military"}


def passenger(code):
    """Name of a card's passenger type; hex digits for one that has no name."""
    return PASSENGERS.get(code) or "%02x" % code


def flat(types, code, fen):
    """Fare of a card type in fen: from `types` {name or hex: fen}, else `fen`."""
    name = passenger(code)
    if name in types:
        return types[name]
    return types.get("normal", fen)


def staged(stages, stations, fare, full):
    """Fare for `stations` ridden in fen, None where the table ends; `fare` if there is no table.

    `stages` is ((up to stations, fen), …), ascending. Who pays `fare` instead of the `full` flat
    fare pays the same share of a stage, rounded down to a fen.
    """
    if not stages:
        return fare
    for most, fen in stages:
        if stations <= most:
            return fen * fare // full if full else fen
    return None
