"""From the file that a person flashes to an office with its lines, as the machine's console and its neighbours tell it.

build/image/*.img ─► disk of 4 GB ─► OVMF with Secure Boot ─► shim ─► GRUB ─► kernel ─► the product
                                             ▲
                                    the power is cut, six times

                  ┌────────┐
    provider ─────┤ zurich ├───── host 192.168.10.20
 203.0.113.1      └────────┘ └ ─ ─ guest 192.168.30.20 (VLAN 20 on the same cable)

Provider, host and guest are namespaces of one more machine, with a kernel that knows VLANs and PPP.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shlex import join
from typing import cast

import pytest

from tests.images.office import (
    CARDS,
    LAN,
    LONG_AGO,
    OFFICE,
    PATIENCE,
    WAN,
    apply,
    image,
    is_well,
    put,
    the_tunnel_is_up_by,
)
from tests.lab import Lab, Node
from tests.labs.pppoe_provider import PASSWORD, USER, Provider
from tests.vm.cards import Card
from tests.vm.disk_machine import DiskMachine
from tests.vm.neighbour import Neighbour

DOWN = "\x0e"
"""Control-N, at GRUB's menu (GRUB manual, "The flow of control")."""
GUESTS = "      guests: {device: enp0s17.20, address: 192.168.30.1/24}\ntunnels:"
FLASHED_BYTES, LARGER_BYTES = 4 << 30, 6 << 30
WITH_GUESTS = OFFICE.replace("tunnels:", GUESTS).replace("  allow:\n", "  allow:\n    - {from: guests, to: wan}\n")
DIALLED = f"wan: {{device: enp0s16.7, address: pppoe, pppoe: {{user: {USER}, password: {{secret: provider}}}}}}"
WITH_PPPOE = re.sub("wan: {device.*", DIALLED, WITH_GUESTS)


class AsNode:
    """A neighbour where a node of a lab is expected, by whoever only writes files there and runs commands."""

    def __init__(self, machine: Neighbour) -> None:
        self.machine = machine

    def put(self, path: str, content: str, mode: int) -> None:
        put(self.machine, path, content)

    def sh(self, script: str) -> str:
        return self.machine.sh(script)

    def run(self, *words: str) -> str:
        return self.machine.sh(join(words))

    def popen(self, *words: str) -> None:
        self.machine.sh(f"({join(words)} >/dev/null 2>&1 &)")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[DiskMachine]:
    made = DiskMachine(tmp_path, image(), gigabytes=FLASHED_BYTES >> 30)
    yield made
    made.power_cut()


def monotonic(machine: DiskMachine, unit: str, when: str) -> int:
    """When a unit reached a state, in microseconds since the machine's start."""
    return int(machine.sh(f"systemctl show --value -p {when}TimestampMonotonic {unit}").strip())


def test_from_the_file_to_an_office(machine: DiskMachine, lab: Lab, tmp_path: Path) -> None:
    machine.power_on()
    for seconds in sorted(random.Random(5).uniform(10, 40) for _ in range(3)):
        machine.listen(seconds)
        machine.power_cut()
        machine.power_on()
    machine.console.wait_for("Booting `Appliance", PATIENCE)
    machine.listen(random.Random(6).uniform(5, 12))
    machine.power_cut()

    machine.power_on(CARDS).booted(PATIENCE)
    is_well(machine)
    assert "Secure boot enabled" in machine.sh("dmesg")

    # Nothing but /data is written.
    assert machine.run("touch /usr/x")[0] == 1
    assert machine.sh("cat /etc/machine-id") == machine.sh("cat /data/machine-id")

    # Closed before any interface is up, and nobody may log in from afar.
    closed = monotonic(machine, "appliance-firewall", "ActiveEnter")
    assert 0 < closed < monotonic(machine, "systemd-networkd", "InactiveExit")
    assert machine.run("systemctl is-active ssh appliance-ssh")[1].split() == ["inactive", "inactive"]

    # A person at the serial line is asked what a box must know.
    machine.console.wait_for("This box is new. Press Enter to set it up", PATIENCE)
    machine.console.write("\r")
    machine.console.wait_for("One box or two", PATIENCE)

    apply(machine, OFFICE)
    the_tunnel_is_up_by(machine, "kernel")
    assert "wireguard" in machine.sh("lsmod")

    # What was confirmed is there after a power cut.
    identity = machine.sh("cat /data/machine-id")
    wall, data = int(machine.sh("date +%s")), data_bytes(machine)
    machine.sh("sync")
    machine.power_cut()
    a_shell_from_the_menu(machine)
    machine.power_cut()
    # Somebody has copied it to a larger disk; and the clock's battery is empty.
    os.truncate(machine.disk, LARGER_BYTES)
    cards = [Card(lab.switch(name), "zurich", place) for name, place in (("wan", WAN), ("lan", LAN))]
    others = Neighbour(tmp_path / "others", [Card(card.switch, "others", 20 + n) for n, card in enumerate(cards)])
    try:
        plugged = [word for card in cards for word in card.plug()]
        machine.power_on([*plugged, "-rtc", f"base={LONG_AGO}"], [card.end for card in cards])
        others.power_on()
        # Both are listened to: an emulated serial line throws away what nobody takes.
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda each: each.booted(PATIENCE), (machine, others)))
        assert machine.sh("cat /data/machine-id") == identity
        the_tunnel_is_up_by(machine, "kernel")
        is_well(machine)
        assert int(machine.sh("date +%s")) >= wall, "no handshake is older than those before the cut"
        more, grown = LARGER_BYTES - FLASHED_BYTES, data_bytes(machine) - data
        assert grown > 0.9 * more, f"of {more} bytes more, {grown} are of use"
        it_is_a_package(machine)
        cards_and_processor_are_set_right(machine)
        print(machine.sh("systemd-analyze --no-pager; systemd-analyze critical-chain --no-pager"))
        print(machine.sh("systemd-analyze blame --no-pager | head -n 12; free -m; df -h /data"))
        a_vlan_and_the_short_way(machine, others)
        a_session_over_a_vlan(machine, others)
    finally:
        others.power_cut()

    # With the module masked, the bundled engine carries the tunnel, and `status` says so.
    machine.sh("printf 'blacklist wireguard\\ninstall wireguard /bin/false\\n' >/etc/modprobe.d/none.conf")
    machine.sh("systemctl stop appliance; ip link del wg-office; rmmod wireguard; systemctl start appliance", PATIENCE)
    the_tunnel_is_up_by(machine, "userspace")
    said = machine.run("appliance status", PATIENCE)[1]
    print(said)
    assert "userspace" in said


def data_bytes(machine: DiskMachine) -> int:
    """The size of /data."""
    return int(machine.sh("df -B1 --output=size /data | tail -n 1"))


def it_is_a_package(machine: DiskMachine) -> None:
    """The product is known to dpkg, and nothing of it is missing or altered."""
    assert machine.sh("dpkg-query -W -f '${Status}' appliance") == "install ok installed"
    assert machine.sh("dpkg --verify appliance") == ""


def cards_and_processor_are_set_right(machine: DiskMachine) -> None:
    """virtio-net has one receive queue, and there are two cores; packets of a tunnel pass many at a time."""
    for card in ("enp0s16", "enp0s17"):
        assert machine.sh(f"cat /sys/class/net/{card}/queues/rx-0/rps_cpus").strip() == "3"
    said = json.loads(machine.sh("appliance status --json 2>/dev/null || true"))["hardware"]
    print("\n".join(f"{each['of']}: {each['what']} {each['now']}: {each['why']}" for each in said))
    assert {each["what"] for each in said} >= {"rx-udp-gro-forwarding", "rx-0/rps_cpus"}
    assert [each for each in said if each["now"] != each["wanted"]] == []


def a_shell_from_the_menu(machine: DiskMachine) -> None:
    """The rescue entry: root on the console, the office's configuration not carried out, no network."""
    machine.power_on(CARDS)
    machine.console.wait_for("Rescue: a root shell on system A", PATIENCE)
    machine.console.write(DOWN + DOWN + "\r")
    # Of sulogin's two lines the first may be lost on a serial line that is just being set up.
    machine.console.wait_for("press Control-D to continue", PATIENCE)
    machine.console.write("\r")
    # Said again: what is typed while a shell sets up its line may be thrown away.
    for _ in range(20):
        machine.console.write("echo $(id -un) in $(systemctl is-active rescue.target appliance systemd-networkd)\r")
        machine.listen(3)
        if "root in active inactive inactive" in machine.console.said:
            break
    machine.console.wait_for("root in active inactive inactive", 1)
    machine.booted(PATIENCE)
    # Their drivers may come later than the shell.
    machine.sh("until [ $(ip -o link | grep -vc ' lo:') = 2 ]; do sleep 1; done", PATIENCE)
    assert machine.sh("ip -o link | grep -v ' lo:'").count("state DOWN") == 2
    assert machine.sh("cat /proc/sys/net/ipv4/ip_forward").strip() == "0"


def a_vlan_and_the_short_way(machine: DiskMachine, others: Neighbour) -> None:
    """Two networks on one cable; and what passes between networks leaves the firewall's rules out, once allowed."""
    others.sh(
        "ip address add 203.0.113.1/24 dev eth0; ip link set eth0 up; ip netns add host; ip netns add guest;"
        "ip link set eth1 netns host; ip -n host link set eth1 up; ip -n host address add 192.168.10.20/24 dev eth1;"
        "ip -n host route add default via 192.168.10.1;"
        "ip -n host link add link eth1 name vlan20 netns guest type vlan id 20; ip -n guest link set vlan20 up;"
        "ip -n guest address add 192.168.30.20/24 dev vlan20; ip -n guest route add default via 192.168.30.1"
    )
    said = apply(machine, WITH_GUESTS)
    assert "enp0s17.20: add VLAN 20 on enp0s17" in said, said
    assert "802.1Q id 20" in machine.sh("ip -d link show enp0s17.20")
    for who, address in (("host", "192.168.10.1"), ("guest", "192.168.30.1"), ("guest", "203.0.113.1")):
        others.sh(f"until ip netns exec {who} ping -n -c 1 -W 1 {address}; do :; done", PATIENCE)
    assert others.run("ip netns exec guest ping -n -c 2 -W 1 192.168.10.20")[0] == 1

    flows = machine.sh("nft list flowtable inet appliance fast")
    assert all(device in flows for device in ("enp0s16", "enp0s17", "enp0s17.20")), flows
    others.sh("(socat -u TCP-LISTEN:7000,fork,reuseaddr OPEN:/run/got,creat,append >/dev/null 2>&1 &)")
    others.sh("until ss -Hltn | grep -q ':7000 '; do sleep 0.2; done")
    for who in ("host", "guest"):
        talk = f"while sleep 0.2; do echo {who}; done | socat -u - TCP:203.0.113.1:7000"
        others.sh(f"(ip netns exec {who} sh -c '{talk}' >/dev/null 2>&1 &)")
        source = {"host": "192.168.10.20", "guest": "192.168.30.20"}[who]
        short = f"conntrack -L -p tcp --orig-src {source} 2>/dev/null | grep OFFLOAD"
        print(machine.sh(f"until {short}; do sleep 1; done", PATIENCE))
    # No packet of theirs meets the hook any more in which the rules stand.
    machine.sh(
        "nft 'table inet probe { chain forward { type filter hook forward priority -200;"
        "tcp dport 7000 counter; tcp sport 7000 counter; }; }'"
    )
    for who in ("host", "guest"):
        before = int(others.sh(f"grep -c {who} /run/got"))
        others.sh(f"until [ $(grep -c {who} /run/got) -ge {before + 20} ]; do sleep 1; done", PATIENCE)
    counted = machine.sh("nft list table inet probe; nft delete table inet probe")
    assert counted.count("counter packets 0 ") == 2, counted
    others.sh("pkill socat")


def a_session_over_a_vlan(machine: DiskMachine, others: Neighbour) -> None:
    """As many providers have it: PPPoE in VLAN 7 of the line."""
    others.sh(
        "ip address flush dev eth0; ip address add 203.0.113.1/32 dev lo; sysctl -qw net.ipv4.ip_forward=1;"
        "ip link add link eth0 name eth0.7 type vlan id 7; ip link set eth0.7 up"
    )
    Provider(cast(Node, AsNode(others)), "eth0.7").start()
    machine.sh("mkdir -p -m 700 /data/appliance/secrets")
    put(machine, "/data/appliance/secrets/provider", PASSWORD + "\n")
    print(apply(machine, WITH_PPPOE))
    machine.sh("until ip -o address show dev ppp-wan | grep 'inet 100.64.0.1'; do sleep 1; done", PATIENCE)
    assert "802.1Q id 7" in machine.sh("ip -d link show enp0s16.7")
    others.sh("until ip netns exec host ping -n -c 1 -W 1 203.0.113.1; do :; done", PATIENCE)
    uplink = json.loads(machine.sh("appliance status --json || true"))["uplinks"][0]
    assert uplink["session"]["up"] and uplink["card"] == "enp0s16.7", uplink
