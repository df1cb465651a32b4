"""Uplinks of a pair whose address the network lends (DHCP, router advertisements): one lease for both boxes.

The lease belongs to a hardware address and a client identity (RFC 2131 section 4.2, RFC 4361), so both boxes have the
same ones, on an interface of its own above the network card: a MAC VLAN that is up on the master alone. The card below
stays up on both, so that each sees its cable, and says nothing. Giving the card itself another address would need it
down on many drivers (net/ethernet/eth.c, eth_prepare_mac_addr_change), which costs seconds until its cable is up again.
"""

from __future__ import annotations

import hashlib

from appliance.core.model import Config, Interface
from appliance.core.networkd import uplink_metric
from appliance.core.pair.addresses import partner_of
from appliance.core.state import LEASE_DEVICE, LeasedUplink

_LONGEST_DEVICE = 15
"""IFNAMSIZ, less the final zero."""


def leased(config: Config, box: str) -> dict[str, Interface]:
    """The uplinks whose lease moves with the role, by name; none for a box that stands alone."""
    if partner_of(config, box) is None:
        return {}
    interfaces = config.boxes[box].interfaces
    return {name: each for name, each in interfaces.items() if any(isinstance(one, str) for one in each.address)}


def leased_uplinks(config: Config, box: str) -> tuple[LeasedUplink, ...]:
    """The same for those who have no configuration model."""
    return tuple(
        LeasedUplink(
            name=name,
            device=lease_device(name),
            parent=interface.device,
            mac=hardware_address(config.site, name),
            mac_alone=hardware_address(config.site, name, box),
            mac_pair=hardware_address(config.site, name),
            metric=uplink_metric(config.boxes[box], name),
        )
        for name, interface in leased(config, box).items()
    )


def with_lease_devices(config: Config) -> Config:
    """The configuration as packets meet it: each leased uplink stands for the device that has its address."""
    boxes = {}
    for name, box in config.boxes.items():
        above = {
            each: interface.model_copy(update={"device": lease_device(each)})
            for each, interface in leased(config, name).items()
        }
        boxes[name] = box.model_copy(update={"interfaces": {**box.interfaces, **above}})
    return config.model_copy(update={"boxes": boxes})


def lease_device(interface: str) -> str:
    """The device of the leased uplink `interface`; a name that is too long for the kernel becomes a digest."""
    device = f"{LEASE_DEVICE}{interface}"
    if len(device) <= _LONGEST_DEVICE:
        return device
    return LEASE_DEVICE + hashlib.sha256(interface.encode()).hexdigest()[: _LONGEST_DEVICE - len(LEASE_DEVICE)]


def hardware_address(site: str, interface: str, box: str = "") -> str:
    """A locally administered unicast address (IEEE 802, section 8.2), the same on both boxes, without their asking.

    With `box` it is that box's alone: for boxes that are no pair yet, and would use the same one side by side.
    """
    digest = hashlib.sha256(f"appliance lease {site} {interface} {box}".encode()).digest()
    return bytes([digest[0] & 0xFC | 0x02, *digest[1:6]]).hex(":")
