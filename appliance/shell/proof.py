"""Asks the network whether what worked before a change still works, and reads what it answers."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterable

from appliance.core.proof import GATEWAY, Expected, Fact, Readings, gateways, inside, sessions
from appliance.core.state import ON_LINK, Observed
from appliance.shell.machine import Machine

DISCARD_PORT = 9
"""RFC 863: whoever gets such a packet throws it away, or says that nobody is there. Either is an answer."""


def read(machine: Machine, observed: Observed, administrator: str, partner: bool, lately: bool = False) -> Readings:
    """What the box sees now; `lately`: neighbours count that answered some time ago."""
    return Readings(
        observed=observed,
        answering=machine.netlink.neighbours(lately) | sessions(observed),
        way=machine.netlink.way_to(administrator) if administrator else "",
        partner=partner,
        wall=time.time(),
    )


def provoke(wanted: Expected, facts: Iterable[Fact], machine: Machine, observed: Observed) -> None:
    """Has each gateway asked by ARP or ND, and sends each peer in question a small packet that it has to answer."""
    for fact in facts:
        if fact in wanted.peers:
            for device, peer in wanted.peers[fact]:
                if address := inside(peer):
                    send(address, device)
        elif fact.kind == GATEWAY:
            for uplink in wanted.desired.uplinks:
                for gateway in gateways(uplink, observed) if uplink.name == fact.name else ():
                    if gateway not in ON_LINK and not machine.netlink.ask_neighbour(uplink.device, gateway):
                        send(gateway, uplink.device)


def send(address: str, device: str) -> None:
    """A small packet that leaves by the device; before it the kernel asks where the address is."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        sender.sendto(b"", (address, DISCARD_PORT))
