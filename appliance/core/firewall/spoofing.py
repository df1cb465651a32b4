"""Packets whose source address cannot be true where they arrive."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.core.firewall.spans import spans
from appliance.core.firewall.text import chain, comment, elements, one_or_set, quoted
from appliance.core.firewall.zones import VERSIONS, Site, devices
from appliance.core.prefixes import Prefix, prefix

_MARTIANS = {
    "ip": ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3"),
    "ip6": ("::1", "::ffff:0.0.0.0/96", "ff00::/8"),
}
"""Never a source on a wire (RFC 6890): this host, loopback, multicast, reserved and broadcast; mapped IPv4.
:: is one, in duplicate address detection (RFC 4862 section 5.4.2)."""


def spoofing_chains(site: Site) -> list[str]:
    """One base chain ahead of conntrack (priority raw, -300), so that a forgery leaves no trace there."""
    chains, verdicts = [], []
    kinds = (
        ("sources_inside", devices(site.lans.values()), _inside),
        ("sources_on_uplinks", devices(site.uplinks.values()), _on_uplinks),
        ("sources_in_tunnels", site.tunnel_devices, _in_tunnels),
    )
    for name, found, rules in kinds:
        if found:
            chains.append(rules(site, name))
            verdicts += [f'"{device}" : jump {name}' for device in found]
    if not verdicts:
        return []
    hook = "type filter hook prerouting priority raw; policy accept;"
    return [*chains, chain("spoofing", [f"iifname vmap {elements(verdicts)}"], hook)]


def _drop(why: str) -> str:
    return f"counter name spoofed drop{comment(why)}"


def _inside(site: Site, name: str) -> str:
    why = (
        "Inside, a source is true if its answer would leave by the same interface. The kernel's lookup lets",
        "pass what has no address yet: DHCP from 0.0.0.0, duplicate address detection from ::",
        "(nft_fib_ipv4.c, nft_fib_ipv6.c).",
    )
    return chain(name, ["fib saddr . iif oif missing " + _drop("no such host on this side")], why=why)


def _martians() -> list[str]:
    return [
        f"{header} saddr {one_or_set(sources)} {_drop('nobody has such an address')}"
        for header, sources in _MARTIANS.items()
    ]


def _on_uplinks(site: Site, name: str) -> str:
    """Networks inside, less what the uplinks themselves stand in: an office's 10.0.0.0/8 behind a provider's
    10.1.1.0/24 must not cut off the provider's router."""
    outside = [(prefix(network), False) for uplink in site.uplinks for network in site.subnets(uplink)]
    inside = [(at, True) for at, _ in site.owners]
    rules = _martians() + _sources([*inside, *outside], "belongs inside")
    delegated = devices(interface for interface in site.lans.values() if interface.delegated_from)
    if delegated:
        rules.append(f"fib saddr oifname {quoted(delegated)} {_drop('belongs to a delegated prefix inside')}")
    return chain(name, rules, why=("On uplinks, nothing may claim to come from a network of ours.",))


def _in_tunnels(site: Site, name: str) -> str:
    why = (
        "In tunnels WireGuard has compared the source with the peer's networks already (cryptokey routing);",
        "but a peer that stands for the whole internet could still claim to be a host of ours.",
    )
    lans = [(prefix(network), True) for lan in site.lans for network in site.subnets(lan)]
    return chain(name, _martians() + _sources(lans, "belongs to a network inside"), why=why)


def _sources(claims: Sequence[tuple[Prefix, bool]], why: str) -> list[str]:
    """Rules that drop the sources that are claimed with True; smaller networks overrule those around them."""
    rules = []
    by_version: dict[int, list[tuple[Prefix, bool]]] = {version: [] for version, _ in VERSIONS}
    for claim in claims:
        by_version[claim[0].version].append(claim)
    for version, header in VERSIONS:
        refused = [span.text for span in spans(by_version[version]) if span.owner]
        if refused:
            rules.append(f"{header} saddr {elements(refused)} {_drop(why)}")
    return rules
