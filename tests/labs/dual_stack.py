"""The pair's drawing (tests/labs/pair.py) with an IPv6 prefix in every network.

    laptop, branch ══ tunnel ══ box ── host      10.20.0.0/24 and fd20::/64
    host ── box ── internet ── home              masqueraded for IPv4, routed for IPv6

The branch's tunnel is carried by IPv6, to the virtual address; those of laptop and phone, behind a NAT, by IPv4.
"""

from __future__ import annotations

from tests.labs.pair import YAML, Duo

HOST6, LAPTOP6, BRANCH6 = "2001:db8:10::20", "fd20::10", "fd20::2"
INTERNET6, HOME6 = "2001:db8:1::1", "2001:db8:2::2"
VIRTUAL6 = "2001:db8:1::10"

YAML6 = (
    YAML.replace("address: 203.0.113.2/24, gateway: 203.0.113.1", 'address: [203.0.113.2/24, "2001:db8:1::2/64"], WAY')
    .replace("address: 203.0.113.3/24, gateway: 203.0.113.1", 'address: [203.0.113.3/24, "2001:db8:1::3/64"], WAY')
    .replace("WAY", 'gateway: [203.0.113.1, "2001:db8:1::1"]')
    .replace("address: 192.168.10.2/24", 'address: [192.168.10.2/24, "2001:db8:10::2/64"]')
    .replace("address: 192.168.10.3/24", 'address: [192.168.10.3/24, "2001:db8:10::3/64"]')
    .replace("wan: 203.0.113.10/24", 'wan: [203.0.113.10/24, "2001:db8:1::10/64"]')
    .replace("lan: 192.168.10.1/24", 'lan: [192.168.10.1/24, "2001:db8:10::1/64"]')
    .replace("addresses: [10.20.0.1/24]", 'addresses: [10.20.0.1/24, "fd20::1/64"]')
    .replace("address: 10.20.0.10", 'address: [10.20.0.10, "fd20::10"]')
    .replace("address: 10.20.0.2", 'address: [10.20.0.2, "fd20::2"]')
)

ONE_ADDRESS6 = YAML6.replace('address: [203.0.113.2/24, "2001:db8:1::2/64"], ', "").replace(
    'address: [203.0.113.3/24, "2001:db8:1::3/64"], ', ""
)
"""The same office with one public address of each kind, which moves: the boxes hear each other on the LAN alone."""


class DualStack(Duo):
    """Two boxes and their surroundings; `yaml` is YAML6 where nothing else is given."""

    def wire(self) -> None:
        self.yaml = YAML6 if self.yaml is YAML else self.yaml
        super().wire()
        self.internet.sh(
            f"ip address add {INTERNET6}/64 dev zurich nodad; ip route add 2001:db8:10::/64 via {VIRTUAL6};"
            "ip address add 2001:db8:2::1/64 dev home nodad; ip address add 2001:db8:3::1/64 dev branch nodad"
        )
        self.branch.sh("ip address add 2001:db8:3::2/64 dev eth0 nodad; ip route add default via 2001:db8:3::1")
        self.home.sh(f"ip address add {HOME6}/64 dev wan nodad; ip route add default via 2001:db8:2::1")
        self.host.sh(f"ip address add {HOST6}/64 dev eth0 nodad; ip route add default via 2001:db8:10::1")

    def start_peers(self) -> None:
        super().start_peers()
        for node, address in ((self.laptop, LAPTOP6), (self.branch, BRANCH6)):
            networks = "10.20.0.0/24,192.168.10.0/24,fd20::/64,2001:db8:10::/64"
            node.sh(
                f"wg set wg0 peer {self.keys['office'].public} allowed-ips {networks};"
                f"ip address add {address}/128 dev wg0 nodad;"
                "ip route add fd20::/64 dev wg0; ip route add 2001:db8:10::/64 dev wg0"
            )
        self.branch.sh(f"wg set wg0 peer {self.keys['office'].public} endpoint [{VIRTUAL6}]:51820")
