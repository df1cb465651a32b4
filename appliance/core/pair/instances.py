"""The VRRP instances of a pair, before keepalived's words for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from appliance.core.model import Config
from appliance.core.networkd import uplink_metric
from appliance.core.pair.addresses import own_addresses, partner_of, usable_address, virtual_addresses
from appliance.core.pair.names import GROUP, VIRTUAL_TABLE
from appliance.core.state import MAIN_TABLE, VirtualRoute
from appliance.core.values import Address
from appliance.core.values import Interface as InterfaceAddress


@dataclass(frozen=True, slots=True)
class Moving:
    """An address that moves. `spare`: the box has another one there, which it shall use for what it says itself."""

    address: InterfaceAddress
    device: str
    spare: bool

    @property
    def deprecated(self) -> bool:
        return self.spare and self.address.version == 6


@dataclass(frozen=True, slots=True)
class Way:
    """What comes and goes with a virtual address: its own network, and what leads on, with it as source."""

    interface: str
    network: IPv4Network | IPv6Network | None
    gateway: Address | None
    device: str
    source: Address
    only: bool
    """The box has no address of its own there, hence no other route: this one goes into the main table too."""


@dataclass(slots=True)
class Instance:
    """VRRP on one network in one IP version: where both boxes have addresses of their own to say it from."""

    interface: str
    version: int
    device: str
    own: Address
    partner: Address
    moving: list[Moving] = field(default_factory=list)
    carried: list[Moving] = field(default_factory=list)
    """Addresses of networks in which the boxes cannot hear each other."""
    ways: list[Way] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.interface}-ipv{self.version}"


def instances(config: Config, box: str) -> list[Instance]:
    """One for each network and IP version with virtual addresses in which both boxes have their own.

    An address that only moves (one public address) has no such network: the instance of pair_link carries it. That
    one is there in any case, as one more network on which the two hear each other.
    """
    partner = partner_of(config, box)
    if partner is None or config.failover is None:
        return []
    here, there = config.boxes[box].interfaces, config.boxes[partner].interfaces
    possible: dict[tuple[str, int], Instance] = {}
    for name, interface in here.items():
        for version in (4, 6):
            own = own_addresses(interface, version)
            other = own_addresses(there[name], version) if name in there else []
            if own and other:
                possible[name, version] = Instance(name, version, interface.device, own[0].ip, other[0].ip)
    link = config.failover.pair_link
    carrier = possible.get((link, 4)) or possible.get((link, 6))
    if carrier is None:
        return []
    for name, interface in here.items():
        for version in (4, 6):
            instance = possible.get((name, version))
            for address in virtual_addresses(config, name, version):
                if instance:
                    instance.moving.append(Moving(address, interface.device, True))
                else:
                    carrier.carried.append(Moving(address, interface.device, False))
            way = _way(config, box, name, version)
            if way:
                (instance or carrier).ways.append(way)
    return [each for each in possible.values() if each.moving or each.carried or each is carrier]


def virtual_routes(config: Config, box: str, instance: Instance) -> list[VirtualRoute]:
    """What comes and goes with the instance's addresses."""
    found = []
    for way in instance.ways:
        device, source = way.device, str(way.source)
        if way.network:
            found.append(VirtualRoute(str(way.network), device, source, VIRTUAL_TABLE))
        if way.gateway:
            metric = uplink_metric(config.boxes[box], way.interface)
            for table in (MAIN_TABLE, VIRTUAL_TABLE) if way.only else (VIRTUAL_TABLE,):
                found.append(VirtualRoute("default", device, source, table, str(way.gateway), metric))
    return found


def role_line(config: Config, box: str) -> tuple[str, str]:
    """The first two words, without quotes, of the FIFO's lines that say that this box is master now.

    keepalived refuses a sync group of one, so then the instance says it. Any line of an instance or of the group with
    BACKUP, FAULT or STOP says that it is not, also where no line of the group follows (keepalived 2.3.3 sends none
    when a device disappears).
    """
    found = instances(config, box)
    return ("INSTANCE", found[0].name) if len(found) == 1 else ("GROUP", GROUP)


def hearing_devices(config: Config, box: str) -> tuple[str, ...]:
    """The devices on which the box hears its partner. Without any of them it cannot know who is master.

    If there is one only, keepalived itself goes to FAULT without it; if there are more, somebody has to say so.
    """
    return tuple(dict.fromkeys(each.device for each in instances(config, box)))


def on_one_network(found: list[Instance]) -> bool:
    """Whether the two hear each other on one network only."""
    return len({each.device for each in found}) == 1


def weighing_devices(config: Config, box: str) -> tuple[str, ...]:
    """The devices whose lost link costs priority: all but the only one on which the two hear each other.

    That one's loss is FAULT by itself, as the box then cannot know whether the other has taken over.
    """
    found = instances(config, box)
    spared = found[0].device if on_one_network(found) else None
    return tuple(each.device for each in config.boxes[box].interfaces.values() if each.device != spared)


def _way(config: Config, box: str, name: str, version: int) -> Way | None:
    interface = config.boxes[box].interfaces[name]
    address = usable_address(config, name, version)
    if address is None:
        return None
    own = own_addresses(interface, version)
    around = next((one.network for one in own if address.ip in one.network), address.network)
    network = None if around.prefixlen == around.max_prefixlen else around
    gateway = next((one for one in interface.gateway if one.version == version), None)
    return Way(name, network, gateway, interface.device, address.ip, not own)
