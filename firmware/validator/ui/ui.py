"""The user interface: shows what happened at once, and draws it when there is time.

ui = Ui(screen, display, lights, buzzer, clock)
asyncio.create_task(ui.run())
ui.result(result, fare=200, balance=4800)    # after the record is durable
"""

# How long an outcome stays before "ready" returns. The next tap does not wait for it.
HOLD_MS = {"accepted": 1500, "declined": 2500, "retry": 2000}

_TICK_MS = 10


class Ui:
    """The screen and what renders it: display (`step(screen)`), lights, buzzer, or None for each.

    `result`, `ready` and `out_of_service` only set pins and the screen model. Everything that
    takes longer happens in `run`.
    """

    def __init__(self, screen, display, lights, buzzer, clock):
        self.screen = screen
        self._display = display
        self._lights = lights
        self._buzzer = buzzer
        self._clock = clock
        # Bound once: a hundred rounds a second must not leave garbage behind.
        self._steps = tuple(part.step for part in (lights, buzzer) if part)
        self._draw = display.step if display else None
        self._resting = "starting"  # what the screen returns to after an outcome
        self._note = ""
        self._hold_ms = 0  # 0: no outcome is on show
        self._since = 0
        self.errors = 0  # failures of a part that were kept from the tap
        self._rest()

    def result(self, r, fare=None, balance=None):
        """Show a tap's outcome: light and tone now, the display within some 10 ms."""
        self.screen.show_result(r, fare, balance)
        self._hold_ms = HOLD_MS[r.outcome]
        self._since = self._clock.ticks_ms()
        self._signal(r.outcome)
        if self._buzzer:
            self._guard(self._buzzer.play, r.outcome)

    def ready(self):
        """Riders may tap. An outcome on show stays for its time."""
        self._rest_as("ready")

    def out_of_service(self, note=""):
        """Riders may not tap. `note`: a short word for staff. Shown at once."""
        self._note = note
        self._hold_ms = 0
        self._rest_as("out_of_service")

    def content(self):
        """What a person in front of the validator sees now, for the link."""
        content = self.screen.content()
        content["lights"] = self._lights.names() if self._lights else []
        content["display"] = bool(self._display and self._display.alive)
        return content

    async def run(self):
        """Keep lights, buzzer and display going, for ever."""
        while True:
            self.step()
            await self._clock.sleep_ms(_TICK_MS)

    def step(self):
        """Everything that is due now: at most one page to the display."""
        clock = self._clock
        if self._hold_ms and clock.diff(clock.ticks_ms(), self._since) >= self._hold_ms:
            self._hold_ms = 0
            self._rest()
        for step in self._steps:
            try:
                step()
            except Exception:
                self.errors += 1
        if self._draw:
            try:
                self._draw(self.screen)
            except Exception:
                self.errors += 1

    def _rest_as(self, state):
        self._resting = state
        if not self._hold_ms:
            self._rest()

    def _rest(self):
        if self._resting == "ready":
            self.screen.show_ready()
        elif self._resting == "out_of_service":
            self.screen.show_out_of_service(self._note)
        else:
            self.screen.show_starting()
        self._signal(self._resting)

    def _signal(self, name):
        if self._lights:
            self._guard(self._lights.show, name)

    def _guard(self, call, *args):
        # A tap is decided and recorded by now: a broken lamp must not undo it or stop the next.
        try:
            call(*args)
        except Exception:
            self.errors += 1
