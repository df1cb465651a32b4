"""The way to the internet: cable, gateway, lease, names, clock, sizes."""

from __future__ import annotations

from collections.abc import Iterator

from tests.lab import Box
from tests.lab.traffic import start_program, stop_program
from tests.labs.faults.office import OFFICE_CASES, changed
from tests.labs.office import GENEVA_WAN, Office

fault = OFFICE_CASES.fault
STATIC = "address: 203.0.113.2/24, gateway: 203.0.113.1"


@fault("uplink cable out, and nothing that follows", "cable", about=("wan",))
def cable(office: Office) -> Iterator[Box]:
    link = office.zurich.links[0]
    link.cut()
    try:
        yield office.zurich
    finally:
        link.mend()


@fault("no DHCP answer", "no-lease", about=("wan",))
def no_lease(office: Office) -> Iterator[Box]:
    with changed(office, office.zurich, STATIC, "address: dhcp"):
        yield office.zurich


@fault("gateway silent", "gateway-silent", about=("wan",))
def gateway(office: Office) -> Iterator[Box]:
    office.internet.sh("ip address del 203.0.113.1/24 dev zurich")
    try:
        yield office.zurich
    finally:
        office.internet.sh("ip address add 203.0.113.1/24 dev zurich")


@fault("no name server answers", "dns-silent")
def name_server(office: Office) -> Iterator[Box]:
    office.internet.drop("udp dport 53", "input")
    try:
        yield office.zurich
    finally:
        office.internet.undrop()


@fault("endpoint's name does not exist", "no-such-name", about=("geneva.example.net",))
def no_such_name(office: Office) -> Iterator[Box]:
    office.names({})
    try:
        yield office.zurich
    finally:
        office.names({"geneva.example.net": GENEVA_WAN})


@fault("clock an hour behind", "clock-wrong", said="3600 s behind")
def clock(office: Office) -> Iterator[Box]:
    known = {"geneva.example.net": GENEVA_WAN}
    pool = office.zurich.sh("awk '/^pool/ { print $2; exit }' /etc/chrony/chrony.conf")
    office.names(known | {pool: "203.0.113.1"})
    server = start_program(office.internet, "time_server.py", "3600")
    try:
        yield office.zurich
    finally:
        stop_program(server)
        office.names(known)


@fault("MTU black hole", "mtu-black-hole", about=("office.geneva",), said="more than 1400 bytes")
def black_hole(office: Office) -> Iterator[Box]:
    office.internet.sh("ip link set geneva mtu 1400")
    office.internet.drop("icmp type destination-unreachable", "output")
    try:
        yield office.zurich
    finally:
        office.internet.undrop()
        office.internet.sh("ip link set geneva mtu 1500")


@fault("another host has the box's address", "address-taken", about=("192.168.10.1",))
def taken(office: Office) -> Iterator[Box]:
    office.host.sh("ip address add 192.168.10.1/32 dev eth0")
    try:
        yield office.zurich
    finally:
        office.host.sh("ip address del 192.168.10.1/32 dev eth0")
