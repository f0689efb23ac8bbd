"""What the validator says about itself: log records, sent as notifications and kept for a while.

No card number, key or code ever goes in here: callers pass masked numbers and reasons.
"""

_KEEP = 16

ERROR = "error"
WARNING = "warning"
INFO = "info"


class Log:
    def __init__(self, clock):
        self._clock = clock
        self._recent = []
        self.notify = None  # set once the link is up

    def error(self, area, text):
        self._put(ERROR, area, text)

    def warning(self, area, text):
        self._put(WARNING, area, text)

    def info(self, area, text):
        self._put(INFO, area, text)

    def recent(self):
        """The last records, oldest first: {"ms", "level", "area", "text"}."""
        return self._recent

    def _least(self):
        """Index of the oldest record of the lowest level: riders, and whoever shows nonsense to
        the scan engine, must not push out what went wrong."""
        for level in (INFO, WARNING):
            for i, entry in enumerate(self._recent):
                if entry["level"] == level:
                    return i
        return 0

    def _put(self, level, area, text):
        entry = {"ms": self._clock.ticks_ms(), "level": level, "area": area, "text": text}
        recent = self._recent
        recent.append(entry)
        if len(recent) > _KEEP:
            recent.pop(self._least())
        if self.notify:
            self.notify("log", entry)
