"""What a validator keeps across boots, with an NVS in memory that can lose its power."""

from fakes import raises
from validator.store.state import State, StateError

SERIAL = "240ac4010203"
NOT_FOUND = -0x1102


class FakeNvs:
    """esp32.NVS: what is set is durable after commit; a missing key raises."""

    def __init__(self, stored=None):
        self.stored = {} if stored is None else stored
        self.pending = dict(self.stored)
        self.commits_left = -1
        self.fault = None

    def _get(self, key):
        if self.fault:
            raise OSError(self.fault, "ESP_ERR_NVS")
        if key not in self.pending:
            raise OSError(NOT_FOUND, "ESP_ERR_NVS_NOT_FOUND")
        return self.pending[key]

    def get_i32(self, key):
        return self._get(key)

    def set_i32(self, key, value):
        assert -0x80000000 <= value <= 0x7FFFFFFF
        self.pending[key] = value

    def get_blob(self, key, buf):
        value = self._get(key)
        if len(value) > len(buf):
            raise OSError(-0x110C, "ESP_ERR_NVS_INVALID_LENGTH")
        buf[: len(value)] = value
        return len(value)

    def set_blob(self, key, value):
        self.pending[key] = bytes(value)

    def commit(self):
        if self.commits_left == 0:
            raise KeyboardInterrupt  # the power is gone
        self.commits_left -= 1
        self.stored.clear()
        self.stored.update(self.pending)


def boot(flash):
    return State(FakeNvs(flash), SERIAL)


def test_first_boot():
    state = boot({})
    assert state.serial == SERIAL
    assert state.boots == 1
    assert state.life_cycle == "factory"
    assert isinstance(state.token_key, bytes) and len(state.token_key) == 16


def test_key_stays_and_boots_are_counted():
    flash = {}
    first = boot(flash)
    assert [boot(flash).boots for _ in range(3)] == [2, 3, 4]
    assert boot(flash).token_key == first.token_key


def test_each_validator_has_its_own_key():
    assert boot({}).token_key != boot({}).token_key


def test_power_cut_while_the_key_is_made():
    flash = {}
    for n in range(2):
        nvs = FakeNvs(flash)
        nvs.commits_left = n
        raises(KeyboardInterrupt, State, nvs, SERIAL)
    key = flash["token_key"]
    state = boot(flash)
    assert state.token_key == key and state.boots == 1


def test_fault_makes_no_new_key():
    flash = {}
    boot(flash)
    before = dict(flash)
    nvs = FakeNvs(flash)
    nvs.fault = -0x1105
    raises(StateError, State, nvs, SERIAL)
    assert flash == before


def test_key_of_a_wrong_size():
    for size in (8, 24):
        flash = {"token_key": bytes(size)}
        raises(StateError, boot, flash)
        assert len(flash["token_key"]) == size


def test_boot_count_goes_on_after_its_end():
    for last in (0x7FFFFFFF, -5):
        assert boot({"token_key": bytes(16), "boots": last}).boots == 1


def test_nothing_but_a_configuration_leaves_the_factory_state():
    assert boot({"token_key": bytes(16), "life_cycle": 2}).life_cycle == "factory"
