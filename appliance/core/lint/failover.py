"""Failover: two boxes, the network between them, and addresses that can move from one to the other."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.core.lint.interfaces import is_network_or_broadcast
from appliance.core.lint.prefixes import Prefix, prefix
from appliance.core.lint.site import Place, Site, listed
from appliance.core.model import Failover
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


def _pair_link(site: Site, failover: Failover) -> Iterator[Problem]:
    path, name = ("failover", "pair_link"), failover.pair_link
    if name not in site.interfaces:
        yield Problem(path, f"{name} is not an interface of the boxes; write {_either(list(site.interfaces))}")
        return
    for place in site.interfaces[name]:
        if not place.static:
            message = f"{name} on {place.box} gets its address from the network, and the other box could not know it"
            yield Problem(path, f"{message}; write an interface with a static address")
            return


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
    if address.is_link_local:
        return None
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


def _either(names: list[str]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 2 else names)
