"""What is looked up by integers and bisection is what Python's ipaddress finds by trying everything."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from hypothesis import given
from hypothesis import strategies as st

from appliance.core.prefixes import Prefix, PrefixTable, Space, collapsed, prefix, prefix_text
from tests.unit.config.examples import PROPERTY

# Few addresses and all lengths: most of them overlap.
networks = st.builds(
    lambda address, length: IPv4Network((address << 28 | address << 3, length), strict=False),
    st.integers(0, 15),
    st.integers(0, 32),
)


@PROPERTY
@given(st.lists(networks), networks)
def test_around(written: list[IPv4Network], inner: IPv4Network) -> None:
    table: PrefixTable[IPv4Network] = PrefixTable()
    for network in written:
        table.add(prefix(network), network)
    found = list(table.around(prefix(inner)))
    assert sorted(found) == sorted(network for network in written if inner.subnet_of(network))
    assert found == sorted(found, key=lambda network: -network.prefixlen)


@PROPERTY
@given(st.lists(networks), networks)
def test_meets(written: list[IPv4Network], other: IPv4Network) -> None:
    assert Space(map(prefix, written)).meets(prefix(other)) == any(map(other.overlaps, written))


@PROPERTY
@given(networks, networks)
def test_holds(outer: IPv4Network, inner: IPv4Network) -> None:
    assert prefix(outer).holds(prefix(inner)) == inner.subnet_of(outer)


@PROPERTY
@given(st.lists(networks))
def test_collapsed(written: list[IPv4Network]) -> None:
    found = [prefix_text(at) for at in collapsed(map(prefix, written))]
    assert found == [str(network) for network in collapse_addresses(written)]


@PROPERTY
@given(st.integers(0, 2**128 - 1), st.integers(0, 128))
def test_written_as_people_do(address: int, length: int) -> None:
    six = IPv6Network((address, length), strict=False)
    four = IPv4Network((address & 0xFFFFFFFF, min(length, 32)), strict=False)
    assert (prefix_text(prefix(six)), prefix_text(prefix(four))) == (str(six), str(four))


def test_ip_versions_are_apart() -> None:
    table: PrefixTable[str] = PrefixTable()
    table.add(Prefix(4, 0, 0), "everything")
    assert list(table.around(Prefix(4, 1, 32))) == ["everything"]
    assert not list(table.around(Prefix(6, 1, 128)))
    assert not Space([Prefix(4, 0, 0)]).meets(Prefix(6, 1, 128))
