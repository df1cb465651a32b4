"""Networks inside one another, cut so that every address has one owner."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, ip_network

from hypothesis import given
from hypothesis import strategies as st

from appliance.core.firewall.spans import spans
from appliance.core.prefixes import prefix


def cut(*owned: tuple[str, str]) -> list[tuple[str, str]]:
    return [(span.text, span.owner) for span in spans((prefix(ip_network(net)), owner) for net, owner in owned)]


def test_networks_apart_stay_as_they_are() -> None:
    assert cut(("10.0.0.0/24", "a"), ("10.0.1.0/24", "b")) == [("10.0.0.0/24", "a"), ("10.0.1.0/24", "b")]


def test_the_smaller_network_is_cut_out_of_the_larger() -> None:
    assert cut(("10.0.0.0/24", "a"), ("10.0.0.128", "b")) == [
        ("10.0.0.0-10.0.0.127", "a"),
        ("10.0.0.128", "b"),
        ("10.0.0.129-10.0.0.255", "a"),
    ]


def test_an_owner_inside_itself_is_not_cut() -> None:
    assert cut(("10.0.0.0/24", "a"), ("10.0.0.128/25", "a")) == [("10.0.0.0/24", "a")]


def test_an_owner_comes_back_inside_another() -> None:
    assert cut(("10.0.0.0/8", "a"), ("10.1.0.0/16", "b"), ("10.1.1.0/24", "a")) == [
        ("10.0.0.0-10.0.255.255", "a"),
        ("10.1.0.0-10.1.0.255", "b"),
        ("10.1.1.0/24", "a"),
        ("10.1.2.0-10.1.255.255", "b"),
        ("10.2.0.0-10.255.255.255", "a"),
    ]


def test_the_last_owner_of_the_same_network_has_it() -> None:
    assert cut(("10.0.0.0/24", "a"), ("10.0.0.0/24", "b")) == [("10.0.0.0/24", "b")]


def test_nothing_is_left_of_a_network_that_others_fill() -> None:
    assert cut(("10.0.0.0/31", "a"), ("10.0.0.0", "b"), ("10.0.0.1", "c")) == [
        ("10.0.0.0", "b"),
        ("10.0.0.1", "c"),
    ]


def test_the_whole_of_ipv6() -> None:
    assert cut(("::/0", "a"), ("fd00::/8", "b")) == [
        ("::-fcff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "a"),
        ("fd00::/8", "b"),
        ("fe00::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "a"),
    ]


SMALL = st.tuples(st.integers(0, 255), st.integers(24, 32)).map(
    lambda drawn: IPv4Network((f"10.0.0.{drawn[0]}", drawn[1]), strict=False)
)


@given(st.lists(st.tuples(SMALL, st.sampled_from("abc"))))
def test_every_address_has_the_owner_of_the_smallest_network_around_it(
    owned: list[tuple[IPv4Network, str]],
) -> None:
    given_away: dict[int, str] = {}
    for span in spans((prefix(network), owner) for network, owner in owned):
        first, _, last = span.text.partition("-")
        network = IPv4Network(first)
        for address in range(int(network[0]), int(IPv4Address(last) if last else network[-1]) + 1):
            assert address not in given_away
            given_away[address] = span.owner
    latest = dict(owned)
    for host in IPv4Network("10.0.0.0/24"):
        around = [network for network in latest if host in network]
        wanted = latest[max(around, key=lambda network: network.prefixlen)] if around else None
        assert given_away.get(int(host)) == wanted
