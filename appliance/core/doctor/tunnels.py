"""Peers that do not answer, and what can be told of why.

WireGuard is silent to strangers, so a key that does not match and a packet that never arrived often look the same from
one side. What differs: a router's ICMP; an answer to our handshake that our side cannot open (the preshared key); a
call from there, whose mac1 shows for whose key it was made, and which the box's own key opens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_address, ip_network

from appliance.core.doctor.evidence import Evidence, PeerSeen, TunnelSeen
from appliance.core.doctor.finding import Finding
from appliance.core.doctor.wire import PORT, Handshake, made_for

LOST_BYTES = 1000
LOST_PART = 0.3
"""Counters that are not read at the same instant never differ by that much."""


def tunnels(evidence: Evidence, resolver_dead: bool = False) -> Iterator[Finding]:
    explained: set[str] = set()
    missing = {lookup.name for lookup in evidence.lookups if not lookup.addresses}
    for peer in evidence.peers:
        if peer.host in missing and (resolver_dead or not peer.endpoint):
            continue  # Its name is the trouble, and was told.
        if peer.echoes or not peer.called:
            continue
        found = _turned_away(peer, evidence)
        if not found and not peer.answered:
            found = _silent(peer, evidence)
        if found:
            explained.update(call.there for call in _calls(evidence) if _address(call.there) == peer.address)
            yield found
    yield from _callers(evidence, explained)
    for tunnel in evidence.tunnels:
        if tunnel.lost > LOST_BYTES and tunnel.lost > LOST_PART * tunnel.received:
            yield _refused_sources(tunnel, evidence)
    yield from _uncovered(evidence)
    yield from _black_holes(evidence)


def _silent(peer: PeerSeen, evidence: Evidence) -> Finding | None:
    """Why a peer that was called says nothing."""
    tunnel = next((each for each in evidence.tunnels if each.name == peer.tunnel), None)
    if tunnel is None:
        return None
    heard = [each for each in evidence.overheard.handshakes if each.there == peer.endpoint]
    calls = sum(each.out and each.initiation for each in heard)
    answers = sum(not each.out and not each.initiation for each in heard)
    called = f"{_times(calls, 'handshake')} sent to {peer.endpoint}"
    if answers:
        return _preshared_key(peer, f"{called}, {_times(answers, 'answer')} came back, and no session began")
    if (by_call := _wrong_keys(peer, tunnel, evidence)) is not None:
        return by_call
    if moved := _moved(peer, evidence):
        return moved
    if not peer.endpoint_wanted:
        # A colleague's device that is off, or asleep: nothing is wrong.
        return None
    if behind_nat(evidence) and not peer.keepalive and peer.handshake_age is not None:
        return Finding(
            "keepalive",
            peer.name,
            f"{peer.name} is not reached any more: this box is behind NAT, and without keepalives the router in front "
            "of it forgets the way back.",
            (f"{called}, no answer; the uplink has a private address, and the peer no keepalive",),
            f"write `keepalive: 25` at {peer.name}",
        )
    return _unanswered(peer, tunnel, called)


def _unanswered(peer: PeerSeen, tunnel: TunnelSeen, called: str) -> Finding:
    ping = {True: f"{peer.address} answers pings", False: f"{peer.address} does not answer pings either", None: ""}
    before = "never" if peer.handshake_age is None else f"{peer.handshake_age:.0f} s ago"
    if peer.handshake_age is None:
        why = (
            "its UDP port is blocked or not forwarded on the way, or the public keys do not match; from here the two "
            "cannot be told apart, since WireGuard does not answer strangers"
        )
    else:
        why = (
            "it worked before with these keys, so the far end is down, or UDP is blocked on the way, or its keys were "
            "changed there"
        )
    return Finding(
        "unanswered",
        peer.name,
        f"{peer.name} does not answer: {why}.",
        tuple(each for each in (f"{called}, nothing came back", ping[peer.pings], f"last handshake: {before}") if each),
        f"at the far end: does WireGuard run and listen on UDP port {_port(peer.endpoint)}, is the port open and "
        f"forwarded; is its own public key {peer.public_key}, and does it know this box as {tunnel.public_key}",
    )


def _preshared_key(peer: PeerSeen, evidence: str) -> Finding:
    ours = "another preshared key than this box" if peer.preshared_key else "a preshared key, and this box has none"
    return Finding(
        "preshared-key",
        peer.name,
        f"The preshared key of {peer.name} does not match: it has {ours}"
        + (", or none." if peer.preshared_key else "."),
        (evidence, "both public keys are right, or nothing would have come back"),
        f"give both sides the same one; `appliance peer rotate {peer.name}` makes a new one"
        if peer.preshared_key
        else f"write `preshared_key: {{secret: NAME}}` at {peer.name}, or remove PresharedKey there",
    )


def _wrong_keys(peer: PeerSeen, tunnel: TunnelSeen, evidence: Evidence) -> Finding | None:
    """What a call from the peer's address says of the keys, where it was not answered."""
    for call in _calls(evidence):
        if _address(call.there) == peer.address and not _answered(call, evidence):
            return _refused(call, peer, tunnel, evidence)
    return None


def _refused(call: Handshake, peer: PeerSeen | None, tunnel: TunnelSeen, evidence: Evidence) -> Finding:
    """Why the engine does not answer a call; `peer` is whose call it seems to be."""
    who, about = (peer.name, peer.name) if peer else (f"Somebody at {call.there}", call.there)
    if not made_for(call, tunnel.public_key):
        return Finding(
            "box-key",
            about,
            f"{who} calls tunnel {tunnel.name} by a wrong public key for this box, which cannot answer it.",
            (f"{call.there} sends handshakes that are made for another key than {tunnel.public_key}",),
            f"write at the far end, as PublicKey of this box: {tunnel.public_key}",
        )
    caller = next((each for each in evidence.callers if each.there == call.there), None)
    known = [each for each in evidence.peers if caller and each.public_key == caller.public_key]
    if caller and known:
        return Finding(
            "peer-clock",
            known[0].name,
            f"The clock of {known[0].name} was set back, and WireGuard refuses handshakes dated before the last one.",
            (f"{call.there} calls with its right key; its clock is {_off(caller.ahead)} this box's",),
            "set its clock right (a device without a battery starts in the past); if it was ahead before and is right "
            f"now: sudo wg set {tunnel.device} peer {caller.public_key} remove, and the supervisor adds it anew",
        )
    calls_with = f"its key is {caller.public_key}" if caller else "its key could not be read"
    if peer:
        return Finding(
            "peer-key",
            peer.name,
            f"{peer.name} calls with another key than the one in the file, so this box does not answer.",
            (f"{call.there} calls this box by its right key; {calls_with}", f"the file says {peer.public_key}"),
            f"if that is the key there (`wg show`), write it as `public_key:` of {peer.name}; otherwise somebody else "
            "calls from that address",
        )
    return Finding(
        "unknown-peer",
        call.there,
        f"Somebody at {call.there} calls tunnel {tunnel.name} with a key that the file does not have.",
        (f"the handshakes are made for this box's right key, and the engine does not answer; {calls_with}",),
        "if it is a colleague's device: correct its `public_key:` in the file, or make it a peer, `appliance peer add`",
    )


def _callers(evidence: Evidence, explained: set[str]) -> Iterator[Finding]:
    """Calls from elsewhere that lead to nothing."""
    told = set(explained)
    for call in _calls(evidence):
        tunnel = next((each for each in evidence.tunnels if str(each.listen_port) == _port(call.here)), None)
        if call.there in told or tunnel is None:
            continue
        calls = sum(each.there == call.there for each in _calls(evidence))
        key = next((each.public_key for each in evidence.callers if each.there == call.there), "")
        peer = next((each for each in evidence.peers if key and each.public_key == key), None)
        if not _answered(call, evidence):
            told.add(call.there)
            yield _refused(call, peer, tunnel, evidence)
        elif calls > 1 and not (peer and peer.answered):
            told.add(call.there)
            yield _half_open(call, calls, tunnel, peer)


def _half_open(call: Handshake, calls: int, tunnel: TunnelSeen, peer: PeerSeen | None) -> Finding:
    """Called, answered, and called again."""
    who = peer.name if peer else f"Somebody at {call.there}"
    return Finding(
        "preshared-key",
        peer.name if peer else call.there,
        f"{who} calls tunnel {tunnel.name} again and again although it is answered: its preshared key is another one "
        "than here, or the answers do not get back to it.",
        (f"{_times(calls, 'handshake')} from {call.there}, each answered, and no session began",),
        "give both sides the same preshared key"
        + (f"; `appliance peer rotate {peer.name}` makes a new one" if peer else "")
        + "; if it is the same, see whether a firewall there drops UDP that comes in",
    )


def _turned_away(peer: PeerSeen, evidence: Evidence) -> Finding | None:
    said = next((each for each in evidence.overheard.unreachable if each.there == peer.endpoint), None)
    if said is None:
        return None
    seen = (f"{said.said_by} answered a packet to {peer.endpoint}: {said.reason} (ICMP)",)
    if said.reason == PORT and said.said_by == peer.address:
        return Finding(
            "no-listener",
            peer.name,
            f"The host of {peer.name} is there, but no WireGuard listens on UDP port {_port(peer.endpoint)}.",
            seen,
            "start WireGuard at the far end, or correct the port in `endpoint:`; behind a router there, forward the "
            "port",
        )
    return Finding(
        "turned-away",
        peer.name,
        f"{peer.name} cannot be reached at {peer.endpoint}: {said.said_by} turns the packets away ({said.reason}).",
        seen,
        f"ask whoever runs {said.said_by} to let UDP port {_port(peer.endpoint)} through, or correct `endpoint:`",
    )


def _moved(peer: PeerSeen, evidence: Evidence) -> Finding | None:
    for lookup in evidence.lookups:
        if lookup.name == peer.host and lookup.addresses and peer.address and peer.address not in lookup.addresses:
            return Finding(
                "endpoint-moved",
                peer.name,
                f"{peer.name} has moved: it is called at {peer.address}, and {lookup.name} says "
                f"{', '.join(lookup.addresses)} now.",
                (f"nothing comes back from {peer.endpoint}",),
                "none: the box follows within 20 s of the first packet that is not answered; if it does not, see "
                "`journalctl -u appliance`",
            )
    return None


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


def _uncovered(evidence: Evidence) -> Iterator[Finding]:
    """Private destinations that leave by an uplink: no peer has them."""
    devices = {uplink.device: uplink for uplink in evidence.uplinks}
    told: set[str] = set()
    for flow in evidence.overheard.passed:
        uplink = devices.get(flow.device)
        if uplink is None or behind_nat(evidence) or not _office_like(flow.destination) or flow.destination in told:
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


def behind_nat(evidence: Evidence) -> bool:
    """Whether the uplinks have only addresses that somebody in front of this box translates."""
    found = [each.partition("/")[0] for uplink in evidence.uplinks for each in uplink.addresses]
    return bool(found) and all(_office_like(each) or each.startswith("fe80:") for each in found)


_PRIVATE = [ip_network(each) for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")]
"""RFC 1918, RFC 6598, RFC 4193."""


def _office_like(text: str) -> bool:
    address = ip_address(text)
    return any(address in network for network in _PRIVATE if network.version == address.version)


def _calls(evidence: Evidence) -> Sequence[Handshake]:
    return [each for each in evidence.overheard.handshakes if each.initiation and not each.out]


def _answered(call: Handshake, evidence: Evidence) -> bool:
    return any(
        each.out and not each.initiation and each.there == call.there and each.here == call.here
        for each in evidence.overheard.handshakes
    )


def _address(endpoint: str) -> str:
    return endpoint.rpartition(":")[0].strip("[]")


def _port(endpoint: str) -> str:
    return endpoint.rpartition(":")[2]


def _off(ahead: float) -> str:
    size = abs(ahead)
    text = f"{size:.0f} s" if size < 600 else f"{size / 3600:.1f} h" if size < 172800 else f"{size / 86400:.0f} days"
    return f"{text} {'ahead of' if ahead > 0 else 'behind'}" if size >= 30 else "now as"


def _times(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"
