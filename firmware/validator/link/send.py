"""From the validator to the host: the pieces of a source, each a block with its cursor."""

import asyncio

from validator.link.frame import encode_block
from validator.link.transfer import FROM_VALIDATOR


async def run(console, source, params):
    """Send what `source(params)` gives, `params["blocks"]` pieces at most: 4 bytes of cursor (BE),
    then the data, in blocks that are numbered from 0, modulo 256.

    Returns {"blocks": how many, "next": the last cursor or None, "more": whether there is more}.
    """
    most = params.get("blocks", 200)
    blocks = 0
    cursor = None
    for after, data in source(params):
        if blocks >= most:
            return {"blocks": blocks, "next": cursor, "more": True}
        cursor = after
        console.write(encode_block(FROM_VALIDATOR, blocks, cursor.to_bytes(4, "big") + data))
        blocks += 1
        await asyncio.sleep(0)
    return {"blocks": blocks, "next": cursor, "more": False}
