"""HMAC-SHA256 by the vectors of RFC 4231, and tokens."""

from fakes import raises
from validator.store.token import CARD_SCOPE, CODE_SCOPE, Hmac, Tokens, token

KEY = bytes(range(16))
PAN = b"6212345678907890"


def hmac(key, *data):
    return Hmac(key).digest(*data).hex()


def test_rfc_4231_case_1():
    assert (
        hmac(b"\x0b" * 20, b"Hi There")
        == "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
    )


def test_rfc_4231_case_2_short_key():
    assert (
        hmac(b"Jefe", b"what do ya want ", b"for nothing?")
        == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )


def test_rfc_4231_case_3():
    assert (
        hmac(b"\xaa" * 20, b"\xdd" * 50)
        == "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"
    )


def test_rfc_4231_case_4():
    assert (
        hmac(bytes(range(1, 26)), b"\xcd" * 50)
        == "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"
    )


def test_rfc_4231_case_5_truncated():
    assert hmac(b"\x0c" * 20, b"Test With Truncation")[:32] == "a3b6167473100ee06e0c796c2955552b"


def test_rfc_4231_case_6_key_longer_than_a_block():
    assert (
        hmac(b"\xaa" * 131, b"Test Using Larger Than Block-Size Key - Hash Key First")
        == "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
    )


def test_rfc_4231_case_7():
    data = (
        b"This is a test using a larger than block-size key and a larger than block-size data. "
        b"The key needs to be hashed before being used by the HMAC algorithm."
    )
    assert (
        hmac(b"\xaa" * 131, data)
        == "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"
    )


def test_token_is_the_start_of_the_hmac_over_scope_and_number():
    assert token(KEY, CARD_SCOPE, PAN) == Hmac(KEY).digest(b"\x01" + PAN)[:8]


def test_same_rider_same_token():
    tokens = Tokens(KEY)
    assert tokens.token(CARD_SCOPE, PAN) == tokens.token(CARD_SCOPE, PAN) == token(KEY, 1, PAN)
    assert tokens.token(CARD_SCOPE, memoryview(PAN)) == token(KEY, 1, PAN)


def test_other_number_scope_or_key_other_token():
    made = {
        token(KEY, CARD_SCOPE, PAN),
        token(KEY, CODE_SCOPE, PAN),
        token(KEY, CARD_SCOPE, PAN[:-1]),
        token(bytes(16), CARD_SCOPE, PAN),
    }
    assert len(made) == 4


def test_what_makes_no_token():
    raises(ValueError, token, KEY, CARD_SCOPE, b"")
    raises(ValueError, token, b"short", CARD_SCOPE, PAN)
