"""Configurations with many peers, for the product and for wg-quick."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address

GATE = """\
version: 1
site: bench
boxes:
  gate:
    interfaces:
      wan: {device: enp1s0, address: 203.0.113.2/24, gateway: 203.0.113.1}
      lan: {device: enp2s0, address: 192.168.10.1/24}
"""
RULES = """\
firewall:
  masquerade: [wan]
  allow:
    - {from: lan, to: wan}
"""
KEEPALIVE = 25
FIRST_ADDRESS = int(IPv4Address("10.20.0.2"))
FIRST_NETWORK = int(IPv4Address("10.100.0.0"))


def public_key(index: int) -> str:
    """A key that nobody has the other half of; the same in every run. Every number below 2^255 but a few is a point."""
    digest = bytearray(hashlib.sha256(f"bench peer {index}".encode()).digest())
    digest[31] &= 0x7F
    return base64.b64encode(bytes(digest)).decode()


@dataclass(frozen=True)
class Peer:
    index: int

    @property
    def address(self) -> int:
        return FIRST_ADDRESS + self.index

    @property
    def network(self) -> int:
        """The first address of its /24."""
        return FIRST_NETWORK + (self.index << 8)

    @property
    def allowed(self) -> tuple[str, str]:
        return f"{IPv4Address(self.address)}/32", f"{IPv4Address(self.network)}/24"

    @cached_property
    def key(self) -> str:
        return public_key(self.index)


def gate(peers: int, more_for_last: str = "", keepalive: int = 0) -> str:
    """An appliance.yaml with one tunnel of `peers` peers, each with an address, a network and a rule of its own.

    `more_for_last` is one more network, `keepalive` the keepalive in seconds, of the last peer: the one that changes.
    """
    if not peers:
        return GATE + RULES
    lines = ["tunnels:", "  office:", "    listen_port: 51820", "    addresses: [10.20.0.1/16]", "    peers:"]
    for index in range(peers):
        peer = Peer(index)
        last = index == peers - 1
        networks = [peer.allowed[1], *([more_for_last] if last and more_for_last else [])]
        lines += [
            f"      p{index}:",
            f"        public_key: {peer.key}",
            f"        address: {IPv4Address(peer.address)}",
            f"        networks: [{', '.join(networks)}]",
        ]
        if last and keepalive:
            lines.append(f"        keepalive: {keepalive}")
    rules = [f"    - {{from: office.p{index}, to: lan, services: [https]}}" for index in range(peers)]
    return GATE + "\n".join(lines) + "\n" + RULES + "\n".join(rules) + "\n"


def wg_quick(private_key: str, peers: int, more_for_last: str = "", keepalive: int = 0) -> str:
    """The same tunnel as a file for wg-quick."""
    lines = ["[Interface]", f"PrivateKey = {private_key}", "ListenPort = 51820", "Address = 10.20.0.1/16"]
    for index in range(peers):
        peer = Peer(index)
        last = index == peers - 1
        allowed = [*peer.allowed, *([more_for_last] if last and more_for_last else [])]
        lines += ["[Peer]", f"PublicKey = {peer.key}", f"AllowedIPs = {', '.join(allowed)}"]
        if last and keepalive:
            lines.append(f"PersistentKeepalive = {keepalive}")
    return "\n".join(lines) + "\n"
