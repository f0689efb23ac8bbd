"""The media a rider can present, one module each, and what they have in common."""

from validator.media.result import Result

__all__ = ["Result"]
