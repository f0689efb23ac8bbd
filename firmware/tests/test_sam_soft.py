from fakes import run
from validator.media import purse_rules
from validator.sam import PsamError
from validator.sam.soft import SoftPsam
from validator.sam.tries import Tries

# The published example: purchase key, random, counter, serial's low bytes, and what is signed.
DPK = "11223344556677888877665544332211"
TOLD = "1122334400000000100006201202291351000101"
CARD = "1122334455667788"
ISSUER = "01042100ffffffff"


def soft(**entry):
    made = {"terminal": "001122334455", "key": DPK, "serial": 0, "form": "14"}
    made.update(entry)
    return SoftPsam(purse_rules.load({"soft_psam": made})["soft_psam"][0], Tries())


def test_published_example():
    psam = soft()
    serial, mac1 = run(psam.mac1(bytes.fromhex(TOLD)))
    assert serial == b"\0\0\0\1" == psam.session and mac1.hex() == "f15cab75"
    assert run(psam.check(bytes.fromhex("56988a13"))) is True
    assert run(psam.check(bytes.fromhex("56988a13"))) is None
    run(psam.mac1(bytes.fromhex(TOLD)))
    assert run(psam.check(bytes.fromhex("56988a13"))) is False  # another serial, another session


def test_mac2_knows_the_low_bytes_of_the_serial_and_no_terminal():
    # What docs/security.md says of a MAC2 that was seen: it comes round again.
    told = bytes.fromhex(TOLD)
    for serial, again in ((0x10000, True), (0x10001, False)):
        psam = soft(serial=serial, terminal="665544332211")
        assert run(psam.mac1(told))[1].hex() != "f15cab75", "the card would refuse it"
        assert run(psam.check(bytes.fromhex("56988a13"))) is again


def test_each_form_takes_its_part():
    told = bytes.fromhex(TOLD + CARD + ISSUER)
    macs = {run(soft(form=form).mac1(told))[1] for form in ("14", "1C", "24")}
    assert len(macs) == 3
    assert run(soft().mac1(told)) == run(soft().mac1(told[:20]))


def test_serials_go_on():
    psam = soft(serial=0x3FFFFFFE)
    told = bytes.fromhex(TOLD)
    assert run(psam.mac1(told))[0].hex() == "3fffffff"
    assert run(psam.mac1(told))[0].hex() == "00000000"
    del psam
    made = {"terminal": "001122334455", "key": DPK}
    entry = purse_rules.load({"soft_psam": made})["soft_psam"][0]
    data = bytes.fromhex(TOLD + CARD + ISSUER)
    firsts = {run(SoftPsam(entry, Tries()).mac1(data))[0] for _ in range(4)}
    assert len(firsts) > 1  # a restart does not begin with the same numbers again


def test_sm4_needs_its_own_key():
    told = bytes.fromhex(TOLD[:-2] + "04" + CARD + ISSUER)
    try:
        run(soft(form="24").mac1(told))
        raise AssertionError("did not raise")
    except PsamError as e:
        assert str(e) == "no key for SM4"
    psam = soft(form="24", sm4_key=DPK)
    _, mac1 = run(psam.mac1(told))
    assert mac1 != run(soft(form="24").mac1(bytes.fromhex(TOLD + CARD + ISSUER)))[1]
    assert run(psam.check(bytes(4))) is False
