"""The error of everything that builds or reads an image."""

from __future__ import annotations

from faretap.errors import FaretapError


class ImageError(FaretapError):
    """An image cannot be built or is not usable; the message says why and what to do."""
