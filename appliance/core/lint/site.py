"""What the linters look up about a configuration, gathered once: its zones, and which address belongs where."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from appliance.core.model import BOX, Config, Interface, Peer, Tunnel
from appliance.core.prefixes import Prefix, PrefixTable, Space, prefix
from appliance.core.problems import Path
from appliance.core.values import Address, Network
from appliance.core.values import Interface as InterfaceAddress

SUGGESTIONS = 20
"""Nearness is costly among a thousand names; a file with more unknown names than this has another trouble."""


@dataclass(frozen=True, slots=True)
class Place:
    """An interface of one of the boxes."""

    box: str
    name: str
    interface: Interface
    path: Path
    moving: tuple[InterfaceAddress, ...] = ()
    """The virtual addresses that failover brings here."""

    @property
    def static(self) -> list[InterfaceAddress]:
        """The addresses that the box always has."""
        return [address for address in self.interface.address if not isinstance(address, str)]

    @property
    def only_moving(self) -> list[InterfaceAddress]:
        """Virtual addresses of an IP version in which the box has none of its own here: one public address."""
        own = versions_of(self.interface)
        return [address for address in self.moving if address.version not in own]

    @property
    def versions(self) -> frozenset[int]:
        """The IP versions that are spoken here, once this box is master."""
        return versions_of(self.interface) | {address.version for address in self.moving}

    @property
    def networks(self) -> list[Network]:
        return list(dict.fromkeys(address.network for address in (*self.static, *self.only_moving)))


@dataclass(frozen=True, slots=True)
class Zone:
    """What a rule's `from` or `to` stands for."""

    name: str
    kind: str
    """interface, uplink, tunnel, peer or box"""
    versions: frozenset[int]
    """The IP versions that it speaks."""
    networks: tuple[Address | Network, ...]
    """The addresses that are in it, as far as the file says so."""
    space: Space
    """The same, to ask; default routes left out."""
    beyond: frozenset[int]
    """The IP versions of which it also leads to addresses that the file cannot list: the internet, a DHCP network."""

    @property
    def parent(self) -> str:
        """The tunnel of a peer; every other zone is its own."""
        return self.name.partition(".")[0]

    def within(self, other: str) -> bool:
        return other in (self.name, self.parent)


class Site:
    """The configuration, with the questions that more than one linter asks of it."""

    def __init__(self, config: Config) -> None:
        self.config = config
        moving = config.failover.virtual_addresses if config.failover else {}
        self.places = [
            Place(box_name, name, interface, ("boxes", box_name, "interfaces", name), tuple(moving.get(name, ())))
            for box_name, box in config.boxes.items()
            for name, interface in box.interfaces.items()
        ]
        self.interfaces: dict[str, list[Place]] = {}
        for place in self.places:
            self.interfaces.setdefault(place.name, []).append(place)
        self.uplinks = list(dict.fromkeys(place.name for place in self.places if place.interface.is_uplink))
        self.connected = {place.box for place in self.places if place.interface.is_uplink}
        """The boxes that have an uplink."""
        self._zones: dict[str, Zone | None] = {}
        self._suggestions_left = SUGGESTIONS

    def peers(self) -> Iterator[tuple[str, Tunnel, str, Peer]]:
        for tunnel_name, tunnel in self.config.tunnels.items():
            for peer_name, peer in tunnel.peers.items():
                yield tunnel_name, tunnel, peer_name, peer

    @cached_property
    def own(self) -> dict[Prefix, str]:
        """Every address that the boxes have themselves, with the words for it."""
        found: dict[Prefix, str] = {}
        for place in self.places:
            for address in place.static:
                found.setdefault(prefix(address.ip), f"the address of {place.box} on {place.name}")
        if self.config.failover:
            for name, addresses in self.config.failover.virtual_addresses.items():
                for address in addresses:
                    found.setdefault(prefix(address.ip), f"the virtual address on {name}")
        for name, tunnel in self.config.tunnels.items():
            for address in tunnel.addresses:
                found.setdefault(prefix(address.ip), f"the box's own address in {name}")
        return found

    @cached_property
    def behind(self) -> PrefixTable[str]:
        """By prefix, the interface or peer that a packet to it leaves through; default routes left out."""
        table: PrefixTable[str] = PrefixTable()
        for name, places in self.interfaces.items():
            for network in dict.fromkeys(network for place in places for network in place.networks):
                table.add(prefix(network), name)
        for tunnel_name, _, peer_name, peer in self.peers():
            for value in (*peer.address, *peer.networks):
                at = prefix(value)
                if at.length:
                    table.add(at, f"{tunnel_name}.{peer_name}")
        return table

    def zone(self, name: str) -> Zone | None:
        """The zone that a rule means by `name`; None when there is none."""
        if name not in self._zones:
            self._zones[name] = self._find_zone(name)
        return self._zones[name]

    def _find_zone(self, name: str) -> Zone | None:
        tunnel_name, dot, peer_name = name.partition(".")
        if dot:
            tunnel = self.config.tunnels.get(tunnel_name)
            peer = tunnel.peers.get(peer_name) if tunnel else None
            return _peer_zone(name, "peer", [peer]) if peer else None
        if name == BOX:
            return self._box_zone()
        if name in self.interfaces:
            return _interface_zone(name, self.interfaces[name])
        if name in self.config.tunnels:
            tunnel = self.config.tunnels[name]
            return _peer_zone(name, "tunnel", list(tunnel.peers.values()), tunnel.addresses)
        return None

    def _box_zone(self) -> Zone:
        interfaces = [place.interface for place in self.places]
        unknown = frozenset(version for interface in interfaces for version in _learned(interface))
        space = Space(self.own)
        return Zone(BOX, BOX, frozenset({4, 6}), (), space, unknown)

    def near_zone(self, name: str, also_box: bool = True) -> str:
        """`; did you mean office.geneva?`, or the names that there are."""
        tunnel_name, dot, peer_name = name.partition(".")
        tunnel = self.config.tunnels.get(tunnel_name)
        if dot and tunnel:
            near = self.near(peer_name, list(tunnel.peers))
            return f"; did you mean {tunnel_name}.{near}?" if near else f"; {tunnel_name} has no such peer"
        names = [*self.interfaces, *self.config.tunnels, *([BOX] if also_box else [])]
        peers = [f"{tunnel_name}.{peer_name}" for tunnel_name, _, peer_name, _ in self.peers()]
        near = self.near(name, names) or self.near(name, peers)
        # Somebody who writes `geneva` means office.geneva, and nearness does not see that.
        near = near or next((peer for peer in peers if peer.endswith(f".{name}")), "")
        return f"; did you mean {near}?" if near else f"; known are {listed(names, 8)}"

    def near(self, name: str, names: list[str]) -> str:
        """The name most like `name`, or nothing."""
        if not self._suggestions_left:
            return ""
        self._suggestions_left -= 1
        return next(iter(difflib.get_close_matches(name[:64], names, 1, 0.6)), "")


def versions_of(interface: Interface) -> frozenset[int]:
    """The IP versions that an interface has an address of, or gets one of."""
    static = {address.version for address in interface.address if not isinstance(address, str)}
    return frozenset(static | _learned(interface))


def _learned(interface: Interface) -> set[int]:
    learned = {4} if {"dhcp", "pppoe"} & set(map(str, interface.address)) else set()
    return learned | ({6} if "ra" in interface.address or interface.delegated_from else set())


def _interface_zone(name: str, places: list[Place]) -> Zone:
    networks = tuple(dict.fromkeys(network for place in places for network in place.networks))
    versions = frozenset(version for place in places for version in place.versions)
    uplink = any(place.interface.is_uplink for place in places)
    learned = frozenset(version for place in places for version in _learned(place.interface))
    kind = "uplink" if uplink else "interface"
    return Zone(name, kind, versions, networks, Space(map(prefix, networks)), versions if uplink else learned)


def _peer_zone(name: str, kind: str, peers: list[Peer], own: list[InterfaceAddress] | None = None) -> Zone:
    prefixes = [prefix(value) for peer in peers for value in (*peer.address, *peer.networks)]
    networks = tuple(network for peer in peers for network in (*peer.address, *peer.networks))
    versions = {one.version for one in prefixes} | {address.version for address in own or ()}
    everything = frozenset(one.version for one in prefixes if not one.length)
    space = Space(one for one in prefixes if one.length)
    return Zone(name, kind, frozenset(versions), networks, space, everything)


def written(network: Network) -> str:
    """A network of one host as that host, as most people write it."""
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def listed(items: list[str], most: int = 4) -> str:
    """`a, b and c`; with more than `most`, the first few and how many there are."""
    if len(items) > most:
        return f"{', '.join(items[:most])} and {len(items) - most} more"
    return " and ".join(filter(None, [", ".join(items[:-1]), items[-1]])) if items else "none"
