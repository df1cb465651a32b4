"""A router in front of the box that translates its address: what it does not let in, and what it forgets."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

from appliance.core.doctor.evidence import Evidence, PeerSeen
from appliance.core.doctor.finding import Finding
from appliance.core.doctor.firewall import Rules
from appliance.core.doctor.handshakes import calls
from appliance.core.peers import endpoint_parts

_PRIVATE = [ip_network(each) for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")]
"""RFC 1918, RFC 6598, RFC 4193."""


def nat(evidence: Evidence, rules: Rules | None) -> Iterator[Finding]:
    """Who calls out is answered through any NAT; what fails is what begins at the other side."""
    if not behind_nat(evidence):
        return
    has = " and ".join(each for uplink in evidence.uplinks for each in uplink.addresses if not each.startswith("fe80:"))
    for tunnel in evidence.tunnels:
        waited_for = [peer for peer in evidence.peers if peer.tunnel == tunnel.name and not peer.endpoint_wanted]
        if not waited_for or any(_came(peer) for peer in waited_for) or _called(evidence, tunnel.listen_port):
            continue
        who = ", ".join(peer.name for peer in waited_for[:3]) + (" and others" if len(waited_for) > 3 else "")
        yield Finding(
            "not-forwarded",
            tunnel.name,
            f"This box is behind NAT, and nobody who should call tunnel {tunnel.name} has ever got through: the router "
            f"in front of it does not forward UDP port {tunnel.listen_port} to it.",
            (f"the uplink has a private address ({has})", f"no handshake ever came from {who}"),
            f"on the router, forward UDP port {tunnel.listen_port} to this box; if it does already, and nobody has "
            "called yet, run this again while somebody does",
        )
    for peer in evidence.peers:
        if peer.endpoint_wanted and not peer.keepalive and peer.idle and peer.answered and _may_call(peer, rules):
            yield Finding(
                "keepalive",
                peer.name,
                f"{peer.name} cannot call this box, which is behind NAT: without keepalives the router in front of it "
                "forgets the way in.",
                (
                    f"the uplink has a private address ({has}), and the peer no keepalive",
                    f"there was no session with {peer.name} until this box called it just now, and it answered at once",
                ),
                f"write `keepalive: 25` at {peer.name}",
            )


def behind_nat(evidence: Evidence) -> bool:
    """Whether the uplinks have only addresses that somebody in front of this box translates."""
    found = [each.partition("/")[0] for uplink in evidence.uplinks for each in uplink.addresses]
    found = [each for each in found if not each.startswith("fe80:")]
    return bool(found) and all(map(office_like, found))


def office_like(text: str) -> bool:
    """Whether the internet does not carry the address."""
    address = ip_address(text)
    return any(address in network for network in _PRIVATE if network.version == address.version)


def _came(peer: PeerSeen) -> bool:
    """Whether it has ever called; a box that was started anew is told where it was last."""
    return peer.handshake_age is not None or bool(peer.endpoint)


def _called(evidence: Evidence, port: int) -> bool:
    return any(endpoint_parts(each.here)[1] == str(port) for each in calls(evidence))


def _may_call(peer: PeerSeen, rules: Rules | None) -> bool:
    """Whether a rule lets it in, so that somebody there may begin."""
    there = rules.named(peer.name) if rules else None
    return bool(rules and there and rules.lets_in(there))
