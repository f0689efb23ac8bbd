from fakes import raises
from validator.crypto.des import DES, TripleDES, mac

# FIPS 81's example key with the text "Now is the time for all ", and SP 800-67's for three keys.
KEY = "0123456789abcdef"
TEXT = ("4e6f772069732074", "68652074696d6520", "666f7220616c6c20")
CIPHER = ("3fa40e8a984d4815", "6a271787ab8883f9", "893d51ec4b563b53")
KEYS = "0123456789abcdef23456789abcdef01456789abcdef0123"
FOX = b"The qufck brown fox jump"
FOX_CIPHER = "a826fd8ce53b855fcce21c8112256fe668d5c05dd9b6b900"


def of(text):
    return bytes.fromhex(text)


def test_published_blocks():
    key = DES(of(KEY))
    for text, cipher in zip(TEXT, CIPHER):
        assert key.encrypt(of(text)).hex() == cipher
        assert key.decrypt(of(cipher)).hex() == text


def test_each_table_entry_counts():
    # Rivest's test (1985): X0 = 9474B8E8C73BCA7D, sixteen steps end in 1B1A2DDB4C642438.
    x = of("9474b8e8c73bca7d")
    for i in range(16):
        x = DES(x).decrypt(x) if i & 1 else DES(x).encrypt(x)
    assert x.hex() == "1b1a2ddb4c642438"


def test_three_keys():
    key = TripleDES(of(KEYS))
    out = b"".join([key.encrypt(FOX[i : i + 8]) for i in (0, 8, 16)])
    assert out.hex() == FOX_CIPHER
    assert key.decrypt(out[8:16]) == FOX[8:16]


def test_two_keys_that_are_one():
    assert TripleDES(of(KEY + KEY)).encrypt(of(TEXT[0])) == of(CIPHER[0])


def test_parity_bits_do_not_count():
    assert DES(of("0022446688aaccee")).encrypt(of(TEXT[0])) == of(CIPHER[0])


def test_purse_arithmetic():
    session = TripleDES(of("11223344556677888877665544332211")).encrypt(of("1122334400000001"))
    assert session.hex() == "003238abc57659dd"
    key = DES(session)
    told = of("000010000600112233445520120229135100")
    assert mac(key, told)[:4].hex() == "f15cab75"
    assert mac(key, told[:4])[:4].hex() == "56988a13"


def test_mac_pads_a_full_block_too():
    key = DES(of(KEY))
    last = DES(of(KEY)).encrypt(of(TEXT[0]))
    expected = key.encrypt(bytes([last[0] ^ 0x80]) + last[1:])
    assert mac(key, of(TEXT[0])) == expected
    assert mac(key, b"") == key.encrypt(b"\x80" + bytes(7))


def test_lengths():
    raises(ValueError, DES, bytes(7))
    raises(ValueError, TripleDES, bytes(8))
    raises(ValueError, DES(bytes(8)).encrypt, bytes(9))
    raises(ValueError, TripleDES(bytes(16)).decrypt, bytes(7))
