"""What one rule of the file lets pass, and how nft says it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from typing import NamedTuple

from appliance.core.firewall.spans import network_text
from appliance.core.firewall.text import comment, one_or_set
from appliance.core.model import AllowRule
from appliance.core.services import PING, SERVICES
from appliance.core.values import Network, Ports


class Reach(NamedTuple):
    """What may be reached: the same for every rule that says the same, whichever line it stands in."""

    hosts4: tuple[str, ...]
    hosts6: tuple[str, ...]
    tcp: tuple[str, ...]
    udp: tuple[str, ...]
    ping: bool

    @property
    def any_host(self) -> bool:
        return not self.hosts4 and not self.hosts6

    @property
    def any_service(self) -> bool:
        return not self.tcp and not self.udp and not self.ping

    @property
    def everything(self) -> bool:
        return self.any_host and self.any_service

    def matches(self) -> list[str]:
        """The conditions of the nft rules that together say it, one rule each."""
        services = []
        if self.any_service:
            services.append(("", ""))
        for protocol, ports in (("tcp", self.tcp), ("udp", self.udp)):
            services += [(f"{protocol} dport {one} ",) * 2 for one in _few_or_set(ports)]
        if self.any_host:
            found = [service[0] for service in services]
            return [*found, *(_ECHO if self.ping else ())]
        found = []
        if self.ping:
            services.append(_ECHO)
        for place, (header, hosts) in enumerate((("ip", self.hosts4), ("ip6", self.hosts6))):
            if hosts:
                found += [f"{header} daddr {one_or_set(hosts)} {service[place]}" for service in services]
        return found


def _few_or_set(values: tuple[str, ...]) -> list[str]:
    """Two values are two rules: with a set in each of a thousand chains, loading takes twice as long."""
    return list(values) if len(values) <= 2 else [one_or_set(values)]


_ECHO = ("icmp type echo-request ", "icmpv6 type echo-request ")


class Grant(NamedTuple):
    """A reach, and where in the file it stands (`firewall.allow[3], line 55`)."""

    reach: Reach
    source: str

    def rules(self) -> list[str]:
        return [f"{match}accept{comment(self.source)}" for match in self.reach.matches()]


def reach_of(rule: AllowRule) -> Reach:
    """The reach of a rule: the union of its services and ports, at each of its hosts."""
    return _reach(tuple(rule.services), tuple(rule.ports), tuple(rule.hosts))


@lru_cache
def _reach(services: tuple[str, ...], ports: tuple[Ports, ...], hosts: tuple[Network, ...]) -> Reach:
    """A thousand peers are let to the same few services."""
    wanted = [*ports, *(each for service in services for each in SERVICES[service])]
    return Reach(
        _hosts(hosts, 4),
        _hosts(hosts, 6),
        _port_texts(each for each in wanted if each.protocol == "tcp"),
        _port_texts(each for each in wanted if each.protocol == "udp"),
        PING in services,
    )


def _hosts(hosts: Iterable[Network], version: int) -> tuple[str, ...]:
    """Hosts of one IP version; overlapping ones are merged, since nft refuses intervals that overlap."""
    merged: Iterable[Network]
    if version == 4:
        merged = collapse_addresses(host for host in hosts if isinstance(host, IPv4Network))
    else:
        merged = collapse_addresses(host for host in hosts if isinstance(host, IPv6Network))
    return tuple(network_text(network) for network in merged)


def _port_texts(ports: Iterable[Ports]) -> tuple[str, ...]:
    """Port numbers and ranges in order, overlapping ones merged."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted((one.first, one.last) for one in ports):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return tuple(str(first) if first == last else f"{first}-{last}" for first, last in merged)
