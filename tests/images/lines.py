"""What an office of the image has at its lines: a VLAN, the short way for what is allowed, a branch, PPPoE, and the
other engine.

    geneva 198.51.100.2, Debian's wg-quick
       │          ┌────────┐
    provider ─────┤ zurich ├───── host 192.168.10.20
 203.0.113.1      └────────┘ └ ─ ─ guest 192.168.30.20 (VLAN 20 on the same cable)

Geneva, provider, host and guest are namespaces of one more machine, with Debian's kernel.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from tests.images.office import LAN, OFFICE, PATIENCE, WAN, AsNode, apply, put, the_tunnel_is_up_by
from tests.lab import Lab, Node, genkey
from tests.labs.pppoe_provider import PASSWORD, USER, Provider
from tests.vm.cards import Card
from tests.vm.disk_machine import DiskMachine, together
from tests.vm.neighbour import Neighbour

GUESTS = "      guests: {device: enp0s17.20, address: 192.168.30.1/24}\ntunnels:"
WITH_GUESTS = OFFICE.replace("tunnels:", GUESTS).replace("  allow:\n", "  allow:\n    - {from: guests, to: wan}\n")
DIALLED = f"wan: {{device: enp0s16.7, address: pppoe, pppoe: {{user: {USER}, password: {{secret: provider}}}}}}"
WITH_PPPOE = re.sub("wan: {device.*", DIALLED, WITH_GUESTS)
GENEVA = """\
[Interface]
PrivateKey = {private}
ListenPort = 51820
Address = 10.20.0.2/32, 192.168.20.1/32
[Peer]
PublicKey = {office}
AllowedIPs = 10.20.0.1/32, 192.168.10.0/24
"""


@contextmanager
def beside(machine: DiskMachine, lab: Lab, folder: Path, *more: str) -> Iterator[Neighbour]:
    """Power for both, and their cables; `more` are words for the machine's QEMU. The neighbour goes with the block."""
    cards = [Card(lab.switch(name), "zurich", place) for name, place in (("wan", WAN), ("lan", LAN))]
    others = Neighbour(folder, [Card(card.switch, "others", 20 + n) for n, card in enumerate(cards)])
    try:
        plugged = [word for card in cards for word in card.plug()]
        machine.power_on([*plugged, *more], [card.end for card in cards])
        others.power_on()
        # Both are listened to: an emulated serial line throws away what nobody takes.
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda each: each.booted(PATIENCE), (machine, others)))
        together(machine, others)
        yield others
    finally:
        others.power_cut()


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


def a_branch_by_wg_quick(machine: DiskMachine, others: Neighbour) -> str:
    """Zurich calls it, and a host of Zurich's sends it data. Returns its public key."""
    geneva = genkey()
    office = machine.sh("cat /data/appliance/keys/wg-office.pub").strip()
    put(others, "/etc/wireguard/wg0.conf", GENEVA.format(private=geneva.private, office=office))
    others.sh(
        "sysctl -qw net.ipv4.ip_forward=1; ip netns add geneva;"
        "ip link add geneva type veth peer name eth0 netns geneva;"
        "ip address add 198.51.100.1/24 dev geneva; ip link set geneva up; ip -n geneva link set eth0 up;"
        "ip -n geneva address add 198.51.100.2/24 dev eth0; ip -n geneva route add default via 198.51.100.1;"
        "ip netns exec geneva wg-quick up wg0"
    )
    apply(machine, _with_key(WITH_GUESTS, geneva.public))
    others.sh("until ip netns exec host ping -n -c 1 -W 1 192.168.20.1; do :; done", PATIENCE)
    others.sh("(ip netns exec geneva socat -u TCP-LISTEN:7001,reuseaddr OPEN:/run/came,creat,trunc >/dev/null 2>&1 &)")
    others.sh("until ip netns exec geneva ss -Hltn | grep -q ':7001 '; do sleep 0.2; done")
    others.sh("head -c 100000 /dev/urandom >/run/sent")
    others.sh("ip netns exec host socat -u OPEN:/run/sent TCP:192.168.20.1:7001")
    others.sh("until cmp /run/sent /run/came; do sleep 0.2; done")
    print(others.sh("ip netns exec geneva wg show wg0 | grep -v key"))
    the_tunnel_is_up_by(machine, "kernel")
    return geneva.public


def _with_key(text: str, key: str) -> str:
    return re.sub("public_key: .*", f"public_key: {key}", text)


def a_session_over_a_vlan(machine: DiskMachine, others: Neighbour, branch: str) -> None:
    """As many providers have it: PPPoE in VLAN 7 of the line. `branch`: the public key of the one that is online."""
    others.sh(
        "ip address flush dev eth0; ip address add 203.0.113.1/32 dev lo; sysctl -qw net.ipv4.ip_forward=1;"
        "ip link add link eth0 name eth0.7 type vlan id 7; ip link set eth0.7 up"
    )
    Provider(cast(Node, AsNode(others)), "eth0.7").start()
    machine.sh("mkdir -p -m 700 /data/appliance/secrets")
    put(machine, "/data/appliance/secrets/provider", PASSWORD + "\n")
    print(apply(machine, _with_key(WITH_PPPOE, branch)))
    machine.sh("until ip -o address show dev ppp-wan | grep 'inet 100.64.0.1'; do sleep 1; done", PATIENCE)
    assert "802.1Q id 7" in machine.sh("ip -d link show enp0s16.7")
    others.sh("until ip netns exec host ping -n -c 1 -W 1 203.0.113.1; do :; done", PATIENCE)
    uplink = json.loads(machine.sh("appliance status --json || true"))["uplinks"][0]
    assert uplink["session"]["up"] and uplink["card"] == "enp0s16.7", uplink


def the_bundled_engine_takes_over(machine: DiskMachine) -> None:
    """With the module masked; and `status` says so."""
    machine.sh("printf 'blacklist wireguard\\ninstall wireguard /bin/false\\n' >/etc/modprobe.d/none.conf")
    machine.sh("systemctl stop appliance; ip link del wg-office; rmmod wireguard; systemctl start appliance", PATIENCE)
    the_tunnel_is_up_by(machine, "userspace")
    said = machine.run("appliance status", PATIENCE)[1]
    print(said)
    assert "userspace" in said
