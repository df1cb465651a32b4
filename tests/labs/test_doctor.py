"""Something is wrong, and `appliance doctor` says what: each fault is made in the running office, and the answer read.

The drawing stands in tests/labs/office.py.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.lab import Box, Lab, Node, genkey, genpsk, wait_for
from tests.lab.traffic import start_program, stop_program
from tests.labs.office import ALICE, BRANCH_HOST, GENEVA_WAN, OFFICE_HOST, Office, in_order


@dataclass(frozen=True)
class Answer:
    """`said`: every sentence, piece of evidence and remedy, as one text."""

    causes: list[str]
    about: list[str]
    said: str


def doctor(box: Box) -> Answer:
    done = box.run("appliance", "doctor", "--json", check=False, timeout=60)
    assert done.returncode in (0, 2), done.stderr
    findings = json.loads(done.stdout)["findings"]
    assert bool(findings) == (done.returncode == 2)
    said = "\n".join(f"{each['sentence']} {each['evidence']} {each['remedy']}" for each in findings)
    print(said or "nothing wrong was found")
    return Answer([each["cause"] for each in findings], [each["about"] for each in findings], said)


@pytest.fixture(scope="module")
def running(shared_lab: Lab) -> Office:
    return Office(shared_lab).build().go_online()


@pytest.fixture
def office(running: Office) -> Iterator[Office]:
    """The office as it should be, before each fault and after it."""
    _well(running)
    yield running
    _well(running)


def _well(office: Office) -> None:
    # A session that was interrupted begins anew within 15 s of the next packet (KEEPALIVE_TIMEOUT + REKEY_TIMEOUT).
    office.laptop.ping(OFFICE_HOST, timeout=30)
    office.branch_host.ping(OFFICE_HOST, timeout=30)
    in_order(office.zurich, 20)


@contextmanager
def pinging(source: Node, address: str) -> Iterator[None]:
    """Somebody who tries again and again."""
    argv = ["nsenter", f"--net={source.netns}", "ping", "-n", "-i0.1", address]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def configured(office: Office, box: Box, text: str) -> Iterator[None]:
    """The box runs another file for a while."""
    office.apply(box, text.replace("{", "{{").replace("}", "}}"))
    try:
        yield
    finally:
        office.apply(box)


def test_nothing_is_wrong(office: Office) -> None:
    assert doctor(office.zurich).causes == []
    assert doctor(office.geneva).causes == []


def test_the_uplinks_cable_is_out_and_nothing_that_follows_is_told(office: Office) -> None:
    cable = office.zurich.links[0]
    cable.cut()
    try:
        assert doctor(office.zurich).causes == ["cable"]
    finally:
        cable.mend()


def test_the_gateway_is_silent(office: Office) -> None:
    office.internet.sh("ip address del 203.0.113.1/24 dev zurich")
    try:
        assert doctor(office.zurich).causes == ["gateway-silent"]
    finally:
        office.internet.sh("ip address add 203.0.113.1/24 dev zurich")


def test_the_name_server_does_not_answer(office: Office) -> None:
    office.internet.drop("udp dport 53", "input")
    try:
        assert doctor(office.zurich).causes == ["dns-silent"]
    finally:
        office.internet.undrop()


def test_a_name_that_does_not_exist(office: Office) -> None:
    office.names({})
    try:
        found = doctor(office.zurich)
        assert (found.causes, found.about) == (["no-such-name"], ["geneva.example.net"])
    finally:
        office.names({"geneva.example.net": GENEVA_WAN})


def test_the_udp_port_is_blocked_on_the_way(office: Office) -> None:
    boxes = "{ 203.0.113.2, 198.51.100.2 }"
    office.internet.drop(f"udp dport 51820 ip saddr {boxes} ip daddr {boxes}")
    try:
        found = doctor(office.zurich)
        assert (found.causes, found.about) == (["unanswered"], ["office.geneva"])
        assert "198.51.100.2 answers pings" in found.said
    finally:
        office.internet.undrop()


def test_a_router_turns_the_packets_away_and_says_so(office: Office) -> None:
    office.internet.nft(
        "table inet lab_drop { chain forward { type filter hook forward priority -10;\n"
        "udp dport 51820 ip daddr 198.51.100.2 reject with icmp type admin-prohibited\n}\n}"
    )
    try:
        found = doctor(office.zurich)
        assert (found.causes, found.about) == (["turned-away"], ["office.geneva"])
        assert "203.0.113.1" in found.said
    finally:
        office.internet.undrop()


def test_a_wrong_key_of_the_peer(office: Office) -> None:
    text = office.yaml("zurich").replace(office.keys["geneva"].public, genkey().public)
    with pinging(office.branch_host, OFFICE_HOST), configured(office, office.zurich, text):
        # It calls anew when its session has been silent for 15 s; until then nobody can know more than that.
        wait_for(lambda: doctor(office.zurich).causes == ["peer-key"], 60, "geneva's call shows its key")


def test_a_wrong_key_of_the_box_at_the_far_end(office: Office) -> None:
    text = office.yaml("geneva").replace(office.keys["zurich"].public, genkey().public)
    with pinging(office.branch_host, OFFICE_HOST), configured(office, office.geneva, text):
        wait_for(lambda: doctor(office.zurich).causes == ["box-key"], 60, "geneva's call shows for whom it is")


def test_a_preshared_key_that_only_one_side_has(office: Office) -> None:
    with_key = "keepalive: 25\n        preshared_key: {secret: psk-alice}"
    with configured(office, office.zurich, office.yaml("zurich").replace("keepalive: 25", with_key)):
        found = doctor(office.zurich)
        assert (found.causes, found.about) == (["preshared-key"], ["office.geneva"])


def test_a_colleague_with_a_wrong_preshared_key(office: Office) -> None:
    assert office.laptop_tunnel
    conf = office.laptop.read("/etc/wireguard/wg0.conf").decode()
    office.laptop_tunnel.down()
    office.laptop.put("/etc/wireguard/wg0.conf", conf.replace(office.psk, genpsk()), 0o600)
    office.laptop_tunnel.up()
    try:
        with pinging(office.laptop, OFFICE_HOST):
            found = doctor(office.zurich)
        assert (found.causes, found.about) == (["preshared-key"], ["office.alice"])
    finally:
        office.laptop_tunnel.down()
        office.laptop.put("/etc/wireguard/wg0.conf", conf, 0o600)
        office.laptop_tunnel.up()


def test_a_colleague_whose_key_the_file_does_not_have(office: Office) -> None:
    assert office.laptop_tunnel
    other = genkey()
    conf = office.laptop.read("/etc/wireguard/wg0.conf").decode()
    office.laptop_tunnel.down()
    office.laptop.put("/etc/wireguard/wg0.conf", conf.replace(office.keys["alice"].private, other.private), 0o600)
    office.laptop_tunnel.up()
    try:
        with pinging(office.laptop, OFFICE_HOST):
            found = doctor(office.zurich)
        assert found.causes == ["unknown-peer"] and found.about[0].startswith("192.0.2.2:")
        assert other.public in found.said
    finally:
        office.laptop_tunnel.down()
        office.laptop.put("/etc/wireguard/wg0.conf", conf, 0o600)
        office.laptop_tunnel.up()


def test_no_rule_allows_it(office: Office) -> None:
    line = office.yaml("zurich").splitlines().index("firewall:") + 1
    with pinging(office.host, ALICE):
        found = doctor(office.zurich)
    assert (found.causes, found.about) == (["firewall"], ["lan to office.alice"])
    assert f"line {line}: - {{from: lan, to: office.alice, services: [ping]}}" in found.said


def test_allowed_ips_that_do_not_cover_the_branchs_network(office: Office) -> None:
    text = office.yaml("zurich").replace("        networks: [192.168.20.0/24]\n", "")
    with configured(office, office.zurich, text):
        with pinging(office.branch_host, OFFICE_HOST), pinging(office.host, BRANCH_HOST):
            found = doctor(office.zurich)
        assert found.causes == ["allowed-ips-here", "not-covered"]
        assert found.about == ["office.geneva", BRANCH_HOST]


def test_allowed_ips_at_the_far_end_that_do_not_cover_the_offices_network(office: Office) -> None:
    text = office.yaml("geneva").replace("[192.168.10.0/24, 10.20.0.10/32]", "[10.20.0.10/32]")
    with configured(office, office.geneva, text):
        found = doctor(office.zurich)
        assert (found.causes, found.about) == (["allowed-ips-there"], ["office.geneva"])
        assert "add 192.168.10.0/24 to AllowedIPs" in found.said


def test_an_mtu_black_hole(office: Office) -> None:
    office.internet.sh("ip link set geneva mtu 1400")
    office.internet.drop("icmp type destination-unreachable", "output")
    try:
        found = doctor(office.zurich)
        assert (found.causes, found.about) == (["mtu-black-hole"], ["office.geneva"])
        assert "more than 1400 bytes" in found.said
    finally:
        office.internet.undrop()
        office.internet.sh("ip link set geneva mtu 1500")


def test_another_host_has_the_boxs_address(office: Office) -> None:
    office.host.sh("ip address add 192.168.10.1/32 dev eth0")
    try:
        found = doctor(office.zurich)
        assert (found.causes, found.about) == (["address-taken"], ["192.168.10.1"])
    finally:
        office.host.sh("ip address del 192.168.10.1/32 dev eth0")


def test_the_clock_is_an_hour_behind(office: Office) -> None:
    known = {"geneva.example.net": GENEVA_WAN}
    pool = office.zurich.sh("awk '/^pool/ { print $2; exit }' /etc/chrony/chrony.conf")
    office.names(known | {pool: "203.0.113.1"})
    server = start_program(office.internet, "time_server.py", "3600")
    try:
        found = doctor(office.zurich)
        assert found.causes == ["clock-wrong"] and "3600 s behind" in found.said
    finally:
        stop_program(server)
        office.names(known)


def test_nobody_gives_the_uplink_an_address(office: Office) -> None:
    static = "address: 203.0.113.2/24, gateway: 203.0.113.1"
    with configured(office, office.zurich, office.yaml("zurich").replace(static, "address: dhcp")):
        assert doctor(office.zurich).causes == ["no-lease"]


def test_no_supervisor(office: Office) -> None:
    office.zurich.run("systemctl", "stop", "appliance")
    try:
        assert doctor(office.zurich).causes == ["supervisor"]
    finally:
        office.zurich.run("systemctl", "start", "appliance")
    wait_for(lambda: not doctor(office.zurich).causes, 30, "the supervisor is back, and nothing is wrong")
