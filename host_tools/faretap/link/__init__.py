"""The host's end of the link to a validator."""

from faretap.link.client import Link, LinkError, NoAnswer, Refused
from faretap.link.port import open_port

__all__ = ["Link", "LinkError", "NoAnswer", "Refused", "open_port"]
