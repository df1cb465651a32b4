"""Who has which address in a pair: each box its own, the two on the link between them, and those that move."""

from __future__ import annotations

import hashlib
from ipaddress import IPv6Address, IPv6Network

from appliance.core.model import Config, Interface
from appliance.core.pair.names import PAIR_PORT, PROTOCOL_PORT, STATE_PORT
from appliance.core.values import Address
from appliance.core.values import Interface as InterfaceAddress

PAIR_PORTS = {
    PAIR_PORT: "the link between the two boxes",
    PROTOCOL_PORT: "the two boxes' talk with each other",
    STATE_PORT: "the connections that the two boxes exchange",
}


def partner_of(config: Config, box: str) -> str | None:
    """The other box of the pair; None for a box that stands alone."""
    if config.failover is None or len(config.boxes) != 2:
        return None
    return next(name for name in config.boxes if name != box)


def own_addresses(interface: Interface, version: int) -> list[InterfaceAddress]:
    """The static addresses that the box always has there and that name it alone: link-local ones need a scope."""
    static = (address for address in interface.address if not isinstance(address, str))
    return [address for address in static if address.version == version and not address.is_link_local]


def virtual_addresses(config: Config, interface: str, version: int) -> list[InterfaceAddress]:
    """The addresses that move, on one interface, in the order of the file."""
    if config.failover is None:
        return []
    return [one for one in config.failover.virtual_addresses.get(interface, []) if one.version == version]


def usable_address(config: Config, interface: str, version: int) -> InterfaceAddress | None:
    """The virtual address that packets of the pair leave an interface with."""
    found = virtual_addresses(config, interface, version)
    return next((address for address in found if not address.is_link_local), None)


def pair_endpoints(config: Config, box: str) -> tuple[Address, Address] | None:
    """(own, partner's) address between which the pair link's WireGuard packets travel; None for a lone box.

    Addresses that move are never used here. IPv4 if both have it: for IPv6 the kernel could pick an address that
    moves as the source (RFC 6724 section 5 knows no difference), were they not deprecated while they are here.
    """
    partner = partner_of(config, box)
    if partner is None or config.failover is None:
        return None
    name = config.failover.pair_link
    for version in (4, 6):
        own, other = (own_addresses(config.boxes[each].interfaces[name], version) for each in (box, partner))
        if own and other:
            return own[0].ip, other[0].ip
    return None


def pair_network(config: Config) -> IPv6Network:
    """The network inside the pair link: a unique local one (RFC 4193), whose global ID comes from the site's name.

    Both boxes get the same one without asking, and it meets an office's own network once in 2^40.
    """
    digest = hashlib.sha256(f"appliance pair {config.site}".encode()).digest()
    return IPv6Network((b"\xfd" + digest[:5] + bytes(10), 64))


def pair_addresses(config: Config, box: str) -> tuple[IPv6Address, IPv6Address]:
    """(own, partner's) address inside the pair link; by the boxes' names, so that their order in the file is free."""
    network = pair_network(config)
    order = sorted(config.boxes)
    own = order.index(box)
    return network[own + 1], network[2 - own]
