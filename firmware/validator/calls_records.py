"""Records out: a look at some of them, all of them in bulk, and the operator's receipt.

In bulk (`transfer.pull` of "records") each piece is a record as the journal has it:

    seq 4 | flags 1: 01 the chain holds, 02 a block | after 5 | chain 8 | body

all big endian. A block (seq 0), of keys or a context, comes ahead of the records that refer to it.
"""

import struct

from validator.link.peer import REFUSED, RpcError
from validator.store.wire import to_wire

_CHAIN_OK = 1
_KEY_BLOCK = 2
_CONTEXT = 0xC7  # first byte of a context (store/purchase.py)
_BYTES = 600  # hex digits of records in one answer: writing it holds up all tasks


class RecordCalls:
    def __init__(self, app):
        self._app = app

    def _journal(self):
        app = self._app
        if app.journal is None:
            raise RpcError(REFUSED, "the journal does not work: " + app.journal_fault)
        return app.journal

    def info(self, params):
        return self._journal().info()

    def read(self, params):
        """Up to `max` records from number `from` on: {"records": […], "contexts": [hex …] that
        they refer to, "next": number or null}."""
        first = params.get("from", 0)
        most = params.get("max", 50)
        out = []
        size = 0
        contexts = []
        for entry in self._journal().read(first, True):
            if not entry[0]:
                if entry[1][0] == _CONTEXT:
                    contexts.append(entry[1].hex())
                    size += len(contexts[-1])
                continue
            if len(out) >= most or (out and size > _BYTES):
                return {"records": out, "contexts": contexts, "next": entry[0]}
            wire = to_wire(entry)
            size += len(wire["body"])
            out.append(wire)
        return {"records": out, "contexts": contexts, "next": None}

    def ack(self, params):
        """The operator has the records up to number `to`: their flash may be used again."""
        journal = self._journal()
        to = params["to"]
        if not isinstance(to, int) or not 0 <= to < journal.next_seq:
            raise RpcError(REFUSED, "there is no record %r to acknowledge" % (to,))
        durable = journal.ack(to)
        return {"acked": journal.acked, "durable": durable}

    def source(self, params):
        """For the bulk transfer: all records from number `from` on, with their blocks."""
        journal = self._journal()
        cursor = params.get("from", 0)
        for seq, body, after, chain_ok, chain in journal.read(cursor, True):
            flags = _CHAIN_OK if chain_ok else 0
            if seq:
                cursor = seq + 1
            else:
                flags |= _KEY_BLOCK
                after = bytes(5)
            yield cursor, struct.pack(">IB", seq, flags) + after + chain + body


def register(app, peer):
    calls = RecordCalls(app)
    peer.register("records.info", calls.info, "records")
    peer.register("records.read", calls.read, "records")
    peer.register("records.ack", calls.ack, "change")
    app.transfer.sources["records"] = calls.source
