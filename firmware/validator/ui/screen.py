"""What the rider sees, as data: every display draws from it, and the link reads it out as text."""

from . import texts

ICONS = ("tick", "cross", "again", "wait", "tap")
COLOURS = ("green", "red", "yellow", "blue", "grey")

MAX_LINES = 4

_OUTCOMES = {
    "accepted": ("tick", "green"),
    "declined": ("cross", "red"),
    "retry": ("again", "yellow"),
}


class Screen:
    """Up to four lines, an icon and a colour. `version` goes up with every change.

    Lines are Chinese first, then English; a driver without Chinese glyphs draws the ASCII ones.
    """

    def __init__(self):
        self.version = 0
        self.lines = ()
        self.icon = "wait"
        self.colour = "grey"
        self.show_starting()

    def show_result(self, result, fare=None, balance=None):
        """A tap's outcome and its sentence, with fare and balance in fen where they are known."""
        icon, colour = _OUTCOMES[result.outcome]
        self._show(texts.result(result.reason) + texts.amounts(fare, balance), icon, colour)

    def show_ready(self):
        self._show(texts.state("ready"), "tap", "blue")

    def show_starting(self):
        self._show(texts.state("starting"), "wait", "grey")

    def show_out_of_service(self, note=""):
        """`note`: a short word for staff, such as the part that failed; it is shown as it is."""
        self._show(texts.state("out_of_service") + (note,), "cross", "red")

    def content(self):
        """What is on it now: {"lines": [...], "icon": name, "colour": name}."""
        return {"lines": list(self.lines), "icon": self.icon, "colour": self.colour}

    def _show(self, lines, icon, colour):
        lines = tuple(line for line in lines if line)[:MAX_LINES]
        if (lines, icon, colour) == (self.lines, self.icon, self.colour):
            return
        self.lines = lines
        self.icon = icon
        self.colour = colour
        self.version += 1


def wrap(lines, columns, first_columns, first_rows):
    """ASCII lines broken at words for a display of `columns`; the first rows may be narrower.

    lines         text lines; those with anything but printable ASCII are left out
    first_columns columns of the first `first_rows` rows (beside an icon)
    Returns a list of rows. A word longer than its row is cut hard.
    """
    rows = []
    for line in lines:
        if not is_ascii(line):
            continue
        row = ""
        for word in line.split():
            while True:
                room = first_columns if len(rows) < first_rows else columns
                joined = row + " " + word if row else word
                if len(joined) <= room:
                    row = joined
                    break
                if row:
                    rows.append(row)
                    row = ""
                    continue
                rows.append(word[:room])
                word = word[room:]
        if row:
            rows.append(row)
    return rows


def is_ascii(text):
    """Whether a display with an ASCII font can draw it."""
    for c in text:
        if not 0x20 <= ord(c) <= 0x7E:
            return False
    return bool(text)
