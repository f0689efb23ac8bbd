"""The calls of an update: update.state, update.history, update.restart; and the sink of images."""

from validator.version import VERSION

_KEY = "ran"


class Updates:
    """`app` has board, boot, clock, configuration, gate, micropython, state, taps and transfer."""

    def __init__(self, app, peer):
        self._app = app
        app.transfer.sinks["image"] = self._sink
        peer.register("update.state", self.state)
        peer.register("update.history", self.history, "records")
        peer.register("update.restart", self.restart, "change")
        self._note()

    def _sink(self):
        from validator.update import ImageSink

        return ImageSink(self._app)

    def state(self, params):
        """What runs, where an update would go, whose signature it needs."""
        app = self._app
        boot = app.boot
        key = app.configuration.key
        idle = "a" if boot["slot"] == "b" else "b"
        return {
            "board": app.board.name,
            "version": VERSION,
            "id": boot["id"],
            "slot": boot["slot"],
            "idle": idle,
            "size": app.board.flash("app_" + idle).size,
            "key": key.hex() if key else None,
            "transfer": app.transfer.state(params),
        }

    # -- which version ran when --------------------------------------------------------------

    def _note(self):
        """At each boot: another image than at the last one is noted, and a way back."""
        app = self._app
        boot = app.boot
        nvs = app.board.nvs("validator")
        ran = int(boot["id"][:7] or "0", 16) << 1 | (boot["slot"] == "b")
        try:
            if nvs.get_i32(_KEY) == ran and not boot["why"]:
                return
        except OSError:
            pass
        try:
            from validator import update_history

            update_history.add(nvs, app.state.boots, boot, VERSION)
            nvs.set_i32(_KEY, ran)
            nvs.commit()
        except OSError as e:
            app.log.error("update", "the history cannot be written: %r" % e)

    def clock_set(self):
        """The time is known from now on: also of what began before."""
        from validator import update_history

        app = self._app
        try:
            update_history.date(
                app.board.nvs("validator"),
                app.state.boots,
                app.clock.unix(),
                app.uptime_ms() // 1000,
            )
        except OSError as e:
            app.log.error("update", "the history cannot be written: %r" % e)

    def history(self, params):
        from validator import update_history

        return update_history.read(self._app.board.nvs("validator"))

    # -- restart -----------------------------------------------------------------------------

    def restart(self, params):
        """{"id", "slot"}: start anew once no tap is under way, unless that image runs in that
        slot: the call may come again after the start that it caused."""
        boot = self._app.boot
        if boot["id"] != params["id"] or boot["slot"] != params["slot"]:
            self._app.restart()
        return {}


def register(app, peer):
    """`app.transfer` exists. Returns what `app` is to tell that the clock was set."""
    return Updates(app, peer)
