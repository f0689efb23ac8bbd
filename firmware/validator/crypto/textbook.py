"""u1 * G + u2 * Q as the textbook has it: Jacobian, every special case, Python integers.

The kernels give up where an addition meets its own point or its negative. That takes a key or a
signature made for it (the key G itself, say); such a one is decided here, some hundred times more
slowly.
"""

from validator.crypto.program import bits


def double(point, a, p):
    x, y, z = point
    if not y or not z:
        return (1, 1, 0)
    yy = y * y % p
    s = 4 * x * yy % p
    m = (3 * x * x + a * z * z % p * z % p * z) % p
    x3 = (m * m - 2 * s) % p
    return (x3, (m * (s - x3) - 8 * yy * yy) % p, 2 * y * z % p)


def add(one, two, a, p):
    x1, y1, z1 = one
    x2, y2, z2 = two
    if not z1:
        return two
    if not z2:
        return one
    zz1 = z1 * z1 % p
    zz2 = z2 * z2 % p
    u1 = x1 * zz2 % p
    s1 = y1 * zz2 % p * z2 % p
    h = (x2 * zz1 - u1) % p
    r = (y2 * zz1 % p * z1 - s1) % p
    if not h:
        return (1, 1, 0) if r else double(one, a, p)
    hh = h * h % p
    hhh = hh * h % p
    v = u1 * hh % p
    x3 = (r * r - hhh - 2 * v) % p
    return (x3, (r * (v - x3) - s1 * hhh) % p, z1 * z2 % p * h % p)


def sum_of_two(u1, g, u2, q, a, p):
    """Affine (x, y) of u1 * g + u2 * q, or None for the point at infinity."""
    g = (g[0], g[1], 1)
    q = (q[0], q[1], 1)
    both = add(g, q, a, p)
    sums = (None, g, q, both)
    point = (1, 1, 0)
    for i in range(bits(max(u1, u2)) - 1, -1, -1):
        point = double(point, a, p)
        k = (u1 >> i & 1) | (u2 >> i & 1) << 1
        if k:
            point = add(point, sums[k], a, p)
    x, y, z = point
    if not z:
        return None
    inverse = pow(z, p - 2, p)
    square = inverse * inverse % p
    return (x * square % p, y * square % p * inverse % p)
