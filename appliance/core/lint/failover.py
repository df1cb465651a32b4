"""Failover: two boxes, the network between them, and addresses that can move from one to the other."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.core.lint.interfaces import is_network_or_broadcast
from appliance.core.lint.site import Place, Site, listed
from appliance.core.model import Failover
from appliance.core.pair.addresses import PAIR_PORTS
from appliance.core.pair.names import PAIR_DEVICE, PAIR_NAME, PAIR_PORT
from appliance.core.prefixes import Prefix, prefix
from appliance.core.problems import Path, Problem
from appliance.core.values import Interface


def lint(site: Site) -> Iterator[Problem]:
    failover = site.config.failover
    if failover is None:
        return
    boxes = list(site.config.boxes)
    if len(boxes) == 1:
        message = f"failover needs two boxes and only {boxes[0]} is written; add the second one, or remove `failover:`"
        yield Problem(("failover",), message)
    if failover.prefer is not None and failover.prefer not in boxes:
        message = f"{failover.prefer} is not a box; write {' or '.join(boxes)}"
        yield Problem(("failover", "prefer"), message)
    yield from _pair_link(site, failover)
    yield from _virtual_addresses(site, failover)
    yield from _uplinks(site, failover)
    yield from _pair_ports(site, failover)


def _pair_link(site: Site, failover: Failover) -> Iterator[Problem]:
    path, name = ("failover", "pair_link"), failover.pair_link
    if name not in site.interfaces:
        yield Problem(path, f"{name} is not an interface of the boxes; write {_either(list(site.interfaces))}")
        return
    for place in site.interfaces[name]:
        if place.interface.address and not place.static:
            message = f"{name} on {place.box} gets its address from the network, and the other box could not know it"
            yield Problem(path, f"{message}; write an interface with a static address")
            return
        if not any(not address.is_link_local for address in place.static):
            message = f"{name} on {place.box} has no address of its own, and the boxes need one each to talk"
            yield Problem(path, f"{message}; write an interface on which both have one")
            return
    own = [
        {address.version for address in place.static if not address.is_link_local} for place in site.interfaces[name]
    ]
    if len(own) == 2 and not own[0] & own[1]:
        message = f"the two boxes share no IP version on {name}"
        yield Problem(path, f"{message}; give both an IPv4 address there, or both an IPv6 address")


def _uplinks(site: Site, failover: Failover) -> Iterator[Problem]:
    """A lease moves with the role: the device that has it holds nothing else, and is the same on both boxes."""
    for place in site.places if len(site.config.boxes) > 1 else ():
        if place.interface.delegated_from:
            message = (
                "a pair does not carry out a delegated prefix yet, since the router that announces it would change"
            )
            yield Problem((*place.path, "delegated_from"), f"{message}; remove this line")
        learned = {address for address in place.interface.address if isinstance(address, str)}
        if not learned or place.name == failover.pair_link:
            continue
        words = " and ".join(f"`{word}`" for word in sorted(learned))
        for position, address in enumerate(place.interface.address):
            if not isinstance(address, str):
                message = f"{place.name} has its address by {words} in turn with the other box, and cannot keep another"
                yield Problem((*place.path, "address", position), f"{message}; remove {address}, or {words}")
        for other in site.interfaces[place.name]:
            there = {address for address in other.interface.address if isinstance(address, str)}
            if there != learned and other.box != place.box:
                message = (
                    f"{place.name} has its address by {words} here and not on {other.box}, and one lease is for both"
                )
                yield Problem((*place.path, "address"), f"{message}; write the same on both boxes")


def _pair_ports(site: Site, failover: Failover) -> Iterator[Problem]:
    for name, tunnel in site.config.tunnels.items():
        if name == PAIR_NAME:
            message = f"{PAIR_DEVICE} is the link between the two boxes; give the tunnel another name"
            yield Problem(("tunnels", name), message)
        for path, port in tunnel.ports:
            if use := PAIR_PORTS.get(port):
                message = f"{port} is the port of {use}; write another one, such as 51820"
                yield Problem(("tunnels", name, *path), message)
    for index, forward in enumerate(site.config.firewall.port_forwards):
        # Where there is a virtual address, only what is sent to that one is forwarded.
        here = any(place.moving for place in site.interfaces.get(forward.from_, []))
        if (forward.from_, forward.port.protocol, forward.port.first) == (
            failover.pair_link,
            "udp",
            PAIR_PORT,
        ) and not here:
            message = f"{forward.port} is the port of {PAIR_PORTS[PAIR_PORT]}; write another one"
            yield Problem(("firewall", "port_forwards", index, "port"), message)


def _virtual_addresses(site: Site, failover: Failover) -> Iterator[Problem]:
    top: Path = ("failover", "virtual_addresses")
    if not failover.virtual_addresses:
        yield Problem(top, "nothing would move between the boxes; write an address, such as lan: 192.168.10.1/24")
    seen: dict[Prefix, str] = {}
    for name, addresses in failover.virtual_addresses.items():
        if name not in site.interfaces:
            message = f"{name} is not an interface of the boxes; write {_either(list(site.interfaces))}"
            yield Problem((*top, name), message)
            continue
        for position, address in enumerate(addresses):
            path = (*top, name, position)
            first = seen.setdefault(prefix(address.ip), name)
            if first != name:
                yield Problem(path, f"{address.ip} is the virtual address on {first} already; write it once")
                continue
            found = next((_wrong(place, address) for place in site.interfaces[name] if _wrong(place, address)), None)
            if found:
                yield Problem(path, found)


def _wrong(place: Place, address: Interface) -> str | None:
    """What makes `address` unfit to move to `place`; None when nothing does."""
    if any(address.ip == own.ip for own in place.static):
        message = f"{address.ip} is the address that {place.box} always has"
        return f"{message}; write a third one, which moves between the boxes"
    if address.ip in place.interface.gateway:
        return f"{address.ip} is the gateway of {place.name}; write an address that nobody has"
    if any(isinstance(own, str) for own in place.interface.address):
        return f"the address of {place.name} is lent by the network, and moves by itself; remove this line"
    if address.is_link_local:
        return None
    if address in place.only_moving:
        return _wrong_alone(place, address)
    networks = [own.network for own in place.static if own.version == address.version]
    around = next((network for network in networks if prefix(network).holds(prefix(address.ip))), None)
    if around is None:
        there = f"outside {listed([str(network) for network in networks])}" if networks else "in no network"
        return f"{address.ip} is {there} of {place.name} on {place.box}; write a free address inside its network"
    if is_network_or_broadcast(prefix(around), prefix(address.ip)):
        return f"{address.ip} is not a host in {around}; write a free address inside it"
    if address.network.prefixlen < around.prefixlen:
        message = f"{address} is wider than {around}, the network of {place.name} on {place.box}"
        return f"{message}; write {address.ip}/{around.prefixlen}"
    return None


def _wrong_alone(place: Place, address: Interface) -> str | None:
    """The same for the one public address: nothing else says how large its network is."""
    if address.network.prefixlen == address.max_prefixlen and place.interface.gateway:
        message = f"{address} says nothing about its network, and {place.name} of {place.box} has no other address"
        return f"{message}; write the prefix length that the provider gave, such as {address.ip}/29"
    return None


def _either(names: list[str]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 2 else names)
