"""SM3 and SM4 against their standards."""

from fakes import raises
from validator.crypto.sm3 import SM3, sm3
from validator.crypto.sm4 import SM4


def test_sm3_of_abc_is_the_example_of_the_standard():
    want = "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    assert sm3(b"abc").hex() == want


def test_sm3_of_64_bytes_is_the_second_example():
    want = "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"
    assert sm3(b"abcd" * 16).hex() == want


def test_sm3_of_nothing():
    want = "1ab21d8355cfa17f8e61194831e81a8f22bec8c728fefb747ed035eb5082aa2b"
    assert sm3(b"").hex() == want


def test_sm3_streams_in_any_pieces():
    data = bytes([i * 7 & 255 for i in range(300)])
    whole = sm3(data)
    for cut in (0, 1, 55, 56, 63, 64, 65, 127, 128, 129, 299, 300):
        assert SM3(data[:cut]).update(data[cut:]).digest() == whole, cut
    h = SM3()
    for i in range(300):
        h.update(data[i : i + 1])
    assert h.digest() == whole


def test_sm3_goes_on_after_a_digest_and_copies_stand_alone():
    h = SM3(b"a" * 70)
    twin = h.copy()
    assert h.digest() == sm3(b"a" * 70)
    h.update(b"b")
    assert h.digest() == sm3(b"a" * 70 + b"b")
    assert twin.digest() == sm3(b"a" * 70)


def test_sm3_takes_memoryviews():
    data = bytes(range(200))
    assert sm3(memoryview(data)[3:190]) == sm3(data[3:190])


def test_sm4_encrypts_the_example_of_the_standard():
    key = bytes.fromhex("0123456789abcdeffedcba9876543210")
    sm4 = SM4(key)
    assert sm4.encrypt(key).hex() == "681edf34d206965e86b3e94f536e4246"
    assert sm4.decrypt(sm4.encrypt(key)) == key


def test_sm4_encrypts_many_times():
    # The standard's second example is a million rounds; its beginning is checked by decrypting.
    block = key = bytes.fromhex("0123456789abcdeffedcba9876543210")
    sm4 = SM4(key)
    for _ in range(50):
        block = sm4.encrypt(block)
    assert block != key
    for _ in range(50):
        block = sm4.decrypt(block)
    assert block == key


def test_sm4_refuses_other_lengths():
    raises(ValueError, SM4, b"short")
    raises(ValueError, SM4(bytes(16)).encrypt, bytes(15))
    raises(ValueError, SM4(bytes(16)).decrypt, bytes(17))
