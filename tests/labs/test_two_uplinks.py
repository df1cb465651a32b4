"""Two providers: what is asked on one line is answered on the same, and what the office starts takes the first.

    ┌───────────── internet ─────────────┐
    │ 203.0.113.1    198.51.100.1        │ 192.0.2.1
    │ (isp-a)        (isp-b)             │
wan │ .2         wan2 │ .2               │ .2
  ┌─┴─────────────────┴──┐          ┌────┴─────┐
  │        zurich        │          │ stranger │ ══ office (wg-quick), calls 198.51.100.2
  └──────────┬───────────┘          └──────────┘
         lan │ 192.168.10.1
       ┌─────┴─────┐
       │ host  .20 │
       └───────────┘
"""

from __future__ import annotations

import pytest

from tests.lab import Box, Lab, Link, Node, capture, genkey, transfer, wg_quick_peer
from tests.labs.office import in_order, peer_state
from tests.labs.wiring import boot, configure, fetch, give_key, serving

HOST = "192.168.10.20"
STRANGER = "192.0.2.2"
FIRST, SECOND = "203.0.113.2", "198.51.100.2"

ZURICH = """\
version: 1
site: zurich
boxes:
  zurich:
    interfaces:
      wan: {device: enp1s0, address: 203.0.113.2/24, gateway: 203.0.113.1}
      wan2: {device: enp3s0, address: 198.51.100.2/24, gateway: 198.51.100.1}
      lan: {device: enp2s0, address: 192.168.10.1/24}
tunnels:
  office:
    listen_port: 51820
    addresses: [10.20.0.1/24]
    peers:
      alice: {public_key: ALICE, address: 10.20.0.10}
firewall:
  allow:
    - {from: lan, to: wan}
    - {from: lan, to: wan2}
    - {from: office.alice, to: lan}
  masquerade: [wan, wan2]
  port_forwards:
    - {from: wan, port: tcp/8080, to: 192.168.10.20, to_port: 80}
    - {from: wan2, port: tcp/8080, to: 192.168.10.20, to_port: 80}
"""


class Drawing:
    def __init__(self, lab: Lab) -> None:
        isp_a, isp_b, elsewhere, lan = (lab.switch(name) for name in ("isp-a", "isp-b", "elsewhere", "lan"))
        self.internet: Node = lab.node("internet")
        self.internet.attach(isp_a, "isp-a", ["203.0.113.1/24"])
        self.internet.attach(isp_b, "isp-b", ["198.51.100.1/24"])
        self.internet.attach(elsewhere, "stranger", ["192.0.2.1/24"])
        self.internet.forward()
        # A provider drops what does not come from the addresses that it gave out (BCP 38).
        self.internet.sh("sysctl -qw net.ipv4.conf.isp-a.rp_filter=1 net.ipv4.conf.isp-b.rp_filter=1")
        self.zurich: Box = lab.box("zurich")
        self.first: Link = self.zurich.attach(isp_a, "enp1s0")
        self.second: Link = self.zurich.attach(isp_b, "enp3s0")
        self.zurich.attach(lan, "enp2s0")
        self.host: Node = lab.node("host")
        self.host.attach(lan, "eth0", [f"{HOST}/24"], gateway="192.168.10.1")
        self.stranger: Node = lab.node("stranger")
        self.stranger.attach(elsewhere, "eth0", [f"{STRANGER}/24"], gateway="192.0.2.1")
        ours, alice = genkey(), genkey()
        boot(self.zurich)
        give_key(self.zurich, "office", ours)
        configure(self.zurich, ZURICH.replace("ALICE", alice.public))
        self.tunnel = wg_quick_peer(
            self.stranger,
            f"[Interface]\nPrivateKey = {alice.private}\nAddress = 10.20.0.10/32\n"
            f"[Peer]\nPublicKey = {ours.public}\nEndpoint = {SECOND}:51820\n"
            "AllowedIPs = 10.20.0.0/24, 192.168.10.0/24\nPersistentKeepalive = 5\n",
        )


@pytest.fixture(scope="module")
def drawing(shared_lab: Lab) -> Drawing:
    return Drawing(shared_lab)


@pytest.mark.parametrize(("asked", "other"), [(FIRST, "isp-b"), (SECOND, "isp-a")], ids=["wan", "wan2"])
def test_what_is_asked_on_a_line_is_answered_there(drawing: Drawing, asked: str, other: str) -> None:
    """ping, a port forward with a megabyte of answer: nothing of it on the other line."""
    with (
        serving(drawing.host, 80),
        capture(drawing.internet, other, f"host {STRANGER} and not udp port 51820") as wrong,
    ):
        drawing.stranger.ping(asked)
        assert fetch(drawing.stranger, asked, 8080) == "here"
    assert wrong.lines == []


def test_wireguard_answers_on_the_line_that_it_was_called_on(drawing: Drawing) -> None:
    with (
        capture(drawing.internet, "isp-a", "udp port 51820") as wrong,
        capture(drawing.internet, "isp-b", "udp port 51820") as right,
    ):
        drawing.stranger.ping(HOST, timeout=15)
        mbit = transfer(drawing.stranger, drawing.host, HOST)
    assert wrong.lines == []
    assert any(f"{SECOND}.51820 > {STRANGER}" in line for line in right.lines)
    assert peer_state(drawing.zurich, "office.alice")["state"] == "up"
    print(f"tunnel over the second line: {mbit:.0f} Mbit/s")


def test_what_the_office_starts_takes_the_first_line(drawing: Drawing) -> None:
    with (
        capture(drawing.internet, "isp-a", "icmp[icmptype] == icmp-echo") as first,
        capture(drawing.internet, "isp-b", "icmp[icmptype] == icmp-echo") as second,
    ):
        for _ in range(3):
            drawing.host.ping("192.0.2.1")
        first.wait(f"{FIRST} > 192.0.2.1")
    assert second.lines == []


def test_the_first_lines_cable_is_out(drawing: Drawing) -> None:
    """The office goes out by the second line within a moment, and comes back to the first with the cable."""
    with capture(drawing.internet, "isp-b", "icmp[icmptype] == icmp-echo") as second:
        drawing.first.cut()
        drawing.host.ping("192.0.2.1", timeout=10)
        second.wait(f"{SECOND} > 192.0.2.1")
    drawing.stranger.ping(HOST)
    drawing.first.mend()
    with capture(drawing.internet, "isp-a", "icmp[icmptype] == icmp-echo") as first:
        drawing.host.ping("192.0.2.1", timeout=10)
        first.wait(f"{FIRST} > 192.0.2.1")
    in_order(drawing.zurich)
