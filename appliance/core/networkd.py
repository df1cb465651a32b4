"""The systemd-networkd and resolved files of a box (systemd.network(5), resolved.conf(5)).

networkd keeps the addresses of physical interfaces, static or by DHCP and router advertisements; nothing else does.
"""

from __future__ import annotations

import hashlib

from appliance.core.model import Box, Config, Interface
from appliance.core.state import NETWORK_FOLDER
from appliance.core.values import Interface as InterfaceAddress

_AT_ONCE = [("IPv6DuplicateAddressDetection", 0)]
"""The other box had the address until now, and waiting to hear whether it still answers helps nobody."""

FALLBACK_DNS = ("9.9.9.9", "149.112.112.112", "2620:fe::fe")
"""Quad9, asked only when neither the file nor DHCP nor a router advertisement names a server."""

Section = tuple[str, list[tuple[str, object]]]
"""A title, and its keys with their values; nothing is printed for one without keys."""

_HEADER = "# Written by appliance from appliance.yaml; changes here are undone.\n"


def network_path(name: str) -> str:
    """The file of the interface `name`; 50- sorts before networkd's own catch-all files."""
    return f"{NETWORK_FOLDER}/50-appliance-{name}.network"


def network_file(config: Config, box: Box, name: str, moves: bool = False) -> str:
    """The .network file of one interface. `moves`: it has its address in turn with the same one of the other box.

    The supervisor then says when it is up; the client says the same on both boxes, and gives no lease back.
    """
    interface = box.interfaces[name]
    link: list[tuple[str, object]] = [("MTUBytes", interface.mtu)] if interface.mtu else []
    sections: list[Section] = [
        ("Match", [("Name", interface.device)]),
        ("Link", [*link, ("ActivationPolicy", "manual")] if moves else link),
        ("Network", [*_network(config, box, name, moves), *(_AT_ONCE if moves else ())]),
        *_routes(config, box, name),
        *_dynamic(box, name, _identity(name) if moves else []),
        *_announced(config, box, name),
    ]
    return _text(sections)


def card_file(config: Config, box: Box, name: str, moves: bool = False) -> str:
    """The .network file of a card that has another device's address above it: up, and without a word of its own.

    `moves`: the supervisor says when it is up.
    """
    interface = box.interfaces[name]
    link: list[tuple[str, object]] = [("MTUBytes", interface.mtu)] if interface.mtu else []
    link += [("ActivationPolicy", "manual")] if moves else []
    return _silent(interface.device, f"{config.site}, {name}", link)


def trunk_file(config: Config, device: str) -> str:
    """The .network file of a card that carries VLANs, and that no interface names for itself."""
    return _silent(device, f"{config.site}, VLANs", [])


def _silent(device: str, description: str, link: list[tuple[str, object]]) -> str:
    silence = ("DHCP", "IPv6AcceptRA", "LinkLocalAddressing", "LLMNR", "MulticastDNS")
    network: list[tuple[str, object]] = [("Description", description), *((key, "no") for key in silence)]
    return _text([("Match", [("Name", device)]), ("Link", link), ("Network", network)])


def session_file(config: Config, box: Box, name: str) -> str:
    """The .network file of a PPPoE session's device: pppd keeps its IPv4 and its link-local address, networkd listens
    to router advertisements there. A drop-in names the name servers (pppoe-up)."""
    ra = "ra" in box.interfaces[name].address
    entries: list[tuple[str, object]] = [
        ("Description", f"{config.site}, {name}"),
        ("KeepConfiguration", "static"),
        ("LinkLocalAddressing", "no"),
        ("DHCP", "ipv6" if ra else "no"),
        ("IPv6AcceptRA", "yes" if ra else "no"),
        ("LLMNR", "no"),
        ("MulticastDNS", "no"),
    ]
    match: Section = ("Match", [("Name", box.interfaces[name].device)])
    return _text([match, ("Network", entries), *_dynamic(box, name, [])])


def _identity(name: str) -> list[tuple[str, object]]:
    """A client identifier by RFC 4361 that both boxes have: a DUID-LL (RFC 8415 section 11.4) of the hardware address
    that they share, and a number from the interface's name. Their own names would tell them apart."""
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])
    return [("DUIDType", "link-layer"), ("IAID", number), ("SendHostname", "no"), ("SendRelease", "no")]


def _text(sections: list[Section]) -> str:
    text = [_HEADER]
    for title, entries in sections:
        if entries:
            text.append(f"[{title}]\n" + "".join(f"{key}={value}\n" for key, value in entries))
    return "\n".join(text)


def _static(interface: Interface) -> list[str]:
    return [str(address) for address in interface.address if not isinstance(address, str)]


def _moving(config: Config, name: str) -> list[InterfaceAddress]:
    return config.failover.virtual_addresses.get(name, []) if config.failover else []


def _network(config: Config, box: Box, name: str, moves: bool) -> list[tuple[str, object]]:
    interface = box.interfaces[name]
    dhcp4, ra = "dhcp" in interface.address, "ra" in interface.address
    entries: list[tuple[str, object]] = [("Description", f"{config.site}, {name}")]
    # Without carrier the addresses stay: the box answers the moment the cable is back, and nothing waits for it.
    entries.append(("ConfigureWithoutCarrier", "yes"))
    if moves:
        # To networkd a device that was down has lost its carrier. The kernel took its routes then, however soon the
        # role came back, and a client that overlooks it never sets them again.
        entries.append(("IgnoreCarrierLoss", "no"))
    elif dhcp4 or ra:
        # A cable that comes back may lead to another router: ask again, unless the line only blinked.
        entries.append(("IgnoreCarrierLoss", "3s"))
    entries += [("Address", address) for address in _static(interface)]
    entries.append(("DHCP", "yes" if dhcp4 and ra else "ipv4" if dhcp4 else "ipv6" if ra else "no"))
    entries.append(("IPv6AcceptRA", "yes" if ra else "no"))
    entries.append(("LLMNR", "no"))
    entries.append(("MulticastDNS", "no"))
    if _moving(config, name):
        # Addresses that keepalived added survive a start of networkd (systemd.network(5); v243 has it for this).
        entries.append(("KeepConfiguration", "static"))
    if interface.delegated_from:
        entries.append(("DHCPPrefixDelegation", "yes"))
    if config.announces(interface):
        entries.append(("IPv6SendRA", "yes"))
    return entries


def uplink_metric(box: Box, name: str) -> int:
    """Uplinks are preferred in the order of the file."""
    uplinks = [each for each, interface in box.interfaces.items() if interface.is_uplink]
    return 100 + 10 * uplinks.index(name)


def _routes(config: Config, box: Box, name: str) -> list[Section]:
    """A gateway in whose IP version only a moving address is here comes and goes with that address (keepalived)."""
    interface = box.interfaces[name]
    own = {address.version for address in interface.address if not isinstance(address, str)}
    moving = {address.version for address in _moving(config, name)} - own
    gateways = [gateway for gateway in interface.gateway if gateway.version not in moving]
    return [("Route", [("Gateway", gateway), ("Metric", uplink_metric(box, name))]) for gateway in gateways]


def _dynamic(box: Box, name: str, identity: list[tuple[str, object]]) -> list[Section]:
    interface = box.interfaces[name]
    sections: list[Section] = []
    if "dhcp" in interface.address:
        metric = uplink_metric(box, name)
        entries = [("RouteMetric", metric), ("UseMTU", "yes"), ("UseHostname", "no"), *identity]
        sections.append(("DHCPv4", [*entries, ("ClientIdentifier", "duid")] if identity else entries))
    if "ra" in interface.address:
        sections.append(("IPv6AcceptRA", [("RouteMetric", uplink_metric(box, name)), ("UseMTU", "yes")]))
        wants_prefix = any(each.delegated_from == name for each in box.interfaces.values())
        # Some providers delegate a prefix without a managed flag in their advertisements: ask anyway.
        asks = [("WithoutRA", "solicit"), ("UseDelegatedPrefix", "yes")] if wants_prefix else []
        sections.append(("DHCPv6", [*asks, ("UseHostname", "no"), *identity]))
    if interface.delegated_from:
        uplink = box.interfaces[interface.delegated_from].device
        sections.append(("DHCPPrefixDelegation", [("UplinkInterface", uplink), ("Announce", "yes")]))
    return sections


def _announced(config: Config, box: Box, name: str) -> list[Section]:
    interface = box.interfaces[name]
    if not config.announces(interface):
        return []
    return [("IPv6Prefix", [("Prefix", prefix)]) for prefix in interface.announced]


def resolved_file(config: Config, box: Box) -> str:
    """resolved's drop-in: which servers are asked, and that the LAN may ask this box; a tunnel's peers may where a rule
    says so."""
    inside = {name: interface for name, interface in box.interfaces.items() if not interface.is_uplink}
    # Addresses that move are listened at before they are here (resolved binds them freely, resolved-dns-stub.c).
    moving = {name: [str(one) for one in _moving(config, name) if not one.is_link_local] for name in inside}
    found = [address for name, interface in inside.items() for address in (*_static(interface), *moving[name])]
    found += [str(each) for tunnel in config.tunnels.values() for each in tunnel.addresses]
    listeners = list(dict.fromkeys(address.split("/")[0] for address in found))
    servers = " ".join(str(address) for address in config.dns)
    lines = [
        _HEADER,
        "[Resolve]\n",
        f"DNS={servers}\n" if servers else "",
        "Domains=~.\n" if servers else "",
        f"FallbackDNS={' '.join(FALLBACK_DNS)}\n",
        "LLMNR=no\nMulticastDNS=no\n",
        *[f"DNSStubListenerExtra={address}\n" for address in listeners],
    ]
    return "".join(lines)
