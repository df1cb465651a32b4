"""IPv6 inside and outside of the tunnel; hosts make themselves an address from what the box announces.

                       internet 2001:db8:f::1
            2001:db8:203::1 │     │ 2001:db8:198::1
       ┌────────────────────┘     └──────┐
   wan │ ::2                         wan │ ::2
 ┌─────┴─────┐                     ┌─────┴─────┐
 │  zurich   │ ════ office ══════ │  geneva   │    10.20.0.0/24, fd00:20::/64
 └─────┬─────┘                     └─────┬─────┘
   lan │ 192.168.10.1                lan │ 192.168.20.1
       │ 2001:db8:10::1/64               │ 2001:db8:20::1/64
┌──────┴──────┐                   ┌──────┴──────┐
│ office host │ SLAAC             │ branch host │ SLAAC
└─────────────┘                   └─────────────┘
"""

from __future__ import annotations

import re

import pytest

from tests.lab import Box, Lab, Node, capture, genkey, transfer, wait_for
from tests.labs.office import peer_state, status
from tests.labs.wiring import boot, configure, fetch, give_key, pings, serving

WEB = "2001:db8:f::1"

SITE = """\
version: 1
site: {name}
boxes:
  {name}:
    interfaces:
      wan: {{device: enp1s0, address: "2001:db8:{wan}::2/64", gateway: "2001:db8:{wan}::1"}}
      lan: {{device: enp2s0, address: [192.168.{lan}.1/24, "2001:db8:{lan}::1/64"]}}
tunnels:
  office:
    listen_port: 51820
    addresses: [10.20.0.{number}/24, "fd00:20::{number}/64"]
    peers:
      {peer}:
        public_key: {key}
        endpoint: "[2001:db8:{peer_wan}::2]:51820"
        address: [10.20.0.{peer_number}, "fd00:20::{peer_number}"]
        networks: [192.168.{peer_lan}.0/24, "2001:db8:{peer_lan}::/64"]
{calls}firewall:
  allow:
    - {{from: lan, to: wan}}
    - {{from: lan, to: office}}
    - {{from: office, to: lan, services: [ping, http]}}
    - {{from: office, to: lan, ports: [tcp/20000-30000]}}
"""
# Only zurich calls: two that call each other at the very same moment, again and again, need luck to meet.
SITES = {
    "zurich": {"name": "zurich", "wan": 203, "lan": 10, "number": 1, "calls": "        keepalive: 5\n"},
    "geneva": {"name": "geneva", "wan": 198, "lan": 20, "number": 2, "calls": ""},
}


class Drawing:
    def __init__(self, lab: Lab) -> None:
        self.internet: Node = lab.node("internet")
        self.internet.sh(f"ip address add {WEB}/128 dev lo")
        self.boxes: dict[str, Box] = {}
        self.hosts: dict[str, Node] = {}
        for name, site in SITES.items():
            wan, lan = lab.switch(f"{name}-wan"), lab.switch(f"{name}-lan")
            self.internet.attach(wan, name, [f"2001:db8:{site['wan']}::1/64"])
            self.internet.sh(f"ip -6 route add 2001:db8:{site['lan']}::/64 via 2001:db8:{site['wan']}::2")
            self.boxes[name] = lab.box(name)
            self.boxes[name].attach(wan, "enp1s0")
            self.boxes[name].attach(lan, "enp2s0")
            self.hosts[name] = lab.node(f"{name}-host")
            self.hosts[name].attach(lan, "eth0", [f"192.168.{site['lan']}.20/24"], gateway=f"192.168.{site['lan']}.1")
        self.internet.forward()
        boot(*self.boxes.values())
        keys = {name: genkey() for name in SITES}
        for name, peer in (("geneva", "zurich"), ("zurich", "geneva")):
            give_key(self.boxes[name], "office", keys[name])
            other = {f"peer_{key}": value for key, value in SITES[peer].items()}
            configure(self.boxes[name], SITE.format(**SITES[name], **other, peer=peer, key=keys[peer].public))


@pytest.fixture(scope="module")
def drawing(shared_lab: Lab) -> Drawing:
    return Drawing(shared_lab)


def slaac(node: Node) -> str:
    """The address that the host has made itself; it comes with the first router advertisement."""
    found = wait_for(
        lambda: re.search(r"inet6 (2001:\S+)/64 .*dynamic", node.sh("ip -6 -o address show dev eth0")),
        20,
        f"{node.name} has an address by SLAAC",
    )
    assert found
    return found[1]


def test_hosts_get_an_address_and_a_way_out(drawing: Drawing) -> None:
    for name, host in drawing.hosts.items():
        address = slaac(host)
        assert address.startswith(f"2001:db8:{SITES[name]['lan']}:")
        assert "default via fe80:" in host.sh("ip -6 route show default")
        host.ping(WEB, timeout=10)
        print(f"{host.name}: {address}")


def test_a_host_that_comes_later_need_not_wait(drawing: Drawing, shared_lab: Lab) -> None:
    """A router solicitation is answered; the next advertisement by itself is minutes away."""
    late = shared_lab.node("late")
    late.attach(drawing.hosts["zurich"].links[0].switch, "eth0")
    assert slaac(late).startswith("2001:db8:10:")
    late.ping(WEB, timeout=10)


def test_both_families_inside_over_ipv6_outside(drawing: Drawing) -> None:
    office, branch = drawing.hosts["zurich"], drawing.hosts["geneva"]
    with capture(drawing.internet, "zurich", "ip6 and udp port 51820") as outer:
        office.ping("192.168.20.20", timeout=20)
        office.ping(slaac(branch), timeout=20)
        outer.wait("2001:db8:203::2.51820 > 2001:db8:198::2.51820")
    assert peer_state(drawing.boxes["zurich"], "office.geneva")["endpoint"] == "[2001:db8:198::2]:51820"
    assert status(drawing.boxes["zurich"])["tunnels"][0]["mtu"] == 1500 - 80
    v4 = transfer(office, branch, "192.168.20.20", 3_000_000)
    v6 = transfer(office, branch, slaac(branch), 3_000_000)
    print(f"through the tunnel over IPv6: IPv4 {v4:.0f} Mbit/s, IPv6 {v6:.0f} Mbit/s")


@pytest.mark.parametrize(("family", "headers"), [(4, 40), (6, 60)])
def test_segments_fit_the_tunnel(drawing: Drawing, family: int, headers: int) -> None:
    """Both ends announce 1,460 or 1,440; what arrives at the other end is the tunnel's MTU less the headers."""
    office, branch = drawing.hosts["zurich"], drawing.hosts["geneva"]
    address = "192.168.20.20" if family == 4 else slaac(branch)
    syn = "tcp[tcpflags] & tcp-syn != 0" if family == 4 else "ip6 and tcp and ip6[53] & 2 != 0"
    with serving(branch, 80), capture(branch, "eth0", syn) as there, capture(office, "eth0", syn) as here:
        assert fetch(office, address, 80) == "here"
    want = f"mss {1420 - headers},"
    assert want in next(line for line in there.lines if "[S]" in line)
    assert want in next(line for line in here.lines if "[S.]" in line)


def test_the_firewall_holds_for_ipv6(drawing: Drawing) -> None:
    """From the internet nothing reaches a host; from the branch only what is allowed."""
    office, branch = drawing.hosts["zurich"], drawing.hosts["geneva"]
    address = slaac(office)
    with serving(office, 80), serving(office, 22), capture(office, "eth0", f"ip6 and src {WEB}") as inside:
        assert not pings(drawing.internet, address)
        assert fetch(drawing.internet, address, 80) == ""
        assert fetch(branch, address, 22) == ""
        assert fetch(branch, address, 80) == "here"
    assert inside.lines == []
    drawing.internet.ping("2001:db8:203::2")
    assert fetch(drawing.internet, "2001:db8:203::2", 53) == ""
