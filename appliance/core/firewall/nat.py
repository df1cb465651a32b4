"""Port forwards and masquerading."""

from __future__ import annotations

from dataclasses import replace

from appliance.core.firewall.pairs import Pair
from appliance.core.firewall.text import INDENT, chain, comment, elements, one_or_set, quoted
from appliance.core.firewall.zones import Site, Zone, devices
from appliance.core.model import PortForward
from appliance.core.pair.addresses import usable_address, virtual_addresses
from appliance.core.pair.leases import leased
from appliance.core.pair.names import LEASED_MAP
from appliance.core.values import Ports

_LEASED = f"""\
{INDENT}map {LEASED_MAP} {{
{INDENT * 2}typeof oifname : ip saddr
{INDENT}}}
"""

_ADDRESSES = {"dhcp", "pppoe"}
"""Where an uplink's IPv4 address comes from, when it is not in the file."""

Arrival = tuple[str, int, Ports]
"""A zone's name, an IP version, a port: what one forward takes for itself."""


def forwards(site: Site) -> list[tuple[Zone, PortForward, str]]:
    """The port forwards of this box, with the zone they come from and their place in the file; where two want
    the same port the first has it."""
    taken: set[Arrival] = set()
    found = []
    for index, forward in enumerate(site.config.firewall.port_forwards):
        origin = site.zone(forward.from_)
        arrival = (forward.from_, forward.to.version, forward.port)
        if origin and origin.device and arrival not in taken:
            taken.add(arrival)
            found.append((origin, forward, site.source("firewall", "port_forwards", index)))
    return found


def admit_forwards(site: Site, pair_of: dict[tuple[str, str], Pair]) -> None:
    """Adds to the pairs what lets forwarded connections reach their hosts, and only those connections.

    `ct status dnat`: an allow rule for the host would let in more than the one port at the box's address.
    """
    reached: dict[tuple[str, str, int], list[str]] = {}
    for origin, forward, source in forwards(site):
        target = site.zone_of(forward.to)
        if target is None:
            continue
        key = (origin.name, target.name)
        pair_of.setdefault(key, Pair(origin, replace(target, peer=None)))
        port = forward.to_port or forward.port.first
        line = f"{forward.to} . {forward.port.protocol} . {port}"
        lines = reached.setdefault((*key, forward.to.version), [])
        if not any(existing.startswith(line + " ") for existing in lines):
            lines.append(line + comment(source))
    for (origin_name, target_name, version), lines in reached.items():
        header = "ip" if version == 4 else "ip6"
        rule = f"ct status dnat {header} daddr . meta l4proto . th dport {elements(lines)} accept"
        pair_of[origin_name, target_name].forwards.append(rule)


def nat_chains(site: Site) -> list[str]:
    return [*_port_forwards(site), *_masquerade(site)]


def _port_forwards(site: Site) -> list[str]:
    """`fib daddr . iif type local`: only what was sent to the uplink's own address, whatever it is.

    In a pair, to the virtual address: what comes to a box's own would be answered by way of the partner."""
    maps: dict[tuple[str, int], list[str]] = {}
    for origin, forward, source in forwards(site):
        port = forward.to_port or forward.port.first
        asked = f"{forward.port.protocol} . {forward.port.first}"
        maps.setdefault((origin.device, forward.to.version), []).append(
            f"{asked}{comment(source)} : {forward.to} . {port}"
        )
    if not maps:
        return []
    rules = []
    names = {interface.device: name for name, interface in site.interfaces.items()}
    for (device, version), lines in maps.items():
        family, header = ("ipv4", "ip") if version == 4 else ("ipv6", "ip6")
        moving = [str(address.ip) for address in virtual_addresses(site.config, names[device], version)]
        sent = f"{header} daddr {one_or_set(moving)}" if moving else "fib daddr . iif type local"
        rules.append(
            f'iifname "{device}" meta nfproto {family} {sent} '
            f"dnat {header} to meta l4proto . th dport map {elements(lines)}"
        )
    hook = "type nat hook prerouting priority dstnat; policy accept;"
    return [chain("port_forwards", rules, hook)]


def _masquerade(site: Site) -> list[str]:
    """IPv4 only, and only what is passed on: what the box itself sends has the right address already, and no
    incoming interface.

    In a pair the address that moves is named: `masquerade` takes the first address of the interface, a box's own, and
    forgets its connections when an address goes or its interface goes down (net/netfilter/nf_nat_masquerade.c), of
    which the new master would be told. A lease, or a session's address, stands in a map, which the supervisor fills."""
    lent = {name: interface.address for name, interface in leased(site.config, site.box).items()}
    inside = [*devices(site.lans.values()), *site.tunnel_devices]
    rules = []
    for index, name in enumerate(site.config.firewall.masquerade):
        zone = site.zone(name)
        sources = [device for device in inside if zone and device != zone.device]
        if zone and zone.device and sources:
            source = site.source("firewall", "masquerade", index)
            passing = f'iifname {quoted(sources)} oifname "{zone.device}"'
            moving = usable_address(site.config, name, 4)
            hide = f"snat ip to {moving.ip}" if moving else "masquerade"
            if _ADDRESSES & set(lent.get(name, [])):
                held = f"snat ip to oifname map @{LEASED_MAP}"
                rules.append(f"{passing} meta nfproto ipv4 {held}{comment(f'{source}: the lease, once it is known')}")
            rules.append(f"{passing} meta nfproto ipv4 {hide}{comment(source)}")
    if not rules:
        return []
    maps = [_LEASED] if any(_ADDRESSES & set(addresses) for addresses in lent.values()) else []
    return [*maps, chain("masquerading", rules, "type nat hook postrouting priority srcnat; policy accept;")]
