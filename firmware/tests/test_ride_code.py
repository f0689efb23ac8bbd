"""MoT ride code: every field of the vector, and every rule broken once."""

from fakes import raises
from validator.media import ride_code

# The synthetic vector: issuer 99990000, generated 1893456000, expiry a day later, limit 20.00.
VECTOR = bytes.fromhex(
    "80014924010100007F1299990000124000000104040021027706B5084826D9E2F9EBFCB2D16BF1B002072EB69197"
    "DA0D3071EF1E734EE5A500E63B8CB1010807EE0AC5BB95DEC3387B242B78FF201BC427546D513FEA759C2E423C09"
    "D957FE2BCBF2D038F139DEA241842512CF8BD389CA4618CC9150E579393939393030303030303030303030319999"
    "000000000000001F9999000099990001000007D00382A7D53277999F27E537BA0107C01AE0BDEACB144DDA8C5D50"
    "421873E89BF6DD70DD2A0002580015904DE203A7211A382EA4962FBC57E1DEA614ADA9BF19D0F858AFE1E4B26CB9"
    "40701D629D275FAB4CC851569CBB17161E335966B2ED86145D074801C2D7C8C55770DBD88015AED3DCEEF3DB30FD"
    "2AEC3C938909A5095874CB4ED9F605CB85C92CA5573820A5415B13C03AC94B0BBBCC1DB7BA73DF4BDD141A0B1571"
    "FB1CD7BF110CA0C57032"
)


def changed(**bytes_at):
    code = bytearray(VECTOR)
    for at, value in bytes_at.items():
        code[int(at[1:])] = value
    return bytes(code)


def with_custom(n):
    total = 332 + n
    head = VECTOR[:1] + (total - 3).to_bytes(2, "big") + VECTOR[3:197]
    return head + bytes([n]) + b"\x0d\x0a\x00\xff"[:1] * n + VECTOR[198:]


def why(code):
    return raises(ValueError, ride_code.parse, code).args[0]


def test_every_field_of_the_vector():
    assert len(VECTOR) == 332
    c = ride_code.parse(VECTOR)
    assert c["version"] == 0x80
    assert bytes(c["account"]) == b"9999000000000001"
    assert c["card"] == "9999000000000000001"
    assert c["issuer"] == "99990000"
    assert c["platform"] == "99990001"
    assert c["card_type"] == 0
    assert c["limit"] == 2000
    assert bytes(c["user_key"][:3]) == b"\x03\x82\xa7" and len(c["user_key"]) == 33
    assert c["expires"] == 1893542400
    assert c["validity"] == 600
    assert len(c["custom"]) == 0
    assert bytes(c["issuer_signature"][:3]) == b"\x15\x90\x4d"
    assert len(c["issuer_signature"]) == 65
    assert c["generated"] == 1893456000
    assert bytes(c["user_signature"]) == VECTOR[267:]
    assert bytes(c["issuer_signed"]) == VECTOR[3:198]
    assert bytes(c["user_signed"]) == VECTOR[:267]


def test_the_certificate_of_the_vector():
    cert = ride_code.parse(VECTOR)["certificate"]
    assert bytes(cert["service"]) == b"\x01\x01\x00\x00"
    assert cert["root_index"] == 0x7F
    assert cert["issuer"] == "99990000"
    assert cert["expiry"] == "4012"
    assert bytes(cert["serial"]) == b"\x00\x00\x01"
    assert bytes(cert["key"]) == VECTOR[23:56]
    assert bytes(cert["signature"]) == VECTOR[56:120]
    assert bytes(cert["signed"]) == VECTOR[9:56]


def test_a_custom_field_moves_what_follows_it():
    for n in (1, 4, 32):
        code = with_custom(n)
        assert len(code) == 332 + n
        c = ride_code.parse(code)
        assert bytes(c["custom"]) == b"\x0d" * n
        assert c["generated"] == 1893456000
        assert bytes(c["user_signature"]) == VECTOR[267:]
        assert len(c["issuer_signed"]) == 195 + n
        assert len(c["user_signed"]) == 267 + n


def test_the_result_shows_six_and_four_digits_only():
    r = ride_code.run(VECTOR)
    assert (r.medium, r.outcome, r.reason) == ("ride_code", "declined", "unverified")
    assert r.masked == "999900******0001"
    assert r.token_source == b"9999000000000000001"
    assert r.expiry == "3001"
    assert r.evidence is None and r.balance is None
    assert r.detail == {
        "version": 0x80,
        "issuer": "99990000",
        "platform": "99990001",
        "card_type": 0,
        "limit": 2000,
        "generated": 1893456000,
        "validity": 600,
        "expires": 1893542400,
        "root": 0x7F,
    }


def test_every_length_rule():
    assert why(b"") == "length"
    assert why(VECTOR[:-1]) == "length"
    assert why(VECTOR + bytes(33)) == "length"
    assert why(VECTOR + b"\x00") == "data_length"
    assert why(changed(b2=0x48)) == "data_length"
    assert why(changed(b197=1)) == "custom_length"
    assert why(with_custom(33)) == "length"
    longer = bytearray(with_custom(32))
    longer[197] = 0x21
    assert why(bytes(longer)) == "custom_length"


def test_every_field_that_has_a_rule():
    assert why(changed(b0=0x7F)) == "version"
    assert why(changed(b3=0x23)) == "certificate"
    assert why(changed(b9=0x13)) == "certificate_format"
    assert why(changed(b10=0x9A)) == "certificate_issuer"
    assert why(changed(b14=0x13)) == "certificate_expiry"
    assert why(changed(b14=0x00)) == "certificate_expiry"
    assert why(changed(b15=0xA0)) == "certificate_expiry"
    assert why(changed(b19=0x03)) == "certificate_algorithm"
    assert why(changed(b20=0x03)) == "certificate_algorithm"
    assert why(changed(b22=0x20)) == "certificate_key"
    assert why(changed(b23=0x04)) == "certificate_key"
    assert why(changed(b136=0xA9)) == "card"
    assert why(changed(b144=0x0F, b145=0xFF)) == "card"  # 17 digits
    assert why(changed(b146=0xF0)) == "issuer"
    assert why(changed(b153=0x0F)) == "platform"
    assert why(changed(b158=0x04)) == "user_key"


def test_what_real_codes_do_differently_is_let_through():
    c = ride_code.parse(changed(b0=0xFF, b198=0x21, b154=0x77, b145=0x12))
    assert c["version"] == 0xFF
    assert c["card_type"] == 0x77
    assert c["issuer_signature"][0] == 0x21
    assert c["card"] == "99990000000000000012"  # twenty digits


def test_months_of_the_calendar():
    for seconds, month in (
        (0, "7001"),
        (951782400, "0002"),  # 2000-02-29
        (951868799, "0002"),
        (951868800, "0003"),
        (1735689599, "2412"),
        (1735689600, "2501"),
        (4102444800, "0001"),  # 2100
        (4294967295, "0602"),  # 2106-02-07, the last of 32 bits
    ):
        assert ride_code.year_month(seconds) == month
