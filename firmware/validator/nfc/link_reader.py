"""A reader whose card is presented by the host over the link, for boards without a reader chip.

reader = LinkReader(peer.call)
peer.register("card.present", reader.present_card)
"""

from validator.link.peer import RpcError, Timeout
from validator.nfc.reader import CardLost, CardProtocolError, ReaderDead, Target

_METHOD_NOT_FOUND = -32601


class LinkReader:
    """The interface of a reader chip; `call` is `async call(method, params) -> result`.

    Calls to the host: "card.transceive" {"apdu": hex} -> {"rapdu": hex}, and "card.field"
    {"on": bool}, which a host that models no field need not know.
    """

    chip = "link"
    removal_grace_ms = 0  # the host says exactly when a card comes and goes
    low_power = False  # there is no field to save

    def __init__(self, call):
        self._call = call
        self._armed = None  # presented and not yet polled
        self._active = None
        self._presentation = ""

    def present_card(self, info):
        """Lay a card on the reader; `poll` returns it once.

        `info`: {"uid": hex, "sak": int, "atqa": int, "ats": hex, "count": int,
        "kind": "A" or "B", "presentation": text}, of which only UID and SAK must be there.
        ValueError or KeyError for nonsense. The calls for this card carry its presentation, so
        that a host which came later cannot answer for a card that it does not hold.
        """
        self._presentation = info.get("presentation", "")
        ats = bytes.fromhex(info.get("ats", "0578807002"))
        uid = bytes.fromhex(info["uid"])
        if len(uid) not in (4, 7, 10):
            raise ValueError("a UID has 4, 7 or 10 bytes")
        kind = info.get("kind", "A")
        if kind not in ("A", "B"):
            raise ValueError("a card is of kind A or B")
        count = info.get("count", 1)
        self._armed = Target(uid, info.get("atqa", 4), info["sak"], ats, count, kind)

    def withdraw_card(self):
        """Take the card away, whatever is going on with it."""
        self._armed = self._active = None

    async def open(self):
        self.withdraw_card()
        return {"chip": self.chip, "firmware": "", "baud": 0, "support": 0}

    async def field(self, on):
        """Without field a card forgets its state; with it again, it can be polled again."""
        if not on and self._active:
            self._armed = self._active
            self._active = None
        try:
            await self._call("card.field", {"on": bool(on)})
        except RpcError as e:
            if e.code != _METHOD_NOT_FOUND:
                raise _translated(e)

    async def poll(self):
        self._active, self._armed = self._armed, None
        return self._active

    async def transceive(self, apdu):
        if not self._active:
            raise CardLost("not_listed")
        try:
            params = {"apdu": bytes(apdu).hex(), "presentation": self._presentation}
            result = await self._call("card.transceive", params)
        except RpcError as e:
            raise _translated(e)
        if not self._active:
            raise CardLost("disappeared")
        try:
            return bytes.fromhex(result["rapdu"])
        except (KeyError, TypeError, ValueError):
            raise CardProtocolError("malformed")

    async def present(self):
        return self._active is not None

    async def deselect(self):
        """The presentation is over: the host presents again for another tap."""
        self._active = None

    async def check(self):
        return True

    async def recover(self):
        return await self.open()


def _translated(e):
    kind = e.data.get("kind") if isinstance(e.data, dict) else None
    if isinstance(e, Timeout):
        return CardLost("timeout")
    if kind == "card_lost":
        return CardLost("disappeared")
    if kind == "card_protocol":
        return CardProtocolError("rf_protocol")
    return ReaderDead("link")
