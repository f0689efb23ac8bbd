"""What can be wrong with a list or with what it is made of."""

from __future__ import annotations

from faretap.errors import FaretapError


class ListFileError(FaretapError):
    """A file that is no list, or cannot become one."""
