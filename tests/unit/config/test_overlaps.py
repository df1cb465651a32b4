"""Overlapping networks, against comparing everything with everything."""

from __future__ import annotations

from ipaddress import IPv4Network
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.config.examples import OFFICE, PROPERTY, key, told

networks = st.builds(
    lambda number, length: IPv4Network((0xAC100000 | number << 8, length), strict=False),
    st.integers(0, 63),
    st.sampled_from([18, 20, 22, 23, 24, 24, 24]),
)
tunnels = st.lists(st.lists(networks, max_size=4, unique=True), min_size=1, max_size=3)


@PROPERTY
@given(tunnels)
def test_something_is_told_exactly_when_two_overlap(written: list[list[IPv4Network]]) -> None:
    """One network per peer; the first tunnel's network lies among them."""
    text = OFFICE + "tunnels:\n"
    number = 0
    for position, peers in enumerate(written):
        text += f"  t{position}:\n    addresses: [{'172.16.9' if not position else f'10.20.{position}'}.1/24]\n"
        text += "    peers:\n" if peers else ""
        for network in peers:
            number += 1
            text += f"      p{number}: {{public_key: {key(number)}, networks: [{network}]}}\n"
    everything = [network for peers in written for network in peers]
    first = IPv4Network("172.16.9.0/24")
    others = [network for peers in written[1:] for network in peers]
    clash = any(one.overlaps(other) for one, other in combinations(everything, 2))
    assert bool(told(text)) == (clash or any(map(first.overlaps, others)))
