"""A line that hands out its addresses: DHCPv4, router advertisements, and a delegated prefix for the office.

         internet
203.0.113.1 │ 2001:db8:203::1    DHCPv4 and DNS (dnsmasq), router advertisements (radvd),
            │                    DHCPv6 prefix delegation (kea)
        wan │ dhcp, ra
      ┌─────┴─────┐
      │  zurich   │ ══ office ══ alice (wg-quick, 198.51.100.7)
      └─────┬─────┘
        lan │ 192.168.10.1, a /64 of what was delegated
      ┌─────┴─────┐
      │ host  .20 │
      └───────────┘
"""

from __future__ import annotations

import json
import re

import pytest

from tests.lab import Box, Lab, Node, capture, genkey, wait_for, wg_quick_peer
from tests.labs.office import in_order, peer_state
from tests.labs.wiring import boot, configure, fetch, give_key, pings, serving

HOST = "192.168.10.20"
WEB = "2001:db8:f::1"

ZURICH = """\
version: 1
site: zurich
boxes:
  zurich:
    interfaces:
      wan: {device: enp1s0, address: [dhcp, ra]}
      lan: {device: enp2s0, address: 192.168.10.1/24, delegated_from: wan}
tunnels:
  office:
    listen_port: 51820
    addresses: [10.20.0.1/24]
    peers:
      alice: {public_key: ALICE, endpoint: "198.51.100.7:51820", address: 10.20.0.10, keepalive: 5}
firewall:
  allow:
    - {from: lan, to: wan}
    - {from: office.alice, to: lan}
  masquerade: [wan]
"""

RADVD = """\
interface zurich {
  AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; AdvOtherConfigFlag on;
  prefix 2001:db8:203::/64 { };
};
"""
KEA = {
    "Dhcp6": {
        "interfaces-config": {"interfaces": ["zurich"]},
        "lease-database": {"type": "memfile", "persist": False},
        "subnet6": [
            {
                "id": 1,
                "subnet": "2001:db8:203::/64",
                "interface": "zurich",
                "pd-pools": [{"prefix": "2001:db8:1000::", "prefix-len": 48, "delegated-len": 56}],
            }
        ],
        "loggers": [{"name": "kea-dhcp6", "severity": "INFO", "output_options": [{"output": "stdout"}]}],
    }
}


class Drawing:
    def __init__(self, lab: Lab) -> None:
        wan, lan, elsewhere = lab.switch("wan"), lab.switch("lan"), lab.switch("elsewhere")
        self.internet: Node = lab.node("internet")
        self.internet.attach(wan, "zurich", ["203.0.113.1/24", "2001:db8:203::1/64"])
        self.internet.attach(elsewhere, "alice", ["198.51.100.1/24"])
        self.internet.sh(f"ip address add {WEB}/128 dev lo")
        self.internet.forward()
        self.zurich: Box = lab.box("zurich")
        self.wan = self.zurich.attach(wan, "enp1s0")
        self.zurich.attach(lan, "enp2s0")
        self.host: Node = lab.node("host")
        self.host.attach(lan, "eth0", [f"{HOST}/24"], gateway="192.168.10.1")
        self.alice: Node = lab.node("alice")
        self.alice.attach(elsewhere, "eth0", ["198.51.100.7/24"], gateway="198.51.100.1")
        ours, hers = genkey(), genkey()
        boot(self.zurich)
        give_key(self.zurich, "office", ours)
        wg_quick_peer(
            self.alice,
            f"[Interface]\nPrivateKey = {hers.private}\nAddress = 10.20.0.10/32\nListenPort = 51820\n"
            f"[Peer]\nPublicKey = {ours.public}\nAllowedIPs = 10.20.0.0/24, 192.168.10.0/24\n",
        )
        self.text = ZURICH.replace("ALICE", hers.public)

    def dhcp(self, first: int, last: int) -> None:
        """The provider hands out these host numbers and nothing else, and knows no earlier lease."""
        self.internet.sh("! test -e /run/dhcp.pid || kill $(cat /run/dhcp.pid); rm -f /run/dhcp.leases")
        wait_for(lambda: ":67 " not in self.internet.sh("ss -Hlun"), 5, "the DHCP server before is gone")
        self.internet.run(
            *("dnsmasq", "--no-resolv", "--no-hosts", "--pid-file=/run/dhcp.pid", "--interface=zurich"),
            *("--bind-dynamic", "--dhcp-leasefile=/run/dhcp.leases", "--dhcp-authoritative", "--no-ping"),
            f"--dhcp-range=203.0.113.{first},203.0.113.{last},255.255.255.0,10m",
            "--address=/somewhere.example.net/192.0.2.99",
        )

    def ipv6(self) -> None:
        self.internet.put("/run/radvd.conf", RADVD)
        self.internet.run("radvd", "--config=/run/radvd.conf", "--pidfile=/run/radvd.pid", "--logmethod=none")
        self.internet.put("/run/kea.json", json.dumps(KEA))
        self.internet.sh("mkdir -p /run/kea /var/lib/kea /var/log/kea /run/lock/kea")
        self.internet.popen("env", "KEA_LOCKFILE_DIR=none", "kea-dhcp6", "-c", "/run/kea.json")
        # What a provider's router learns from the delegation: where the prefix lies.
        link_local = self.zurich.sh("ip -6 -o address show dev enp1s0 scope link").split()[3].split("/")[0]
        self.internet.sh(f"ip -6 route add 2001:db8:1000::/48 via {link_local} dev zurich")


@pytest.fixture(scope="module")
def drawing(shared_lab: Lab) -> Drawing:
    return Drawing(shared_lab)


def test_applied_before_the_line_works(drawing: Drawing) -> None:
    """The provider is not there yet: the office's own networks stand, and apply does not wait for an address."""
    configure(drawing.zurich, drawing.text)
    drawing.host.ping("192.168.10.1")
    assert drawing.zurich.address("enp1s0") == ""


def test_address_gateway_and_names_come_from_the_provider(drawing: Drawing) -> None:
    drawing.ipv6()
    drawing.dhcp(100, 110)
    address = wait_for(lambda: drawing.zurich.address("enp1s0"), 30, "zurich has a lease")
    assert re.fullmatch(r"203\.0\.113\.1(0\d|10)", address)
    assert "default via 203.0.113.1" in drawing.zurich.sh("ip route")
    wait_for(lambda: "203.0.113.1" in drawing.zurich.sh("resolvectl dns enp1s0"), 5, "the provider's DNS is known")
    assert "192.0.2.99" in drawing.zurich.sh("resolvectl query somewhere.example.net")
    drawing.host.ping("198.51.100.7", timeout=10)
    drawing.alice.ping(HOST, timeout=20)
    in_order(drawing.zurich)
    print(f"lease: {address}")


def test_another_address_is_followed(drawing: Drawing) -> None:
    """The line is gone for a moment, and comes back with another address: all goes on from there."""
    before = drawing.zurich.address("enp1s0")
    drawing.dhcp(150, 160)
    drawing.wan.cut()
    wait_for(lambda: drawing.zurich.address("enp1s0") == "", 10, "the old lease is given up")
    drawing.host.ping("192.168.10.1")
    drawing.wan.mend()
    after = wait_for(lambda: (new := drawing.zurich.address("enp1s0")) != before and new, 60, "zurich has a new lease")
    with capture(drawing.internet, "alice", f"src host {before}") as stale, capture(drawing.internet, "alice") as line:
        drawing.host.ping("198.51.100.7", timeout=10)
        drawing.alice.ping(HOST, timeout=30)
        line.wait(f"{after}.51820 > 198.51.100.7.51820")
    assert stale.lines == []
    assert peer_state(drawing.zurich, "office.alice")["state"] == "up"
    in_order(drawing.zurich)
    print(f"renumbered: {before} → {after}")


def test_a_delegated_prefix_reaches_the_office(drawing: Drawing) -> None:
    """An address by router advertisement, a prefix by DHCPv6, a /64 of it for the LAN: hosts are in the internet."""
    wait_for(lambda: drawing.zurich.address("enp1s0", 6), 20, "zurich has an IPv6 address")
    ours = wait_for(lambda: drawing.zurich.address("enp2s0", 6), 40, "the LAN has a part of the prefix")
    assert ours.startswith("2001:db8:10")
    host = wait_for(lambda: drawing.host.address("eth0", 6), 30, "the host has an address of it")
    assert host.split(":")[:4] == ours.split(":")[:4]
    drawing.host.ping(WEB, timeout=15)
    with serving(drawing.host, 80), capture(drawing.host, "eth0", f"ip6 src {WEB} and tcp") as inside:
        assert fetch(drawing.internet, host, 80) == ""
        assert not pings(drawing.internet, host)
    assert inside.lines == [], "the internet does not reach the office's hosts"
    in_order(drawing.zurich)
    print(f"delegated: LAN {ours}, host {host}")
