"""The list of low-order points is complete: X25519 (RFC 7748) gives zero with them and with nothing else of ours."""

from __future__ import annotations

import base64

import pytest

from appliance.core.lint.keys import FIELD, LOW_ORDER
from tests.unit.config.examples import OFFICE, key, told

EDGES = [*sorted(LOW_ORDER), FIELD, FIELD + 1]


def x25519(scalar: int, u: int) -> int:
    """RFC 7748, section 5, with the scalar already clamped."""
    x2, z2, x3, z3, swap = 1, 0, u, 1, 0
    for bit in reversed(range(255)):
        now = scalar >> bit & 1
        if swap != now:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = now
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        da, cb = d * a % FIELD, c * b % FIELD
        x3, z3 = (da + cb) ** 2 % FIELD, u * (da - cb) ** 2 % FIELD
        x2, z2 = a * a * b * b % FIELD, (a * a - b * b) * (a * a + 121665 * (a * a - b * b)) % FIELD
    if swap:
        x2, x3, z2, z3 = x3, x2, z3, z2
    return x2 * pow(z2, FIELD - 2, FIELD) % FIELD


def text(number: int) -> str:
    return base64.b64encode(number.to_bytes(32, "little")).decode()


def office(public_key: str) -> str:
    peer = f"{{public_key: {public_key}, address: 10.20.0.2}}"
    return OFFICE + f"tunnels: {{office: {{addresses: 10.20.0.1/24, peers: {{a: {peer}}}}}}}\n"


def test_the_arithmetic_is_rfc_7748s() -> None:
    """The first vector of section 5.2."""
    scalar = number("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4")
    point = number("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")
    clamped = scalar & ~7 & (2**255 - 1) | 1 << 254
    assert x25519(clamped, point) == number("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552")


def number(hexadecimal: str) -> int:
    return int.from_bytes(bytes.fromhex(hexadecimal), "little")


@pytest.mark.parametrize("scalar", [1 << 254, (1 << 254) + 8, (1 << 255) - 8])
@pytest.mark.parametrize("point", sorted(LOW_ORDER))
def test_every_listed_point_gives_zero(point: int, scalar: int) -> None:
    assert x25519(scalar, point) == 0


@pytest.mark.parametrize("number", EDGES)
@pytest.mark.parametrize("top_bit", [0, 1 << 255])
def test_every_way_to_write_one_is_refused(number: int, top_bit: int) -> None:
    assert told(office(text(number | top_bit))) == [("tunnels", "office", "peers", "a", "public_key")]


@pytest.mark.parametrize("number", range(20))
def test_other_keys_are_fine(number: int) -> None:
    assert told(office(key(number))) == []
    assert x25519(1 << 254, int.from_bytes(base64.b64decode(key(number)), "little"))
