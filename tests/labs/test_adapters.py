"""The adapters against the real kernel: what is written is read back as the same value, twice is harmless, and a
refusal is a sentence."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from appliance.adapters.errors import Refused
from appliance.adapters.nft import Nft
from appliance.adapters.rtnetlink import RtNetlink
from appliance.core.state import DefaultRoute, Route, Rule
from tests.labs.own_network import in_own_network

ROUTES = (
    Route("10.1.0.0/16", "enp1s0"),
    Route("10.1.0.0/16", "", metric=1_000_000),
    Route("0.0.0.0/0", "enp1s0", 101, "203.0.113.1"),
    Route("0.0.0.0/0", "", 51, metric=1_000_000),
    Route("10.2.0.0/24", "enp1s0", gateway="203.0.113.9", mtu=1300),
    Route("10.3.0.7/32", "enp1s0", metric=5),
    Route("fd01::/48", "enp1s0"),
    Route("fd01::/48", "", metric=1_000_000),
    Route("::/0", "enp1s0", 51, "fd00::9"),
    Route("::/0", "", 51, metric=1_000_000),
)
RULES = (
    Rule(4, 5100, 254, suppress_prefix_length=0),
    Rule(6, 5100, 254, suppress_prefix_length=0),
    Rule(4, 5200, 101, source="203.0.113.2/32"),
    Rule(6, 5200, 101, source="fd00::1/128"),
    Rule(4, 5250, 101, mark=0x1000000, mask=0xFF000000),
    Rule(6, 5300, 51, mark=0x5700, mask=0xFFFF, invert=True),
    Rule(4, 5290, 254, user=991),
    Rule(6, 5290, 254, user=0),
    Rule(4, 5055, 0, mark=0x5700, mask=0xFFFF, destination="203.0.113.0/24"),
    Rule(6, 5055, 0, mark=0x5700, mask=0xFFFF, destination="2001:db8:1::/64"),
    Rule(4, 5265, 0, mark=0x5700, mask=0xFFFF),
)


@in_own_network
def test_routes_are_read_back_as_they_were_written() -> None:
    netlink = RtNetlink()
    for _ in range(2):
        netlink.add_routes(ROUTES)
    assert netlink.routes()[0] == set(ROUTES)
    for _ in range(2):
        netlink.delete_routes(ROUTES)
    assert netlink.routes()[0] == frozenset()


@in_own_network
def test_a_thousand_routes() -> None:
    netlink = RtNetlink()
    routes = [Route(f"10.{100 + i // 250}.{i % 250}.0/24", "enp1s0") for i in range(1000)]
    netlink.add_routes(routes)
    assert netlink.routes()[0] == set(routes)
    netlink.delete_routes(routes[:500])
    assert netlink.routes()[0] == set(routes[500:])


@in_own_network
def test_strangers_routes_and_rules_are_not_ours() -> None:
    netlink = RtNetlink()
    for line in (
        "route add default via 203.0.113.1 metric 100",
        "-6 route add default via fd00::9 dev enp1s0",
        "route add 10.9.0.0/16 via 203.0.113.1",
        "rule add from 10.9.0.0/16 lookup 7",
    ):
        subprocess.run(["ip", *line.split()], check=True)
    netlink.add_routes(ROUTES[:1])
    ours, defaults = netlink.routes()
    assert ours == {ROUTES[0]}
    assert set(defaults) == {DefaultRoute("enp1s0", "203.0.113.1", 100), DefaultRoute("enp1s0", "fd00::9", 1024)}
    assert netlink.rules() == frozenset()


@in_own_network
def test_what_is_lent_holds_for_its_time_and_is_confirmed_by_another_hand() -> None:
    netlink = RtNetlink()
    netlink.add_macvlan("lease-wan", "enp1s0", "6a:b5:d1:7c:15:e0", "appliance: lease wan")
    made = netlink.links()["lease-wan"]
    assert (made.kind, made.parent, made.mac, made.up) == ("macvlan", "enp1s0", "6a:b5:d1:7c:15:e0", False)
    netlink.set_link("lease-wan", up=True)
    lent = ("198.51.100.10/24", "2001:db8:51::10/64")
    for _ in range(2):
        for address, gateway in zip(lent, ("198.51.100.1", "fe80::1"), strict=True):
            netlink.lend_address("lease-wan", address, 500.7)
            netlink.lend_default("lease-wan", gateway, address, 100)
    link = netlink.links()["lease-wan"]
    assert link.provisional == set(lent)
    assert all(498 <= link.lifetimes[address] <= 500 for address in lent)
    ways = {DefaultRoute("lease-wan", "198.51.100.1", 100), DefaultRoute("lease-wan", "fe80::1", 100)}
    assert ways <= set(netlink.routes()[1])
    # As networkd does.
    for address in lent:
        subprocess.run(
            ["ip", "address", "replace", address, "valid_lft", "900", "preferred_lft", "900", "dev", "lease-wan"],
            check=True,
        )
    route = "route replace default via 198.51.100.1 dev lease-wan proto dhcp src 198.51.100.10 metric 100"
    subprocess.run(["ip", *route.split()], check=True)
    link = netlink.links()["lease-wan"]
    assert link.provisional == frozenset() and min(link.lifetimes[address] for address in lent) >= 898
    assert [each for each in netlink.routes()[1] if each.gateway == "198.51.100.1"] == [
        DefaultRoute("lease-wan", "198.51.100.1", 100)
    ]


@in_own_network
def test_rules_are_read_back_as_they_were_written() -> None:
    netlink = RtNetlink()
    for rule in RULES:
        netlink.add_rule(rule)
        netlink.add_rule(rule)
    assert netlink.rules() == set(RULES)
    for rule in RULES:
        netlink.delete_rule(rule)
        netlink.delete_rule(rule)
    assert netlink.rules() == frozenset()


@in_own_network
def test_addresses_and_links() -> None:
    netlink = RtNetlink()
    for address in ("10.20.0.1/24", "fd20::1/64"):
        netlink.add_address("enp1s0", address)
        netlink.add_address("enp1s0", address)
    netlink.set_link("enp1s0", mtu=1400, alias="appliance: test")
    link = netlink.links()["enp1s0"]
    assert {"10.20.0.1/24", "fd20::1/64", "203.0.113.2/24"} <= link.addresses
    assert (link.mtu, link.alias, link.up, link.kind) == (1400, "appliance: test", True, "veth")
    netlink.delete_address("enp1s0", "fd20::1/64")
    netlink.delete_address("enp1s0", "fd20::1/64")
    assert "fd20::1/64" not in netlink.links()["enp1s0"].addresses


@in_own_network
def test_refusals_are_sentences() -> None:
    netlink = RtNetlink()
    with pytest.raises(Refused, match="gateway is not reachable"):
        netlink.add_routes([Route("10.0.0.0/8", "enp1s0", gateway="9.9.9.9")])
    with pytest.raises(Refused, match="the device does not exist"):
        netlink.add_routes([Route("10.0.0.0/8", "enp9s0")])
    with pytest.raises(Refused, match="enp9s0 does not exist"):
        netlink.set_link("enp9s0", up=True)
    netlink.delete_link("enp9s0")


TABLE = """\
table inet appliance {{ comment "ours"; }}
flush table inet appliance
table inet appliance {{
    counter dropped {{ }}
    chain forward {{
        type filter hook forward priority filter; policy drop;
        {rule}
    }}
{more}}}
"""


@in_own_network
def test_a_ruleset_changed_by_anybody_is_no_longer_ours(tmp_path: Path) -> None:
    nft = Nft(tmp_path / "ruleset.json")
    text = TABLE.format(rule='iifname "a" accept', more="    chain extra {\n        accept\n    }\n")
    assert nft.read() == ""
    nft.load(text)
    assert nft.read() == text
    subprocess.run(["nft", "add table inet theirs"], check=True)
    assert nft.read() == text
    for change in (
        "insert rule inet appliance forward accept",
        "flush chain inet appliance extra",
        "add set inet appliance hole { type ipv4_addr; }",
        "delete table inet appliance",
    ):
        subprocess.run(["nft", change], check=True)
        assert nft.read() == "", change
        nft.load(text)
        assert nft.read() == text, change
        listing = subprocess.run(["nft", "list", "table", "inet", "appliance"], capture_output=True, text=True).stdout
        assert "hole" not in listing


@in_own_network
def test_what_the_new_text_lacks_is_gone_from_the_table(tmp_path: Path) -> None:
    nft = Nft(tmp_path / "ruleset.json")
    nft.load(TABLE.format(rule="jump extra", more="    chain extra {\n        accept\n    }\n"))
    nft.load(TABLE.format(rule="accept", more=""))
    listing = subprocess.run(["nft", "list", "table", "inet", "appliance"], capture_output=True, text=True).stdout
    assert "extra" not in listing and "accept" in listing


@in_own_network
def test_a_chain_of_ours_with_another_hook_is_made_anew(tmp_path: Path) -> None:
    nft = Nft(tmp_path / "ruleset.json")
    text = TABLE.format(rule="accept", more="")
    nft.load(text)
    subprocess.run(["nft", "delete table inet appliance; add table inet appliance"], check=True)
    other = "add chain inet appliance forward { type filter hook input priority 7; }"
    subprocess.run(["nft", other], check=True)
    nft.load(text)
    assert nft.read() == text


@in_own_network
def test_a_refused_ruleset_changes_nothing(tmp_path: Path) -> None:
    nft = Nft(tmp_path / "ruleset.json")
    text = TABLE.format(rule="accept", more="")
    nft.load(text)
    for wrong in ("jump nowhere", 'iifname "too-long-for-the-kernel" accept', "flow add @none"):
        with pytest.raises(Refused, match=r"the kernel refused the firewall: .*; the one before stands"):
            nft.load(TABLE.format(rule=wrong, more=""))
        assert nft.read() == text
