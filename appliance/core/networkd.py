"""The systemd-networkd and resolved files of a box (systemd.network(5), resolved.conf(5)).

networkd keeps the addresses of physical interfaces, static or by DHCP and router advertisements; nothing else does.
"""

from __future__ import annotations

from appliance.core.model import Box, Config, Interface

NETWORK_FOLDER = "/run/systemd/network"
RESOLVED_FILE = "/run/systemd/resolved.conf.d/50-appliance.conf"
FALLBACK_DNS = ("9.9.9.9", "149.112.112.112", "2620:fe::fe")
"""Quad9, asked only when neither the file nor DHCP nor a router advertisement names a server."""

Section = tuple[str, list[tuple[str, object]]]
"""A title, and its keys with their values; nothing is printed for one without keys."""

_HEADER = "# Written by appliance from appliance.yaml; changes here are undone.\n"


def network_path(name: str) -> str:
    """The file of the interface `name`; 50- sorts before networkd's own catch-all files."""
    return f"{NETWORK_FOLDER}/50-appliance-{name}.network"


def network_file(config: Config, box: Box, name: str) -> str:
    """The .network file of one interface."""
    interface = box.interfaces[name]
    sections: list[Section] = [
        ("Match", [("Name", interface.device)]),
        ("Link", [("MTUBytes", interface.mtu)] if interface.mtu else []),
        ("Network", _network(config, box, name)),
        *_routes(box, name),
        *_dynamic(box, name),
        *_announced(config, box, name),
    ]
    text = [_HEADER]
    for title, entries in sections:
        if entries:
            text.append(f"[{title}]\n" + "".join(f"{key}={value}\n" for key, value in entries))
    return "\n".join(text)


def _static(interface: Interface) -> list[str]:
    return [str(address) for address in interface.address if not isinstance(address, str)]


def _network(config: Config, box: Box, name: str) -> list[tuple[str, object]]:
    interface = box.interfaces[name]
    dhcp4, ra = "dhcp" in interface.address, "ra" in interface.address
    entries: list[tuple[str, object]] = [("Description", f"{config.site}, {name}")]
    # Without carrier the addresses stay: the box answers the moment the cable is back, and nothing waits for it.
    entries.append(("ConfigureWithoutCarrier", "yes"))
    if dhcp4 or ra:
        # A cable that comes back may lead to another router: ask again, unless the line only blinked.
        entries.append(("IgnoreCarrierLoss", "3s"))
    entries += [("Address", address) for address in _static(interface)]
    entries.append(("DHCP", "yes" if dhcp4 and ra else "ipv4" if dhcp4 else "ipv6" if ra else "no"))
    entries.append(("IPv6AcceptRA", "yes" if ra else "no"))
    entries.append(("LLMNR", "no"))
    entries.append(("MulticastDNS", "no"))
    if interface.delegated_from:
        entries.append(("DHCPPrefixDelegation", "yes"))
    if config.announces(interface):
        entries.append(("IPv6SendRA", "yes"))
    return entries


def _metric(box: Box, name: str) -> int:
    """Uplinks are preferred in the order of the file."""
    uplinks = [each for each, interface in box.interfaces.items() if interface.is_uplink]
    return 100 + 10 * uplinks.index(name)


def _routes(box: Box, name: str) -> list[Section]:
    interface = box.interfaces[name]
    return [("Route", [("Gateway", gateway), ("Metric", _metric(box, name))]) for gateway in interface.gateway]


def _dynamic(box: Box, name: str) -> list[Section]:
    interface = box.interfaces[name]
    sections: list[Section] = []
    if "dhcp" in interface.address:
        sections.append(("DHCPv4", [("RouteMetric", _metric(box, name)), ("UseMTU", "yes"), ("UseHostname", "no")]))
    if "ra" in interface.address:
        sections.append(("IPv6AcceptRA", [("RouteMetric", _metric(box, name)), ("UseMTU", "yes")]))
        wants_prefix = any(each.delegated_from == name for each in box.interfaces.values())
        # Some providers delegate a prefix without a managed flag in their advertisements: ask anyway.
        entries = [("WithoutRA", "solicit"), ("UseDelegatedPrefix", "yes")] if wants_prefix else []
        sections.append(("DHCPv6", [*entries, ("UseHostname", "no")]))
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
    """resolved's drop-in: which servers are asked, and that the LAN may ask this box."""
    inside = [interface for interface in box.interfaces.values() if not interface.is_uplink]
    listeners = [address.split("/")[0] for interface in inside for address in _static(interface)]
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
