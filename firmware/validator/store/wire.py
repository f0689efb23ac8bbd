"""Journal entries as the link carries them."""


def to_wire(entry):
    """{"seq", "body", "after", "chain": hex, "chain_ok": bool} of an entry of `Journal.read`."""
    seq, body, after, chain_ok, chain = entry
    return {
        "seq": seq,
        "body": body.hex(),
        "after": after.hex(),
        "chain": chain.hex(),
        "chain_ok": chain_ok,
    }
