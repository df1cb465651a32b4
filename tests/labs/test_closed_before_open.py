"""From the first moment of boot nothing is passed on that the file does not allow, not even while it is replaced.

internet 203.0.113.1            floods the office host and the printer with packets for their LAN
      │
  wan │ .2
┌─────┴─────┐
│  zurich   │   ip_forward is 1 before PID 1 runs
└─────┬─────┘
  lan │ 192.168.10.1
┌─────┴─────┐
│ host  .20 │   floods the internet as well: TCP 25 is not allowed, ping is
└───────────┘
"""

from __future__ import annotations

import pytest

from tests.lab import Box, Lab, Node, Probe, capture, wait_for
from tests.labs.office import in_order
from tests.labs.wiring import boot, configure

HOST = "192.168.10.20"
WEB = "203.0.113.1"

ZURICH = """\
version: 1
site: zurich
boxes:
  zurich:
    interfaces:
      wan: {{device: enp1s0, address: 203.0.113.2/24, gateway: 203.0.113.1}}
      lan: {{device: enp2s0, address: 192.168.10.1/24}}
tunnels:
  office: {{listen_port: 51820, addresses: [10.20.0.1/24], peers: {{}}}}
firewall:
  allow:
    - {{from: lan, to: wan, services: [{services}]}}
  masquerade: [wan]
"""


class Drawing:
    def __init__(self, lab: Lab) -> None:
        wan, lan = lab.switch("wan"), lab.switch("lan")
        self.internet: Node = lab.node("internet")
        self.internet.attach(wan, "zurich", ["203.0.113.1/24"])
        self.internet.sh("ip route add 192.168.10.0/24 via 203.0.113.2")
        self.zurich: Box = lab.box("zurich")
        self.zurich.attach(wan, "enp1s0")
        self.zurich.attach(lan, "enp2s0")
        self.host: Node = lab.node("host")
        self.host.attach(lan, "eth0", [f"{HOST}/24"], gateway="192.168.10.1")


@pytest.fixture(scope="module")
def drawing(shared_lab: Lab) -> Drawing:
    drawing = Drawing(shared_lab)
    boot(drawing.zurich)
    configure(drawing.zurich, ZURICH.format(services="ping"))
    drawing.host.ping(WEB, timeout=10)
    return drawing


def test_nothing_passes_while_the_box_boots(drawing: Drawing) -> None:
    """Three power cuts; the kernel forwards from the start, as if somebody's sysctl.conf had said so."""
    host, internet, zurich = drawing.host, drawing.internet, drawing.zurich
    sent = 0
    for _ in range(3):
        zurich.power_cut()
        zurich._hold()
        for link in zurich.links:
            link.plug()
        zurich.sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
        with (
            capture(host, "eth0", f"src {WEB} and udp") as inside,
            capture(internet, "zurich", "udp and not src 203.0.113.1") as outside,
            Probe(internet, host, HOST, 0.001) as inwards,
            Probe(host, internet, WEB, 0.001) as outwards,
        ):
            zurich.boot()
            in_order(zurich, 15)
            host.ping(WEB, timeout=10)
            many = inwards.report.sent + 200
            wait_for(lambda: inwards.report.sent > many, 10, "the flood goes on behind the boot")  # noqa: B023
        sent += inwards.report.sent + outwards.report.sent
        assert inside.lines == []
        leaked = [line for line in outside.lines if f"> {WEB}" in line]
        assert leaked == []
        assert inwards.report.received == outwards.report.received == 0
    print(f"3 boots: {sent} packets sent that nobody allowed, 0 passed")


def test_nothing_passes_while_the_file_is_replaced(drawing: Drawing) -> None:
    """Ten applies back and forth, under the same flood; what both files allow loses nothing."""
    host, internet, zurich = drawing.host, drawing.internet, drawing.zurich
    with (
        capture(host, "eth0", f"src {WEB} and udp") as inside,
        capture(internet, "zurich", "udp and not src 203.0.113.1") as outside,
        Probe(internet, host, HOST, 0.001) as inwards,
        Probe(host, internet, WEB, 0.001) as outwards,
    ):
        pings = host.popen("ping", "-n", "-i0.01", "-W1", "-c400", WEB)
        for number in range(10):
            configure(zurich, ZURICH.format(services="ping" if number % 2 else "ping, https"))
        said, _ = pings.communicate(timeout=60)
    assert inside.lines == []
    assert [line for line in outside.lines if f"> {WEB}" in line] == []
    assert inwards.report.received == outwards.report.received == 0
    assert " 0% packet loss" in said, said[-300:]
    sent = inwards.report.sent + outwards.report.sent
    print(f"10 applies: {sent} packets sent that nobody allowed, 0 passed; of 400 pings that are allowed none was lost")


def test_nothing_passes_while_there_is_no_supervisor(drawing: Drawing) -> None:
    """kill -9, and the closed table loaded over ours: at no time is there an open door."""
    host, internet, zurich = drawing.host, drawing.internet, drawing.zurich
    with (
        capture(host, "eth0", f"src {WEB} and udp") as inside,
        Probe(internet, host, HOST, 0.001) as inwards,
        Probe(host, internet, WEB, 0.001) as outwards,
    ):
        zurich.sh("kill -9 $(systemctl show --property=MainPID --value appliance)")
        in_order(zurich, 15)
        zurich.sh("systemctl restart appliance-firewall")
        in_order(zurich, 15)
    assert inside.lines == []
    assert inwards.report.received == outwards.report.received == 0
    sent = inwards.report.sent + outwards.report.sent
    print(f"supervisor killed, firewall unit restarted: {sent} packets sent that nobody allowed, 0 passed")
