"""Consumer-presented payment codes."""

from binascii import b2a_base64

from fakes import raises
from validator.media import cpm

# EMVCo's first published example.
EXAMPLE = b"hQVDUFYwMWEaTwegAAAAVVVVVw8SNFZ4kBI0WNGRIgESNF8="


def b64(data):
    return b2a_base64(data).strip()


def tlv(tag, value):
    return bytes.fromhex(tag) + bytes([len(value)]) + value


def code(*templates):
    return b64(tlv("85", b"CPV01") + b"".join(templates))


AID = tlv("4F", bytes.fromhex("A000000333010102"))


def test_emvcos_example():
    assert cpm.recognises(EXAMPLE)
    r = cpm.run(EXAMPLE)
    assert (r.medium, r.outcome, r.reason) == ("cpm", "declined", "unverified")
    assert r.token_source == b"1234567890123458"
    assert r.masked == "123456******3458"
    assert r.expiry == "1912"
    assert r.detail == {"scheme": "emv", "aid": "A0000000555555", "applications": 1}
    assert "7890123458" not in repr(r) + repr(r.detail)


def test_the_tenth_letter_depends_on_the_next_byte():
    # A common template 62 or a proprietary object may follow as well as 61.
    for follow in (b"\x61\x00", b"\x62\x00", b"\xff\x00", b"\x01\x00"):
        text = b64(tlv("85", b"CPV01") + follow)
        assert cpm.recognises(text)
    assert not cpm.recognises(b"hQVDUFYwN")
    assert not cpm.recognises(b"hQVDUFYw")


def test_two_applications_the_first_counts():
    first = tlv("61", AID + tlv("57", bytes.fromhex("6212345678901232D30122010000000F")))
    second = tlv("61", AID + tlv("57", bytes.fromhex("6299995678901239D31122010000000F")))
    r = cpm.run(code(first, second))
    assert r.masked == "621234******1232"
    assert r.expiry == "3012"
    assert r.detail["applications"] == 2


def test_pan_alone_and_no_number_at_all():
    r = cpm.run(
        code(tlv("61", AID + tlv("5A", bytes.fromhex("621234567890123456 7F".replace(" ", "")))))
    )
    assert r.token_source == b"6212345678901234567"
    assert r.expiry == ""
    r = cpm.run(code(tlv("61", AID)))
    assert r.token_source is None and r.masked == ""


def test_what_breaks_the_format_is_malformed_and_named():
    def why(text):
        return raises(ValueError, cpm.run, text).args[0]

    good = bytes.fromhex("6212345678901232D3012201")
    assert why(b64(tlv("85", b"CPV02") + tlv("61", AID))) == "format"
    assert why(code()) == "application"
    assert why(code(tlv("61", b"\x4f\x30"))) == "application"
    assert why(code(b"\x61\x7f")) == "tlv"
    assert why(code(tlv("61", tlv("4F", b"\xa0")))) == "aid"
    assert why(code(tlv("61", AID + tlv("57", good[:8])))) == "track_2"  # no separator
    assert why(code(tlv("61", AID + tlv("57", good[:10])))) == "track_2"  # no expiry
    assert why(code(tlv("61", AID + tlv("57", bytes(20))))) == "track_2"
    month_13 = bytes.fromhex("6212345678901232D3013201")
    assert why(code(tlv("61", AID + tlv("57", month_13)))) == "track_2"
    assert (
        why(code(tlv("61", AID + tlv("57", bytes.fromhex("62A2345678901232D3012201"))))) == "pan"
    )
    assert why(code(tlv("61", AID + tlv("5A", b"\x62")))) == "pan"
    assert why(EXAMPLE[:-2] + b"*=") == "base64"


def test_numeric_codes_by_start_and_length():
    for text, name in (
        (b"62" + b"1" * 17, "unionpay"),
        (b"62" + b"1" * 16, ""),
        (b"62" + b"1" * 18, ""),
        (b"10" + b"2" * 16, "wechat"),
        (b"15" + b"2" * 16, "wechat"),
        (b"09" + b"2" * 16, ""),
        (b"16" + b"2" * 16, ""),
        (b"13" + b"2" * 17, ""),
        (b"25" + b"3" * 14, "alipay"),
        (b"28" + b"3" * 16, "alipay"),
        (b"30" + b"3" * 22, "alipay"),
        (b"24" + b"3" * 16, ""),
        (b"31" + b"3" * 16, ""),
        (b"28" + b"3" * 13, ""),
        (b"28" + b"3" * 23, ""),
        (b"28" + b"3" * 15 + b"x", ""),
        (b"", ""),
    ):
        assert cpm.scheme(text) == name
        assert cpm.recognises(text) == bool(name)


def test_nothing_of_a_numeric_code_is_kept():
    r = cpm.run(b"134567890123456789")
    assert (r.outcome, r.reason, r.masked, r.token_source) == ("declined", "unverified", "", None)
    assert r.detail == {"scheme": "wechat"}


# EMVCo's second example: two applications, number and cryptogram in the common template.
SECOND = (
    b"hQVDUFYwMWETTwegAAAAVVVVUAhQcm9kdWN0MWETTwegAAAAZmZmUAhQcm9kdWN0MmJJWggSNFZ4kBI0WF8gDkNBUkRI"
    b"T0xERVIvRU1WXy0IcnVlc2RlZW5kIZ8QBwYBCgMAAACfJghYT9OF+iNLzJ82AgABnzcEbVjvEw=="
)
PAN = tlv("5A", bytes.fromhex("6200001234567894"))
TRACK = tlv("57", bytes.fromhex("6200001234567894D30122010000000F"))
CRYPTOGRAM = tlv("9F26", bytes.fromhex("1122334455667788"))
OTHER = tlv("4F", bytes.fromhex("A000000003101001"))


def fields(*templates, **options):
    c = cpm.parse(tlv("85", b"CPV01") + b"".join(templates), **options)
    return c["aid"][-6:], c["pan"], c["expiry"], c["cryptogram"].hex()[:4]


def test_emvcos_second_example():
    r = cpm.run(SECOND)
    assert r.token_source == b"1234567890123458" and r.expiry == ""
    assert r.detail == {"scheme": "emv", "aid": "A0000000555555", "applications": 2}
    rules = {"aids": None}
    assert bytes(cpm.verified(SECOND, rules, None)[1]).hex() == "584fd385fa234bcc"


def test_what_is_common_to_all_applications_may_stand_on_either_side():
    whole = ("010102", "6200001234567894", "3012", "1122")
    application = tlv("61", AID)
    for common in (
        tlv("62", TRACK + tlv("64", CRYPTOGRAM)),
        tlv("62", tlv("64", CRYPTOGRAM) + TRACK),
        tlv("62", tlv("64", TRACK + CRYPTOGRAM)),
        tlv("62", PAN + TRACK + CRYPTOGRAM),
        tlv("62", PAN + tlv("5F24", b"\x30\x12\x31") + CRYPTOGRAM),
        tlv("62", PAN + TRACK + tlv("5F24", b"\x49\x12\x31") + CRYPTOGRAM),  # the earlier one
    ):
        for templates in ((application, common), (common, application)):
            assert fields(*templates) == whole, common
    # One part here, one there; and the same twice.
    parted = tlv("61", AID + tlv("63", CRYPTOGRAM)), tlv("62", TRACK)
    assert fields(*parted) == whole
    parted = tlv("61", AID + TRACK), tlv("62", PAN + tlv("64", CRYPTOGRAM))
    assert fields(*parted) == whole
    parted = tlv("61", AID + TRACK + tlv("63", CRYPTOGRAM)), tlv("62", TRACK + CRYPTOGRAM)
    assert fields(*parted) == whole
    # A template of the other kind says nothing there, nor does an application that is not meant.
    assert fields(tlv("61", AID + tlv("64", CRYPTOGRAM)), tlv("62", tlv("63", TRACK)))[1:] == (
        "",
        "",
        "",
    )
    assert fields(application, tlv("61", OTHER + TRACK + tlv("63", CRYPTOGRAM)))[1] == ""


def test_the_first_application_that_the_operator_takes():
    templates = tlv("61", OTHER + PAN), tlv("61", AID + TRACK), tlv("61", AID + CRYPTOGRAM)
    assert fields(*templates)[:2] == ("101001", "6200001234567894")
    for aids in ([b"\xa0\0\0\3\x33"], [b"\xff", b"\xa0\0\0\3\x33\1\1\2"]):
        assert fields(*templates, aids=aids) == ("010102", "6200001234567894", "3012", "")
    assert fields(*templates, aids=[b"\xff"])[0] == "101001"
    assert fields(*templates, aids=[])[0] == "101001"


def test_hostile_templates():
    def why(*templates, **options):
        return raises(ValueError, lambda: fields(*templates, **options)).args[0]

    application = tlv("61", AID)
    other = tlv("5A", bytes.fromhex("6200001234567802"))
    more = tlv("9F26", bytes(8))
    for templates, name in (
        ((application, tlv("62", PAN), tlv("62", TRACK)), "common"),
        ((tlv("62", PAN),), "application"),
        ((application, b"\x62\x03\x5a\x30\0"), "common"),
        ((application, tlv("62", b"\x64\x05")), "common"),
        ((application, tlv("62", tlv("64", b"\x9f"))), "common"),
        ((tlv("61", AID + b"\x63\x40"),), "application"),
        ((application, b"\x62\x7f"), "tlv"),
        # Two values of one: which of them would the issuer take?
        ((tlv("61", AID + PAN + other),), "twice"),
        ((tlv("61", AID + PAN), tlv("62", other)), "twice"),
        ((tlv("61", AID + TRACK), tlv("62", other)), "pan"),
        ((tlv("61", AID + tlv("63", CRYPTOGRAM)), tlv("62", tlv("64", more))), "twice"),
        ((tlv("61", AID + tlv("63", CRYPTOGRAM) + tlv("63", more)),), "twice"),
        ((application, tlv("62", tlv("5A", b""))), "pan"),
        ((application, tlv("62", PAN + tlv("5F24", b"\x30\x13\x01"))), "expiry"),
        ((application, tlv("62", PAN + tlv("5F24", b"\x30"))), "expiry"),
        ((tlv("61", PAN), tlv("62", AID)), "aid"),
        ((application, tlv("61", PAN)), "aid"),
    ):
        assert why(*templates) == name, name
    # Templates in templates: nobody goes down there.
    deep = TRACK
    for _ in range(20):
        deep = tlv("64", deep)
    assert fields(application, tlv("62", deep))[1] == ""
