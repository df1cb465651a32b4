"""The lab: offices, branches and internets made of network namespaces, and boxes booted in them.

Everything runs on the world's kernel inside the world's namespaces (tests/world), so a lab can neither see nor
change the machine it runs on, and whatever it leaves behind goes with the world.

    with Lab("two-hosts") as lab:
        lan = lab.switch("lan")
        one, two = lab.node("one"), lab.node("two")
        one.attach(lan, "eth0", ["192.0.2.1/24"])
        two.attach(lan, "eth0", ["192.0.2.2/24"])
        one.ping("192.0.2.2")
"""

from tests.lab.box import Box
from tests.lab.capture import Capture, capture
from tests.lab.namespace import CommandFailed, Namespace
from tests.lab.network import Lab
from tests.lab.node import Line, Link, Node, Switch
from tests.lab.traffic import Connections, ConnectionsReport, ManyProbes, Probe, ProbeReport, iperf3, transfer
from tests.lab.waiting import wait_for
from tests.lab.wireguard import KeyPair, WgPeer, genkey, genpsk, wg_quick_peer

__all__ = [
    "Box",
    "Capture",
    "CommandFailed",
    "Connections",
    "ConnectionsReport",
    "KeyPair",
    "Lab",
    "Line",
    "Link",
    "ManyProbes",
    "Namespace",
    "Node",
    "Probe",
    "ProbeReport",
    "Switch",
    "WgPeer",
    "capture",
    "genkey",
    "genpsk",
    "iperf3",
    "transfer",
    "wait_for",
    "wg_quick_peer",
]
