"""The networks around one box, as rules name them: interfaces, tunnels, peers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address

from appliance.core.firewall.spans import spans
from appliance.core.model import BOX, Config, Interface
from appliance.core.prefixes import Prefix, prefix
from appliance.core.problems import Path, path_text
from appliance.core.state import tunnel_device
from appliance.core.values import Address, Network

LineOf = Callable[[Path], int]
VERSIONS = ((4, "ip"), (6, "ip6"))
"""IP versions with nft's word for their header."""


@dataclass(frozen=True, slots=True)
class Zone:
    """Where a rule points: `name` as nft chains spell it, the device, and the peer if it is only one.

    `old_device`: of a tunnel whose key is being replaced, the interface with the key before.
    """

    name: str
    device: str
    peer: str | None = None
    old_device: str = ""

    @property
    def devices(self) -> tuple[str, ...]:
        return (self.device, self.old_device) if self.old_device else (self.device,)

    @property
    def label(self) -> str:
        return f"{self.name}.{self.peer}" if self.peer else self.name


HERE = Zone(BOX, "")
"""The zone that is the box itself."""


@dataclass(frozen=True)
class Site:
    """One box's view of the configuration. `line` gives the line in appliance.yaml of a path."""

    config: Config
    box: str
    line: LineOf

    def source(self, *path: str | int) -> str:
        """`firewall.allow[3], line 55`: where a rule comes from."""
        return f"{path_text(path)}, line {self.line(path)}"

    def zone(self, name: str) -> Zone | None:
        """The zone of that name, or None if this box has none (an interface of the other box)."""
        if name not in self._zones:
            self._zones[name] = self._find_zone(name)
        return self._zones[name]

    @cached_property
    def _zones(self) -> dict[str, Zone | None]:
        return {}

    def _find_zone(self, name: str) -> Zone | None:
        if name == BOX:
            return HERE
        if name in self.interfaces:
            return Zone(name, self.interfaces[name].device)
        tunnel, dot, peer = name.partition(".")
        if tunnel not in self.config.tunnels or (dot and peer not in self.config.tunnels[tunnel].peers):
            return None
        return self.tunnel_zone(tunnel, peer or None)

    def tunnel_zone(self, name: str, peer: str | None = None) -> Zone:
        """A tunnel, or one peer of it."""
        tunnel = self.config.tunnels[name]
        old = tunnel_device(name, tunnel.key - 1) if tunnel.replaces else ""
        return Zone(name, tunnel_device(name, tunnel.key), peer, old)

    @cached_property
    def interfaces(self) -> dict[str, Interface]:
        return self.config.boxes[self.box].interfaces

    @cached_property
    def uplinks(self) -> dict[str, Interface]:
        return {name: interface for name, interface in self.interfaces.items() if interface.is_uplink}

    @cached_property
    def lans(self) -> dict[str, Interface]:
        return {name: interface for name, interface in self.interfaces.items() if not interface.is_uplink}

    @cached_property
    def announcing(self) -> list[Interface]:
        """The networks inside to which this box is an IPv6 router that says so."""
        return [interface for interface in self.lans.values() if self.config.announces(interface)]

    @cached_property
    def tunnel_devices(self) -> list[str]:
        return [device for name in self.config.tunnels for device in self.tunnel_zone(name).devices]

    def subnets(self, interface: str) -> list[Network]:
        """The static networks on an interface, those of its virtual addresses included."""
        addresses = [one for one in self.interfaces[interface].address if not isinstance(one, str)]
        if self.config.failover:
            addresses += self.config.failover.virtual_addresses.get(interface, [])
        return list(dict.fromkeys(address.network for address in addresses))

    @cached_property
    def owners(self) -> list[tuple[Prefix, Zone]]:
        """Every network inside with the zone that it lies in; default routes through peers are not inside."""
        found = [(prefix(net), Zone(name, i.device)) for name, i in self.lans.items() for net in self.subnets(name)]
        for name, tunnel in self.config.tunnels.items():
            whole = self.tunnel_zone(name)
            found += [(prefix(address.network), whole) for address in tunnel.addresses]
            for peer_name, peer in tunnel.peers.items():
                zone = replace(whole, peer=peer_name)
                found += [(at, zone) for at in peer.allowed if at.length]
        return found

    def zone_of(self, address: Address | Network) -> Zone | None:
        """Where a host or a network inside stands, by the smallest network around it."""
        host = prefix(address)
        around = [entry for entry in self.owners if entry[0].holds(host)]
        return max(around, key=lambda entry: entry[0].length)[1] if around else None

    def peer_spans(self, tunnel: str, version: int) -> dict[str, list[str]]:
        """By peer of the tunnel: the addresses of that IP version that are its own and no other peer's."""
        key = (tunnel, version)
        if key not in self._peer_spans:
            owned = (
                (at, name)
                for name, peer in self.config.tunnels[tunnel].peers.items()
                for at in peer.allowed
                if at.version == version
            )
            by_peer: dict[str, list[str]] = {}
            for span in spans(owned):
                by_peer.setdefault(span.owner, []).append(span.text)
            self._peer_spans[key] = by_peer
        return self._peer_spans[key]

    @cached_property
    def _peer_spans(self) -> dict[tuple[str, int], dict[str, list[str]]]:
        return {}


def devices(interfaces: Iterable[Interface]) -> list[str]:
    return [interface.device for interface in interfaces]


def is_version(address: Address, version: int) -> bool:
    return isinstance(address, IPv4Address if version == 4 else IPv6Address)
