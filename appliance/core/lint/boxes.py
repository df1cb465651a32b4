"""The boxes: how many there are, and that the two of a pair look alike."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.core.lint.site import Place, Site, listed
from appliance.core.model import BOX
from appliance.core.prefixes import Prefix, prefix
from appliance.core.problems import Problem


def lint(site: Site) -> Iterator[Problem]:
    yield from _count(site)
    yield from _names(site)
    yield from _same_interfaces(site)
    yield from _same_role(site)
    yield from _address_on_two_boxes(site)
    yield from _no_uplink(site)


def _count(site: Site) -> Iterator[Problem]:
    names = list(site.config.boxes)
    if not names:
        yield Problem(("boxes",), "no box is written here; write one, or two for failover")
    for name in names[2:]:
        yield Problem(("boxes", name), f"there are already two boxes, {listed(names[:2])}; an office has one or two")


def _names(site: Site) -> Iterator[Problem]:
    for name, places in site.interfaces.items():
        if name == BOX:
            message = "`box` means the box itself in rules; give the interface another name"
            yield Problem(places[0].path, message)
    for name in site.config.tunnels:
        if name == BOX:
            yield Problem(("tunnels", name), "`box` means the box itself in rules; give the tunnel another name")
        elif name in site.interfaces:
            message = f"an interface is called {name} too, and rules could not tell the two apart; rename one of them"
            yield Problem(("tunnels", name), message)


def _same_interfaces(site: Site) -> Iterator[Problem]:
    for first, second in _pair(site):
        boxes = site.config.boxes
        for box, other in ((first, second), (second, first)):
            for name in boxes[other].interfaces:
                if name not in boxes[box].interfaces:
                    message = f"{other} has the interface {name} and {box} has not; both boxes need the same names"
                    yield Problem(("boxes", box, "interfaces"), message)


def _no_uplink(site: Site) -> Iterator[Problem]:
    for name in site.config.boxes:
        if name not in site.connected:
            message = "this box has no uplink; give one interface a `gateway:`, or `dhcp`, `ra` or `pppoe` as address"
            yield Problem(("boxes", name, "interfaces"), message)


def _same_role(site: Site) -> Iterator[Problem]:
    for first, second in _both(site):
        uplink, other = first.interface.is_uplink, second.interface.is_uplink
        if uplink != other and {first.box, second.box} <= site.connected:
            message = f"{second.name} is an uplink on {first.box if uplink else second.box} only"
            yield Problem(second.path, f"{message}; write its gateway (or dhcp, or ra) on both boxes, or on neither")
        if site.config.failover:
            yield from _same_subnets(first, second)


def _same_subnets(first: Place, second: Place) -> Iterator[Problem]:
    """A virtual address can move only inside one network."""
    networks = {address.network for address in first.static if not address.is_link_local}
    others = {address.network for address in second.static if not address.is_link_local}
    if networks and others and networks != others:
        texts = listed(sorted(map(str, networks)))
        message = f"{second.box} is in {listed(sorted(map(str, others)))} here and {first.box} in {texts}"
        path = (*second.path, "address")
        yield Problem(path, f"{message}; with failover both boxes stand in the same networks")


def _address_on_two_boxes(site: Site) -> Iterator[Problem]:
    seen: dict[Prefix, Place] = {}
    for place in site.places:
        for position, written in enumerate(place.interface.address):
            if isinstance(written, str):
                continue
            address = prefix(written.ip)
            first = seen.setdefault(address, place)
            if first.box != place.box and not (written.is_link_local and first.name != place.name):
                message = f"{written.ip} is the address of {first.box} on {first.name} too; give each box its own"
                yield Problem((*place.path, "address", position), message)


def _pair(site: Site) -> Iterator[tuple[str, str]]:
    names = list(site.config.boxes)
    if len(names) == 2:
        yield names[0], names[1]


def _both(site: Site) -> Iterator[tuple[Place, Place]]:
    """Each interface that both boxes have."""
    if len(site.config.boxes) == 2:
        for places in site.interfaces.values():
            if len(places) == 2:
                yield places[0], places[1]
