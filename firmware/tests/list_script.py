"""Loading deny lists in tests: into simulated flash, piece by piece, with the power going."""

import list_corpus as corpus
from fakes import run
from flash_sim import FlashSim
from validator.store import list_load
from validator.store.list_load import Load
from validator.store.lists import Lists

SECTORS = 8
SECTOR = 512

_signed_by = list_load._signed_by
_known = {}


def signed_by_once(operator, head):
    """The same answer for the same question: the sweeps ask it thousands of times."""
    question = (operator, head)
    if question not in _known:
        _known[question] = _signed_by(operator, head)
    return _known[question]


list_load._signed_by = signed_by_once


def flash():
    return FlashSim(SECTORS, SECTOR)


def mounted(nor, **options):
    lists = Lists(nor, options.get("operator", corpus.OPERATOR), options.get("key_check"))
    lists.mount()
    return lists


async def no_pause():
    pass


def load(lists, data, piece=200, pause=no_pause):
    """Send `data` as a host does; returns (what `finish` said, offset it was begun at)."""
    loading = Load(lists, len(data), corpus.sha256(data).digest(), pause)
    begun = at = loading.begin()
    while at < len(data):
        n = min(piece, len(data) - at)
        run(loading.write(at, memoryview(data)[at : at + n]))
        at += n
    return run(loading.finish()), begun


def listed(lists):
    """The numbers of riders that are turned away."""
    return [n for n in range(340) if lists.contains(corpus.rider(n))]


RIDERS = {
    0: [],
    1: list(range(300)),
    2: list(range(20, 330)),
    3: [n for n in range(20, 330) if n % 10],
}


SOME = list(range(0, 40, 3)) + list(range(41, 300, 29)) + list(range(299, 340, 3))


def check_version(lists, among):
    """Exactly one whole list is in force, one of `among`; returns its version."""
    version = lists.info()["version"]
    assert version in among, (version, among)
    # Those whom the lists differ in, and some of each block.
    for n in SOME:
        assert lists.contains(corpus.rider(n)) == (n in RIDERS[version]), (version, n)
    return version
