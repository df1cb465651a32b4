"""Tunnels over lines that carry less than Ethernet does.

   office host ── zurich ──1500── r1 ──1400── r2 ──1500── geneva ── branch host
      .20    192.168.10.1     drops every ICMP error    192.168.20.1    .20
             2001:db8:10::1                             2001:db8:20::1

r1 and r2 are a black hole for path MTU discovery: whatever does not fit the 1,400 bytes vanishes without a word if it
must not be fragmented.
"""

from __future__ import annotations

import pytest

from tests.lab import Box, Lab, Node, capture, genkey, transfer, wait_for
from tests.labs.office import status
from tests.labs.wiring import boot, configure, fetch, give_key, serving

SITE = """\
version: 1
site: {name}
boxes:
  {name}:
    interfaces:
      wan: {{device: enp1s0, address: {wan}, gateway: {gateway}{mtu}}}
      lan: {{device: enp2s0, address: [192.168.{lan}.1/24, "2001:db8:{lan}::1/64"]}}
tunnels:
  office:
    listen_port: 51820
    addresses: [10.20.0.{number}/24, "fd00:20::{number}/64"]
    peers:
      {peer}:
        public_key: {key}
        endpoint: {endpoint}
        networks: [192.168.{peer_lan}.0/24, "2001:db8:{peer_lan}::/64"]
{calls}firewall:
  allow:
    - {{from: lan, to: office}}
    - {{from: office, to: lan}}
"""
WAN = {"zurich": "203.0.113", "geneva": "198.51.100"}
LAN = {"zurich": 10, "geneva": 20}


class Drawing:
    def __init__(self, lab: Lab) -> None:
        between = lab.switch("between", mtu=1400)
        self.routers: dict[str, Node] = {}
        self.boxes: dict[str, Box] = {}
        self.hosts: dict[str, Node] = {}
        self.keys = {name: genkey() for name in WAN}
        for number, name in enumerate(WAN, 1):
            wan, lan = lab.switch(f"{name}-wan"), lab.switch(f"{name}-lan")
            router = self.routers[name] = lab.node(f"r{number}")
            router.attach(wan, "box", [f"{WAN[name]}.1/24"])
            router.attach(between, "between", [f"10.0.0.{number}/24"])
            router.sh(f"ip route add default via 10.0.0.{3 - number}")
            router.forward()
            errors = "icmp type { destination-unreachable, time-exceeded, parameter-problem }"
            router.drop(errors, "forward")
            router.nft(f"table inet lab_mute {{ chain out {{ type filter hook output priority 0; {errors} drop; }}; }}")
            self.boxes[name] = lab.box(name)
            self.boxes[name].attach(wan, "enp1s0")
            self.boxes[name].attach(lan, "enp2s0")
            host = self.hosts[name] = lab.node(f"{name}-host")
            host.attach(
                lan,
                "eth0",
                [f"192.168.{LAN[name]}.20/24", f"2001:db8:{LAN[name]}::20/64"],
                gateway=[f"192.168.{LAN[name]}.1", f"2001:db8:{LAN[name]}::1"],
            )
        boot(*self.boxes.values())
        for name in WAN:
            give_key(self.boxes[name], "office", self.keys[name])
        self.apply()
        for address in ("192.168.20.20", "2001:db8:20::20"):
            self.hosts["zurich"].ping(address, timeout=20)

    def apply(self, mtu: int | None = None, wan: str = "") -> None:
        """Configures both boxes; `mtu` and `wan` change zurich's line."""
        for name, peer in (("geneva", "zurich"), ("zurich", "geneva")):
            here = name == "zurich"
            address, gateway = f"{WAN[name]}.2/24", f"{WAN[name]}.1"
            if wan and here:
                address, gateway = f'[{address}, "{wan}2/64"]', f'[{gateway}, "{wan}1"]'
            text = SITE.format(
                name=name,
                wan=address,
                gateway=gateway,
                mtu=f", mtu: {mtu}" if mtu and here else "",
                lan=LAN[name],
                number=1 + (not here),
                peer=peer,
                key=self.keys[peer].public,
                endpoint=f"{WAN[peer]}.2:51820",
                peer_lan=LAN[peer],
                calls="        keepalive: 5\n" if here else "",
            )
            configure(self.boxes[name], text)


@pytest.fixture(scope="module")
def drawing(shared_lab: Lab) -> Drawing:
    return Drawing(shared_lab)


HOSTS = [("192.168.10.20", "192.168.20.20", 40), ("2001:db8:10::20", "2001:db8:20::20", 60)]
INSIDE = pytest.mark.parametrize(("office", "branch", "headers"), HOSTS, ids=["IPv4", "IPv6"])


@INSIDE
def test_transfers_pass_the_black_hole(drawing: Drawing, office: str, branch: str, headers: int) -> None:
    """Two megabytes in each direction; outer packets that do not fit are fragmented, and nothing waits for ICMP."""
    zurich, geneva = drawing.hosts["zurich"], drawing.hosts["geneva"]
    with capture(drawing.routers["geneva"], "between", "ip[6:2] & 0x1fff != 0") as fragments:
        there = transfer(zurich, geneva, branch, 2_000_000)
        back = transfer(geneva, zurich, office, 2_000_000)
    assert fragments.lines, "the black hole is where full packets do not fit"
    print(f"{there:.0f} Mbit/s there, {back:.0f} Mbit/s back, {len(fragments.lines)} fragments")


@INSIDE
def test_segments_are_clamped_in_both_directions(drawing: Drawing, office: str, branch: str, headers: int) -> None:
    del office
    zurich, geneva = drawing.hosts["zurich"], drawing.hosts["geneva"]
    syn = "tcp[tcpflags] & tcp-syn != 0" if headers == 40 else "ip6 and tcp and ip6[53] & 2 != 0"
    with serving(geneva, 80), capture(geneva, "eth0", syn) as there, capture(zurich, "eth0", syn) as here:
        assert fetch(zurich, branch, 80) == "here"
    want = f"mss {1440 - headers},"
    assert want in next(line for line in there.lines if "[S]" in line)
    assert want in next(line for line in here.lines if "[S.]" in line)


@INSIDE
def test_a_large_tls_hello_passes(drawing: Drawing, office: str, branch: str, headers: int) -> None:
    """A ClientHello of more than 1,900 bytes as the first thing that is written, as with post-quantum key shares."""
    del office, headers
    zurich, geneva = drawing.hosts["zurich"], drawing.hosts["geneva"]
    geneva.sh(
        "test -e /run/tls.pem || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=branch"
        " -keyout /run/tls.pem -out /run/tls.crt 2>/dev/null"
    )
    server = geneva.popen(
        "openssl", "s_server", "-accept", "4433", "-cert", "/run/tls.crt", "-key", "/run/tls.pem", "-www", "-quiet"
    )
    try:
        wait_for(lambda: ":4433 " in geneva.sh("ss -Hltn"), 5, "the TLS server listens")
        protocols = ",".join(f"protocol-number-{number}" for number in range(30))
        target = f"[{branch}]:4433" if ":" in branch else f"{branch}:4433"
        said = zurich.run("openssl", "s_client", "-connect", target, "-alpn", protocols, "-msg", timeout=20).stdout
    finally:
        server.kill()
        server.wait()
    hello = next(line for line in said.splitlines() if line.startswith(">>>") and "ClientHello" in line)
    size = int(hello.split("[length ")[1].split("]")[0], 16)
    assert size >= 1900
    assert "Cipher is TLS_" in said
    print(f"TLS handshake with a ClientHello of {size} bytes")


def test_the_tunnels_mtu_follows_the_line(drawing: Drawing) -> None:
    """mtu: auto is the line's MTU less the encapsulation: 60 bytes over IPv4, 80 where IPv6 may be outside."""
    found = {}
    for what, mtu, wan in (("Ethernet", None, ""), ("PPPoE", 1492, ""), ("PPPoE, IPv6", 1492, "2001:db8:203::")):
        drawing.apply(mtu, wan)
        found[what] = status(drawing.boxes["zurich"])["tunnels"][0]["mtu"]
    assert found == {"Ethernet": 1440, "PPPoE": 1432, "PPPoE, IPv6": 1412}
    drawing.hosts["zurich"].ping("192.168.20.20", timeout=10)
    print("tunnel MTU: " + ", ".join(f"{what} {mtu}" for what, mtu in found.items()))
