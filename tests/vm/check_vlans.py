"""Runs inside the emulated machine, on the product's own kernel: two networks on one cable, the one in a VLAN.

  internet 203.0.113.1
     │
 wan │ enp1s0
┌────┴────┐  enp2s0 192.168.10.1         host  192.168.10.20
│ zurich  ├────────────────────────┬──── (untagged)
└─────────┘  enp2s0.20 192.168.30.1└──── guest 192.168.30.20 (VLAN 20)
"""

from __future__ import annotations

from tests.lab import Box, Lab, Node, wait_for
from tests.labs.office import in_order, status
from tests.labs.wiring import apply, pings

PATIENCE = 120

ZURICH = """\
version: 1
site: zurich
boxes:
  zurich:
    interfaces:
      wan: {device: enp1s0, address: 203.0.113.2/24, gateway: 203.0.113.1}
      lan: {device: enp2s0, address: 192.168.10.1/24}
firewall:
  allow:
    - {from: lan, to: wan}
  masquerade: [wan]
"""
GUESTS = ZURICH.replace("firewall:", "      guests: {device: enp2s0.20, address: 192.168.30.1/24}\nfirewall:").replace(
    "  masquerade", "    - {from: guests, to: wan}\n  masquerade"
)


HEARD = """\
import time
from appliance.adapters.packet_ear import PacketEar
found = PacketEar().listen(time.monotonic() + 10)
print(*sorted({device for device, _, packet in found if packet[9:10] == b"\\x01"}))
"""
"""The devices on which the doctor hears ICMP."""


def configure(box: Box, text: str) -> str:
    box.put("/data/appliance/appliance.yaml", text, 0o600)
    return apply(box, timeout=PATIENCE)


def talks(node: Node, port: int) -> None:
    """A connection to the internet that says a word now and then, for as long as the lab is there."""
    node.popen("sh", "-c", f"while sleep 0.2; do echo here; done | socat -u - TCP:203.0.113.1:{port}")


def takes_it(box: Box, source: str) -> None:
    """Its connection has the short way."""
    listed = f"conntrack -L -p tcp --orig-src {source} 2>/dev/null"
    wait_for(lambda: "OFFLOAD" in box.sh(listed), PATIENCE, f"{source} takes it", 0.5)


def test_a_vlan_is_made_by_the_box(lab: Lab) -> None:
    wan, trunk = lab.switch("wan"), lab.switch("trunk")
    internet, host, guest = lab.node("internet"), lab.node("host"), lab.node("guest")
    internet.attach(wan, "zurich", ["203.0.113.1/24"])
    host.attach(trunk, "eth0", ["192.168.10.20/24"], gateway="192.168.10.1")
    guest.attach(trunk, "eth0")
    guest.sh(
        "ip link add link eth0 name eth0.20 type vlan id 20; ip link set eth0.20 up;"
        "ip address add 192.168.30.20/24 dev eth0.20; ip route add default via 192.168.30.1"
    )
    zurich = lab.box("zurich")
    zurich.attach(wan, "enp1s0")
    zurich.attach(trunk, "enp2s0")
    zurich.boot(PATIENCE)
    configure(zurich, ZURICH)
    host.ping("203.0.113.1", timeout=PATIENCE)
    assert not pings(guest, "192.168.30.1")

    # The plan says it, the kernel has it, both networks work, and neither reaches the other.
    zurich.put("/data/appliance/appliance.yaml", GUESTS, 0o600)
    assert "enp2s0.20: add VLAN 20 on enp2s0" in zurich.run("appliance", "plan", check=False).stdout
    apply(zurich, timeout=PATIENCE)
    in_order(zurich, PATIENCE)
    assert "802.1Q id 20" in zurich.sh("ip -d link show enp2s0.20")
    for node in (guest, host):
        node.ping("203.0.113.1", timeout=PATIENCE)
    assert not pings(guest, "192.168.10.20") and not pings(host, "192.168.30.20")

    # Whoever listens hears a packet of the VLAN there, and not on the card as well, where the office is.
    guest.popen("ping", "-n", "-i0.2", "-w60", "192.168.30.1")
    zurich.put("/tmp/heard.py", HEARD)
    assert zurich.run("python3", "/tmp/heard.py", timeout=PATIENCE).stdout.split() == ["enp2s0.20"]

    # What was allowed takes the short way: no packet of it meets the hook any more in which the rules stand.
    assert status(zurich)["capabilities"]["flow_offload"]
    assert "enp2s0.20" in zurich.sh("nft list flowtable inet appliance fast")
    internet.popen("socat", "-u", "TCP-LISTEN:7000,fork,reuseaddr", "OPEN:/dev/null")
    wait_for(lambda: ":7000 " in internet.sh("ss -Hltn"), PATIENCE, "somebody listens")
    for node, source in ((host, "192.168.10.20"), (guest, "192.168.30.20")):
        talks(node, 7000)
        takes_it(zurich, source)

    # Made anew when somebody deletes it, and gone when nobody names it.
    zurich.sh("ip link del enp2s0.20")
    guest.ping("203.0.113.1", timeout=PATIENCE)
    configure(zurich, ZURICH)
    assert "enp2s0.20" not in zurich.sh("ip -o link")
    host.ping("203.0.113.1", timeout=PATIENCE)
