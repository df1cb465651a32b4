"""The tunnel stands, and traffic is lost all the same: rules, networks, ways, segments, NAT."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab import Box
from tests.labs.faults.office import OFFICE_CASES, changed, configured, pinging, trying
from tests.labs.office import ALICE, BRANCH_HOST, GENEVA, OFFICE_HOST, ZURICH, Office
from tests.labs.wiring import apply, serving

fault = OFFICE_CASES.fault
INTERNET = "198.51.100.1"
WEB_PORT = 8080


@fault(
    "firewall rule missing",
    "firewall",
    about=("lan to office.alice",),
    said=f"line {ZURICH.splitlines().index('firewall:') + 1}: - {{from: lan, to: office.alice, services: [ping]}}",
)
def no_rule(office: Office) -> Iterator[Box]:
    with pinging(office.host, ALICE):
        yield office.zurich


@fault(
    "the box is asked for names through a tunnel, no rule",
    "firewall",
    about=("office.alice to box",),
    said="- {from: office.alice, to: box, services: [dns]}",
)
def no_rule_to_the_box(office: Office) -> Iterator[Box]:
    ask = "while :; do printf x | socat - UDP:10.20.0.1:53,sourceport=40053; sleep 0.5; done"
    with trying(office.laptop, "sh", "-c", ask):
        yield office.zurich


@fault("host with an address of elsewhere", "wrong-source", about=("172.16.5.5 on lan",), said="192.168.10.0/24")
def wrong_source(office: Office) -> Iterator[Box]:
    office.host.sh("ip address add 172.16.5.5/32 dev eth0")
    try:
        with trying(office.host, "ping", "-n", "-i0.1", "-I", "172.16.5.5", INTERNET):
            yield office.zurich
    finally:
        office.host.sh("ip address del 172.16.5.5/32 dev eth0")


@fault(
    "AllowedIPs here lack the branch's network",
    "allowed-ips-here",
    "not-covered",
    about=("office.geneva", BRANCH_HOST),
)
def allowed_here(office: Office) -> Iterator[Box]:
    with changed(office, office.zurich, "        networks: [192.168.20.0/24]\n", ""):
        with pinging(office.branch_host, OFFICE_HOST), pinging(office.host, BRANCH_HOST):
            yield office.zurich


@fault(
    "AllowedIPs there lack the office's network",
    "allowed-ips-there",
    about=("office.geneva",),
    said="add 192.168.10.0/24 to AllowedIPs",
)
def allowed_there(office: Office) -> Iterator[Box]:
    with changed(office, office.geneva, "[192.168.10.0/24, 10.20.0.10/32]", "[10.20.0.10/32]"):
        yield office.zurich


@fault("colleague's own network is the office's", "overlapping-networks", about=("office.alice",))
def overlap(office: Office) -> Iterator[Box]:
    office.laptop.sh("ip address add 192.168.10.77/24 dev eth0 && ip route del 192.168.10.0/24 dev wg0")
    try:
        yield office.zurich
    finally:
        office.laptop.sh("ip address del 192.168.10.77/24 dev eth0 && ip route add 192.168.10.0/24 dev wg0")


@fault("MSS not clamped", "mss", about=("office",), said="segments of 1460 bytes")
def segments(office: Office) -> Iterator[Box]:
    call = f"while :; do socat -u TCP:{BRANCH_HOST}:{WEB_PORT},connect-timeout=1 STDOUT; sleep 0.2; done"
    with changed(office, office.zurich, "  masquerade: [wan]\n", "  masquerade: [wan]\n  mss_clamp: off\n"):
        with serving(office.branch_host, WEB_PORT), trying(office.host, "sh", "-c", call):
            yield office.zurich


@fault("host answers by another gateway", "return-path", about=(OFFICE_HOST,))
def return_path(office: Office) -> Iterator[Box]:
    office.host.sh("ip route replace default via 192.168.10.254")
    try:
        with pinging(office.branch_host, OFFICE_HOST):
            yield office.zurich
    finally:
        office.host.sh("ip route replace default via 192.168.10.1")


@fault("inside addresses leave by the uplink", "source-address", about=("wan",), said="`masquerade: [wan]`")
def source_address(office: Office) -> Iterator[Box]:
    with changed(office, office.zurich, "  masquerade: [wan]\n", ""), pinging(office.host, INTERNET):
        yield office.zurich


@contextmanager
def full_tunnel(office: Office, name_server: str) -> Iterator[None]:
    """The branch sends everything through the head office."""
    head = ZURICH.replace("  masquerade", "    - {{from: office.geneva, to: wan}}\n  masquerade")
    branch = GENEVA.replace("[192.168.10.0/24, 10.20.0.10/32]", '["0.0.0.0/0"]').replace(
        "dns: [198.51.100.1]", f"dns: [{name_server}]"
    )
    branch = branch.replace("    - {{from: lan, to: wan}}\n", "")
    with (
        configured(office, office.zurich, office.yaml("zurich", head)),
        configured(office, office.geneva, office.yaml("geneva", branch)),
    ):
        office.branch_host.ping(OFFICE_HOST, timeout=20)
        yield


@fault("names asked beside a full tunnel", "dns-leak", about=("office.zurich",), said=INTERNET)
def leak(office: Office) -> Iterator[Box]:
    """The uplink's neighbour is asked: its route is more specific than the tunnel's."""
    with full_tunnel(office, INTERNET):
        yield office.geneva


@fault("nothing: a full tunnel, names inside it")
def no_leak(office: Office) -> Iterator[Box]:
    with full_tunnel(office, "192.0.2.1"):
        yield office.geneva


@contextmanager
def behind_nat(office: Office, before: str = "", after: str = "") -> Iterator[None]:
    """The branch's provider gives it a private address."""
    office.internet.sh("ip address add 10.99.0.1/24 dev geneva")
    office.internet.nft(
        "table ip nat_in_front { chain post { type nat hook postrouting priority 100;\n"
        "ip saddr 10.99.0.0/24 snat to 198.51.100.1\n}\n}"
    )
    public, private = (f"address: {net}.2/24, gateway: {net}.1" for net in ("198.51.100", "10.99.0"))
    text = office.yaml("geneva").replace(public, private)
    try:
        with configured(office, office.geneva, text.replace(before, after) if before else text):
            yield
    finally:
        office.internet.nft("delete table ip nat_in_front")
        office.internet.sh("ip address del 10.99.0.1/24 dev geneva; conntrack -F")


@fault("NAT in front without port forward", "not-forwarded", about=("office",), said="UDP port 51820")
def not_forwarded(office: Office) -> Iterator[Box]:
    bob = f"      bob: {{public_key: {office.keys['alice'].public}, address: 10.20.0.11}}\n      zurich:\n"
    with behind_nat(office, "      zurich:\n", bob):
        office.branch_host.ping(OFFICE_HOST, timeout=20)
        yield office.geneva


@fault("no keepalive behind NAT", "keepalive", about=("office.zurich",), said="`keepalive: 25`")
def keepalive(office: Office) -> Iterator[Box]:
    with behind_nat(office):
        # Hours without a packet: both the session and the NAT's mapping are gone.
        office.geneva.run("wg", "set", "wg-office", "peer", office.keys["zurich"].public, "remove")
        apply(office.geneva)
        office.internet.sh("conntrack -F")
        yield office.geneva
