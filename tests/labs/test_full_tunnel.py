"""A branch whose whole internet traffic goes through the head office.

                     internet (web, DNS)
             203.0.113.1 │ 198.51.100.1 │ 192.0.2.1
       ┌─────────────────┘      │       └───────────────┐
   wan │ .2                 wan │ .2                eth0│ .2
 ┌─────┴─────┐            ┌─────┴─────┐           ┌─────┴─────┐
 │  zurich   │ ◄═ office ═│  geneva   │           │ stranger  │
 │masquerades│  0.0.0.0/0 │           │           └───────────┘
 └─────┬─────┘  ::/0      └─────┬─────┘
   lan │ 192.168.10.1       lan │ 192.168.20.1, fd00:20::1/64
┌──────┴──────┐          ┌──────┴──────┐
│ office host │          │ branch host │
└─────────────┘          └─────────────┘
"""

from __future__ import annotations

import pytest

from tests.lab import Box, Lab, Node, Probe, capture, transfer, wait_for
from tests.labs.office import BRANCH_HOST, GENEVA, GENEVA_WAN, OFFICE_HOST, ZURICH, Office, in_order, status
from tests.labs.wiring import fetch, pings, serving

WEB = "203.0.113.1"
STRANGER = "192.0.2.2"

HEAD_OFFICE = ZURICH.replace(
    "    - {{from: office.geneva, to: lan}}\n",
    "    - {{from: office.geneva, to: lan}}\n    - {{from: office.geneva, to: wan}}\n",
)
BRANCH = (
    GENEVA.replace(
        "networks: [192.168.10.0/24, 10.20.0.10/32]", 'networks: ["0.0.0.0/0", "::/0"]\n        keepalive: 5'
    )
    .replace("endpoint: 203.0.113.2:51820", "endpoint: zurich.example.net:51820")
    .replace("address: 192.168.20.1/24", 'address: [192.168.20.1/24, "fd00:20::1/64"]')
    .replace("addresses: [10.20.0.2/24]", 'addresses: [10.20.0.2/24, "fd00:99::2/64"]')
    .replace("    - {{from: lan, to: wan}}\n", "")
    # A name server that is no neighbour: the tunnel's far end must be asked for outside of the tunnel.
    .replace("dns: [198.51.100.1]", "dns: [192.0.2.1]")
    .replace(
        "  masquerade: [wan]\n",
        "  port_forwards:\n    - {{from: wan, port: tcp/8080, to: 192.168.20.20, to_port: 80}}\n",
    )
)

STRAY = (
    "not arp and not igmp and not (udp and port 51820)"
    " and not (icmp6 and ip6[40] >= 133 and ip6[40] <= 137) and not ip6 multicast"
)
"""What is neither WireGuard nor talk between neighbours. IP fragments of WireGuard count as stray: there are none."""


@pytest.fixture(scope="module")
def office(shared_lab: Lab) -> Office:
    office = Office(shared_lab).build()
    office.branch_host.run("ip", "address", "add", "fd00:20::20/64", "dev", "eth0", "nodad")
    office.branch_host.run("ip", "-6", "route", "add", "default", "via", "fd00:20::1")
    office.apply(office.zurich, HEAD_OFFICE)
    office.apply(office.geneva, BRANCH)
    office.branch_host.ping(OFFICE_HOST, timeout=20)
    return office


@pytest.fixture(scope="module")
def stranger(office: Office) -> Node:
    """Somebody in the internet who is no neighbour of the branch: its answers need a route."""
    return office.home


def test_all_traffic_goes_through_the_head_office(office: Office) -> None:
    """The branch's web traffic arrives with zurich's address; on the branch's line there is nothing but WireGuard."""
    with (
        capture(office.geneva, "enp1s0", STRAY) as line,
        capture(office.internet, "zurich", "icmp[icmptype] == icmp-echo") as seen,
    ):
        office.branch_host.ping(WEB)
        office.branch_host.ping(OFFICE_HOST)
        mbit = transfer(office.branch_host, office.internet, WEB, 5_000_000)
        # IPv6 has no way out of the head office: it is refused there, and must not leave here.
        assert not pings(office.branch_host, "2001:db8::1")
        seen.wait("203.0.113.2 > 203.0.113.1")
    assert seen.matching(BRANCH_HOST) == [] and seen.matching(GENEVA_WAN) == []
    assert line.lines == [], "nothing but WireGuard leaves the branch"
    print(f"web through the head office: {mbit:.0f} Mbit/s; stray packets on the branch's line: {len(line.lines)}")


def test_the_tunnels_own_packets_do_not_loop(office: Office) -> None:
    """A packet that went into the tunnel again would come out as ever more of them."""
    before = status(office.geneva)["tunnels"][0]["peers"][0]["sent_bytes"]
    with capture(office.geneva, "enp1s0", "udp and dst port 51820 and src host 198.51.100.2") as outer:
        assert office.branch_host.run("ping", "-n", "-c20", "-i0.05", WEB).stdout.count("ttl=") == 20
    sent = status(office.geneva)["tunnels"][0]["peers"][0]["sent_bytes"] - before
    assert 20 <= len(outer.lines) <= 30, "one outer packet for each inner one, and a keepalive or two"
    with capture(office.geneva, "wg-office", "udp port 51820") as inner:
        office.branch_host.ping(WEB)
    assert inner.lines == []
    print(f"20 pings: {len(outer.lines)} outer packets, {sent} bytes")


def kill_engine(box: Box) -> None:
    """kill -9, and wait until systemd has started another."""
    ask = "systemctl show --property=MainPID --value appliance-engine@wg-office"
    before = box.sh(ask)
    box.run("kill", "-9", before)
    wait_for(lambda: box.sh(ask) not in ("0", before), 10, "the engine runs again")


def test_nothing_leaks_while_the_engine_is_dead(office: Office) -> None:
    """kill -9 of the engine, three times, while the branch sends: what the tunnel cannot take is not sent at all."""
    with capture(office.geneva, "enp1s0", STRAY) as line:
        with Probe(office.branch_host, office.internet, WEB, 0.002) as probe:
            for _ in range(3):
                probe.flowing(timeout=20, packets=50)
                kill_engine(office.geneva)
                in_order(office.geneva, 10)
            probe.flowing(timeout=20, packets=50)
        stray = [each for each in line.lines if ".53:" not in each and ".53 >" not in each]
    assert stray == [], "a packet left the branch outside of the tunnel"
    print(f"engine killed three times: {probe.report}; leaked: {len(stray)} packets")


def test_nothing_leaks_while_the_engine_is_stopped(office: Office) -> None:
    """For as long as there is no tunnel the branch is cut off, it does not fall back to its own line."""
    geneva = office.geneva
    geneva.run("systemctl", "stop", "appliance")
    try:
        geneva.run("systemctl", "stop", "appliance-engine@wg-office")
        with capture(geneva, "enp1s0", STRAY) as line:
            assert not pings(office.branch_host, WEB)
            assert not pings(office.branch_host, STRANGER)
    finally:
        geneva.run("systemctl", "start", "appliance")
    assert line.lines == []
    in_order(geneva, 15)
    office.branch_host.ping(WEB, timeout=20)


def test_the_clock_is_asked_on_the_branchs_own_line(office: Office, stranger: Node) -> None:
    """A wrong clock may be why there is no tunnel, so the box's own chrony does not go through it; its hosts do."""
    settings = "/run/time-server.conf"
    stranger.put(settings, "local stratum 8\nallow\ncmdport 0\nbindcmdaddress /\npidfile /run/time-server.pid\n", 0o644)
    server = stranger.popen("chronyd", "-x", "-d", "-f", settings)
    try:
        with (
            capture(office.geneva, "enp1s0", "udp port 123") as line,
            capture(office.internet, "zurich", "udp port 123") as detour,
        ):
            said = office.geneva.sh(f"chronyd -x -Q -t 20 'server {STRANGER} iburst' 'pidfile /run/asked.pid' 2>&1")
            office.branch_host.sh(f"echo what time is it | socat -u - UDP:{STRANGER}:123")
            detour.wait("203.0.113.2")
        assert "System clock wrong by" in said, said
        assert detour.matching(GENEVA_WAN) == [] and line.matching(BRANCH_HOST) == []
        assert line.matching(f"{GENEVA_WAN}.") and line.matching(f"{STRANGER}.123 > {GENEVA_WAN}")
    finally:
        server.terminate()
        server.wait(10)


def test_who_calls_the_branch_on_its_line_is_answered_there(office: Office, stranger: Node) -> None:
    """ping and a port forward from a stranger in the internet: question and answer on the branch's own line."""
    with serving(office.branch_host, 80), capture(office.internet, "zurich", f"host {STRANGER}") as detour:
        stranger.ping(GENEVA_WAN)
        assert fetch(stranger, GENEVA_WAN, 8080) == "here"
        assert fetch(stranger, GENEVA_WAN, 80) == ""
    assert detour.lines == [], "no answer takes the way through the head office"


def test_a_tunnel_peer_cannot_claim_to_be_a_host_of_ours(office: Office) -> None:
    """From a peer that stands for the whole internet, a source in our own LAN is dropped and counted."""
    before = status(office.geneva)["firewall"]["counters"]["spoofed"]
    with capture(office.branch_host, "eth0", "icmp and src host 192.168.20.99") as inside:
        office.zurich.run("ip", "address", "add", "192.168.20.99/32", "dev", "lo")
        done = office.zurich.run("ping", "-n", "-c3", "-i0.1", "-W0.3", "-I", "192.168.20.99", BRANCH_HOST, check=False)
        office.zurich.run("ip", "address", "del", "192.168.20.99/32", "dev", "lo")
    counted = status(office.geneva)["firewall"]["counters"]["spoofed"] - before
    assert "ttl=" not in done.stdout and inside.lines == []
    assert counted == 3
