"""Masquerading and port forwards: both belong to uplinks, and a forward leads to a host inside."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.core.lint.site import Site, Zone
from appliance.core.model import PortForward
from appliance.core.prefixes import prefix
from appliance.core.problems import Path, Problem


def lint(site: Site) -> Iterator[Problem]:
    for position, name in enumerate(site.config.firewall.masquerade):
        path: Path = ("firewall", "masquerade", position)
        uplink = site.zone(name)
        if uplink is None or uplink.kind != "uplink":
            yield Problem(path, f"{name} is not an uplink; {_uplinks(site)}")
        elif 4 not in uplink.versions:
            yield Problem(path, f"{name} has no IPv4 address to hide behind; remove it here, or give it one")
    yield from _forwards(site)


def _forwards(site: Site) -> Iterator[Problem]:
    listening = {port: name for name, tunnel in site.config.tunnels.items() for _, port in tunnel.ports}
    seen: dict[tuple[str, str, int, int], int] = {}
    for index, forward in enumerate(site.config.firewall.port_forwards):
        path: Path = ("firewall", "port_forwards", index)
        uplink = site.zone(forward.from_)
        if uplink is None or uplink.kind != "uplink":
            yield Problem((*path, "from"), f"{forward.from_} is not an uplink; {_uplinks(site)}")
        elif forward.to.version not in uplink.versions:
            message = f"{forward.from_} has no IPv{forward.to.version}, so nothing for {forward.to} can arrive there"
            yield Problem((*path, "to"), f"{message}; write the host's IPv{10 - forward.to.version} address")
        wrong = _target(site, forward)
        if wrong:
            yield Problem((*path, "to"), wrong)
        port = forward.port
        # An IPv4 and an IPv6 forward of one port are two: each connection has one destination.
        first = seen.setdefault((forward.from_, port.protocol, port.first, forward.to.version), index)
        if first != index:
            message = f"firewall.port_forwards[{first}] forwards {port} of {forward.from_} already"
            yield Problem((*path, "port"), f"{message}; write another port, or remove one of the two")
        if port.protocol == "udp" and port.first in listening:
            message = f"tunnel {listening[port.first]} listens on {port}, and this would take its packets away"
            yield Problem((*path, "port"), f"{message}; write another port")


def _target(site: Site, forward: PortForward) -> str | None:
    """Why a connection cannot be forwarded to the host; None when it can."""
    at = prefix(forward.to)
    own = site.own.get(at)
    if own:
        return f"{forward.to} is {own}; for a service of the box itself write a rule with `to: box`"
    owner = next(site.behind.around(at), None)
    zone = site.zone(owner) if owner else None
    if zone and zone.kind != "uplink":
        return None
    if zone:
        return f"{forward.to} is in {zone.name}, outside the office; write a host of a network inside"
    if _learned_inside(site, forward.to.version):
        return None
    return f"no interface and no peer leads to {forward.to}; write a host of a network inside"


def _learned_inside(site: Site, version: int) -> bool:
    zones: list[Zone | None] = [site.zone(name) for name in site.interfaces]
    return any(zone and zone.kind == "interface" and version in zone.beyond for zone in zones)


def _uplinks(site: Site) -> str:
    return f"write {' or '.join(site.uplinks)}" if site.uplinks else "the boxes have none"
