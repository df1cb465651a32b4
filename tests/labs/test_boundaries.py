"""What the box lets nobody do: false sources, scans, its control socket; and what systemd thinks of its units.

The drawing stands in tests/labs/office.py.
"""

from __future__ import annotations

import json
import re

import pytest

from tests.lab import Box, Lab, Node, capture, wait_for
from tests.labs.office import ALICE, OFFICE_HOST, ZURICH, ZURICH_WAN, Office, in_order, status

FOREIGN = "172.31.9.9"
UNITS = (
    "appliance.service",
    "appliance-unattended.service",
    "appliance-engine@wg-office.service",
    "appliance-firewall.service",
    "appliance-clock@1.service",
    "appliance-bundle-fetch.service",
    "appliance-bundle-stick@sda1.service",
    "appliance-monitoring.service",
)

DNS_QUESTION = """
import socket, sys
name = b"".join(bytes([len(part)]) + part.encode() for part in sys.argv[2].split(".")) + b"\\0"
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.settimeout(2)
asking.sendto(b"\\0\\7\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0" + name + b"\\0\\1\\0\\1", (sys.argv[1], 53))
print(socket.inet_ntoa(asking.recv(512)[-4:]))
"""


@pytest.fixture(scope="module")
def office(shared_lab: Lab) -> Office:
    office = Office(shared_lab).build().go_online()
    office.branch_host.ping(OFFICE_HOST, timeout=15)
    office.laptop.ping(OFFICE_HOST, timeout=15)
    return office


def spoofed(box: Box) -> int:
    return int(status(box)["firewall"]["counters"]["spoofed"])


def send_as(node: Node, source: str, target: str) -> str:
    """Three pings with a source that is not the node's own."""
    node.run("ip", "address", "add", f"{source}/32", "dev", "lo")
    try:
        return node.run("ping", "-n", "-c3", "-i0.1", "-W0.3", "-I", source, target, check=False).stdout
    finally:
        node.run("ip", "address", "del", f"{source}/32", "dev", "lo")


def test_a_foreign_source_from_the_office_is_dropped_and_counted(office: Office) -> None:
    before = spoofed(office.zurich)
    with capture(office.internet, "zurich", "icmp") as outside:
        assert "ttl=" not in send_as(office.host, FOREIGN, "203.0.113.1")
    assert outside.lines == []
    assert spoofed(office.zurich) - before == 3


def test_a_source_of_ours_from_the_internet_is_dropped_and_counted(office: Office) -> None:
    """Claiming to be an office host, or a colleague in the tunnel, opens nothing: neither the box nor a host."""
    office.internet.run("ip", "route", "add", "192.168.10.0/24", "via", ZURICH_WAN)
    before = spoofed(office.zurich)
    with capture(office.host, "eth0", "icmp") as inside:
        for source in ("192.168.10.77", ALICE):
            for target in (OFFICE_HOST, ZURICH_WAN):
                assert "ttl=" not in send_as(office.internet, source, target)
    office.internet.run("ip", "route", "del", "192.168.10.0/24")
    assert inside.lines == []
    assert spoofed(office.zurich) - before == 12


def test_a_peer_has_only_its_own_addresses(office: Office) -> None:
    """The laptop claims a colleague's address: WireGuard knows whose key it came with, and drops it."""
    with capture(office.zurich, "wg-office", "icmp") as decrypted, capture(office.host, "eth0", "icmp") as inside:
        assert "ttl=" not in send_as(office.laptop, "10.20.0.99", OFFICE_HOST)
        office.laptop.ping(OFFICE_HOST)
    assert decrypted.matching("10.20.0.99") == inside.matching("10.20.0.99") == []


def scan(node: Node, address: str, *options: str) -> dict[str, list[int]]:
    """nmap's verdicts: state to ports. `open|filtered` is UDP's silence."""
    argv = ["nmap", "-n", "-Pn", "-T4", "--max-retries", "1", "--min-rate", "300", "-oG", "-", *options, address]
    output = node.run(argv, timeout=120).stdout
    found: dict[str, list[int]] = {}
    for port, state in re.findall(r"[ \t](\d+)/([a-z|]+)/", output):
        found.setdefault(state, []).append(int(port))
    return found


def test_a_scan_from_the_internet_finds_nothing(office: Office) -> None:
    """Ports that people use and all that run here: not one answers, WireGuard's is as silent as the rest."""
    tcp = scan(office.internet, ZURICH_WAN, "-sS", "-p", "1-1024,3389,5355,8080,8443,51820,51821")
    udp = scan(
        office.internet, ZURICH_WAN, "-sU", "-p", "53,67-69,123,161,323,500,546,547,1701,4500,5353,5355,51820,51821"
    )
    assert set(tcp) <= {"filtered"}, tcp
    assert set(udp) <= {"open|filtered"}, udp
    print("from the internet: nothing answers, neither in 1,030 TCP nor in 17 UDP ports")


def test_a_scan_from_the_office_finds_what_is_promised(office: Office) -> None:
    """DNS is there; ssh is let through by the firewall, and off until an administrator's key is on the box."""
    tcp = scan(office.host, "192.168.10.1", "-sS", "-p", "1-1024,5355,8080,8443,51820")
    udp = scan(office.host, "192.168.10.1", "-sU", "-p", "53,67,68,123,161,323,5353,5355,51820")
    assert tcp.get("open") == [53], tcp
    assert tcp.get("closed") == [22]
    assert udp.get("open") == [53], udp
    answer = office.host.run("python3", "-c", DNS_QUESTION, "192.168.10.1", "geneva.example.net").stdout.strip()
    assert answer == "198.51.100.2"
    print("from the office: open are TCP 53 and UDP 53; geneva.example.net is answered")


def test_nobody_but_root_and_the_group_speaks_to_the_supervisor(office: Office) -> None:
    zurich = office.zurich
    zurich.run("useradd", "--groups", "appliance", "anna")
    done = zurich.run("runuser", "-u", "anna", "--", "appliance", "status", "--json")
    assert json.loads(done.stdout)["box"] == "zurich"
    for verb in (["status"], ["plan", "/etc/machine-id"], ["apply", "/etc/machine-id"]):
        done = zurich.run("runuser", "-u", "nobody", "--", "appliance", *verb, check=False)
        assert done.returncode == 1
        assert done.stderr == "appliance: only root and the group appliance may do this; put sudo before it\n"
    assert zurich.sh("stat -c '%U:%G %a' /run/appliance/control.sock") == "root:appliance 660"
    assert zurich.sh("stat -c '%U:%G %a' /data/appliance/keys/wg-office.key") == "root:root 600"
    assert zurich.run(
        "runuser", "-u", "anna", "--", "cat", "/data/appliance/keys/wg-office.key", check=False
    ).returncode


def test_systemd_finds_nothing_wrong_with_our_units(office: Office) -> None:
    done = office.zurich.run("systemd-analyze", "verify", "--man=no", *UNITS, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = office.zurich.run("udevadm", "verify", "/usr/lib/udev/rules.d/90-appliance-bundle.rules", check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("unit", UNITS)
def test_units_are_hardened(office: Office, unit: str) -> None:
    output = office.zurich.run("systemd-analyze", "security", "--no-pager", unit, timeout=60).stdout
    score = re.search(r"Overall exposure level for \S+: ([\d.]+) (\w+)", output)
    assert score, output
    print(f"{unit}: {score[1]} {score[2]}")
    assert float(score[1]) <= 4.0


def test_networkd_understands_every_line_of_ours(office: Office) -> None:
    said = office.zurich.journal("-u", "systemd-networkd", "-u", "systemd-resolved", "-p", "warning")
    assert "appliance" not in said, said
    listed = json.loads(office.zurich.sh("networkctl --json=short list"))["Interfaces"]
    files = {link["Name"]: link.get("NetworkFile") for link in listed}
    assert files["enp1s0"] == "/run/systemd/network/50-appliance-wan.network"
    states = {link["Name"]: link["AdministrativeState"] for link in listed}
    assert states == {"lo": "unmanaged", "enp1s0": "configured", "enp2s0": "configured", "wg-office": "unmanaged"}


def test_the_journal_carries_fields(office: Office) -> None:
    """What programs read (docs/status.md): which configuration, how many steps, how long a repair took; how a trial
    ended; who has expired."""
    once = ZURICH.replace("address: 10.20.0.10", "address: 10.20.0.10\n        expires: 2026-01-01")
    office.apply(office.zurich, once)
    wait_for(lambda: "has expired" in office.zurich.journal("-u", "appliance"), 10, "alice has expired")
    office.apply(office.zurich)
    office.zurich.run("ip", "address", "del", "10.20.0.1/24", "dev", "wg-office")
    wait_for(lambda: "put right" in office.zurich.journal("-u", "appliance"), 10, "the repair is in the journal")
    in_order(office.zurich, 10)
    lines = office.zurich.journal("SYSLOG_IDENTIFIER=appliance", "-o", "json").splitlines()
    entries = [json.loads(line) for line in lines]
    applied = next(entry for entry in entries if entry["MESSAGE"].startswith("applied"))
    assert applied["DIGEST"] == status(office.zurich)["configuration"]
    assert int(applied["STEPS"]) > 5 and int(applied["MILLISECONDS"]) > 0
    trials = [(entry["GENERATION"], entry["OUTCOME"]) for entry in entries if "GENERATION" in entry]
    assert trials == [(str(n), outcome) for n in (1, 2, 3) for outcome in ("on trial", "confirmed")]
    assert [entry["MESSAGE"] for entry in entries if entry.get("PEER") == "office.alice"] == [
        "office.alice has expired and gets in no more"
    ]
    repair = next(entry for entry in entries if entry["MESSAGE"].startswith("put right"))
    assert int(repair["MILLISECONDS"]) >= 0
    assert all(entry["_SYSTEMD_UNIT"] == "appliance.service" for entry in entries)
    assert not [entry for entry in entries if "Traceback" in str(entry["MESSAGE"])]
