"""Deny lists: built from tokens, signed, compared, and brought to validators.

    data = build(tokens, version=7, key=key)          # a list file
    changes = delta(old_data, data)                   # what turns one into the other
    DenyList.parse(data).contains(token)

docs/lists.md describes the files; push.py sends them.
"""

from faretap.lists.builder import Layout, build, plan, room
from faretap.lists.changes import delta
from faretap.lists.errors import ListFileError
from faretap.lists.model import Changes, DenyList
from faretap.lists.tokens import read_tokens, token_of

__all__ = [
    "Changes",
    "DenyList",
    "Layout",
    "ListFileError",
    "build",
    "delta",
    "plan",
    "read_tokens",
    "room",
    "token_of",
]
