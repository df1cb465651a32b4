"""Packets that take a wrong way, or leave in a shape in which nobody can answer them."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.core.doctor.evidence import Evidence
from appliance.core.doctor.finding import Finding
from appliance.core.doctor.firewall import Rules
from appliance.core.doctor.nat import office_like
from appliance.core.state import DEFAULTS

_NAMES = ("udp/53", "tcp/53", "udp/853", "tcp/853")
_HEADERS = {4: 40, 6: 60}
"""Of IP and TCP, in bytes."""


def ways(evidence: Evidence, rules: Rules | None) -> Iterator[Finding]:
    """Source addresses, ways back, names beside a full tunnel, and segments that do not fit."""
    yield from _sources(evidence, rules)
    yield from _no_way_back(evidence, rules)
    yield from _leaks(evidence)
    yield from _segments(evidence, rules)


def _sources(evidence: Evidence, rules: Rules | None) -> Iterator[Finding]:
    """What leaves an uplink with an address from inside, and is not answered: no router out there knows a way back."""
    uplinks = {uplink.device: uplink for uplink in evidence.uplinks}
    told: set[str] = set()
    for flow in evidence.overheard.unanswered:
        uplink = uplinks.get(flow.device)
        if uplink is None or uplink.name in told or flow.source in {a.partition("/")[0] for a in uplink.addresses}:
            continue
        if not office_like(flow.source) or office_like(flow.destination):
            continue
        told.add(uplink.name)
        zone = rules.zone(flow.source) if rules else None
        yield Finding(
            "source-address",
            uplink.name,
            f"Packets from {zone.label if zone else 'inside'} leave by {uplink.name} with their inside address "
            f"{flow.source}, so no answer finds its way back.",
            (f"{flow.service} from {flow.source} to {flow.destination} left on {flow.device}, and was not answered",),
            f"write `masquerade: [{uplink.name}]` under firewall, or have the router there send what is for "
            f"{flow.source} to this box",
        )


def _no_way_back(evidence: Evidence, rules: Rules | None) -> Iterator[Finding]:
    answers = dict(evidence.hosts)
    told: set[str] = set()
    for flow in evidence.overheard.unanswered:
        if not answers.get(flow.destination) or flow.destination in told:
            continue
        told.add(flow.destination)
        origin = rules.zone(flow.source) if rules else None
        yield Finding(
            "return-path",
            flow.destination,
            f"{flow.destination} is there, but its answers to {origin.label if origin else flow.source} take another "
            "way than through this box: it has another gateway, or its own firewall takes calls of its own network "
            "only.",
            (
                f"{flow.service} from {flow.source} was passed on to it on {flow.device}, and no answer came back",
                "it answers this box's own pings",
            ),
            f"make this box the gateway of {flow.destination}, or give its gateway a route to {flow.source} by this "
            "box; if that is so, see its own firewall",
        )


def _leaks(evidence: Evidence) -> Iterator[Finding]:
    """Questions for names that leave beside a tunnel that should carry everything."""
    full = [peer for peer in evidence.peers if set(peer.allowed_ips) & set(DEFAULTS) and peer.answered]
    uplinks = {uplink.device: uplink.name for uplink in evidence.uplinks}
    servers: dict[str, str] = {}
    for flow in evidence.overheard.passed if full else ():
        if flow.device in uplinks and flow.service in _NAMES:
            servers.setdefault(flow.destination, f"{flow.service} to {flow.destination} left on {flow.device}")
    if servers:
        yield Finding(
            "dns-leak",
            full[0].name,
            f"Names are looked up beside the full tunnel {full[0].name}: whoever runs {' and '.join(servers)} sees "
            "what is asked for.",
            tuple(servers.values()),
            "write under `dns:`, and in the hosts inside, name servers that the tunnel leads to; one that is a "
            "neighbour of the uplink is never reached through it",
        )


def _segments(evidence: Evidence, rules: Rules | None) -> Iterator[Finding]:
    """TCP connections that agree on segments which the next device cannot carry whole."""
    carry = {uplink.device: (uplink.name, uplink.mtu) for uplink in evidence.uplinks}
    carry |= {tunnel.device: (tunnel.name, tunnel.mtu) for tunnel in evidence.tunnels}
    told: set[str] = set()
    for each in evidence.overheard.segments:
        name, mtu = carry.get(each.device, ("", 0))
        most = mtu - _HEADERS[6 if ":" in each.source else 4]
        if not mtu or each.size <= most or name in told:
            continue
        told.add(name)
        clamp = rules.site.config.firewall.mss_clamp if rules else "auto"
        yield Finding(
            "mss",
            name,
            f"TCP connections over {name} agree on segments of {each.size} bytes, of which it carries {most} at most: "
            "large transfers stall where ICMP is lost.",
            (
                f"a connection from {each.source} to {each.destination} left on {each.device} with an MSS of "
                f"{each.size}; {each.device} has an MTU of {mtu}",
            ),
            f"write `mss_clamp: auto` under firewall; the file says {clamp}"
            if clamp != "auto"
            else "see in `sudo nft list ruleset` which table beside this box's own changes it",
        )
