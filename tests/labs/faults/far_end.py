"""The other side of a tunnel: what blocks it, and keys that do not match."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator

from tests.lab import Box, genkey, genpsk
from tests.lab.handshake import initiation
from tests.labs.faults.office import OFFICE_CASES, changed, laptop_with, pinging
from tests.labs.office import GENEVA_WAN, OFFICE_HOST, ZURICH_WAN, Office
from tests.labs.wiring import apply

fault = OFFICE_CASES.fault
SEND = """\
import base64, socket
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.sendto(base64.b64decode("{data}"), ("{host}", 51820))
print(len(sender.recv(512)))
"""


@fault("UDP port blocked on the way", "unanswered", about=("office.geneva",), said="198.51.100.2 answers pings")
def blocked(office: Office) -> Iterator[Box]:
    boxes = "{ 203.0.113.2, 198.51.100.2 }"
    office.internet.drop(f"udp dport 51820 ip saddr {boxes} ip daddr {boxes}")
    try:
        yield office.zurich
    finally:
        office.internet.undrop()


@fault("router turns the packets away, and says so", "turned-away", about=("office.geneva",), said="203.0.113.1")
def turned_away(office: Office) -> Iterator[Box]:
    office.internet.nft(
        "table inet lab_drop { chain forward { type filter hook forward priority -10;\n"
        "udp dport 51820 ip daddr 198.51.100.2 reject with icmp type admin-prohibited\n}\n}"
    )
    try:
        yield office.zurich
    finally:
        office.internet.undrop()


@fault("nobody listens at the endpoint", "no-listener", about=("office.geneva",))
def no_listener(office: Office) -> Iterator[Box]:
    # Were geneva heard from where it is, it would be called there.
    office.internet.drop("udp dport 51820 ip saddr 198.51.100.2")
    try:
        with changed(office, office.zurich, "geneva.example.net:51820", "192.0.2.2:51820"):
            yield office.zurich
    finally:
        office.internet.undrop()


@fault("endpoint's name moved", "endpoint-moved", about=("office.geneva",), said="198.51.100.3")
def moved(office: Office) -> Iterator[Box]:
    office.internet.drop("udp dport 51820 ip daddr 198.51.100.2")
    office.internet.drop("udp dport 51820 ip saddr 198.51.100.2")
    office.names({"geneva.example.net": "198.51.100.3"})
    try:
        yield office.zurich
    finally:
        office.names({"geneva.example.net": GENEVA_WAN})
        office.internet.undrop()


@fault("peer's public key wrong in the file", "peer-key", about=("office.geneva",), patience=60)
def peer_key(office: Office) -> Iterator[Box]:
    # It calls anew when its session has been silent for 15 s; until then nobody can know more than that.
    with pinging(office.branch_host, OFFICE_HOST):
        with changed(office, office.zurich, office.keys["geneva"].public, genkey().public):
            yield office.zurich


@fault("box's public key wrong at the far end", "box-key", about=("office.geneva",), patience=60)
def box_key(office: Office) -> Iterator[Box]:
    with pinging(office.branch_host, OFFICE_HOST):
        with changed(office, office.geneva, office.keys["zurich"].public, genkey().public):
            yield office.zurich


@fault("preshared key on one side only", "preshared-key", about=("office.geneva",))
def preshared_key(office: Office) -> Iterator[Box]:
    with_key = "keepalive: 25\n        preshared_key: {secret: psk-alice}"
    with changed(office, office.zurich, "keepalive: 25", with_key):
        yield office.zurich


@fault("colleague's preshared key wrong", "preshared-key", about=("office.alice",))
def colleagues_preshared_key(office: Office) -> Iterator[Box]:
    with laptop_with(office, office.psk, genpsk()), pinging(office.laptop, OFFICE_HOST):
        yield office.zurich


@fault("colleague's key not in the file", "unknown-peer", said="192.0.2.2:")
def unknown_peer(office: Office) -> Iterator[Box]:
    with (
        laptop_with(office, office.keys["alice"].private, genkey().private),
        pinging(office.laptop, OFFICE_HOST),
    ):
        yield office.zurich


@fault("colleague's clock was set back", "peer-clock", about=("office.alice",))
def peer_clock(office: Office) -> Iterator[Box]:
    """The device called from tomorrow once; a call with its right clock counts as an old one now."""
    assert office.laptop_tunnel
    office.laptop_tunnel.down()
    call = initiation(office.keys["alice"].private, office.keys["zurich"].public, time.time() + 86400)
    text = base64.b64encode(call).decode()
    office.laptop.run("python3", "-c", SEND.format(data=text, host=ZURICH_WAN), timeout=10)
    office.laptop_tunnel.up()
    try:
        with pinging(office.laptop, OFFICE_HOST):
            yield office.zurich
    finally:
        # The remedy that the doctor gives.
        office.zurich.run("wg", "set", "wg-office", "peer", office.keys["alice"].public, "remove")
        apply(office.zurich)
