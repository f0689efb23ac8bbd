"""What arrives at a validator in the middle of a shift: configurations and deny lists."""

from __future__ import annotations

import hashlib
import random
import time
from typing import Any

from faretap import lists
from faretap.config import samples
from faretap.link.client import Refused
from faretap.lists import push
from faretap.lists.builder import signer
from faretap.lists.tokens import key_check
from faretap.rack.scenario import riders
from faretap.rack.scenario.file import ScenarioError, members
from faretap.rack.scenario.plan import Deny

# A TEST KEY: under it the bench knows the tokens of its riders, so that lists can name them.
TOKEN_KEY = hashlib.sha256(b"Faretap TEST tokens").digest()[:16]


class NoLists(ScenarioError):
    """The validator takes no deny lists."""


def changes(configuration: dict[str, Any]) -> dict[str, Any]:
    """Members of the bench configuration, with a token key that the bench knows."""
    return members({"token_key": TOKEN_KEY.hex(), **configuration})


def takes_lists(link: Any) -> str:
    """Why it does not; "" if it does."""
    try:
        push.info(link)
    except Refused as e:
        return e.message
    return ""


def deny_list(session: Any, step: Deny) -> str:
    """Build the list of the riders that it names, and bring it; what was brought, in words."""
    why = takes_lists(session.link)
    if why:
        raise NoLists(f"The validator takes no deny lists: {why}.")
    before = push.info(session.link)
    chance = random.Random(step.seed)
    tokens = [chance.randbytes(8) for _ in range(step.deny.others)]
    for person in step.people:
        token = riders.token(person.medium, person.options, TOKEN_KEY)
        if token:
            tokens.append(token)
    data = lists.build(
        tokens,
        version=before["version"] + 1,
        sign=signer(samples.operator_key()),
        space=before["room"],
        issued=int(time.time()),
        key_check=key_check(TOKEN_KEY),
    )
    push.push(session, data)
    return f"deny list {before['version'] + 1} with {len(tokens)} tokens"
