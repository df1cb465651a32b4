"""Tunnels and their peers: ports, MTU, and each peer's address inside the tunnel's network."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.core.lint.interfaces import IPV6_MINIMUM_MTU, is_network_or_broadcast
from appliance.core.lint.site import Site, listed
from appliance.core.model import Peer, Tunnel
from appliance.core.prefixes import Prefix, prefix
from appliance.core.problems import Path, Problem
from appliance.core.values import Address, Interface

ENCAPSULATION = {4: 60, 6: 80}
"""Outer IP header (20 or 40), UDP (8) and WireGuard's data message (16 before the packet, 16 after it)."""


def lint(site: Site) -> Iterator[Problem]:
    ports: dict[int, tuple[str, Path]] = {}
    for name, tunnel in site.config.tunnels.items():
        for path, port in tunnel.ports:
            first = ports.setdefault(port, (name, path))
            if first[0] != name:
                message = f"{port} is the port of {first[0]} already; each tunnel listens on its own"
                yield Problem(("tunnels", name, *path), message)
            elif first[1] != path:
                message = f"{port} is the port of the new key, too; write the one at which the key before was reached"
                yield Problem(("tunnels", name, *path), message)
        if tunnel.replaces and tunnel.key == 1:
            message = "the box's first key replaces none; write `key: 2`, or remove `replaces`"
            yield Problem(("tunnels", name, "replaces"), message)
        yield from _mtu(site, name, tunnel)
        yield from _peers(name, tunnel)


def _mtu(site: Site, name: str, tunnel: Tunnel) -> Iterator[Problem]:
    if tunnel.mtu == "auto":
        return
    path: Path = ("tunnels", name, "mtu")
    if tunnel.mtu < IPV6_MINIMUM_MTU and _carries_ipv6(tunnel):
        message = f"an MTU of {tunnel.mtu} cannot carry IPv6, which this tunnel does"
        yield Problem(path, f"{message}; write {IPV6_MINIMUM_MTU} or more, or auto")
    outside = {6 for peer in tunnel.peers.values() if peer.endpoint and ":" in peer.endpoint.host}
    for place in site.places:
        if not place.interface.is_uplink or place.interface.mtu is None:
            continue
        version = max(outside | {min(place.versions, default=4)})
        most = place.interface.mtu - ENCAPSULATION[version]
        if tunnel.mtu > most:
            message = (
                f"{tunnel.mtu} is more than {place.name} of {place.box} carries: its MTU {place.interface.mtu} less"
            )
            message += f" {ENCAPSULATION[version]} for WireGuard over IPv{version}"
            yield Problem(path, f"{message}; write auto, or at most {most}")
            return


def _carries_ipv6(tunnel: Tunnel) -> bool:
    return any(address.version == 6 for address in tunnel.addresses) or any(
        value.version == 6 for peer in tunnel.peers.values() for value in (*peer.address, *peer.networks)
    )


def _peers(name: str, tunnel: Tunnel) -> Iterator[Problem]:
    subnets = [(address, prefix(address.network)) for address in tunnel.addresses]
    for peer_name, peer in tunnel.peers.items():
        path: Path = ("tunnels", name, "peers", peer_name)
        if not peer.address and not peer.networks:
            message = "this peer has neither `address` nor `networks`, so nothing would ever be sent to it"
            yield Problem(path, f"{message}; write its address inside the tunnel")
        yield from _peer_addresses(path, peer, subnets)


def _peer_addresses(path: Path, peer: Peer, subnets: list[tuple[Interface, Prefix]]) -> Iterator[Problem]:
    for position, address in enumerate(peer.address):
        wrong = _wrong(address, subnets)
        if wrong:
            yield Problem((*path, "address", position), wrong)


def _wrong(address: Address, subnets: list[tuple[Interface, Prefix]]) -> str | None:
    at = prefix(address)
    for own, subnet in subnets:
        if not subnet.holds(at):
            continue
        if own.ip == address:
            return f"{address} is the box's own address in this tunnel; give the peer another one in {own.network}"
        if is_network_or_broadcast(subnet, at):
            which = "network's own" if at.first == subnet.first else "broadcast"
            return f"{address} is the {which} address of {own.network}; give the peer a host's address in it"
        return None
    same = [str(own.network) for own, _ in subnets if own.version == address.version]
    if not same:
        return f"the tunnel has no IPv{address.version} address; add one to its `addresses`, or remove {address}"
    return f"{address} is outside {listed(same)}, the network of this tunnel; write an address inside it"
