"""The icons as strokes on a grid of 16 × 16, for any display that can draw a line.

An icon is a tuple of polylines, a polyline a tuple of points x, y from the top left corner.
"""

STROKES = {
    "tick": (((2, 8), (6, 12), (13, 3)),),
    "cross": (((3, 3), (12, 12)), ((12, 3), (3, 12))),
    # An arrow round to where it came from.
    "again": (
        ((12, 4), (9, 2), (5, 3), (2, 7), (4, 12), (8, 13), (12, 11), (13, 8)),
        ((12, 0), (12, 4), (8, 4)),
    ),
    # An hourglass.
    "wait": (((3, 2), (12, 2), (3, 13), (12, 13), (3, 2)),),
    # Waves between a card and a reader.
    "tap": (
        ((2, 6), (3, 8), (2, 10)),
        ((5, 4), (7, 8), (5, 12)),
        ((9, 2), (12, 8), (9, 14)),
    ),
}


def draw(frame, name, x, y, scale, colour=1):
    """Draw an icon with strokes two pixels wide on a `framebuf.FrameBuffer` at x, y.

    Unknown names draw nothing: a display must not fail for the want of a picture.
    """
    for line in STROKES.get(name, ()):
        for i in range(len(line) - 1):
            x1 = x + line[i][0] * scale
            y1 = y + line[i][1] * scale
            x2 = x + line[i + 1][0] * scale
            y2 = y + line[i + 1][1] * scale
            frame.line(x1, y1, x2, y2, colour)
            frame.line(x1 + 1, y1, x2 + 1, y2, colour)
            frame.line(x1, y1 + 1, x2, y2 + 1, colour)
            frame.line(x1 + 1, y1 + 1, x2 + 1, y2 + 1, colour)
