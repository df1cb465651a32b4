"""Which connections the file allows, as networks and ports: what must end when it no longer does.

The firewall lets answers of known connections pass, so a rule that leaves the file must take its connections along.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from appliance.core.firewall.readers import Reader, readers
from appliance.core.firewall.zones import HERE, Site, Zone
from appliance.core.model import BOX, AllowRule, PortForward
from appliance.core.services import SERVICES
from appliance.core.state import DEFAULTS, METRICS_PORT, Door, Grant
from appliance.core.values import Network, Ports


def granted(site: Site) -> tuple[Grant, ...]:
    """The allow rules and port forwards of a box, in an order that does not depend on theirs."""
    firewall = site.config.firewall
    found = {_forward(forward) for forward in firewall.port_forwards}
    texts = _Texts(site)
    for rule in firewall.allow:
        source, target = site.zone(rule.from_), site.zone(rule.to)
        if source and target:
            found.add(_allow(texts, rule, source, target))
    found |= {_metrics(each) for each in readers(site)}
    return tuple(sorted(found, key=lambda grant: (grant.sources, grant.destinations, grant.ports, grant.forwarded_to)))


LAN_SERVICES = ("tcp/22", "tcp/53", "udp/53")
"""What every network inside may ask of the box (core/firewall/input.py)."""


def doors(site: Site) -> tuple[Door, ...]:
    """Where the box itself may be called, for telling whether an administrator still gets in."""
    inside = tuple(sorted(interface.device for interface in site.lans.values()))
    found = [Door(inside, (), LAN_SERVICES)] if inside else []
    texts = _Texts(site)
    for rule in site.config.firewall.allow:
        source = site.zone(rule.from_)
        if source and rule.to == BOX:
            grant = _allow(texts, rule, source, HERE)
            found.append(Door(source.devices, grant.sources, grant.ports))
    return tuple(found)


def _metrics(reader: Reader) -> Grant:
    """Whoever reads metrics holds a connection from one time to the next. conntrack(8) knows no ranges of addresses."""
    ranges = any("-" in network for network in reader.networks)
    return Grant(() if ranges else reader.networks, (), (f"tcp/{METRICS_PORT}",))


def _allow(texts: _Texts, rule: AllowRule, source: Zone, target: Zone) -> Grant:
    return Grant(
        texts.of(source),
        _texts(rule.hosts) if rule.hosts else texts.of(target),
        () if "ping" in rule.services else _all_ports(tuple(rule.services), tuple(rule.ports)),
    )


@lru_cache
def _all_ports(services: tuple[str, ...], ports: tuple[Ports, ...]) -> tuple[str, ...]:
    return _port_texts([*ports, *(port for service in services for port in SERVICES[service])])


def _forward(forward: PortForward) -> Grant:
    """A forwarded connection is known by the port at which it arrived."""
    return Grant((), (), _port_texts([forward.port]), str(forward.to))


def _port_texts(ports: Iterable[Ports]) -> tuple[str, ...]:
    return tuple(sorted({str(port) for port in ports}))


def _texts(networks: Iterable[Network]) -> tuple[str, ...]:
    return tuple(sorted({str(network) for network in networks}))


class _Texts:
    """The networks of each zone as text, made once: a thousand rules lead to the same LAN."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.known: dict[str, tuple[str, ...]] = {}

    def of(self, zone: Zone) -> tuple[str, ...]:
        if zone.label not in self.known:
            self.known[zone.label] = self._found(zone)
        return self.known[zone.label]

    def _found(self, zone: Zone) -> tuple[str, ...]:
        """None stands for any, as on an uplink."""
        if zone.name == BOX or zone.name in self.site.uplinks:
            return ()
        return _texts(self.site.subnets(zone.name)) if zone.name in self.site.lans else self._peers(zone)

    def _peers(self, zone: Zone) -> tuple[str, ...]:
        """Of one peer, or of all of the tunnel."""
        tunnel = self.site.config.tunnels[zone.name]
        peers = [tunnel.peers[zone.peer]] if zone.peer else tunnel.peers.values()
        texts = {text for peer in peers for text in peer.allowed_ips}
        return () if not texts.isdisjoint(DEFAULTS) else tuple(sorted(texts))
