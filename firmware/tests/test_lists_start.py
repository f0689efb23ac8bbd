"""What a validator makes of a deny list that it cannot use, when it starts."""

import list_corpus as corpus
from flash_sim import FlashSim
from test_lists import LIST_1, load, mounted
from validator.application import App


class Log:
    def __init__(self):
        self.said = []

    def error(self, area, text):
        self.said.append(text)


class Rig:
    """As much of an App as takes the list in."""

    def __init__(self, flash):
        self.flash = flash
        self.fault = ""
        self.lists = None
        self.log = Log()

    def _flash(self, label):
        return self.flash

    def start(self, check=corpus.KEY_CHECK):
        App._mount_lists(self, check)
        return self


class Unread(FlashSim):
    def read(self, addr, buf):
        raise OSError(5)


def test_a_list_that_cannot_be_read_lets_nobody_ride():
    rig = Rig(FlashSim(2)).start()
    assert rig.lists and not rig.fault, "there is none"
    rig = Rig(Unread(2)).start()
    assert rig.lists is None and "deny list" in rig.fault and rig.log.said
    assert not Rig(None).start().fault, "a board without that partition"


def test_a_list_of_another_token_key_fits_nobody_and_says_so():
    flash = FlashSim(16)
    load(mounted(flash), LIST_1)
    assert not Rig(flash).start().log.said
    rig = Rig(flash).start(b"\x01\x02\x03\x04")
    assert rig.lists and "another token key" in rig.log.said[0]
