"""Traffic that is lost although the tunnel stands: what WireGuard drops, what never gets into it, what is too large."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

from appliance.core.doctor.evidence import Evidence, TunnelSeen
from appliance.core.doctor.finding import Finding
from appliance.core.doctor.firewall import Rules
from appliance.core.doctor.nat import behind_nat, office_like
from appliance.core.doctor.ways import ways

LOST_BYTES = 1000
LOST_PART = 0.3
"""Counters that are not read at the same instant never differ by that much."""


def traffic(evidence: Evidence, rules: Rules | None) -> Iterator[Finding]:
    """AllowedIPs on both sides, networks that no peer has, and ways that carry less than they should."""
    for tunnel in evidence.tunnels:
        if tunnel.lost > LOST_BYTES and tunnel.lost > LOST_PART * tunnel.received:
            yield _refused_sources(tunnel, evidence)
    if rules:
        yield from _not_let_in(evidence, rules)
    yield from _uncovered(evidence)
    yield from ways(evidence, rules)
    yield from _black_holes(evidence)


def _refused_sources(tunnel: TunnelSeen, evidence: Evidence) -> Finding:
    senders = [peer for peer in evidence.peers if peer.tunnel == tunnel.name and peer.received > LOST_BYTES]
    who = " or ".join(peer.name for peer in senders) or f"a peer of {tunnel.name}"
    allowed = "; ".join(f"{peer.name}: {', '.join(peer.allowed_ips)}" for peer in senders)
    return Finding(
        "allowed-ips-here",
        who,
        f"{who} sends packets whose source addresses the file does not give to it, and WireGuard drops them.",
        tuple(
            each
            for each in (
                f"of {tunnel.received} bytes that came, about {tunnel.lost} did not come out of {tunnel.device}",
                allowed,
            )
            if each
        ),
        "add the network behind it to `networks:` of the peer, or hide it behind the peer's own address there",
    )


def _not_let_in(evidence: Evidence, rules: Rules) -> Iterator[Finding]:
    """A far end that answers this box and not its networks, although a rule here joins the two."""
    for peer in evidence.peers:
        # Of a colleague's device the same says little: it may answer nobody but its own network.
        for source, answered in peer.echoes_from if peer.endpoint_wanted else ():
            here, there = rules.zone(source), rules.named(peer.name)
            if not peer.echoes or answered or not here or not there:
                continue
            if not rules.between(here, there) and not rules.between(there, here):
                continue
            network = rules.network(source)
            yield Finding(
                "allowed-ips-there",
                peer.name,
                f"{peer.name} does not answer {here.label} ({network}): its AllowedIPs for this box lack that network, "
                "or its routes or its firewall do.",
                (f"it answers pings from this box's tunnel address and not from {source}",),
                f"at the far end, add {network} to AllowedIPs of this box (`networks:` in an appliance.yaml); if it is "
                "there, see the routes and the firewall, best by `appliance doctor` there",
            )


def _uncovered(evidence: Evidence) -> Iterator[Finding]:
    """Private destinations that leave by an uplink: no peer has them."""
    devices = {uplink.device: uplink for uplink in evidence.uplinks}
    told: set[str] = set()
    for flow in evidence.overheard.passed:
        uplink = devices.get(flow.device)
        if uplink is None or behind_nat(evidence) or not office_like(flow.destination) or flow.destination in told:
            continue
        near = [ip_network(each, strict=False) for each in uplink.addresses]
        address = ip_address(flow.destination)
        if any(address in network for network in near if network.version == address.version):
            continue
        told.add(flow.destination)
        yield Finding(
            "not-covered",
            flow.destination,
            f"Somebody inside calls {flow.destination}, which no peer's networks hold, so it leaves by {uplink.name} "
            "in clear and is lost.",
            (f"{flow.service} to {flow.destination} was seen leaving on {flow.device}",),
            "if it is behind a peer, add its network to `networks:` of that peer; it must be in AllowedIPs there as "
            "well",
        )


def _black_holes(evidence: Evidence) -> Iterator[Finding]:
    for path in evidence.paths:
        if not path.told and path.whole < path.largest_tried:
            peers = ", ".join(peer.name for peer in evidence.peers if peer.address == path.address)
            yield Finding(
                "mtu-black-hole",
                peers or path.address,
                f"Packets of more than {path.whole} bytes vanish on the way to {path.address}"
                + (f" ({peers})" if peers else "")
                + ", and no router says so.",
                (
                    f"a ping of {path.whole} bytes comes back, one of {path.largest_tried} does not, and there is no "
                    "ICMP that would say why",
                ),
                f"write `mtu: {path.whole}` at the uplink, and let ICMP through on the way; tunnels carry on in "
                "fragments, and more slowly",
            )
