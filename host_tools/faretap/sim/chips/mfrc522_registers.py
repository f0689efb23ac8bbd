"""The registers of the MFRC522: addresses, values after reset, writable bits (data sheet, 9)."""

from __future__ import annotations

COMMAND, COM_IEN, DIV_IEN, COM_IRQ, DIV_IRQ, ERROR = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
STATUS1, STATUS2, FIFO_DATA, FIFO_LEVEL, WATER_LEVEL = 0x07, 0x08, 0x09, 0x0A, 0x0B
CONTROL, BIT_FRAMING, COLL = 0x0C, 0x0D, 0x0E
MODE, TX_MODE, RX_MODE, TX_CONTROL, TX_ASK = 0x11, 0x12, 0x13, 0x14, 0x15
TX_SEL, RX_SEL, RX_THRESHOLD, DEMOD, MF_TX, MF_RX = 0x16, 0x17, 0x18, 0x19, 0x1C, 0x1D
SERIAL_SPEED = 0x1F
CRC_RESULT_H, CRC_RESULT_L, MOD_WIDTH, RF_CFG = 0x21, 0x22, 0x24, 0x26
GS_N, CW_GS_P, MOD_GS_P = 0x27, 0x28, 0x29
T_MODE, T_PRESCALER, T_RELOAD_H, T_RELOAD_L, T_COUNTER_H, T_COUNTER_L = range(0x2A, 0x30)
TEST_SEL1, TEST_SEL2, TEST_PIN_EN, TEST_PIN_VALUE, TEST_BUS = range(0x31, 0x36)
AUTO_TEST, VERSION, ANALOG_TEST, TEST_DAC1, TEST_DAC2, TEST_ADC = range(0x36, 0x3C)

# CommandReg
IDLE, MEM, GENERATE_RANDOM_ID, CALC_CRC, TRANSMIT = 0x0, 0x1, 0x2, 0x3, 0x4
NO_CMD_CHANGE, RECEIVE, TRANSCEIVE, MF_AUTHENT, SOFT_RESET = 0x7, 0x8, 0xC, 0xE, 0xF
RCV_OFF, POWER_DOWN = 0x20, 0x10

# ComIrqReg and DivIrqReg
TX_IRQ, RX_IRQ, IDLE_IRQ, HI_ALERT_IRQ, LO_ALERT_IRQ, ERR_IRQ, TIMER_IRQ = (
    0x40,
    0x20,
    0x10,
    0x08,
    0x04,
    0x02,
    0x01,
)
CRC_IRQ = 0x04

# ErrorReg
WR_ERR, TEMP_ERR, BUFFER_OVFL, COLL_ERR, CRC_ERR, PARITY_ERR, PROTOCOL_ERR = (
    0x80,
    0x40,
    0x10,
    0x08,
    0x04,
    0x02,
    0x01,
)

_RESET = {
    COMMAND: 0x20,
    COM_IEN: 0x80,
    COM_IRQ: 0x14,
    WATER_LEVEL: 0x08,
    CONTROL: 0x10,
    COLL: 0xA0,
    MODE: 0x3F,
    TX_CONTROL: 0x80,
    TX_SEL: 0x10,
    RX_SEL: 0x84,
    RX_THRESHOLD: 0x84,
    DEMOD: 0x4D,
    MF_TX: 0x62,
    SERIAL_SPEED: 0xEB,
    CRC_RESULT_H: 0xFF,
    CRC_RESULT_L: 0xFF,
    MOD_WIDTH: 0x26,
    RF_CFG: 0x48,
    GS_N: 0x88,
    CW_GS_P: 0x20,
    MOD_GS_P: 0x20,
    TEST_PIN_EN: 0x80,
    AUTO_TEST: 0x40,
}

# Bits that a write changes; a register that is not here is read-only or handled by itself.
WRITABLE = {
    COM_IEN: 0xFF,
    DIV_IEN: 0x94,
    STATUS2: 0xC0,
    WATER_LEVEL: 0x3F,
    MODE: 0xAB,
    TX_MODE: 0xF8,
    RX_MODE: 0xFC,
    TX_CONTROL: 0xFB,
    TX_ASK: 0x40,
    TX_SEL: 0x3F,
    RX_SEL: 0xFF,
    RX_THRESHOLD: 0xF7,
    DEMOD: 0xFF,
    MF_TX: 0x03,
    MF_RX: 0x10,
    SERIAL_SPEED: 0xFF,
    MOD_WIDTH: 0xFF,
    RF_CFG: 0x70,
    GS_N: 0xFF,
    CW_GS_P: 0x3F,
    MOD_GS_P: 0x3F,
    T_MODE: 0xFF,
    T_PRESCALER: 0xFF,
    T_RELOAD_H: 0xFF,
    T_RELOAD_L: 0xFF,
    TEST_SEL1: 0x07,
    TEST_SEL2: 0xFF,
    TEST_PIN_EN: 0xFE,
    TEST_PIN_VALUE: 0xFE,
    AUTO_TEST: 0x4F,
    ANALOG_TEST: 0xFF,
    TEST_DAC1: 0x3F,
    TEST_DAC2: 0x3F,
}

# What FIFO holds after the self-test of version 2.0 (data sheet, 16.1.1).
SELF_TEST = bytes.fromhex(
    "00EB66BA57BF2395D0E30D3D27895CDE9D3BA700215B8982513AEB020CA500497C844DB3CCD21B815D4876D5716121A9"
    "86968338CF9D5B6DDC15BA3E7D953B2F"
)


def self_test(version: int) -> bytes:
    """What FIFO holds after the self-test of that version; a clone's is not NXP's."""
    if version == 0x92:
        return SELF_TEST
    if version == 0x12:
        return bytes(64)
    return bytes((byte * 29 + version) & 0xFF for byte in range(64))


def reset_values(version: int) -> bytearray:
    registers = bytearray(64)
    for address, value in _RESET.items():
        registers[address] = value
    registers[VERSION] = version
    return registers
