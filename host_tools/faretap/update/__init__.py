"""Application images into validators in service: over the link, or by the ROM loader."""

from __future__ import annotations

from faretap.update.errors import UpdateError
from faretap.update.link import Report, history, update

__all__ = ["Report", "UpdateError", "history", "update"]
