"""The calls for deny lists, and what takes in a new one (link/transfer.py)."""

from validator.link.peer import REFUSED, RpcError


def register(app, peer):
    """`app.lists` is a `store.lists.Lists` or None; `app.transfer` a `link.transfer.Transfer`;
    `app.configuration.key` the operator's public key."""

    def info(params):
        return _lists(app).info()

    def contains(params):
        token = bytes.fromhex(params["token"])
        if len(token) != 8:
            raise RpcError(REFUSED, "a token has 16 hex digits")
        return {"denied": _lists(app).contains(token)}

    async def check(params):
        """Read all of the list in force: whether flash still has what the operator signed."""
        lists = _lists(app)
        header = lists.active
        if header is None:
            raise RpcError(REFUSED, "there is no list in force")
        from validator.store.list_load import intact

        bank = lists.bank
        return {"intact": await intact(lists, bank, header, Sink(app).pause)}

    peer.register("lists.info", info)
    peer.register("lists.contains", contains, "records")
    peer.register("lists.check", check, "records")
    if app.lists:
        app.transfer.sinks["list"] = Sink(app)


def _lists(app):
    if app.lists is None:
        raise RpcError(REFUSED, "this board has no partition for lists")
    return app.lists


class Sink:
    """Takes in one list at a time."""

    def __init__(self, app):
        self._app = app
        self._load = None

    async def pause(self):
        await self._app.clock.sleep_ms(0)
        await self._app.transfer.quiet()

    def begin(self, header):
        from validator.store.list_load import Load

        # It may have been taken since the start.
        self._app.lists.operator = self._app.configuration.key or None
        digest = bytes.fromhex(header["digest"])
        self._load = Load(self._app.lists, header["size"], digest, self.pause)
        return self._load.begin()

    async def write(self, offset, data):
        await self._load.write(offset, data)

    async def finish(self):
        before = self._app.lists.active
        info = await self._load.finish()
        if self._app.lists.active is not before:
            text = "version %d with %d tokens is in force" % (info["version"], info["entries"])
            self._app.log.info("lists", text)
        return info

    def drop(self):
        self._load = None
