"""VLANs (IEEE 802.1Q): `device: enp1s0.20` is VLAN 20 on the card enp1s0. A flashed box has no other place where one
could be set up, so the box makes the device itself, by netlink, and networkd sets it up as any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from appliance.core.state import ObservedLink, Vlan
from appliance.core.steps import AddVlan, DeleteLink, Step

FIRST, LAST = 1, 4094
"""VLAN IDs; 0 and 4095 are reserved (IEEE 802.1Q, table 9-2)."""

Change = tuple[Step, ...]
"""A step, and then those that take it back."""

_NAME = re.compile(r"(?P<parent>.+)\.(?P<id>[0-9]{1,4})\Z")


def vlan_of(device: str) -> Vlan | None:
    """The VLAN that a device's name stands for; None for every other name. The ID may be out of range."""
    found = _NAME.match(device)
    return Vlan(device, found["parent"], int(found["id"])) if found else None


def vlans(devices: Iterable[str]) -> tuple[Vlan, ...]:
    """Those among the devices that a box's interfaces name."""
    return tuple(found for each in devices if (found := vlan_of(each)))


def removal(link: ObservedLink, wanted: Iterable[Vlan]) -> Change | None:
    """Away with a device that was made here and that nobody names any more."""
    was = vlan_of(link.device)
    if was is None or was in wanted:
        return None
    return DeleteLink(link.device), AddVlan(was.device, was.parent, was.id)


def changes(wanted: Iterable[Vlan], links: Mapping[str, ObservedLink]) -> Iterator[Change]:
    """Those that are not there. Somebody else's of that name is taken as it is."""
    for each in wanted:
        # Whoever applies is told of a card that is missing; when it comes, an event says so.
        if each.device not in links and each.parent in links:
            yield AddVlan(each.device, each.parent, each.id), DeleteLink(each.device)
