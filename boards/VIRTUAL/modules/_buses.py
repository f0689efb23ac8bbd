"""`machine.I2C`, `SPI`, `PWM`, `ADC` of the virtual board.

The I2C buses are empty but for the addresses in the board's parameters (the display), which take
every write; the board gets each transaction. SPI's far end is open.
"""

import errno

import vboard


class SoftI2C:
    _bus = 0

    def __init__(self, scl=None, sda=None, freq=400000, timeout=50000):
        pass

    def init(self, *args, **settings):
        pass

    def deinit(self):
        pass

    def scan(self):
        return list(vboard.parameters["i2c"])

    def _address(self, addr):
        if addr not in vboard.parameters["i2c"]:
            raise OSError(errno.ENODEV)

    def _send(self, addr, data):
        self._address(addr)
        vboard.tell("i2c %d %d %s" % (self._bus, addr, bytes(data).hex()))

    def writeto(self, addr, buf, stop=True):
        self._send(addr, buf)
        return len(buf)

    def writevto(self, addr, vector, stop=True):
        self._send(addr, b"".join(bytes(part) for part in vector))
        return len(vector)

    def readfrom_into(self, addr, buf, stop=True):
        self._address(addr)
        for n in range(len(buf)):
            buf[n] = 0

    def readfrom(self, addr, count, stop=True):
        self._address(addr)
        return bytes(count)

    def writeto_mem(self, addr, memaddr, buf, *, addrsize=8):
        self._send(addr, memaddr.to_bytes(addrsize // 8, "big") + bytes(buf))

    def readfrom_mem_into(self, addr, memaddr, buf, *, addrsize=8):
        self.readfrom_into(addr, buf)

    def readfrom_mem(self, addr, memaddr, count, *, addrsize=8):
        return self.readfrom(addr, count)


class I2C(SoftI2C):
    def __init__(self, id=0, scl=None, sda=None, freq=400000, timeout=50000):
        if id not in (0, 1):
            raise ValueError("I2C(%d) doesn't exist" % id)
        self._bus = id


class SoftSPI:
    MSB = 0
    LSB = 1

    def __init__(self, *args, **settings):
        pass

    def init(self, *args, **settings):
        pass

    def deinit(self):
        pass

    def write(self, buf):
        pass

    def read(self, count, write=0):
        return bytes(count)

    def readinto(self, buf, write=0):
        for n in range(len(buf)):
            buf[n] = 0

    def write_readinto(self, write_buf, read_buf):
        if len(write_buf) != len(read_buf):
            raise ValueError("buffers must be the same length")
        self.readinto(read_buf)


class SPI(SoftSPI):
    def __init__(self, id=1, *args, **settings):
        if id not in (1, 2):
            raise ValueError("SPI(%d) doesn't exist" % id)


class PWM:
    """Told to the board as `pwm PIN FREQ DUTY_U16`; duty 0 is silence."""

    def __init__(self, dest, freq=5000, duty=None, duty_u16=None, duty_ns=None, invert=False):
        from _pins import Pin

        self._pin = dest if isinstance(dest, Pin) else Pin(dest)
        self._freq = freq
        self._duty = 32768
        self._told = None
        self.init(freq=freq, duty=duty, duty_u16=duty_u16, duty_ns=duty_ns)

    def init(self, freq=None, duty=None, duty_u16=None, duty_ns=None, invert=False):
        if freq is not None:
            if not 1 <= freq <= 40000000:
                raise ValueError("frequency must be from 1Hz to 40MHz")
            self._freq = freq
        if duty is not None:
            self._duty = duty * 64
        if duty_u16 is not None:
            self._duty = duty_u16
        if duty_ns is not None:
            self._duty = duty_ns * self._freq * 65536 // 1000000000
        self._tell()

    def _tell(self):
        state = (self._freq, self._duty)
        if state != self._told:
            self._told = state
            vboard.tell("pwm %d %d %d" % (self._pin._id, self._freq, self._duty))

    def deinit(self):
        self._duty = 0
        self._tell()

    def freq(self, value=None):
        if value is None:
            return self._freq
        self.init(freq=value)

    def duty(self, value=None):
        if value is None:
            return self._duty // 64
        self.init(duty=value)

    def duty_u16(self, value=None):
        if value is None:
            return self._duty
        self.init(duty_u16=value)

    def duty_ns(self, value=None):
        if value is None:
            return self._duty * 1000000000 // (65536 * self._freq)
        self.init(duty_ns=value)


class ADC:
    ATTN_0DB = 0
    ATTN_2_5DB = 1
    ATTN_6DB = 2
    ATTN_11DB = 3
    WIDTH_12BIT = 12

    def __init__(self, pin, atten=None):
        pass

    def init(self, **settings):
        pass

    def atten(self, value):
        pass

    def width(self, value):
        pass

    def read(self):
        return 2048

    def read_u16(self):
        return 32768

    def read_uv(self):
        return 1650000
