"""Lists in which the same thing stands twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from appliance.core.lint.site import Site, written
from appliance.core.problems import Path, Problem
from appliance.core.services import SERVICES


def lint(site: Site) -> Iterator[Problem]:
    config = site.config
    for place in site.places:
        interface = place.interface
        yield from _twice((*place.path, "address"), (getattr(one, "ip", one) for one in interface.address))
        yield from _twice((*place.path, "gateway"), interface.gateway)
    yield from _twice(("dns",), config.dns)
    if config.failover:
        for name, addresses in config.failover.virtual_addresses.items():
            yield from _twice(("failover", "virtual_addresses", name), (one.ip for one in addresses))
    for name, tunnel in config.tunnels.items():
        yield from _twice(("tunnels", name, "addresses"), (one.ip for one in tunnel.addresses))
    for tunnel_name, _, peer_name, peer in site.peers():
        path: Path = ("tunnels", tunnel_name, "peers", peer_name)
        yield from _twice((*path, "address"), peer.address)
        yield from _twice((*path, "networks"), peer.networks)
    yield from _firewall(site)


def _firewall(site: Site) -> Iterator[Problem]:
    firewall = site.config.firewall
    yield from _twice(("firewall", "masquerade"), firewall.masquerade)
    for index, rule in enumerate(firewall.allow):
        path: Path = ("firewall", "allow", index)
        yield from _twice((*path, "services"), rule.services)
        yield from _twice((*path, "hosts"), map(written, rule.hosts))
        named = {port: service for service in rule.services for port in SERVICES[service]}
        for position, ports in enumerate(rule.ports):
            if ports in named:
                message = f"{ports} is the service {named[ports]}, which this rule names already; remove one of the two"
                yield Problem((*path, "ports", position), message)
        yield from _ports((*path, "ports"), rule.ports)


def _ports(path: Path, written: list[Any]) -> Iterator[Problem]:
    """Ports that another entry of the same list contains."""
    widest: dict[str, Any] = {}
    for position in sorted(range(len(written)), key=lambda at: (written[at].first, -written[at].last, at)):
        ports = written[position]
        before = widest.get(ports.protocol)
        if before is None or ports.last > before.last:
            widest[ports.protocol] = ports
        elif ports == before:
            yield Problem((*path, position), f"{ports} stands here twice; remove one of the two")
        else:
            yield Problem((*path, position), f"{ports} is a part of {before}, which stands here too; remove it")


def _twice(path: Path, values: Iterable[Any]) -> Iterator[Problem]:
    seen: set[Any] = set()
    for position, value in enumerate(values):
        if value in seen:
            yield Problem((*path, position), f"{value} stands here twice; remove one of the two")
        seen.add(value)
