"""Each interface by itself: its device, its gateway, its MTU, and where its delegated prefix comes from."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.core.lint.site import Place, Site, listed
from appliance.core.model import Interface
from appliance.core.prefixes import Prefix, prefix
from appliance.core.problems import Problem
from appliance.core.state import LEASE_DEVICE, SESSION_DEVICE, TUNNEL_DEVICES
from appliance.core.values import Address
from appliance.core.vlans import FIRST, LAST, vlan_of

IPV6_MINIMUM_MTU = 1280
"""RFC 8200, section 5: every link that carries IPv6 carries packets of this size; Linux turns IPv6 off below it."""


def lint(site: Site) -> Iterator[Problem]:
    yield from _devices(site)
    for place in site.places:
        yield from _address(site, place)
        yield from _pppoe(place)
        yield from _gateways(site, place)
        yield from _mtu(place)
        yield from _delegation(site, place)


def _devices(site: Site) -> Iterator[Problem]:
    seen: dict[tuple[str, str], Place] = {}
    for place in site.places:
        path, device = (*place.path, "device"), place.interface.device
        first = seen.setdefault((place.box, device), place)
        if first is not place:
            yield Problem(path, f"{device} is the device of {first.name} already; each interface needs its own")
        taken = {
            **dict.fromkeys(TUNNEL_DEVICES, "a tunnel"),
            LEASE_DEVICE: "a pair's lease",
            SESSION_DEVICE: "a PPPoE session",
        }
        what = next((word for prefix, word in taken.items() if device.startswith(prefix)), "")
        if what:
            message = f"{device} would be the device of {what}; write a physical one such as enp1s0 (see `ip link`)"
            yield Problem(path, message)
        vlan = vlan_of(device)
        if vlan and not FIRST <= vlan.id <= LAST:
            message = f"{vlan.id} is no VLAN; its number is from {FIRST} to {LAST}, as in {vlan.parent}.20"
            yield Problem(path, message)
        elif vlan and vlan_of(vlan.parent):
            message = f"{device} would be a VLAN inside a VLAN; write the card and one number, such as enp1s0.20"
            yield Problem(path, message)
        if device == "lo":
            yield Problem(path, "lo is the loopback device; write a physical one such as enp1s0 (see `ip link`)")


def _address(site: Site, place: Place) -> Iterator[Problem]:
    if place.interface.address or place.interface.delegated_from or place.moving:
        return
    if site.config.failover and place.interface.gateway:
        message = f"{place.name} has no address; write each box's own here, or the one that both share"
        yield Problem(place.path, f"{message} under failover.virtual_addresses.{place.name}")
    else:
        yield Problem(place.path, f"{place.name} has no address; write `address:`, such as 192.168.10.1/24, or dhcp")


def _pppoe(place: Place) -> Iterator[Problem]:
    """A session brings its address, its gateway and its name servers; only IPv6 can come beside it."""
    interface, name = place.interface, place.name
    if "pppoe" not in interface.address:
        if interface.pppoe:
            message = f"{name} does not dial, since `pppoe` is not its address"
            yield Problem((*place.path, "pppoe"), f"{message}; write `address: pppoe`, or remove this block")
        return
    if interface.pppoe is None:
        message = "PPPoE needs what the provider gave: write `pppoe: {user: NAME, password: {secret: NAME}}`"
        yield Problem((*place.path, "address"), f"{message}, and the password to /data/appliance/secrets/NAME")
    for position, address in enumerate(interface.address):
        if address not in ("pppoe", "ra"):
            message = f"the session gives {name} its address"
            yield Problem((*place.path, "address", position), f"{message}; remove {address}, or pppoe")
    if interface.gateway:
        yield Problem((*place.path, "gateway"), f"the session is {name}'s way out; remove the gateway, or pppoe")
    if interface.delegated_from:
        yield Problem((*place.path, "delegated_from"), f"{name} is an uplink; remove this line, or pppoe")
    if interface.mtu is not None and "ra" in interface.address and 0 <= interface.mtu - IPV6_MINIMUM_MTU < 8:
        message = f"PPPoE takes 8 of the {interface.mtu} bytes, and the rest cannot carry IPv6"
        yield Problem((*place.path, "mtu"), f"{message}; write {IPV6_MINIMUM_MTU + 8} or more")


def _gateways(site: Site, place: Place) -> Iterator[Problem]:
    seen: dict[int, Address] = {}
    for position, gateway in enumerate(place.interface.gateway):
        path = (*place.path, "gateway", position)
        first = seen.setdefault(gateway.version, gateway)
        if first != gateway:
            message = f"{first} is the IPv{gateway.version} gateway already; write one per IP version"
            yield Problem(path, f"{message}, and a second line as an interface of its own")
        yield from _gateway(site, place, path, gateway)


def _gateway(site: Site, place: Place, path: tuple[str | int, ...], gateway: Address) -> Iterator[Problem]:
    if "pppoe" in place.interface.address:
        return
    version = gateway.version
    for box in site.interfaces[place.name]:
        if any(own.ip == gateway for own in box.static):
            message = f"{gateway} is the address of {box.box} itself"
            yield Problem(path, f"{message}; write the address of the provider's router")
            return
    if not place.versions:
        return
    if version not in place.versions:
        message = f"{gateway} is an IPv{version} gateway and {place.name} has no IPv{version} address"
        yield Problem(path, f"{message}; add one to `address:`, or remove the gateway")
        return
    learns = ("dhcp" if version == 4 else "ra") in place.interface.address
    if learns or gateway.is_link_local:
        return
    networks = [network for network in place.networks if network.version == version]
    around = next((network for network in networks if prefix(network).holds(prefix(gateway))), None)
    if around is None:
        message = f"{gateway} is outside {listed([str(network) for network in networks])}"
        yield Problem(path, f"{message}; a gateway lies inside its interface's network")
    elif is_network_or_broadcast(prefix(around), prefix(gateway)):
        yield Problem(path, f"{gateway} is not a host in {around}; write the address of the provider's router")


def is_network_or_broadcast(network: Prefix, address: Prefix) -> bool:
    """True for the first and the last address of an IPv4 network; /31 and /32 have no such (RFC 3021)."""
    return network.version == 4 and network.length < 31 and address.first in (network.first, network.last)


def _mtu(place: Place) -> Iterator[Problem]:
    mtu = place.interface.mtu
    if mtu is not None and mtu < IPV6_MINIMUM_MTU and 6 in place.versions:
        message = f"an MTU of {mtu} cannot carry IPv6; write {IPV6_MINIMUM_MTU} or more, or remove the IPv6 address"
        yield Problem((*place.path, "mtu"), message)


def _delegation(site: Site, place: Place) -> Iterator[Problem]:
    uplink = place.interface.delegated_from
    if uplink is None:
        return
    path = (*place.path, "delegated_from")
    interfaces: dict[str, Interface] = site.config.boxes[place.box].interfaces
    able = [name for name, interface in interfaces.items() if "ra" in interface.address]
    instead = f"write {listed(able)}" if able else "give the uplink `ra` as an address"
    if uplink not in interfaces:
        yield Problem(path, f"{place.box} has no interface {uplink}; {instead}")
    elif uplink == place.name:
        yield Problem(path, f"an interface cannot get its prefix from itself; {instead}, or remove this line")
    elif uplink not in able:
        yield Problem(
            path,
            f"{uplink} gets no prefix from its provider, since `ra` is not among its addresses; {instead}",
        )
