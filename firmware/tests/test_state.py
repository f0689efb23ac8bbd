"""What a validator keeps across boots, with an NVS in memory that can lose its power."""

from fakes import raises
from validator.store.state import State

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
    assert state.lost == ""
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
    state = State(nvs, SERIAL)
    assert "cannot be read" in state.lost and state.token_key is None
    assert flash == before == nvs.pending


def test_key_of_a_wrong_size():
    for size in (8, 24):
        flash = {"token_key": bytes(size), "boots": 3}
        assert boot(flash).token_key is None
        assert len(flash["token_key"]) == size


def test_what_was_lost_is_not_made_anew():
    """NVS is empty, and other flash is not: as often as it starts."""
    flash = {}
    for _ in range(3):
        state = State(FakeNvs(flash), SERIAL, lambda: True)
        assert state.lost and state.token_key is None and state.boots == 1
        assert flash == {}
        state.after(41)  # the journal tells of a later boot
        assert state.boots == 42 and flash == {}
    # The operator has claimed it again: it counts on, and has no key of its own.
    flash["operator_key"] = bytes(64)
    state = State(FakeNvs(flash), SERIAL, lambda: True)
    assert not state.lost and state.token_key is None
    state.after(41)
    assert state.boots == 42 and flash["boots"] == 42
    assert boot(flash).boots == 43 and boot(flash).token_key is None


def test_each_name_that_is_lost_alone():
    whole = {"token_key": bytes(16), "boots": 9, "operator_key": bytes(64)}
    for used in (lambda: True, lambda: False):
        flash = dict(whole)
        del flash["token_key"]
        state = State(FakeNvs(flash), SERIAL, used)
        assert state.token_key is None and state.boots == 10 and "token_key" not in flash
        flash = dict(whole)
        del flash["boots"]
        state = State(FakeNvs(flash), SERIAL, used)
        assert state.token_key == bytes(16) and state.boots == 1
        state.after(9)
        assert state.boots == 10 and flash["boots"] == 10
        flash = dict(whole)
        del flash["operator_key"]
        state = State(FakeNvs(flash), SERIAL, used)
        assert state.token_key == bytes(16) and state.boots == 10 and not state.lost


def test_a_count_that_was_set_back_goes_on_where_the_records_are():
    flash = {"token_key": bytes(16), "boots": 5}
    state = boot(flash)
    state.after(3)
    assert state.boots == 6
    state.after(77)
    assert state.boots == 78 and flash["boots"] == 78
    state.after(0x7FFFFFFF)
    assert state.boots == 78


def test_boot_count_goes_on_after_its_end():
    for last in (0x7FFFFFFF, -5):
        assert boot({"token_key": bytes(16), "boots": last}).boots == 1
